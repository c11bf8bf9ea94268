"""Discriminant analysis from rows or their statistics: for each model the pure solve first, the thin class after it."""

from __future__ import annotations

from sklearn_symfed.discriminant_analysis._linear import FederatedLinearDiscriminantAnalysis
from sklearn_symfed.discriminant_analysis._quadratic import FederatedQuadraticDiscriminantAnalysis

__all__ = ["FederatedLinearDiscriminantAnalysis", "FederatedQuadraticDiscriminantAnalysis"]

"""Linear regression from rows or their statistics: for each model the pure solve first, the thin class after it."""

from __future__ import annotations

from sklearn_symfed.linear_model._ordinary import FederatedLinearRegression
from sklearn_symfed.linear_model._ridge import FederatedRidge

__all__ = ["FederatedLinearRegression", "FederatedRidge"]

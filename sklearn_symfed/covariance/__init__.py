"""Covariances and their inverses from rows or their statistics: the pure solves first, the thin classes after them."""

from __future__ import annotations

from sklearn_symfed.covariance._empirical import FederatedEmpiricalCovariance
from sklearn_symfed.covariance._envelope import FederatedGaussianEnvelope
from sklearn_symfed.covariance._graphical_lasso import FederatedGraphicalLasso
from sklearn_symfed.covariance._shrunk import FederatedOAS, FederatedShrunkCovariance

__all__ = [
    "FederatedEmpiricalCovariance",
    "FederatedGaussianEnvelope",
    "FederatedGraphicalLasso",
    "FederatedOAS",
    "FederatedShrunkCovariance",
]

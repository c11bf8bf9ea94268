"""Components that features and targets have in common, from exact moments: the solves first, the classes after."""

from __future__ import annotations

from sklearn_symfed.cross_decomposition._estimators import FederatedCCA, FederatedPLSRegression

__all__ = ["FederatedCCA", "FederatedPLSRegression"]

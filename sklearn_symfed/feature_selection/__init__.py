"""Feature selection from statistics: what each feature says alone, and steps that keep some of them."""

from __future__ import annotations

from sklearn_symfed.feature_selection._scores import chi2, f_classif, f_regression
from sklearn_symfed.feature_selection._univariate import (
    FederatedSelectFdr,
    FederatedSelectFpr,
    FederatedSelectFwe,
    FederatedSelectKBest,
)
from sklearn_symfed.feature_selection._variance_threshold import FederatedVarianceThreshold

__all__ = [
    "FederatedSelectFdr",
    "FederatedSelectFpr",
    "FederatedSelectFwe",
    "FederatedSelectKBest",
    "FederatedVarianceThreshold",
    "chi2",
    "f_classif",
    "f_regression",
]

"""Components and factors from exact moments: one file for each model."""

from __future__ import annotations

from sklearn_symfed.decomposition._factor_analysis import FederatedFactorAnalysis
from sklearn_symfed.decomposition._pca import FederatedPCA, PrincipalComponents
from sklearn_symfed.decomposition._truncated_svd import FederatedTruncatedSVD

__all__ = ["FederatedFactorAnalysis", "FederatedPCA", "FederatedTruncatedSVD", "PrincipalComponents"]

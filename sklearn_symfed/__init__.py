"""Federated scikit-learn from exact statistics of rows.

A :class:`PSR` stands for the rows that it has seen: learning is adding, forgetting is subtracting, federating is adding
what others have learned.  A model fitted from a PSR is equal, to the last bit, to the model fitted from the rows.

This module is the public door: every name that users need is here.  Errors live in :mod:`sklearn_symfed.exceptions`.
"""

from __future__ import annotations

from sklearn_symfed import exceptions
from sklearn_symfed._federated_psr import FederatedPSR
from sklearn_symfed._identity import fitted_digests
from sklearn_symfed.covariance import (
    FederatedEmpiricalCovariance,
    FederatedGaussianEnvelope,
    FederatedGraphicalLasso,
    FederatedOAS,
    FederatedShrunkCovariance,
)
from sklearn_symfed.cross_decomposition import FederatedCCA, FederatedPLSRegression
from sklearn_symfed.decomposition import FederatedFactorAnalysis, FederatedPCA, FederatedTruncatedSVD
from sklearn_symfed.discriminant_analysis import (
    FederatedLinearDiscriminantAnalysis,
    FederatedQuadraticDiscriminantAnalysis,
)
from sklearn_symfed.feature_selection import (
    FederatedSelectFdr,
    FederatedSelectFpr,
    FederatedSelectFwe,
    FederatedSelectKBest,
    FederatedVarianceThreshold,
)
from sklearn_symfed.federation import Guard, PulseReport, Release, Status
from sklearn_symfed.impute import FederatedSimpleImputer
from sklearn_symfed.linear_model import (
    FederatedBayesianRidge,
    FederatedElasticNet,
    FederatedLars,
    FederatedLasso,
    FederatedLassoLars,
    FederatedLinearRegression,
    FederatedOrthogonalMatchingPursuit,
    FederatedRidge,
)
from sklearn_symfed.naive_bayes import (
    FederatedBernoulliNB,
    FederatedCategoricalNB,
    FederatedComplementNB,
    FederatedGaussianNB,
    FederatedMultinomialNB,
)
from sklearn_symfed.neighbors import FederatedNearestCentroid
from sklearn_symfed.preprocessing import FederatedOneHotEncoder, FederatedOrdinalEncoder, FederatedTargetEncoder
from sklearn_symfed.psr import PSR, Moments, Schema

__all__ = [
    "PSR",
    "FederatedBayesianRidge",
    "FederatedBernoulliNB",
    "FederatedCCA",
    "FederatedCategoricalNB",
    "FederatedComplementNB",
    "FederatedElasticNet",
    "FederatedEmpiricalCovariance",
    "FederatedFactorAnalysis",
    "FederatedGaussianEnvelope",
    "FederatedGaussianNB",
    "FederatedGraphicalLasso",
    "FederatedLars",
    "FederatedLasso",
    "FederatedLassoLars",
    "FederatedLinearDiscriminantAnalysis",
    "FederatedLinearRegression",
    "FederatedMultinomialNB",
    "FederatedNearestCentroid",
    "FederatedOAS",
    "FederatedOneHotEncoder",
    "FederatedOrdinalEncoder",
    "FederatedOrthogonalMatchingPursuit",
    "FederatedPCA",
    "FederatedPLSRegression",
    "FederatedPSR",
    "FederatedQuadraticDiscriminantAnalysis",
    "FederatedRidge",
    "FederatedSelectFdr",
    "FederatedSelectFpr",
    "FederatedSelectFwe",
    "FederatedSelectKBest",
    "FederatedShrunkCovariance",
    "FederatedSimpleImputer",
    "FederatedTargetEncoder",
    "FederatedTruncatedSVD",
    "FederatedVarianceThreshold",
    "Guard",
    "Moments",
    "PulseReport",
    "Release",
    "Schema",
    "Status",
    "exceptions",
    "fitted_digests",
]

__version__ = "0.1.0"

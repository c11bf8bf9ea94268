"""Linear regression from rows or their statistics: for each model the pure solve first, the thin class after it."""

from __future__ import annotations

from sklearn_symfed.linear_model._bayes import FederatedBayesianRidge
from sklearn_symfed.linear_model._elastic_net import FederatedElasticNet, FederatedLasso
from sklearn_symfed.linear_model._least_angle import FederatedLars, FederatedLassoLars
from sklearn_symfed.linear_model._matching_pursuit import FederatedOrthogonalMatchingPursuit
from sklearn_symfed.linear_model._ordinary import FederatedLinearRegression
from sklearn_symfed.linear_model._ridge import FederatedRidge

__all__ = [
    "FederatedBayesianRidge",
    "FederatedElasticNet",
    "FederatedLars",
    "FederatedLasso",
    "FederatedLassoLars",
    "FederatedLinearRegression",
    "FederatedOrthogonalMatchingPursuit",
    "FederatedRidge",
]

"""Naive Bayes from exact statistics of each class, a file for each kind of feature."""

from __future__ import annotations

from sklearn_symfed.naive_bayes._bernoulli import FederatedBernoulliNB
from sklearn_symfed.naive_bayes._categorical import FederatedCategoricalNB
from sklearn_symfed.naive_bayes._complement import FederatedComplementNB
from sklearn_symfed.naive_bayes._gaussian import FederatedGaussianNB, gaussian_classes
from sklearn_symfed.naive_bayes._multinomial import FederatedMultinomialNB

__all__ = [
    "FederatedBernoulliNB",
    "FederatedCategoricalNB",
    "FederatedComplementNB",
    "FederatedGaussianNB",
    "FederatedMultinomialNB",
    "gaussian_classes",
]

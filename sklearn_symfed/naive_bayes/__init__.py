"""Naive Bayes from exact statistics of each class, a file for each kind of feature."""

from __future__ import annotations

from sklearn_symfed.naive_bayes._gaussian import FederatedGaussianNB, gaussian_classes

__all__ = ["FederatedGaussianNB", "gaussian_classes"]

"""Encoders of categories with the vocabularies of all parties, a file for each."""

from __future__ import annotations

from sklearn_symfed.preprocessing._one_hot import FederatedOneHotEncoder, infrequent_levels
from sklearn_symfed.preprocessing._ordinal import FederatedOrdinalEncoder
from sklearn_symfed.preprocessing._target import FederatedTargetEncoder, shrunk_mean

__all__ = [
    "FederatedOneHotEncoder",
    "FederatedOrdinalEncoder",
    "FederatedTargetEncoder",
    "infrequent_levels",
    "shrunk_mean",
]

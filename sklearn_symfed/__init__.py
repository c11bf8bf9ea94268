"""Federated scikit-learn from exact statistics of rows.

A :class:`PSR` stands for the rows that it has seen: learning is adding, forgetting is subtracting, federating is adding
what others have learned.  A model fitted from a PSR is equal, to the last bit, to the model fitted from the rows.

This module is the public door: every name that users need is here.  Errors live in :mod:`sklearn_symfed.exceptions`.
"""

from __future__ import annotations

from sklearn_symfed import exceptions
from sklearn_symfed.psr import PSR, Moments, Schema

__all__ = [
    "PSR",
    "Moments",
    "Schema",
    "exceptions",
]

__version__ = "0.1.0"

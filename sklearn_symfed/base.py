"""What an estimator of your own is made of: the fit that all share, steps on statistics, and the exact solve.

`docs/own_estimator.md` shows how it is done in 30 lines.
"""

from __future__ import annotations

from sklearn_symfed._base import ClassifierFromStatistics, RegressorFromStatistics, TransformerFromStatistics
from sklearn_symfed._linalg import solve
from sklearn_symfed._steps import AffineStep, centred

__all__ = [
    "AffineStep",
    "ClassifierFromStatistics",
    "RegressorFromStatistics",
    "TransformerFromStatistics",
    "centred",
    "solve",
]

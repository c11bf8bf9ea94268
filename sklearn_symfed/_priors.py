"""Probabilities of classes as exact fractions: their shares of the weight, or those that somebody declares."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed.psr import Moments

__all__ = ["class_priors", "class_proportions"]

_NEAR_ONE = Fraction(1, 10**5)


def class_proportions(total: Moments, classes: Sequence[Moments]) -> list[Fraction]:
    """Return each class's exact share of the sum of weights."""
    weight = total.matrix[0, 0] * total.unit
    return [m.matrix[0, 0] * m.unit / weight for m in classes]


def class_priors(declared: Any, total: Moments, classes: Sequence[Moments]) -> list[Fraction]:
    """Return the probabilities of classes, scaled with a warning where those declared do not sum to one.

    Parameters
    ----------
    declared : array-like of shape (n_classes,) or None
        None takes the proportions.
    total : Moments
    classes : sequence of Moments

    Returns
    -------
    list of Fraction

    Raises
    ------
    ValueError
        If they are not as many as classes, negative, not finite or all zero.
    """
    if declared is None:
        return class_proportions(total, classes)
    values = np.asarray(declared, dtype=np.float64)
    if values.shape != (len(classes),) or not np.isfinite(values).all():
        raise ValueError(
            f"Got priors of shape {values.shape}, but expected {len(classes)} finite numbers, one for each class."
        )
    if (values < 0).any() or not values.any():
        raise ValueError("priors must be non-negative, and not all zero.")
    priors = [Fraction(value) for value in values.tolist()]
    sum_of_all = sum(priors, Fraction(0))
    if abs(sum_of_all - 1) <= _NEAR_ONE:
        return priors
    warnings.warn("The priors do not sum to 1. Renormalizing", UserWarning, stacklevel=6)
    return [prior / sum_of_all for prior in priors]

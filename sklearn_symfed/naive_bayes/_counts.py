"""Counts of each class as exact fractions, what smooths them, and their logarithms, rounded once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np

from sklearn_symfed._linalg import evaluate
from sklearn_symfed.psr import PSR, Label, Moments, quotient

__all__ = ["ClassCounts", "log_prior", "log_ratios", "ratios", "rounded", "smoothing"]

Array = np.ndarray[Any, Any]

_LEAST_ALPHA = 1e-10  # scikit-learn's


@dataclass(frozen=True)
class ClassCounts:
    """What discrete naive Bayes needs of each class, exactly.

    Attributes
    ----------
    labels : list of bool, int or str
        Classes that occurred, sorted.
    moments : list of Moments
        Of each class.
    weights : ndarray of Fraction of shape (n_classes,)
        Sum of weights: the number of rows where there are none.
    sums : ndarray of Fraction of shape (n_classes, n_columns)
        Column sums.
    """

    labels: Sequence[Label]
    moments: Sequence[Moments]
    weights: Array
    sums: Array

    @classmethod
    def of(cls, psr: PSR) -> ClassCounts:
        """Read them from statistics with a class column."""
        parts = psr.by_class()
        moments = [part.moments() for part in parts.values()]
        first = np.array([m.matrix[0] * m.unit for m in moments], dtype=object)
        return cls(list(parts), moments, first[:, 0], first[:, 1:])


def smoothing(alpha: Any, n_features: int, *, force: bool) -> Array:
    """Return what is added to each count: ndarray of Fraction of shape (n_features,).

    Parameters
    ----------
    alpha : float or array-like of shape (n_features,)
    n_features : int
    force : bool
        Whether to take values below 1e-10 as they are, rather than 1e-10.

    Raises
    ------
    ValueError
        If there are not as many as features, or some are negative or not finite.
    """
    values = np.full(n_features, alpha) if isinstance(alpha, Real) else np.asarray(alpha, dtype=np.float64)
    if values.shape != (n_features,):
        raise ValueError(
            "When alpha is an array, it should contain a number for each feature. "
            f"Got shape {values.shape}, but expected ({n_features},)."
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("Got negative or infinite values in alpha, but expected all of them to be greater than 0.")
    if not force and (values < _LEAST_ALPHA).any():
        warnings.warn(
            f"alpha too small will result in numeric errors, setting alpha = {_LEAST_ALPHA:.1e}. "
            "Use `force_alpha=True` to keep alpha unchanged.",
            UserWarning,
            stacklevel=6,
        )
        values = np.maximum(values, _LEAST_ALPHA)
    return np.array([Fraction(float(value)) for value in values], dtype=object)


def log_prior(weights: Array, declared: Any, *, fit: bool) -> Array:
    """Return the logarithm of the probability of each class, correctly rounded.

    Parameters
    ----------
    weights : ndarray of Fraction of shape (n_classes,)
    declared : array-like of shape (n_classes,) or None
        Probabilities, taken at their word; None takes those of `fit`.
    fit : bool
        Whether the classes have their shares of the weights; else all have the same.

    Returns
    -------
    ndarray of shape (n_classes,)

    Raises
    ------
    ValueError
        If the probabilities declared are not as many as classes, negative or not finite.
    """
    if declared is None:
        return log_ratios(weights / sum(weights) if fit else [Fraction(1, len(weights))] * len(weights))
    values = np.asarray(declared, dtype=np.float64)
    if values.shape != weights.shape:
        raise ValueError(
            "Number of priors must match number of classes. "
            f"Got class_prior of shape {values.shape}, but expected {weights.shape}."
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("Got negative or infinite values in class_prior, but expected probabilities.")
    return log_ratios([Fraction(value) for value in values.tolist()])


def ratios(numerators: Array, denominators: Array) -> Array:
    """Divide fractions, which broadcast: ndarray of Fraction, and of None where both are zero."""
    over, under = np.broadcast_arrays(numerators, denominators)
    out = np.empty(over.size, dtype=object)
    out[:] = [a / b if b else None for a, b in zip(over.flat, under.flat, strict=True)]
    return out.reshape(over.shape)


def log_ratios(values: Any) -> Array:
    """Return natural logarithms of fractions, each correctly rounded; that of 0 is -inf, that of None is NaN."""
    fractions = np.asarray(values, dtype=object)
    flat = fractions.ravel().tolist()
    out = np.array([math.nan if value is None else -math.inf for value in flat])
    positive = [i for i, value in enumerate(flat) if value]
    if positive:
        (logs,), _ = evaluate(lambda field: [field.column([field.log(flat[i]) for i in positive])])
        out[positive] = logs[:, 0]
    return out.reshape(fractions.shape)


def rounded(fractions: Array) -> Array:
    """Round fractions, each correctly: ndarray of float64 of the same shape."""
    flat: Iterable[Fraction] = fractions.ravel().tolist()
    return np.array([quotient(value.numerator, value.denominator) for value in flat]).reshape(fractions.shape)

"""Exact second moments, and their inverses, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite, independent_columns
from sklearn_symfed._eigen import Eigenproblem, Level, evaluate_pairs
from sklearn_symfed._linalg import solve
from sklearn_symfed._rounding import flint_integers, scale_rows, split_columns
from sklearn_symfed._shrinkage import Exact, covariance_of
from sklearn_symfed.psr import Moments

__all__ = ["is_regular", "precision_of", "second_moments"]

Array = np.ndarray[Any, Any]

_EPS = float(np.finfo(np.float64).eps)


def second_moments(moments: Moments, *, assume_centered: bool = False) -> Exact:
    """Return the (biased) covariance of rows, or the mean of their squares and products."""
    return (moments.matrix[1:, 1:], moments.matrix[0, 0]) if assume_centered else covariance_of(moments)


def is_regular(covariance: Exact) -> bool:
    """Tell whether no feature is, as far as float64 can tell at any scale, a combination of the others."""
    matrix, _ = covariance
    return len(independent_columns(matrix, _EPS)) == len(matrix)


def precision_of(covariance: Exact) -> tuple[Array, int]:
    r"""Return the inverse of a covariance, or its pseudo-inverse where features are collinear.

    Parameters
    ----------
    covariance : ndarray of object of shape (n_features, n_features), int
        Positive semi-definite.

    Returns
    -------
    precision : ndarray of float64 of shape (n_features, n_features)
        Each entry is rounded once.
    rank : int

    Notes
    -----
    A feature of whose variance the others leave less than :math:`16 d \epsilon` makes the covariance singular
    (`is_regular`), at whatever scale it is.  Then the pseudo-inverse is that of the eigenvalues above
    :math:`d \epsilon` times the largest [1]_, as in `scipy.linalg.pinvh`, but of exact eigenpairs.

    References
    ----------
    .. [1] G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th ed., 2013, section 5.5.
    """
    matrix, denominator = covariance
    size = len(matrix)
    if is_regular(covariance):
        identity = np.zeros(matrix.shape, dtype=object)
        np.fill_diagonal(identity, denominator)
        return solve(Definite(matrix), identity)[0], size
    problem = Eigenproblem(matrix, rank=flint_integers(matrix).rank())
    if not problem.rank:
        return np.zeros(matrix.shape), 0
    kept = 0

    def attempt(level: Level) -> list[Any] | None:
        nonlocal kept
        pairs = problem.pairs(level, problem.rank)
        if pairs is None:
            return None
        least = pairs.values[0] * (size * _EPS)
        kept = sum(bool(value.mid() > least.mid()) for value in pairs.values)
        vectors = split_columns(pairs.vectors.transpose(), kept)[0]
        inverses = [denominator / value for value in pairs.values[:kept]]
        return [vectors * scale_rows(vectors.transpose(), inverses)]

    (precision,) = evaluate_pairs(attempt, problem.levels)
    return precision, kept

"""Exact covariances, shrunk towards their mean variance: by a share that is given, or that OAS finds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from sklearn_symfed._rounding import as_integers, integer_ratio
from sklearn_symfed.psr import Moments

__all__ = [
    "Shrinkage",
    "covariance_of",
    "effective_size",
    "exact_shrinkage",
    "oas_share",
    "pooled",
    "refuse_ledoit_wolf",
    "share_of",
    "shrunk",
]

Array = np.ndarray[Any, Any]
Shrinkage = Fraction | Literal["oas"] | None
Exact = tuple[Array, int]
"""A matrix of Python integers, and the denominator of all of them."""


def exact_shrinkage(shrinkage: Any) -> Shrinkage:
    """Return the shrinkage that a parameter asks for."""
    if shrinkage is None:
        return None
    if shrinkage == "oas":
        return "oas"
    return Fraction(*integer_ratio(shrinkage))


def refuse_ledoit_wolf(shrinkage: Any) -> None:
    """Say why there is no automatic shrinkage in the sense of scikit-learn, and what there is.

    Raises
    ------
    ValueError
        If `shrinkage` is "auto".
    """
    if isinstance(shrinkage, str) and shrinkage == "auto":
        raise ValueError(
            "Got shrinkage='auto', but expected None, 'oas' or a float between 0 and 1: Ledoit-Wolf's estimate needs "
            "fourth moments, which a PSR does not hold. The oracle approximating shrinkage (OAS) needs none."
        )


def covariance_of(moments: Moments) -> Exact:
    """Return the (biased) covariance of rows."""
    return moments.comoments, moments.matrix[0, 0] ** 2


def effective_size(moments: Moments) -> Fraction:
    """Return how many rows of equal weight estimate a mean as well as these: their number where weights repeat rows."""
    return Fraction(moments.matrix[0, 0] ** 2 * moments.unit / moments.sum_w2)


def shrunk(covariance: Exact, share: Fraction) -> Exact:
    """Move a covariance by a share of the way to its mean variance times the identity."""
    matrix, denominator = covariance
    if not share:
        return covariance
    over, under, size = share.numerator, share.denominator, len(matrix)
    moved = matrix * (size * (under - over))
    trace = _trace(matrix)
    for i in range(size):
        moved[i, i] += over * trace
    return moved, denominator * size * under


def oas_share(covariance: Exact, n_samples: Fraction) -> Fraction:
    r"""Return the share of the oracle approximating shrinkage estimator.

    Parameters
    ----------
    covariance : ndarray of object of shape (n_features, n_features), int
    n_samples : Fraction

    Returns
    -------
    Fraction
        Between 0 and 1; 0 for one feature, which any share leaves as it is.

    Notes
    -----
    With :math:`d` features, :math:`a = \|S\|_F^2 / d^2` and :math:`\mu = \mathrm{tr}(S) / d`, as scikit-learn has it,

    .. math:: \min\left(1, \frac{a + \mu^2}{(n + 1) (a - \mu^2 / d)}\right),

    which leaves out a term of :math:`2 / d` in the original [1]_.

    References
    ----------
    .. [1] Y. Chen, A. Wiesel, Y. C. Eldar, A. O. Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", IEEE
       Transactions on Signal Processing 58(10), 2010, equation 23.
    """
    matrix, _ = covariance  # its denominator cancels
    size = len(matrix)
    if size == 1:
        return Fraction(0)
    squares = sum(int(value) ** 2 for value in matrix.ravel().tolist())
    trace = _trace(matrix) ** 2
    above, below = squares + trace, (n_samples + 1) * (squares - Fraction(trace, size))
    return min(Fraction(1), above / below) if below else Fraction(1)


def share_of(moments: Moments, shrinkage: Shrinkage) -> Fraction:
    """Return by which share the covariance of rows is to be shrunk."""
    if shrinkage == "oas":
        return oas_share(covariance_of(moments), effective_size(moments))
    return shrinkage or Fraction(0)


def pooled(covariances: Sequence[Exact], weights: Sequence[Fraction]) -> Exact:
    """Return the weighted sum of covariances."""
    parts = [weight / denominator for weight, (_, denominator) in zip(weights, covariances, strict=True)]
    factors, denominator = as_integers(np.array(parts, dtype=object))
    terms = (factor * matrix for factor, (matrix, _) in zip(factors, covariances, strict=True))
    return np.asarray(sum(terms)), denominator


def _trace(matrix: Array) -> int:
    return sum(int(value) for value in matrix.diagonal())

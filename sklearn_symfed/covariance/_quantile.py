"""Quantiles of the chi-square distribution, correctly rounded."""

from __future__ import annotations

import math

from flint import arb
from scipy.stats import chi2

from sklearn_symfed._rounding import precision, to_float

__all__ = ["chi_square_quantile"]

_BITS = (160, 400)
_MOST_STEPS = 60


def chi_square_quantile(probability: float, freedom: int) -> float:
    r"""Return what a chi-square variable stays below with a probability.

    Parameters
    ----------
    probability : float
        Between 0 and 1.
    freedom : int
        Degrees of freedom, at least 1.

    Returns
    -------
    float
        Correctly rounded.

    Notes
    -----
    Newton's method on the regularised incomplete gamma function :math:`P(k / 2, x / 2)` in balls [1]_, from SciPy's
    quantile on; that a ball holds the root follows from the values of the function at both of its ends.

    References
    ----------
    .. [1] F. Johansson, "Computing hypergeometric functions rigorously", ACM Transactions on Mathematical Software 45,
       2019.
    """
    if probability in {0.0, 1.0}:
        return math.inf if probability else 0.0
    start = float(chi2.ppf(probability, freedom))
    lost = 64 + math.ceil(2 * max(start, freedom))  # bits, in terms that cancel
    for bits in _BITS:
        with precision(bits + lost):
            rounded = to_float(_root(arb(probability), arb(freedom) / 2, start, bits))
            if rounded is not None:
                break
    assert rounded is not None, "no quantile of a rational probability lies at a midpoint between two floats"
    return rounded


def _root(probability: arb, shape: arb, start: float, bits: int) -> arb:
    """Return a ball that holds the quantile, to about so many bits."""
    x = arb(start) / 2 if start else (probability * (shape + 1).gamma()) ** (1 / shape)  # the first term of the series
    for _ in range(_MOST_STEPS):
        wrong = x.gamma_lower(shape, regularized=1) - probability
        step = wrong / _density(x, shape)
        x = (x - step).mid()
        if abs(step) < x * arb((1, -bits)):
            break
    width = x * arb((1, 8 - bits))
    below, above = x - width, x + width
    inside = below.gamma_lower(shape, regularized=1) < probability < above.gamma_lower(shape, regularized=1)
    return 2 * arb(x, width) if inside else arb(0, math.inf)


def _density(x: arb, shape: arb) -> arb:
    """Return the derivative of the regularised incomplete gamma function."""
    return ((shape - 1) * x.log() - x - shape.lgamma()).exp()

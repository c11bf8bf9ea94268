"""Upper tails of the F and the chi-square distribution at rational numbers, each correctly rounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from sklearn_symfed._linalg import evaluate
from sklearn_symfed._rounding import ball, ball_column
from sklearn_symfed.psr import quotient

__all__ = ["Ratio", "chi_square_tails", "f_tails", "rounded"]

Array = np.ndarray[Any, Any]
Ratio = tuple[Fraction, Fraction]
"""What is divided and by what, neither negative: by zero it is infinite, zero by zero undefined."""


def rounded(ratios: Sequence[Ratio]) -> Array:
    """Round quotients: ndarray of float64, infinite or NaN where they are."""
    return np.array([_limit(ratio) if not ratio[1] else _quotient(ratio) for ratio in ratios], dtype=np.float64)


def f_tails(ratios: Sequence[Ratio], between: int, within: int) -> Array:
    r"""Return the probability that F exceeds some values.

    Parameters
    ----------
    ratios : sequence of Ratio
    between, within : int
        Degrees of freedom.

    Returns
    -------
    ndarray of shape (n_ratios,)
        Correctly rounded; NaN where the value is.

    Notes
    -----
    With degrees of freedom :math:`d_1, d_2` it is the regularised incomplete beta function [1]_

    .. math:: P(F > f) = I_x(d_2 / 2, d_1 / 2), \quad x = \frac{d_2}{d_2 + d_1 f}.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/8.17
    """
    first, second = Fraction(between, 2), Fraction(within, 2)

    def tail(over: Fraction, under: Fraction) -> arb:
        share = second * under / (second * under + first * over)
        if over >= under:
            return ball(share).beta_lower(ball(second), ball(first), True)
        return 1 - ball(1 - share).beta_lower(ball(first), ball(second), True)  # its series is the shorter one

    return _tails(ratios, tail)


def chi_square_tails(ratios: Sequence[Ratio], freedom: int) -> Array:
    r"""Return the probability that chi-square exceeds some values.

    Parameters
    ----------
    ratios : sequence of Ratio
    freedom : int
        Degrees of freedom.

    Returns
    -------
    ndarray of shape (n_ratios,)
        Correctly rounded; NaN where the value is.

    Notes
    -----
    It is the regularised incomplete gamma function :math:`Q(d / 2, x / 2)` [1]_.

    References
    ----------
    .. [1] NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/8.2
    """
    return _tails(ratios, lambda over, under: ball(over / under / 2).gamma_upper(ball(Fraction(freedom, 2)), True))


def _tails(ratios: Sequence[Ratio], tail: Callable[[Fraction, Fraction], arb]) -> Array:
    return np.array([_tail(ratio, tail) for ratio in ratios], dtype=np.float64)


def _tail(ratio: Ratio, tail: Callable[[Fraction, Fraction], arb]) -> float:
    over, under = ratio
    if not under:
        return 0.0 if over else math.nan
    if not over:
        return 1.0
    (value,), _ = evaluate(lambda _: [ball_column([tail(over, under)])])
    return float(value[0, 0])


def _limit(ratio: Ratio) -> float:
    return math.inf if ratio[0] else math.nan


def _quotient(ratio: Ratio) -> float:
    value = ratio[0] / ratio[1]
    return quotient(value.numerator, value.denominator)

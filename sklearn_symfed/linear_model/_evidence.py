"""The evidence of two precisions, of noise and of coefficients, climbed as scikit-learn does, without its rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb

from sklearn_symfed._eigen import Eigenproblem, Level
from sklearn_symfed._rounding import (
    ball,
    ball_column,
    flint_integers,
    integer_ratio,
    magnitude,
    middle,
    precision,
    to_float,
)
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import Moments

__all__ = ["Evidence", "Priors", "evidence"]

_KEPT = 100
"""Bits of the precisions from one step to the next: beyond float64, and few enough for balls to tell them."""


@dataclass(frozen=True)
class Priors:
    """Gamma priors of the precision of the noise, alpha, and of that of the coefficients, lambda."""

    alpha_1: Fraction
    alpha_2: Fraction
    lambda_1: Fraction
    lambda_2: Fraction


@dataclass(frozen=True)
class Evidence:
    """Where the iteration ended.

    Attributes
    ----------
    alpha, lambda_ : Fraction
        Precision of the noise and of the coefficients.
    n_iter : int
    scores : list of float
        Logarithm of the evidence before each step and at the end, where it was asked for.
    """

    alpha: Fraction
    lambda_: Fraction
    n_iter: int
    scores: list[float]


def evidence(
    moments: Moments,
    priors: Priors,
    *,
    start: tuple[float | None, float | None] = (None, None),
    max_iter: int = 300,
    tol: float = 1e-3,
    with_scores: bool = False,
    fit_intercept: bool = True,
) -> Evidence:
    r"""Estimate the precisions of noise and coefficients by maximising the evidence.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the target.
    priors : Priors
    start : pair of float, default=(None, None)
        The precisions to begin with; None means one over the variance of the target, and 1.
    max_iter : int, default=300
    tol : float, default=1e-3
        The iteration ends when the coefficients move by less, in sum.
    with_scores : bool, default=False
    fit_intercept : bool, default=True

    Returns
    -------
    Evidence

    Raises
    ------
    DataError
        If a precision turns out to be no positive number.

    Notes
    -----
    With the eigenvalues :math:`e_i` of the (centred) Gram matrix, the products :math:`z_i` of its eigenvectors with the
    target, and :math:`W` the sum of weights, one step [1]_ takes

    .. math:: b_i = \frac{\alpha z_i}{\lambda + \alpha e_i}, \quad
              \gamma = \sum_i \frac{\alpha e_i}{\lambda + \alpha e_i}, \quad
              \lambda' = \frac{\gamma + 2 \lambda_1}{\|b\|^2 + 2 \lambda_2}, \quad
              \alpha' = \frac{W - \gamma + 2 \alpha_1}{\|y - X b\|^2 + 2 \alpha_2}.

    Eigenpairs and steps are balls; after each step both precisions are rounded to 100 bits.

    References
    ----------
    .. [1] D. J. C. MacKay, "Bayesian Interpolation", Neural Computation 4, 1992.
    """
    problem = _Problem(moments, priors, with_scores=with_scores, fit_intercept=fit_intercept)
    first = problem.start(start)
    for level in problem.eigen.levels:
        with precision(level.bits + 64):
            spectrum = problem.spectrum(level)
            found = None if spectrum is None else _iterate(spectrum, first, max_iter, Fraction(*integer_ratio(tol)))
        if found is not None:
            return found
    raise AssertionError("unreachable: the last level answers")


class _Problem:
    """What does not depend on the precision of the arithmetic."""

    def __init__(self, moments: Moments, priors: Priors, *, with_scores: bool, fit_intercept: bool) -> None:
        centred = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
        weight = moments.matrix[0, 0]
        self.gram, self.right, self.total = centred[:-1, :-1], centred[:-1, -1:], centred[-1, -1]
        self.unit = moments.unit / (weight if fit_intercept else 1)
        self.weight = weight * moments.unit
        self.variance = Fraction(moments.comoments[-1, -1], weight**2)
        self.rank = int(flint_integers(self.gram).rank())
        self.eigen = Eigenproblem(self.gram, rank=self.rank)
        self.priors = priors
        self.with_scores = with_scores

    def start(self, start: tuple[float | None, float | None]) -> tuple[Fraction, Fraction]:
        alpha, lambda_ = (None if value is None else Fraction(*integer_ratio(value)) for value in start)
        if alpha == lambda_ == 0:
            raise ValueError("Got alpha_init=0 and lambda_init=0, but expected one of them to be positive.")
        if alpha is None:
            alpha = 1 / (self.variance + Fraction(np.finfo(np.float64).eps))
        return alpha, Fraction(1) if lambda_ is None else lambda_

    def spectrum(self, level: Level) -> _Spectrum | None:
        pairs = self.eigen.pairs(level, self.rank)
        if pairs is None:
            return None
        products = (pairs.vectors * flint_integers(self.right)).entries() if self.rank else []
        unit = ball(self.unit)
        return _Spectrum(
            self, pairs.vectors, [e * unit for e in pairs.values], [z * unit for z in products], level.last
        )


class _Spectrum:
    """Statistics along principal axes, in balls, and what follows for two precisions."""

    def __init__(self, problem: _Problem, vectors: Any, values: list[arb], products: list[arb], last: bool) -> None:
        self.problem, self.values, self.products, self.last = problem, values, products, last
        self.axes = vectors.transpose()
        self.size = len(problem.gram)
        pairs = zip(products, values, strict=True)
        self.unexplained = ball(problem.total * problem.unit) - sum((z * z / e for z, e in pairs), arb(0))

    def step(self, alpha: arb, lambda_: arb) -> _Step:
        left = [lambda_ / (lambda_ + alpha * e) for e in self.values]
        coef = [alpha * z / (lambda_ + alpha * e) for z, e in zip(self.products, self.values, strict=True)]
        shrunk = (z * z / e * r * r for z, e, r in zip(self.products, self.values, left, strict=True))
        return _Step(
            coef,
            effective=sum((1 - r for r in left), arb(0)),
            norm=sum((b * b for b in coef), arb(0)),
            residual=self.unexplained + sum(shrunk, arb(0)),
        )

    def distance(self, one: Sequence[arb], other: Sequence[arb]) -> arb:
        """Return the sum of absolute differences of coefficients."""
        if not self.values:
            return arb(0)
        moved = self.axes * ball_column([b - c for b, c in zip(one, other, strict=True)])
        return sum((abs(entry) for entry in moved.entries()), arb(0))

    def update(self, step: _Step) -> tuple[arb, arb]:
        p = self.problem.priors
        alpha = (ball(self.problem.weight + 2 * p.alpha_1) - step.effective) / (step.residual + ball(2 * p.alpha_2))
        lambda_ = (step.effective + ball(2 * p.lambda_1)) / (step.norm + ball(2 * p.lambda_2))
        return alpha, lambda_

    def score(self, step: _Step, alpha: arb, lambda_: arb) -> arb:
        """Return the logarithm of the evidence, not a number where a precision is zero."""
        p, weight = self.problem.priors, ball(self.problem.weight)
        if alpha == 0 or lambda_ == 0:
            return arb("nan")
        null = self.size - len(self.values)
        spread = sum(((lambda_ + alpha * e).log() for e in self.values), null * lambda_.log())
        out = ball(p.lambda_1) * lambda_.log() - ball(p.lambda_2) * lambda_
        out += ball(p.alpha_1) * alpha.log() - ball(p.alpha_2) * alpha
        likelihood = weight * (alpha / (2 * arb.pi())).log() - alpha * step.residual
        return out + (self.size * lambda_.log() + likelihood - lambda_ * step.norm - spread) / 2


@dataclass(frozen=True)
class _Step:
    """Coefficients along principal axes, how many are effective, their squared norm, the sum of squares left."""

    coef: list[arb]
    effective: arb
    norm: arb
    residual: arb


class _UndecidedError(Exception):
    """Balls do not tell."""


def _iterate(spectrum: _Spectrum, start: tuple[Fraction, Fraction], max_iter: int, tol: Fraction) -> Evidence | None:
    """Step until coefficients stand still; None where balls are too wide."""
    try:
        return _climb(spectrum, start, max_iter, tol)
    except _UndecidedError:
        return None


def _climb(spectrum: _Spectrum, start: tuple[Fraction, Fraction], max_iter: int, tol: Fraction) -> Evidence:
    alpha, lambda_ = start
    scores: list[float] = []
    before = None

    def here() -> _Step:
        step = spectrum.step(ball(alpha), ball(lambda_))
        if spectrum.problem.with_scores:
            scores.append(_rounded(spectrum.score(step, ball(alpha), ball(lambda_)), spectrum.last))
        return step

    n_iter, moves = 0, True
    while moves and n_iter < max_iter:
        n_iter += 1
        step = here()
        alpha, lambda_ = (_kept(value, spectrum.last) for value in spectrum.update(step))
        moves = before is None or not _is_less(spectrum.distance(before.coef, step.coef), ball(tol), spectrum.last)
        before = step
    if spectrum.problem.with_scores:
        here()
    return Evidence(alpha, lambda_, n_iter, scores)


def _kept(value: arb, last: bool) -> Fraction:
    """Round a positive number to the bits that are kept."""
    if not (value.is_finite() and value > 0):
        if not last:
            raise _UndecidedError
        raise DataError(
            "Got statistics for which a precision is not a positive number, but expected positive ones: a target that "
            "is constant, or met exactly, needs alpha_2 > 0, and one without correlations needs lambda_1 and "
            "lambda_2 > 0; weights should sum to more than the number of features."
        )
    exponent = magnitude(value) - _KEPT
    found = ((middle(value) if last else value) * arb((1, -exponent)) + arb(0.5)).floor().unique_fmpz()
    if found is None:
        raise _UndecidedError
    return Fraction(int(found)) * Fraction(2) ** exponent


def _is_less(value: arb, bound: arb, last: bool) -> bool:
    if not last and not (value < bound or value >= bound):
        raise _UndecidedError
    return bool(middle(value) < middle(bound))


def _rounded(value: arb, last: bool) -> float:
    if value.is_nan():
        return float("nan")
    found = to_float(value, settle=last)
    if found is None:
        raise _UndecidedError
    return found

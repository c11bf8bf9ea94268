"""Maximum likelihood factor analysis from exact moments: the iteration, each of whose steps has one result everywhere.

What a step starts from are rational numbers, and its result is rounded to a grid so much finer than float64 that only
the last rounding counts.  LAPACK finds eigenvectors; what they are refined to does not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, arb_mat

from sklearn_symfed._eigen import Eigenproblem, Level, evaluate_pairs, flip_signs
from sklearn_symfed._rounding import ball, flint_integers, magnitude, precision, to_float
from sklearn_symfed.decomposition._pencil import Pencil
from sklearn_symfed.psr import Moments

__all__ = ["LEAST_NOISE", "Factors", "maximum_likelihood_factors"]

Array = np.ndarray[Any, Any]

LEAST_NOISE = Fraction(1e-12)
"""No noise variance becomes smaller, as in scikit-learn."""
_GRID_BITS = 80


@dataclass(frozen=True)
class Factors:
    """Loadings of factors and noise variances.

    Attributes
    ----------
    loadings : ndarray of shape (n_components, n_features)
    noise : ndarray of shape (n_features,)
    log_likelihood : list of float
        At each iteration.
    converged : bool
        Whether iterations ended before there were too many.
    """

    loadings: Array
    noise: Array
    log_likelihood: list[float]
    converged: bool


def maximum_likelihood_factors(
    moments: Moments, count: int, start: Sequence[Fraction], *, tol: float = 1e-2, max_iter: int = 1000
) -> Factors:
    r"""Iterate to the loadings and noise variances of greatest likelihood.

    Parameters
    ----------
    moments : Moments
    count : int
        Number of factors; up to ``min(n_rows, n_features)``.
    start : sequence of Fraction of shape (n_features,)
        Noise variances to start from.
    tol : float, default=1e-2
        Stops when the log-likelihood rises by less, or when nothing moves any more.
    max_iter : int, default=1000

    Returns
    -------
    Factors

    Notes
    -----
    With :math:`S` the covariance of the features (:math:`n`, or the sum of weights, in its denominator) and
    :math:`\Psi` the diagonal matrix of noise variances, let :math:`S v_j = \theta_j \Psi v_j`,
    :math:`v_j^T \Psi v_j = 1` and :math:`\theta_1 \geq \theta_2 \geq \dots`.  The loadings that suit :math:`\Psi`
    best, the noise variances that follow [1]_, and the likelihood before are

    .. math:: w_j = \sqrt{(\theta_j - 1)_+} \; \Psi v_j, \quad
              \psi_i \leftarrow S_{ii} - \sum_{j \leq k} w_{ji}^2, \quad
              -\tfrac n2 [d \log 2 \pi + \log\det\Psi + \sum_j \theta_j
              + \sum_{j \leq k, \theta_j > 1} (1 + \log\theta_j - \theta_j)].

    Noise variances are kept as numbers of 80 bits, to which each step is correctly rounded.  scikit-learn's likelihood
    lacks the condition :math:`\theta_j > 1`, so with factors to spare it may stop at another step.

    References
    ----------
    .. [1] D. Barber, "Bayesian Reasoning and Machine Learning", 2012, algorithm 21.1.
    """
    order = np.argsort(moments.names)
    likelihood = _Likelihood(moments, order, count)
    noise, found, last, converged = [start[i] for i in order], [], None, False
    for _ in range(max_iter):
        step = likelihood.step(noise)
        found.append(step.log_likelihood)
        converged = step.noise == noise or (last is not None and step.log_likelihood - last < arb(tol))
        if converged:
            break
        noise, last = step.noise, step.log_likelihood
    back = np.argsort(order)
    return Factors(
        flip_signs(step.loadings())[:, back],
        np.array([float(noise[i]) for i in back]),
        [_float(value) for value in found],
        bool(converged),
    )


class _Likelihood:
    """The exact covariance, with features in the order of their names."""

    def __init__(self, moments: Moments, order: Array, count: int) -> None:
        self.comoments = moments.comoments[np.ix_(order, order)]
        self.rank = flint_integers(self.comoments).rank()
        self.levels = Eigenproblem(self.comoments).levels
        self.count = count
        self.weight = int(moments.matrix[0, 0])  # the covariance is comoments over its square
        self.n_rows = self.weight * moments.unit

    def step(self, noise: list[Fraction]) -> _Step:
        """Return what follows from noise variances, at the first level of precision that decides it."""
        return _Step(self, noise)


class _Step:
    """One step of the iteration.

    Attributes
    ----------
    noise : list of Fraction
        Noise variances that follow.
    log_likelihood : arb
        Of those before, with the loadings that suit them best.
    """

    def __init__(self, problem: _Likelihood, noise: list[Fraction]) -> None:
        self._problem, self._before = problem, noise
        self._twice = max(value.denominator.bit_length() for value in noise)  # noise variances are over 4**twice
        self._integers = [int(value * 4**self._twice) for value in noise]
        self._pencil = Pencil(problem.comoments, [value * problem.weight**2 for value in self._integers], problem.rank)
        for level in problem.levels:
            with precision(level.bits + 64):
                found = self._at(level)
                if found is not None:
                    self.noise, self.log_likelihood = found
                    break

    def _at(self, level: Level) -> tuple[list[Fraction], arb] | None:
        squares = self._squared_loadings(level)
        if squares is None:
            return None
        ratios, rows = squares
        problem, after = self._problem, []
        for i in range(len(self._before)):
            left = ball(Fraction(problem.comoments[i, i], problem.weight**2)) - sum((row[i] for row in rows), arb(0))
            rounded = _on_noise_grid(left, settle=level.last)
            if rounded is None:
                return None
            after.append(rounded)
        return after, self._log_likelihood(ratios)

    def _squared_loadings(self, level: Level, *, roots: bool = False) -> Any:
        """Return the ratios of variance to noise, and the squared loadings (or these with their signs) of each."""
        problem = self._problem
        pairs = self._pencil.pairs(level, problem.count)
        if pairs is None:
            return None
        ratios = [value * arb((1, 2 * self._twice)) for value in pairs[0]]
        scale = [arb(value * problem.weight) * arb((1, -self._twice)) for value in self._integers]
        rows = []
        for ratio, vector in zip(ratios, pairs[1], strict=True):
            beyond = (ratio - 1).nonnegative_part()
            row = [entry * factor for entry, factor in zip(vector, scale, strict=True)]
            rows.append([e * beyond.sqrt() for e in row] if roots else [e * e * beyond for e in row])
        return ratios, rows

    def _log_likelihood(self, ratios: list[arb]) -> arb:
        problem, size = self._problem, len(self._before)
        trace = sum((Fraction(problem.comoments[i, i], value) for i, value in enumerate(self._before)), Fraction(0)) / (
            problem.weight**2
        )
        logdet = arb(1)
        for value in self._before:
            logdet *= ball(value)
        total = size * (2 * arb.pi()).log() + logdet.log() + ball(trace)
        for ratio in ratios:
            if ratio > 1:
                total += 1 + ratio.log() - ratio
        return total * ball(-problem.n_rows / 2)

    def loadings(self) -> Array:
        """Return the loadings that suit the noise variances before: ndarray of shape (n_components, n_features)."""

        def attempt(level: Level) -> list[arb_mat] | None:
            found = self._squared_loadings(level, roots=True)
            shape = self._problem.count, len(self._before)
            return None if found is None else [arb_mat(*shape, [entry for row in found[1] for entry in row])]

        return evaluate_pairs(attempt, self._problem.levels)[0]


def _on_noise_grid(value: arb, *, settle: bool) -> Fraction | None:
    """Round to 80 bits what is not below the least noise; None where the ball does not tell."""
    least = ball(LEAST_NOISE)
    if value <= least or (settle and not value > least):
        return LEAST_NOISE
    if not value > least:
        return None
    exponent = magnitude(value) - _GRID_BITS
    scaled = value * arb((1, -exponent)) + arb(0.5)
    integer = (arb(scaled.mid()) if settle else scaled).floor().unique_fmpz()
    return None if integer is None else int(integer) * Fraction(2) ** exponent


def _float(value: arb) -> float:
    found = to_float(value, settle=True)
    assert found is not None
    return found

"""The solve of linear discriminant analysis: a pure function of exact moments of each class, rounded once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite, is_well_conditioned
from sklearn_symfed._eigen import Eigenproblem, Level, evaluate_pairs, flip_signs
from sklearn_symfed._linalg import Balls, Field, enclose, evaluate
from sklearn_symfed._priors import class_proportions
from sklearn_symfed._rounding import (
    as_integers,
    ball,
    ball_column,
    on_grid,
    quotients,
    scale_rows,
    split_columns,
    two_digits,
)
from sklearn_symfed._shrinkage import Shrinkage, covariance_of, pooled, share_of, shrunk
from sklearn_symfed.psr import Moments

__all__ = ["Discriminant", "Parameters"]

Array = np.ndarray[Any, Any]
_RANK_TOL = 1e-4  # scikit-learn's default for its svd solver
_LEAST_EIGENVALUE = 1e-9  # below which float64 does not lead to generalised eigenpairs
_CORRELATION_BITS = 800
_GUARD_BITS = 96  # what a condition of 1e8 and its products may cost, and more


@dataclass(frozen=True)
class Discriminant:
    r"""Solve linear discriminant analysis exactly, and round once.

    Parameters
    ----------
    total : Moments
        Of all rows.
    classes : sequence of Moments
        Of each class.
    priors : tuple of Fraction
        Probability of each class.
    shrinkage : Fraction, "oas" or None, default=None
        Between 0 and 1, or the share that `oas_share` gives for each class.

    Notes
    -----
    With weights :math:`W_k`, means :math:`m_k`, co-moments :math:`C_k` and probabilities :math:`p_k` of the classes,
    the covariance within classes is, as in scikit-learn >= 1.9.1,

    .. math:: S = \sum_k C_k / (W_k W), \quad\text{or with shrinkage } s_k: \quad
              S = \sum_k p_k [(1 - s_k) C_k / W_k^2 + s_k\,\mathrm{tr}(C_k / W_k^2) / d].

    Coefficients are :math:`b_k = S^{-1} (m_k - \bar x)` and intercepts
    :math:`-\tfrac12 (m_k + \bar x)^T b_k + \log p_k`, with :math:`\bar x = \sum_k p_k m_k`; with shrinkage
    :math:`\bar x` is left out of both, which adds the same to all classes [1]_.  Two classes are one difference.

    Where features are collinear within classes (singular values of the scaled features up to 1e-4, as in scikit-learn's
    ``svd`` solver), :math:`S^{-1}` becomes a pseudo-inverse in scaled features, from their eigenpairs.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd ed., 2009, section 4.3.
    """

    total: Moments
    classes: Sequence[Moments]
    priors: tuple[Fraction, ...]
    shrinkage: Shrinkage = None

    # -- exact ingredients -------------------------------------------------------------------------------------------

    @cached_property
    def _means(self) -> Array:
        """Exact class means: ndarray of Fraction of shape (n_classes, n_features)."""
        return np.array([[Fraction(s, m.matrix[0, 0]) for s in m.matrix[0, 1:]] for m in self.classes], dtype=object)

    @cached_property
    def _xbar(self) -> Array:
        """Exact overall mean: ndarray of Fraction of shape (n_features,)."""
        return np.asarray(np.array(self.priors, dtype=object) @ self._means)

    @cached_property
    def _weighted_covariance(self) -> tuple[Array, int]:
        """Covariance within classes by prior probability."""
        parts = [shrunk(covariance_of(m), share_of(m, self.shrinkage)) for m in self.classes]
        return pooled(parts, self.priors)

    @cached_property
    def _within(self) -> tuple[Array, int]:
        """Covariance within classes, as integers and their denominator."""
        if self.shrinkage is not None:
            return self._weighted_covariance
        return pooled([covariance_of(m) for m in self.classes], class_proportions(self.total, self.classes))

    @cached_property
    def _centre(self) -> Array:
        """What coefficients measure class means from: the overall mean, or with shrinkage zero."""
        return self._xbar if self.shrinkage is None or len(self.classes) == 1 else self._xbar * 0

    # -- float64 views -----------------------------------------------------------------------------------------------

    @property
    def means(self) -> Array:
        """Class means: ndarray of shape (n_classes, n_features)."""
        return quotients(*as_integers(self._means))

    @property
    def xbar(self) -> Array:
        """Overall mean by prior probability: ndarray of shape (n_features,)."""
        return quotients(*as_integers(self._xbar))

    @property
    def covariance(self) -> Array:
        """Covariance within classes by prior probability: ndarray of shape (n_features, n_features)."""
        return quotients(*self._weighted_covariance)

    # -- solves ------------------------------------------------------------------------------------------------------

    @cached_property
    def _varying(self) -> list[int]:
        within, _ = self._within
        return [j for j in range(len(within)) if within[j, j]]

    @cached_property
    def _system(self) -> Definite:
        return Definite(self._within[0][np.ix_(self._varying, self._varying)])

    @cached_property
    def _scaled(self) -> Eigenproblem | None:
        """The covariance scaled to unit diagonal, where features are collinear and its inverse is a pseudo-inverse."""
        if self.shrinkage is not None or is_well_conditioned(self._system.integers, _RANK_TOL**2):
            return None
        return Eigenproblem(_correlation(self._system.integers), rank=self._system.flint.rank())

    def parameters(self) -> Parameters:
        """Return the parameters of the decision function."""
        binary = len(self.classes) == 2
        below = self._means[:1] if binary else self._centre
        odds = [self.priors[::-1]] if binary else [(p, Fraction(1)) for p in self.priors]
        upper = self._means[1:] if binary else self._means
        moved = (upper - below)[:, self._varying]
        sums, scale = as_integers((upper + below)[:, self._varying])

        def formula(field: Field, coef: Any) -> list[Any]:
            halves = field.matrix(sums) * coef * field.scalar(Fraction(1, 2 * scale))
            return [coef, field.column([field.log(_ratio(*pair)) - halves[k, k] for k, pair in enumerate(odds)])]

        def pseudo(level: Level) -> list[Any] | None:
            coef = self._apply_inverse(moved, level)
            return None if coef is None else formula(Balls(level.bits), coef)

        if self._scaled is None:
            right, factor = self._right(moved)
            values, rung = evaluate(
                lambda field: formula(field, field.solve(self._system, right) * field.scalar(factor))
            )
        else:
            values, rung = evaluate_pairs(pseudo), "balls"
        coef, intercept = np.zeros((len(moved), len(self._xbar))), values[1][:, 0]
        coef[:, self._varying] = values[0].T
        intercept[[not over for over, _ in odds]] = -np.inf
        intercept[[not under for _, under in odds]] = np.inf
        return Parameters(coef, intercept, rung, self._condition)

    @property
    def _condition(self) -> float:
        if self._scaled is None:
            return self._system.condition
        values = evaluate_pairs(self._kept_values)[0][:, 0]
        return two_digits(values[0] / values[-1]) if len(values) else 1.0

    def _kept_values(self, level: Level) -> list[Any] | None:
        found = self._kept_pairs(level)
        return None if found is None else [ball_column(found[0])]

    def _kept_pairs(self, level: Level) -> tuple[list[Any], Any] | None:
        """Return the eigenvalues that count, and their eigenvectors as columns."""
        assert self._scaled is not None
        pairs = self._scaled.pairs(level, self._scaled.rank)
        if pairs is None:
            return None
        values = [value / (1 << _CORRELATION_BITS) for value in pairs.values]
        kept = sum(float(value.mid()) > _RANK_TOL**2 for value in values)
        return values[:kept], split_columns(pairs.vectors.transpose(), kept)[0]

    def _right(self, moved: Array) -> tuple[Array, Fraction]:
        """Return right-hand sides for `_system` over integers, and the factor of its solution."""
        right, scale = as_integers(moved.T * Fraction(self._within[1]))
        return right, Fraction(1, scale)

    def _apply_inverse(self, moved: Array, level: Level) -> Any:
        """Return ``inv(S) @ moved.T`` in balls; None where eigenpairs that it needs are not separated at this level."""
        right, factor = self._right(moved)
        if self._scaled is None:
            return enclose(lambda field: field.solve(self._system, right), level.bits + _GUARD_BITS) * ball(factor)
        found = self._kept_pairs(level)
        if found is None:
            return None
        values, vectors = found
        roots = [ball(int(value)).rsqrt() for value in self._system.integers.diagonal()]
        scaled = scale_rows(Balls(level.bits).matrix(right) * ball(factor), roots)
        coordinates = scale_rows(vectors.transpose() * scaled, [1 / value for value in values])
        return scale_rows(vectors * coordinates, roots)

    def transformation(self, n_components: int) -> tuple[Array, Array]:
        """Return what spans the differences between classes.

        Parameters
        ----------
        n_components : int

        Returns
        -------
        scalings : ndarray of shape (n_features, rank)
            At most ``min(n_classes - 1, n_features)`` columns; the entry of largest magnitude of each is positive.
        explained_variance_ratio : ndarray of shape (n_components,)
        """
        most = min(len(self.classes) - 1, len(self._xbar))
        if self.shrinkage is None:
            columns, scalings, ratio = self._varying, *self._between_by_means(most)
        else:
            columns, scalings, ratio = list(range(len(self._xbar))), *self._between_by_covariances(most)
        out = np.zeros((len(self._xbar), scalings.shape[1]))
        out[columns] = scalings
        return flip_signs(out.T).T, ratio[:n_components]

    def _between_by_means(self, most: int) -> tuple[Array, Array]:
        r"""Solve the eigenproblem of the class means in the metric of the covariance within classes.

        Notes
        -----
        With :math:`M` the columns :math:`\sqrt{p_k} (m_k - \bar x)` and :math:`u, \lambda` an eigenpair of
        :math:`M^T S^{-1} M`, which is as small as classes are few, :math:`S^{-1} M u / \sqrt\lambda` is one of
        :math:`S^{-1} M M^T`.
        """
        moved = (self._means - self._xbar)[:, self._varying]
        if most == 0 or not moved.any():  # class means that do not differ explain no share: NaN
            return np.zeros((len(self._varying), 0)), np.full(most, np.nan)
        centres, scale = as_integers(moved)

        def attempt(level: Level) -> list[Any] | None:
            solved = self._apply_inverse(moved, level)
            if solved is None:
                return None
            roots = [ball(p).sqrt() for p in self.priors]
            solved = scale_rows(solved.transpose(), roots)
            across = Balls(level.bits).matrix(centres.T) * ball(Fraction(1, scale))
            gram = (solved * across).transpose()
            gram = scale_rows(gram, roots)
            integers, exponent = on_grid(gram, level.bits + _GUARD_BITS // 2)
            trace = ball(sum(int(value) for value in integers.diagonal()))
            pairs = Eigenproblem(integers).pairs(level, most)
            if pairs is None:
                return None
            shares = [value / trace for value in pairs.values]
            rank = sum(float((value / pairs.values[0]).mid()) > _RANK_TOL**2 for value in pairs.values)
            unit = ball(Fraction(2) ** exponent)
            lengths = [(value * unit).rsqrt() for value in pairs.values[:rank]]
            vectors = split_columns(pairs.vectors.transpose(), rank)[0].transpose()
            return [scale_rows(vectors * solved, lengths).transpose(), ball_column(shares)]

        scalings, shares = evaluate_pairs(attempt)
        return scalings, shares[:, 0]

    def _between_by_covariances(self, most: int) -> tuple[Array, Array]:
        """Solve the generalised eigenproblem of the covariances between and within classes."""
        within, scale = self._within
        if not is_well_conditioned(within, _LEAST_EIGENVALUE):
            raise np.linalg.LinAlgError(
                "Got features that are collinear within classes, but expected a covariance that has an inverse: "
                "use a larger shrinkage, or None."
            )
        total, total_scale = shrunk(covariance_of(self.total), share_of(self.total, self.shrinkage))
        problem = Eigenproblem(total * scale - within * total_scale, within)

        def attempt(level: Level) -> list[Any] | None:
            pairs = problem.pairs(level, most)
            if pairs is None:
                return None
            shares = [value / pairs.trace for value in pairs.values]
            return [pairs.vectors.transpose() * ball(scale).sqrt(), ball_column(shares)]

        scalings, shares = evaluate_pairs(attempt)
        return scalings, shares[:, 0]


@dataclass(frozen=True)
class Parameters:
    """Parameters of the decision function, and how they were found.

    Attributes
    ----------
    coef : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
    intercept : ndarray of shape (n_classes,), or (1,) for two classes
    solver : str
        The highest rung of the ladder that was needed: "cholesky", "balls" or "rationals".
    condition : float
        Of the covariance within classes scaled to unit diagonal, to two digits.
    """

    coef: Array
    intercept: Array
    solver: str
    condition: float


def _correlation(comoments: Array) -> Array:
    """Scale a matrix of integers to unit diagonal: integers over ``2**_CORRELATION_BITS``."""
    out = np.empty_like(comoments)
    for i in range(len(out)):
        for j in range(i, len(out)):
            value = comoments[i, j]
            square = ((value * value) << 2 * _CORRELATION_BITS) // (comoments[i, i] * comoments[j, j])
            out[i, j] = out[j, i] = math.isqrt(square) * (-1 if value < 0 else 1)
    return out


def _ratio(over: Fraction, under: Fraction) -> Fraction:
    """Return odds, or 1 where one of the two cannot be: their logarithm is infinite, and not asked of balls."""
    return over / under if over and under else Fraction(1)

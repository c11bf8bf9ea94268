"""The normal equations of linear regression, over the integers of exact moments.

How they are solved, and what a rank is, is `_linalg`'s and `_definite`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite, independent_columns
from sklearn_symfed._linalg import Field, evaluate, highest
from sklearn_symfed._rounding import as_integers, quotients, split_columns
from sklearn_symfed.psr import Moments

__all__ = ["RANK_TOL", "LinearSolution", "NormalEquations", "joined", "least_norm"]

Array = np.ndarray[Any, Any]
RANK_TOL = 1e-6


@dataclass(frozen=True)
class LinearSolution:
    """Parameters of a linear model, and how they were found.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
    rank : int
    solver : str
        The highest rung of the ladder that was needed: "cholesky", "balls" or "rationals".
    condition : float
        Of the system scaled to unit diagonal, to two digits; the largest where there are several.
    """

    coef: Array
    intercept: Array
    rank: int
    solver: str
    condition: float


def joined(parts: Sequence[tuple[list[int], LinearSolution]]) -> LinearSolution:
    """Return the solution for all targets, from solutions for some of them."""
    targets, solutions = zip(*parts, strict=True)
    order = np.argsort(np.concatenate(targets))
    return LinearSolution(
        np.concatenate([each.coef for each in solutions])[order],
        np.concatenate([each.intercept for each in solutions])[order],
        min(each.rank for each in solutions),
        highest([each.solver for each in solutions]),
        max(each.condition for each in solutions),
    )


def least_norm(field: Field, system: Definite, across: Array, right: Array) -> list[Any]:
    r"""Return the smallest solution of a consistent system, on independent columns and, where there are any, on others.

    Parameters
    ----------
    field : Field
    system : Definite
        Of the independent columns, :math:`C_{II}`.
    across : ndarray of object of shape (n_independent, n_others)
        :math:`C_{IJ}`.
    right : ndarray of object of shape (n_independent, k)
        :math:`c_I`.

    Returns
    -------
    list of matrix
        :math:`b_I = (1 + T T^T)^{-1} \beta` with :math:`T = C_{II}^{-1} C_{IJ}` and :math:`\beta = C_{II}^{-1} c_I`;
        :math:`b_J = T^T b_I`.  Where others are fewer, :math:`b_I = \beta - T (1 + T^T T)^{-1} T^T \beta`.
    """
    if not across.shape[1]:
        return [field.solve(system, right)]
    onto, alone = split_columns(field.solve(system, np.hstack([across, right])), across.shape[1])
    back = onto.transpose()
    one = field.matrix(np.identity(min(across.shape), dtype=object))
    if across.shape[1] < across.shape[0]:
        first = alone - onto * field.solve_over(one + back * onto, back * alone)
    else:
        first = field.solve_over(one + onto * back, alone)
    return [first, back * first]


class NormalEquations:
    """Normal equations of some targets, over Python integers."""

    def __init__(self, moments: Moments, n_features: int, targets: list[int], fit_intercept: bool) -> None:
        self.moments = moments
        self.matrix = moments.matrix
        self.unit = moments.unit
        self.n_features = n_features
        self.targets = targets
        self.fit_intercept = fit_intercept
        self.centred = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
        # What does not vary has coefficient zero: exactly, and without asking balls to tell zero from nearly zero.
        # The others go by name, so that no choice among them depends on the order of columns.
        by_name = sorted(range(n_features), key=lambda j: moments.names[j])
        self.varying = [j for j in by_name if self.centred[j, j]]
        self.active = [t for t in range(len(targets)) if self.centred[n_features + targets[t], n_features + targets[t]]]

    def of(self, target: int) -> NormalEquations:
        """Return those of one target."""
        return NormalEquations(self.moments, self.n_features, [target], self.fit_intercept)

    def columns(self) -> list[int]:
        """Return the positions of the targets that vary."""
        return [self.n_features + self.targets[t] for t in self.active]

    def block(self, rows: list[int], columns: list[int]) -> Array:
        return self.centred[np.ix_(rows, columns)]

    def penalised(self, penalty: Fraction, level: Fraction = Fraction(0)) -> tuple[Array, Array, int]:
        """Return left and right sides of the features that vary, by name, and a level, on one scale of integers.

        Parameters
        ----------
        penalty : Fraction
            Added to the diagonal of the co-moments.
        level : Fraction, default=0
            What is to be compared with the right sides.

        Returns
        -------
        left : ndarray of object of shape (n_varying, n_varying)
        right : ndarray of object of shape (n_varying, n_active)
        level : int
        """
        left, right = self.block(self.varying, self.varying), self.block(self.varying, self.columns())
        scale = (self.matrix[0, 0] if self.fit_intercept else 1) / self.unit
        (added, level_), common = as_integers(np.array([penalty * scale, level * scale]))
        if common != 1:
            left, right = left * common, right * common
        left[np.diag_indices(len(left))] += added
        return left, right, level_

    def intercept(self, field: Field, parts: list[tuple[list[int], Any]]) -> Any:
        """Return ``(s_y - s_X @ b) / W``, where `parts` are columns and their coefficients over the field."""
        rest = field.matrix(self.matrix[:1, [1 + j for j in self.columns()]])
        for columns, coef in parts:
            rest -= field.matrix(self.matrix[:1, [1 + j for j in columns]]) * coef
        return rest * field.scalar(Fraction(1, self.matrix[0, 0]))

    def _fill(self, parts: list[tuple[list[int], Array]], intercept: Array | None) -> tuple[Array, Array]:
        coef, out = np.zeros((len(self.targets), self.n_features)), np.zeros(len(self.targets))
        if self.fit_intercept:
            out[:] = quotients(self.matrix[0, [1 + self.n_features + t for t in self.targets]], self.matrix[0, 0])
        for columns, values in parts:
            coef[np.ix_(self.active, columns)] = values.T
        if intercept is not None:
            out[self.active] = intercept
        return coef, out

    def solve_on(self, left: Array, right: Array, chosen: list[int], others: list[int], rank: int) -> LinearSolution:
        """Solve on some of the features that vary, and round: the smallest solution, by `least_norm`.

        Parameters
        ----------
        left, right : ndarray of object
            As from `penalised`.
        chosen, others : list of int
            Independent ones, and those that depend on them.
        rank : int
            Goes into the solution.
        """
        system, across = Definite(left[np.ix_(chosen, chosen)]), left[np.ix_(chosen, others)]
        if not (chosen and self.active):
            return LinearSolution(*self._fill([], None), rank, highest([]), system.condition)
        columns = [[self.varying[i] for i in some] for some in (chosen, others) if some]

        def formula(field: Field) -> list[Any]:
            parts = least_norm(field, system, across, right[chosen])
            with_columns = list(zip(columns, parts, strict=True))
            return [*parts, self.intercept(field, with_columns)] if self.fit_intercept else parts

        values, rung = evaluate(formula)
        parts = list(zip(columns, values, strict=False))
        intercept = values[-1][0] if self.fit_intercept else None
        return LinearSolution(*self._fill(parts, intercept), rank, rung, system.condition)

    def solve_penalised(self, penalty: Fraction) -> LinearSolution:
        left, right, _ = self.penalised(penalty)
        return self.solve_on(left, right, list(range(len(left))), [], self.n_features)

    def solve_least_squares(self, tol: float) -> LinearSolution:
        left, right, _ = self.penalised(Fraction(0))
        independent = independent_columns(left, tol)
        if len(independent) == len(left):
            try:
                return self.solve_on(left, right, independent, [], len(independent))
            except np.linalg.LinAlgError:  # dependent beyond what float64 shows
                independent = independent_columns(left, 0)
        others = [i for i in range(len(left)) if i not in independent]
        return self.solve_on(left, right, independent, others, len(independent))

"""The normal equations of linear regression, over the integers of exact moments.

How they are solved, and what a rank is, is `_linalg`'s and `_definite`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite, independent_columns
from sklearn_symfed._linalg import Field, evaluate, highest
from sklearn_symfed._rounding import quotients, split_columns
from sklearn_symfed.psr import Moments

__all__ = ["RANK_TOL", "LinearSolution", "NormalEquations"]

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


class NormalEquations:
    """Normal equations of some targets, over Python integers."""

    def __init__(self, moments: Moments, n_features: int, targets: list[int], fit_intercept: bool) -> None:
        self.matrix = moments.matrix
        self.unit = moments.unit
        self.n_features = n_features
        self.targets = targets
        self.fit_intercept = fit_intercept
        self.centred = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
        # what does not vary has coefficient zero: exactly, and without asking balls to tell zero from nearly zero
        self.varying = [j for j in range(n_features) if self.centred[j, j]]
        self.active = [t for t in range(len(targets)) if self.centred[n_features + targets[t], n_features + targets[t]]]

    def columns(self) -> list[int]:
        """Return the positions of the targets that vary."""
        return [self.n_features + self.targets[t] for t in self.active]

    def block(self, rows: list[int], columns: list[int]) -> Array:
        return self.centred[np.ix_(rows, columns)]

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

    def _solve(
        self, system: Definite, rank: int, formula: Any, columns: list[list[int]], needed: bool = True
    ) -> LinearSolution:
        """Evaluate a formula for the coefficients of some columns each and, last, the intercept."""
        if not (needed and self.active):
            return LinearSolution(*self._fill([], None), rank, highest([]), system.condition)
        values, rung = evaluate(formula)
        parts = list(zip(columns, values, strict=False))
        intercept = values[-1][0] if self.fit_intercept else None
        return LinearSolution(*self._fill(parts, intercept), rank, rung, system.condition)

    def solve_penalised(self, penalty: Fraction) -> LinearSolution:
        penalty = penalty * (self.matrix[0, 0] if self.fit_intercept else 1) / self.unit
        left, right = self.block(self.varying, self.varying), self.block(self.varying, self.columns())
        if penalty.denominator != 1:
            left, right = left * penalty.denominator, right * penalty.denominator
        for i in range(len(left)):
            left[i, i] += penalty.numerator
        system = Definite(left)

        def formula(field: Field) -> list[Any]:
            coef = field.solve(system, right)
            return [coef, self.intercept(field, [(self.varying, coef)])] if self.fit_intercept else [coef]

        return self._solve(system, self.n_features, formula, [self.varying], bool(self.varying))

    def solve_least_squares(self, tol: float) -> LinearSolution:
        features = self.block(self.varying, self.varying)
        independent = independent_columns(features, tol)
        if len(independent) == len(self.varying):
            try:
                full = self.solve_penalised(Fraction(0))
                return LinearSolution(full.coef, full.intercept, len(independent), full.solver, full.condition)
            except np.linalg.LinAlgError:  # dependent beyond what float64 shows
                independent = independent_columns(features, 0)
        return self._solve_minimum_norm([self.varying[i] for i in independent])

    def _solve_minimum_norm(self, chosen: list[int]) -> LinearSolution:
        others = [j for j in self.varying if j not in chosen]
        system = Definite(self.block(chosen, chosen))
        right = self.block(chosen, [*others, *self.columns()])

        def formula(field: Field) -> list[Any]:
            both = field.solve(system, right)
            across, alone = split_columns(both, len(others))
            one = field.matrix(np.identity(len(chosen), dtype=object))
            on_chosen = field.solve_over(one + across * across.transpose(), alone)
            on_others = across.transpose() * on_chosen
            if not self.fit_intercept:
                return [on_chosen, on_others]
            return [on_chosen, on_others, self.intercept(field, [(chosen, on_chosen), (others, on_others)])]

        return self._solve(system, len(chosen), formula, [chosen, others], bool(chosen))

"""Least squares and ridge regression from exact moments: coefficients, standard errors, singular values, R².

Owns the normal equations, as pure functions from moments.  How they are solved, and what a rank is, is `_linalg`'s and
`_definite`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite, independent_columns
from sklearn_symfed._eigen import roots_of_eigenvalues
from sklearn_symfed._linalg import Field, evaluate, highest
from sklearn_symfed._rounding import as_integers, integer_ratio, quotients, split_columns
from sklearn_symfed.psr import Moments, quotient

__all__ = [
    "RANK_TOL",
    "LinearSolution",
    "StandardErrors",
    "least_squares",
    "r2_score",
    "ridge",
    "singular_values",
    "standard_errors",
]

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


def ridge(moments: Moments, alpha: Any = 1.0, *, n_targets: int = 1, fit_intercept: bool = True) -> LinearSolution:
    r"""Solve ridge regression exactly, and round once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    alpha : float or array-like of shape (n_targets,), default=1.0
        Penalty, for each target or for all; a float is the dyadic rational that it is.
    n_targets : int, default=1
        How many of the last columns are targets.
    fit_intercept : bool, default=True
        The intercept is not penalised.

    Returns
    -------
    LinearSolution
        Its rank is the number of features, unless a penalty is zero and the features are dependent.

    Notes
    -----
    Minimises :math:`\sum_i w_i (y_i - b_0 - x_i b)^2 + \alpha \|b\|^2` [1]_.  With the sum of weights :math:`W`, sums
    :math:`s` and co-moments :math:`C = W X^T W X - s s^T`, of shape (n_features + n_targets,) * 2, the solution of

    .. math:: (C_{XX} + \alpha W) b = C_{Xy}, \quad b_0 = (s_y - s_X^T b) / W

    is a rational function of the statistics, and each of its components is rounded once.  Without intercept the Gram
    matrix takes the place of :math:`C`, and 1 that of :math:`W`.  Where a penalty is zero, the rule of `least_squares`
    holds.

    References
    ----------
    .. [1] A. E. Hoerl, R. W. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", 1970.
    """
    penalties = np.ravel(np.asarray(alpha))
    if len(penalties) not in {1, n_targets}:
        raise ValueError(
            f"Number of targets and number of penalties do not correspond: {n_targets} != {len(penalties)}."
        )
    if not np.all((penalties >= 0) & (penalties < np.inf)):
        raise ValueError(
            "Got a penalty alpha that is negative, NaN or infinite, but expected finite non-negative numbers."
        )
    values = [Fraction(*integer_ratio(value)) for value in np.broadcast_to(penalties, n_targets).tolist()]
    n_features = len(moments.names) - n_targets
    coef, intercept, parts = np.zeros((n_targets, n_features)), np.zeros(n_targets), []
    for value in sorted(set(values)):
        targets = [t for t in range(n_targets) if values[t] == value]
        problem = _NormalEquations(moments, n_features, targets, fit_intercept)
        parts.append(problem.solve_penalised(value) if value else problem.solve_least_squares(RANK_TOL))
        coef[targets], intercept[targets] = parts[-1].coef, parts[-1].intercept
    return LinearSolution(
        coef,
        intercept,
        min(part.rank for part in parts),
        highest([part.solver for part in parts]),
        max(part.condition for part in parts),
    )


def least_squares(
    moments: Moments, *, n_targets: int = 1, fit_intercept: bool = True, tol: float = RANK_TOL
) -> LinearSolution:
    r"""Solve ordinary least squares exactly, and round once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    n_targets : int, default=1
        How many of the last columns are targets.
    fit_intercept : bool, default=True
    tol : float, default=1e-6
        Rank rule of `independent_columns`.

    Returns
    -------
    LinearSolution

    Notes
    -----
    With full rank these are the normal equations [1]_.  Else let :math:`I` be independent columns,
    :math:`T = C_{II}^{-1} C_{IJ}` what expresses the others by them, and :math:`\beta = C_{II}^{-1} c_I` the solution
    on them alone (:math:`C`: co-moments of the features, :math:`c`: with the target).  Among all solutions the one of
    smallest norm is

    .. math:: b_I = (1 + T T^T)^{-1} \beta, \quad b_J = T^T b_I,

    again a rational function of the statistics, whatever columns were chosen.

    References
    ----------
    .. [1] A. Björck, "Numerical Methods for Least Squares Problems", 1996, sections 1.1 and 2.7.
    """
    n_features = len(moments.names) - n_targets
    return _NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept).solve_least_squares(tol)


class _NormalEquations:
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


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of ordinary least squares.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
        Zero without intercept.
    residual : ndarray of shape (n_targets,)
        Standard deviation of the residuals.
    """

    coef: Array
    intercept: Array
    residual: Array


def standard_errors(moments: Moments, rank: int, *, n_targets: int = 1, fit_intercept: bool = True) -> StandardErrors:
    r"""Return standard errors of ordinary least squares, each rounded once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    rank : int
        Number of features that count.
    n_targets : int, default=1
    fit_intercept : bool, default=True

    Returns
    -------
    StandardErrors
        NaN unless the rank is full and rows are more than parameters.

    Notes
    -----
    With the statistics of `ridge`, :math:`p` parameters and the residual degrees of freedom :math:`\nu = n - p`, let
    :math:`q = C_{yy} - C_{yX} C_{XX}^{-1} C_{Xy}`.  Then [1]_

    .. math:: s(b_j) = \sqrt{q (C_{XX}^{-1})_{jj} / \nu}, \quad
              s(b_0) = \sqrt{q (1 + s_X^T C_{XX}^{-1} s_X) / \nu} / W, \quad s = \sqrt{q / (W \nu)},

    square roots of rational numbers.  Weights enter as in weighted least squares, with :math:`n` rows all the same.

    References
    ----------
    .. [1] G. A. F. Seber, A. J. Lee, "Linear Regression Analysis", 2nd ed., 2003, section 3.3.
    """
    n_features = len(moments.names) - n_targets
    problem = _NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept)
    freedom = moments.n_rows - n_features - fit_intercept
    out = StandardErrors(*(np.full(shape, np.nan) for shape in ((n_targets, n_features), n_targets, n_targets)))
    if not fit_intercept:
        out.intercept[:] = 0.0
    if rank < n_features or freedom <= 0:
        return out
    features = list(range(n_features))
    system = Definite(problem.block(features, features))
    one = np.identity(n_features, dtype=object)
    weight = moments.matrix[0, 0] if fit_intercept else 1
    sums = moments.matrix[:1, 1 : 1 + n_features]

    def unexplained(field: Field, coef: Any, targets: list[int]) -> list[Any]:
        across = field.matrix(problem.block(targets, features)) * coef
        total = field.matrix(problem.block(targets, targets))
        per_freedom = field.scalar(Fraction(1, freedom))
        return [(total[k, k] - across[k, k]) * per_freedom for k in range(len(targets))]

    def residual(field: Field, targets: list[int]) -> list[Any]:
        coef = field.solve(system, problem.block(features, targets))
        unit = field.scalar(moments.unit / weight)
        return [field.column([q * unit for q in unexplained(field, coef, targets)])]

    every = [n_features + t for t in range(n_targets)]
    out.residual[:] = evaluate(lambda field: residual(field, every), roots=True)[0][0][:, 0]
    met = out.residual == 0  # to the last digit: neither do coefficients err
    out.coef[met], out.intercept[met] = 0.0, 0.0
    targets = [n_features + t for t in np.flatnonzero(~met).tolist()]

    def errors(field: Field) -> list[Any]:
        both = field.solve(system, np.hstack([one, problem.block(features, targets)]))
        inverse, coef = split_columns(both, n_features)
        left = unexplained(field, coef, targets)
        squares = [field.column([q * inverse[j, j] for j in features]) for q in left]
        if not fit_intercept:
            return squares
        row = field.matrix(sums)
        spread = (row * inverse * row.transpose())[0, 0] + field.scalar(Fraction(1))
        return [*squares, field.column([q * spread * field.scalar(Fraction(1, weight**2)) for q in left])]

    if targets:
        values, _ = evaluate(errors, roots=True)
        out.coef[~met] = np.array(values[: len(targets)])[:, :, 0]
        if fit_intercept:
            out.intercept[~met] = values[-1][:, 0]
    return out


def singular_values(moments: Moments, n_features: int, *, fit_intercept: bool = True) -> Array:
    r"""Return the singular values of the features' rows, weighted by square roots.

    Parameters
    ----------
    moments : Moments
        The features come first.
    n_features : int
    fit_intercept : bool, default=True
        Whether rows are centred.

    Returns
    -------
    ndarray of shape (min(n_rows, n_features),)
        Descending, each rounded once; those beyond the exact rank are zero.

    Notes
    -----
    Square roots of the eigenvalues of the centred or plain Gram matrix.
    """
    gram = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
    unit = moments.unit / (moments.matrix[0, 0] if fit_intercept else 1)
    return roots_of_eigenvalues(gram[:n_features, :n_features], min(moments.n_rows, n_features), unit)


def r2_score(moments: Moments, coef: Array, intercept: Array) -> float:
    r"""Return the coefficient of determination of a linear model on the rows that moments stand for.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)

    Returns
    -------
    float
        Uniform average over the targets, exact until it is rounded once.  As in scikit-learn, a target that does not
        vary scores 1 if it is met and 0 if not; NaN where there are no rows or coefficients are not finite.

    Notes
    -----
    With :math:`v = (-b_0, -b, 1)` and the augmented Gram matrix :math:`M`, the residual sum of squares is
    :math:`v^T M v`; :math:`R^2 = 1 - v^T M v / \sum_i w_i (y_i - \bar y)^2`.
    """
    total = moments.matrix[0, 0]
    if total == 0 or not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        return float("nan")
    n_targets, n_features = coef.shape
    score = Fraction(0)
    for t in range(n_targets):
        column = n_features + t
        vector, scale = as_integers(np.array([-intercept[t], *-coef[t], 1.0]))
        columns = [0, *range(1, 1 + n_features), 1 + column]
        residual = Fraction(int(vector @ moments.matrix[np.ix_(columns, columns)] @ vector), scale * scale)
        varied = moments.comoments[column, column]
        score += (1 - residual * total / varied) if varied else Fraction(int(residual == 0))
    score /= n_targets
    return quotient(score.numerator, score.denominator)

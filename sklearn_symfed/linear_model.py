"""Least squares and ridge regression from exact moments.

Owns the normal equations and R².  How they are solved, and what a rank is, is `_linalg`'s business.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import LinearRegression, Ridge

from sklearn_symfed._base import FromStatistics, Interval, RegressorFromStatistics
from sklearn_symfed._linalg import (
    Field,
    as_integers,
    evaluate,
    independent_columns,
    integer_ratio,
    quotients,
    singular_values,
    solve,
)
from sklearn_symfed.psr import PSR, Moments, quotient

__all__ = ["FederatedLinearRegression", "FederatedRidge", "least_squares", "r2_score", "ridge"]

Array = np.ndarray[Any, Any]
RANK_TOL = 1e-6


# -- solves ----------------------------------------------------------------------------------------------------------


def ridge(
    moments: Moments, alpha: Any = 1.0, *, n_targets: int = 1, fit_intercept: bool = True
) -> tuple[Array, Array, int]:
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
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
    rank : int
        Number of features, unless a penalty is zero and the features are dependent.

    Notes
    -----
    Minimises :math:`\sum_i w_i (y_i - b_0 - x_i b)^2 + \alpha \|b\|^2` [1]_.  With the augmented Gram matrix
    :math:`M = [1, X, y]^T W [1, X, y]` of shape (1 + n_features + n_targets,) * 2 the solution of

    .. math:: (M_{1X,1X} + \alpha\,\mathrm{diag}(0, 1, \dots, 1)) (b_0, b) = M_{1X,y}

    is a rational function of the statistics, and each of its components is rounded once.  Where a penalty is zero, the
    rule of `least_squares` holds.

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
    coef, intercept, rank = np.zeros((n_targets, n_features)), np.zeros(n_targets), n_features
    for value in sorted(set(values)):
        targets = [t for t in range(n_targets) if values[t] == value]
        problem = _NormalEquations(moments, n_features, targets, fit_intercept)
        if value:
            coef[targets], intercept[targets] = problem.solve_penalised(value)
        else:
            coef[targets], intercept[targets], rank = problem.solve_least_squares(RANK_TOL)
    return coef, intercept, rank


def least_squares(
    moments: Moments, *, n_targets: int = 1, fit_intercept: bool = True, tol: float = RANK_TOL
) -> tuple[Array, Array, int, Array]:
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
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
    rank : int
    singular : ndarray of shape (min(n_samples, n_features),)
        Singular values of the (centred) features.

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
    problem = _NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept)
    coef, intercept, rank = problem.solve_least_squares(tol)
    features = moments.select(moments.names[:n_features])
    scatter = features.scatter if fit_intercept else features.gram
    return coef, intercept, rank, singular_values(scatter)[: min(moments.n_rows, n_features)]


class _NormalEquations:
    """Normal equations of some targets, over Python integers."""

    def __init__(self, moments: Moments, n_features: int, targets: list[int], fit_intercept: bool) -> None:
        self.matrix = moments.matrix
        self.exponent = moments.exponent
        self.n_features = n_features
        self.targets = targets
        self.fit_intercept = fit_intercept
        self.centred = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
        # what does not vary has coefficient zero: exactly, and without asking balls to tell zero from nearly zero
        self.varying = [j for j in range(n_features) if self.centred[j, j]]
        self.active = [t for t in range(len(targets)) if self.centred[n_features + targets[t], n_features + targets[t]]]

    def _blank(self) -> tuple[Array, Array]:
        coef, intercept = np.zeros((len(self.targets), self.n_features)), np.zeros(len(self.targets))
        if self.fit_intercept:
            sums = self.matrix[0, [1 + self.n_features + t for t in self.targets]]
            intercept[:] = quotients(sums, self.matrix[0, 0])
        return coef, intercept

    def solve_penalised(self, penalty: Fraction) -> tuple[Array, Array]:
        coef, intercept = self._blank()
        if not (self.varying and self.active):
            return coef, intercept
        first = [0] if self.fit_intercept else []
        rows = [*first, *(1 + j for j in self.varying)]
        columns = [1 + self.n_features + self.targets[t] for t in self.active]
        left, right = self.matrix[np.ix_(rows, rows)], self.matrix[np.ix_(rows, columns)]
        penalty /= Fraction(2) ** self.exponent
        left, right = left * penalty.denominator, right * penalty.denominator
        for i in range(len(first), len(rows)):
            left[i, i] += penalty.numerator
        solution = solve(left, right)
        coef[np.ix_(self.active, self.varying)] = solution[len(first) :].T
        if self.fit_intercept:
            intercept[self.active] = solution[0]
        return coef, intercept

    def solve_least_squares(self, tol: float) -> tuple[Array, Array, int]:
        features = self.centred[np.ix_(self.varying, self.varying)]
        independent = independent_columns(features, tol)
        if len(independent) == len(self.varying):
            try:
                return *self.solve_penalised(Fraction(0)), len(independent)
            except np.linalg.LinAlgError:  # dependent beyond what float64 shows
                independent = independent_columns(features, 0)
        return *self._solve_minimum_norm([self.varying[i] for i in independent]), len(independent)

    def _solve_minimum_norm(self, chosen: list[int]) -> tuple[Array, Array]:
        coef, intercept = self._blank()
        if not (chosen and self.active):
            return coef, intercept
        others = [j for j in self.varying if j not in chosen]
        columns = [self.n_features + self.targets[t] for t in self.active]
        total = self.matrix[0, 0]

        def formula(field: Field) -> list[Any]:
            left = field.matrix(self.centred[np.ix_(chosen, chosen)])
            across = field.solve(left, field.matrix(self.centred[np.ix_(chosen, others)]))
            alone = field.solve(left, field.matrix(self.centred[np.ix_(chosen, columns)]))
            one = field.matrix(np.identity(len(chosen), dtype=object))
            on_chosen = field.solve(one + across * across.transpose(), alone)
            on_others = across.transpose() * on_chosen
            if not self.fit_intercept:
                return [on_chosen, on_others]
            sums = [field.matrix(self.matrix[:1, [1 + j for j in some]]) for some in (chosen, others, columns)]
            rest = sums[2] - sums[0] * on_chosen - sums[1] * on_others
            return [on_chosen, on_others, rest * field.scalar(Fraction(1, total))]

        solution = evaluate(formula)
        coef[np.ix_(self.active, chosen)] = solution[0].T
        coef[np.ix_(self.active, others)] = solution[1].T
        if self.fit_intercept:
            intercept[self.active] = solution[2][0]
        return coef, intercept


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


# -- estimators ------------------------------------------------------------------------------------------------------


class _LinearFromStatistics(RegressorFromStatistics):
    """What the linear regressors share once they are solved."""

    fit_intercept: bool
    coef_: Array
    intercept_: Any

    def _fitted(self, coef: Array, intercept: Array) -> dict[str, Any]:
        """Give the parameters scikit-learn's shapes: one target named by a string is 1-d."""
        single = isinstance(self._target, str)
        return {
            "coef_": coef[0] if single else coef,
            "intercept_": (intercept[0] if single else intercept) if self.fit_intercept else 0.0,
        }

    def _n_targets(self) -> int:
        return 1 if isinstance(self._target, str) else len(self._target)

    def _warn_of_rank(self, rank: int) -> None:
        n_features = len(self._features())
        if rank < n_features:
            msg = (
                f"The {n_features} features have rank {rank}: of all least squares solutions this is the one of "
                "smallest norm, and its coefficients are not to be interpreted one by one."
            )
            warnings.warn(msg, LinAlgWarning, stacklevel=6)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R² on rows or, exactly, on the rows that a PSR stands for.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); with a PSR: str or list of str
            With a PSR the names of its target columns; None means those of the fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Not with a PSR.

        Returns
        -------
        float
            Uniform average over the targets.
        """
        if not isinstance(X, PSR):
            return float(super().score(X, y, sample_weight))  # type: ignore[misc]
        psr, n_targets = self._columns_to_score(X, y), self._n_targets()
        coef = np.reshape(self.coef_, (n_targets, -1))
        return r2_score(psr.moments(), coef, np.broadcast_to(self.intercept_, n_targets))


class FederatedRidge(_LinearFromStatistics, Ridge):
    """Ridge regression from exact statistics.

    Parameters
    ----------
    alpha : float or ndarray of shape (n_targets,), default=1.0
        Penalty on the squared norm of the coefficients, for all targets or for each.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is not penalised.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.Ridge : The same model from rows.

    Notes
    -----
    Coefficients and intercept are correctly rounded: see `ridge` for the formula.

    Examples
    --------
    >>> from sklearn_symfed import PSR, FederatedRidge
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]
    >>> FederatedRidge(alpha=0.5).fit(X, y).coef_
    array([1.6])
    >>> FederatedRidge(alpha=0.5).fit(PSR.from_rows(X, y), "y").coef_
    array([1.6])
    """

    solver = "cholesky"  # no parameters here, but the inherited tags ask for them
    positive = False

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FromStatistics._parameter_constraints,
        "alpha": Ridge._parameter_constraints["alpha"],
        "fit_intercept": ["boolean"],
    }

    def __init__(self, alpha: Any = 1.0, *, fit_intercept: bool = True, prior: PSR | None = None) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        coef, intercept, rank = ridge(
            psr.moments(), self.alpha, n_targets=self._n_targets(), fit_intercept=self.fit_intercept
        )
        self._warn_of_rank(rank)
        return self._fitted(coef, intercept)


class FederatedLinearRegression(_LinearFromStatistics, LinearRegression):
    """Ordinary least squares from exact statistics.

    Parameters
    ----------
    fit_intercept : bool, default=True
    tol : float, default=1e-6
        Rank rule: a feature counts when more than ``tol**2`` of its variance is left unexplained by the features that
        count already, so it is relative to each feature's own scale.  Where some do not count, the solution is that of
        minimum norm, and a `scipy.linalg.LinAlgWarning` says so.  0 takes the exact rank: what float64 rounding left of
        a dependency is then taken for information.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    rank_ : int
        Number of features that count.
    singular_ : ndarray of shape (min(n_samples, n_features),)
        Singular values of the (centred) features, from float64 eigenvalues of their scatter: those below about
        1e-8 times the largest are noise.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.LinearRegression : The same model from rows.

    Notes
    -----
    Coefficients and intercept are correctly rounded: see `least_squares` for the formula.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLinearRegression
    >>> model = FederatedLinearRegression().fit([[1.0, 0.0], [2.0, 1.0], [4.0, 0.0]], [3.0, 6.0, 9.0])
    >>> model.coef_.tolist(), float(model.intercept_)
    ([2.0, 1.0], 1.0)
    """

    positive = False  # no parameter here, but the inherited tags ask for it

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FromStatistics._parameter_constraints,
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, *, fit_intercept: bool = True, tol: float = RANK_TOL, prior: PSR | None = None) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        coef, intercept, rank, singular = least_squares(
            psr.moments(), n_targets=self._n_targets(), fit_intercept=self.fit_intercept, tol=self.tol
        )
        self._warn_of_rank(rank)
        return {**self._fitted(coef, intercept), "rank_": rank, "singular_": singular}

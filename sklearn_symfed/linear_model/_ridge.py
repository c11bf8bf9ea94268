"""Ridge regression."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

from sklearn_symfed._rounding import integer_ratio
from sklearn_symfed.linear_model._active_set import solve_sparse
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.linear_model._normal_equations import RANK_TOL, LinearSolution, NormalEquations, joined
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedRidge", "ridge"]


def ridge(
    moments: Moments, alpha: Any = 1.0, *, n_targets: int = 1, fit_intercept: bool = True, positive: bool = False
) -> LinearSolution:
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
    positive : bool, default=False
        Whether coefficients may not be negative.

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
    holds.  Non-negative coefficients are zero outside of an active set, which is found exactly, and solve these
    equations on it [2]_; of several solutions this is the one of smallest norm.

    References
    ----------
    .. [1] A. E. Hoerl, R. W. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", 1970.
    .. [2] C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23.
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
    n_features, parts = len(moments.names) - n_targets, []
    for value in sorted(set(values)):
        targets = [t for t in range(n_targets) if values[t] == value]
        parts.append((targets, _ridge(moments, n_features, targets, fit_intercept, value, positive)))
    return joined(parts)


def _ridge(
    moments: Moments, n_features: int, targets: list[int], fit_intercept: bool, penalty: Fraction, positive: bool
) -> LinearSolution:
    problem = NormalEquations(moments, n_features, targets, fit_intercept)
    if positive:
        return solve_sparse(problem, penalty, positive=True)
    return problem.solve_penalised(penalty) if penalty else problem.solve_least_squares(RANK_TOL)


class FederatedRidge(LinearFromStatistics, Ridge):
    """Ridge regression from exact statistics.

    Parameters
    ----------
    alpha : float or ndarray of shape (n_targets,), default=1.0
        Penalty on the squared norm of the coefficients, for all targets or for each.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is not penalised.
    positive : bool, default=False
        Whether coefficients may not be negative.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    solver_ : str
        The rung of the ladder that answered: "cholesky" (float64, refined), "balls" or "rationals"; the highest where
        penalties differ.
    condition_ : float
        Condition number of the system scaled to unit diagonal, to two digits; the largest where penalties differ.
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

    solver = "cholesky"  # no parameter here, but the inherited tags ask for it

    def __init__(
        self, alpha: Any = 1.0, *, fit_intercept: bool = True, positive: bool = False, prior: PSR | None = None
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        solution = ridge(
            psr.moments(),
            self.alpha,
            n_targets=self._n_targets(),
            fit_intercept=self.fit_intercept,
            positive=self.positive,
        )
        self._warn_of_rank(solution.rank, or_less=self.positive)
        return self._fitted(solution)

    def _plain_attributes(self) -> dict[str, Any]:
        return {"solver_": self.solver}  # scikit-learn's own name for what solved normal equations

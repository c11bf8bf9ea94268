"""The Lasso and the elastic net."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.linear_model import ElasticNet, Lasso
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._rounding import integer_ratio
from sklearn_symfed.linear_model._active_set import solve_sparse
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.linear_model._normal_equations import RANK_TOL, LinearSolution, NormalEquations
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedElasticNet", "FederatedLasso", "elastic_net"]


def elastic_net(
    moments: Moments,
    alpha: float = 1.0,
    l1_ratio: float = 0.5,
    *,
    n_targets: int = 1,
    fit_intercept: bool = True,
    positive: bool = False,
) -> LinearSolution:
    r"""Solve the elastic net exactly, and round once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    alpha : float, default=1.0
        Penalty; a float is the dyadic rational that it is.
    l1_ratio : float, default=0.5
        Share of the sum of absolute values; 1 gives the Lasso.
    n_targets : int, default=1
        How many of the last columns are targets; each is solved for itself.
    fit_intercept : bool, default=True
        The intercept is not penalised.
    positive : bool, default=False
        Whether coefficients may not be negative.

    Returns
    -------
    LinearSolution
        Its rank is the number of features less those without which there would be one solution only.

    Notes
    -----
    Minimises, with :math:`W = \sum_i w_i`,

    .. math:: \frac{1}{2 W} \sum_i w_i (y_i - b_0 - x_i b)^2
              + \alpha \rho \|b\|_1 + \frac{\alpha (1 - \rho)}{2} \|b\|^2

    with :math:`\rho` for `l1_ratio` [1]_ [2]_.  On the features :math:`A` whose coefficients are not zero, and their
    signs :math:`s`, the solution is that of linear equations with the weighted co-moments :math:`C` of `ridge`,

    .. math:: (C_{AA} + \alpha (1 - \rho) W^2) b_A = C_{Ay} - \alpha \rho W^2 s, \quad b_0 = (s_y - s_X^T b) / W,

    a rational function of the statistics, and each of its components is rounded once; `minimum` finds :math:`A` and
    proves it.  Of several solutions this is the one of smallest norm, the limit for :math:`\rho \to 1`: equal columns
    share a coefficient.  With no penalty on absolute values it is that of `ridge`, and with none at all that of
    `least_squares`.

    References
    ----------
    .. [1] R. Tibshirani, "Regression Shrinkage and Selection via the Lasso", JRSS B 58, 1996.
    .. [2] H. Zou, T. Hastie, "Regularization and Variable Selection via the Elastic Net", JRSS B 67, 2005.
    """
    total, ratio = Fraction(*integer_ratio(alpha)), Fraction(*integer_ratio(l1_ratio))
    total *= moments.matrix[0, 0] * moments.unit
    level, penalty = total * ratio, total * (1 - ratio)
    n_features = len(moments.names) - n_targets
    equations = NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept)
    if level or positive:
        return solve_sparse(equations, penalty, level, positive=positive)
    return equations.solve_penalised(penalty) if penalty else equations.solve_least_squares(RANK_TOL)


class FederatedElasticNet(LinearFromStatistics, ElasticNet):
    """Elastic net from exact statistics.

    Parameters
    ----------
    alpha : float, default=1.0
        Penalty; 0 gives least squares.
    l1_ratio : float, default=0.5
        Share of the penalty that is on the sum of absolute values of the coefficients, between 0 and 1; the rest is on
        half their squared norm.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is not penalised.
    positive : bool, default=False
        Whether coefficients may not be negative.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Zeros are exact.
    sparse_coef_ : sparse matrix of shape (1, n_features) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    dual_gap_ : float or ndarray of shape (n_targets,)
        Zero: the minimum is proven, not approached.
    n_iter_ : int or list of int
        One for each target, for the same reason.
    solver_ : str
        The rung of the ladder that answered: "cholesky" (float64, refined), "balls" or "rationals"; the highest of
        all targets.
    condition_ : float
        Condition number of the system of the features that count, scaled to unit diagonal, to two digits; the largest
        of all targets.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.ElasticNet : The same model from rows.
    FederatedLasso : Without the squared norm.

    Notes
    -----
    Coefficients and intercept are the correctly rounded minimum: see `elastic_net` for the formula.  So there is no
    tolerance, number of iterations or order of coordinates to set: scikit-learn's `tol`, `max_iter`, `selection`,
    `random_state`, `warm_start`, `precompute` and `copy_X` are not offered.  Weights mean what they mean there: only
    their proportions count.

    Where several coefficients are minima (columns that are equal, say, without squared norm), scikit-learn's depend on
    the order of columns; these are the smallest, and a `scipy.linalg.LinAlgWarning` says so.

    Examples
    --------
    >>> from sklearn_symfed import FederatedElasticNet
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0]], [0.0, 2.0, 4.0, 6.0]
    >>> FederatedElasticNet(alpha=0.5).fit(X, y).coef_
    array([1.5, 0. ])
    """

    alpha: float
    l1_ratio: float
    positive: bool

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        positive: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        n_targets = self._n_targets()
        solution = elastic_net(
            psr.moments(),
            self.alpha,
            self.l1_ratio,
            n_targets=n_targets,
            fit_intercept=self.fit_intercept,
            positive=self.positive,
        )
        self._warn_of_rank(solution.rank, or_less=bool(self.alpha or self.positive))
        one = {"coef_": solution.coef[0]} if n_targets == 1 else {}  # no axis here, even where it has one in y
        return {**self._fitted(solution), **one}

    def _plain_attributes(self) -> dict[str, Any]:
        return {"dual_gap_": self.dual_gap_, "n_iter_": self.n_iter_}

    @property
    def dual_gap_(self) -> Any:
        """Zero: float or ndarray of shape (n_targets,)."""
        check_is_fitted(self)
        return 0.0 if self._n_targets() == 1 else np.zeros(self._n_targets())

    @property
    def n_iter_(self) -> Any:
        """One: int or list of int."""
        check_is_fitted(self)
        return 1 if self._n_targets() == 1 else [1] * self._n_targets()


class FederatedLasso(FederatedElasticNet, Lasso):
    """Lasso from exact statistics.

    Parameters
    ----------
    alpha : float, default=1.0
        Penalty on the sum of absolute values of the coefficients; 0 gives least squares.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is not penalised.
    positive : bool, default=False
        Whether coefficients may not be negative.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Zeros are exact.
    sparse_coef_ : sparse matrix of shape (1, n_features) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    dual_gap_, n_iter_, solver_, condition_ : see `FederatedElasticNet`
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.Lasso : The same model from rows.
    FederatedElasticNet : With a penalty on the squared norm, too; what its notes say holds here.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLasso
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [3.0, 1.0]], [0.0, 2.0, 4.0, 6.0]
    >>> FederatedLasso(alpha=0.25).fit(X, y).coef_
    array([1.8, 0. ])
    """

    l1_ratio = 1.0

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, positive: bool = False, prior: PSR | None = None
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.positive = positive
        self.prior = prior

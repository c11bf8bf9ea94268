"""Ordinary least squares."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed.linear_model._active_set import solve_sparse
from sklearn_symfed.linear_model._inference import StandardErrors, singular_values, standard_errors
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.linear_model._normal_equations import RANK_TOL, LinearSolution, NormalEquations
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedLinearRegression", "least_squares"]

Array = np.ndarray[Any, Any]


def least_squares(
    moments: Moments,
    *,
    n_targets: int = 1,
    fit_intercept: bool = True,
    tol: float = RANK_TOL,
    positive: bool = False,
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
    positive : bool, default=False
        Whether coefficients may not be negative; `tol` has no part in it then.

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

    again a rational function of the statistics, whatever columns were chosen.  Non-negative coefficients are zero
    outside of an active set, which is found exactly, and solve these equations on it [2]_.

    References
    ----------
    .. [1] A. Björck, "Numerical Methods for Least Squares Problems", 1996, sections 1.1 and 2.7.
    .. [2] C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23.
    """
    n_features = len(moments.names) - n_targets
    equations = NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept)
    return solve_sparse(equations, Fraction(0), positive=True) if positive else equations.solve_least_squares(tol)


class FederatedLinearRegression(LinearFromStatistics, LinearRegression):
    """Ordinary least squares from exact statistics.

    Parameters
    ----------
    fit_intercept : bool, default=True
    tol : float, default=1e-6
        Rank rule: a feature counts when more than ``tol**2`` of its variance is left unexplained by the features that
        count already, so it is relative to each feature's own scale.  Where some do not count, the solution is that of
        minimum norm, and a `scipy.linalg.LinAlgWarning` says so.  0 takes the exact rank: what float64 rounding left of
        a dependency is then taken for information, as it is with `positive`.
    positive : bool, default=False
        Whether coefficients may not be negative.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    rank_ : int
        Number of features that count; not with `positive`.
    singular_ : ndarray of shape (min(n_samples, n_features),)
        Singular values of the (centred) features; those beyond the exact rank are zero.  Found when asked for.
    coef_stderr_ : ndarray of the shape of ``coef_``
        Standard errors; NaN unless all features count and rows are more than parameters, and with `positive`.  Found
        when asked for, as the next two.
    intercept_stderr_ : float or ndarray of shape (n_targets,)
    residual_std_ : float or ndarray of shape (n_targets,)
        Standard deviation of the residuals.
    dof_residual_ : int
        Number of rows less parameters that count; not with `positive`.
    solver_ : str
        The rung of the ladder that answered: "cholesky" (float64, refined), "balls" or "rationals".
    condition_ : float
        Condition number of the system scaled to unit diagonal, to two digits; of the columns that count.
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
    Coefficients and intercept are correctly rounded: see `least_squares` for the formula, and `standard_errors` and
    `singular_values` for theirs, whose values are correctly rounded, too.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLinearRegression
    >>> model = FederatedLinearRegression().fit([[1.0, 0.0], [2.0, 1.0], [4.0, 0.0]], [3.0, 6.0, 9.0])
    >>> model.coef_.tolist(), float(model.intercept_)
    ([2.0, 1.0], 1.0)
    """

    _own_attributes: ClassVar[tuple[str, ...]] = (*LinearFromStatistics._own_attributes, "_errors", "_singular")
    rank_: int
    _errors: StandardErrors | None
    _singular: Array | None

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        tol: float = RANK_TOL,
        positive: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.positive = positive
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        solution = least_squares(
            psr.moments(),
            n_targets=self._n_targets(),
            fit_intercept=self.fit_intercept,
            tol=self.tol,
            positive=self.positive,
        )
        self._warn_of_rank(solution.rank, or_less=self.positive)
        rank = {} if self.positive else {"rank_": solution.rank}
        return {**self._fitted(solution), **rank, "_errors": None, "_singular": None}

    def _plain_attributes(self) -> dict[str, Any]:
        return {} if self.positive else {"rank_": self.rank_, "singular_": self.singular_}

    # -- what takes longer than the fit, when it is asked for ----------------------------------------------------------

    @property
    def dof_residual_(self) -> int:
        """Number of rows less parameters that count."""
        check_is_fitted(self)
        return int(self.psr_.n_rows - self.rank_ - self.fit_intercept)

    @property
    def coef_stderr_(self) -> Array:
        """Standard errors of the coefficients: ndarray of the shape of ``coef_``."""
        return np.asarray(self._shaped(self._standard_errors().coef))

    @property
    def intercept_stderr_(self) -> Any:
        """Standard error of the intercept: float or ndarray of shape (n_targets,)."""
        return self._shaped(self._standard_errors().intercept)

    @property
    def residual_std_(self) -> Any:
        """Standard deviation of the residuals: float or ndarray of shape (n_targets,)."""
        return self._shaped(self._standard_errors().residual)

    @property
    def singular_(self) -> Array:
        """Singular values of the (centred) features: ndarray of shape (min(n_samples, n_features),)."""
        check_is_fitted(self)
        if self._singular is None:
            self._singular = singular_values(
                self.psr_.moments(), len(self._features()), fit_intercept=self.fit_intercept
            )
        return self._singular

    def _standard_errors(self) -> StandardErrors:
        check_is_fitted(self)
        if self._errors is None:
            rank = 0 if self.positive else self.rank_
            self._errors = standard_errors(
                self.psr_.moments(), rank, n_targets=self._n_targets(), fit_intercept=self.fit_intercept
            )
        return self._errors

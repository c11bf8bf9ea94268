"""Linear regression from rows or their statistics; the solves are `_least_squares`'s."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import FromStatistics, Interval, RegressorFromStatistics
from sklearn_symfed._input import readable_target
from sklearn_symfed._least_squares import (
    RANK_TOL,
    LinearSolution,
    StandardErrors,
    least_squares,
    r2_score,
    ridge,
    singular_values,
    standard_errors,
)
from sklearn_symfed.psr import PSR

__all__ = ["FederatedLinearRegression", "FederatedRidge"]

Array = np.ndarray[Any, Any]


class _LinearFromStatistics(RegressorFromStatistics):
    """What the linear regressors share once they are solved."""

    fit_intercept: bool
    coef_: Array
    intercept_: Any

    def _fitted(self, solution: LinearSolution) -> dict[str, Any]:
        return {
            "coef_": self._shaped(solution.coef),
            "intercept_": self._shaped(solution.intercept) if self.fit_intercept else 0.0,
            "solver_": solution.solver,
            "condition_": solution.condition,
        }

    def _shaped(self, values: Array) -> Any:
        """Give parameters scikit-learn's shapes: one target named by a string has no axis of its own."""
        return values[0] if isinstance(self._target, str) else values

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
            return float(super().score(X, readable_target(y), sample_weight))  # type: ignore[misc]
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
        solution = ridge(psr.moments(), self.alpha, n_targets=self._n_targets(), fit_intercept=self.fit_intercept)
        self._warn_of_rank(solution.rank)
        return self._fitted(solution)

    def _plain_attributes(self) -> dict[str, Any]:
        return {"solver_": self.solver}  # scikit-learn's own name for what solved normal equations


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
        Singular values of the (centred) features; those beyond the exact rank are zero.  Found when asked for.
    coef_stderr_ : ndarray of the shape of ``coef_``
        Standard errors; NaN unless all features count and rows are more than parameters.  Found when asked for, as the
        next two.
    intercept_stderr_ : float or ndarray of shape (n_targets,)
    residual_std_ : float or ndarray of shape (n_targets,)
        Standard deviation of the residuals.
    dof_residual_ : int
        Number of rows less parameters that count.
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

    positive = False  # no parameter here, but the inherited tags ask for it
    rank_: int
    _errors: StandardErrors | None
    _singular: Array | None

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
        solution = least_squares(
            psr.moments(), n_targets=self._n_targets(), fit_intercept=self.fit_intercept, tol=self.tol
        )
        self._warn_of_rank(solution.rank)
        return {**self._fitted(solution), "rank_": solution.rank, "_errors": None, "_singular": None}

    def _plain_attributes(self) -> dict[str, Any]:
        return {"rank_": self.rank_, "singular_": self.singular_}

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
            self._errors = standard_errors(
                self.psr_.moments(), self.rank_, n_targets=self._n_targets(), fit_intercept=self.fit_intercept
            )
        return self._errors

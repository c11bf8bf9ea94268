"""Bayesian ridge regression: what follows from statistics and the two precisions that `_evidence` finds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.linear_model import BayesianRidge

from sklearn_symfed._definite import Definite
from sklearn_symfed._input import warn_of_column
from sklearn_symfed._linalg import evaluate
from sklearn_symfed._rounding import as_integers, integer_ratio, quotients
from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.linear_model._evidence import Priors, evidence
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.linear_model._normal_equations import NormalEquations
from sklearn_symfed.psr import PSR, Moments, column_at, plain_array, quotient

__all__ = ["FederatedBayesianRidge", "posterior_covariance"]

Array = np.ndarray[Any, Any]


def posterior_covariance(moments: Moments, alpha: Fraction, lambda_: Fraction, *, fit_intercept: bool = True) -> Array:
    r"""Return the covariance of the coefficients, :math:`(\lambda + \alpha G)^{-1}`, each entry rounded once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the target.
    alpha, lambda_ : Fraction
    fit_intercept : bool, default=True

    Returns
    -------
    ndarray of shape (n_features, n_features)
    """
    gram = (moments.comoments if fit_intercept else moments.matrix[1:, 1:])[:-1, :-1]
    scale = alpha * moments.unit / (moments.matrix[0, 0] if fit_intercept else 1)
    (factor, ridge), common = as_integers(np.array([scale, lambda_], dtype=object))
    varying = [j for j in range(len(gram)) if gram[j, j]]
    out = np.diag(np.full(len(gram), quotient(lambda_.denominator, lambda_.numerator)))
    if varying:
        one = np.identity(len(varying), dtype=object)
        system = Definite(gram[np.ix_(varying, varying)] * factor + one * ridge)
        (inverse,), _ = evaluate(lambda field: [field.solve(system, one) * field.scalar(Fraction(common))])
        out[np.ix_(varying, varying)] = inverse
    return out


class FederatedBayesianRidge(LinearFromStatistics, BayesianRidge):
    """Bayesian ridge regression from exact statistics.

    Parameters
    ----------
    max_iter : int, default=300
    tol : float, default=1e-3
        The iteration ends when the coefficients move by less, in sum; it may be as small as 1e-25.
    alpha_1, alpha_2 : float, default=1e-6
        Shape and rate of the Gamma prior of the precision of the noise.
    lambda_1, lambda_2 : float, default=1e-6
        Shape and rate of the Gamma prior of the precision of the coefficients.
    alpha_init : float, default=None
        Where the precision of the noise begins; None means one over the variance of the target.
    lambda_init : float, default=None
        Where the precision of the coefficients begins; None means 1.
    compute_score : bool, default=False
        Whether to find the logarithm of the evidence at each step.
    fit_intercept : bool, default=True
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Mean of the coefficients.
    intercept_ : float
    alpha_ : float
        Precision of the noise.
    lambda_ : float
        Precision of the coefficients.
    sigma_ : ndarray of shape (n_features, n_features)
        Covariance of the coefficients.
    scores_ : ndarray of shape (n_iter_ + 1,), or empty list
        Logarithm of the evidence before each step and at the end; NaN at a precision of zero.
    n_iter_ : int
    X_offset_ : ndarray of shape (n_features,)
        Means of the features; zeros without intercept.
    X_scale_ : ndarray of shape (n_features,)
        Ones.
    solver_ : str
        The rung of the ladder that found the coefficients: "cholesky" (float64, refined), "balls" or "rationals".
    condition_ : float
        Condition number of their system scaled to unit diagonal, to two digits.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.BayesianRidge : The same model from rows.

    Notes
    -----
    The precisions are those of scikit-learn's iteration with exact arithmetic in place of float64, known to 100 bits:
    see `evidence`.  Coefficients, intercept and `sigma_` are then rational functions of the statistics, correctly
    rounded.  So `n_iter_` is scikit-learn's, and numbers differ from its own by rounding alone; but the last of
    `scores_` is that of the last coefficients, for which scikit-learn 1.9 takes those of the step before.

    The iteration is kept, rather than its fixed point found, because it is what defines the model: where the evidence
    has several maxima, or rises for ever, as it may without priors, `max_iter`, `tol` and the start decide which
    precisions it is.  `tol` has the unit of the coefficients, and its default stops early; who wants the fixed point
    itself sets ``tol=1e-20``, which float64 could not reach.

    Examples
    --------
    >>> from sklearn_symfed import FederatedBayesianRidge
    >>> model = FederatedBayesianRidge().fit([[0, 0], [1, 1], [2, 2]], [0, 1, 2])
    >>> model.predict([[1, 1]])
    array([1.])
    """

    def __init__(
        self,
        *,
        max_iter: int = 300,
        tol: float = 1e-3,
        alpha_1: float = 1e-6,
        alpha_2: float = 1e-6,
        lambda_1: float = 1e-6,
        lambda_2: float = 1e-6,
        alpha_init: float | None = None,
        lambda_init: float | None = None,
        compute_score: bool = False,
        fit_intercept: bool = True,
        prior: PSR | None = None,
    ) -> None:
        self.max_iter = max_iter
        self.tol = tol
        self.alpha_1 = alpha_1
        self.alpha_2 = alpha_2
        self.lambda_1 = lambda_1
        self.lambda_2 = lambda_2
        self.alpha_init = alpha_init
        self.lambda_init = lambda_init
        self.compute_score = compute_score
        self.fit_intercept = fit_intercept
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments = psr.moments()
        priors = (self.alpha_1, self.alpha_2, self.lambda_1, self.lambda_2)
        found = evidence(
            moments,
            Priors(*(Fraction(*integer_ratio(value)) for value in priors)),
            start=(self.alpha_init, self.lambda_init),
            max_iter=self.max_iter,
            tol=self.tol,
            with_scores=self.compute_score,
            fit_intercept=self.fit_intercept,
        )
        size = len(moments.names) - 1
        equations = NormalEquations(moments, size, [0], self.fit_intercept)
        means = quotients(moments.matrix[0, 1:-1], moments.matrix[0, 0]) if self.fit_intercept else np.zeros(size)
        return {
            **self._fitted(equations.solve_penalised(found.lambda_ / found.alpha)),
            "alpha_": quotient(found.alpha.numerator, found.alpha.denominator),
            "lambda_": quotient(found.lambda_.numerator, found.lambda_.denominator),
            "sigma_": posterior_covariance(moments, found.alpha, found.lambda_, fit_intercept=self.fit_intercept),
            "scores_": np.array(found.scores) if self.compute_score else [],
            "n_iter_": found.n_iter,
            "X_offset_": means,
            "X_scale_": np.ones(size),
        }

    # -- one target --------------------------------------------------------------------------------------------------

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        features, targets = super()._columns_of(psr, y)
        if isinstance(targets, str):
            return features, targets
        if len(targets) != 1:
            raise SchemaError(f"Got {len(targets)} targets, but expected one.")
        return features, targets[0]

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        self._require_target(y)
        warn_of_column(y)
        y = y if hasattr(y, "to_numpy") else plain_array(y, "y")
        if np.ndim(y) == 2:
            if np.shape(y)[1] != 1:
                raise DataError(f"Got y of shape {np.shape(y)}, but expected one target: y should be a 1d array.")
            y = column_at(y, 0) if hasattr(y, "columns") else y[:, 0]
        return super()._learn_rows(X, y, weight)

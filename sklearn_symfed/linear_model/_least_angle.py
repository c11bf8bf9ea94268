"""Least angle regression, and the Lasso by its path."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lars, LassoLars

from sklearn_symfed._linalg import Field, evaluate
from sklearn_symfed._rounding import integer_ratio
from sklearn_symfed.linear_model._lars_path import Knot, Problem, least_angle_path
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedLars", "FederatedLassoLars", "LeastAngleSolution", "least_angle"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class LeastAngleSolution:
    """Knots of the path of one target.

    Attributes
    ----------
    alphas : ndarray of shape (n_knots,)
    coefs : ndarray of shape (n_features, n_knots)
    intercept : float
        At the last knot.
    active : list of int
        Features that are active at the end, in order of entry.
    passed : list of int
        Features that depend on others with which they would have entered.
    n_iter : int
        Number of steps.
    """

    alphas: Array
    coefs: Array
    intercept: float
    active: list[int]
    passed: list[int]
    n_iter: int


def least_angle(
    moments: Moments,
    target: int,
    features: list[int],
    *,
    lasso: bool,
    most: int,
    alpha: float = 0.0,
    positive: bool = False,
    fit_intercept: bool = True,
    whole: bool = True,
) -> LeastAngleSolution:
    r"""Return the path of least angle regression, or of the Lasso, with every number rounded once.

    Parameters
    ----------
    moments : Moments
    target : int
        Position of its column.
    features : list of int
        Positions of theirs.
    lasso : bool
        Whether a coefficient stops at zero.
    most : int
        How many steps to take at most.
    alpha : float, default=0.0
        Where the path ends.
    positive : bool, default=False
        Whether coefficients of the Lasso may not be negative.
    fit_intercept : bool, default=True
    whole : bool, default=True
        Whether to return all knots, or the last only.

    Returns
    -------
    LeastAngleSolution

    Notes
    -----
    The penalty of `least_angle_path` is :math:`\alpha W` in terms of centred statistics over the sum of weights
    :math:`W`, so that the knots of the Lasso minimise
    :math:`\frac{1}{2 W} \sum_i w_i (y_i - b_0 - x_i b)^2 + \alpha \|b\|_1`.  Ties go to the first name.
    """
    weight = moments.matrix[0, 0]
    centred, divisor = (moments.comoments, weight**2) if fit_intercept else (moments.matrix[1:, 1:], weight)
    varying = sorted((j for j in features if centred[j, j]), key=lambda j: moments.names[j])
    problem = Problem(centred[np.ix_(varying, varying)], centred[varying, target], lasso, positive)
    path = least_angle_path(problem, Fraction(*integer_ratio(alpha)) * divisor, most)
    sums = [moments.matrix[0, 1 + j] for j in [*varying, target]] if fit_intercept else None
    knots = path.knots if whole else path.knots[-1:]
    alphas, coefs = np.empty(len(knots)), np.zeros((len(features), len(knots)))
    where = [features.index(j) for j in varying]
    for k, knot in enumerate(knots):
        alphas[k], coefs[_at(where, knot.features), k], intercept = _rounded(knot, Fraction(1, divisor), sums, weight)
    return LeastAngleSolution(
        alphas, coefs, intercept, _at(where, path.active), _at(where, path.passed), len(path.knots) - 1
    )


def _at(where: list[int], positions: list[int]) -> list[int]:
    return [where[j] for j in positions]


def _rounded(knot: Knot, unit: Fraction, sums: list[int] | None, weight: int) -> tuple[float, Array, float]:
    """Return the penalty of a knot, the coefficients of its features, and its intercept."""

    def formula(field: Field) -> list[Any]:
        coef, scalars = knot.coef(field), [knot.penalty(field) * field.scalar(unit)]
        if sums is not None:
            means = [field.scalar(Fraction(sums[j], weight)) for j in [*knot.features, -1]]
            scalars.append(means.pop() - sum(b * mean for b, mean in zip(coef, means, strict=True)))
        return [field.column([*scalars, *coef])]

    (values,), _ = evaluate(formula)
    first = 1 if sums is None else 2
    return float(values[0, 0]), values[first:, 0], 0.0 if sums is None else float(values[1, 0])


class _PathFromStatistics(LinearFromStatistics):
    """What the two share: one path for each target, and scikit-learn's attributes made of them."""

    fit_path: bool

    def _paths(self, psr: PSR, **options: Any) -> dict[str, Any]:
        moments, n_targets = psr.moments(), self._n_targets()
        features = list(range(len(moments.names) - n_targets))
        found = [
            least_angle(
                moments, len(features) + t, features, fit_intercept=self.fit_intercept, whole=self.fit_path, **options
            )
            for t in range(n_targets)
        ]
        self._warn_of_passed(sorted({moments.names[j] for each in found for j in each.passed}))
        coef = np.array([each.coefs[:, -1] for each in found])
        fitted: dict[str, Any] = {
            "alphas_": [each.alphas for each in found],
            "n_iter_": [each.n_iter for each in found],
            "coef_": coef,
        }
        if self.fit_path:
            fitted["active_"] = [each.active for each in found]
            fitted["coef_path_"] = [each.coefs for each in found]
        fitted = {name: value[0] for name, value in fitted.items()} if n_targets == 1 else fitted
        return {**self._parameters(coef, np.array([each.intercept for each in found])), **fitted}

    def _warn_of_passed(self, names: list[str]) -> None:
        if names:
            msg = f"Got features that depend on others with which they would enter the path, so they do not: {names}."
            warnings.warn(msg, ConvergenceWarning, stacklevel=7)


class FederatedLars(_PathFromStatistics, Lars):
    """Least angle regression from exact statistics.

    Parameters
    ----------
    fit_intercept : bool, default=True
    n_nonzero_coefs : int, default=500
        How many features may enter.
    fit_path : bool, default=True
        Whether to keep the path; its last point takes as long to find.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    alphas_ : ndarray of shape (n_iter_ + 1,), or list of n_targets such arrays
        At each knot, the largest absolute covariance of a feature with the residuals; the last only, without
        `fit_path`.
    active_ : list of int, or list of n_targets such lists
        Features in order of entry.  Not without `fit_path`.
    coef_path_ : ndarray of shape (n_features, n_iter_ + 1), or list of n_targets such arrays
        Coefficients at each knot.  Not without `fit_path`.
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    n_iter_ : int, or list of int
        Number of steps.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.Lars : The same model from rows, where no coefficient changes its sign.
    FederatedLassoLars : Its modification that is the Lasso.

    Notes
    -----
    Knots, coefficients and intercept are rational functions of the statistics, correctly rounded; the order of entry is
    decided exactly: see `least_angle`.  There are neither `eps` nor `jitter`, because there is no rounding to hide:

    - Features that tie enter one after another, by name, at the same penalty; those that depend on the others are
      passed over with a `ConvergenceWarning`.  scikit-learn lets one of them enter too late.
    - Where a coefficient passes through zero, the path goes on, as in the algorithm's definition [1]_: the sign is that
      of the feature's correlation.  scikit-learn 1.9 turns it with the coefficient; its path is another one from there
      on, on which active features are no longer equally correlated, and does not end at least squares.
    - The path ends at the penalty zero; scikit-learn's ends below 1e-7, whatever the unit of the target.

    References
    ----------
    .. [1] B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32, 2004.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLars
    >>> model = FederatedLars(n_nonzero_coefs=1).fit([[-1, 1], [0, 0], [1, 1]], [-1, 0, -1])
    >>> model.coef_.tolist(), model.active_
    ([0.0, -1.0], [1])
    """

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        n_nonzero_coefs: int = 500,
        fit_path: bool = True,
        prior: PSR | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.n_nonzero_coefs = n_nonzero_coefs
        self.fit_path = fit_path
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        return self._paths(psr, lasso=False, most=self.n_nonzero_coefs)


class FederatedLassoLars(_PathFromStatistics, LassoLars):
    """The Lasso from exact statistics, by following its path.

    Parameters
    ----------
    alpha : float, default=1.0
        Penalty on the sum of absolute coefficients.
    fit_intercept : bool, default=True
    max_iter : int, default=500
        How many steps to take at most.
    fit_path : bool, default=True
        Whether to keep the path; its last point takes as long to find.
    positive : bool, default=False
        Whether coefficients may not be negative.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    alphas_ : ndarray of shape (n_iter_ + 1,), or list of n_targets such arrays
        Penalties at which the path bends, down to `alpha`; the last only, without `fit_path`.
    active_ : list of int, or list of n_targets such lists
        Features that are active at the end, in order of entry.  Not without `fit_path`.
    coef_path_ : ndarray of shape (n_features, n_iter_ + 1), or list of n_targets such arrays
        Solutions of the Lasso at these penalties; between them it is linear.  Not without `fit_path`.
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    n_iter_ : int, or list of int
        Number of steps.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.LassoLars : The same model from rows.
    FederatedLasso : The same solution, found by coordinate descent and certified.

    Notes
    -----
    Knots, coefficients and intercept are rational functions of the statistics, correctly rounded; which features are
    active is decided exactly: see `least_angle`.  There are neither `eps` nor `jitter`.  Whatever happens at one
    penalty is one knot, and ties go to the first name; of features that are equal, say, the first is active, with a
    `ConvergenceWarning`.

    Two differences to scikit-learn 1.9: its path ends early where `alpha` is below 1e-7; and with `positive`, where all
    correlations that are left are negative, it takes the largest of them for the penalty, so that from its last knot
    down to zero, where non-negative least squares is, its coefficients are not those of the Lasso.

    References
    ----------
    .. [1] B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32, 2004.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLassoLars
    >>> model = FederatedLassoLars(alpha=0.01).fit([[-1, 1], [0, 0], [1, 1]], [-1, 0, -1])
    >>> model.coef_.tolist()
    [0.0, -0.955]
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: int = 500,
        fit_path: bool = True,
        positive: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.fit_path = fit_path
        self.positive = positive
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        return self._paths(psr, lasso=True, most=self.max_iter, alpha=self.alpha, positive=self.positive)

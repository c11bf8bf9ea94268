"""Gaussian naive Bayes from exact moments of each class."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.naive_bayes import GaussianNB

from sklearn_symfed._base import ClassifierFromStatistics
from sklearn_symfed._rounding import integer_ratio
from sklearn_symfed.psr import PSR, Moments, quotient

__all__ = ["FederatedGaussianNB", "gaussian_classes"]

Array = np.ndarray[Any, Any]


def gaussian_classes(
    total: Moments, classes: Sequence[Moments], var_smoothing: float = 1e-9
) -> tuple[Array, Array, float, Array, Array]:
    r"""Estimate a mean and a variance for each class and feature, exactly, and round once.

    Parameters
    ----------
    total : Moments
        Of all rows.
    classes : sequence of Moments
        Of each class.
    var_smoothing : float, default=1e-9
        Share of the largest variance that is added to all variances.

    Returns
    -------
    theta : ndarray of shape (n_classes, n_features)
    var : ndarray of shape (n_classes, n_features)
    epsilon : float
    class_count : ndarray of shape (n_classes,)
    class_prior : ndarray of shape (n_classes,)

    Notes
    -----
    With :math:`W_k` the sum of weights of class :math:`k`, :math:`C_k` its co-moments and :math:`C, W` those of all
    rows,

    .. math:: \epsilon = s \max_j C_{jj} / W^2, \quad \sigma^2_{kj} = C_{k,jj} / W_k^2 + \epsilon,

    each rounded once.  :math:`\epsilon` follows from *all* rows that were learned, in however many batches they came;
    scikit-learn's ``partial_fit`` takes it from the last batch.
    """
    n_features = len(total.names)
    weight = total.matrix[0, 0]
    largest = max((total.comoments[j, j] for j in range(n_features)), default=0)
    epsilon = Fraction(*integer_ratio(var_smoothing)) * Fraction(largest, weight * weight)
    theta = np.array([moments.mean for moments in classes])
    var = np.empty_like(theta)
    for k, moments in enumerate(classes):
        squared = moments.matrix[0, 0] ** 2
        for j in range(n_features):
            # C / W**2 has no unit left
            numerator = moments.comoments[j, j] * epsilon.denominator + epsilon.numerator * squared
            var[k, j] = quotient(numerator, squared * epsilon.denominator)
    count = np.array([moments.sum_weights for moments in classes])
    shares = [m.matrix[0, 0] * m.unit / (weight * total.unit) for m in classes]
    prior = np.array([quotient(share.numerator, share.denominator) for share in shares])
    return theta, var, quotient(epsilon.numerator, epsilon.denominator), count, prior


class FederatedGaussianNB(ClassifierFromStatistics, GaussianNB):
    """Gaussian naive Bayes from exact statistics.

    Parameters
    ----------
    priors : array-like of shape (n_classes,), default=None
        Prior probabilities of the classes, by ascending label; None takes their proportions.
    var_smoothing : float, default=1e-9
        Share of the largest variance of all features that is added to all variances.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    class_count_, class_prior_ : ndarray of shape (n_classes,)
    theta_, var_ : ndarray of shape (n_classes, n_features)
    epsilon_ : float
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.naive_bayes.GaussianNB : The same model from rows.

    Notes
    -----
    Means and variances are correctly rounded: see `gaussian_classes` for the formula.

    Examples
    --------
    >>> from sklearn_symfed import FederatedGaussianNB
    >>> model = FederatedGaussianNB().fit([[-2.0], [-1.0], [1.0], [2.0]], ["a", "a", "b", "b"])
    >>> model.theta_.ravel().tolist(), model.predict([[0.5]]).tolist()
    ([-1.5, 1.5], ['b'])
    """

    def __init__(self, *, priors: Any = None, var_smoothing: float = 1e-9, prior: PSR | None = None) -> None:
        self.priors = priors
        self.var_smoothing = var_smoothing
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        by_class = psr.by_class()
        classes = [each.moments() for each in by_class.values()]
        total = psr.moments().of_classes(classes)
        theta, var, epsilon, count, prior = gaussian_classes(total, classes, self.var_smoothing)
        return {
            "classes_": np.array(list(by_class)),
            "theta_": theta,
            "var_": var,
            "epsilon_": epsilon,
            "class_count_": count,
            "class_prior_": prior if self.priors is None else self._declared_priors(len(classes)),
        }

    def _declared_priors(self, n_classes: int) -> Array:
        priors = np.asarray(self.priors, dtype=np.float64)
        if priors.shape != (n_classes,):
            raise ValueError(
                f"Number of priors must match number of classes. Got shape {priors.shape}, but expected ({n_classes},)."
            )
        if not np.isclose(priors.sum(), 1.0):
            raise ValueError(f"The sum of the priors should be 1. Got {priors.sum()}.")
        if (priors < 0).any():
            raise ValueError("Priors must be non-negative.")
        return priors

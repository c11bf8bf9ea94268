"""Multinomial naive Bayes: features are counts of what can happen."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.naive_bayes import MultinomialNB

from sklearn_symfed.naive_bayes._counts import log_ratios, ratios
from sklearn_symfed.naive_bayes._discrete import CountsFromStatistics
from sklearn_symfed.psr import PSR

__all__ = ["FederatedMultinomialNB", "multinomial_log_prob"]

Array = np.ndarray[Any, Any]


def multinomial_log_prob(sums: Array, alpha: Array) -> Array:
    r"""Estimate the logarithm of each feature's probability in each class.

    Parameters
    ----------
    sums : ndarray of Fraction of shape (n_classes, n_features)
        Counts of each class.
    alpha : ndarray of Fraction of shape (n_features,)

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Correctly rounded.

    Notes
    -----
    .. math:: \log \frac{N_{kj} + \alpha_j}{\sum_i (N_{ki} + \alpha_i)},

    which is :math:`-\infty` for an unsmoothed count of zero, and NaN where all counts of a class are such [1]_.

    References
    ----------
    .. [1] C. D. Manning, P. Raghavan and H. Schütze, "Introduction to Information Retrieval", 2008, section 13.2.
    """
    smoothed = sums + alpha
    return log_ratios(ratios(smoothed, smoothed.sum(axis=1, keepdims=True)))


class FederatedMultinomialNB(CountsFromStatistics, MultinomialNB):
    """Naive Bayes for counts, from exact statistics.

    Parameters
    ----------
    alpha : float or array-like of shape (n_features,), default=1.0
        What is added to each count; 0 does not smooth.
    force_alpha : bool, default=True
        Whether `alpha` below 1e-10 is taken as it is, rather than 1e-10.
    fit_prior : bool, default=True
        Whether classes have the probabilities that were learned; else all have the same.
    class_prior : array-like of shape (n_classes,), default=None
        Probabilities of the classes, by ascending label.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    class_count_, class_log_prior_ : ndarray of shape (n_classes,)
    feature_count_, feature_log_prob_ : ndarray of shape (n_classes, n_features)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.naive_bayes.MultinomialNB : The same model from rows.

    Notes
    -----
    Every number is correctly rounded: see `multinomial_log_prob` for the formula.  A negative count is refused.  Of
    rows, each number is looked at; of a PSR, a negative sum of a class betrays it, and nothing else can.

    Examples
    --------
    >>> from sklearn_symfed import FederatedMultinomialNB
    >>> model = FederatedMultinomialNB().fit([[3, 0], [2, 1], [0, 4]], ["a", "a", "b"])
    >>> model.feature_count_.tolist(), model.predict([[1, 0]]).tolist()
    ([[5.0, 1.0], [0.0, 4.0]], ['a'])
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        fit_prior: bool = True,
        class_prior: Any = None,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.prior = prior

    def _log_prob(self, sums: Array, alpha: Array) -> Array:
        return multinomial_log_prob(sums, alpha)

"""Complement naive Bayes: each class is known by the counts of all others."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.naive_bayes import ComplementNB

from sklearn_symfed._linalg import Field, evaluate
from sklearn_symfed.naive_bayes._counts import ClassCounts, log_ratios, ratios, rounded
from sklearn_symfed.naive_bayes._discrete import CountsFromStatistics
from sklearn_symfed.psr import PSR

__all__ = ["FederatedComplementNB", "complement_weights"]

Array = np.ndarray[Any, Any]


def complement_weights(sums: Array, alpha: Array, *, norm: bool = False) -> Array:
    r"""Estimate the weight of each feature against each class.

    Parameters
    ----------
    sums : ndarray of Fraction of shape (n_classes, n_features)
        Counts of each class.
    alpha : ndarray of Fraction of shape (n_features,)
    norm : bool, default=False
        Whether the weights of a class sum to one.

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Correctly rounded.

    Notes
    -----
    With :math:`N_j` the count of all classes and :math:`l_{kj}` the logarithm of a feature's share of the others,

    .. math:: l_{kj} = \log \frac{N_j - N_{kj} + \alpha_j}{\sum_i (N_i - N_{ki} + \alpha_i)},

    a weight is :math:`-l_{kj}`, or :math:`l_{kj} / \sum_i l_{ki}` with `norm` [1]_.  Where a count of zero is not
    smoothed its logarithm is :math:`-\infty`; weights that this leaves undefined are NaN, as is that of a sole feature.

    References
    ----------
    .. [1] J. D. Rennie, L. Shih, J. Teevan and D. R. Karger, "Tackling the Poor Assumptions of Naive Bayes Text
       Classifiers", ICML 2003, table 4.
    """
    others = sums.sum(axis=0) + alpha - sums
    shares = ratios(others, others.sum(axis=1, keepdims=True))
    if not norm:
        return 0.0 - log_ratios(shares)
    return np.array([_normalised(row) for row in shares.tolist()])


def _normalised(shares: Sequence[Fraction | None]) -> Array:
    """Return logarithms over their sum."""
    known = [share for share in shares if share]
    if len(known) < len(shares) or len(shares) == 1:
        logs = log_ratios(shares)
        with np.errstate(invalid="ignore"):
            return np.asarray(logs / logs.sum())  # infinite, zero or undefined: nothing is rounded

    def formula(field: Field) -> list[Any]:
        logs = [field.log(share) for share in known]
        total = sum(logs[1:], logs[0])
        return [field.column([each / total for each in logs])]

    (weights,), _ = evaluate(formula)
    return np.asarray(weights[:, 0])


class FederatedComplementNB(CountsFromStatistics, ComplementNB):
    """Naive Bayes for counts of classes of unequal size, from exact statistics.

    Parameters
    ----------
    alpha : float or array-like of shape (n_features,), default=1.0
        What is added to each count; 0 does not smooth.
    force_alpha : bool, default=True
        Whether `alpha` below 1e-10 is taken as it is, rather than 1e-10.
    fit_prior : bool, default=True
        Only matters where there is one class.
    class_prior : array-like of shape (n_classes,), default=None
        As `fit_prior`.
    norm : bool, default=False
        Whether the weights of a class are divided by their sum.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    class_count_, class_log_prior_ : ndarray of shape (n_classes,)
    feature_all_ : ndarray of shape (n_features,)
        Counts of all classes.
    feature_count_, feature_log_prob_ : ndarray of shape (n_classes, n_features)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.naive_bayes.ComplementNB : The same model from rows.

    Notes
    -----
    Every number is correctly rounded: see `complement_weights` for the formula.  Negative counts are refused as by
    `FederatedMultinomialNB`.

    Examples
    --------
    >>> from sklearn_symfed import FederatedComplementNB
    >>> model = FederatedComplementNB(norm=True).fit([[3, 0], [2, 1], [0, 4]], ["a", "a", "b"])
    >>> model.feature_all_.tolist(), model.predict([[1, 0]]).tolist()
    ([5.0, 5.0], ['a'])
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        fit_prior: bool = True,
        class_prior: Any = None,
        norm: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.norm = norm
        self.prior = prior

    def _of_counts(self, counts: ClassCounts) -> dict[str, Any]:
        return {"feature_all_": rounded(counts.sums.sum(axis=0)), **super()._of_counts(counts)}

    def _log_prob(self, sums: Array, alpha: Array) -> Array:
        return complement_weights(sums, alpha, norm=self.norm)

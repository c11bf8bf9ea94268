"""Bernoulli naive Bayes: each feature is there or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.naive_bayes import BernoulliNB

from sklearn_symfed._input import feature_names
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.naive_bayes._counts import ClassCounts, log_ratios, ratios, rounded
from sklearn_symfed.naive_bayes._discrete import DiscreteFromStatistics
from sklearn_symfed.psr import PSR, NamedColumns, Schema, read_columns

__all__ = ["FederatedBernoulliNB", "bernoulli_log_prob"]

Array = np.ndarray[Any, Any]


def bernoulli_log_prob(sums: Array, weights: Array, alpha: Array) -> Array:
    r"""Estimate the logarithm of the probability that a feature is there, in each class.

    Parameters
    ----------
    sums : ndarray of Fraction of shape (n_classes, n_features)
        How many rows of each class have it.
    weights : ndarray of Fraction of shape (n_classes,)
        How many rows there are of each class.
    alpha : ndarray of Fraction of shape (n_features,)

    Returns
    -------
    ndarray of shape (n_classes, n_features)
        Correctly rounded.

    Notes
    -----
    .. math:: \log \frac{N_{kj} + \alpha_j}{W_k + 2 \alpha_j},

    :math:`-\infty` where nothing smooths a count of zero [1]_.

    References
    ----------
    .. [1] C. D. Manning, P. Raghavan and H. Schütze, "Introduction to Information Retrieval", 2008, section 13.3.
    """
    return log_ratios(ratios(sums + alpha, weights[:, None] + 2 * alpha))


def _binarised(X: Any, threshold: float, decimals: Mapping[str, int]) -> Any:
    """Return rows of zeros and ones; what is not finite stays as it is, to be refused by its name."""
    _, names, blocks = read_columns(X, "x", decimals=decimals)
    if issparse(X):
        block: Any = blocks[0]  # no threshold is below zero
        return csr_array((_above(block.data, threshold), block.indices, block.indptr), shape=block.shape)
    names = list(Schema(names).names)  # refuses a name that occurs twice
    columns = [column for block in blocks for column in block.T]
    return NamedColumns({name: _above(column, threshold) for name, column in zip(names, columns, strict=True)})


def _above(column: Array, threshold: float) -> Array:
    above = column > threshold
    return above if np.isfinite(column).all() else np.where(np.isfinite(column), above, column)


def _not_binary(block: Any) -> Array:
    """Tell which columns hold other numbers than zero and one."""
    if not issparse(block):
        return np.asarray(((block != 0) & (block != 1)).any(axis=0))
    found = np.zeros(block.shape[1], bool)
    found[block.indices[(block.data != 0) & (block.data != 1)]] = True
    return found


class FederatedBernoulliNB(DiscreteFromStatistics, BernoulliNB):
    """Naive Bayes for features that are there or not, from exact statistics.

    Parameters
    ----------
    alpha : float or array-like of shape (n_features,), default=1.0
        What is added to each count; 0 does not smooth.
    force_alpha : bool, default=True
        Whether `alpha` below 1e-10 is taken as it is, rather than 1e-10.
    binarize : float or None, default=0.0
        Numbers of rows above it are learned as 1, others as 0; None expects rows of zeros and ones.  A PSR, that of
        `prior` among them, is always one of zeros and ones.
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
        What the estimator was fitted from: of rows, after `binarize`.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.naive_bayes.BernoulliNB : The same model from rows.

    Notes
    -----
    Every number is correctly rounded: see `bernoulli_log_prob` for the formula.

    Of a PSR it is checked that in each class the sum of each column equals its sum of squares.  For columns of integers
    (``decimals={"word": 0}``) that proves zeros and ones, since :math:`x^2 > x` for all others.  Fractions can hide:
    the sums of one 2 and eight halves are equal, too.

    scikit-learn takes one `alpha` for each feature only where there are as many classes as features.

    Examples
    --------
    >>> from sklearn_symfed import FederatedBernoulliNB
    >>> model = FederatedBernoulliNB().fit([[3, 0], [2, 1], [0, 4]], ["a", "a", "b"])
    >>> model.feature_count_.tolist(), model.predict([[1, 0]]).tolist()
    ([[2.0, 1.0], [0.0, 1.0]], ['a'])
    """

    def __init__(
        self,
        *,
        alpha: Any = 1.0,
        force_alpha: bool = True,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: Any = None,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.binarize = binarize
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.prior = prior

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        decimals = self._declared(feature_names(X)).get("decimals", {})
        if self.binarize is not None:
            return super()._learn_rows(_binarised(X, self.binarize, decimals), y, weight)
        learned = super()._learn_rows(X, y, weight)
        wrong = [_not_binary(block) for block in read_columns(X, "x", decimals=decimals)[2]]
        _require_binary(learned.names, np.concatenate(wrong))
        return learned

    def _of_counts(self, counts: ClassCounts) -> dict[str, Any]:
        wrong = [moments.matrix.diagonal() != moments.matrix[0] for moments in counts.moments]
        _require_binary(counts.moments[0].names, np.any(wrong, axis=0)[1:])
        alpha = self._smoothing(counts.sums.shape[1])
        return {
            "feature_count_": rounded(counts.sums),
            "feature_log_prob_": bernoulli_log_prob(counts.sums, counts.weights, alpha),
        }


def _require_binary(names: Any, wrong: Any) -> None:
    others = [name for name, each in zip(names, wrong, strict=True) if each]
    if others:
        raise DataError(
            f"Got columns {others} that hold other numbers than 0 and 1, but expected these: binarize=0.0 makes them "
            "of rows, and a PSR is learned from rows that were made so."
        )

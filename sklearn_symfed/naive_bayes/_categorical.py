"""Naive Bayes of categories: each feature has one of some levels, counted by indicator columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.naive_bayes import CategoricalNB
from sklearn.utils.validation import check_non_negative

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.naive_bayes._counts import ClassCounts, log_ratios, ratios, rounded
from sklearn_symfed.naive_bayes._discrete import DiscreteFromStatistics
from sklearn_symfed.psr import (
    MOST_LEVELS,
    PSR,
    Moments,
    NamedColumns,
    Schema,
    level_name,
    levels_by_column,
    not_finite,
    read_columns,
)

__all__ = ["FederatedCategoricalNB", "categorical_log_prob"]

Array = np.ndarray[Any, Any]


def categorical_log_prob(counts: Array, weights: Array, alpha: Any) -> Array:
    r"""Estimate the logarithm of the probability of each level of a feature in each class.

    Parameters
    ----------
    counts : ndarray of Fraction of shape (n_classes, n_levels)
        How many rows of each class have each level.
    weights : ndarray of Fraction of shape (n_classes,)
        How many rows there are of each class.
    alpha : Fraction

    Returns
    -------
    ndarray of shape (n_classes, n_levels)
        Correctly rounded.

    Notes
    -----
    With :math:`L` levels,

    .. math:: \log \frac{N_{kl} + \alpha}{W_k + L \alpha},

    :math:`-\infty` where nothing smooths a count of zero.
    """
    return log_ratios(ratios(counts + alpha, weights[:, None] + counts.shape[1] * alpha))


# -- indicators ------------------------------------------------------------------------------------------------------


def _indicators(X: Any, who: str) -> NamedColumns:
    """Return a column of zeros and ones for each level of each feature that occurs in rows."""
    _, names, blocks = read_columns(X, "x")
    names = list(Schema(names).names)  # refuses a name that occurs twice
    columns = [column for block in blocks for column in block.T]
    return NamedColumns(
        {
            level_name(name, level): column == level
            for name, column in zip(names, columns, strict=True)
            for level in _levels(name, column, who)
        }
    )


def _levels(name: str, column: Array, who: str) -> list[int]:
    """Return the levels of a feature that occur, ascending."""
    missing = np.flatnonzero(~np.isfinite(column))
    if len(missing):
        raise not_finite("NaN" if np.isnan(column[missing[0]]) else "infinity", name, int(missing[0]))
    check_non_negative(column[:, None], f"{who} (input X)")
    found = np.unique(column).tolist()
    if found[-1] >= MOST_LEVELS or any(level != int(level) for level in found):
        raise DataError(
            f"Got other numbers than the integers 0 to {MOST_LEVELS - 1} in column {name!r}, but expected levels that "
            "are encoded so, as by OrdinalEncoder."
        )
    return [int(level) for level in found]


def _occurring(psr: PSR) -> PSR:
    """Return the indicators of levels that occur, by feature and ascending level: one PSR for the same rows."""
    moments = psr.moments()
    absent = {name for name, square in zip(psr.names, moments.matrix.diagonal()[1:], strict=True) if square == 0}
    names = [name for levels in levels_by_column(psr.names).values() for name in levels.values()]
    return psr.select([*(name for name in names if name not in absent), str(psr.schema.classes)])


def _require_one_level(levels: Mapping[str, Array], moments: Moments) -> None:
    """Refuse statistics of a class in which indicators are not zeros and ones, one of each feature in each row."""
    gram = moments.matrix
    wrong = []
    for feature, columns in levels.items():
        block = gram[np.ix_(columns, columns)]
        sums = gram[0, columns]
        if (block != np.diag(sums)).any() or sum(sums) != gram[0, 0]:
            wrong.append(feature)
    if wrong:
        raise DataError(
            f"Got indicators of {wrong} that are not zeros and ones, one of them a one in each row, but expected these."
        )


# -- the model -------------------------------------------------------------------------------------------------------


class FederatedCategoricalNB(DiscreteFromStatistics, CategoricalNB):
    """Naive Bayes of categories, from exact statistics.

    Parameters
    ----------
    alpha : float, default=1.0
        What is added to each count; 0 does not smooth.
    force_alpha : bool, default=True
        Whether `alpha` below 1e-10 is taken as it is, rather than 1e-10.
    fit_prior : bool, default=True
        Whether classes have the probabilities that were learned; else all have the same.
    class_prior : array-like of shape (n_classes,), default=None
        Probabilities of the classes, by ascending label.
    min_categories : int or array-like of shape (n_features,), default=None
        How many levels each feature has at least.
    prior : PSR, default=None
        Statistics of indicators, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    class_count_, class_log_prior_ : ndarray of shape (n_classes,)
    category_count_, feature_log_prob_ : list of ndarray of shape (n_classes, n_levels), of length n_features
    n_categories_ : ndarray of int64 of shape (n_features,)
        One more than the highest level that occurred, or `min_categories`.
    psr_ : PSR
        What the estimator was fitted from: indicators of the levels that occurred.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.naive_bayes.CategoricalNB : The same model from rows.

    Notes
    -----
    Every number is correctly rounded: see `categorical_log_prob` for the formula.

    Rows hold the levels 0, 1, ... of each feature, as `sklearn.preprocessing.OrdinalEncoder` makes them.  Statistics
    are those of their indicators, columns of zeros and ones called ``feature=level``: what ``psr_`` holds after a fit
    from rows, and what ``pandas.get_dummies(frame, columns=features, prefix_sep="=")`` makes for a node to learn.  A
    level that one party has not seen is a column of zeros there, and need not be declared; where PSRs are added outside
    of an estimator, `PSR.with_zeros` makes it.

    Of a PSR it is checked, in each class, that the indicators of a feature equal their squares, exclude each other, and
    add up to the number of rows.  For columns of integers (``decimals={"feature=0": 0}``) that proves them; fractions
    can hide, as with `FederatedBernoulliNB`.

    Examples
    --------
    >>> from sklearn_symfed import FederatedCategoricalNB
    >>> model = FederatedCategoricalNB().fit([[0, 1], [2, 1], [2, 0]], ["a", "b", "b"])
    >>> model.psr_.names
    ('x0=0', 'x0=2', 'x1=0', 'x1=1')
    >>> model.category_count_[0].tolist(), model.predict([[2, 0]]).tolist()
    ([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]], ['b'])
    """

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        force_alpha: bool = True,
        fit_prior: bool = True,
        class_prior: Any = None,
        min_categories: Any = None,
        prior: PSR | None = None,
    ) -> None:
        self.alpha = alpha
        self.force_alpha = force_alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior
        self.min_categories = min_categories
        self.prior = prior

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        if issparse(X):
            raise DataTypeError("Got sparse rows, but expected dense rows of levels: use .toarray().")
        return _occurring(super()._learn_rows(_indicators(X, type(self).__name__), y, weight))

    def _learn_psr(self, psr: PSR, y: Any) -> PSR:
        return _occurring(super()._learn_psr(psr, y))

    def _name_features(self, columns: list[str]) -> None:
        super()._name_features(list(levels_by_column(columns)))

    def _prior_for(self, learned: PSR) -> PSR:
        assert self.prior is not None
        features = levels_by_column(learned.names)
        names = [name for name in self.prior.names if name.rpartition("=")[0] in features]
        return self.prior.select([*names, str(learned.schema.classes)])

    def _combined(self, combine: Callable[[PSR, PSR], PSR], one: PSR, other: PSR) -> PSR:
        mine, theirs = levels_by_column(one.names), levels_by_column(other.names)
        if mine.keys() != theirs.keys():
            raise SchemaError(f"The features do not match: got levels of {list(theirs)}, but expected {list(mine)}.")
        combined = combine(_with_levels_of(one, other), _with_levels_of(other, one))
        return _occurring(combined) if combined.n_rows else combined

    def _of_counts(self, counts: ClassCounts) -> dict[str, Any]:
        first = counts.moments[0]
        found = levels_by_column(first.names)
        places = {name: position for position, name in enumerate(first.names)}
        columns = {feature: np.array([places[name] for name in levels.values()]) for feature, levels in found.items()}
        for moments in counts.moments:
            _require_one_level({feature: position + 1 for feature, position in columns.items()}, moments)
        n_categories = self._n_categories([max(levels) + 1 for levels in found.values()])
        alpha = self._smoothing(1)[0]
        tables = []
        for (feature, levels), count in zip(found.items(), n_categories.tolist(), strict=True):
            table = np.zeros((len(counts.labels), count), dtype=object)
            table[:, list(levels)] = counts.sums[:, columns[feature]]
            tables.append(table)
        return {
            "category_count_": [rounded(table) for table in tables],
            "feature_log_prob_": [categorical_log_prob(table, counts.weights, alpha) for table in tables],
            "n_categories_": n_categories,
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags

    def _n_categories(self, found: list[int]) -> Array:
        """Return the number of levels of each feature."""
        if self.min_categories is None:
            return np.array(found, dtype=np.int64)
        least = np.asarray(self.min_categories)
        if not np.issubdtype(least.dtype, np.signedinteger):
            raise ValueError(f"'min_categories' should have integral type. Got {least.dtype} instead.")
        if least.shape not in {(), (len(found),)}:
            raise ValueError(
                f"'min_categories' should have shape ({len(found)},) when an array-like is provided. "
                f"Got {least.shape} instead."
            )
        return np.asarray(np.maximum(np.array(found, dtype=np.int64), least, dtype=np.int64))


def _with_levels_of(psr: PSR, other: PSR) -> PSR:
    """Return statistics with all indicators of another PSR."""
    missing = [name for name in other.names if name not in set(psr.names)]
    decimals = other.schema.decimals
    return psr.with_zeros(missing, {name: decimals[name] for name in missing if name in decimals})

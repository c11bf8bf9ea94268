"""One-hot encoding: a column of zeros and ones for each level, or for each group of levels that are rare."""

from __future__ import annotations

from fractions import Fraction
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from sklearn_symfed._base import Interval, StrOptions
from sklearn_symfed._row_columns import CATEGORIES
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.preprocessing._levels import EncoderFromStatistics, LevelMap
from sklearn_symfed.psr import PSR, level_name

__all__ = ["FederatedOneHotEncoder", "infrequent_levels"]

Array = np.ndarray[Any, Any]

_INFREQUENT = "infrequent_sklearn"


def infrequent_levels(
    counts: list[Fraction], n_samples: Fraction, min_frequency: float | None, max_categories: int | None
) -> list[bool]:
    """Say which levels are infrequent.

    Parameters
    ----------
    counts : list of Fraction, of length n_levels
        How many rows have each level.
    n_samples : Fraction
        How many rows there are.
    min_frequency : int, float or None
        The least count of a frequent level, or the least share of the rows.
    max_categories : int or None
        How many columns there are at most, that of infrequent levels among them.

    Returns
    -------
    list of bool, of length n_levels
        As in `sklearn.preprocessing.OneHotEncoder`: of equal counts, earlier levels are infrequent first, and a column
        of infrequent levels is counted whether there is one or not.
    """
    least: Any = 0 if min_frequency is None else min_frequency
    if isinstance(least, float):
        least *= float(n_samples)
    rare = [count < least for count in counts]
    if max_categories is not None and max_categories < len(rare) - sum(rare) + 1:
        ascending = sorted(range(len(counts)), key=counts.__getitem__)
        for place in ascending[: len(ascending) - (max_categories - 1)]:
            rare[place] = True
    return rare


class FederatedOneHotEncoder(EncoderFromStatistics):
    """Encode categories as columns of zeros and ones, by the vocabulary of exact statistics.

    Columns of numbers pass.

    Parameters
    ----------
    categories : "auto", list of str, or mapping of str to levels or None, default="auto"
        Columns of rows that hold categories, and their levels where they are declared, as in `Schema`.  "auto": those
        that are categorical or hold strings, with the levels that occur.  A PSR says it of its own columns.
    drop : {"first", "if_binary"} or None, default=None
        Leaves out the first column of each feature, or of each feature that would have two.
    handle_unknown : {"error", "ignore", "infrequent_if_exist"}, default="error"
        What becomes of a level that was not learned: refused, zeros, or the column of infrequent levels where there is
        one.
    min_frequency : int or float, default=None
        Levels of fewer rows, or of a smaller share of them, are infrequent: one column for all of them.
    max_categories : int, default=None
        Most columns of a feature; the rarest levels are infrequent.
    sparse_output : False, default=False
        Dense arrays only.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    columns_ : list of str
        Columns that are encoded.
    categories_ : list of ndarray of object of shape (n_levels,)
        Of each of them the levels, as texts: whole numbers by their size, then others.
    infrequent_categories_ : list of ndarray of object, or None
        Levels that share a column.
    drop_idx_ : list of int or None
        Which column of each encoded feature is left out.
    psr_ : PSR
        What the encoder was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where columns have names.

    See Also
    --------
    sklearn.preprocessing.OneHotEncoder : The same from rows, of all columns.

    Notes
    -----
    Encoded columns are called ``column=level``, as in a PSR, and stand in the place of their column.  Levels are texts:
    1, 1.0 and "1" are one.  A column with ``missing="indicator"`` keeps the column that says where a value is missing,
    and has zeros there.

    ``transform(psr)`` returns the statistics of the encoded rows, in which levels that were not learned become what
    `handle_unknown` says; so a pipeline is fitted without rows, and then predicts rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_symfed import PSR, FederatedOneHotEncoder
    >>> one, other = pd.DataFrame({"c": ["b", "a"]}), pd.DataFrame({"c": ["d"]})
    >>> encoder = FederatedOneHotEncoder().fit(PSR.from_rows(one) + PSR.from_rows(other))
    >>> encoder.get_feature_names_out().tolist(), encoder.transform(one).tolist()
    (['c=a', 'c=b', 'c=d'], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categories": CATEGORIES,
        "drop": [StrOptions({"first", "if_binary"}), None],
        "handle_unknown": [StrOptions({"error", "ignore", "infrequent_if_exist"})],
        "min_frequency": [Interval(Integral, 1, None, closed="left"), Interval(Real, 0, 1, closed="neither"), None],
        "max_categories": [Interval(Integral, 1, None, closed="left"), None],
        "sparse_output": ["boolean"],
    }

    def __init__(
        self,
        *,
        categories: Any = "auto",
        drop: str | None = None,
        handle_unknown: str = "error",
        min_frequency: float | None = None,
        max_categories: int | None = None,
        sparse_output: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.categories = categories
        self.drop = drop
        self.handle_unknown = handle_unknown
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.sparse_output = sparse_output
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        if self.sparse_output:
            raise DataError("Got sparse_output=True, but expected False: encoded rows are dense arrays.")
        found = self._vocabulary()
        rare = self._infrequent(psr, found)
        return {**found, "infrequent_categories_": rare, "drop_idx_": self._dropped(found["categories_"], rare)}

    def _infrequent(self, psr: PSR, found: dict[str, Any]) -> list[Array | None]:
        if self.min_frequency is None and self.max_categories is None:
            return [None] * len(found["columns_"])
        moments = psr.as_stored().moments()
        counts = dict(zip(moments.names, moments.matrix[0, 1:].tolist(), strict=True))
        groups: list[Array | None] = []
        for column, levels in zip(found["columns_"], found["categories_"], strict=True):
            of_levels = [counts[level_name(column, level)] * moments.unit for level in levels]
            total = moments.matrix[0, 0] * moments.unit
            rare = infrequent_levels(of_levels, total, self.min_frequency, self.max_categories)
            groups.append(levels[rare] if any(rare) else None)
        return groups

    def _dropped(self, categories: list[Array], rare: list[Array | None]) -> list[int | None]:
        sizes = [
            len(levels) - (0 if few is None else len(few) - 1) for levels, few in zip(categories, rare, strict=True)
        ]
        return [
            0 if size and (self.drop == "first" or (self.drop == "if_binary" and size == 2)) else None for size in sizes
        ]

    def _groups(self, position: int) -> list[str]:
        """Return what the columns of a feature stand for, before one is dropped."""
        few = self.infrequent_categories_[position]
        frequent = [level for level in self.categories_[position].tolist() if few is None or level not in set(few)]
        return frequent if few is None else [*frequent, _INFREQUENT]

    def _level_map(self, position: int) -> LevelMap:
        groups, few = self._groups(position), self.infrequent_categories_[position]
        place = {level: j for j, level in enumerate(groups)}
        values = np.zeros((len(self.categories_[position]), len(groups)))
        for i, level in enumerate(self.categories_[position]):
            values[i, len(groups) - 1 if few is not None and level in set(few) else place[level]] = 1.0
        unknown = np.zeros(len(groups))
        if few is not None and self.handle_unknown == "infrequent_if_exist":
            unknown[-1] = 1.0
        kept = [j for j in range(len(groups)) if j != self.drop_idx_[position]]
        names = [level_name("", groups[j]) for j in kept]
        return LevelMap(names, values[:, kept], None if self.handle_unknown == "error" else unknown[kept])

    def inverse_transform(self, X: Any) -> Array:
        """Return the rows that were encoded, levels as texts.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        ndarray of object of shape (n_samples, n_features)
            "infrequent_sklearn" stands for infrequent levels, None for one that was not learned, unless a column was
            dropped: then zeros are its level.

        Raises
        ------
        DataError
            If a row has no level where `handle_unknown` refuses that.
        """
        return self._inverse(X)

    def _levels_back(self, position: int, block: Array) -> Array:
        groups, dropped = np.array(self._groups(position), dtype=object), self.drop_idx_[position]
        kept = np.delete(groups, [] if dropped is None else [dropped])
        there = np.asarray(block.any(axis=1))
        if dropped is None and self.handle_unknown == "error" and not there.all():
            raise DataError(
                f"Got {int((~there).sum())} rows without a level of {self.columns_[position]!r}, but expected one of "
                f"{len(groups)} in each row."
            )
        levels = [*kept.tolist(), None if dropped is None else groups[dropped]]
        back: Array = np.array(levels, dtype=object)[np.hstack([block, ~there[:, None]]).argmax(axis=1)]
        return back

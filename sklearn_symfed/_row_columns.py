"""What is fitted to columns of rows as a whole: categories with their levels, numbers with what says they are missing.

Other estimators see the numeric columns that statistics have; what encodes or fills columns knows them as rows do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_symfed._base import StrOptions, TransformerFromStatistics
from sklearn_symfed._input import as_list, column_names
from sklearn_symfed.exceptions import DataTypeError, SchemaError
from sklearn_symfed.psr import (
    PSR,
    Schema,
    as_table,
    columns_in,
    columns_of_rows,
    holds_categories,
    normalised,
    plain_table,
)

__all__ = ["CATEGORIES", "RowColumns", "read_table"]

Array = np.ndarray[Any, Any]

CATEGORIES = [StrOptions({"auto"}), dict, "array-like"]
"""Constraint of the parameter `categories`."""


def read_table(X: Any, method: str) -> Any:
    """Return rows as a DataFrame or an array, in which a list of strings and numbers keeps its numbers."""
    if isinstance(X, (PSR, BaseEstimator)):
        raise DataTypeError(f"{method} needs rows, but got a {type(X).__name__}.")
    if issparse(X):
        raise DataTypeError(f"{method} got sparse data, but dense data is required: use .toarray().")
    table = plain_table(as_table(X), "X")
    if isinstance(X, (list, tuple)) and table.dtype.kind in "US":
        return np.array(X, dtype=object)
    return table


class RowColumns(TransformerFromStatistics, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Mixin: the features are columns of rows, in the order of the rows or of the schema of a PSR."""

    categories: Any
    n_features_in_: int
    _missing: str = "error"
    """What becomes of values that are missing in rows that are learned first."""

    # -- learning ----------------------------------------------------------------------------------------------------

    def _learn(self, X: Any, y: Any, weight: Any) -> PSR:
        if isinstance(X, (PSR, BaseEstimator)):
            return super()._learn(X, y, weight)
        X = read_table(X, "fit")
        self._reading = self._categories_in(X)
        try:
            return super()._learn(X, y, weight)
        finally:
            del self._reading

    def _categories_in(self, X: Any) -> Any:
        """Return the columns that hold categories, as `Schema` takes them."""
        if isinstance(self.categories, dict):
            return self.categories
        if not isinstance(self.categories, str):
            names = list(self.categories)
            if not all(isinstance(name, str) for name in names):
                raise SchemaError(
                    "Got categories that are no names of columns, but expected a list of names, or a mapping of names "
                    "to levels: {'carrier': ['AA', 'other']}."
                )
            return names
        return [normalised(name) for name, column in columns_in(X, "x") if holds_categories(column)]

    def _declared(self, names: list[str]) -> dict[str, Any]:
        known: PSR | None = getattr(self, "psr_", self.prior)
        if known is None:
            return {"categories": self._reading, "missing": self._missing}
        there = set(names)
        return columns_of_rows(known, [c for c in self._names_of(known) if c in there]).schema.declared

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        unwanted = [] if y is None else column_names(y)
        columns = self._names_of(psr)
        unknown = [name for name in unwanted if name not in {*columns, psr.schema.classes}]
        if unknown:
            raise SchemaError(f"Got unknown columns {unknown}, but expected some of {list(columns)}.")
        return [name for name in columns if name not in unwanted], None

    def _chosen(self, psr: PSR, names: list[str]) -> PSR:
        return columns_of_rows(psr, names)

    def _names_of(self, psr: PSR) -> tuple[str, ...]:
        return columns_of_rows(psr).schema.columns

    # -- what was fitted ---------------------------------------------------------------------------------------------

    @property
    def _schema(self) -> Schema:
        """The columns of rows that are features, with their levels."""
        return _without(self.psr_.schema, as_list(self._target))

    def _features(self) -> list[str]:
        return list(self._schema.names)

    def _rows(self, X: Any, method: str) -> Any:
        """Return rows of the columns that were fitted."""
        check_is_fitted(self)
        X = read_table(X, method)
        validate_data(self, X, reset=False, skip_check_array=True)
        return X

    def _require_columns(self, psr: PSR) -> PSR:
        """Return statistics of the columns that were fitted, and of those beside them, as columns of rows.

        Raises
        ------
        SchemaError
            If there are others, or some are missing, or hold numbers instead of categories.
        """
        features, beside = self._schema, self._passing()
        names = self._names_of(psr)
        there = columns_of_rows(psr, [*names, *as_list(psr.schema.classes)])
        of_beside = [name for name in names if set(there.schema.names_of([name])) <= set(beside)]
        unknown = [name for name in names if name not in {*features.columns, *of_beside}]
        if unknown:
            raise SchemaError(
                f"Got columns {unknown} that {type(self).__name__} was not fitted to, but expected "
                f"{list(features.columns)}{f' and {list(beside)}' if beside else ''}: psr.drop({unknown}), or pass "
                "them as y to fit."
            )
        absent = [name for name in features.columns if name not in names]
        if absent:
            raise SchemaError(f"Got a PSR without columns {absent}, but expected {list(features.columns)}.")
        ours, theirs = features.categories, there.schema.categories
        other = [name for name in features.columns if (name in ours) != (name in theirs)]
        if other:
            raise SchemaError(f"Got columns {other} of numbers in one place and of categories in the other.")
        return there

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.sparse = False
        return tags


def _without(schema: Schema, names: list[str]) -> Schema:
    return schema.of_columns(name for name in schema.columns if name not in names)

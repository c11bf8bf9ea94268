"""Imputation: what is missing becomes the mean of what was there, the most frequent level, or a constant.

Owns how rows and statistics are filled.  With a column that says where values are missing, filling is affine:
``x + value * missingindicator_x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import StrOptions
from sklearn_symfed._row_columns import CATEGORIES, RowColumns
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr import (
    NUMERIC,
    PSR,
    Encoding,
    Schema,
    columns_in,
    described,
    encode_column,
    level_name,
    level_text,
    quotient,
    texts_in,
)

__all__ = ["FederatedSimpleImputer"]

Array = np.ndarray[Any, Any]


class FederatedSimpleImputer(RowColumns):
    """Fill missing values by the mean, the most frequent level or a constant, from exact statistics.

    Parameters
    ----------
    strategy : {"mean", "most_frequent", "constant"}, default="mean"
        "mean": numbers get the mean of those that are there, and categories, which have none, their most frequent
        level.  "most_frequent": categories get that, and numbers are refused: which number is most frequent is no
        function of the statistics, and neither is the median.  "constant": all get `fill_value`.
    fill_value : number, str, or mapping of column names to these, default=None
        With "constant"; None is 0 for numbers, and "missing_value" for categories.
    categories : "auto", list of str, or mapping of str to levels or None, default="auto"
        Columns of rows that hold categories, as in `FederatedOneHotEncoder`.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    statistics_ : ndarray of float64, or of object where there are categories, of shape (n_features,)
        What each column is filled with.
    psr_ : PSR
        What the imputer was fitted from: of rows, with ``missing="indicator"`` for all columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where columns have names.

    See Also
    --------
    sklearn.impute.SimpleImputer : The same from rows, with medians.

    Notes
    -----
    Means are exact and rounded once: over the values that are there, whether rows were learned with
    ``missing="indicator"``, ``"pairwise"``, or ``"listwise"``, which has only complete rows.  Of levels that are
    equally frequent the first one is taken: of whole numbers the smallest, then of other texts the first.

    ``transform(psr)`` returns the statistics of the filled rows where ``missing="indicator"`` was declared; categories
    are categories again, for an encoder to take.  Pairs that are there do not say what a filled value stands beside:
    ``missing="pairwise"`` is enough to fit, and refused by ``transform(psr)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_symfed import PSR, FederatedSimpleImputer
    >>> psr = PSR.from_rows([[1.0, np.nan], [2.0, 5.0], [np.nan, 7.0]], missing="indicator")
    >>> imputer = FederatedSimpleImputer().fit(psr)
    >>> imputer.transform([[np.nan, 4.0]]).tolist(), imputer.transform(psr).moments().sums.tolist()
    ([[1.5, 4.0]], [4.5, 18.0])
    """

    _missing = "indicator"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "strategy": [StrOptions({"mean", "most_frequent", "constant"})],
        "fill_value": [Real, str, dict, None],
        "categories": CATEGORIES,
    }

    def __init__(
        self,
        *,
        strategy: str = "mean",
        fill_value: Any = None,
        categories: Any = "auto",
        prior: PSR | None = None,
    ) -> None:
        self.strategy = strategy
        self.fill_value = fill_value
        self.categories = categories
        self.prior = prior

    # -- the fit -----------------------------------------------------------------------------------------------------

    def _solve(self, psr: PSR) -> dict[str, Any]:
        schema = self._schema
        values: list[Any]
        if self.strategy == "constant":
            values = [self._constant(name, category=name in schema.categories) for name in schema.columns]
        else:
            sums = _Sums(psr)
            values = [self._of_sums(name, schema.encodings.get(name, NUMERIC), sums) for name in schema.columns]
        return {"statistics_": np.array(values, dtype=object if schema.categories else np.float64)}

    def _constant(self, name: str, *, category: bool) -> Any:
        value = self.fill_value.get(name) if isinstance(self.fill_value, Mapping) else self.fill_value
        if value is None:
            return "missing_value" if category else 0.0
        if category:
            return level_text(value)
        if not isinstance(value, Real) or not np.isfinite(float(value)):
            raise DataTypeError(f"Got a fill_value for column {name!r} that is no finite number, but expected one.")
        return float(value)

    def _of_sums(self, name: str, encoding: Encoding, sums: _Sums) -> Any:
        if encoding.levels is not None:
            return sums.most_frequent(name, encoding)
        if self.strategy == "most_frequent":
            raise DataTypeError(
                f"Got strategy='most_frequent' and the column {name!r} of numbers, but expected categories: which "
                "number is most frequent is no function of the statistics. Use 'mean' or 'constant'."
            )
        return sums.mean(name, encoding)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- rows --------------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Fill what is missing in rows, or map their statistics to those of the filled rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR

        Returns
        -------
        ndarray of shape (n_samples, n_features), or PSR
            Of float64, or where there are categories of object: levels as texts.

        Raises
        ------
        DataError
            If a value is neither missing nor a finite number.
        SchemaError
            With a PSR learned with ``missing="pairwise"``.
        """
        X, schema = self._rows(X, "transform"), self._schema
        columns = [column for _, column in columns_in(X, "x")]
        out = np.empty((len(X), self.n_features_in_), dtype=self.statistics_.dtype)
        for place, (name, column) in enumerate(zip(schema.columns, columns, strict=True)):
            out[:, place] = _filled(column, name, schema, self.statistics_[place])
        return out

    transform.checks_rows = True  # type: ignore[attr-defined]

    # -- statistics --------------------------------------------------------------------------------------------------

    def _transform_statistics(self, psr: PSR) -> PSR:
        check_is_fitted(self)
        there = self._require_columns(psr)
        schema = there.schema.of_columns(self._schema.columns)
        partly = [name for name in schema.columns if schema.missing.get(name) == "pairwise"]
        if partly:
            raise SchemaError(
                f"Got columns {partly} learned with missing='pairwise', but expected missing='indicator', which says "
                "beside what a filled value stands."
            )
        filled = {
            name: _filled_encoding(schema.encodings.get(name, NUMERIC), value)
            for name, value in zip(schema.columns, self.statistics_, strict=True)
        }
        image = there
        for names in _by_digits(schema):
            values = [self.statistics_[schema.columns.index(name)] for name in names]
            image = _image(image, schema, names, values, filled)
        rest = there.schema.of_columns(name for name in there.schema.columns if name not in filled)
        columns, encodings = [*filled, *rest.columns], {**filled, **rest.encodings}
        decimals = {name: digits for name, digits in image.schema.decimals.items() if name in columns}
        classes = psr.schema.classes
        said = Schema.of_encodings(columns, classes, decimals, rest.ranges, rest.outside, encodings)
        whole = described(image, said)
        return whole.rename(dict(zip(filled, self._names_out(len(filled)), strict=True)))


class _Sums:
    """Weights and sums over rows, exactly, by the name of a column of a state."""

    def __init__(self, psr: PSR) -> None:
        moments = psr.as_stored().moments()
        weight, *sums = (moments.matrix[0] * moments.unit).tolist()
        self._weight: Fraction = weight
        self._sums = dict(zip(moments.names, sums, strict=True))
        self._observed = psr.schema.observed

    def mean(self, name: str, encoding: Encoding) -> float:
        """Return the mean of the numbers that are there."""
        weight = self._weight
        if name in self._observed:
            weight = self._sums[self._observed[name]]
        elif encoding.missing == "indicator":
            weight -= self._sums[encoding.names(name)[-1]]
        if not weight:
            raise DataError(f"Got no value in column {name!r}, but expected some: they have no mean.")
        mean = self._sums[name] / weight
        return quotient(mean.numerator, mean.denominator)

    def most_frequent(self, name: str, encoding: Encoding) -> str:
        """Return the first of the levels that most rows have."""
        counts = [self._sums[level_name(name, level)] for level in encoding.levels or ()]
        if not any(counts):
            raise DataError(f"Got no value in column {name!r}, but expected some: none is most frequent.")
        return (encoding.levels or ())[counts.index(max(counts))]


def _filled(column: Any, name: str, schema: Schema, value: Any) -> Array:
    """Return a column of rows without missing values."""
    if name in schema.categories:
        texts = texts_in(column)
        texts[[text is None for text in texts]] = value
        return texts
    encoding = replace(schema.encodings.get(name, NUMERIC), missing="indicator")
    numbers, missing = encode_column(column, name, encoding, schema.decimals.get(name)).blocks
    filled = np.where(missing[:, 0] != 0, value, numbers[:, 0].astype(np.float64))
    if not np.isfinite(filled).all():
        raise DataError(f"Input contains infinity: column {name!r}. Expected finite or missing numbers.")
    return filled


def _filled_encoding(encoding: Encoding, value: Any) -> Encoding:
    """Return what a column holds once it is filled."""
    if encoding.levels is None:
        return NUMERIC
    levels = encoding.with_levels([value] if encoding.missing == "indicator" else []).levels
    return Encoding(levels, encoding.declared)


def _by_digits(schema: Schema) -> list[list[str]]:
    """Return the columns that say where they are missing, grouped by their decimals: images of a map share theirs."""
    groups: dict[int, list[str]] = {}
    for name, mode in schema.missing.items():
        if mode == "indicator":
            groups.setdefault(schema.decimals.get(name, 0), []).append(name)
    return list(groups.values())


def _image(psr: PSR, schema: Schema, columns: list[str], values: list[Any], filled: Mapping[str, Encoding]) -> PSR:
    """Return statistics in which some columns are filled."""
    before = schema.names_of(columns)
    after = [name for column in columns for name in filled[column].names(column)]
    matrix = np.zeros((len(before), len(after)))
    for column, value in zip(columns, values, strict=True):
        *own, missing = schema.encodings[column].names(column)
        for name in own:
            matrix[before.index(name), after.index(name)] = 1.0
        category = filled[column].levels is not None
        image = level_name(column, value) if category else column
        matrix[before.index(missing), after.index(image)] = 1.0 if category else value
    return psr.affine(before, matrix, None, after)

"""From what people pass in to rows: features, targets or labels, and weights, held to what is declared of them.

Owns what is refused before a number is learned; columns are read one by one (`_columns`, `_encode`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import (
    as_numbers,
    as_table,
    column_at,
    columns_in,
    frame_names,
    name_of,
    names_in,
    plain_array,
    read_columns,
)
from sklearn_symfed.psr._declared import checked_decimals, normalised
from sklearn_symfed.psr._encode import encode_column, holds_categories, missing_in, values_where
from sklearn_symfed.psr._encodings import NUMERIC, Encoding, checked_encodings
from sklearn_symfed.psr._labels import Label, encode_labels
from sklearn_symfed.psr._ranges import Range
from sklearn_symfed.psr._rows import Rows
from sklearn_symfed.psr._schema import Schema
from sklearn_symfed.psr._sparse import as_blocks, is_sparse

__all__ = ["read_rows"]

Array = np.ndarray[Any, Any]
_INT64 = 2**63


def read_rows(
    X: Any,
    y: Any = None,
    *,
    classes: str | bool | None = None,
    decimals: Mapping[str, int] | None = None,
    ranges: Mapping[str, Range] | None = None,
    outside: str = "error",
    categories: Any = None,
    missing: Any = "error",
    units: Any = None,
    sample_weight: Any = None,
) -> Rows:
    """Read rows, their target columns or labels, and their weights; what is outside of a range is among them.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Columns of an array are called ``x0, x1, ...``.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Labels where `classes` says so, else numeric columns, called by their own name, ``y`` or ``y0, y1, ...``.
    classes : str, bool or None, default=None
        True: `y` holds class labels.  A name: that column of `X`, or `y` where `X` has none of that name.
    decimals : mapping of str to int, default=None
        Digits after the point of the columns that hold decimals.
    ranges, outside, categories, missing, units
        As in `Schema`; where `categories` is None, columns of a DataFrame that hold strings hold categories.
    sample_weight : array-like of shape (n_samples,), default=None

    Raises
    ------
    DataError, SchemaError
        If the rows cannot be learned as they are.
    """
    if not (classes is None or isinstance(classes, (str, bool, np.bool_))):
        msg = f"Got classes of type {type(classes).__name__}, but expected a column name, True or None."
        raise SchemaError(msg)
    X, y, decimals = as_table(X), as_table(y), checked_decimals(decimals)
    class_name: str | None = None
    labels: Any = None
    in_frame: str | None = None  # the class column, where X holds it
    if isinstance(classes, str):
        class_name = normalised(classes)
        position = _position(X, class_name)
        if position is not None:
            labels, in_frame = column_at(X, position), class_name
        elif y is None:
            msg = f"Got neither y nor a column {classes!r} in X, but expected one of them to hold the class labels."
            raise SchemaError(msg)
        else:
            labels, y = y, None
    elif classes:
        if y is None:
            msg = "Got classes=True and no y, but expected y to hold the class labels."
            raise SchemaError(msg)
        class_name, labels, y = name_of(y) or "y", y, None
    table = _Table(X, y, in_frame)
    modes, skips = _modes(missing, table.names, class_name)
    encodings = checked_encodings(tuple(map(normalised, table.names)), categories, modes, units)
    if categories is None:
        encodings = table.with_guessed(encodings)
    n_rows, blocks, encodings, incomplete = table.read(encodings, decimals)
    if not table.features and labels is None:
        msg = f"Found array with 0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required."
        raise DataError(msg)
    schema = Schema.of_encodings(table.names, class_name, decimals, ranges or {}, outside, encodings)
    if labels is not None and skips:
        unlabelled = missing_in(labels)
        incomplete = unlabelled if incomplete is None else incomplete | unlabelled
    found, codes = ((), None) if labels is None else _encoded_labels(labels, incomplete)
    weights = None if sample_weight is None else _read_weights(sample_weight, n_rows)
    for what, array in (*(("y", block) for block in blocks), ("the labels", codes)):
        if array is not None and array.shape[0] != n_rows:
            msg = f"Got {n_rows} rows in X and {array.shape[0]} in {what}, but expected as many."
            raise DataError(msg)
    rows = Rows(schema, n_rows, tuple(blocks), found, codes, weights)
    return rows if incomplete is None or not incomplete.any() else _complete(rows, incomplete)


def _modes(missing: Any, columns: list[str], classes: str | None) -> tuple[Any, bool]:
    """Return what is declared of missing values, and whether rows without a label are left out.

    They are where that is said of the label, or of every column: a schema has no more to say of its class column.
    """
    if not isinstance(missing, Mapping):
        return missing, missing == "listwise"
    own = {name: mode for name, mode in missing.items() if name != classes}
    said = [own.get(normalised(name)) for name in columns] if classes not in missing else [missing[classes]]
    return own, bool(said) and set(said) == {"listwise"}


def _encoded_labels(labels: Any, incomplete: Array | None) -> tuple[tuple[Label, ...], Array]:
    """Return the labels that occur, and which each row has; that of an incomplete row means nothing."""
    if incomplete is None or not incomplete.any():
        return encode_labels(labels)
    codes = np.zeros(len(incomplete), dtype=np.intp)
    if incomplete.all():
        return (), codes
    found, codes[~incomplete] = encode_labels(values_where(labels, ~incomplete))
    return found, codes


def _complete(rows: Rows, incomplete: Array) -> Rows:
    some = np.flatnonzero(incomplete)
    kept = rows.without(some)
    weights = rows.weights
    left_out = len(some) if weights is None else np.count_nonzero(weights[some])
    n_incomplete = sum(weights[some].tolist()) if weights is not None and weights.dtype.kind == "i" else left_out
    return replace(kept, n_dropped=int(n_incomplete), n_incomplete=int(n_incomplete))


class _Table:
    """Features and, beside them, targets: columns by name."""

    def __init__(self, X: Any, y: Any, leave_out: str | None) -> None:
        self._parts = [(X, "x", leave_out), *([] if y is None else [(y, "y", None)])]
        self.features = names_in(X, "x", leave_out)
        self.names = [name for part in self._parts for name in names_in(*part)]

    def with_guessed(self, encodings: dict[str, Encoding]) -> dict[str, Encoding]:
        """Return encodings with those of columns of a DataFrame that hold strings, of which nothing is declared."""
        found = dict(encodings)
        for data, prefix, leave_out in self._parts:
            if frame_names(data) is None:
                continue
            for name, column in columns_in(data, prefix, leave_out):
                key = normalised(name)
                plain = found.get(key, NUMERIC)
                if plain.levels is None and plain.unit is None and holds_categories(column):
                    found[key] = replace(plain, levels=())
        return found

    def read(
        self, encodings: dict[str, Encoding], decimals: dict[str, int]
    ) -> tuple[int, list[Array], dict[str, Encoding], Array | None]:
        """Return the number of rows, the blocks of a state, what was found, and which rows are to be left out."""
        n_rows: int | None = None
        blocks: list[Array] = []
        masks: list[Array] = []
        found, incomplete = dict(encodings), None
        for part in self._parts:
            if not any(normalised(name) in encodings for name in names_in(*part)):
                size, _, arrays = read_columns(*part, decimals)
                n_rows, blocks = size if n_rows is None else n_rows, blocks + arrays
                continue
            own: list[Array] = []
            for name, column in columns_in(*part):
                key = normalised(name)
                encoded = encode_column(column, name, encodings.get(key, NUMERIC), decimals.get(key))
                n_rows, own = len(column) if n_rows is None else n_rows, own + encoded.blocks
                if key in encodings:
                    found[key] = encoded.encoding
                if encoded.missing is not None and encoded.encoding.missing == "listwise":
                    incomplete = encoded.missing if incomplete is None else incomplete | encoded.missing
                if encoded.missing is not None and encoded.encoding.missing == "pairwise":
                    masks.append((~encoded.missing).astype(np.int8)[:, None])
            blocks += as_blocks(own) if is_sparse(part[0]) else own
        return n_rows or 0, blocks + masks, found, incomplete


def _position(data: Any, name: str) -> int | None:
    names = [normalised(each) for each in frame_names(data) or []]
    if names.count(name) > 1:
        msg = f"Got {names.count(name)} columns {name!r}, but expected distinct names."
        raise SchemaError(msg)
    return names.index(name) if name in names else None


def _read_weights(sample_weight: Any, n_rows: int) -> Array | None:
    """Return weights as int64 (repetitions) or float64; None where all of them are one."""
    weights = plain_array(sample_weight, "sample_weight")
    if weights.dtype.kind == "O" and weights.ndim == 1:
        weights = as_numbers(weights, "sample_weight")
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.shape != (n_rows,):
        msg = f"Got sample_weight of shape {weights.shape}, but expected one weight for each row: shape ({n_rows},)."
        raise DataError(msg)
    if weights.dtype.kind not in "biuf" or weights.dtype.itemsize > 8:
        msg = f"Got sample_weight of dtype {weights.dtype}, but expected integers or floats up to 64 bits."
        raise DataTypeError(msg)
    wrong = ~(np.isfinite(weights) & (weights >= 0) & (weights < _INT64 if weights.dtype.kind in "iu" else True))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = f"Got a sample_weight in row {row} (counted from 0) that is negative, NaN or infinite; expected >= 0."
        raise DataError(msg)
    weights = weights.astype(np.float64 if weights.dtype.kind == "f" else np.int64)
    return None if (weights == 1).all() else weights

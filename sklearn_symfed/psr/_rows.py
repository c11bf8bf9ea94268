"""From what people pass in to named columns of floats: arrays, DataFrames, targets, labels, weights.

Owns reading and refusing.  Nothing is rounded: a value that float64 cannot hold is split in two floats or refused.
Messages name columns and row positions, never values.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._schema import Schema, normalised

__all__ = ["Label", "Rows", "encode_labels", "frame_names", "read_rows", "sorted_labels"]

Label = bool | int | str
Array = np.ndarray[Any, Any]
_EXACT = 2**53
_INT64 = 2**63


@dataclass(frozen=True)
class Rows:
    """Validated rows: blocks of columns side by side, and what goes with each row.

    Attributes
    ----------
    schema : Schema
        Names of the columns of all blocks, and of the class column.
    n_rows : int
    blocks : tuple of ndarray of shape (n_rows, n_block_columns)
        Float or integer arrays; integers may exceed what float64 holds.
    labels : tuple of bool, int or str
        Distinct class labels, sorted; empty without class column.
    codes : ndarray of int of shape (n_rows,) or None
        Position of each row's label in `labels`.
    weights : ndarray of float64 or int64 of shape (n_rows,) or None
        Integers repeat a row, floats weigh it.
    """

    schema: Schema
    n_rows: int
    blocks: tuple[Array, ...]
    labels: tuple[Label, ...] = ()
    codes: Array | None = None
    weights: Array | None = None

    def chunk(self, rows: slice | Array) -> tuple[Array, Array | None, Array | None]:
        """Read some rows as floats.

        Returns
        -------
        x : ndarray of float64 or float32 of shape (n, n_columns)
        low : ndarray of float64 of shape (n, n_split) or None
            What must be added to the `split` columns of `x`: integers beyond 2**53 need two floats.
        split : ndarray of int of shape (n_split,) or None
        """
        if len(self.blocks) == 1 and self.blocks[0].dtype in (np.float64, np.float32):
            return self.blocks[0][rows], None, None
        x: Array | None = None
        low: list[Array] = []
        split: list[int] = []
        start = 0
        for block in self.blocks:
            part = block[rows]
            if x is None:
                x = np.empty((len(part), len(self.schema.names)))
            stop = start + part.shape[1]
            wide = np.flatnonzero(((part > _EXACT) | (part < -_EXACT)).any(axis=0)) if part.dtype.kind in "iu" else []
            for column in wide:
                below = part[:, column] & np.array(0xFFFFFFFF, part.dtype)
                low.append(below.astype(np.float64))
                split.append(start + int(column))
            x[:, start:stop] = part
            for position, values in zip(split[len(split) - len(wide) :], low[len(low) - len(wide) :], strict=True):
                x[:, position] = part[:, position - start] - values.astype(part.dtype)
            start = stop
        x = np.empty((0, 0)) if x is None else x
        return (x, np.column_stack(low), np.array(split)) if split else (x, None, None)

    def complain(self, rows: slice | Array) -> DataError:
        """Return the error that names the first column and row position, among `rows`, that is not finite."""
        x, _, _ = self.chunk(rows)
        row, column = (int(index) for index in np.argwhere(~np.isfinite(x))[0])
        what = "NaN" if np.isnan(x[row, column]) else "infinity"
        position = int(np.arange(self.n_rows)[rows][row])
        return _not_finite(what, self.schema.names[column], position)


def _not_finite(what: str, name: str, row: int) -> DataError:
    msg = f"Input contains {what}: column {name!r}, row {row} (counted from 0). Expected finite numbers; nothing was learned."
    return DataError(msg)


def read_rows(X: Any, y: Any = None, *, classes: str | bool | None = None, sample_weight: Any = None) -> Rows:
    """Read rows, their target columns or labels, and their weights.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Columns of an array are called ``x0, x1, ...``.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Labels where `classes` says so, else numeric columns, called by their own name, ``y`` or ``y0, y1, ...``.
    classes : str, bool or None, default=None
        True: `y` holds class labels.  A name: that column of `X`, or `y` where `X` has none of that name.
    sample_weight : array-like of shape (n_samples,), default=None

    Raises
    ------
    DataError, SchemaError
        If the rows cannot be learned as they are.
    """
    if not (classes is None or isinstance(classes, (str, bool, np.bool_))):
        msg = f"Got classes of type {type(classes).__name__}, but expected a column name, True or None."
        raise SchemaError(msg)
    class_name, labels = None, None
    if isinstance(classes, str):
        class_name = normalised(classes)
        position = _position(X, class_name)
        if position is not None:
            labels = _series(X, position)
        elif y is None:
            msg = f"Got neither y nor a column {classes!r} in X, but expected one of them to hold the class labels."
            raise SchemaError(msg)
        else:
            labels, y = y, None
    elif classes:
        if y is None:
            msg = "Got classes=True and no y, but expected y to hold the class labels."
            raise SchemaError(msg)
        class_name, labels, y = _name_of(y) or "y", y, None
    names, blocks = _read_columns(X, "x", leave_out=class_name)
    if y is not None:
        target_names, targets = _read_columns(y, "y")
        names, blocks = names + target_names, blocks + targets
    schema = Schema(names, class_name)
    n_rows = len(blocks[0]) if blocks else len(labels)
    found, codes = ((), None) if labels is None else encode_labels(labels)
    weights = None if sample_weight is None else _read_weights(sample_weight, n_rows)
    for what, array in (*(("y", block) for block in blocks), ("the labels", codes)):
        if array is not None and len(array) != n_rows:
            msg = f"Got {n_rows} rows in X and {len(array)} in {what}, but expected as many."
            raise DataError(msg)
    return Rows(schema, n_rows, tuple(blocks), found, codes, weights)


# -- columns ---------------------------------------------------------------------------------------------------------


def frame_names(data: Any) -> list[str] | None:
    """Return the column names of a DataFrame; None for anything else, and where the names are no strings.

    Raises
    ------
    SchemaError
        If some names are strings and some are not.
    """
    if not hasattr(data, "columns") or not hasattr(data, "__getitem__"):
        return None
    names = list(data.columns)
    strings = [isinstance(name, str) for name in names]
    if all(strings):
        return [str(name) for name in names]
    if any(strings):
        types = sorted({type(name).__name__ for name in names})
        msg = f"Got column names of types {types}, but expected all of them to be str."
        raise SchemaError(msg)
    return None


def _position(data: Any, name: str) -> int | None:
    names = [normalised(each) for each in frame_names(data) or []]
    if names.count(name) > 1:
        msg = f"Got {names.count(name)} columns {name!r}, but expected distinct names."
        raise SchemaError(msg)
    return names.index(name) if name in names else None


def _name_of(y: Any) -> str | None:
    """Return the name that a Series carries."""
    name = getattr(y, "name", None)
    return name if isinstance(name, str) and name else None


def _series(frame: Any, position: int) -> Any:
    return frame.iloc[:, position] if hasattr(frame, "iloc") else frame[list(frame.columns)[position]]


def _read_columns(data: Any, prefix: str, leave_out: str | None = None) -> tuple[list[str], list[Array]]:
    """Return column names, and arrays of shape (n_rows, n_block_columns) that together hold them."""
    names = frame_names(data)
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        names = [f"{prefix}{i}" for i in range(len(data.columns))] if names is None else names
        kept = [i for i, name in enumerate(names) if leave_out is None or normalised(name) != leave_out]
        arrays = [_as_numbers(_values(_series(data, i)), names[i]) for i in kept]
        return [names[i] for i in kept], [array[:, None] for array in arrays]
    if prefix == "y" and np.asarray(data).ndim == 1:
        name = _name_of(data) or "y"
        return [name], [_as_numbers(_values(data), name)[:, None]]
    array = check_array(data, dtype=None, ensure_all_finite=False, ensure_min_samples=0, input_name=prefix.upper())
    names = [f"{prefix}{i}" for i in range(array.shape[1])]
    if array.dtype.kind == "O":
        return names, [_as_numbers(array[:, i], name)[:, None] for i, name in enumerate(names)]
    return names, [_as_numbers(array, names[0])]


def _values(series: Any) -> Array:
    """Return a column as a numpy array; pandas' own missing values stay visible as objects."""
    array = np.asarray(series.to_numpy() if hasattr(series, "to_numpy") else series)
    if array.ndim != 1:
        msg = f"Got a column of {array.ndim} dimensions, but expected 1."
        raise DataError(msg)
    return array


def _as_numbers(array: Array, name: str) -> Array:
    """Return bool, integer or float values that can be learned without rounding."""
    kind = array.dtype.kind
    if kind == "O":
        return _objects_as_numbers(array, name)
    if kind in "biu" or (kind == "f" and array.dtype.itemsize <= 8):  # noqa: PLR2004
        return array.astype(np.float64) if array.dtype in (np.float16, np.bool_) else array
    advice = {
        "f": "extended precision would be rounded: convert to float64 yourself",
        "c": "Complex data not supported",
        "U": "strings are no numbers: encode them, or declare the column as classes",
        "S": "bytes are no numbers",
        "M": "convert dates first, for instance to days since a fixed day: (s - epoch) / np.timedelta64(1, 'D')",
        "m": "convert durations first, for instance to seconds: s / np.timedelta64(1, 's')",
    }.get(kind, "expected numbers")
    msg = f"Got column {name!r} of dtype {array.dtype}, but expected bool, integer or float up to 64 bits; {advice}."
    raise DataTypeError(msg)


def _objects_as_numbers(array: Array, name: str) -> Array:
    kinds = {type(value) for value in array.tolist()}
    for row, value in enumerate(array.tolist()) if kinds - {bool, int, float} else ():
        if value is None or type(value).__name__ in {"NAType", "NaTType"}:
            raise _not_finite("NaN (a missing value)", name, row)
        if isinstance(value, (str, bytes)):
            return _as_numbers(np.array(["string"]), name)
        if isinstance(value, np.longdouble | np.complexfloating | complex):
            return _as_numbers(np.array([value]), name)
        if not isinstance(value, (bool, int, float, np.number, np.bool_)):
            msg = (
                f"Got an object in column {name!r}, row {row}: "
                f"argument must be a string or a real number, not {type(value).__name__!r}."
            )
            raise DataTypeError(msg)
    if all(issubclass(kind, (bool, np.bool_, int, np.integer)) for kind in kinds):
        try:
            return np.array([int(value) for value in array], dtype=np.int64)
        except OverflowError:
            msg = f"Got integers beyond 64 bits in column {name!r}, but expected at most int64."
            raise DataTypeError(msg) from None
    if any(isinstance(value, (int, np.integer)) and abs(int(value)) > _EXACT for value in array.tolist()):
        msg = (
            f"Got integers beyond 2**53 among floats in column {name!r}, but expected one type: they would be rounded."
        )
        raise DataTypeError(msg)
    return array.astype(np.float64)


# -- labels and weights ----------------------------------------------------------------------------------------------


def encode_labels(y: Any) -> tuple[tuple[Label, ...], Array]:
    """Return the distinct labels, sorted, and the position of each row's label among them.

    Labels are bool, int or str, of one kind; integral floats become int, strings are compared in Unicode's NFC.

    Raises
    ------
    DataError
        If a label is missing, not integral, of another type, or kinds are mixed.
    """
    array = np.asarray(y.to_numpy() if hasattr(y, "to_numpy") else y)
    if array.ndim == 2 and array.shape[1] == 1:  # noqa: PLR2004
        array = array[:, 0]
    if array.ndim != 1:
        msg = f"Got labels of shape {array.shape}, but expected one label for each row: shape (n_samples,)."
        raise DataError(msg)
    kind = array.dtype.kind
    if kind == "O":
        keys = [_label(value, row) for row, value in enumerate(array.tolist())]
        found = sorted_labels(set(keys))
        index = {label: code for code, label in enumerate(found)}
        return found, np.array([index[key] for key in keys], dtype=np.intp)
    if kind == "f":
        integral = np.isfinite(array) & (array == np.rint(array)) & (np.abs(array) < _INT64)
        if not integral.all():
            row = int(np.flatnonzero(~integral)[0])
            what = "NaN" if np.isnan(array[row]) else "a label that is no integer"
            msg = f"Unknown label type: y contains {what} in row {row} (counted from 0); expected bool, int or str."
            raise DataError(msg)
        array = array.astype(np.int64)
    elif kind not in "biuU":
        msg = f"Unknown label type: got labels of dtype {array.dtype}, but expected bool, int or str."
        raise DataTypeError(msg)
    values, codes = np.unique(array, return_inverse=True)
    labels = [_label(value, 0) for value in values.tolist()]
    found = sorted_labels(set(labels))  # composing strings may bring two spellings together, and change their order
    index = {label: code for code, label in enumerate(found)}
    return found, np.array([index[label] for label in labels], dtype=np.intp)[codes]


def sorted_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Sort labels of one kind.

    Raises
    ------
    SchemaError
        If kinds are mixed: True, 1 and "1" are three labels, and a class column has one kind.
    """
    labels = list(labels)
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        msg = f"Got class labels of kinds {kinds}, but expected one kind in a class column (bool is not int)."
        raise SchemaError(msg)
    return tuple(sorted(labels))


def _label(value: Any, row: int) -> Label:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)) and -_INT64 <= value < _INT64:
        return int(value)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, (float, np.floating)) and value == np.rint(value) and abs(value) < _INT64:
        return int(value)
    missing = value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value  # noqa: PLR0124
    what = "NaN (a missing label)" if missing else f"a label of type {type(value).__name__}"
    msg = f"Unknown label type: y contains {what} in row {row} (counted from 0); expected bool, int or str."
    raise DataError(msg) if missing else DataTypeError(msg)


def _read_weights(sample_weight: Any, n_rows: int) -> Array | None:
    """Return weights as int64 (repetitions) or float64; None where all of them are one."""
    weights = np.asarray(sample_weight.to_numpy() if hasattr(sample_weight, "to_numpy") else sample_weight)
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.shape != (n_rows,):
        msg = f"Got sample_weight of shape {weights.shape}, but expected one weight for each row: shape ({n_rows},)."
        raise DataError(msg)
    if weights.dtype.kind not in "biuf" or weights.dtype.itemsize > 8:  # noqa: PLR2004
        msg = f"Got sample_weight of dtype {weights.dtype}, but expected integers or floats up to 64 bits."
        raise DataTypeError(msg)
    wrong = ~(np.isfinite(weights) & (weights >= 0) & (weights < _INT64 if weights.dtype.kind in "iu" else True))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = f"Got a sample_weight in row {row} (counted from 0) that is negative, NaN or infinite; expected >= 0."
        raise DataError(msg)
    weights = weights.astype(np.float64 if weights.dtype.kind == "f" else np.int64)
    return None if (weights == 1).all() else weights

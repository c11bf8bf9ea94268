"""From what people pass in to named columns of numbers: arrays, DataFrames, sparse matrices, lists, targets.

Owns reading and refusing.  Nothing is rounded, masked or merged in type: what float64 cannot hold stays an integer or
is refused.  Messages name columns and row positions, never values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._decimals import decimal_as_float
from sklearn_symfed.psr._declared import normalised
from sklearn_symfed.psr._sparse import by_rows, column_of, is_sparse

__all__ = [
    "EXACT_IN_FLOAT64",
    "NamedColumns",
    "as_numbers",
    "as_table",
    "column_at",
    "columns_in",
    "frame_names",
    "name_of",
    "names_in",
    "not_finite",
    "plain_array",
    "plain_table",
    "read_columns",
    "without_column",
    "without_rows",
]

Array = np.ndarray[Any, Any]
EXACT_IN_FLOAT64 = 2**53  # integers up to here are floats


class NamedColumns:
    """The least that is read as a DataFrame: columns by name."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self.columns = list(columns)
        self._arrays = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values()), ()))

    def __getitem__(self, name: str) -> Any:
        return self._arrays[name]


def frame_names(data: Any) -> list[str] | None:
    """Return the column names of a DataFrame; None for anything else, and where the names are no strings.

    Raises
    ------
    SchemaError
        If some names are strings and some are not.
    """
    if not _is_frame(data):
        return None
    names = list(data.column_names if _is_arrow(data) else data.columns)
    strings = [isinstance(name, str) for name in names]
    if all(strings):
        return [str(name) for name in names]
    if any(strings):
        types = sorted({type(name).__name__ for name in names})
        msg = f"Got column names of types {types}, but expected all of them to be str."
        raise SchemaError(msg)
    return None


def name_of(y: Any) -> str | None:
    """Return the name that a Series, or the only column of a DataFrame, carries."""
    names = frame_names(y)
    name = names[0] if names and len(names) == 1 else getattr(y, "name", None)
    return name if isinstance(name, str) and name else None


def column_at(frame: Any, position: int) -> Any:
    """Return a column of a DataFrame by its position: names may occur twice."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, position]
    return frame.column(position) if _is_arrow(frame) else frame[list(frame.columns)[position]]


def as_table(data: Any) -> Any:
    """Return a pyarrow ``RecordBatch`` as the ``Table`` that it is; anything else as it is.

    Raises
    ------
    DataTypeError
        If it is a frame whose rows are not there yet, as a ``LazyFrame`` of polars or a frame of dask.
    """
    kind = type(data)
    lazy = [name for name in ("collect", "compute") if hasattr(kind, name)] if hasattr(kind, "columns") else []
    if lazy:
        msg = (
            f"Got a {kind.__module__.partition('.')[0]} {kind.__name__}, whose rows are not there yet, but expected "
            f"rows: call {lazy[0]}(), or pass an iterator of parts that are not too large."
        )
        raise DataTypeError(msg)
    if type(data).__name__ == "RecordBatch" and "pyarrow" in sys.modules:
        return sys.modules["pyarrow"].Table.from_batches([data])
    return data


def without_column(frame: Any, name: str) -> Any:
    """Return a DataFrame without a column."""
    names = [each for each in frame_names(frame) or [] if each != name]
    return frame.select(names) if _is_arrow(frame) else frame[names]


def without_rows(frame: Any) -> Any:
    """Return the columns of a DataFrame, empty."""
    return frame.slice(0, 0) if _is_arrow(frame) else frame[:0]


def names_in(data: Any, prefix: str, leave_out: str | None = None) -> list[str]:
    """Return the names of the columns that `read_columns` returns; parameters are those of it."""
    if _is_frame(data):
        names = frame_names(data) or [f"{prefix}{i}" for i in range(len(data.columns))]
        return [name for name in names if leave_out is None or normalised(name) != leave_out]
    what = prefix.upper() if prefix == "x" else prefix
    array = data if is_sparse(data) else plain_array(data, what)
    if prefix == "y" and array.ndim == 1 and not is_sparse(data):
        return [name_of(data) or "y"]
    return [f"{prefix}{i}" for i in range(plain_table(array, what).shape[1])]


def columns_in(data: Any, prefix: str, leave_out: str | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a table, or a single target, by name; parameters are those of `read_columns`."""
    if _is_frame(data):
        names = frame_names(data) or [f"{prefix}{i}" for i in range(len(data.columns))]
        for position, name in enumerate(names):
            if leave_out is None or normalised(name) != leave_out:
                yield name, column_at(data, position)
        return
    names = names_in(data, prefix)
    if is_sparse(data):
        columns = by_rows(data).tocsc()
        yield from ((name, column_of(columns, position)) for position, name in enumerate(names))
        return
    array = plain_array(data, prefix)
    yield from zip(names, [array] if array.ndim == 1 else array.T, strict=True)


def read_columns(
    data: Any, prefix: str, leave_out: str | None = None, decimals: Mapping[str, int] | None = None
) -> tuple[int, list[str], list[Array]]:
    """Return the number of rows, column names, and arrays of shape (n_rows, n_block_columns) that together hold them.

    A sparse matrix is one `csr_array`.

    Parameters
    ----------
    data : array-like or DataFrame
    prefix : {"x", "y"}
        Columns without names are called by it and their number.  A single target may be one-dimensional.
    leave_out : str or None, default=None
        A column of a DataFrame that is read elsewhere.
    decimals : mapping of str to int, default=None
        Columns that may hold `decimal.Decimal`, and their digits after the point.
    """

    def numbers(array: Array, name: str) -> Array:
        return as_numbers(array, name, decimals.get(normalised(name)) if decimals else None)

    if _is_frame(data):
        names = frame_names(data) or [f"{prefix}{i}" for i in range(len(data.columns))]
        kept = [i for i, name in enumerate(names) if leave_out is None or normalised(name) != leave_out]
        arrays = [numbers(plain_array(column_at(data, i), names[i]), names[i]) for i in kept]
        return len(data), [names[i] for i in kept], [array[:, None] for array in arrays]
    what = prefix.upper() if prefix == "x" else prefix
    array = data if is_sparse(data) else plain_array(data, what)
    if prefix == "y" and array.ndim == 1 and not is_sparse(data):
        name = name_of(data) or "y"
        return len(array), [name], [numbers(array, name)[:, None]]
    array = plain_table(array, what)
    names = [f"{prefix}{i}" for i in range(array.shape[1])]
    if is_sparse(array):
        array = by_rows(array)
        as_numbers(array.data, names[0] if names else what)
        return array.shape[0], names, [array] if names else []
    if array.dtype.kind == "O":
        return len(array), names, [numbers(array[:, i], name)[:, None] for i, name in enumerate(names)]
    return len(array), names, [as_numbers(array, names[0])] if names else []


def plain_array(data: Any, what: str) -> Array:
    """Return `data` as an array that holds the same values: none masked, none rounded on the way.

    Raises
    ------
    DataError
        If `data` is ragged, masked, sparse or a matrix.
    """
    if is_sparse(data) or isinstance(data, np.matrix):
        msg = f"Got sparse data or np.matrix for {what}, but dense data is required: use .toarray() or np.asarray()."
        raise DataTypeError(msg)
    values = data.to_numpy() if hasattr(data, "to_numpy") else data
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        msg = f"Got masked values in {what}, but expected none: drop these rows, or fill them."
        raise DataError(msg)
    try:
        array = np.asarray(values)
        if isinstance(values, (list, tuple)) and array.dtype.kind == "f":
            rounded = bool((np.isfinite(array) & (np.abs(array) >= EXACT_IN_FLOAT64)).any())
            array = np.asarray(values, dtype=object) if rounded else array  # integers beside floats lose digits
    except (TypeError, ValueError):
        msg = f"Got {what} of type {type(data).__name__} that is no array, but expected rows of equal length."
        raise DataError(msg) from None
    return array


def plain_table(data: Any, what: str) -> Any:
    """Return a DataFrame or sparse matrix as it is, and anything else as a two-dimensional `plain_array`.

    Raises
    ------
    DataError
        If it has another number of dimensions.
    """
    if _is_frame(data):
        return data
    array = data if is_sparse(data) else plain_array(data, what)
    if array.ndim != 2:
        msg = (
            f"Expected 2D array, got {array.ndim}D array instead: shape {array.shape}. Reshape your data: "
            "array.reshape(-1, 1) if it is a single column, array.reshape(1, -1) if it is a single row."
        )
        raise DataError(msg)
    return array


def not_finite(what: str, name: str, row: int) -> DataError:
    """Return the error for a value that is missing or infinite."""
    msg = (
        f"Input contains {what}: column {name!r}, row {row} (counted from 0). "
        "Expected finite numbers; nothing was learned."
    )
    return DataError(msg)


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and hasattr(data, "__getitem__")


def _is_arrow(data: Any) -> bool:
    return not hasattr(data, "iloc") and hasattr(data, "column_names")


def as_numbers(array: Array, name: str, digits: int | None = None) -> Array:
    """Return bool, integer or float values that can be learned without rounding; `digits` are declared decimals."""
    kind = array.dtype.kind
    if kind == "O":
        return _objects_as_numbers(array, name, digits)
    if kind in "biu" or (kind == "f" and array.dtype.itemsize <= 8):
        return array
    advice = {
        "f": "extended precision would be rounded: convert to float64 yourself",
        "c": "Complex data not supported",
        "U": "strings are no numbers: declare the column in categories, as classes, or encode it",
        "T": "strings are no numbers: declare the column in categories, as classes, or encode it",
        "S": "bytes are no numbers",
        "M": "convert dates first, as to days: (s - epoch) / np.timedelta64(1, 'D'), or declare units={column: 'D'}",
        "m": "convert durations first, as to seconds: s / np.timedelta64(1, 's'), or declare units={column: 's'}",
    }.get(kind, "expected numbers")
    msg = f"Got column {name!r} of dtype {array.dtype}, but expected bool, integer or float up to 64 bits; {advice}."
    raise DataTypeError(msg)


def _objects_as_numbers(array: Array, name: str, digits: int | None) -> Array:
    values = array.tolist()
    if digits is not None:
        values = [
            decimal_as_float(value, name, row, digits) if isinstance(value, Decimal) else value
            for row, value in enumerate(values)
        ]
    kinds = {type(value) for value in values}
    for row, value in enumerate(values) if kinds - {bool, int, float} else ():
        if value is None or type(value).__name__ in {"NAType", "NaTType"}:
            raise not_finite("NaN (a missing value)", name, row)
        if isinstance(value, (str, bytes)):
            return as_numbers(np.array(["string"]), name)
        if isinstance(value, Decimal):
            msg = (
                f"Got a decimal.Decimal in column {name!r}, row {row}, but expected declared decimals: "
                f"decimals={{{name!r}: digits after the point}}, or convert the column to float64."
            )
            raise DataTypeError(msg)
        if isinstance(value, np.longdouble | np.complexfloating | complex):
            return as_numbers(np.array([value]), name)
        if not isinstance(value, (bool, int, float, np.number, np.bool_)) or isinstance(value, np.timedelta64):
            msg = (
                f"Got an object in column {name!r}, row {row}: "
                f"argument must be a string or a real number, not {type(value).__name__!r}."
            )
            raise DataTypeError(msg)
    if all(issubclass(kind, (bool, np.bool_, int, np.integer)) for kind in kinds):
        integers = [int(value) for value in values]
        try:
            return np.array(integers, dtype=np.uint64 if integers and min(integers) >= 0 else np.int64)
        except OverflowError:
            msg = f"Got integers beyond 64 bits in column {name!r}, but expected int64 or uint64."
            raise DataTypeError(msg) from None
    if any(isinstance(value, (int, np.integer)) and abs(int(value)) > EXACT_IN_FLOAT64 for value in values):
        msg = (
            f"Got integers beyond 2**53 among floats in column {name!r}, but expected one type: they would be rounded."
        )
        raise DataTypeError(msg)
    return np.array(values, dtype=np.float64)

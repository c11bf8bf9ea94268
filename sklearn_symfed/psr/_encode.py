"""Columns of rows as the numeric columns that are learned: indicators of levels, dates as numbers, what is missing.

Owns reading what no number is.  Messages name columns and row positions, never values.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import as_numbers, columns_in, not_finite, plain_array
from sklearn_symfed.psr._declared import normalised
from sklearn_symfed.psr._encodings import MOST_OPEN_LEVELS, NUMERIC, OTHER, Encoding, level_text
from sklearn_symfed.psr._schema import Schema

__all__ = ["Encoded", "encode_column", "encoded_table", "holds_categories", "missing_in", "texts_in", "values_where"]

Array = np.ndarray[Any, Any]


class Encoded(NamedTuple):
    """One column of rows as numbers.

    Attributes
    ----------
    encoding : Encoding
        With the levels that were found.
    blocks : list of ndarray of shape (n_rows, n)
        What the columns named by the encoding hold, side by side.
    missing : ndarray of bool of shape (n_rows,) or None
        Where a value is missing that may be.
    """

    encoding: Encoding
    blocks: list[Array]
    missing: Array | None


def _series(column: Any) -> Any:
    """Return a column of pandas, polars or pyarrow as narwhals has it; None for anything else."""
    import narwhals.stable.v2 as nw  # scikit-learn depends on it

    found = nw.from_native(column, series_only=True, pass_through=True)
    return found if isinstance(found, nw.Series) else None


def holds_categories(column: Any) -> bool:
    """Tell whether a column of a DataFrame is categorical or holds strings."""
    series = _series(column)
    kind = "" if series is None else str(series.dtype).partition("(")[0]
    if kind in {"String", "Categorical", "Enum"}:
        return True
    if kind not in {"", "Object", "Unknown"}:
        return False
    values = plain_array(column, "x")
    if values.dtype.kind != "O":
        return values.dtype.kind in "UT"
    return isinstance(next((value for value in values.ravel().tolist() if not _is_missing(value)), None), str)


def missing_in(column: Any) -> Array:
    """Return where values of a column are missing: NaN, None, NA or NaT."""
    series = _series(column)
    if series is not None:
        missing = series.is_null()
        return np.asarray((missing | series.is_nan() if series.dtype.is_float() else missing).to_numpy(), dtype=bool)
    values = plain_array(column, "x")
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind in "mM":
        return np.isnat(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), bool)
    return np.array([_is_missing(value) for value in values.tolist()], dtype=bool)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value  # noqa: PLR0124


def encode_column(column: Any, name: str, encoding: Encoding, digits: int | None) -> Encoded:
    """Return a column as numbers.

    Parameters
    ----------
    column : array-like of shape (n_rows,)
    name : str
    encoding : Encoding
        What is declared of it.
    digits : int or None
        Digits after the point that are declared.

    Raises
    ------
    DataError
        If a value cannot be learned as what was declared.
    """
    missing = missing_in(column) if encoding.missing != "error" or encoding.levels is not None else None
    if encoding.levels is not None:
        if missing is not None and encoding.missing == "error" and missing.any():
            raise not_finite("NaN (a missing value)", name, int(np.flatnonzero(missing)[0]))
        encoding, indicators = _indicators(column, name, encoding, missing)
        return _with_missing(encoding, indicators, missing)
    if missing is None and encoding.unit is None:
        return _with_missing(encoding, as_numbers(plain_array(column, name), name, digits)[:, None], None)
    present = np.ones(len(column), bool) if missing is None else ~missing
    values = values_where(column, present)
    if encoding.unit is not None:
        values = _counted(values, name, encoding.unit)
    return _with_missing(encoding, _filled(as_numbers(values, name, digits), present)[:, None], missing)


def _with_missing(encoding: Encoding, block: Array, missing: Array | None) -> Encoded:
    if missing is None or encoding.missing == "error":
        return Encoded(encoding, [block], None)
    blocks = [block, missing.astype(np.int8)[:, None]] if encoding.missing == "indicator" else [block]
    return Encoded(encoding, blocks, missing)


def values_where(column: Any, present: Array) -> Array:
    """Return the values that are there, which lets integers be integers."""
    series = _series(column)
    if series is None:
        return plain_array(column, "x")[present]
    if getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return plain_array((series if present.all() else series.filter(present.tolist())).to_numpy(), "x")


def _filled(values: Array, present: Array) -> Array:
    """Return values where they are there, and zeros elsewhere."""
    if present.all():
        return values
    out = np.zeros(len(present), dtype=values.dtype)
    out[present] = values
    if values.dtype.kind == "O":
        out[~present] = 0
    return out


def _indicators(column: Any, name: str, encoding: Encoding, missing: Array | None) -> tuple[Encoding, Array]:
    """Return the encoding with its levels, and a column of zeros and ones for each of them."""
    present = np.ones(len(column), bool) if missing is None else ~missing
    texts, codes = _levels_in(values_where(column, present))
    if encoding.open:
        _require_few(name, len({*texts, *(encoding.levels or ())}))
        encoding = encoding.with_levels(texts)
    levels = encoding.levels or ()
    place = {level: position for position, level in enumerate(levels)}
    where = np.array([place.get(text, place.get(OTHER, -1)) for text in texts], dtype=np.intp)
    if (where < 0).any():
        unknown = np.flatnonzero(present)[where[codes] < 0]
        msg = (
            f"Got {len(unknown)} values in column {name!r} that are none of its {len(levels)} levels, the first in row "
            f"{int(unknown[0])} (counted from 0); declare the level, or 'other' for all that are not declared."
        )
        raise DataError(msg)
    out = np.zeros((len(present), len(levels)), dtype=np.int8)
    out[np.flatnonzero(present), where[codes]] = 1
    return encoding, out


def _levels_in(values: Array) -> tuple[list[str], Array]:
    """Return the levels of values that are there, and which each value has."""
    found = values.tolist()
    kinds = set(map(type, found))
    if bool in kinds and len(kinds) > 1:  # True and 1 are one key, but two levels
        found = [str(value) if isinstance(value, bool) else value for value in found]
    if any(kind.__hash__ is None for kind in kinds):  # a list is no key, and no level
        found = [level_text(value, row) for row, value in enumerate(found)]
    places = {value: place for place, value in enumerate(dict.fromkeys(found))}
    codes = np.fromiter(map(places.__getitem__, found), dtype=np.intp, count=len(found))
    return [level_text(value) for value in places], codes


def texts_in(column: Any) -> Array:
    """Return the level of each row: ndarray of object of shape (n_rows,); None where it is missing."""
    missing = missing_in(column)
    texts, codes = _levels_in(values_where(column, ~missing))
    out = np.full(len(missing), None, dtype=object)
    out[~missing] = np.array(texts, dtype=object)[codes]
    return out


def _require_few(name: str, count: int) -> None:
    if count > MOST_OPEN_LEVELS:
        msg = (
            f"Got {count} levels in column {name!r}, but expected at most {MOST_OPEN_LEVELS}: declare those that "
            f"matter, with 'other' for the rest (categories={{{name!r}: [..., 'other']}}), or leave the column out."
        )
        raise SchemaError(msg)


def _counted(values: Array, name: str, unit: str) -> Array:
    """Return dates since 1970, or durations, as whole numbers of a unit."""
    if values.dtype.kind == "O":
        values = _as_dates(values, name)
    if values.dtype.kind not in "mM":
        msg = f"Got column {name!r} of dtype {values.dtype}, but expected dates or durations, as a unit is declared."
        raise DataTypeError(msg)
    whole = values.astype(f"{values.dtype.kind}8[{unit}]")
    broken = np.flatnonzero(whole.astype(values.dtype) != values)
    if len(broken):
        msg = (
            f"Got {len(broken)} values in column {name!r} that are no whole numbers of {unit!r}, the first in row "
            f"{int(broken[0])} (counted from 0): declare a finer unit, or round them."
        )
        raise DataError(msg)
    return whole.astype(np.int64)


def _as_dates(values: Array, name: str) -> Array:
    """Return Python's dates and durations, and pandas' moments of a time zone, in numpy's; zeros stay."""
    found = values.tolist()
    plain = [value.tz_convert("UTC").tz_localize(None) if getattr(value, "tzinfo", None) else value for value in found]
    kind = "m8[us]" if any(hasattr(value, "total_seconds") for value in plain) else "M8[us]"
    try:
        return np.array([np.datetime64(0, "us") if value == 0 else value for value in plain], dtype=kind)
    except (TypeError, ValueError):
        msg = f"Got column {name!r} of dtype object, but expected dates or durations, as a unit is declared."
        raise DataTypeError(msg) from None


def encoded_table(X: Any, schema: Schema, *, unknown: str = "error") -> Array:
    """Return rows that are not learned as the numbers that a fitted model takes.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_columns)
    schema : Schema
        Its columns, in this order, are looked up by name where the table has names, else by position.
    unknown : {"error", "ignore"}, default="error"
        What becomes of a level that is not known: refused, or zeros in all indicators of the column.

    Returns
    -------
    ndarray of float64 of shape (n_samples, n_names)
        Of the columns ``schema.names``.

    Raises
    ------
    DataError
        If a value is missing where that was not declared, or a level is not known.
    SchemaError
        If a column is missing.
    """
    found = [(normalised(name), column) for name, column in columns_in(X, "x")]
    by_name = dict(found) if hasattr(X, "columns") else dict(zip(schema.columns, (c for _, c in found), strict=True))
    absent = [name for name in schema.columns if name not in by_name]
    if absent:
        raise SchemaError(f"Got rows without columns {absent}, but expected {list(schema.columns)}.")
    blocks: list[Array] = []
    for name in schema.columns:
        known = schema.encodings.get(name, NUMERIC)
        fixed = Encoding(known.levels, known.levels is not None, known.missing, known.unit)
        if known.missing in {"listwise", "pairwise"}:
            fixed = Encoding(known.levels, known.levels is not None, "error", known.unit)
        if unknown == "ignore" and known.levels is not None and OTHER not in known.levels:
            fixed = Encoding((*known.levels, OTHER), True, fixed.missing, known.unit)
            encoded = encode_column(by_name[name], name, fixed, schema.decimals.get(name))
            first = np.delete(encoded.blocks[0], -1, axis=1)
            blocks += [first, *encoded.blocks[1:]]
        else:
            blocks += encode_column(by_name[name], name, fixed, schema.decimals.get(name)).blocks
    return np.hstack([block.astype(np.float64) for block in blocks])

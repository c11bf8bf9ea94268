"""Ranges: between which bounds the numbers of a column lie, and which rows are outside.

Owns what a range may be and how it is compared: exactly, whatever type holds the numbers.  The float32 called 0.1 is
above a bound of 0.1; in a column that is declared to hold decimals both mean a tenth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._decimals import decimal_limit
from sklearn_symfed.psr._declared import declared_by_name

__all__ = ["Range", "checked_ranges", "outside_of", "range_in_words", "require_decimal_bounds"]

_FOLDED = 1024  # numbers

Array = np.ndarray[Any, Any]
Range = tuple[Any, Any]  # float, or None where there is no bound; a schema holds floats and infinities


def checked_ranges(ranges: Mapping[str, Range] | None) -> dict[str, Range]:
    """Return the declared ranges, by composed name.

    Raises
    ------
    SchemaError
        If `ranges` is no mapping of distinct names to ranges.
    """
    return declared_by_name("ranges", ranges, "{'fare_amount': (0, 500)}", _checked_range)


def _checked_range(bounds: Any, name: str) -> Range:
    """Return two float64, minus infinity or infinity where there is no bound.

    Raises
    ------
    SchemaError
        If `bounds` are not two numbers that float64 holds, at least one of them finite, the first not above the second.
    """
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        what = f"{len(bounds)} bounds" if isinstance(bounds, (tuple, list)) else f"type {type(bounds).__name__}"
        msg = f"Got a range of {what} for column {name!r}, but expected (low, high), None where there is no bound."
        raise SchemaError(msg)
    low, high = _bound(bounds[0], name, -math.inf), _bound(bounds[1], name, math.inf)
    if math.isinf(low) and math.isinf(high):
        msg = f"Got a range without a finite bound for column {name!r}, but expected at least one."
        raise SchemaError(msg)
    if low > high:
        msg = f"Got a range for column {name!r} that begins above its end, but expected (low, high) with low <= high."
        raise SchemaError(msg)
    return low, high


def _bound(bound: Any, name: str, unbounded: float) -> float:
    if bound is None:
        return unbounded
    if isinstance(bound, bool) or not isinstance(bound, Real):
        msg = f"Got a bound of type {type(bound).__name__} for column {name!r}, but expected a number or None."
        raise SchemaError(msg)
    try:
        number = float(bound)
    except OverflowError:
        number = math.nan
    if number != bound or number == -unbounded:
        msg = f"Got a bound for column {name!r} that is no float64, but expected one, or None."
        raise SchemaError(msg)
    return number + 0.0  # no negative zero


def require_decimal_bounds(bounds: Range, name: str, digits: int) -> None:
    """Raise a `SchemaError` unless the bounds of a column of decimals are decimals of as many digits."""
    for bound in filter(math.isfinite, bounds):
        scaled = bound * 10.0**digits
        if not abs(scaled) < decimal_limit(digits) or round(scaled) / 10**digits != bound:
            msg = (
                f"Got a bound for column {name!r} that is no decimal of {digits} digits after the point, but expected "
                "one, as its decimals are declared."
            )
            raise SchemaError(msg)


def range_in_words(bounds: Range | None) -> str:
    """Return bounds as people write them."""
    if bounds is None:
        return "none"
    low, high = (f"{int(each)}" if each.is_integer() and abs(each) < 1e16 else f"{each!r}" for each in bounds)
    return (
        f"at most {high}"
        if math.isinf(bounds[0])
        else f"at least {low}"
        if math.isinf(bounds[1])
        else f"{low} to {high}"
    )


def outside_of(block: Array, ranges: Mapping[int, Range], digits: Mapping[int, int]) -> dict[int, Array]:
    """Mark the numbers that are outside of the range of their column; NaN is not.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_columns)
        Bool, integers or floats; at least one row.
    ranges : mapping of int to (float, float)
        Of some columns, by their position.
    digits : mapping of int to int
        After the point, of the columns for which decimals are declared.

    Returns
    -------
    dict of int to ndarray of bool of shape (n_rows,)
        Of the columns that hold such numbers.
    """
    found = {}
    for column, least, most in zip(ranges, *_extremes(block, list(ranges)), strict=True):
        low, high = _comparable(ranges[column], block.dtype, digits.get(column))
        if not (least >= low and most <= high):
            marked = _outside(block[:, column], low, high, least, most)
            if marked.any():
                found[column] = marked
    return found


def _extremes(block: Array, columns: list[int]) -> tuple[list[Any], list[Any]]:
    """Return the least and the greatest number of some columns; NaN where there is one."""
    n_rows, width = block.shape
    if not block.flags.c_contiguous or 8 * len(columns) < width:
        some = [block[:, column] for column in columns]
        return [values.min().item() for values in some], [values.max().item() for values in some]
    fold = max(1, _FOLDED // width)  # numpy compares rows that follow one another, laid out as one, many times faster
    whole = n_rows // fold * fold
    parts = [block[:whole].reshape(-1, width * fold), block[whole:]]
    least, most = (
        pick(np.vstack([pick(part, axis=0).reshape(-1, width) for part in parts if len(part)]), axis=0).tolist()
        for pick in (np.min, np.max)
    )
    return [least[column] for column in columns], [most[column] for column in columns]


def _outside(values: Array, low: Any, high: Any, least: Any, most: Any) -> Array:
    outside = np.zeros(len(values), bool)
    if not least >= low:  # NaN is neither
        outside |= values < _of_type(low, values.dtype) if most >= low or math.isnan(most) else True
    if not most <= high:
        outside |= values > _of_type(high, values.dtype) if least <= high or math.isnan(least) else True
    return outside


def _comparable(bounds: Range, dtype: np.dtype[Any], digits: int | None) -> Range:
    """Return bounds that are compared with numbers of a type without rounding either."""
    low, high = bounds
    if dtype.kind != "f":
        return (math.ceil(low) if math.isfinite(low) else low), (math.floor(high) if math.isfinite(high) else high)
    if digits is not None and dtype != np.float64:  # the float of that type which means the same decimal
        with np.errstate(over="ignore"):
            return float(dtype.type(low)), float(dtype.type(high))
    return bounds


def _of_type(bound: Any, dtype: np.dtype[Any]) -> Any:
    """Return a bound, which lies between two integers of a type if that is no type of floats, as numpy compares it."""
    return np.float64(bound) if dtype.kind == "f" else np.array(bound, dtype if dtype.kind in "iu" else np.int64)

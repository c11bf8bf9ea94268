"""Decimals: numbers of so many digits after the point, read as integers.

Owns which number means which decimal.  A float means ``m / 10**k`` if it is the float of its own type nearest to it.
Where none or more than one integer ``m`` would do, it is refused: what is learned is exact, or not learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError

__all__ = [
    "decimal_as_float",
    "decimal_limit",
    "no_decimal",
    "scale_and_mark",
    "scale_floats",
    "scale_integers",
    "scale_values",
]

Array = np.ndarray[Any, Any]
_INT64 = 2**63 - 1
_TILE = 1 << 15  # numbers that are scaled at a time


def scale_floats(values: Array, digits: int, out: Array, *, single: bool) -> bool:
    """Write ``10**digits`` times the decimals that floats mean, as integers, where it is plain that all are some.

    Parameters
    ----------
    values : ndarray of float64 or float32 of shape (n_rows, n_columns)
    digits : int
    out : ndarray of float64 of the same shape
        May be `values`.
    single : bool
        Whether `values` were stored as float32.

    Returns
    -------
    bool
        False where `scale_and_mark` must decide; `out` holds nothing of use then.
    """
    factor, limit = 10.0**digits, decimal_limit(digits, single=single)
    with np.errstate(all="ignore"):
        return all(_scale(*tile, factor, limit, single) for tile in _tiles(values, out))


def scale_and_mark(values: Array, digits: int, out: Array) -> Array | None:
    """Write ``10**digits`` times the decimals that floats mean, and mark those that mean none.

    Parameters
    ----------
    values : ndarray of float64 or float32 of shape (n_rows, n_columns)
    digits : int
    out : ndarray of float64 of the same shape

    Returns
    -------
    ndarray of bool of shape (n_rows, n_columns) or None
        NaN and infinity are marked, too; None where nothing is.
    """
    factor, limit = 10.0**digits, decimal_limit(digits, single=values.dtype == np.float32)
    with np.errstate(all="ignore"):
        back = np.rint(np.multiply(values, factor, dtype=np.float64), out=out) / factor
        wrong = np.asarray((back.astype(values.dtype) != values) | ~(np.abs(out) < limit))
    return wrong if wrong.any() else None


def _scale(values: Array, out: Array, factor: float, limit: float, single: bool) -> bool:
    """Scale a part, and tell whether all of it is sure to be right."""
    if values.dtype != np.float64:
        values = values.astype(np.float64)  # numpy is slow where it multiplies and converts in one
    scaled = values * factor
    np.rint(scaled, out=scaled)
    back = scaled / factor  # rounded once: both are exact
    if not ((back.astype(np.float32) if single else back) == values).all():
        return False
    out[...] = scaled
    if single:
        return bool(max(scaled.max(), -scaled.min()) < limit)
    flat = scaled.ravel(order="K")  # a sum of squares is found faster than a maximum, and far below this bound
    return bool(np.dot(flat, flat) < limit * limit / 2)


def _tiles(values: Array, out: Array) -> Iterator[tuple[Array, Array]]:
    """Cut arrays, across the direction in which they lie in memory, into parts that stay in a processor's cache."""
    across = 1 if out.strides[0] < out.strides[1] else 0
    step = max(1, _TILE // max(1, out.shape[1 - across]))
    for start in range(0, out.shape[across], step):
        some = (slice(None),) * across + (slice(start, start + step),)
        yield values[some], out[some]


def scale_integers(values: Array, digits: int) -> Array | None:
    """Multiply int64 or uint64 by ``10**digits`` in place; return a mask of those that leave int64, or None."""
    limit = _INT64 // 10**digits
    wrong = np.asarray(values > limit if values.dtype.kind == "u" else (values > limit) | (values < -limit))
    values *= values.dtype.type(10**digits)
    return wrong if digits and wrong.any() else None


def scale_values(values: Array, digits: int | None) -> Array | None:
    """Return numbers, those that are declared to be decimals times a power of ten; None if one cannot be learned.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Floats or integers of one type.
    digits : int or None
        After the point; None where none are declared.
    """
    if values.dtype.kind == "f":
        if digits is None:
            return values if np.isfinite(values).all() else None
        out = np.empty((len(values), 1))
        return out[:, 0] if scale_and_mark(values[:, None], digits, out) is None else None
    if not digits:
        return values
    scaled = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64)
    return scaled if scale_integers(scaled, digits) is None else None


def decimal_as_float(value: Decimal, name: str, row: int, digits: int) -> float:
    """Return the float64 that means a decimal; NaN and infinities as they are.

    Raises
    ------
    DataError
        If it has more digits after the point, or more in all than float64 tells apart.
    """
    if not value.is_finite():
        return math.nan if value.is_nan() else float(value)
    if value and -digits <= value.adjusted() <= 16:
        over, under = value.as_integer_ratio()
        scaled, rest = divmod(over * 10**digits, under)
        if not rest and abs(scaled) < decimal_limit(digits):
            return float(scaled / 10**digits)  # Python rounds a quotient of integers correctly
    elif not value:
        return 0.0
    raise no_decimal(float(value), "decimal.Decimal", name, row, digits)


def no_decimal(value: float, what: str, name: str, row: int, digits: int) -> DataError:
    """Return the error for a number that means no decimal of so many digits; it does not hold the number."""
    limit = 2.0**63 if "int" in what else decimal_limit(digits, single=what == "float32")
    where = f"column {name!r}, row {row} (counted from 0)"
    if abs(value) * 10**digits < limit - 0.5:
        msg = (
            f"Got a {what} in {where} that is no decimal of {digits} digits after the point, but expected one, as "
            f"decimals={{{name!r}: {digits}}} declares: round the column, or declare more digits, or none."
        )
    else:
        msg = (
            f"Got a {what} in {where} too large to tell decimals of {digits} digits after the point apart, but "
            f"expected less than 2**{int(math.log2(limit))} / 10**{digits}: declare fewer digits, or none"
            f"{', or pass float64' if what == 'float32' else ''}."
        )
    return DataError(f"{msg} Nothing was learned.")


def decimal_limit(digits: int, *, single: bool = False) -> float:
    """Return what scaled floats stay below.

    Up to there, integers are floats.  Decimals are at least twice as far apart as floats, hence no two share one, and
    the product in float64, which errs by less than half, finds the right integer.
    """
    if digits == 0:
        return 2.0**24 if single else 2.0**53
    return 2.0**23 if single else 2.0**51

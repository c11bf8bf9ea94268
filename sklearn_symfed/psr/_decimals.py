"""Decimals: numbers of so many digits after the point, read as integers.

Owns which number means which decimal.  A float means ``m / 10**k`` if it is the float of its own type nearest to it.
Where none or more than one integer ``m`` would do, it is refused: what is learned is exact, or not learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError

__all__ = ["decimal_as_float", "no_decimal", "scale_floats", "scale_integers"]

Array = np.ndarray[Any, Any]
_INT64 = 2**63 - 1
_TILE = 1 << 15  # numbers that are scaled at a time


def scale_floats(values: Array, digits: Sequence[int], out: Array) -> Array | None:
    """Write ``10**digits`` times the decimals that floats mean, as integers, to `out`.

    Parameters
    ----------
    values : ndarray of float64 or float32 of shape (n_rows, n_columns)
    digits : sequence of int of shape (n_columns,)
    out : ndarray of float64 of the same shape
        Fast where both lie alike in memory, without gaps, and fit into a processor's cache.

    Returns
    -------
    ndarray of bool of shape (n_rows, n_columns) or None
        Marks values that mean no decimal, NaN and infinity among them; None where all of them do.
    """
    single = values.dtype == np.float32
    if len(set(digits)) == 1:
        digits = digits[:1]  # numpy multiplies all columns by one number faster than each by its own
    factor, limit = np.array([10.0**each for each in digits]), np.array([_limit(each, single) for each in digits])
    below = float(limit.min(initial=np.inf))
    with np.errstate(all="ignore"):
        if all(_scale(*tile, single, below) for tile in _tiles(values, factor, out)):
            return None
        back = np.rint(np.multiply(values, factor, dtype=np.float64), out=out) / factor
        wrong = np.asarray(((back.astype(np.float32) if single else back) != values) | ~(np.abs(out) < limit))
    return wrong if wrong.any() else None


def _scale(values: Array, factor: Array, out: Array, single: bool, below: float) -> bool:
    """Scale a part, and tell whether all of it is sure to be right."""
    if single:
        np.copyto(out, values)  # numpy is slow where it multiplies and converts in one
    np.multiply(out if single else values, factor, out=out)
    np.rint(out, out=out)
    back = out / factor  # rounded once: both are exact
    if single:
        back = back.astype(np.float32)
    if not (back == values).all():
        return False
    if single:
        return bool(max(out.max(), -out.min()) < below)
    flat = out.ravel(order="K")  # a sum of squares is found faster than a maximum, and far below this bound of squares
    return bool(np.dot(flat, flat) < below * below / 2)


def _tiles(values: Array, factor: Array, out: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Cut arrays, across the direction in which they lie in memory, into parts that stay in a processor's cache."""
    n_rows, n_columns = values.shape
    if out.strides[0] < out.strides[1]:
        step = max(1, _TILE // max(1, n_rows))
        for start in range(0, n_columns, step):
            some = slice(start, start + step)
            yield values[:, some], factor if len(factor) == 1 else factor[some], out[:, some]
    else:
        step = max(1, _TILE // max(1, n_columns))
        for start in range(0, n_rows, step):
            yield values[start : start + step], factor, out[start : start + step]


def scale_integers(values: Array, digits: int) -> Array | None:
    """Multiply int64 or uint64 by ``10**digits`` in place; return a mask of those that leave int64, or None."""
    limit = _INT64 // 10**digits
    wrong = np.asarray(values > limit if values.dtype.kind == "u" else (values > limit) | (values < -limit))
    values *= values.dtype.type(10**digits)
    return wrong if digits and wrong.any() else None


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
        if not rest and abs(scaled) < _limit(digits, single=False):
            return float(scaled / 10**digits)  # Python rounds a quotient of integers correctly
    elif not value:
        return 0.0
    raise no_decimal(float(value), "decimal.Decimal", name, row, digits)


def no_decimal(value: float, what: str, name: str, row: int, digits: int) -> DataError:
    """Return the error for a number that means no decimal of so many digits; it does not hold the number."""
    limit = 2.0**63 if "int" in what else _limit(digits, single=what == "float32")
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


def _limit(digits: int, single: bool) -> float:
    """Return what scaled floats stay below.

    Up to there, integers are floats.  Decimals are at least twice as far apart as floats, hence no two share one, and
    the product in float64, which errs by less than half, finds the right integer.
    """
    if digits == 0:
        return 2.0**24 if single else 2.0**53
    return 2.0**23 if single else 2.0**51

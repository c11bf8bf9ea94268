"""Decimals: numbers of so many digits after the point, read as integers.

Owns which number means which decimal.  A float means ``m / 10**k`` if it is the float of its own type nearest to it.
Where none or more than one integer ``m`` would do, it is refused: what is learned is exact, or not learned.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError

__all__ = ["decimal_as_float", "no_decimal", "scale_floats", "scale_integers"]

Array = np.ndarray[Any, Any]
_INT64 = 2**63 - 1


def scale_floats(values: Array, digits: int, out: Array, *, single: bool | None = None) -> Array | None:
    """Write ``10**digits`` times the decimals that floats mean, as integers, to `out`.

    Parameters
    ----------
    values : ndarray of float64 or float32, of any shape
    digits : int
    out : ndarray of float64, C-contiguous, of the same shape
        Fast where it fits into a processor's cache.  Not `values` itself.
    single : bool, default=None
        Whether the values are those of float32, in whatever array; None takes it from the dtype.

    Returns
    -------
    ndarray of bool or None
        Marks values that mean no decimal, NaN and infinity among them; None where all of them do.
    """
    single = values.dtype == np.float32 if single is None else single
    limit, factor = _limit(digits, single), float(10**digits)
    with np.errstate(all="ignore"):
        np.multiply(values, factor, out=out, dtype=np.float64)
        np.rint(out, out=out)
        back = out / factor  # rounded once: both are exact
        if single:
            back = back.astype(np.float32)
        if (back == values).all() and np.vdot(out, out) < limit * limit / 2:
            return None
        wrong = np.asarray((back != values) | ~(np.abs(out) < limit))
    return wrong if wrong.any() else None


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

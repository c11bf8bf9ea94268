"""Numbers between Python integers, python-flint and float64: what goes in is exact, what comes out is rounded once."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat, fmpz_mat

from sklearn_symfed.psr import quotient

__all__ = [
    "as_integers",
    "ball",
    "ball_column",
    "flint_integers",
    "integer_ratio",
    "magnitude",
    "middle",
    "on_grid",
    "precision",
    "quotients",
    "round_matrix",
    "scale_rows",
    "sign_matrix",
    "split_columns",
    "to_float",
    "two_digits",
]

Array = np.ndarray[Any, Any]
Matrix = Any
"""A matrix of python-flint: `arb_mat` or `fmpq_mat`."""

_FAR = 4096  # bits: beyond every float64, far enough for exponents never to be shifted out into memory
_PRECISION = threading.RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Let balls have a precision for a while: it is one global of python-flint, and other people's too."""
    with _PRECISION:
        before, ctx.prec = ctx.prec, bits
        try:
            yield
        finally:
            ctx.prec = before


# -- exact numbers ---------------------------------------------------------------------------------------------------


def quotients(numerators: Array, denominator: int = 1) -> Array:
    """Divide integers by one integer: ndarray of float64 of the same shape, each entry correctly rounded."""
    flat = [quotient(int(value), denominator) for value in np.ravel(numerators)]
    return np.array(flat, dtype=np.float64).reshape(np.shape(numerators))


def integer_ratio(value: Any) -> tuple[int, int]:
    """Return a hyper-parameter as numerator and denominator: a float is a dyadic rational, and taken at its word."""
    fraction = Fraction(value) if isinstance(value, (int, Fraction)) else Fraction(float(value))
    return fraction.numerator, fraction.denominator


def as_integers(fractions: Array) -> tuple[Array, int]:
    """Bring rationals to one denominator: Python integers in an ndarray of the same shape, and the denominator."""
    values = [Fraction(value) for value in np.ravel(fractions)]
    common = math.lcm(*(value.denominator for value in values))
    scaled = np.empty(len(values), dtype=object)
    scaled[:] = [value.numerator * (common // value.denominator) for value in values]
    return scaled.reshape(np.shape(fractions)), common


def ball(value: int | Fraction) -> arb:
    """Return a ball that holds a rational number, at the precision of the moment."""
    fraction = Fraction(value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def ball_column(balls: Sequence[arb]) -> arb_mat:
    """Stack balls into a matrix of shape (n, 1)."""
    return arb_mat(len(balls), 1, list(balls))


def flint_integers(integers: Array) -> fmpz_mat:
    """Hand a 2-d ndarray of Python integers to python-flint."""
    rows, columns = integers.shape
    return fmpz_mat(rows, columns, [int(value) for value in integers.ravel().tolist()])


def split_columns(matrix: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Return the first columns of a matrix of python-flint, and the others."""
    rows, kind, width = matrix.tolist(), type(matrix), matrix.ncols() - count
    first = kind(len(rows), count, [entry for row in rows for entry in row[:count]])
    return first, kind(len(rows), width, [entry for row in rows for entry in row[count:]])


def scale_rows(matrix: arb_mat, factors: Sequence[arb]) -> arb_mat:
    """Multiply each row of a matrix of balls by a factor."""
    rows = zip(matrix.tolist(), factors, strict=True)
    return arb_mat(matrix.nrows(), matrix.ncols(), [entry * factor for row, factor in rows for entry in row])


def on_grid(matrix: arb_mat, bits: int) -> tuple[Array, int]:
    """Return the middles of a matrix of balls as integers times a power of two, the largest of about `bits` bits."""
    exponent = max((magnitude(entry) for entry in matrix.entries() if entry.mid() != 0), default=0) - bits
    out = np.empty((matrix.nrows(), matrix.ncols()), dtype=object)
    for i, row in enumerate(matrix.tolist()):
        for j, entry in enumerate(row):
            mantissa, own = (int(part) for part in entry.mid().man_exp())
            shift = own - exponent
            out[i, j] = mantissa << shift if shift >= 0 else mantissa >> -shift
    return out, exponent


def middle(value: Any) -> Any:
    """Return the middle of a ball; a number that is none is its own."""
    return value.mid() if isinstance(value, arb) else value


def magnitude(value: arb) -> int:
    """Return about the binary logarithm of a ball's middle; 0 for zero."""
    mantissa, exponent = (int(part) for part in value.mid().man_exp())
    return mantissa.bit_length() + exponent if mantissa else 0


# -- rounding --------------------------------------------------------------------------------------------------------


def _dyadic(mantissa: int, exponent: int) -> float:
    """Return ``mantissa * 2**exponent``, correctly rounded."""
    if abs(mantissa.bit_length() + exponent) > _FAR:
        return 0.0 if exponent < 0 or mantissa == 0 else math.copysign(math.inf, mantissa)
    return quotient(mantissa, 1, exponent) + 0.0  # a tiny negative number underflows to +0.0, as zero does


def to_float(value: arb, *, settle: bool = False) -> float | None:
    """Return the float64 to which every number in a ball rounds, or None where they do not round to the same.

    Rounding is to nearest, ties to even; zero is ``+0.0``.

    Parameters
    ----------
    value : arb
    settle : bool, default=False
        Whether to answer where the ball does not: with zero if the ball holds it, else with its middle, rounded first
        to 16 bits more than its radius is worth, so that a true midpoint between two floats is found.
    """
    if not value.is_finite():
        return None
    middle, exponent = (int(part) for part in value.mid().man_exp())
    radius, radius_exponent = (int(part) for part in value.rad().man_exp())
    if radius == 0:
        return _dyadic(middle, exponent)
    lowest = min(exponent, radius_exponent) if middle else radius_exponent
    if max(exponent, radius_exponent) - lowest > 4 * _FAR:
        return None
    middle <<= exponent - lowest if middle else 0
    radius <<= radius_exponent - lowest
    below, above = _dyadic(middle - radius, lowest), _dyadic(middle + radius, lowest)
    if below == above:
        return below
    if not settle:
        return None
    if abs(middle) <= radius:
        return 0.0
    coarse = radius.bit_length() + 16
    return _dyadic((middle + (1 << (coarse - 1))) >> coarse, lowest + coarse)


def round_matrix(matrix: Matrix, roots: bool, settle: bool) -> Array | None:
    """Round each entry of a matrix, or its square root; None where balls do not tell."""
    entries = matrix.entries()
    if isinstance(matrix, fmpq_mat):
        rounded: list[float | None] = [
            _root(entry) if roots else quotient(int(entry.p), int(entry.q)) + 0.0 for entry in entries
        ]
    else:
        balls = (entry.sqrt() for entry in entries) if roots else entries
        rounded = [to_float(each, settle=settle) for each in balls]
    return None if None in rounded else np.array(rounded, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())


def sign_matrix(matrix: Matrix, settle: bool) -> Array | None:
    """Return the sign of each entry of a matrix, 1, 0 or -1; None where balls do not tell, unless told to `settle`."""
    entries = matrix.entries()
    found = [(entry > 0) - (entry < 0) for entry in entries]
    if not settle and not all(sign or entry == 0 for sign, entry in zip(found, entries, strict=True)):
        return None
    return np.array(found, dtype=np.int64).reshape(matrix.nrows(), matrix.ncols())


def _root(value: fmpq) -> float:
    """Return the square root of a rational number, correctly rounded; NaN where there is none."""
    over, under = int(value.p), int(value.q)
    if over < 0:
        return math.nan
    shift = max(0, 256 + under.bit_length() - over.bit_length()) // 2 * 2
    root = math.isqrt((over << shift) // under)
    inexact = root * root * under != over << shift
    return quotient(2 * root + inexact, 1, -shift // 2 - 1)  # a sticky last bit keeps it on its side of a midpoint


def two_digits(value: float) -> float:
    """Round to two significant digits."""
    return float(f"{value:.1e}")

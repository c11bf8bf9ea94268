"""Error-free splitting: a block of rows becomes a stack of balanced 23-bit digits.

A column is read in units of ``2**unit``: ``x = sum_k digit_k * 2**(unit - 23 k)``.  Each digit of each column is a row
of the stack, and a row of ones comes first, so that one symmetric product holds sums and products of everything.

A column has as many digits as its values ask for: integers and scaled decimals one, float32 two, float64 three.
Columns are ordered by that number, so that those which have a ``k``-th digit are always the first ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["DIGIT_BITS", "MAX_DIGITS", "DigitPlan", "Splitter", "guess_plan", "largest_magnitudes"]

DIGIT_BITS = 23
MAX_DIGITS = 6
_MAX_UNIT = 900  # units beyond 2**+-900 leave the range in which scaling cannot overflow
_LEFT_OVER = 0.12  # part of the rows of a sample that a plan may leave over
_CACHED = 1 << 15  # float64 numbers of one buffer that are worked on at a time

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class DigitPlan:
    """In which units, and with how many digits, columns are split: a guess that serves speed and cannot change a bit.

    Attributes
    ----------
    units : ndarray of int64 of shape (n_columns,)
        Exponent of two of each column's first digit.
    counts : ndarray of int64 of shape (n_columns,)
        Number of digits of each column, 1 to `MAX_DIGITS`.
    """

    units: Int64
    counts: Int64

    @cached_property
    def order(self) -> Int64:
        """Columns in the order of the stack: those of more digits first."""
        return np.argsort(-self.counts, kind="stable")

    @cached_property
    def in_order(self) -> bool:
        """Whether the stack has the columns' own order."""
        return bool((self.order == np.arange(len(self.order))).all())

    @cached_property
    def widths(self) -> list[int]:
        """Number of columns that have a digit ``k``, for each ``k``."""
        return [int((self.counts > k).sum()) for k in range(int(self.counts.max()))]


def guess_plan(sample: Floats, largest: Floats, n_passes: int = 0) -> DigitPlan | None:
    """Choose a plan from a sample of some rows; None where their exponents are beyond it.

    Parameters
    ----------
    sample : ndarray of float64 of shape (n_rows, n_columns)
        Finite.
    largest : ndarray of float64 of shape (n_columns,)
        The largest magnitudes of all rows.
    n_passes : int, default=0
        Plans that left these rows over: each asks for more room above, and every other one for a digit more.
    """
    top = np.abs(sample).max(axis=0)
    top = np.where(top == 0, 1.0, top)
    with np.errstate(under="ignore"):
        rms = top * np.sqrt(np.mean((sample / top) ** 2, axis=0))
    # Rare values may take up to 24 bits of the first digit; the certificate decides whether that was too bold.
    units = np.maximum(_exponent(rms) - 21, _exponent(largest) - 24 + 2 * n_passes)
    if np.abs(units).max() > _MAX_UNIT:
        return None
    counts = np.full(len(units), MAX_DIGITS + 1)
    with np.errstate(all="ignore"):
        rest = sample * np.ldexp(1.0, -units)
        for n_digits in range(1, MAX_DIGITS + 1):
            rest = (rest - np.rint(rest)) * 2.0**DIGIT_BITS
            # a few rows of all may go again with more digits: each column gets its share of them
            enough = np.count_nonzero(rest, axis=0) <= _LEFT_OVER * len(rest) / len(units)
            counts = np.where(enough & (counts > MAX_DIGITS), n_digits, counts)
    counts = counts + n_passes // 2
    return None if counts.max() > MAX_DIGITS else DigitPlan(units, counts)


def largest_magnitudes(x: Floats) -> Floats:
    """Return the largest magnitude of each column: float64 of shape (n_columns,); NaN propagates."""
    n_rows, n_columns = x.shape
    fold = max(1, 512 // n_columns)
    if fold == 1 or n_rows < fold or not x.flags.c_contiguous:
        return np.asarray(np.maximum(x.max(axis=0), -x.min(axis=0)), dtype=np.float64)
    whole = n_rows // fold * fold
    folded = x[:whole].reshape(-1, fold * n_columns)  # narrow reductions are slow: fold rows into wide ones
    largest = np.maximum(folded.max(axis=0), -folded.min(axis=0)).reshape(fold, n_columns).max(axis=0)
    if whole < n_rows:
        largest = np.maximum(largest, np.abs(x[whole:]).max(axis=0))
    return np.asarray(largest, dtype=np.float64)


class Splitter:
    """Buffers that blocks of rows are split into.

    Parameters
    ----------
    plan : DigitPlan
    height : int
        Largest number of rows of a block.

    Attributes
    ----------
    stack : ndarray of float64 of shape (1 + sum(plan.widths), height)
        A row of ones, then the first digits of all columns in ``plan.order``, then the second digits, ...
    """

    def __init__(self, plan: DigitPlan, height: int) -> None:
        self.plan = plan
        self.stack = np.empty((1 + sum(plan.widths), height))
        self.stack[0] = 1.0
        self._starts = np.cumsum([1, *plan.widths[:-1]]).tolist()
        self._rows = max(32, _CACHED // len(plan.units))
        self._rest = np.empty((len(plan.units), self._rows))
        self._unequal = np.empty(self._rest.shape, dtype=bool)
        self._scaled: dict[str, tuple[Floats, Floats]] = {}

    def split(self, rows: Floats) -> Mask | None:
        """Split rows into the first columns of the stack; return which of them leave a remainder, None for none.

        Parameters
        ----------
        rows : ndarray of float64 or float32 of shape (n_rows, n_columns)
            At most `height` rows, in any memory layout.

        Raises
        ------
        FloatingPointError
            If a value is too small or too large for the units, or not finite.
        """
        layout = "C" if rows.strides[1] <= rows.strides[0] else "F"  # go through memory in the order it lies in
        if layout not in self._scaled:
            # a factor for every number: numpy multiplies equal shapes much faster than it broadcasts
            factors = np.empty((self._rows, rows.shape[1]), order=layout)  # type: ignore[call-overload]
            factors[...] = np.ldexp(1.0, -self.plan.units)
            self._scaled[layout] = factors, np.empty_like(factors)
        factors, buffer = self._scaled[layout]
        left_over: Mask | None = None
        for start in range(0, len(rows), self._rows):
            some = rows[start : start + self._rows]
            with np.errstate(under="raise", over="raise", invalid="raise"):
                scaled = np.multiply(some, factors[: len(some)], out=buffer[: len(some)])
            found = self._split(scaled, start)
            if found is not None:
                left_over = np.zeros(len(rows), dtype=bool) if left_over is None else left_over
                left_over[start : start + self._rows] = found
        return left_over

    def _split(self, scaled: Floats, start: int) -> Mask | None:
        stop = start + len(scaled)
        rest = self._rest[:, : len(scaled)]
        if self.plan.in_order:
            np.copyto(rest, scaled.T)
        else:
            np.take(scaled.T, self.plan.order, axis=0, out=rest)
        left_over: Mask | None = None
        widths = [*self.plan.widths, 0]
        for k, (first, width, going_on) in enumerate(zip(self._starts, widths[:-1], widths[1:], strict=True)):
            rest = rest[:width]
            if k:
                np.multiply(rest, 2.0**DIGIT_BITS, out=rest)
            digit = np.rint(rest, out=self.stack[first : first + width, start:stop])
            if going_on < width:
                unequal = self._unequal[going_on:width, : len(scaled)]
                if np.not_equal(rest[going_on:], digit[going_on:], out=unequal).any():
                    found = np.asarray(unequal.any(axis=0))
                    left_over = found if left_over is None else np.logical_or(left_over, found)
            if going_on:
                np.subtract(rest[:going_on], digit[:going_on], out=rest[:going_on])
        return left_over

    def blank(self, mask: Mask) -> None:
        """Zero the digits of some rows."""
        self.stack[1:, np.flatnonzero(mask)] = 0.0


def _exponent(magnitudes: Floats) -> Int64:
    """Return e with ``magnitude < 2**e``; 1 for zero."""
    return np.frexp(np.where(magnitudes == 0, 1.0, magnitudes))[1].astype(np.int64)

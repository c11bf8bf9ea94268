"""Error-free splitting: a block of rows becomes a stack of balanced 23-bit digits.

A column is read in units of ``2**unit``: ``x = sum_k digit_k * 2**(unit - 23 k)``.  Each digit of each column is a row
of the stack, and a row of ones comes first, so that one symmetric product holds sums and products of everything.

A column has as many digits as its values ask for: integers and scaled decimals one, float32 two, float64 three.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["DIGIT_BITS", "MAX_DIGITS", "DigitPlan", "Splitter", "guess_plan", "largest_magnitudes"]

DIGIT_BITS = 23
MAX_DIGITS = 6
_MAX_UNIT = 900  # units beyond 2**+-900 leave the range in which scaling cannot overflow
_LEFT_OVER = 0.12  # part of the rows of a sample that a plan may leave over
_LARGEST_WHOLE = 2.0**21  # larger integers would leave too few products certified
_CACHED = 1 << 16  # float64 numbers of one buffer that are worked on at a time

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
    def levels(self) -> list[Int64]:
        """Return for each ``k`` the columns that have a digit ``k``, ascending."""
        return [np.flatnonzero(self.counts > k) for k in range(int(self.counts.max()))]

    @cached_property
    def starts(self) -> list[int]:
        """Return for each ``k`` where the digits ``k`` begin in a stack, and where the last ones end."""
        return [int(start) for start in np.cumsum([1, *map(len, self.levels)])]


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
    whole = (largest < _LARGEST_WHOLE) & (sample == np.rint(sample)).all(axis=0)
    units = np.where(whole, np.maximum(units, 0), units)
    if units.max() - units.min() <= 1:  # one unit for all is placed on the grid faster
        units = np.full_like(units, units.max())
    if np.abs(units).max() > _MAX_UNIT:
        return None
    counts = np.full(len(units), MAX_DIGITS + 1)
    with np.errstate(all="ignore"):
        rest = sample * np.ldexp(1.0, -units)
        for n_digits in range(1, MAX_DIGITS + 1):
            rest = (rest - np.rint(rest)) * 2.0**DIGIT_BITS
            left_over = np.count_nonzero(rest, axis=0)
            # a few rows of all may go again, once, with more digits: those of columns that ask for it least
            order = np.argsort(left_over, kind="stable")
            enough = np.zeros(len(units), dtype=bool)
            enough[order] = np.cumsum(left_over[order]) <= (0 if n_passes else _LEFT_OVER) * len(rest)
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


@dataclass(frozen=True)
class _Step:
    """What happens to digit ``k`` of some neighbouring columns.

    Attributes
    ----------
    place : slice
        Rows of the stack that the digits fill.
    ends, goes : ndarray of int64, slice or None
        Which of the columns that are still being split end with this digit, and which go on; None for none.
    """

    place: slice
    ends: Int64 | slice | None
    goes: Int64 | slice | None


class Splitter:
    """Buffers that blocks of rows are split into.

    Parameters
    ----------
    plan : DigitPlan
    height : int
        Largest number of rows of a block.
    """

    def __init__(self, plan: DigitPlan, height: int) -> None:
        self._n_digits = plan.starts[-1]
        self._factors = np.ldexp(1.0, -plan.units)[:, None]
        group = max(1, _CACHED // height)  # columns that are worked on at a time
        self._groups = [
            (slice(start, start + group), list(_steps(plan, start, start + group)))
            for start in range(0, len(plan.units), group)
        ]
        self._stack = np.empty(self._n_digits * height)
        self._rest = np.empty(min(group, len(plan.units)) * height)
        self._unequal = np.empty(len(self._rest), dtype=bool)

    def split(self, rows: Floats, padded: int) -> tuple[Floats, Mask | None]:
        """Split rows into digits.

        Parameters
        ----------
        rows : ndarray of float64 or float32 of shape (n_rows, n_columns)
            At most `height` rows, in any memory layout.
        padded : int
            Number of rows of the block; those beyond `rows` have no digits.

        Returns
        -------
        stack : ndarray of float64 of shape (plan.starts[-1], padded)
            A row of ones, then the first digits of all columns, then the second digits of those that have one, ...
        left_over : ndarray of bool of shape (n_rows,) or None
            Rows that leave a remainder; None for none.

        Raises
        ------
        FloatingPointError
            If a value is too small or too large for the units, or infinite.
        """
        n_rows = len(rows)
        whole = self._stack[: self._n_digits * padded].reshape(-1, padded)
        whole[0] = 1.0
        stack = whole
        if n_rows < padded:
            whole[1:, n_rows:] = 0.0
            stack = whole[:, :n_rows]
        found: list[Mask] = []
        with np.errstate(under="raise", over="raise", invalid="raise"):
            for columns, steps in self._groups:
                found += self._split(rows.T[columns], self._factors[columns], steps, stack)
        if not found:
            return whole, None
        left_over = np.logical_or.reduce(found)
        stack[1:, np.flatnonzero(left_over)] = 0.0
        return whole, left_over

    def _split(self, columns: Floats, factors: Floats, steps: list[_Step], stack: Floats) -> Iterator[Mask]:
        """Split neighbouring columns into their rows of the stack; yield masks of rows that leave a remainder."""
        rest = np.multiply(columns, factors, out=self._rest[: columns.size].reshape(columns.shape))
        for k, step in enumerate(steps):
            if k:
                np.multiply(rest, 2.0**DIGIT_BITS, out=rest)
            digit = np.rint(rest, out=stack[step.place])
            if step.ends is not None:
                unequal = np.not_equal(rest, digit, out=self._unequal[: rest.size].reshape(rest.shape))
                ended = unequal[step.ends]
                if ended.any():
                    yield np.asarray(ended.any(axis=0))
            if isinstance(step.goes, slice):
                np.subtract(rest, digit, out=rest)
            elif step.goes is not None:
                rest = rest[step.goes] - digit[step.goes]


def _steps(plan: DigitPlan, start: int, stop: int) -> Iterator[_Step]:
    """Yield what happens to the digits of the columns from `start` to `stop`."""
    counts = plan.counts[start:stop]
    for k, (level, first) in enumerate(zip(plan.levels, plan.starts, strict=False)):
        here = counts[counts > k]
        if not len(here):
            return
        place = first + int(np.searchsorted(level, start))
        yield _Step(slice(place, place + len(here)), _chosen(here == k + 1), _chosen(here > k + 1))


def _chosen(mask: Mask) -> Int64 | slice | None:
    """Return which entries a mask holds in a form that numpy indexes fast: all, some, or none."""
    return slice(None) if mask.all() else np.flatnonzero(mask) if mask.any() else None


def _exponent(magnitudes: Floats) -> Int64:
    """Return e with ``magnitude < 2**e``; 1 for zero."""
    return np.frexp(np.where(magnitudes == 0, 1.0, magnitudes))[1].astype(np.int64)

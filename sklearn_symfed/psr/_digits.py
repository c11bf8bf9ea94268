"""Error-free splitting: a block of rows becomes a stack of balanced 23-bit digits.

A column is read in units of ``2**unit``: ``x = sum_k digit_k * 2**(unit - 23 k)``.  Each digit of each column is a row
of the stack, and a row of ones comes first, so that one symmetric product holds sums and products of everything.

A column has as many digits as its values ask for: integers and scaled decimals one, float32 two, float64 three.
Columns are ordered by that number, so that those which have a ``k``-th digit are always the first ones.
"""

from __future__ import annotations

import itertools
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
    whole : ndarray of bool of shape (n_columns,)
        Columns that are known to hold integers, in units of one: their values are their digits.
    """

    units: Int64
    counts: Int64
    whole: Mask

    @cached_property
    def order(self) -> Int64:
        """Columns in the order of the stack: those of more digits first, those that need no splitting last."""
        return np.lexsort((self.whole, -self.counts))

    @cached_property
    def n_split(self) -> int:
        """Number of columns to split."""
        return int((~self.whole).sum())

    @cached_property
    def in_order(self) -> bool:
        """Whether all columns are split, in their own order."""
        return self.n_split == len(self.order) and bool((self.order == np.arange(len(self.order))).all())

    @cached_property
    def widths(self) -> list[int]:
        """Number of columns that have a digit ``k``, for each ``k``."""
        return [int((self.counts > k).sum()) for k in range(int(self.counts.max()))]


def guess_plan(sample: Floats, largest: Floats, n_passes: int = 0, integers: Mask | None = None) -> DigitPlan | None:
    """Choose a plan from a sample of some rows; None where their exponents are beyond it.

    Parameters
    ----------
    sample : ndarray of float64 of shape (n_rows, n_columns)
        Finite.
    largest : ndarray of float64 of shape (n_columns,)
        The largest magnitudes of all rows.
    n_passes : int, default=0
        Plans that left these rows over: each asks for more room above, and every other one for a digit more.
    integers : ndarray of bool of shape (n_columns,), default=None
        Columns that are known to hold integers.
    """
    whole = np.zeros(len(largest), dtype=bool) if integers is None else integers & (largest < _LARGEST_WHOLE)
    top = np.abs(sample).max(axis=0)
    top = np.where(top == 0, 1.0, top)
    with np.errstate(under="ignore"):
        rms = top * np.sqrt(np.mean((sample / top) ** 2, axis=0))
    # Rare values may take up to 24 bits of the first digit; the certificate decides whether that was too bold.
    units = np.where(whole, 0, np.maximum(_exponent(rms) - 21, _exponent(largest) - 24 + 2 * n_passes))
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
    counts = np.where(whole, 1, counts + n_passes // 2)
    return None if counts.max() > MAX_DIGITS else DigitPlan(units, counts, whole)


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

    Notes
    -----
    Every operation works on whole, contiguous buffers and on operands of one shape: numpy takes two to three times as
    long to go through parts of a buffer, or to broadcast.
    """

    def __init__(self, plan: DigitPlan, height: int) -> None:
        self.plan = plan
        self._group = min(max(1, plan.n_split), max(1, _CACHED // height))  # columns that are worked on at a time
        self._stack = np.empty((1 + sum(plan.widths)) * height)
        self._scaled = np.empty(plan.n_split * height)
        self._rest = np.empty(self._group * height)
        self._unequal = np.empty(self._group * height, dtype=bool)
        self._factors: dict[str, Floats] = {}

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
        stack : ndarray of float64 of shape (1 + sum(plan.widths), padded)
            A row of ones, then the first digits of all columns in ``plan.order``, then the second digits, ...
        left_over : ndarray of bool of shape (padded,) or None
            Rows that leave a remainder; None for none.

        Raises
        ------
        FloatingPointError
            If a value is too small or too large for the units, or not finite.
        """
        plan, n_rows = self.plan, len(rows)
        stack = self._stack[: (1 + sum(plan.widths)) * padded].reshape(-1, padded)
        stack[0] = 1.0
        if plan.n_split < len(plan.order):
            whole = stack[1 + plan.n_split : 1 + len(plan.order)]
            _gather(rows, plan.order[plan.n_split :], whole[:, :n_rows])
            whole[:, n_rows:] = 0.0
        if not plan.in_order:
            chosen = np.empty((plan.n_split, n_rows))
            _gather(rows, plan.order[: plan.n_split], chosen)
            rows = chosen.T
        scaled = self._scale(rows, padded)
        left_over: Mask | None = None
        for start in range(0, plan.n_split, self._group):
            stop = min(start + self._group, plan.n_split)
            rest = self._rest[: (stop - start) * padded].reshape(-1, padded)
            np.copyto(rest, scaled.T[start:stop])
            with np.errstate(invalid="ignore"):  # an infinity leaves a remainder, or no certificate
                found = self._split(rest, start, stack)
            if found is not None:
                left_over = found if left_over is None else np.logical_or(left_over, found)
        if left_over is not None:
            stack[1:, np.flatnonzero(left_over)] = 0.0
        return stack, left_over

    def _scale(self, rows: Floats, padded: int) -> Floats:
        """Return rows in units, in a buffer of `padded` rows that lies in memory as they do."""
        layout = "C" if rows.strides[1] <= rows.strides[0] else "F"
        shape = (padded, rows.shape[1])
        if layout not in self._factors or self._factors[layout].shape != shape:
            self._factors[layout] = np.empty(shape, order=layout)  # type: ignore[call-overload]
            self._factors[layout][...] = np.ldexp(1.0, -self.plan.units[self.plan.order[: self.plan.n_split]])
        scaled = self._scaled[: rows.shape[1] * padded].reshape(shape, order=layout)  # type: ignore[call-overload]
        with np.errstate(under="raise", over="raise", invalid="raise"):
            np.multiply(rows, self._factors[layout][: len(rows)], out=scaled[: len(rows)])
        scaled[len(rows) :] = 0.0
        return np.asarray(scaled)

    def _split(self, rest: Floats, start: int, stack: Floats) -> Mask | None:
        """Split columns from `start` on, in units, into their rows of the stack; return a mask of remainders."""
        left_over: Mask | None = None
        first = 1
        widths = [*self.plan.widths, 0]
        for k, (width, next_width) in enumerate(itertools.pairwise(widths)):
            here, going_on = (max(0, min(len(rest), each - start)) for each in (width, next_width))
            if not here:
                break
            rest = rest[:here]
            if k:
                np.multiply(rest, 2.0**DIGIT_BITS, out=rest)
            digit = np.rint(rest, out=stack[first + start : first + start + here])
            if going_on < here:
                unequal = self._unequal[: (here - going_on) * stack.shape[1]].reshape(-1, stack.shape[1])
                if np.not_equal(rest[going_on:], digit[going_on:], out=unequal).any():
                    found = np.asarray(unequal.any(axis=0))
                    left_over = found if left_over is None else np.logical_or(left_over, found)
            if going_on:
                np.subtract(rest[:going_on], digit[:going_on], out=rest[:going_on])
            first += width
        return left_over


def _gather(rows: Floats, columns: Int64, out: Floats) -> None:
    """Copy some columns of rows side by side into `out`, of shape (n_columns, n_rows)."""
    if rows.strides[0] == rows.itemsize:
        for place, column in enumerate(columns.tolist()):
            out[place] = rows[:, column]
    else:
        out[...] = rows.T.take(columns, axis=0)


def _exponent(magnitudes: Floats) -> Int64:
    """Return e with ``magnitude < 2**e``; 1 for zero."""
    return np.frexp(np.where(magnitudes == 0, 1.0, magnitudes))[1].astype(np.int64)

"""Exact products of digits: symmetric products by BLAS, each with a certificate, added up as integers.

Certificate: where all diagonal entries of a product of integers are below 2**53, Cauchy-Schwarz bounds every partial
sum of every entry, so the product is exact in any order of summation.  A block without certificate is not added.

A narrow stack is multiplied whole.  Of a wide one only the products are taken that are needed, and mixed ones as
``h'l + l'h = (h + l)'(h + l) - h'h - l'l``: six products instead of nine for three digits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from sklearn_symfed.psr._digits import DIGIT_BITS, DigitPlan, Splitter

__all__ = ["CERTIFIED", "MAX_SUM", "DigitProducts"]

CERTIFIED = float(2**53)
MAX_SUM = 2.0**59  # sums of products up to here, and a stack's, and a few of those together, are below 2**63
_HOPELESS = 0.6  # a block of which more than this part is left over is not worth a product
_SHORTEST = 64  # rows of a product: 64 sums of two digits are below 2**53 unless first digits are too large
_NUMBERS = 1 << 15  # numbers that are worth the overhead of a step
_WHOLE = 192  # up to so many rows of a stack, one product is faster than several smaller ones

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]


class DigitProducts:
    """Running sums of the products of rows that are split by one plan.

    Parameters
    ----------
    plan : DigitPlan
    n_rows : int
        Rows at hand.

    Attributes
    ----------
    height : int
        Largest number of rows of a block.
    """

    def __init__(self, plan: DigitPlan, n_rows: int) -> None:
        whole = len(plan.widths) == 1 or sum(plan.widths) < _WHOLE
        self._products = _Whole(plan) if whole else _Paired(plan)
        blocks = max(1, _NUMBERS // (len(plan.units) * self._products.height))
        height = self._products.height
        self.height = min(blocks, -(-n_rows // height)) * height if n_rows > height else n_rows
        self._splitter = Splitter(plan, self.height)
        self._plan = plan

    def trusts_no_more_than(self, integers: np.ndarray[Any, np.dtype[np.bool_]] | None) -> bool:
        """Whether the plan takes for integers only columns that are known to hold them."""
        trusted = self._plan.whole
        return not (trusted.any() if integers is None else (trusted & ~integers).any())

    @property
    def full(self) -> bool:
        """Whether the sums must be moved onto the grid before another block is added."""
        return self._products.bound >= MAX_SUM

    def add(self, rows: Floats) -> Floats | None:
        """Add a block of rows; return those that are left over, None for none.

        Parameters
        ----------
        rows : ndarray of float64 or float32 of shape (n_rows, n_columns)
            At most `height` rows, in any memory layout.

        Raises
        ------
        FloatingPointError
            If a value is too small or too large for the plan, or infinite.  Nothing was added.
        """
        block = self._products.height
        padded = len(rows) if len(rows) <= block else -(-len(rows) // block) * block
        stack, left_over = self._splitter.split(rows, padded)
        if left_over is not None and left_over.sum() > _HOPELESS * len(rows):
            return rows.copy()
        if not self._products.add(stack):
            return rows.copy()
        return None if left_over is None else rows[left_over[: len(rows)]]

    def levels(self) -> Iterator[tuple[Int64, Int64 | int]]:
        """Yield augmented Gram matrices of integers, the count left out, and the exponents of two of their entries."""
        units = self._plan.units
        exponents = np.zeros((len(units) + 1, len(units) + 1), dtype=np.int64)
        exponents[0, 1:] = exponents[1:, 0] = units
        exponents[1:, 1:] = units[:, None] + units
        exponents[0, 0] = exponents[0, 1]
        place = np.concatenate([[0], 1 + np.argsort(self._plan.order)])
        for k, level in self._products.levels():
            yield level if self._plan.in_order else level[np.ix_(place, place)], exponents - DIGIT_BITS * k

    def clear(self) -> None:
        """Forget the sums."""
        self._products.clear()


class _Products:
    """Running sums of the products of stacks that share a plan.

    Attributes
    ----------
    height : int
        Number of rows of a product to begin with; halved where there is no certificate.
    bound : float
        No sum of products is larger.
    """

    height: int

    def __init__(self, plan: DigitPlan) -> None:
        self.plan = plan
        self.bound = 0.0
        self._sums: dict[Any, Int64] = {}
        self._rows = self.height
        self._largest = 0.0
        self._buffers: dict[Any, Floats] = {}

    def add(self, stack: Floats) -> bool:
        """Add the products of a stack; return False, adding nothing, without certificate.

        Parameters
        ----------
        stack : ndarray of float64 of shape (1 + sum(plan.widths), n_rows)
            As `Splitter.split` returns it.
        """
        # Some BLAS set spurious floating-point flags: the certificate is what tells an overflow.
        with np.errstate(all="ignore"):
            sums = self._multiplied(stack)
            while sums is None:
                if self._rows <= _SHORTEST:
                    return False
                self._rows //= 2  # equal values have equal digits, which may be large in every row
                sums = self._multiplied(stack)
        for key, product in sums.items():
            if key in self._sums:
                self._sums[key] += product
            else:
                self._sums[key] = product
        return True

    def _multiplied(self, stack: Floats) -> dict[Any, Int64] | None:
        """Return the sums of the products of blocks, or None without certificate."""
        sums: dict[Any, Int64] = {}
        bound = self.bound
        for block in self._blocks(stack):
            self._largest = 0.0
            found = self._multiply(block)
            if found is None:
                return None
            bound += self._largest
            for key, product in found.items():
                integers = product.astype(np.int64)
                integers = integers.sum(axis=0) if integers.ndim == 3 else integers
                sums[key] = sums[key] + integers if key in sums else integers
        self.bound = bound
        return sums

    def _blocks(self, stack: Floats) -> Iterator[Floats]:
        """Yield parts of a stack, each of which `_multiply` takes at once."""
        for start in range(0, stack.shape[1], self._rows):
            yield stack[:, start : start + self._rows]

    def clear(self) -> None:
        """Forget the sums."""
        self._sums = {}
        self.bound = 0.0

    def levels(self) -> Iterator[tuple[int, Int64]]:
        """Yield ``k`` and integers over ``2**(23 k)`` that add up to the augmented Gram matrix, in the plan's order.

        The entry that counts rows and the first column are zero: the first row holds the sums.
        """
        n_digits, size = len(self.plan.widths), len(self.plan.units) + 1
        levels = np.zeros((2 * n_digits - 1, size, size), dtype=np.int64)
        self._place(levels)
        for k, level in enumerate(levels):
            if level.any():
                yield k, level

    def _multiply(self, stack: Floats) -> dict[Any, Floats] | None:
        """Return the products of a block; None without certificate."""
        raise NotImplementedError

    def _place(self, levels: Int64) -> None:
        """Add the sums to ``levels[k]``, augmented Gram matrices over ``2**(23 k)``."""
        raise NotImplementedError

    def _square(self, key: Any, factor: Floats) -> Floats | None:
        """Return ``factor @ factor.T`` in a buffer of its own; None without certificate."""
        product = np.matmul(factor, factor.T, out=self._buffer(key, len(factor), len(factor)))
        return product if self._certified(product.diagonal()) else None

    def _certified(self, diagonal: Floats) -> bool:
        largest = float(diagonal.max())
        self._largest = max(self._largest, largest)
        return largest < CERTIFIED

    def _buffer(self, key: Any, *shape: int) -> Floats:
        if key not in self._buffers:
            self._buffers[key] = np.empty(shape)
        return self._buffers[key]


class _Whole(_Products):
    """One product of the whole stack."""

    height = 1024

    def _multiply(self, stack: Floats) -> dict[Any, Floats] | None:
        size, n_rows = stack.shape
        if n_rows <= self._rows:
            whole = self._square("whole", stack)
            return None if whole is None else {"whole": whole}
        row, column = stack.strides
        blocks = as_strided(stack, (n_rows // self._rows, size, self._rows), (column * self._rows, row, column))
        products = np.matmul(
            blocks, blocks.transpose(0, 2, 1), out=self._buffer(("blocks", len(blocks)), len(blocks), size, size)
        )
        diagonals = np.einsum("bii->bi", products)
        if not self._certified(diagonals):
            return None
        self._largest *= len(blocks)
        return {"whole": products}

    def _blocks(self, stack: Floats) -> Iterator[Floats]:
        whole = stack.shape[1] // self._rows * self._rows
        for block in (stack[:, :whole], stack[:, whole:]):
            if block.size:
                yield block

    def _place(self, levels: Int64) -> None:
        if not self._sums:
            return
        whole = self._sums["whole"]
        stops = np.cumsum([1, *self.plan.widths]).tolist()
        digits = [slice(start, stop) for start, stop in itertools.pairwise(stops)]
        for k, rows in enumerate(digits):
            levels[k, 0, 1 : 1 + self.plan.widths[k]] += whole[0, rows]
            for m, columns in enumerate(digits):
                levels[k + m, 1 : 1 + self.plan.widths[k], 1 : 1 + self.plan.widths[m]] += whole[rows, columns]


class _Paired(_Products):
    """A product for each digit and for each sum of two digits."""

    height = 512

    def _multiply(self, stack: Floats) -> dict[Any, Floats] | None:
        found: dict[Any, Floats] = {}
        widths = self.plan.widths
        starts = np.cumsum([1, *widths[:-1]]).tolist()
        for k, (width, start) in enumerate(zip(widths, starts, strict=True)):
            digit = stack[start : start + width]
            square = self._square((k, k), digit if k else stack[: 1 + width])
            if square is None:
                return None
            found[k, k] = square
            if k:
                found["sums", k] = digit @ stack[0]
            for m in range(k):
                wider, first = widths[m], starts[m]
                both = self._buffer(("mixed", stack.shape[1]), widths[0], stack.shape[1])[:width]
                np.add(stack[first : first + width], digit, out=both)
                square = self._square((m, k), both)
                if square is None:
                    return None
                found[m, k] = square
                if wider > width:
                    side = self._buffer(("side", m, k), wider - width, width)
                    found["side", m, k] = np.matmul(stack[first + width : first + wider], digit.T, out=side)
        return found

    def _place(self, levels: Int64) -> None:
        if not self._sums:
            return
        widths, sums = self.plan.widths, self._sums
        squares = [sums[k, k][1:, 1:] if k == 0 else sums[k, k] for k in range(len(widths))]
        levels[0, 0, 1:] += sums[0, 0][0, 1:]
        for k, width in enumerate(widths):
            levels[2 * k, 1 : 1 + width, 1 : 1 + width] += squares[k]
            if k:
                levels[k, 0, 1 : 1 + width] += sums["sums", k]
            for m in range(k):
                mixed = sums[m, k] - squares[m][:width, :width] - squares[k]
                levels[m + k, 1 : 1 + width, 1 : 1 + width] += mixed
                if widths[m] > width:
                    side, rows = sums["side", m, k], slice(1 + width, 1 + widths[m])
                    levels[m + k, rows, 1 : 1 + width] += side
                    levels[m + k, 1 : 1 + width, rows] += side.T

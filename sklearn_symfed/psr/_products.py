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

__all__ = ["CERTIFIED", "MAX_SUM", "DigitProducts", "Level"]

CERTIFIED = float(2**53)
MAX_SUM = 2.0**59  # sums of products up to here, and a stack's, and a few of those together, are below 2**63
_HOPELESS = 0.6  # a block of which more than this part is left over is not worth a product
_SHORTEST = 64  # rows of a product: 64 sums of two digits are below 2**53 unless first digits are too large
_NUMBERS = 1 << 16  # numbers that are worth the overhead of a step
_FAR = 2.0**23  # a digit that is larger than those of other rows by far
_WHOLE = 192  # up to so many rows of a stack, one product is faster than several smaller ones

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Span = Int64 | slice  # some rows or columns of an augmented Gram matrix
_SUMS = slice(0, 1)
Level = tuple[Int64, Int64 | int, Any]


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
        whole = len(plan.levels) == 1 or plan.starts[-1] <= _WHOLE
        self._products = _Whole(plan) if whole else _Paired(plan)
        blocks = max(1, _NUMBERS // (len(plan.units) * self._products.height))
        height = self._products.height
        self.height = min(blocks, -(-n_rows // height)) * height if n_rows > height else n_rows
        self._splitter = Splitter(plan, self.height)
        self._plan = plan

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
        while not self._products.add(stack):
            far = self._far(stack[:, : len(rows)])
            if far is not None:
                stack[1:, np.flatnonzero(far)] = 0.0
                left_over = far if left_over is None else left_over | far
            elif not self._products.halve():
                return rows.copy()
        return None if left_over is None else rows[left_over]

    def _far(self, stack: Floats) -> Mask | None:
        """Tell which rows are so far from the others that a block is not certified; None if none are, or too many."""
        far = np.asarray((np.abs(stack[1 : self._plan.starts[1]]) >= _FAR).any(axis=0))
        return far if 0 < far.mean() < _HOPELESS else None

    def levels(self) -> Iterator[Level]:
        """Yield integers, the exponents of two of their entries, and the part of the augmented Gram matrix they are."""
        units = self._plan.units
        of_products: Int64 | int = units[:, None] + units
        if (units == units[0]).all():
            units, of_products = units[:1], 2 * int(units[0])
        for k, level in self._products.levels():
            yield level[_SUMS, 1:], units - DIGIT_BITS * k, (_SUMS, slice(1, None))
            yield level[1:, 1:], of_products - DIGIT_BITS * k, (slice(1, None), slice(1, None))

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
        n_columns = len(plan.units)
        self._spans: list[Span] = [slice(1, None) if len(level) == n_columns else level + 1 for level in plan.levels]

    def add(self, stack: Floats) -> bool:
        """Add the products of a stack; return False, adding nothing, without certificate.

        Parameters
        ----------
        stack : ndarray of float64 of shape (plan.starts[-1], n_rows)
            As `Splitter.split` returns it.
        """
        # Some BLAS set spurious floating-point flags: the certificate is what tells an overflow.
        with np.errstate(all="ignore"):
            sums = self._multiplied(stack)
        if sums is None:
            return False
        for key, product in sums.items():
            if key in self._sums:
                self._sums[key] += product
            else:
                self._sums[key] = product
        return True

    def halve(self) -> bool:
        """Use shorter blocks, as equal values may have large digits in every row; return False if they are short."""
        if self._rows <= _SHORTEST:
            return False
        self._rows //= 2
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
        """Yield ``k`` and integers over ``2**(23 k)`` that add up to the augmented Gram matrix.

        The entry that counts rows and the first column are zero: the first row holds the sums.
        """
        n_digits, size = len(self.plan.levels), len(self.plan.units) + 1
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
        digits = [slice(start, stop) for start, stop in itertools.pairwise(self.plan.starts)]
        for k, rows in enumerate(digits):
            _add(levels[k], _SUMS, self._spans[k], whole[:1, rows])
            for m, columns in enumerate(digits):
                _add(levels[k + m], self._spans[k], self._spans[m], whole[rows, columns])


class _Paired(_Products):
    """A product for each digit and for each sum of two digits."""

    height = 512

    def __init__(self, plan: DigitPlan) -> None:
        super().__init__(plan)
        self._within = {
            (m, k): np.isin(plan.levels[m], plan.levels[k], assume_unique=True)
            for m, k in itertools.combinations(range(len(plan.levels)), 2)
            if len(plan.levels[m]) > len(plan.levels[k])
        }

    def _multiply(self, stack: Floats) -> dict[Any, Floats] | None:
        found: dict[Any, Floats] = {}
        digits = [stack[start:stop] for start, stop in itertools.pairwise(self.plan.starts)]
        for k, digit in enumerate(digits):
            square = self._square((k, k), digit if k else stack[: 1 + len(digit)])
            if square is None:
                return None
            found[k, k] = square
            if k:
                found["sums", k] = digit @ stack[0]
            for m in range(k):
                partner = digits[m]
                if (m, k) in self._within:
                    chosen = self._within[m, k]
                    partner, side = digits[m][chosen], digits[m][~chosen]
                    product = self._buffer(("side", m, k), len(side), len(digit))
                    found["side", m, k] = np.matmul(side, digit.T, out=product)
                both = self._buffer(("both", stack.shape[1]), len(digits[0]), stack.shape[1])[: len(digit)]
                square = self._square((m, k), np.add(partner, digit, out=both))
                if square is None:
                    return None
                found[m, k] = square
        return found

    def _place(self, levels: Int64) -> None:
        if not self._sums:
            return
        sums, spans = self._sums, self._spans
        squares = [sums[k, k] if k else sums[0, 0][1:, 1:] for k in range(len(spans))]
        _add(levels[0], _SUMS, spans[0], sums[0, 0][:1, 1:])
        for k, square in enumerate(squares):
            _add(levels[2 * k], spans[k], spans[k], square)
            if k:
                _add(levels[k], _SUMS, spans[k], sums["sums", k][None])
            for m in range(k):
                chosen = self._within.get((m, k))
                same = squares[m] if chosen is None else squares[m][np.ix_(chosen, chosen)]
                _add(levels[m + k], spans[k], spans[k], sums[m, k] - same - square)
                if chosen is not None:
                    others, side = self.plan.levels[m][~chosen] + 1, sums["side", m, k]
                    _add(levels[m + k], others, spans[k], side)
                    _add(levels[m + k], spans[k], others, side.T)


def _add(matrix: Int64, rows: Span, columns: Span, values: Int64) -> None:
    """Add to some entries of an augmented Gram matrix."""
    if isinstance(rows, slice) and isinstance(columns, slice):
        matrix[rows, columns] += values
    else:
        every = np.arange(len(matrix))
        matrix[np.ix_(every[rows], every[columns])] += values

"""Exact Gram matrices: floats are split without error, digits are multiplied without error, integers are added.

Owns the order of events: which rows take which path, and where the integers go.  What the columns mean is not known
here.  Every path is free of error, so no choice below can change a bit of the result; choices serve speed.

1. Rows of small integers are multiplied as they are (`_integers`).
2. Others are split into digits by a plan that was guessed from a sample (`_digits`), and digits are multiplied
   (`_products`).
3. Exponents beyond the range of plans take a path of integer shifts (`_shifts`).
4. Sparse rows are multiplied without their zeros (`_sparse`).

Rows that leave a remainder, and blocks whose products have no certificate, wait for a plan of their own.  A way serves
until the data change: choosing one, and moving its sums onto the grid, costs as much as many rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_symfed.psr._arithmetic import require_exact_blas, require_gradual_underflow
from sklearn_symfed.psr._digits import guess_plan, largest_magnitudes
from sklearn_symfed.psr._integers import IntegerProducts
from sklearn_symfed.psr._limbs import Accumulator, Int64, Limbs
from sklearn_symfed.psr._products import DigitProducts
from sklearn_symfed.psr._shifts import shifted_products
from sklearn_symfed.psr._sparse import Stored, sparse_products

__all__ = ["CHUNK_ROWS", "ExactGram", "NotFiniteError"]

CHUNK_ROWS = 32_768
_MAX_PASSES = 4  # rows that are still left over after so many plans of their own are shifted
_WAITING = 4096  # rows left over that are worth a plan of their own
_STALE = 0.25  # a plan that leaves more than this part of a chunk is given up
_SAMPLE = 256  # rows that a way is chosen from

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class NotFiniteError(ValueError):
    """A row holds NaN or infinity; the caller knows the names and says where."""


class ExactGram:
    """Running exact sums of the augmented Gram matrix ``[1, X]' W [1, X]``.

    Parameters
    ----------
    n_columns : int
        Width of the chunks.
    way : object, default=None
        What `settle` of another kernel returned: the rows here begin the way that the rows there went.
    """

    def __init__(self, n_columns: int, way: IntegerProducts | DigitProducts | None = None) -> None:
        require_exact_blas()
        self.n_columns = n_columns
        self._lanes = Accumulator((n_columns + 1, n_columns + 1))
        self._exponent = 0
        self._way = way
        self._n_rows: dict[int, int] = {}
        self._waiting: list[Floats] = []

    def add(self, x: Floats, exponent: int = 0, *, integers: bool = False) -> None:
        """Add the rows of a chunk, each counted ``2**exponent`` times.

        Parameters
        ----------
        x : ndarray of float64 or float32 of shape (n_rows, n_columns)
            In any memory layout.
        exponent : int, default=0
            Exponent of the weight that the rows share.
        integers : bool, default=False
            Whether the rows are known to hold nothing but integers, which saves asking.

        Raises
        ------
        NotFiniteError
            If a value is NaN or infinite; `settle` may be the one to say so.  Drop this object then.
        """
        require_gradual_underflow()
        self._n_rows[exponent] = self._n_rows.get(exponent, 0) + len(x)
        if exponent != self._exponent:
            self.settle()
            self._exponent = exponent
        n_left = self._pass(x, integers=integers) if x.size else 0
        if n_left > _STALE * len(x):
            self._leave()
        if sum(len(rows) for rows in self._waiting) > _WAITING:
            self.settle()

    def add_sparse(self, x: Stored, exponent: int = 0) -> None:
        """Add rows of which only the numbers that are not zero are given, each row counted ``2**exponent`` times."""
        require_gradual_underflow()
        self._n_rows[exponent] = self._n_rows.get(exponent, 0) + x.shape[0]
        for products, power, part in sparse_products(x):
            self._lanes.add(products, power + exponent, part)

    def add_split(self, x: Floats, low: Floats, columns: Int64, exponent: int = 0) -> None:
        """Add rows whose `columns` are each the sum of two floats, ``x[:, columns] + low``.

        A sum of two columns has the sum of their Gram entries, so the wider matrix is learned and folded.
        """
        wide = ExactGram(self.n_columns + len(columns))
        wide.add(np.hstack([x, low]), exponent)
        lanes = wide._finished()
        size = self.n_columns + 1
        folded = lanes.like(self._lanes.shape, 4)  # an entry adds up at most four
        for key, lane in lanes.lanes.items():
            rows = lane[:size]
            rows[columns + 1] += lane[size:]
            both = rows[:, :size].copy()
            both[:, columns + 1] += rows[:, size:]
            folded.lanes[key] = both
        self._lanes.merge(folded)

    def merge(self, other: ExactGram) -> None:
        """Add the sums of another kernel of the same width."""
        self._lanes.merge(other._finished())

    def packed(self, n_rows: int | None = None, sum_w2: Limbs | None = None) -> Limbs:
        """Return the state as one vector: rows, sum of squared weights, upper triangle of the augmented Gram matrix.

        Both leading entries default to the sum of weights, which they equal where every weight is one.
        """
        lanes = self._finished()
        triangle = np.flatnonzero(np.triu(np.ones(lanes.shape, dtype=bool)))
        state = lanes.limbs(np.concatenate([[0, 0], triangle]))
        if n_rows is None or sum_w2 is None:
            return state
        sums = state.take(np.arange(2, state.length)).within(state.length, 2)
        return Limbs.from_integers([n_rows]).within(state.length, 0) + sum_w2.within(state.length, 1) + sums

    # -- which way rows go -------------------------------------------------------------------------------------------

    def _pass(self, x: Floats, n_passes: int = 0, *, integers: bool = False) -> int:
        """Add rows the way that others went, or choose one; return how many are left over and wait."""
        way = self._way or _choose(x, n_passes)
        if way is None:
            self._shift(x)
            return 0
        self._way = way
        if isinstance(way, IntegerProducts):
            way.known = integers
        n_left = 0
        for start in range(0, len(x), way.height):
            rows = x[start : start + way.height]
            try:
                left = way.add(rows)
            except FloatingPointError:  # a value too small or too large for these units
                self._shift(rows)
                continue
            if left is not None:
                self._waiting.append(left)
                n_left += len(left)
            if way.full:
                self._place(way)
        return n_left

    def _leave(self) -> None:
        """Move the sums onto the grid, and choose anew next time."""
        if self._way is not None:
            self._place(self._way)
        self._way = None

    def settle(self) -> IntegerProducts | DigitProducts | None:
        """Add the rows that wait, move everything onto the grid, and let go of all buffers.

        Returns
        -------
        object
            The way that rows went last, for another kernel of this width.

        Raises
        ------
        NotFiniteError
            If a value was NaN or infinite.
        """
        way = self._way
        for n_passes in range(1, _MAX_PASSES + 1):
            self._leave()
            if not self._waiting:
                return way
            waiting, self._waiting = np.concatenate(self._waiting), []
            self._pass(waiting, n_passes)
        self._leave()
        for rows in self._waiting:
            self._shift(rows)
        self._waiting = []
        return way

    def _shift(self, x: Floats) -> None:
        if not np.isfinite(x).all():
            raise NotFiniteError
        for exponent, products in shifted_products(x):
            self._lanes.add(products, exponent + self._exponent)

    # -- integers onto the grid --------------------------------------------------------------------------------------

    def _place(self, way: IntegerProducts | DigitProducts) -> None:
        for products, exponents, part in way.levels():
            self._lanes.add(products, exponents + self._exponent, part)
        way.clear()

    def _finished(self) -> Accumulator:
        """Return all sums, with the rows counted."""
        self.settle()
        for exponent, n_rows in self._n_rows.items():
            corner = np.zeros(self._lanes.shape, dtype=np.int64)
            corner[0, 0] = n_rows
            self._lanes.add(corner, exponent)
        self._n_rows = {}
        return self._lanes


def _choose(x: Floats, n_passes: int) -> IntegerProducts | DigitProducts | None:
    """Return the way that suits some rows, or None for shifts.

    Rows of a later pass were left over before: all of them are looked at, and plans are less bold.
    """
    largest = largest_magnitudes(x)
    if not np.isfinite(largest).all():
        raise NotFiniteError
    step = 1 if n_passes else max(1, len(x) // _SAMPLE)
    sample = x[::step].astype(np.float64)
    small = None if n_passes else IntegerProducts.suited(sample, largest, len(x))
    if small is not None:
        return small
    plan = guess_plan(sample, largest, n_passes)
    return None if plan is None else DigitProducts(plan, len(x))

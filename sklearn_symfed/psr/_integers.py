"""Rows of small integers: one digit a column, which needs no splitting; products are taken where the rows lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_symfed.psr._products import CERTIFIED, MAX_SUM, Level

__all__ = ["IntegerProducts"]

_CACHED = 1 << 15  # float64 numbers that are looked at at a time
_LARGEST = 2.0**20  # larger integers allow fewer than 8,192 rows a product: digits serve them as well
_TALLEST = 1 << 15

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]


class IntegerProducts:
    """Running sums of the products of rows of integers.

    Parameters
    ----------
    n_columns : int
    height : int
        Largest number of rows of a block.

    Attributes
    ----------
    known : bool
        Whether the rows to come are known to hold nothing but integers.
    """

    def __init__(self, n_columns: int, height: int) -> None:
        self.height = height
        self.known = False
        self._rounded = np.empty(_CACHED)
        self._unequal = np.empty(_CACHED, dtype=bool)
        self._gram = np.empty((n_columns, n_columns))
        self._integers = np.empty((n_columns, n_columns), dtype=np.int64)
        self._ones = np.ones(height)
        self._sums = np.zeros((n_columns + 1, n_columns + 1), dtype=np.int64)
        self._bound = 0.0

    @classmethod
    def suited(cls, sample: Floats, largest: Floats, n_rows: int) -> IntegerProducts | None:
        """Return an empty sum for rows whose sample holds nothing but small integers.

        Parameters
        ----------
        sample : ndarray of float64 of shape (n_sampled, n_columns)
        largest : ndarray of float64 of shape (n_columns,)
            The largest magnitudes of all rows.
        n_rows : int
            Rows at hand.
        """
        top = float(largest.max())
        if top > _LARGEST or not (sample == np.rint(sample)).all():
            return None
        return cls(len(largest), int(min(_TALLEST, n_rows, CERTIFIED / max(1.0, top) ** 2)))

    @property
    def full(self) -> bool:
        """Whether the sums must be moved onto the grid before another block is added."""
        return self._bound >= MAX_SUM

    def add(self, rows: Floats) -> Floats | None:
        """Add a block of rows; return those that are left over, None for none.

        Parameters
        ----------
        rows : ndarray of float64 or float32 of shape (n_rows, n_columns)
            At most `height` rows, in any memory layout.
        """
        with np.errstate(all="ignore"):
            if rows.dtype != np.float64:
                rows = rows.astype(np.float64)
            if not (self.known or self._holds_integers(rows)):
                return rows.copy()
            gram = np.matmul(rows.T, rows, out=self._gram)
            largest = float(gram.diagonal().max())
            if not largest < CERTIFIED:
                return rows.copy()
            np.copyto(self._integers, gram, casting="unsafe")
            self._sums[1:, 1:] += self._integers
            self._sums[0, 1:] += (self._ones[: len(rows)] @ rows).astype(np.int64)
        self._bound += largest
        return None

    def levels(self) -> Iterator[Level]:
        """Yield integers, the exponents of two of their entries, and the part of the augmented Gram matrix they are."""
        yield self._sums, 0, ...

    def clear(self) -> None:
        """Forget the sums."""
        self._sums[:] = 0
        self._bound = 0.0

    def _holds_integers(self, rows: Floats) -> bool:
        whole = rows.flags.c_contiguous or rows.flags.f_contiguous
        for line in [rows.ravel(order="K")] if whole else rows.T:
            for start in range(0, len(line), _CACHED):
                part = line[start : start + _CACHED]
                rounded = np.rint(part, out=self._rounded[: len(part)])
                if np.not_equal(part, rounded, out=self._unequal[: len(part)]).any():
                    return False
        return True

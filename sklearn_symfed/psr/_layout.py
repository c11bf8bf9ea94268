"""What each entry of a packed state means, and which states rows can have.

A packed state is one vector of exact numbers: rows, sum of squared weights, and the upper triangle, row by row, of the
augmented Gram matrix ``[1, X]' W [1, X]``, which begins with the sum of weights and the column sums.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from sklearn_symfed.psr._limbs import Limbs

__all__ = ["impossibility", "packed_length", "rows_of", "selected", "selection"]

Index = np.ndarray[Any, np.dtype[np.intp]]


def packed_length(n_columns: int) -> int:
    """Return the number of entries of a packed state."""
    return 2 + (n_columns + 1) * (n_columns + 2) // 2


def selection(n_columns: int, columns: list[int]) -> Index:
    """Return where the entries of a packed state over `columns`, a selection of `n_columns`, stand in the whole one.

    A column -1 is one of zeros; its entries stand behind the last one.
    """
    size = n_columns + 1
    place = np.full((size + 1, size + 1), packed_length(n_columns), dtype=np.intp)
    rows, cols = np.triu_indices(size)
    place[rows, cols] = place[cols, rows] = np.arange(2, 2 + len(rows))
    chosen = np.array([0, *(column + 1 if column >= 0 else size for column in columns)])
    rows, cols = np.triu_indices(len(chosen))
    return np.concatenate([[0, 1], place[chosen[rows], chosen[cols]]])


def selected(state: Limbs, n_columns: int, columns: list[int]) -> Limbs:
    """Return the packed state over a selection of columns; -1 is a column of zeros."""
    if min(columns, default=0) < 0:
        state = state.within(state.length + 1, 0)
    return state.take(selection(n_columns, columns))


def rows_of(state: Limbs) -> int:
    """Return the number of rows of a packed state."""
    (rows,), exponent = state.some_integers(slice(1))
    return rows << exponent if exponent >= 0 else rows >> -exponent


def impossibility(state: Limbs, n_columns: int) -> str | None:
    """Say what in a packed state no rows can have; None where nothing is found."""
    (rows, squared, total), exponent = state.some_integers(slice(3))
    unit, scale = 1 << max(exponent, 0), 1 << max(-exponent, 0)
    if rows < 0:
        return "a negative number of rows"
    if rows % scale:
        return "a fraction of a row"
    if rows == 0:
        return "sums without rows" if state else None
    if total <= 0 or not 0 < squared * scale <= total * total * unit <= squared * rows * unit:
        return "a sum of weights that does not fit the number of rows"
    doubtful = _doubtful(state, n_columns)
    if not len(doubtful):
        return None
    index = np.concatenate([[0], 1 + doubtful, 1 + n_columns + doubtful])
    (total, *others), _ = state.some_integers(_telling(n_columns)[index])
    sums, squares = others[: len(doubtful)], others[len(doubtful) :]
    if min(squares) < 0:
        return "a negative sum of squares"
    if any(first * first > square * total for first, square in zip(sums, squares, strict=True)):
        return "a sum that is larger than its squares allow"
    return None


@lru_cache(maxsize=64)
def _telling(n_columns: int) -> Index:
    """Return where the sum of weights stands, then the sums of all columns, then the sums of their squares."""
    squares = np.cumsum([2, *range(n_columns + 1, 1, -1)])[1 : n_columns + 1]
    return np.concatenate([np.arange(2, 3 + n_columns), squares])


def _doubtful(state: Limbs, n_columns: int) -> Index:
    """Return the columns whose sum and squares float64 does not show to fit: few, as a look at integers takes long."""
    values, errors = state.some_floats(_telling(n_columns))
    least = values - errors
    total, squares = least[0], least[1 + n_columns :]
    sums = (np.abs(values) + errors)[1 : 1 + n_columns]
    fits = sums * sums * (1 + 2.0**-40) <= squares * total
    fits &= squares >= 0
    return np.flatnonzero(~fits)

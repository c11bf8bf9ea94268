"""What each entry of a packed state means, and which states rows can have.

A packed state is one vector of exact numbers: rows, sum of squared weights, and the upper triangle, row by row, of the
augmented Gram matrix ``[1, X]' W [1, X]``, which begins with the sum of weights and the column sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_symfed.psr._limbs import Limbs

__all__ = ["impossibility", "packed_length", "rows_of", "selection"]

Index = np.ndarray[Any, np.dtype[np.intp]]


def packed_length(n_columns: int) -> int:
    """Return the number of entries of a packed state."""
    return 2 + (n_columns + 1) * (n_columns + 2) // 2


def selection(n_columns: int, columns: list[int]) -> Index:
    """Return where the entries of a packed state over `columns`, a selection of `n_columns`, stand in the whole one."""
    size = n_columns + 1
    place = np.zeros((size, size), dtype=np.intp)
    rows, cols = np.triu_indices(size)
    place[rows, cols] = place[cols, rows] = np.arange(2, 2 + len(rows))
    chosen = np.array([0, *(column + 1 for column in columns)])
    rows, cols = np.triu_indices(len(chosen))
    return np.concatenate([[0, 1], place[chosen[rows], chosen[cols]]])


def rows_of(state: Limbs) -> int:
    """Return the number of rows of a packed state."""
    return _leading(state)[0]


def _leading(state: Limbs) -> tuple[int, int]:
    """Return the number of rows of a packed state, and the remainder that a true one does not have."""
    integers, exponent = state.take(np.array([0])).to_integers()
    numerator, denominator = (int(integers[0]) << max(exponent, 0)), 1 << max(-exponent, 0)
    return divmod(numerator, denominator)


def impossibility(state: Limbs, n_columns: int) -> str | None:
    """Say what in a packed state no rows can have; None where nothing is found."""
    if not state:
        return None
    n_rows, remainder = _leading(state)
    if remainder or n_rows < 0:
        return "a negative number of rows" if n_rows < 0 else "a fraction of a row"
    if n_rows == 0:
        return "sums without rows"
    diagonal = np.cumsum([2, *range(n_columns + 1, 1, -1)])[: n_columns + 1]
    sums = np.arange(3, 3 + n_columns)
    integers, exponent = state.take(np.concatenate([[1], diagonal, sums])).to_integers()
    squared, total, squares, firsts = integers[0], integers[1], integers[2 : 2 + n_columns], integers[2 + n_columns :]
    scale = 1 << max(-exponent, 0)
    unit = 1 << max(exponent, 0)
    if not 0 < squared * scale <= total * total * unit <= squared * n_rows * scale or total <= 0:
        return "a sum of weights that does not fit the number of rows"
    if any(square < 0 for square in squares):
        return "a negative sum of squares"
    if any(first * first > square * total for first, square in zip(firsts, squares, strict=True)):
        return "a sum that is larger than its squares allow"
    return None

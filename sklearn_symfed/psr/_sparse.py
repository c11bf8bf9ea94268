"""Sparse rows: what scipy's matrices stand for, and exact products that skip the zeros between.

The numbers that are stored are cut into signed digits of 22 bits on the absolute grid, each digit of all of them is a
sparse matrix of integers, and products of these add up in int64 as long as it cannot overflow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

__all__ = ["Stored", "as_blocks", "by_rows", "column_of", "finite_rows", "is_sparse", "sparse_products", "stored_in"]

_DIGIT_BITS = 22
_DIGIT = np.uint64((1 << _DIGIT_BITS) - 1)
_DIGITS = 4  # of a number of 64 bits, wherever on the grid it begins
_MOST_TERMS = 1 << 18  # products of two digits, below 2**44, whose sum is below 2**62

Array = np.ndarray[Any, Any]
Int64 = np.ndarray[Any, np.dtype[np.int64]]
Level = tuple[Int64, int, Any]

is_sparse = sparse.issparse


class Stored(NamedTuple):
    """Numbers of some rows; all others are zero.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    rows, columns : ndarray of int of shape (n_stored,)
    values : list of ndarray
        Finite floats or integers, of any types, that together are as many.
    """

    shape: tuple[int, int]
    rows: Array
    columns: Array
    values: list[Array]


# -- what a matrix stands for ----------------------------------------------------------------------------------------


def by_rows(matrix: Any) -> Any:
    """Return a matrix as a `csr_array` that stores each number once: what `toarray` would add up is added up.

    One that does so already is not copied.
    """
    if matrix.format not in {"csr", "csc", "coo"}:
        matrix = matrix.tocsr()
    if matrix.format != "coo" and matrix.has_canonical_format:
        return sparse.csr_array(matrix)
    found = matrix.tocoo()
    order = np.lexsort((found.col, found.row))  # stable, as sums of floats depend on their order
    rows, columns, values = found.row[order], found.col[order], found.data[order]
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    if not new.all():
        sums = np.zeros(np.count_nonzero(new), values.dtype)
        np.add.at(sums, np.cumsum(new) - 1, values)
        rows, columns, values = rows[new], columns[new], sums
    return sparse.csr_array((values, (rows, columns)), shape=matrix.shape)


def as_blocks(columns: list[Array]) -> list[Any]:
    """Return columns side by side, neighbours of one type as one `csr_array`."""
    groups = groupby(map(sparse.csr_array, columns), key=lambda column: column.dtype)
    return [sparse.hstack(list(group), format="csr") for _, group in groups]


def column_of(block: Any, position: int) -> Array:
    """Return a column with its zeros."""
    return np.asarray(block[:, [position]].toarray())[:, 0]


def finite_rows(block: Any) -> Array:
    """Tell which rows hold nothing but finite numbers."""
    if not is_sparse(block):
        return np.asarray(np.isfinite(block).all(axis=1))
    finite = np.ones(block.shape[0], bool)
    finite[np.searchsorted(block.indptr, np.flatnonzero(~np.isfinite(block.data)), side="right") - 1] = False
    return finite


def stored_in(block: Any) -> tuple[Array, Array, Array]:
    """Return rows, columns and values of the numbers that a block stores, or that are not zero."""
    if is_sparse(block):
        return np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)), block.indices, block.data
    rows, columns = np.nonzero(block)
    return rows, columns, block[rows, columns]


# -- products --------------------------------------------------------------------------------------------------------


def sparse_products(x: Stored) -> Iterator[Level]:
    """Yield integers, their exponent of two, and the part of the augmented Gram matrix ``[1, X]' [1, X]`` they add to.

    The first entry, which counts rows, and what is below the diagonal stay zero.
    """
    yield from _products(_digits(x), x.shape[0])


def _products(digits: dict[int, Any], n_rows: int) -> Iterator[Level]:
    most = max((int(np.bincount(digit.indices).max()) for digit in digits.values()), default=0)
    if most * len(digits) > _MOST_TERMS:
        for half in np.array_split(np.arange(n_rows), 2):
            parts = {key: digit[half] for key, digit in digits.items()}
            yield from _products({key: part for key, part in parts.items() if part.nnz}, len(half))
        return
    levels: dict[int, Any] = {}
    for key, digit in digits.items():
        yield np.asarray(digit.sum(axis=0)), _DIGIT_BITS * key, (0, slice(1, None))
        turned = digit.T.tocsr()
        for other, partner in digits.items():
            if other >= key:
                product = turned @ partner
                product = product if other == key else product + product.T
                levels[key + other] = levels[key + other] + product if key + other in levels else product
    for level, products in levels.items():
        upper = sparse.triu(products, format="coo")
        yield upper.data, _DIGIT_BITS * level, (upper.row + 1, upper.col + 1)


def _digits(x: Stored) -> dict[int, Any]:
    """Return matrices of signed digits: ``X = sum(digits[k] * 2**(22 k))``."""
    keys, cut = (np.concatenate(parts, axis=-1) for parts in zip(*map(_cut, x.values), strict=True))
    where = np.flatnonzero(cut)
    if not len(where):
        return {}
    keys, cut, entries = keys.ravel()[where], cut.ravel()[where], where % len(x.rows)
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    return {
        key: sparse.csr_array((cut[some], (x.rows[entries[some]], x.columns[entries[some]])), shape=x.shape)
        for key, some in zip(found.tolist(), np.split(order, starts[1:]), strict=True)
    }


def _cut(values: Array) -> tuple[Array, Int64]:
    """Return positions on the grid and signed digits: int16 and int64 of shape (4, n_values)."""
    if values.dtype.kind == "f":
        mantissas, exponents = np.frexp(values.astype(np.float64, copy=False))
        magnitudes = np.abs(np.ldexp(mantissas, 53)).astype(np.uint64)
        first, shift = np.divmod(exponents.astype(np.int64) - 53, _DIGIT_BITS)
    else:
        wide = values.astype(np.uint64 if values.dtype.kind == "u" else np.int64)
        magnitudes = np.abs(wide).astype(np.uint64)  # -2**63 becomes 2**63
        first = shift = np.zeros(len(values), np.int64)
    keys = (first + np.arange(_DIGITS)[:, None]).astype(np.int16)
    digits = np.empty((_DIGITS, len(values)), np.int64)
    for k, digit in enumerate(digits):
        down = _DIGIT_BITS * k - shift
        moved = magnitudes >> np.clip(down, 0, 63).astype(np.uint64) if k else magnitudes << shift.astype(np.uint64)
        digit[:] = np.where(down < 64, moved & _DIGIT, 0)
    if values.dtype.kind != "u":
        np.negative(digits, out=digits, where=values < 0)
    return keys, digits

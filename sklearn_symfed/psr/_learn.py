"""From validated rows to packed states: one for each class, in chunks, on any number of threads.

Owns grouping, threads and weights.  None of them can change a bit: they only say which rows are added when.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from numbers import Integral
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from threadpoolctl import ThreadpoolController  # scikit-learn depends on it

from sklearn_symfed.exceptions import DataTypeError
from sklearn_symfed.psr._exact import CHUNK_ROWS, ExactGram, NotFiniteError
from sklearn_symfed.psr._labels import Label
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._rows import Rows

__all__ = ["learn"]

_COPIED = 1 << 17  # numbers
_LEAST_STORED, _MOST_STORED = 1 << 16, 1 << 20

Array = np.ndarray[Any, Any]
Cells = dict[Label | None, Limbs]
Task = tuple[Label | None, slice | Array]  # a class, and some of its rows


def learn(rows: Rows, n_jobs: int | None) -> Cells:
    """Return the packed state of each class."""
    if n_jobs is not None and not (isinstance(n_jobs, Integral) and n_jobs):
        msg = f"Got n_jobs={n_jobs!r}, but expected None or an integer other than 0."
        raise DataTypeError(msg)
    groups = _groups(rows)
    tasks: list[Task] = []
    for label, members in groups.items():
        size = rows.n_rows if members is None else len(members)
        height = _height(rows, by_class=members is not None)
        pieces = [slice(start, min(start + height, size)) for start in range(0, size, height)]
        tasks += [(label, piece if members is None else members[piece]) for piece in pieces]
    n_parts = max(1, min(effective_n_jobs(n_jobs), len(tasks)))
    try:
        if n_parts > 1:
            shares = [tasks[part::n_parts] for part in range(n_parts)]
            with _blas().limit(limits=1, user_api="blas"):  # threads that each start threads wait for one another
                parts = Parallel(n_jobs=n_jobs, prefer="threads")(
                    delayed(_learn_share)(rows, share) for share in shares
                )
        else:
            parts = [_learn_share(rows, tasks)]
    except NotFiniteError:
        raise rows.complain(tasks) from None
    cells: Cells = {}
    for label, members in groups.items():
        grams = [part[label] for part in parts if label in part] or [ExactGram(len(rows.schema.stored))]
        for gram in grams[1:]:
            grams[0].merge(gram)
        weights = rows.weights if rows.weights is None or members is None else rows.weights[members]
        cells[label] = _packed(grams[0], weights)
    return cells


def _height(rows: Rows, *, by_class: bool) -> int:
    """Return how many rows are learned at a time."""
    if rows.sparse:  # a step costs as much as the matrix of products is large, and holds digits of what is stored
        n_stored = min(_MOST_STORED, max(_LEAST_STORED, len(rows.schema.stored) ** 2))
        return max(1, n_stored * rows.n_rows // max(1, rows.n_stored))
    return CHUNK_ROWS if rows.in_place and not by_class else _copied_rows(len(rows.schema.stored))


def _copied_rows(n_columns: int) -> int:
    """Return how many rows are copied at a time: they should still lie in a processor's cache when they are learned."""
    return min(CHUNK_ROWS, max(1024, _COPIED // max(1, n_columns) // 1024 * 1024))


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def _groups(rows: Rows) -> dict[Label | None, Array | None]:
    """Return the positions of each class's rows; None stands for no classes and for all rows."""
    if rows.codes is None:
        return {None: None}
    narrow = rows.codes.astype(np.uint16) if len(rows.labels) < 2**16 else rows.codes  # numpy sorts these by radix
    order = np.argsort(narrow, kind="stable")
    ends = np.cumsum(np.bincount(rows.codes, minlength=len(rows.labels)))
    return dict(zip(rows.labels, np.split(order, ends[:-1]), strict=False))


def _learn_share(rows: Rows, tasks: list[Task]) -> dict[Label | None, ExactGram]:
    """Add up chunks of rows, those of a class one after another."""
    grams: dict[Label | None, ExactGram] = {}
    gram: ExactGram | None = None
    for label, chunk in tasks:
        if gram is None or label not in grams:
            grams[label] = gram = ExactGram(len(rows.schema.stored), gram.settle() if gram else None)
        if rows.sparse:
            _learn_sparse(rows, chunk, gram)
            continue
        x, low, split, integers = rows.chunk(chunk)
        weights = None if rows.weights is None else rows.weights[chunk]
        for exponent, some in ((0, slice(None)),) if weights is None else _bits(weights):
            if low is None or split is None:
                gram.add(x[some], exponent, integers=integers)
            else:
                gram.add_split(x[some], low[some], split, exponent)
    if gram is not None:
        gram.settle()
    return grams


def _learn_sparse(rows: Rows, chunk: slice | Array, gram: ExactGram) -> None:
    parts: Iterator[tuple[int, slice | Array]] = iter([(0, chunk)])
    if rows.weights is not None:
        every = np.arange(rows.n_rows)[chunk]
        parts = ((exponent, every[some]) for exponent, some in _bits(rows.weights[chunk]))
    for exponent, some in parts:
        stored = rows.stored(some)
        if stored is None:
            raise NotFiniteError
        gram.add_sparse(stored, exponent)


def _bits(weights: Array) -> Iterator[tuple[int, Array]]:
    """Yield exponents and the rows whose weight has that bit: weights are sums of powers of two, exact scales."""
    if weights.dtype.kind == "f":
        mantissa, exponents = np.frexp(weights)
        integers, exponents = np.ldexp(mantissa, 53).astype(np.int64), exponents.astype(np.int64) - 53
    else:
        integers, exponents = weights, np.zeros(len(weights), dtype=np.int64)
    present = integers != 0
    if not present.any():
        return
    for exponent in range(int(exponents[present].min()), int(exponents[present].max()) + 63):
        shift = exponent - exponents
        some = (shift >= 0) & (shift < 63) & ((integers >> np.clip(shift, 0, 62)) & 1 == 1)
        if some.any():
            yield exponent, some


def _packed(gram: ExactGram, weights: Array | None) -> Limbs:
    """Return the state; where float weights make them differ, rows and squared weights are counted here."""
    if weights is None or weights.dtype.kind == "i":
        return gram.packed()
    squares = ExactGram(1)
    for start in range(0, len(weights), CHUNK_ROWS):
        squares.add(weights[start : start + CHUNK_ROWS, None])
    return gram.packed(int(np.count_nonzero(weights)), squares.packed().take(np.array([4])))

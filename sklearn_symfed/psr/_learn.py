"""From validated rows to packed states: one for each class, in chunks, on any number of threads.

Owns grouping, threads and weights.  None of them can change a bit: they only say which rows are added when.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from sklearn_symfed.psr._exact import CHUNK_ROWS, ExactGram, NotFiniteError
from sklearn_symfed.psr._labels import Label
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._rows import Rows

__all__ = ["learn"]

Array = np.ndarray[Any, Any]
Cells = dict[Label | None, Limbs]


def learn(rows: Rows, n_jobs: int | None) -> Cells:
    """Return the packed state of each class."""
    cells: Cells = {}
    for label, members in _groups(rows):
        size = rows.n_rows if members is None else len(members)
        starts = range(0, size, CHUNK_ROWS)
        pieces = [slice(start, min(start + CHUNK_ROWS, size)) for start in starts]
        chunks = [piece if members is None else members[piece] for piece in pieces]
        n_parts = min(effective_n_jobs(n_jobs), len(chunks))
        if n_parts > 1:
            shares = (chunks[part::n_parts] for part in range(n_parts))
            grams = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(_learn_chunks)(rows, share) for share in shares)
        else:
            grams = [_learn_chunks(rows, chunks)]
        for gram in grams[1:]:
            grams[0].merge(gram)
        cells[label] = _packed(
            grams[0], rows.weights if rows.weights is None or members is None else rows.weights[members]
        )
    return cells


def _groups(rows: Rows) -> Iterator[tuple[Label | None, Array | None]]:
    """Yield each class and the positions of its rows; None stands for no classes and for all rows."""
    if rows.codes is None:
        yield None, None
        return
    order = np.argsort(rows.codes, kind="stable")
    ends = np.cumsum(np.bincount(rows.codes, minlength=len(rows.labels)))
    yield from zip(rows.labels, np.split(order, ends[:-1]), strict=False)


def _learn_chunks(rows: Rows, chunks: list[slice | Array]) -> ExactGram:
    gram = ExactGram(len(rows.schema.names))
    for chunk in chunks:
        x, low, split = rows.chunk(chunk)
        weights = None if rows.weights is None else rows.weights[chunk]
        try:
            for exponent, some in ((0, slice(None)),) if weights is None else _bits(weights):
                if low is None or split is None:
                    gram.add(x[some], exponent)
                else:
                    gram.add_split(x[some], low[some], split, exponent)
        except NotFiniteError:
            raise rows.complain(chunk) from None
    return gram


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

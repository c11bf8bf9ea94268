"""Rows outside of the ranges that are declared for their columns: refused, or left out and counted.

A row that is not finite is never left out, and neither is one of weight zero, which is not learned anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr._ranges import Range, outside_of, range_in_words
from sklearn_symfed.psr._rows import Rows
from sklearn_symfed.psr._sparse import column_of, finite_rows, is_sparse

__all__ = ["within"]

Array = np.ndarray[Any, Any]


def within(rows: Rows) -> Rows:
    """Return rows without those that are outside of a range.

    Raises
    ------
    DataError
        If there are some, and they are not to be dropped; names the first, its column and the bounds.
    """
    if not rows.schema.ranges or not rows.n_rows:
        return rows
    found = _marked(rows)
    if not found:
        return rows
    outside = np.flatnonzero(np.logical_or.reduce(list(found.values())))
    outside = outside[_counts(rows, outside)]
    if not len(outside):
        return rows
    if rows.schema.outside == "error":
        first = int(outside[0])
        name = next(name for name, marked in found.items() if marked[first])
        msg = (
            f"Got {len(outside)} of {rows.n_rows} rows outside of the declared ranges, the first of them row {first} "
            f"(counted from 0), but expected {range_in_words(rows.schema.ranges[name])} in column {name!r}: correct "
            "such rows, leave them out, or declare outside='drop'. Nothing was learned."
        )
        raise DataError(msg)
    return rows.without(outside)


def _marked(rows: Rows) -> dict[str, Array]:
    """Return for each column which of its numbers are outside of its range, if any are."""
    names, ranges, decimals = rows.schema.names, rows.schema.ranges, rows.schema.decimals
    found: dict[str, Array] = {}
    start = 0
    for block in rows.blocks:
        here = names[start : start + block.shape[1]]
        bounds = {column: ranges[name] for column, name in enumerate(here) if name in ranges}
        digits = {column: decimals[name] for column, name in enumerate(here) if name in decimals}
        if bounds:
            found.update({here[column]: marked for column, marked in _outside_in(block, bounds, digits)})
        start += block.shape[1]
    return {name: marked & present for name, marked in found.items() for present in [_present(rows, name)]}


def _outside_in(block: Any, bounds: dict[int, Range], digits: dict[int, int]) -> Iterable[tuple[int, Array]]:
    if not is_sparse(block):
        return outside_of(block, bounds, digits).items()
    columns = block.tocsc()  # one of them at a time is looked at with its zeros
    return (
        (column, marked)
        for column in bounds
        for own in [{0: digits[column]} if column in digits else {}]
        for marked in outside_of(column_of(columns, column)[:, None], {0: bounds[column]}, own).values()
    )


def _present(rows: Rows, name: str) -> Array:
    """Tell where a value is there: a zero that stands for a missing one is not outside of a range."""
    mode = rows.schema.missing.get(name)
    if mode == "pairwise":
        return np.asarray(rows.column(rows.schema.observed[name]) != 0)
    if mode == "indicator":
        return np.asarray(rows.column(rows.schema.encodings[name].names(name)[-1]) == 0)
    return np.ones(rows.n_rows, bool)


def _counts(rows: Rows, some: Array) -> Array:
    """Tell of some rows which are finite and have a weight."""
    finite = [finite_rows(block[some]) for block in rows.blocks if block.dtype.kind == "f"]
    weighs = [] if rows.weights is None else [rows.weights[some] != 0]
    return np.asarray(np.logical_and.reduce([np.ones(len(some), bool), *finite, *weighs]))

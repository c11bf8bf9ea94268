"""Streams of rows: iterators of batches, or of single rows, brought together to pieces that are worth learning.

Owns what a stream may hold and how rows are grouped.  Groups cannot change a bit; they only say which rows are added
when, and bound what is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from operator import itemgetter
from typing import Any

import numpy as np
from scipy.sparse import vstack

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import NamedColumns, as_table
from sklearn_symfed.psr._labels import sorted_labels
from sklearn_symfed.psr._outside import within
from sklearn_symfed.psr._reading import read_rows
from sklearn_symfed.psr._rows import Rows
from sklearn_symfed.psr._sparse import is_sparse

__all__ = ["alike", "batches", "counted_from", "is_stream", "joined", "pieces", "rows_of_a_piece"]

_TALLEST = 32_768

Array = np.ndarray[Any, Any]
Batch = tuple[Any, Any, Any]  # X, y or None, sample_weight or None


def is_stream(X: Any) -> bool:
    """Tell whether rows come from an iterator, such as a generator or a pyarrow ``RecordBatchReader``."""
    return isinstance(X, Iterator)


def rows_of_a_piece(n_columns: int) -> int:
    """Return how many rows are worth learning at once: 16 MB of float64, and between 512 and 32,768 rows."""
    return min(max(512, (1 << 21) // max(1, n_columns)), _TALLEST)


def pieces(stream: Iterator[Any], **declared: Any) -> Iterator[tuple[int, Rows]]:
    """Yield a stream as rows, small batches together, and the position of the first of them.

    A batch is let go of before the next is asked for.

    Parameters
    ----------
    stream : iterator
    **declared
        What `read_rows` is told of the columns.

    Raises
    ------
    DataError, SchemaError
        As `read_rows`; says where in the stream.
    """
    pending: list[Rows] = []
    first = waiting = 0
    for X, y, weight in batches(stream):
        with counted_from(first + waiting):
            rows = within(read_rows(X, y, sample_weight=weight, **declared))
        if pending and not alike(pending[0], rows):
            yield from _handed_over(pending, first)
            first, waiting = first + waiting, 0
        pending.append(rows)
        waiting += rows.n_read
        enough = waiting >= (_TALLEST if rows.sparse else rows_of_a_piece(len(rows.schema.stored)))
        del X, y, weight, rows
        if enough:
            yield from _handed_over(pending, first)
            first, waiting = first + waiting, 0
    if pending:
        yield from _handed_over(pending, first)


def _handed_over(pending: list[Rows], first: int) -> Iterator[tuple[int, Rows]]:
    with counted_from(first):
        rows = joined(pending)
    pending.clear()
    yield first, rows


@contextmanager
def counted_from(first: int) -> Iterator[None]:
    """Let errors of a part of a stream say where it begins."""
    try:
        yield
    except (DataError, SchemaError) as error:
        if not first:
            raise
        raise type(error)(f"{error} Here rows are counted from row {first} of the stream.") from error


# -- rows into one ---------------------------------------------------------------------------------------------------


def alike(one: Rows, other: Rows) -> bool:
    """Tell whether rows can be put below others as they are."""
    return one.schema.stored == other.schema.stored and _types(one) == _types(other)


def _types(rows: Rows) -> list[str]:
    arrays = (rows.weights, *rows.blocks)
    return ["" if array is None else f"{array.dtype.str}{is_sparse(array)}" for array in arrays]


def joined(parts: list[Rows]) -> Rows:
    """Return rows of one schema and of equal types as one."""
    if len(parts) == 1:
        return parts[0]
    blocks = tuple(
        vstack(column, format="csr") if is_sparse(column[0]) else np.concatenate(column)
        for column in zip(*(rows.blocks for rows in parts), strict=True)
    )
    n_rows = sum(rows.n_rows for rows in parts)
    labels = sorted_labels(label for rows in parts for label in rows.labels)
    codes = weights = kept = None
    if parts[0].codes is not None:
        place = {label: code for code, label in enumerate(labels)}
        here = [np.array([place[label] for label in rows.labels], dtype=np.intp) for rows in parts]
        codes = np.concatenate([at[rows.codes] for at, rows in zip(here, parts, strict=True)])
    if parts[0].weights is not None:
        weights = np.concatenate([rows.weights for rows in parts])
    n_left_out, n_dropped, n_incomplete = (
        sum(getattr(rows, name) for rows in parts) for name in ("n_left_out", "n_dropped", "n_incomplete")
    )
    if n_left_out:
        starts = accumulate((rows.n_read for rows in parts), initial=0)
        each = [np.arange(rows.n_rows) if rows.kept is None else rows.kept for rows in parts]
        kept = np.concatenate([start + at for start, at in zip(starts, each, strict=False)])
    return Rows(parts[0].schema, n_rows, blocks, labels, codes, weights, kept, n_left_out, n_dropped, n_incomplete)


# -- what a stream holds ---------------------------------------------------------------------------------------------


def batches(stream: Iterator[Any]) -> Iterator[Batch]:
    """Yield ``X, y, sample_weight`` of a stream of tables, of rows, or of pairs or triples that begin with one."""
    for item in stream:
        pair = _is_pair(item)
        head = item[0] if pair else item
        if _is_table(head):
            batch = (*item, None, None)[:3] if pair else (item, None, None)
            del item, head
            yield as_table(batch[0]), batch[1], batch[2]
            del batch
            continue
        try:
            n_columns = len(head)
        except TypeError:
            msg = f"Got a {type(head).__name__} in a stream, but expected rows, tables, or pairs that begin with them."
            raise DataTypeError(msg) from None
        items = [item, *islice(stream, rows_of_a_piece(n_columns) - 1)]
        del item, head
        yield _stacked_pairs(items) if pair else (_stacked(items), None, None)
        del items


def _is_pair(item: Any) -> bool:
    return type(item) is tuple and 2 <= len(item) <= 3 and _is_sized(item[0])


def _is_sized(item: Any) -> bool:
    return isinstance(item, (list, tuple, dict)) or getattr(item, "ndim", 0) > 0 or hasattr(item, "columns")


def _is_table(item: Any) -> bool:
    if isinstance(item, (list, tuple)):
        return len(item) > 0 and _is_sized(item[0])
    return getattr(item, "ndim", 0) > 1 or hasattr(item, "columns")


def _stacked_pairs(items: list[Any]) -> Batch:
    if set(map(type, items)) != {tuple} or len(set(map(len, items))) > 1:
        msg = "Got rows with and without y in one stream, but expected all of one form."
        raise DataTypeError(msg)
    rows, y, *weight = zip(*items, strict=True)
    return _stacked(list(rows)), list(y), list(weight[0]) if weight else None


def _stacked(rows: list[Any]) -> Any:
    """Return single rows as a table."""
    kinds = set(map(type, rows))
    if len(kinds) == 1 and len(set(map(len, rows))) > 1:
        msg = "Got rows of different lengths in a stream, but expected equal ones."
        raise DataError(msg)
    if kinds == {np.ndarray}:
        try:
            return np.concatenate(rows, dtype=rows[0].dtype, casting="no").reshape(len(rows), -1)
        except (TypeError, ValueError):  # other types or shapes, which are read value by value
            return [row.tolist() for row in rows]
    if len(kinds) > 1 or not (kinds <= {list, tuple, dict} or hasattr(rows[0], "_fields")):
        names = sorted(kind.__name__ for kind in kinds)
        msg = f"Got rows of types {names} in a stream, but expected all of them arrays, lists, tuples or dicts."
        raise DataTypeError(msg)
    if kinds == {dict}:
        names = list(rows[0])
        if not names:
            return np.empty((len(rows), 0))
        if any(row.keys() != rows[0].keys() for row in rows):
            msg = f"Got rows of other columns in a stream, but expected {names} in all of them."
            raise SchemaError(msg)
        pick = itemgetter(*names)
        columns = zip(*map(pick, rows), strict=True) if len(names) > 1 else [map(pick, rows)]
        return NamedColumns({name: list(column) for name, column in zip(names, columns, strict=True)})
    if hasattr(rows[0], "_fields"):
        columns = zip(rows[0]._fields, zip(*rows, strict=True), strict=True)
        return NamedColumns({name: list(column) for name, column in columns})
    return rows

"""Rows: columns side by side, and the label and the weight that go with each row.

Owns how these are read in chunks: as floats, where an integer that float64 cannot hold is split in two, or, of sparse
rows, as the numbers that are stored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr._columns import EXACT_IN_FLOAT64, not_finite
from sklearn_symfed.psr._decimals import no_decimal, scale_and_mark, scale_floats, scale_integers, scale_values
from sklearn_symfed.psr._labels import Label
from sklearn_symfed.psr._schema import Schema
from sklearn_symfed.psr._sparse import Stored, column_of, is_sparse, stored_in

__all__ = ["Chunk", "Rows"]

Array = np.ndarray[Any, Any]
_FLOATS = (np.float64, np.float32)
_DENSE = 0.08  # rows that have more numbers than this part of all are learned faster with their zeros
_FEW = 1 << 20  # numbers of sparse rows that are read with their zeros at a time


class Chunk(NamedTuple):
    """Some rows, as floats.

    Attributes
    ----------
    x : ndarray of float64 or float32 of shape (n, n_columns)
        Where decimals are declared, the integers that they are when the point is left out.
    low : ndarray of float64 of shape (n, n_split) or None
        What must be added to the `split` columns of `x`: integers beyond 2**53 need two floats.
    split : ndarray of int of shape (n_split,) or None
    integers : bool
        Whether all columns are known to hold integers.
    """

    x: Array
    low: Array | None = None
    split: Array | None = None
    integers: bool = False


class Run(NamedTuple):
    """Neighbouring columns of one type with as many digits after the point."""

    columns: slice
    digits: Any  # int; None where none are declared
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Rows:
    """Validated rows: blocks of columns side by side, and what goes with each row.

    Attributes
    ----------
    schema : Schema
        Names of the columns of all blocks, and of the class column.
    n_rows : int
    blocks : tuple of ndarray or csr_array of shape (n_rows, n_block_columns)
        Float or integer arrays; integers may exceed what float64 holds.
    labels : tuple of bool, int or str
        Distinct class labels, sorted; empty without class column.
    codes : ndarray of int of shape (n_rows,) or None
        Position of each row's label in `labels`.
    weights : ndarray of float64 or int64 of shape (n_rows,) or None
        Integers repeat a row, floats weigh it.
    kept : ndarray of int of shape (n_rows,) or None
        Where each row stood among those that were read; None where none was left out.
    n_left_out : int
        Rows that were read and are not among these.
    n_dropped : int
        The same, but repetitions count.
    n_incomplete : int
        Those of them where a value was missing.
    """

    schema: Schema
    n_rows: int
    blocks: tuple[Any, ...]
    labels: tuple[Label, ...] = ()
    codes: Array | None = None
    weights: Array | None = None
    kept: Array | None = None
    n_left_out: int = 0
    n_dropped: int = 0
    n_incomplete: int = 0

    @property
    def n_read(self) -> int:
        """How many rows were read, left out or not."""
        return self.n_rows + self.n_left_out

    @property
    def in_place(self) -> bool:
        """Whether a chunk of consecutive rows is read where it lies, without a copy."""
        block = self.blocks[0] if len(self.blocks) == 1 else None
        return isinstance(block, np.ndarray) and block.dtype in _FLOATS and not self.schema.decimals

    @cached_property
    def n_stored(self) -> int:
        """How many numbers the blocks store."""
        return sum(block.nnz if is_sparse(block) else block.size for block in self.blocks)

    @cached_property
    def sparse(self) -> bool:
        """Whether rows are better learned without their zeros."""
        some = any(map(is_sparse, self.blocks))
        return some and self.n_stored <= _DENSE * self.n_rows * len(self.schema.stored)

    def stored(self, rows: slice | Array) -> Stored | None:
        """Read the numbers of some rows that are stored; None where one cannot be learned, which `complain` names."""
        n_rows, start, found = len(range(self.n_rows)[rows]) if isinstance(rows, slice) else len(rows), 0, []
        for block in self.blocks:
            where, columns, values = stored_in(block[rows])
            columns = columns + start
            for digits, some in self._by_decimals(columns):
                scaled = scale_values(values[some], digits)
                if scaled is None:
                    return None
                found.append((where[some], columns[some], scaled))
            start += block.shape[1]
        row, column, numbers = zip(*found, strict=True)
        return Stored((n_rows, start), np.concatenate(row), np.concatenate(column), list(numbers))

    def _by_decimals(self, columns: Array) -> Iterator[tuple[int | None, Any]]:
        """Yield declared digits after the point, and which of some columns have so many."""
        if not self.schema.decimals or not len(columns):
            yield None, slice(None)
            return
        digits = np.array([self.schema.decimals.get(name, -1) for name in self.schema.stored])[columns]
        for each in np.unique(digits).tolist():
            yield None if each < 0 else each, np.flatnonzero(digits == each)

    def chunk(self, rows: slice | Array) -> Chunk:
        """Read some rows as floats."""
        if self.in_place:
            return Chunk(_taken(self.blocks[0], rows))
        parts = [_taken(block, rows) for block in self.blocks]
        n_rows = len(range(self.n_rows)[rows]) if isinstance(rows, slice) else len(rows)
        x = np.empty((n_rows, len(self.schema.stored)), order="C" if self._by_rows else "F")
        low: list[Array] = []
        split: list[int] = []
        start = 0
        for part in parts:
            out = x[:, start : start + part.shape[1]]
            if part.dtype.kind != "f":
                exact = self._scaled_integers(part, start, rows)
                out[...] = exact
                for column in _beyond_float64(exact):
                    below = exact[:, column] & np.array(0xFFFFFFFF, exact.dtype)
                    out[:, column] = exact[:, column] - below
                    low.append(below.astype(np.float64))
                    split.append(start + column)
            elif not (self._by_rows and self._runs):  # else they are scaled on the way
                out[...] = part
            start += part.shape[1]
        for run in self._runs:
            self._scale(run, parts, x, rows)
        if split:
            return Chunk(x, np.column_stack(low), np.array(split))
        return Chunk(x, integers=self._integers)

    def _scale(self, run: Run, parts: list[Array], x: Array, rows: slice | Array) -> None:
        """Write neighbouring columns of floats as the integers that they are when the point is left out."""
        columns, digits, dtype = run
        out = x[:, columns]
        if not scale_floats(parts[0] if self._by_rows else out, digits, out, single=dtype == np.float32):
            values = np.hstack(parts)[:, columns].astype(dtype)
            self._require_decimals(scale_and_mark(values, digits, out), values, columns.start, rows)

    def _scaled_integers(self, part: Array, start: int, rows: slice | Array) -> Array:
        """Return integers, those that are declared to be decimals times a power of ten."""
        digits = [self.schema.decimals.get(name) for name in self.schema.stored[start : start + part.shape[1]]]
        if not any(digits):
            return part
        scaled = part.astype(np.uint64 if part.dtype.kind == "u" else np.int64)
        for column, each in enumerate(digits):
            if each:
                wrong = scale_integers(scaled[:, column], each)
                self._require_decimals(
                    None if wrong is None else wrong[:, None], part[:, [column]], start + column, rows
                )
        return scaled

    @cached_property
    def _runs(self) -> list[Run]:
        """Neighbouring columns of floats of one type that are declared to have as many decimals."""
        dtypes = [block.dtype for block in self.blocks for _ in range(block.shape[1])]
        kinds = [(self.schema.decimals.get(name), each) for name, each in zip(self.schema.stored, dtypes, strict=True)]
        stops = np.cumsum([len(list(run)) for _, run in itertools.groupby(kinds)]).tolist()
        runs = [Run(slice(a, b), *kinds[a]) for a, b in itertools.pairwise([0, *stops])]
        return [run for run in runs if run.digits is not None and run.dtype.kind == "f"]

    @cached_property
    def _by_rows(self) -> bool:
        """Whether chunks lie in memory as the only block does, row by row; else they lie column by column."""
        alike = not self._runs or self._runs[0].columns == slice(0, len(self.schema.stored))
        if not alike or len(self.blocks) != 1 or is_sparse(self.blocks[0]):
            return False
        return bool(self.blocks[0].strides[0] >= self.blocks[0].strides[1])

    @cached_property
    def _integers(self) -> bool:
        declared = sum(run.columns.stop - run.columns.start for run in self._runs)
        floats = sum(block.shape[1] for block in self.blocks if block.dtype.kind == "f")
        return bool(declared == floats)

    def _require_decimals(self, wrong: Array | None, values: Array, first: int, rows: slice | Array) -> None:
        """Raise for the first value marked as wrong in some columns; rows of weight zero are left out."""
        if wrong is None:
            return
        if self.weights is not None:
            wrong = wrong & (self.weights[rows] != 0)[:, None]
        if not wrong.any():
            return
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        position, name, value = (
            self._position(rows, row),
            self.schema.stored[first + column],
            values[row, column],
        )
        if not np.isfinite(value):
            raise not_finite("NaN" if np.isnan(value) else "infinity", name, position)
        raise no_decimal(value.item(), str(value.dtype), name, position, self.schema.decimals[name])

    def _position(self, rows: slice | Array, row: int) -> int:
        """Return where one of some rows stood among those that were read."""
        return int((np.arange(self.n_rows) if self.kept is None else self.kept)[rows][row])

    def column(self, name: str) -> Array:
        """Return one of the columns of a state."""
        position = self.schema.stored.index(name)
        for block in self.blocks:
            if position < block.shape[1]:
                break
            position -= block.shape[1]
        return column_of(block, position) if is_sparse(block) else block[:, position]

    def without(self, some: Array) -> Rows:
        """Return the rows without some of them."""
        stay = np.ones(self.n_rows, bool)
        stay[some] = False
        chosen, weights = np.flatnonzero(stay), self.weights
        dropped = len(some) if weights is None or weights.dtype.kind == "f" else sum(weights[some].tolist())
        return replace(
            self,
            n_rows=len(chosen),
            blocks=tuple(_chosen(block, chosen) for block in self.blocks),
            codes=None if self.codes is None else self.codes[chosen],
            weights=None if weights is None else weights[chosen],
            kept=chosen if self.kept is None else self.kept[chosen],
            n_left_out=self.n_left_out + len(some),
            n_dropped=self.n_dropped + dropped,
        )

    def check(self) -> None:
        """Raise unless every value can be learned.

        Raises
        ------
        DataError
            Names the first column and row that cannot.
        """
        every = slice(0, self.n_rows)
        x = self.chunk(every).x
        if not np.isfinite(x if self.weights is None else x[self.weights != 0]).all():
            raise self.complain([(None, every)])

    def complain(self, tasks: Iterable[tuple[Label | None, slice | Array]]) -> DataError:
        """Return the error that names the first row position, and its first column, that is not finite.

        Parameters
        ----------
        tasks : iterable of (label, slice or ndarray)
            The chunks of rows that were read.
        """
        first: tuple[int, int, float] | None = None
        for rows in self._in_parts(rows for _, rows in tasks):
            x = self.chunk(rows).x
            wrong = ~np.isfinite(x)
            if self.weights is not None:
                wrong[self.weights[rows] == 0] = False
            if wrong.any():
                row, column = (int(index) for index in np.argwhere(wrong)[0])
                found = self._position(rows, row), column, float(x[row, column])
                first = found if first is None or found[0] < first[0] else first
        position, column, value = first or (0, 0, np.nan)
        return not_finite("NaN" if np.isnan(value) else "infinity", self.schema.stored[column], position)

    def _in_parts(self, chunks: Iterable[slice | Array]) -> Iterator[slice | Array]:
        """Cut chunks of sparse rows into those that are read with their zeros."""
        if not self.sparse:
            yield from chunks
            return
        height = max(1, _FEW // len(self.schema.stored))
        for rows in chunks:
            every = np.arange(self.n_rows)[rows]
            yield from (every[start : start + height] for start in range(0, len(every), height))


def _taken(block: Any, rows: slice | Array) -> Array:
    """Return some rows of a block, with their zeros."""
    if is_sparse(block):
        return np.asarray(block[rows].toarray())
    return block[rows] if isinstance(rows, slice) else _chosen(block, rows)  # type: ignore[no-any-return]


def _chosen(block: Any, rows: Array) -> Any:
    return block[rows] if is_sparse(block) else block.take(rows, axis=0)  # faster than block[rows]


def _beyond_float64(integers: Array) -> list[int]:
    """Return the columns that hold integers which float64 may not hold."""
    if integers.dtype.itemsize < 8 or not integers.size:
        return []
    if int(integers.max()) <= EXACT_IN_FLOAT64 and int(integers.min()) >= -EXACT_IN_FLOAT64:
        return []
    beyond = (integers > EXACT_IN_FLOAT64) | (integers < -EXACT_IN_FLOAT64)
    return [int(column) for column in np.flatnonzero(beyond.any(axis=0))]

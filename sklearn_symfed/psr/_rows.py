"""Rows: columns side by side, and the label and the weight that go with each row.

Owns how these are put together and read in chunks of floats: an integer that float64 cannot hold is split in two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import (
    EXACT_IN_FLOAT64,
    as_numbers,
    as_table,
    column_at,
    columns_in,
    frame_names,
    name_of,
    names_in,
    not_finite,
    plain_array,
    read_columns,
)
from sklearn_symfed.psr._decimals import no_decimal, scale_and_mark, scale_floats, scale_integers, scale_values
from sklearn_symfed.psr._declared import checked_decimals, normalised
from sklearn_symfed.psr._encode import encode_column, holds_categories, missing_in, values_where
from sklearn_symfed.psr._encodings import NUMERIC, Encoding, checked_encodings
from sklearn_symfed.psr._labels import Label, encode_labels
from sklearn_symfed.psr._ranges import Range
from sklearn_symfed.psr._schema import Schema
from sklearn_symfed.psr._sparse import Stored, as_blocks, column_of, is_sparse, stored_in

__all__ = ["Chunk", "Rows", "read_rows"]

Array = np.ndarray[Any, Any]
_INT64 = 2**63
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
        if not alike or len(self.blocks) > 1 or is_sparse(self.blocks[0]):
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


def read_rows(
    X: Any,
    y: Any = None,
    *,
    classes: str | bool | None = None,
    decimals: Mapping[str, int] | None = None,
    ranges: Mapping[str, Range] | None = None,
    outside: str = "error",
    categories: Any = None,
    missing: Any = "error",
    units: Any = None,
    sample_weight: Any = None,
) -> Rows:
    """Read rows, their target columns or labels, and their weights; what is outside of a range is among them.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Columns of an array are called ``x0, x1, ...``.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Labels where `classes` says so, else numeric columns, called by their own name, ``y`` or ``y0, y1, ...``.
    classes : str, bool or None, default=None
        True: `y` holds class labels.  A name: that column of `X`, or `y` where `X` has none of that name.
    decimals : mapping of str to int, default=None
        Digits after the point of the columns that hold decimals.
    ranges, outside, categories, missing, units
        As in `Schema`; where `categories` is None, columns of a DataFrame that hold strings hold categories.
    sample_weight : array-like of shape (n_samples,), default=None

    Raises
    ------
    DataError, SchemaError
        If the rows cannot be learned as they are.
    """
    if not (classes is None or isinstance(classes, (str, bool, np.bool_))):
        msg = f"Got classes of type {type(classes).__name__}, but expected a column name, True or None."
        raise SchemaError(msg)
    X, y, decimals = as_table(X), as_table(y), checked_decimals(decimals)
    class_name: str | None = None
    labels: Any = None
    in_frame: str | None = None  # the class column, where X holds it
    if isinstance(classes, str):
        class_name = normalised(classes)
        position = _position(X, class_name)
        if position is not None:
            labels, in_frame = column_at(X, position), class_name
        elif y is None:
            msg = f"Got neither y nor a column {classes!r} in X, but expected one of them to hold the class labels."
            raise SchemaError(msg)
        else:
            labels, y = y, None
    elif classes:
        if y is None:
            msg = "Got classes=True and no y, but expected y to hold the class labels."
            raise SchemaError(msg)
        class_name, labels, y = name_of(y) or "y", y, None
    table = _Table(X, y, in_frame)
    modes, skips = _modes(missing, table.names, class_name)
    encodings = checked_encodings(tuple(map(normalised, table.names)), categories, modes, units)
    if categories is None:
        encodings = table.with_guessed(encodings)
    n_rows, blocks, encodings, incomplete = table.read(encodings, decimals)
    if not table.features and labels is None:
        msg = f"Found array with 0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required."
        raise DataError(msg)
    schema = Schema.of_encodings(table.names, class_name, decimals, ranges or {}, outside, encodings)
    if labels is not None and skips:
        unlabelled = missing_in(labels)
        incomplete = unlabelled if incomplete is None else incomplete | unlabelled
    found, codes = ((), None) if labels is None else _encoded_labels(labels, incomplete)
    weights = None if sample_weight is None else _read_weights(sample_weight, n_rows)
    for what, array in (*(("y", block) for block in blocks), ("the labels", codes)):
        if array is not None and array.shape[0] != n_rows:
            msg = f"Got {n_rows} rows in X and {array.shape[0]} in {what}, but expected as many."
            raise DataError(msg)
    rows = Rows(schema, n_rows, tuple(blocks), found, codes, weights)
    return rows if incomplete is None or not incomplete.any() else _complete(rows, incomplete)


def _modes(missing: Any, columns: list[str], classes: str | None) -> tuple[Any, bool]:
    """Return what is declared of missing values, and whether rows without a label are left out.

    They are where that is said of the label, or of every column: a schema has no more to say of its class column.
    """
    if not isinstance(missing, Mapping):
        return missing, missing == "listwise"
    own = {name: mode for name, mode in missing.items() if name != classes}
    said = [own.get(normalised(name)) for name in columns] if classes not in missing else [missing[classes]]
    return own, bool(said) and set(said) == {"listwise"}


def _encoded_labels(labels: Any, incomplete: Array | None) -> tuple[tuple[Label, ...], Array]:
    """Return the labels that occur, and which each row has; that of an incomplete row means nothing."""
    if incomplete is None or not incomplete.any():
        return encode_labels(labels)
    codes = np.zeros(len(incomplete), dtype=np.intp)
    if incomplete.all():
        return (), codes
    found, codes[~incomplete] = encode_labels(values_where(labels, ~incomplete))
    return found, codes


def _complete(rows: Rows, incomplete: Array) -> Rows:
    some = np.flatnonzero(incomplete)
    kept = rows.without(some)
    weights = rows.weights
    left_out = len(some) if weights is None else np.count_nonzero(weights[some])
    n_incomplete = sum(weights[some].tolist()) if weights is not None and weights.dtype.kind == "i" else left_out
    return replace(kept, n_dropped=int(n_incomplete), n_incomplete=int(n_incomplete))


class _Table:
    """Features and, beside them, targets: columns by name."""

    def __init__(self, X: Any, y: Any, leave_out: str | None) -> None:
        self._parts = [(X, "x", leave_out), *([] if y is None else [(y, "y", None)])]
        self.features = names_in(X, "x", leave_out)
        self.names = [name for part in self._parts for name in names_in(*part)]

    def with_guessed(self, encodings: dict[str, Encoding]) -> dict[str, Encoding]:
        """Return encodings with those of columns of a DataFrame that hold strings, of which nothing is declared."""
        found = dict(encodings)
        for data, prefix, leave_out in self._parts:
            if frame_names(data) is None:
                continue
            for name, column in columns_in(data, prefix, leave_out):
                key = normalised(name)
                plain = found.get(key, NUMERIC)
                if plain.levels is None and plain.unit is None and holds_categories(column):
                    found[key] = replace(plain, levels=())
        return found

    def read(
        self, encodings: dict[str, Encoding], decimals: dict[str, int]
    ) -> tuple[int, list[Array], dict[str, Encoding], Array | None]:
        """Return the number of rows, the blocks of a state, what was found, and which rows are to be left out."""
        n_rows: int | None = None
        blocks: list[Array] = []
        masks: list[Array] = []
        found, incomplete = dict(encodings), None
        for part in self._parts:
            if not any(normalised(name) in encodings for name in names_in(*part)):
                size, _, arrays = read_columns(*part, decimals)
                n_rows, blocks = size if n_rows is None else n_rows, blocks + arrays
                continue
            own: list[Array] = []
            for name, column in columns_in(*part):
                key = normalised(name)
                encoded = encode_column(column, name, encodings.get(key, NUMERIC), decimals.get(key))
                n_rows, own = len(column) if n_rows is None else n_rows, own + encoded.blocks
                if key in encodings:
                    found[key] = encoded.encoding
                if encoded.missing is not None and encoded.encoding.missing == "listwise":
                    incomplete = encoded.missing if incomplete is None else incomplete | encoded.missing
                if encoded.missing is not None and encoded.encoding.missing == "pairwise":
                    masks.append((~encoded.missing).astype(np.int8)[:, None])
            blocks += as_blocks(own) if is_sparse(part[0]) else own
        return n_rows or 0, blocks + masks, found, incomplete


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


def _position(data: Any, name: str) -> int | None:
    names = [normalised(each) for each in frame_names(data) or []]
    if names.count(name) > 1:
        msg = f"Got {names.count(name)} columns {name!r}, but expected distinct names."
        raise SchemaError(msg)
    return names.index(name) if name in names else None


def _read_weights(sample_weight: Any, n_rows: int) -> Array | None:
    """Return weights as int64 (repetitions) or float64; None where all of them are one."""
    weights = plain_array(sample_weight, "sample_weight")
    if weights.dtype.kind == "O" and weights.ndim == 1:
        weights = as_numbers(weights, "sample_weight")
    if weights.ndim == 0:
        weights = np.full(n_rows, weights)
    if weights.shape != (n_rows,):
        msg = f"Got sample_weight of shape {weights.shape}, but expected one weight for each row: shape ({n_rows},)."
        raise DataError(msg)
    if weights.dtype.kind not in "biuf" or weights.dtype.itemsize > 8:
        msg = f"Got sample_weight of dtype {weights.dtype}, but expected integers or floats up to 64 bits."
        raise DataTypeError(msg)
    wrong = ~(np.isfinite(weights) & (weights >= 0) & (weights < _INT64 if weights.dtype.kind in "iu" else True))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        msg = f"Got a sample_weight in row {row} (counted from 0) that is negative, NaN or infinite; expected >= 0."
        raise DataError(msg)
    weights = weights.astype(np.float64 if weights.dtype.kind == "f" else np.int64)
    return None if (weights == 1).all() else weights

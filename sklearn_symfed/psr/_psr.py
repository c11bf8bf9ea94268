"""The PSR: exact statistics of some rows, as an immutable value.

Owns the algebra (learning is adding, forgetting is subtracting), the matching by name, and the checks of what can be.
"""

from __future__ import annotations

import html
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, ForgetError, FormatError, SchemaError
from sklearn_symfed.psr import _codec
from sklearn_symfed.psr._affine import AffineMap
from sklearn_symfed.psr._files import read_file, write_file
from sklearn_symfed.psr._labels import Label, sorted_labels
from sklearn_symfed.psr._layout import impossibility, packed_length, rows_of, selected
from sklearn_symfed.psr._learn import learn
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._moments import Moments
from sklearn_symfed.psr._outside import within
from sklearn_symfed.psr._pairwise import PairwiseMoments
from sklearn_symfed.psr._ranges import Range, range_in_words
from sklearn_symfed.psr._reading import read_rows
from sklearn_symfed.psr._rescale import Rescaling
from sklearn_symfed.psr._rows import Rows
from sklearn_symfed.psr._schema import Schema, normalised
from sklearn_symfed.psr._stream import counted_from, is_stream, pieces
from sklearn_symfed.psr._vocabulary import without_empty_levels

__all__ = ["PSR", "learn_rows"]

_new = object.__new__


class PSR:
    """Exact, mergeable statistics that stand for the rows they have seen.

    A PSR holds, for all rows or for each class: their number, the sum of squared weights, and the augmented Gram matrix
    ``[1, X]' W [1, X]`` (sum of weights, column sums, products), all as integers on a binary grid.  Nothing is rounded,
    so ``+`` is associative and commutative, ``-`` is its inverse, and two PSRs are equal when they stand for the same
    rows, in whatever order, batches or number of threads they were learned.

    Make one with `PSR.from_rows`, `PSR.zero`, `PSR.load` or `PSR.from_bytes`.

    Attributes
    ----------
    schema : Schema
        Columns, in order, and the class column.
    names : tuple of str
        Numeric columns, in order.
    n_rows : int
        Number of rows; repetitions by integer weights count.
    labels : tuple of bool, int or str
        Class labels that occur, sorted.
    n_incomplete : int
        Rows that were left out as a value was missing, where ``missing="listwise"`` was declared.
    digest : str
        SHA-256 of the canonical bytes, which do not depend on the order of columns.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> january, february = PSR.from_rows([[1.0, 2.0]]), PSR.from_rows([[0.1, 0.2], [3.0, 4.0]])
    >>> january + february == PSR.from_rows([[3.0, 4.0], [0.1, 0.2], [1.0, 2.0]])
    True
    >>> (january + february) - february == january
    True
    """

    _schema: Schema
    _cells: _codec.Cells
    n_incomplete: int

    def __init__(self, schema: Schema, cells: _codec.Cells, n_incomplete: int = 0) -> None:
        sorted_labels(label for label in cells if label is not None)  # one kind only
        cells = {label: state for label, state in cells.items() if state}
        schema, cells = without_empty_levels(schema, cells)
        self.__dict__.update(_schema=schema, _cells=cells, n_incomplete=n_incomplete)

    # -- making ------------------------------------------------------------------------------------------------------

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: Any = None,
        *,
        classes: str | bool | None = None,
        decimals: Mapping[str, int] | None = None,
        ranges: Mapping[str, Range] | None = None,
        outside: str = "error",
        categories: Iterable[str] | Mapping[str, Iterable[Any] | None] | None = None,
        missing: str | Mapping[str, str] = "error",
        units: Mapping[str, str] | None = None,
        sample_weight: Any = None,
        n_jobs: int | None = None,
    ) -> PSR:
        """Learn rows.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features), or iterator
            Finite numbers.  Columns of an array are called ``x0, x1, ...``; zeros that a sparse one does not store are
            never written down.  DataFrames are those of pandas and
            polars, and pyarrow's ``Table`` and ``RecordBatch``.  An iterator yields batches, single rows, or pairs
            ``(X, y)`` or triples ``(X, y, sample_weight)`` of either; one batch at a time is held in memory.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Class labels where `classes` says so, else more numeric columns: called by their own name, or ``y``, or
            ``y0, y1, ...``.
        classes : str, bool or None, default=None
            A name: that column of `X` holds class labels, or `y` does where `X` has no such column.  True: `y` does.
        decimals : mapping of str to int, default=None
            Columns that hold decimals, and their digits after the point: ``{"fare_amount": 2}``.  The decimals are
            learned, not the floats nearest to them; a number that is no such decimal is refused.
        ranges : mapping of str to (low, high), default=None
            Columns whose numbers lie between two bounds, both included: ``{"fare_amount": (0, 500)}``.  None is no
            bound.
        outside : {"error", "drop"}, default="error"
            Whether rows outside of a range are refused, or left out: ``len(X) - psr.n_rows`` were.
        categories : iterable of str, or mapping of str to levels or None, default=None
            Columns that hold categories, as in `Schema`.  None: those of a DataFrame that hold strings or are
            categorical, with the levels that occur.
        missing : {"error", "listwise", "pairwise", "indicator"}, or mapping of str to these, default="error"
            What becomes of missing values, as in `Schema`.
        units : mapping of str to str, default=None
            Columns of dates or durations, and what they are counted in, as in `Schema`.
        sample_weight : array-like of shape (n_samples,), default=None
            Integers repeat a row exactly; floats weigh it, and it counts as one row.  Weight zero leaves a row out.
        n_jobs : int, default=None
            Threads, as in joblib.

        Raises
        ------
        DataError
            If a value is NaN or infinite, no decimal where one is declared, outside of its range, or of a type that
            cannot be learned; names the column and the row.
        SchemaError
            If names occur twice, or the class column is missing.
        """
        declared = {"decimals": decimals, "ranges": ranges, "outside": outside}
        kinds = {"categories": categories, "missing": missing, "units": units}
        return learn_rows(X, y, sample_weight, n_jobs, classes=classes, **declared, **kinds)[0]

    @classmethod
    def zero(cls, schema: Schema) -> PSR:
        """Return the PSR of no rows."""
        return cls(schema, {})

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def schema(self) -> Schema:
        return self._schema

    @property
    def names(self) -> tuple[str, ...]:
        return self._schema.names

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        return sorted_labels(label for label in self._cells if label is not None)

    @cached_property
    def n_rows(self) -> int:
        return sum(rows_of(state) for state in self._cells.values())

    @cached_property
    def _canonical(self) -> bytes:
        return _codec.canonical_bytes(self._schema, self._cells, self.n_incomplete)

    @cached_property
    def digest(self) -> str:
        return _codec.digest_of(self._canonical)

    @cached_property
    def _total(self) -> Limbs:
        states = iter(self._cells.values())
        return sum(states, next(states, Limbs.zeros(packed_length(len(self._schema.stored)))))

    def moments(self) -> Moments:
        """Return the exact moments of all rows; those of pairs where ``missing="pairwise"`` was declared."""
        schema = self._schema
        if not schema.observed:
            return Moments.from_limbs(schema, self._total)
        return PairwiseMoments(schema, Moments.from_limbs(schema.as_stored(), self._total))

    def as_stored(self) -> PSR:
        """Return all statistics there are, as those of plain columns, those that say where a value was among them."""
        return PSR(self._schema.as_stored(), self._cells) if self._schema.encodings else self

    def by_class(self) -> dict[Label, PSR]:
        """Return the PSR of each class, by ascending label.

        Raises
        ------
        SchemaError
            If there is no class column.
        """
        if self._schema.classes is None:
            msg = "Got a PSR without class column, but expected one: declare it when learning (classes=...)."
            raise SchemaError(msg)
        schema = self._schema.without_classes()
        return {label: PSR(schema, {None: self._cells[label]}) for label in self.labels}

    # -- algebra -----------------------------------------------------------------------------------------------------

    def __add__(self, other: object) -> PSR:
        if not isinstance(other, PSR):
            return self if isinstance(other, int) and other == 0 else NotImplemented  # 0 is the start of sum()
        schema, mine = self._schema, self
        if other._schema is not schema or schema.classes is not None:
            mine, other = self.aligned(other)
            schema = mine._schema
        cells = mine._cells.copy()
        for label, state in other._cells.items():
            cells[label] = cells[label] + state if label in cells else state
        return _trusted(schema, cells, self.n_incomplete + other.n_incomplete)

    __radd__ = __add__

    def __sub__(self, other: object) -> PSR:
        if not isinstance(other, PSR):
            return NotImplemented
        mine, other = self.aligned(other)
        cells, n_incomplete = mine._cells.copy(), self.n_incomplete - other.n_incomplete
        for label, state in other._cells.items():
            rest = cells.pop(label, Limbs.zeros(state.length)) - state
            wrong = impossibility(rest, len(mine._schema.stored))
            wrong = "a negative number of rows that were left out" if n_incomplete < 0 else wrong
            if wrong:
                where = "" if label is None else " of one class"
                msg = f"Cannot forget rows that were never learned: {wrong}{where} would remain. Nothing was changed."
                raise ForgetError(msg)
            if rows_of(rest):
                cells[label] = rest
        if mine._schema.encodings:
            return PSR(mine._schema, cells, n_incomplete)  # levels may have gone
        return _trusted(mine._schema, cells)

    def aligned(self, other: PSR) -> tuple[PSR, PSR]:
        """Return this PSR and another over the columns of both, levels among them, in this one's order.

        Raises
        ------
        SchemaError
            If the columns do not match, or labels are of two kinds.
        """
        schema = self._schema
        if schema.classes is not None and other._schema.classes is not None:
            ours, theirs = self._cells, other._cells
            if ours.keys() != theirs.keys() or type(next(iter(ours), None)) is not type(next(iter(theirs), None)):
                sorted_labels([*self.labels, *other.labels])  # the keys True and 1 would be one
        if schema.encodings:
            schema = schema.with_levels_of(other._schema)
        return self._in_order_of(schema), other._in_order_of(schema)

    def _in_order_of(self, schema: Schema) -> PSR:
        if self._schema is schema:
            return self
        if self._schema == schema and self._schema.columns == schema.columns:
            self.__dict__["_schema"] = schema  # one object from now on, which the next sum sees at a glance
            return self
        schema.require_match(self._schema)
        return _trusted(schema, self._placed(schema), self.n_incomplete)

    def _placed(self, schema: Schema, cells: _codec.Cells | None = None) -> _codec.Cells:
        """Return states over the columns of another schema; what is not here is zero."""
        size, places = len(self._schema.stored), self._schema.places(schema)
        found = self._cells if cells is None else cells
        return {label: selected(state, size, places) for label, state in found.items()}

    def select(self, names: Iterable[str]) -> PSR:
        """Return the statistics of some columns, in the order given; the class column stays if it is named.

        Raises
        ------
        SchemaError
            If a name is unknown.
        """
        if isinstance(names, str):
            names = [names]
        wanted = [normalised(name) for name in names]
        classes = self._schema.classes if self._schema.classes in wanted else None
        schema = self._schema.select([name for name in wanted if name != classes], classes)
        cells: _codec.Cells = {None: self._total} if classes is None else self._cells
        return PSR(schema, self._placed(schema, cells), self.n_incomplete)

    def rename(self, names: Mapping[str, str]) -> PSR:
        """Return the same statistics with columns of rows, or the class column, under other names.

        Parameters
        ----------
        names : mapping of str to str
            Old names to new ones; levels, what is missing, decimals and ranges follow.

        Raises
        ------
        SchemaError
            If an old name is unknown, or two columns would have one name.
        """
        return _trusted(self._schema.rename(names), self._cells, self.n_incomplete)

    def rescale(self, factors: Mapping[str, Any]) -> PSR:
        """Return the statistics of the same rows in other units: columns times exact factors.

        Parameters
        ----------
        factors : mapping of str to str, int, Decimal or Fraction
            Decimals by column: ``{"distance": "1.609344"}``.  A float is refused, as it is not what it reads as.

        Returns
        -------
        PSR
            As if the products had been learned as decimals, of as few digits as all of them need: a column of ``k``
            decimals, 0 where none are declared, times one of ``j`` digits is one of ``k + j``, less where the factor
            is a multiple of ten.  Without declared decimals, and times a factor whose denominator is a power of two,
            floats stay floats.  Ranges are multiplied, too.

        Raises
        ------
        SchemaError
            If a column is unknown or holds no plain numbers, a factor is none, the products have too many digits, or a
            bound of a range times the factor is no number that a bound can be.

        Examples
        --------
        >>> from sklearn_symfed import PSR
        >>> km = PSR.from_rows([[1000.0], [5.0]]).rescale({"x0": "1.609344"})
        >>> km == PSR.from_rows([[1609.344], [8.04672]], decimals={"x0": 6})
        True
        """
        scaled = Rescaling(self._schema, factors)
        return PSR(scaled.schema, {label: scaled(state) for label, state in self._cells.items()}, self.n_incomplete)

    def without_ranges(self) -> PSR:
        """Return the statistics of the same rows, which match those of rows for which no range was declared."""
        if not self._schema.ranges:
            return self
        return PSR(self._schema.without_ranges(), self._cells, self.n_incomplete)

    def drop(self, names: str | Iterable[str]) -> PSR:
        """Return the statistics without some columns; without the class column the classes are added up.

        Raises
        ------
        SchemaError
            If a name is unknown.
        """
        unwanted = {normalised(name) for name in ([names] if isinstance(names, str) else names)}
        classes = [] if self._schema.classes is None else [self._schema.classes]
        unknown = sorted(unwanted - {*self.names, *self._schema.columns, *classes})
        if unknown:
            msg = f"Got unknown columns {unknown}, but expected some of {[*self.names, *classes]}."
            raise SchemaError(msg)
        return self.select([*self._schema.names_without(unwanted), *(name for name in classes if name not in unwanted)])

    def with_zeros(self, names: Iterable[str], decimals: Mapping[str, int] | None = None) -> PSR:
        """Return the statistics of the same rows with further columns, which are zero in every row.

        Parameters
        ----------
        names : iterable of str
            The new columns, which follow the others.
        decimals : mapping of str to int, default=None
            Digits after the point of new columns that hold decimals.

        Raises
        ------
        SchemaError
            If a column is there already.

        Examples
        --------
        >>> from sklearn_symfed import PSR
        >>> seen = PSR.from_rows([[1.0], [0.0]])
        >>> seen.with_zeros(["x1"]) == PSR.from_rows([[1.0, 0.0], [0.0, 0.0]])
        True
        """
        old = self._schema.without_ranges().as_stored()  # a zero may lie outside
        schema = Schema([*old.names, *names], old.classes, {**old.decimals, **(decimals or {})})
        return PSR(schema, self._placed(schema), self.n_incomplete)

    def affine(
        self, columns: Sequence[str], matrix: Any, offset: Any = None, names: Sequence[str] | None = None
    ) -> PSR:
        """Return the statistics of rows some of whose columns are replaced by affine combinations of them.

        Parameters
        ----------
        columns : sequence of str, of length n
            What is replaced.  The other columns, and the class column, stay, and follow the new ones.
        matrix : array-like of float of shape (n, m)
        offset : array-like of float or Fraction of shape (m,), default=None
            None means zeros.  A fraction has a power of two below its line.
        names : sequence of str, of length m, default=None
            What the new columns are called; None keeps the names, and needs a square matrix.

        Returns
        -------
        PSR
            Of the rows ``X[columns] @ matrix + offset``, as if no product and no sum had been rounded.

        Raises
        ------
        SchemaError
            If a column is unknown, or a new one has the name of one that stays.
        DataError
            If a number is not finite.

        Examples
        --------
        >>> from sklearn_symfed import PSR
        >>> psr = PSR.from_rows([[1.0, 5.0], [3.0, 7.0]])
        >>> psr.affine(["x0", "x1"], [[0.5], [0.25]], names=["mixed"]) == PSR.from_rows(
        ...     [[1.75], [3.25]]
        ... ).affine(["x0"], [[1.0]], names=["mixed"])
        True
        """
        columns = [normalised(name) for name in columns]
        matrix = np.asarray(matrix, dtype=np.float64)
        names = list(columns if names is None else names)
        if matrix.shape != (len(columns), len(names)):
            msg = f"Got a matrix of shape {matrix.shape}, but expected {len(columns), len(names)}."
            raise DataError(msg)
        image = AffineMap(self._schema, columns, matrix, [0.0] * len(names) if offset is None else offset, names)
        return PSR(image.schema, {label: image(state) for label, state in self._cells.items()}, self.n_incomplete)

    # -- value -------------------------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        name = _asking_estimator()
        if name is not None:
            msg = f"{name} needs rows, but got a PSR, which holds the statistics of rows and none of them."
            raise DataTypeError(msg)
        out = np.empty((), dtype=object)  # as of any other object
        out[()] = self
        return out

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PSR):
            return NotImplemented
        return self is other or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"A PSR is a frozen value: cannot set {name!r}.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"A PSR is a frozen value: cannot delete {name!r}.")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return PSR.from_bytes, (self.to_bytes(),)

    def __repr__(self) -> str:
        classes = "" if self._schema.classes is None else f", {len(self.labels)} classes of {self._schema.classes!r}"
        return f"<PSR {self.digest[:12]}: {self.n_rows} rows of {len(self.names)} columns{classes}>"

    def _repr_html_(self) -> str:
        ranges = [f"{name}: {range_in_words(bounds)}" for name, bounds in self._schema.ranges.items()]
        facts = {
            "rows": f"{self.n_rows:,}",
            "columns": ", ".join(self.names),
            "decimals": ", ".join(f"{name}: {digits}" for name, digits in self._schema.decimals.items()) or "none",
            "ranges": ", ".join(ranges) or "none",
            "class column": self._schema.classes or "none",
            "classes": ", ".join(str(label) for label in self.labels) or "none",
            "digest": self.digest,
        }
        rows = "".join(
            f"<tr><th style='text-align:left'>{key}</th><td>{html.escape(value)}</td></tr>"
            for key, value in facts.items()
        )
        return f"<table><caption>PSR</caption>{rows}</table>"

    # -- bytes -------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the PSR in its canonical format; equal PSRs differ at most in the order of columns."""
        return _codec.encode(self._schema, self._canonical)

    @classmethod
    def from_bytes(cls, data: bytes) -> PSR:
        """Read what `to_bytes` wrote.

        Raises
        ------
        FormatError
            If the bytes are anything else, of an unknown version, or describe statistics that no rows have.
        """
        schema, cells, n_incomplete = _codec.decode(bytes(memoryview(data)))
        for state in cells.values():
            wrong = impossibility(state, len(schema.stored))
            if wrong:
                msg = f"Got a PSR that no rows can have: {wrong}."
                raise FormatError(msg)
        psr = cls(schema, cells, n_incomplete)
        if psr._schema != schema:
            msg = "Got a PSR with levels that no row has, but expected none."
            raise FormatError(msg)
        return psr

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the PSR to a file, whole or not at all, with a checksum by which `load` finds damage.

        Raises
        ------
        OSError
            If the file cannot be written, as in a folder that there is not.
        """
        write_file(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PSR:
        """Read a PSR from a file that `save` wrote, or that holds what `to_bytes` gave.

        Raises
        ------
        FormatError
            If the file was damaged since `save` wrote it, or as `from_bytes`.
        FileNotFoundError
            If there is no such file.
        """
        return cls.from_bytes(read_file(path))


def learn_rows(
    X: Any, y: Any = None, sample_weight: Any = None, n_jobs: int | None = None, **declared: Any
) -> tuple[PSR, int]:
    """Learn rows as `PSR.from_rows` does; say, too, how many were dropped.

    Returns
    -------
    psr : PSR
    n_dropped : int
        Rows outside of a range; repetitions count.
    """
    if is_stream(X):
        if y is not None or sample_weight is not None:
            msg = "Got y or sample_weight beside a stream, but expected its items to be pairs (X, y) or triples."
            raise DataError(msg)
        return _learn_stream(pieces(X, **declared), n_jobs)
    rows = within(read_rows(X, y, sample_weight=sample_weight, **declared))
    return PSR(rows.schema, learn(rows, n_jobs), rows.n_incomplete), rows.n_dropped


def _learn_stream(stream: Iterator[tuple[int, Rows]], n_jobs: int | None) -> tuple[PSR, int]:
    total: PSR | None = None
    n_dropped = 0
    for first, rows in stream:
        with counted_from(first):
            part = PSR(rows.schema, learn(rows, n_jobs), rows.n_incomplete)
            total = part if total is None else total + part
            n_dropped += rows.n_dropped
        del rows  # before the next is asked for
    if total is None:
        msg = "Got a stream without rows, but expected at least one batch: its columns are not known."
        raise DataError(msg)
    return total, n_dropped


def _asking_estimator() -> str | None:
    """Return the class of the estimator whose method wants an array, for a pipeline to say which step it was."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if hasattr(caller, "get_params") and hasattr(caller, "fit"):
            return type(caller).__name__
        frame = frame.f_back
    return None


def _trusted(schema: Schema, cells: _codec.Cells, n_incomplete: int = 0) -> PSR:
    """Return the PSR of labels of one kind and of states of at least one row, without a look at them."""
    psr = _new(PSR)
    attributes = psr.__dict__
    attributes["_schema"] = schema
    attributes["_cells"] = cells
    attributes["n_incomplete"] = n_incomplete
    return psr

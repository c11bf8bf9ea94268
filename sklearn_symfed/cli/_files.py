"""Files of rows, of any size: CSV and Parquet in batches that are the same whenever the same bytes are read.

Owns how cells become numbers and labels, and which rows lack a value.  A batch is named after the digest of its file
and its position in it.  Messages name file, column and row, never a value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from sklearn_symfed.cli._cells import Kinds, as_dates, as_labels, as_numbers, require_kind
from sklearn_symfed.exceptions import DataError, SchemaError

__all__ = ["Batch", "RowFile"]

ROWS = 65_536
"""Rows of a batch, unless the file was learned in others before: whatever size is named here later, that one stays."""

_NULLS = pyarrow.csv.ConvertOptions().null_values
_NUMBERS = Kinds()


@dataclass(frozen=True)
class Batch:
    """Rows that follow one another in a file.

    Attributes
    ----------
    name : str
        Of this batch alone: digest of the file, position of its first row, rows of a whole batch.
    first : int
        Rows of the file before it.
    rows : pyarrow.Table
    dropped : int
        Rows of it that lacked a value which has to be there.
    share : float
        How much of the file has been read, 0 to 1.
    """

    name: str
    first: int
    rows: Any
    dropped: int
    share: float


class RowFile:
    """A CSV or Parquet file, identified by its content.

    Parameters
    ----------
    path : Path
        Parquet by its first bytes, else CSV in UTF-8 with a header, tab-separated if it ends in ``.tsv``; ``.gz``,
        ``.bz2`` and ``.zst`` are unpacked.

    Attributes
    ----------
    digest : str
        SHA-256 of its bytes.
    names : list of str
        Its columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = ROWS
        self._before = self._stamp()
        with path.open("rb") as file:
            self.is_parquet = file.read(4) == b"PAR1"
            file.seek(0)
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._readable():
            self.names = self._column_names()
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise SchemaError(f"{path}: got columns {twice} more than once, but expected distinct names.")

    def name_of(self, first: int) -> str:
        """Return the name of the batch that begins after so many rows."""
        return f"sha256:{self.digest}:{first}+{self._rows}"

    def known(self, names: Iterable[str]) -> frozenset[str]:
        """Return which of these names are of batches of this file, and read it in batches of their size from now on."""
        own = frozenset(name for name in names if name.startswith(f"sha256:{self.digest}:"))
        for name in own:
            self._rows = int(name.rpartition("+")[2])
        return own

    def require(self, columns: Sequence[str]) -> None:
        """Raise an error if the file lacks columns, or none or one of them twice is asked for."""
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice or not columns:
            got = f"columns {twice} more than once" if twice else "no columns"
            raise SchemaError(f"{self.path}: got {got} to read, but expected distinct names of {self.names}.")
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise SchemaError(f"{self.path}: got no columns {missing}, but expected them among {self.names}.")

    def batches(
        self,
        columns: Sequence[str],
        classes: str | None,
        kind: str = "auto",
        *,
        skip: frozenset[str] = frozenset(),
        drop_missing: bool = False,
        kinds: Kinds = _NUMBERS,
    ) -> Iterator[Batch]:
        """Yield the file in batches.

        Parameters
        ----------
        columns : sequence of str
            The columns to read, with that of the classes.
        classes : str or None
            Which of them holds labels.
        kind : {"auto", "bool", "int", "str"}, default="auto"
            What labels of a CSV file are; by default what all of the first batch can be.
        skip : frozenset of str, default=frozenset()
            Names of batches that are yielded without rows.
        drop_missing : bool, default=False
            Whether rows that lack a value are left out; otherwise they are refused.
        kinds : Kinds
            What columns hold beside numbers, and of which values may be missing.

        Raises
        ------
        DataError
            If the file cannot be read, has changed, or a value is missing.
        """
        self.require(columns)
        first = 0
        with self._readable():
            for table, share in self._tables(list(columns)):
                name, n_rows = self.name_of(first), len(table)
                if name in skip:
                    yield Batch(name, first, None, 0, share)
                else:
                    if self.is_parquet:
                        self._require_kinds(table, classes, kinds)
                    else:
                        table, kind = self._converted(table, classes, kind, first, kinds)  # noqa: PLW2901
                    whole = self._whole(table, first, drop_missing=drop_missing, may_lack=kinds.missing)
                    self._require_unchanged()
                    yield Batch(name, first, whole, n_rows - len(whole), share)
                first += n_rows
        self._require_unchanged()

    # -- reading -----------------------------------------------------------------------------------------------------

    def _column_names(self) -> list[str]:
        if self.is_parquet:
            with pa.parquet.ParquetFile(self.path) as file:
                return list(file.schema_arrow.names)
        with self._csv(None) as (reader, _):
            return list(reader.schema.names)

    def _tables(self, columns: list[str]) -> Iterator[tuple[Any, float]]:
        """Yield tables of so many rows, the last one shorter, and how much has been read."""
        waiting, n_waiting, share = [], 0, 0.0
        for piece, share in self._pieces(columns):
            waiting.append(piece)
            n_waiting += len(piece)
            while n_waiting >= self._rows:
                table = pa.concat_tables(waiting)
                yield table.slice(0, self._rows), share
                waiting = [table.slice(self._rows)]
                n_waiting -= self._rows
        if n_waiting:
            yield pa.concat_tables(waiting), 1.0

    def _pieces(self, columns: list[str]) -> Iterator[tuple[Any, float]]:
        if self.is_parquet:
            with pa.parquet.ParquetFile(self.path) as file:
                n_rows, n_read = max(1, file.metadata.num_rows), 0
                for batch in file.iter_batches(self._rows, columns=columns):
                    n_read += len(batch)
                    yield pa.Table.from_batches([batch]).select(columns), n_read / n_rows
            return
        size = max(1, self._before[0])
        with self._csv(columns) as (reader, raw):
            for batch in reader:
                yield pa.Table.from_batches([batch]), min(1.0, raw.tell() / size)

    @contextmanager
    def _csv(self, columns: list[str] | None) -> Iterator[tuple[Any, Any]]:
        """Open the file as CSV whose cells are text, so that no reader's guess depends on where a block ends."""
        wrong: list[tuple[int | None, int, int]] = []

        def note(row: Any) -> str:
            wrong.append((row.number, row.actual_columns, row.expected_columns))
            return "error"

        suffixes = self.path.suffixes
        parsing = pyarrow.csv.ParseOptions(
            delimiter="\t" if ".tsv" in suffixes else ",", newlines_in_values=True, invalid_row_handler=note
        )
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(columns or (), pa.string()),
            include_columns=columns,
            null_values=_NULLS,
            strings_can_be_null=True,
        )
        packed = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}.get(self.path.suffix)
        with pa.OSFile(str(self.path)) as raw:
            stream = pa.CompressedInputStream(raw, packed) if packed else raw
            try:
                reading = pyarrow.csv.ReadOptions(use_threads=False)  # else rows are not counted
                with pyarrow.csv.open_csv(stream, reading, parsing, options) as reader:
                    yield reader, raw
            except pa.ArrowInvalid:
                if not wrong:
                    raise
                number, got, expected = wrong[0]
                where = "a line" if number is None else f"line {number}"
                raise DataError(f"{self.path}: {where} has {got} cells, but expected {expected}.") from None

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn the errors of pyarrow, whose words may hold cells, into one that holds none."""
        try:
            yield
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, OSError) as error:
            kind = "Parquet" if self.is_parquet else "CSV in UTF-8 with a header line"
            raise DataError(f"{self.path}: cannot be read ({type(error).__name__}), but expected {kind}.") from None

    def _stamp(self) -> tuple[int, int, int]:
        found = self.path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino

    def _require_unchanged(self) -> None:
        if self._stamp() != self._before:
            raise DataError(f"{self.path}: has changed while it was read, but expected a file that stays as it is.")

    # -- cells -------------------------------------------------------------------------------------------------------

    def _require_kinds(self, table: Any, classes: str | None, kinds: Kinds) -> None:
        for name in table.column_names:
            if name != classes and name not in kinds.categories and name not in kinds.units:
                require_kind(table.schema.field(name).type, f"{self.path}: column {name!r}")

    def _converted(self, table: Any, classes: str | None, kind: str, first: int, kinds: Kinds) -> tuple[Any, str]:
        """Return text as numbers, dates or categories, and as labels of the kind that was found or declared."""
        arrays = []
        for name in table.column_names:
            where = f"{self.path}: column {name!r}"
            column = pc.utf8_trim_whitespace(table[name].combine_chunks())
            if name == classes:
                array, kind = as_labels(column, kind, where, first)
            elif name in kinds.categories:
                array = column
            elif name in kinds.units:
                array = as_dates(column, kinds.units[name], where, first)
            else:
                array = as_numbers(column, where, first)
            arrays.append(array)
        return pa.table(arrays, names=table.column_names), kind

    def _whole(self, table: Any, first: int, *, drop_missing: bool, may_lack: frozenset[str]) -> Any:
        """Return the rows that lack nothing but what may be missing."""
        lacks = None
        for name in (name for name in table.column_names if name not in may_lack):
            here = pc.is_null(table[name], nan_is_null=True)
            if pc.any(here).as_py():
                if not drop_missing:
                    row = first + pc.index(here, True).as_py() + 1
                    raise DataError(
                        f"{self.path}: column {name!r} lacks a value in row {row} (counted from 1, without a header); "
                        "such rows are neither learned nor predicted for: fill them, or learn with --drop-missing, or "
                        "say with --missing what becomes of them."
                    )
                lacks = here if lacks is None else pc.or_(lacks, here)
        return table if lacks is None else table.filter(pc.invert(lacks))

"""Learning and forgetting files: a batch at a time, each on disk once it was learned, each at most once.

A file is learned as a whole or not at all: where a batch is refused, those before it are forgotten again.  A run that
was killed leaves what it had learned, and is completed by repeating it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sklearn_symfed import FederatedPSR
from sklearn_symfed.cli._declared import categories_of, kinds_of, known_schema, missing_of
from sklearn_symfed.cli._files import Batch, RowFile
from sklearn_symfed.cli._session import AsJson, Home, answer, opened, pairs, say, split
from sklearn_symfed.exceptions import DataError, FederationError, NotAMemberError, NothingLearnedError, SchemaError

__all__ = ["forget", "learn"]

Files = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV or Parquet.")]


class Outside(StrEnum):
    """What becomes of rows outside of a range."""

    error = "error"
    drop = "drop"


class Kind(StrEnum):
    """What the labels of a CSV file are."""

    auto = "auto"
    bool = "bool"
    int = "int"
    str = "str"


@dataclass
class Learned:
    """What became of one file."""

    file: str
    rows: int = 0
    dropped: int = 0
    outside: int = 0
    incomplete: int = 0
    batches: int = 0
    known_batches: int = 0

    def __str__(self) -> str:
        if self.known_batches and not (self.batches or self.dropped):
            return f"{self.file}: nothing new, its rows had been learned before"
        parts = [f"{self.rows:,} rows learned"]
        parts += [f"{self.dropped:,} dropped, which lack a value"] if self.dropped else []
        parts += [f"{self.outside:,} dropped, which are outside of their range"] if self.outside else []
        parts += [f"{self.incomplete:,} left out as incomplete"] if self.incomplete else []
        parts += [f"{self.known_batches} batches had been learned before"] if self.known_batches else []
        return f"{self.file}: " + ", ".join(parts)


def learn(
    files: Files,
    home: Home,
    classes: Annotated[str | None, typer.Option(help="The column of class labels; the first file says it.")] = None,
    decimals: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DIGITS", help="A column of decimals: fare=2. May be repeated.")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", metavar="NAME=LOW:HIGH", help="Bounds of a column: fare=0:500. May be repeated."),
    ] = None,
    outside: Annotated[Outside, typer.Option(help="Refuse rows outside of a range, or drop them.")] = Outside.error,
    columns: Annotated[
        str | None, typer.Option(help="The columns to learn, a,b,c; by default those known, or all.")
    ] = None,
    labels: Annotated[Kind, typer.Option(help="What the labels of a CSV file are.")] = Kind.auto,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows that lack a value which has to be there.")
    ] = False,
    categories: Annotated[str | None, typer.Option(help="Columns of categories, a,b,c.")] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=LEVELS", help="All levels of a column: carrier=AA,UA,other. May be repeated."),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODE",
            help="What becomes of missing values: listwise, pairwise, indicator. May be repeated.",
        ),
    ] = None,
    units: Annotated[
        list[str] | None,
        typer.Option("--unit", metavar="NAME=UNIT", help="What a column of dates is counted in: pickup=s."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Learn files of rows, of any size, each row exactly once.

    A file that was learned before, under whatever name, is not learned again.  A run that was cut off is completed by
    repeating it.  Only `symfed pulse` publishes.

    Example: symfed learn january.csv february.parquet --home north --classes late --decimals fare=2
    """
    digits = {name: _digits(name, value) for name, value in pairs(decimals, "NAME=DIGITS, as fare=2").items()}
    bounds = {name: _range(name, value) for name, value in pairs(ranges, "NAME=LOW:HIGH, as fare=0:500").items()}
    declared: dict[str, Any] = {
        "decimals": digits or None,
        "ranges": bounds or None,
        "outside": outside.value,
        "categories": categories_of(categories, levels),
        "missing": missing_of(missing),
        "units": pairs(units, "NAME=UNIT, as pickup=s") or None,
    }
    with opened(home, classes=classes, **declared) as node, _progress() as bar:
        learned = [
            _learn(node, RowFile(path), split(columns), labels.value, bar, drop_missing=drop_missing) for path in files
        ]
    rows = sum(each.rows for each in learned)
    document = {
        "files": [asdict(each) for each in learned],
        "rows": rows,
        "dropped": sum(each.dropped for each in learned),
        "outside": sum(each.outside for each in learned),
        "incomplete": sum(each.incomplete for each in learned),
    }
    answer(document, "\n".join(map(str, learned)), as_json=as_json)


def forget(files: Files, home: Home, as_json: AsJson = False) -> None:
    """Forget files that were learned here: afterwards it is as if they had never been, to the last bit.

    The files have to be the same, byte by byte.  Published by the next pulse.

    Example: symfed forget january.csv --home north
    """
    with opened(home) as node, _progress() as bar:
        forgotten: list[dict[str, Any]] = []
        for path in files:
            file = RowFile(path)
            names = file.known(node.batches_)
            if not names:
                raise FederationError(f"{path}: got a file of which nothing is learned here, but expected one that is.")
            forgotten.append({"file": str(path), "rows": _forget(node, file, names, bar), "batches": len(names)})
    text = "\n".join(f"{each['file']}: {each['rows']:,} rows forgotten" for each in forgotten)
    answer({"files": forgotten, "rows": sum(each["rows"] for each in forgotten)}, text, as_json=as_json)


# -- one file --------------------------------------------------------------------------------------------------------


def _learn(
    node: FederatedPSR, file: RowFile, columns: Sequence[str] | None, labels: str, bar: _Bar, *, drop_missing: bool
) -> Learned:
    _require_columns(node)
    wanted, classes = _choose(node, file, columns)
    known = file.known(node.batches_)
    learned, mine = Learned(str(file.path)), []
    kind, kinds = _kind_of_labels(node) if labels == "auto" else labels, kinds_of(node, wanted)
    try:
        for batch in file.batches(wanted, classes, kind, skip=known, drop_missing=drop_missing, kinds=kinds):
            bar.show(file, batch)
            learned.dropped += batch.dropped
            if batch.rows is None:
                learned.known_batches += 1
            elif len(batch.rows):
                before = _left_out(node)
                with _counted(file, batch):
                    node.partial_fit(batch.rows, batch_id=batch.name)
                mine.append(batch.name)
                outside, incomplete = (now - then for now, then in zip(_left_out(node), before, strict=True))
                learned.outside += outside
                learned.incomplete += incomplete
                learned.rows += len(batch.rows) - outside - incomplete
                learned.batches += 1
    except (DataError, SchemaError) as error:
        if mine:
            _forget(node, file, frozenset(mine), bar, labels)
        rest = "what an earlier run learned of this file stays" if known else "nothing of this file is learned"
        raise type(error)(f"{error}\n{rest}.") from None
    return learned


def _left_out(node: FederatedPSR) -> tuple[int, int]:
    """Return how many rows a node left out as they were outside of a range, and as a value was missing."""
    try:
        incomplete = node.local_psr_.n_incomplete
    except NothingLearnedError:
        incomplete = 0
    return node.n_rows_dropped_ - incomplete, incomplete


def _choose(node: FederatedPSR, file: RowFile, columns: Sequence[str] | None) -> tuple[list[str], str | None]:
    """Return the columns to read of a file, in the order in which the node knows them, and which holds labels."""
    schema = known_schema(node)
    classes = node.classes if isinstance(node.classes, str) else schema.classes if schema else None
    asked = [name for name in (file.names if columns is None else columns) if name != classes]
    chosen = asked if schema is None else list(getattr(node, "feature_names_in_", schema.columns))
    if columns is not None and sorted(asked) != sorted(chosen):
        raise SchemaError(f"{file.path}: got columns {asked}, but expected those that are learned here, {chosen}.")
    unknown = [name for name in asked if name not in chosen]
    if unknown:
        say(f"{file.path}: columns {unknown} are not learned here.")
    return [*chosen, *([classes] if classes else [])], classes


def _require_columns(node: FederatedPSR) -> None:
    """Let a node wait that gets its columns from a federation, before a file is read as if it had the choice.

    Raises
    ------
    NothingLearnedError
        If they are not known yet.
    """
    if known_schema(node) is not None:
        return
    try:
        status = node.status()
    except NotAMemberError:
        return
    if not node.is_member:
        raise NothingLearnedError(f"The columns are not known yet: {status.pending}.")
    if not any(member.name == status.member and member.role == "admin" for member in status.members):
        raise NothingLearnedError("The federation has no columns yet: the first rows of an admin fix them; pulse.")


def _kind_of_labels(node: FederatedPSR) -> str:
    """Return of which kind the labels are that a node knows."""
    schema = known_schema(node)
    labels = node.psr_.by_class() if schema is not None and schema.classes else {}
    return next((type(label).__name__ for label in labels), "auto")


def _forget(node: FederatedPSR, file: RowFile, names: frozenset[str], bar: _Bar, labels: str = "auto") -> int:
    """Forget batches that were learned of a file; return how many rows that were."""
    wanted, classes = _choose(node, file, list(node.psr_.schema.columns))
    kind, rows = _kind_of_labels(node) if labels == "auto" else labels, 0
    last = max(int(name.rpartition(":")[2].partition("+")[0]) for name in names)
    for batch in file.batches(wanted, classes, kind, drop_missing=True, kinds=kinds_of(node, wanted)):
        bar.show(file, batch)
        if batch.name in names:
            before = node.local_psr_.n_rows
            node.forget(batch.rows, batch_id=batch.name)
            rows += before - node.local_psr_.n_rows
        if batch.first >= last:
            break
    return rows


@contextmanager
def _counted(file: RowFile, batch: Batch) -> Iterator[None]:
    """Let errors of a batch say of which file it is, and where in it."""
    try:
        yield
    except (DataError, SchemaError) as error:
        where = f" Here rows are counted from row {batch.first + 1} of the file." if "row" in str(error) else ""
        dropped = f" {batch.dropped} rows that lack a value are not counted." if where and batch.dropped else ""
        raise type(error)(f"{file.path}: {error}{where}{dropped}") from None


def _digits(name: str, value: str) -> int:
    if not value.isdecimal():
        raise typer.BadParameter(f"Got {name}={value}, but expected the number of digits after the point, as {name}=2.")
    return int(value)


def _range(name: str, value: str) -> tuple[float | None, float | None]:
    low, separator, high = value.partition(":")
    try:
        if separator:
            return _bound(low), _bound(high)
    except ValueError:
        pass
    raise typer.BadParameter(f"Got {name}={value}, but expected two numbers of which one may lack, as {name}=0:500.")


def _bound(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


# -- progress --------------------------------------------------------------------------------------------------------


class _Bar:
    """A bar for each file, on stderr, where somebody watches."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[Path, TaskID] = {}

    def show(self, file: RowFile, batch: Batch) -> None:
        if file.path not in self._tasks:
            self._tasks[file.path] = self._progress.add_task(file.path.name, total=1.0, rows=0)
        rows = batch.first + (0 if batch.rows is None else len(batch.rows) + batch.dropped)
        self._progress.update(self._tasks[file.path], completed=batch.share, rows=rows)


@contextmanager
def _progress() -> Iterator[_Bar]:
    console = Console(stderr=True, markup=False)
    name = TextColumn("{task.description}", markup=False)
    columns = (
        name,
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield _Bar(progress)

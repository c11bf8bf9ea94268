"""What of a table does not fit a schema, found before anything is learned: all of it, not only the first.

Owns the findings and how they are shown.  They name columns, kinds of faults and rows, and never a value.  Each column
is looked at for itself: what is wrong in a row that is left out for another column is found, too.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import as_numbers, as_table, columns_in, plain_table
from sklearn_symfed.psr._decimals import scale_and_mark, scale_integers
from sklearn_symfed.psr._declared import normalised
from sklearn_symfed.psr._encode import encode_column, missing_in, values_where
from sklearn_symfed.psr._encodings import MOST_OPEN_LEVELS, NUMERIC, OTHER, Encoding, level_text
from sklearn_symfed.psr._labels import as_label, sorted_labels
from sklearn_symfed.psr._ranges import Range, outside_of
from sklearn_symfed.psr._schema import Schema

__all__ = ["Misfit", "Validation", "validate"]

Array = np.ndarray[Any, Any]
_Fault = tuple[str, Array]  # what, and of which values

_HEADER = ("column", "what", "rows", "share", "first row", "outcome")
_OUTCOMES = {"error": "refused", "listwise": "left out", "pairwise": "learned", "indicator": "learned"}


class Misfit(NamedTuple):
    """What of one column does not fit.

    Attributes
    ----------
    column : str
    what : str
        "missing column", "unexpected column", "duplicate column", "type", "missing" (values that are), "infinite",
        "decimals", "range", "level", "levels" (too many), "dates" or "label".
    rows : int
        How many rows it concerns; 0 where it concerns the column as such.
    share : float
        The same, of all rows.
    first : int or None
        The first of them, counted from 0.
    outcome : str
        What becomes of them: "refused", as all rows are then; "left out"; or "learned", as was declared.
    """

    column: str
    what: str
    rows: int
    share: float
    first: int | None
    outcome: str


@dataclass(frozen=True)
class Validation:
    """What of a table does not fit a schema; true if nothing keeps its rows from being learned.

    Attributes
    ----------
    n_rows : int
        Rows of the table.
    misfits : tuple of Misfit
        By column, in the order of the schema.
    """

    n_rows: int
    misfits: tuple[Misfit, ...]

    def __bool__(self) -> bool:
        return not any(misfit.outcome == "refused" for misfit in self.misfits)

    def __repr__(self) -> str:
        lines = [_HEADER, *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([self._title(), *(line.rstrip() for line in (table if self.misfits else []))])

    def _repr_html_(self) -> str:
        cells = [("th", _HEADER), *(("td", line) for line in self._cells())] if self.misfits else []
        rows = "".join(
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in line) + "</tr>" for tag, line in cells
        )
        return f"<table><caption>{self._title()}</caption>{rows}</table>"

    def _title(self) -> str:
        fate = "refused" if not self else "can be learned" if self.misfits else "all of it fits"
        return f"{self.n_rows:,} rows: {fate}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                each.column,
                each.what,
                f"{each.rows:,}" if each.rows else "-",
                f"{each.share:.1%}" if each.rows else "-",
                "-" if each.first is None else str(each.first),
                each.outcome,
            )
            for each in self.misfits
        ]

    def to_pandas(self) -> Any:
        """Return the misfits as a DataFrame of pandas, a row for each."""
        import pandas as pd

        return pd.DataFrame(self.misfits, columns=list(Misfit._fields))


def validate(schema: Schema, X: Any, y: Any = None) -> Validation:
    """Return what of a table does not fit a schema: as `Schema.validate`."""
    X = plain_table(as_table(X), "X")
    columns = [(normalised(name), column) for name, column in columns_in(X, "x")]
    if y is not None:
        labelled = schema.classes is None or any(name == schema.classes for name, _ in columns)
        y = as_table(y)
        columns += [
            (normalised(name) if labelled else str(schema.classes), column) for name, column in columns_in(y, "y")
        ]
    n_rows = len(columns[0][1]) if columns else len(X)
    known = [*schema.columns, *([] if schema.classes is None else [schema.classes])]
    counts, by_name = Counter(name for name, _ in columns), dict(columns)
    found: list[Misfit] = []
    for name in known:
        if name not in by_name:
            found.append(_of_whole(name, "missing column"))
        elif counts[name] > 1:
            found.append(_of_whole(name, "duplicate column"))
        else:
            found += _of_column(schema, name, by_name[name])
    found += [_of_whole(name, "unexpected column") for name in by_name if name not in known]
    return Validation(n_rows, tuple(found))


def _of_whole(name: str, what: str) -> Misfit:
    return Misfit(name, what, 0, 0.0, None, "refused")


def _of_column(schema: Schema, name: str, column: Any) -> Iterator[Misfit]:
    modes = schema.missing
    mode = modes.get(name, "error")
    if name == schema.classes and all(modes.get(each) == "listwise" for each in schema.columns):
        mode = "listwise"  # as rows are read
    outcomes = {"missing": _OUTCOMES[mode], "range": "left out" if schema.outside == "drop" else "refused"}
    try:
        missing = missing_in(column)
        present = np.flatnonzero(~missing)
        faults = [("missing", missing)]
        for what, wrong in _faults(schema, name, values_where(column, ~missing)) if len(present) else ():
            marked = np.zeros(len(missing), bool)
            marked[present[wrong]] = True
            faults.append((what, marked))
    except DataError:  # masked, ragged
        yield _of_whole(name, "type")
        return
    for what, marked in faults:
        if marked.any():
            rows = int(np.count_nonzero(marked))
            first = int(np.flatnonzero(marked)[0])
            yield Misfit(name, what, rows, rows / len(marked), first, outcomes.get(what, "refused"))


def _faults(schema: Schema, name: str, values: Array) -> Iterator[_Fault]:
    """Yield what is wrong with values, none of which is missing."""
    encoding = schema.encodings.get(name, NUMERIC)
    if name == schema.classes:
        yield from _of_labels(values)
    elif encoding.levels is not None:
        yield from _of_levels(values, encoding)
    elif encoding.unit is not None:
        yield from _of_dates(values, name, encoding)
    elif values.dtype.kind in "mM":
        yield "dates", np.ones(len(values), bool)
    else:
        yield from _of_numbers(values, name, schema.decimals.get(name), schema.ranges.get(name))


# -- labels and levels -----------------------------------------------------------------------------------------------


def _of_labels(values: Array) -> Iterator[_Fault]:
    wrong = _failing(values, as_label)
    yield "label", wrong
    try:
        sorted_labels([as_label(value) for value in values[~wrong].tolist()])  # a set would take True for 1
    except SchemaError:
        yield "label", np.ones(len(values), bool)


def _of_levels(values: Array, encoding: Encoding) -> Iterator[_Fault]:
    wrong = _failing(values, level_text)
    yield "type", wrong
    texts = [None if bad else level_text(value) for value, bad in zip(values.tolist(), wrong.tolist(), strict=True)]
    levels = set(encoding.levels or ())
    if not encoding.declared:
        many = len({*texts, *levels} - {None}) > MOST_OPEN_LEVELS
        yield "levels", np.full(len(values), many)
    elif OTHER not in levels:
        yield "level", np.array([text is not None and text not in levels for text in texts], dtype=bool)


def _failing(values: Array, read: Any) -> Array:
    """Mark the values that a function refuses, each distinct one asked once."""
    kept: dict[Any, bool] = {}

    def fails(value: Any) -> bool:
        key = (type(value), value)
        try:
            if key not in kept:
                kept[key] = _refuses(read, value)
        except TypeError:  # not hashable
            return True
        return kept[key]

    return np.array([fails(value) for value in values.tolist()], dtype=bool)


def _refuses(read: Any, value: Any) -> bool:
    try:
        read(value)
    except DataError:
        return True
    return False


# -- numbers and dates -----------------------------------------------------------------------------------------------


def _of_dates(values: Array, name: str, encoding: Encoding) -> Iterator[_Fault]:
    plain = Encoding(unit=encoding.unit)
    try:
        encode_column(values, name, plain, None)
    except DataTypeError:
        if values.dtype.kind != "O":
            yield "type", np.ones(len(values), bool)
            return
    except DataError:
        if values.dtype.kind in "mM":
            whole = values.astype(f"{values.dtype.kind}8[{encoding.unit}]")
            yield "dates", whole.astype(values.dtype) != values
            return
    else:
        return
    single = [_single(value) for value in values.tolist()]
    wrong = [_fault_of(lambda each=each: encode_column(each, name, plain, None), "dates") for each in single]
    yield from _sorted(wrong, "type", "dates")


def _of_numbers(values: Array, name: str, digits: int | None, bounds: Range | None) -> Iterator[_Fault]:
    everything = np.ones(len(values), bool)
    good = everything
    try:
        numbers = as_numbers(values, name, digits)
    except DataError:
        if values.dtype.kind != "O":
            yield "type", everything
            return
        single = [_single(value) for value in values.tolist()]
        wrong = [_fault_of(lambda each=each: as_numbers(each, name, digits), "decimals") for each in single]
        yield from _sorted(wrong, "type", "decimals")
        good = np.array([fault is None for fault in wrong], dtype=bool)
        if good.all():  # it is the mixture that cannot be learned
            yield "type", everything
            return
        numbers = as_numbers(values[good], name, digits) if good.any() else np.zeros(0)
    places = np.flatnonzero(good)
    for what, marked in _of_plain_numbers(numbers, digits, bounds) if len(numbers) else ():
        wrong_there = np.zeros(len(values), bool)
        wrong_there[places[marked]] = True
        yield what, wrong_there


def _of_plain_numbers(numbers: Array, digits: int | None, bounds: Range | None) -> Iterator[_Fault]:
    finite = np.isfinite(numbers)
    yield "infinite", ~finite
    if digits is not None:
        yield "decimals", _no_decimals(numbers, digits) & finite
    if bounds is not None:
        some = numbers[finite]
        known = {} if digits is None else {0: digits}
        outside = np.zeros(len(numbers), bool)
        if len(some):
            outside[finite] = outside_of(some[:, None], {0: bounds}, known).get(0, False)
        yield "range", outside


def _no_decimals(numbers: Array, digits: int) -> Array:
    """Mark the numbers that mean no decimal of so many digits."""
    if numbers.dtype.kind == "f":
        floats = numbers if numbers.dtype in (np.float32, np.float64) else numbers.astype(np.float64)
        wrong = scale_and_mark(floats[:, None], digits, np.empty((len(floats), 1)))
    else:
        wrong = scale_integers(numbers.astype(np.uint64 if numbers.dtype.kind == "u" else np.int64)[:, None], digits)
    return np.zeros(len(numbers), bool) if wrong is None else wrong[:, 0]


def _single(value: Any) -> Array:
    out = np.empty(1, dtype=object)
    out[0] = value
    return out


def _fault_of(read: Any, otherwise: str) -> str | None:
    try:
        read()
    except DataTypeError:
        return "type"
    except DataError:
        return otherwise
    return None


def _sorted(faults: list[str | None], *kinds: str) -> Iterator[_Fault]:
    for kind in kinds:
        yield kind, np.array([fault == kind for fault in faults], dtype=bool)

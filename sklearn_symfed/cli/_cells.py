"""Cells of a CSV file, which are text, as the numbers, dates and labels that they spell; never rounded beyond that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sklearn_symfed.exceptions import DataError

__all__ = ["Kinds", "as_dates", "as_labels", "as_numbers", "require_kind"]

_EXACT_IN_FLOAT64 = 2**53
Cast = Callable[[Any], Any]


@dataclass(frozen=True)
class Kinds:
    """What columns hold beside numbers and labels.

    Attributes
    ----------
    categories : frozenset of str
        Columns of categories.
    units : mapping of str to str
        Columns of dates, and what they are counted in.
    missing : frozenset of str
        Columns of which values may be missing.
    """

    categories: frozenset[str] = frozenset()
    units: Mapping[str, str] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


def as_numbers(text: Any, where: str, first: int) -> Any:
    """Return text as integers, or else as floats, or else as bool.

    Parameters
    ----------
    text : pyarrow.StringArray
    where : str
        File and column, for the message.
    first : int
        Rows before the first one.

    Raises
    ------
    DataError
        If a cell is no number, or an integer that its column's floats would round.
    """
    for cast in (_ints, _unsigned, _floats, _bools):
        numbers = _tried(cast, text)
        if numbers is not None:
            if cast is _floats:
                _require_unrounded(text, numbers, where, first)
            return numbers
    row = first + _first_failure(_floats, text) + 1
    raise DataError(f"{where}, row {row} (counted from 1, without the header) {_TEXT}")


def as_dates(text: Any, unit: str, where: str, first: int) -> Any:
    """Return text as dates, which are counted in a unit.

    Raises
    ------
    DataError
        If a cell is no date, or one with finer digits than the type of dates holds.
    """
    dates = _tried(_DATES[unit == "ns"], text)
    if dates is not None:
        return dates
    row = first + _first_failure(_DATES[unit == "ns"], text) + 1
    raise DataError(
        f"{where}, row {row} (counted from 1, without the header) holds no date, but expected some as 2013-01-31 or "
        "2013-01-31T05:15:00, as a unit is declared; durations are learned as numbers."
    )


def require_kind(kind: Any, where: str) -> None:
    """Raise a `DataError` if a column of Parquet, of which nothing is declared, holds neither numbers nor bool."""
    held = kind.value_type if pa.types.is_dictionary(kind) else kind
    if any(check(held) for check in _TEXTS):
        raise DataError(f"{where} {_TEXT}")
    if pa.types.is_temporal(held):
        raise DataError(
            f"{where} holds dates or durations, but expected numbers; say what they are counted in, as --unit NAME=s."
        )


def as_labels(text: Any, kind: str, where: str, first: int) -> tuple[Any, str]:
    """Return text as labels, and of which kind they are: that which was asked for, or the first that all can be.

    Raises
    ------
    DataError
        If a cell is no label of the kind that was asked for.
    """
    if kind != "auto":
        labels = _tried(_LABELS[kind], text)
        if labels is None:
            row = first + _first_failure(_LABELS[kind], text) + 1
            raise DataError(
                f"{where}, row {row} (counted from 1, without the header) holds no label of kind {kind}, but expected "
                "labels of one kind, as in the rows before; --labels says which."
            )
        return labels, kind
    if text.null_count == len(text):
        return text, kind
    for found, cast in _LABELS.items():
        labels = _tried(cast, text)
        if labels is not None:
            return labels, found
    raise AssertionError("any text is a str")


def _ints(text: Any) -> Any:
    return pc.cast(text, pa.int64())


def _unsigned(text: Any) -> Any:
    return pc.cast(text, pa.uint64())


def _floats(text: Any) -> Any:
    return pc.cast(text, pa.float64())


def _integral(text: Any) -> Any:
    try:
        return _ints(text)
    except pa.ArrowInvalid:
        return pc.cast(_floats(text), pa.int64())  # safe: refuses what is not integral


def _bools(text: Any) -> Any:
    word = pc.utf8_lower(text)
    known = pc.or_(pc.equal(word, "true"), pc.equal(word, "false"))
    if not pc.all(known).as_py():
        raise pa.ArrowInvalid("neither true nor false")
    return pc.equal(word, "true")


def _dates(resolution: str) -> Cast:
    def cast(text: Any) -> Any:
        try:
            return pc.cast(text, pa.timestamp(resolution))
        except pa.ArrowInvalid:
            return pc.cast(text, pa.timestamp(resolution, "UTC"))  # with an offset

    return cast


def _strings(text: Any) -> Any:
    return text


_DATES = (_dates("us"), _dates("ns"))
_TEXTS = (pa.types.is_string, pa.types.is_large_string)
_TEXT = (
    "holds text, but expected a number; learn it as categories with --categories NAME, as dates with --unit NAME=s, as "
    "labels with --classes NAME, or name the columns to learn with --columns."
)
_LABELS: dict[str, Cast] = {"bool": _bools, "int": _integral, "str": _strings}


def _tried(cast: Cast, text: Any) -> Any:
    try:
        return cast(text)
    except pa.ArrowInvalid:
        return None


def _first_failure(cast: Cast, text: Any) -> int:
    """Return the position of the first cell that fails, which one of them does."""
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _tried(cast, text.slice(low, middle - low)) is None else (middle, high)
    return low


def _require_unrounded(text: Any, numbers: Any, where: str, first: int) -> None:
    large = pc.greater_equal(pc.abs(numbers), _EXACT_IN_FLOAT64)
    if not pc.any(large).as_py():
        return
    integers = pc.and_(large, pc.match_substring_regex(text, r"^[+-]?\d+$"))
    if pc.any(integers).as_py():
        row = first + pc.index(integers, True).as_py() + 1
        raise DataError(
            f"{where}, row {row} (counted from 1, without the header) holds an integer of 2**53 or more among "
            "decimals, but expected one type: it would be rounded."
        )

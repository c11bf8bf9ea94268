"""What a column is before it is numbers: categories, dates, values that may be missing; and which columns it becomes.

Owns what may be declared, and the names of the columns that rows and statistics have of it.  Everything after this is
numbers: an indicator of a level is a column like any other, and so is the one that says where a value was there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._labels import as_label

__all__ = [
    "MISSING",
    "MOST_OPEN_LEVELS",
    "NUMERIC",
    "OTHER",
    "UNITS",
    "Encoding",
    "checked_encodings",
    "level_name",
    "level_text",
    "observed_name",
    "sorted_levels",
]

MISSING = ("error", "listwise", "pairwise", "indicator")
UNITS = ("D", "h", "m", "s", "ms", "us", "ns")
OTHER = "other"
MOST_OPEN_LEVELS = 1_000
"""Levels that a column may have which nobody declared: their indicators have half a million products."""


def level_name(column: str, level: object) -> str:
    """Return what the indicator of a level of a column is called."""
    return f"{column}={level}"


def level_text(value: Any, row: int = 0) -> str:
    """Return a level: whatever type a site holds it in, it is its text, composed; 1, 1.0 and "1" are one level."""
    return unicodedata.normalize("NFC", str(as_label(value, row)))


def observed_name(column: str) -> str:
    """Return what the column is called that is one where a value was there."""
    return f"observed({column})"


def _missing_name(column: str) -> str:
    return f"missingindicator_{column}"  # as scikit-learn's MissingIndicator says


def sorted_levels(levels: Iterable[str]) -> tuple[str, ...]:
    """Return distinct levels: whole numbers by their size, then other texts."""

    def key(level: str) -> tuple[bool, int, str]:
        whole = level.removeprefix("-").isdecimal() and len(level) < 20
        return not whole, int(level) if whole else 0, level

    return tuple(sorted(set(levels), key=key))


@dataclass(frozen=True)
class Encoding:
    """What one column of rows holds.

    Attributes
    ----------
    levels : tuple of str or None
        Of a column of categories, those that are known; None for a column of numbers.
    declared : bool
        Whether there are no other levels.  Where "other" is one of them, it stands for every other.
    missing : str
        What becomes of values that are missing, one of `MISSING`.
    unit : str or None
        Of a column of dates since 1970, or of durations: what they are counted in, one of `UNITS`.
    """

    levels: tuple[str, ...] | None = None
    declared: bool = False
    missing: str = "error"
    unit: str | None = None

    @property
    def open(self) -> bool:
        """Whether rows may bring new levels."""
        return self.levels is not None and not self.declared

    def names(self, column: str) -> tuple[str, ...]:
        """Return the names of the numeric columns that the column becomes."""
        own = (column,) if self.levels is None else tuple(level_name(column, level) for level in self.levels)
        return (*own, _missing_name(column)) if self.missing == "indicator" else own

    def indicator(self, column: str, level: object) -> str:
        """Return the name of the indicator of a level, as whatever type it is given."""
        return level_name(column, level_text(level))

    def mask(self, column: str) -> tuple[str, bool] | None:
        """Return which column says where values are there, and whether it is one there or where they are missing.

        None where no value can be missing, or rows with missing ones are left out.
        """
        if self.missing == "pairwise":
            return observed_name(column), True
        return (_missing_name(column), False) if self.missing == "indicator" else None

    def with_levels(self, levels: Iterable[str]) -> Encoding:
        """Return the encoding of an open column with more levels."""
        return Encoding(sorted_levels([*(self.levels or ()), *levels]), False, self.missing, self.unit)

    def without_levels(self) -> Encoding:
        """Return what is declared: an open column without the levels that it happened to have."""
        return Encoding((), False, self.missing, self.unit) if self.open else self

    def in_words(self) -> str:
        """Describe what is declared."""
        kind = "numbers" if self.levels is None else "categories"
        kind = f"dates or durations in {self.unit!r}" if self.unit else kind
        of = f" of the levels {list(self.levels or ())}" if self.declared else ""
        return f"{kind}{of}{'' if self.missing == 'error' else f', missing={self.missing!r}'}"


NUMERIC = Encoding()


def checked_encodings(
    columns: tuple[str, ...],
    categories: Iterable[str] | Mapping[str, Iterable[Any] | None] | None,
    missing: str | Mapping[str, str],
    units: Mapping[str, str] | None,
) -> dict[str, Encoding]:
    """Return the encodings that differ from that of numbers, by column.

    Raises
    ------
    SchemaError
        If something is declared of an unknown column, or cannot be.
    """
    if categories is None and units is None and isinstance(missing, str) and missing == "error":
        return {}
    levels = _checked_levels(columns, categories)
    modes = _checked_modes(columns, missing)
    counted = _checked_units(columns, units)
    both = sorted(levels.keys() & counted.keys())
    if both:
        msg = f"Got categories and units for columns {both}, but expected one of them."
        raise SchemaError(msg)
    found = {}
    for name in columns:
        known = levels.get(name, ())
        is_declared = name in levels and known is not None
        encoding = Encoding(
            (known or ()) if name in levels else None, is_declared, modes.get(name, "error"), counted.get(name)
        )
        if encoding != NUMERIC:
            found[name] = encoding
    return found


def _checked_levels(columns: tuple[str, ...], categories: Any) -> dict[str, tuple[str, ...] | None]:
    if categories is None:
        return {}
    if isinstance(categories, str) or not isinstance(categories, Iterable):
        what = repr(categories) if isinstance(categories, str) else f"type {type(categories).__name__}"
        msg = f"Got categories={what}, but expected a list of columns, or a mapping as {{'carrier': ['AA', 'other']}}."
        raise SchemaError(msg)
    declared = categories if isinstance(categories, Mapping) else dict.fromkeys(categories)
    return {name: _checked_vocabulary(name, declared[name]) for name in _known("categories", columns, declared)}


def _checked_vocabulary(name: str, levels: Any) -> tuple[str, ...] | None:
    if levels is None:
        return None
    if isinstance(levels, str) or not isinstance(levels, Iterable):
        msg = f"Got levels of type {type(levels).__name__} for column {name!r}, but expected a list, or None."
        raise SchemaError(msg)
    texts = [level_text(level) for level in levels]
    if not texts or len(set(texts)) < len(texts):
        msg = (
            f"Got {len(texts)} levels for column {name!r}, {len(set(texts))} of them distinct; expected distinct ones."
        )
        raise SchemaError(msg)
    return sorted_levels(texts)


def _checked_modes(columns: tuple[str, ...], missing: Any) -> dict[str, str]:
    modes = missing if isinstance(missing, Mapping) else dict.fromkeys(columns, missing)
    found = {name: modes[name] for name in _known("missing", columns, modes)}
    wrong = [mode for mode in found.values() if mode not in MISSING]
    if wrong or not isinstance(missing, (str, Mapping)):
        what = repr(wrong[0]) if wrong else f"type {type(missing).__name__}"
        msg = f"Got missing={what}, but expected one of {list(MISSING)}, or a mapping of columns to these."
        raise SchemaError(msg)
    return found


def _checked_units(columns: tuple[str, ...], units: Any) -> dict[str, str]:
    if units is None:
        return {}
    if not isinstance(units, Mapping):
        msg = f"Got units of type {type(units).__name__}, but expected a mapping as {{'pickup': 's'}}."
        raise SchemaError(msg)
    found = {name: units[name] for name in _known("units", columns, units)}
    wrong = [(name, unit) for name, unit in found.items() if unit not in UNITS]
    if wrong:
        msg = f"Got the unit {wrong[0][1]!r} for column {wrong[0][0]!r}, but expected one of {list(UNITS)}."
        raise SchemaError(msg)
    return found


def _known(what: str, columns: tuple[str, ...], declared: Iterable[Any]) -> list[str]:
    names, there = list(declared), set(columns)
    unknown = [name for name in names if name not in there]
    if unknown:
        msg = f"Got {what} of unknown columns {unknown}, but expected some of {list(columns)}."
        raise SchemaError(msg)
    return names

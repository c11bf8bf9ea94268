"""What the columns of a PSR are called and mean, and how two descriptions are matched by name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._ranges import Range, checked_range, range_in_words, require_decimal_bounds

__all__ = ["MAX_COLUMNS", "MAX_DECIMALS", "MAX_NAME_BYTES", "Schema", "checked_decimals", "normalised"]

MAX_COLUMNS = 65_535
MAX_DECIMALS = 15
MAX_NAME_BYTES = 4_096


def normalised(name: object) -> str:
    """Return a name in Unicode's composed form (NFC), in which equal-looking names are equal.

    Raises
    ------
    SchemaError
        If it is no string, is empty, or exceeds `MAX_NAME_BYTES` bytes of UTF-8.
    """
    if not isinstance(name, str):
        msg = f"Got a column name of type {type(name).__name__}, but expected str."
        raise SchemaError(msg)
    name = unicodedata.normalize("NFC", str.__str__(name))  # a subclass becomes the plain string
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        msg = "Got a column name that holds lone surrogates, but expected valid Unicode."
        raise SchemaError(msg) from None
    if not 0 < size <= MAX_NAME_BYTES:
        msg = f"Got a column name of {size} bytes, but expected 1 to {MAX_NAME_BYTES}."
        raise SchemaError(msg)
    return name


def checked_decimals(decimals: Mapping[str, int] | None) -> dict[str, int]:
    """Return the declared digits after the point, by composed name.

    Raises
    ------
    SchemaError
        If `decimals` is no mapping of distinct names to integers from 0 to `MAX_DECIMALS`.
    """
    if decimals is None:
        return {}
    if not isinstance(decimals, Mapping):
        msg = f"Got decimals of type {type(decimals).__name__}, but expected a mapping as {{'fare_amount': 2}}."
        raise SchemaError(msg)
    declared: dict[str, int] = {}
    for key, digits in decimals.items():
        name = normalised(key)
        if name in declared:
            msg = f"Got decimals of column {name!r} twice, but expected distinct names."
            raise SchemaError(msg)
        if isinstance(digits, bool) or not isinstance(digits, Integral) or not 0 <= digits <= MAX_DECIMALS:
            what = f"{digits}" if isinstance(digits, Integral) else f"type {type(digits).__name__}"
            msg = f"Got decimals of {what} for column {name!r}, but expected an integer from 0 to {MAX_DECIMALS}."
            raise SchemaError(msg)
        declared[name] = int(digits)
    return declared


def _checked_ranges(ranges: Mapping[str, Range] | None) -> dict[str, Range]:
    """Return the declared ranges, by composed name."""
    if ranges is None:
        return {}
    if not isinstance(ranges, Mapping):
        msg = f"Got ranges of type {type(ranges).__name__}, but expected a mapping as {{'fare_amount': (0, 500)}}."
        raise SchemaError(msg)
    declared: dict[str, Range] = {}
    for key, bounds in ranges.items():
        name = normalised(key)
        if name in declared:
            msg = f"Got ranges of column {name!r} twice, but expected distinct names."
            raise SchemaError(msg)
        declared[name] = checked_range(bounds, name)
    return declared


@dataclass(frozen=True, init=False)
class Schema:
    """Names of numeric columns, what may be in them, and the name of the column that holds class labels.

    Columns are matched by name; their order fixes the order of fitted features and nothing else.  Two schemas are
    equal when they describe the same columns, in whatever order.

    Parameters
    ----------
    columns : iterable of str
        Numeric columns, in order.
    classes : str or None, default=None
        The column that holds class labels; statistics are then kept for each class.
    decimals : mapping of str to int, default=None
        Columns that hold decimals of that many digits after the point, 0 to `MAX_DECIMALS`: cents of a dollar have 2,
        integers 0.  Their statistics are exact for the decimals, where others are exact for the floats; a number that
        is no such decimal is refused.
    ranges : mapping of str to (low, high), default=None
        Columns whose numbers lie between two bounds, both included; None, or an infinity, is no bound.  Bounds are
        float64, and in a column of decimals such decimals.
    outside : {"error", "drop"}, default="error"
        What becomes of rows outside of a range: they are refused, or left out.  Means nothing without ranges.

    Raises
    ------
    SchemaError
        If a name is not a string, is empty, or occurs twice; if `decimals` or `ranges` name no column, or say what
        cannot be.

    Examples
    --------
    >>> from sklearn_symfed import Schema
    >>> Schema(["age", "dose"], classes="outcome")
    Schema(['age', 'dose'], classes='outcome')
    >>> Schema(["fare"], decimals={"fare": 2}).decimals
    {'fare': 2}
    >>> Schema(["fare"], ranges={"fare": (0, 500)}, outside="drop").ranges
    {'fare': (0.0, 500.0)}
    """

    names: tuple[str, ...]
    classes: str | None
    outside: str
    _decimals: tuple[tuple[str, int], ...]
    _ranges: tuple[tuple[str, Range], ...]

    def __init__(
        self,
        columns: Iterable[str],
        classes: str | None = None,
        decimals: Mapping[str, int] | None = None,
        ranges: Mapping[str, Range] | None = None,
        outside: str = "error",
    ) -> None:
        if isinstance(columns, str):
            msg = f"Got columns={columns!r}, but expected a list of names."
            raise SchemaError(msg)
        names = tuple(normalised(name) for name in columns)
        classes = None if classes is None else normalised(classes)
        seen = [*names, *([] if classes is None else [classes])]
        if len(set(seen)) != len(seen):
            twice = sorted(name for name, count in Counter(seen).items() if count > 1)
            msg = f"Got column names that occur more than once: {twice}, but expected distinct names."
            raise SchemaError(msg)
        if len(names) > MAX_COLUMNS:
            msg = f"Got {len(names)} columns, but expected at most {MAX_COLUMNS}."
            raise SchemaError(msg)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "classes", classes)
        digits, bounds, known = checked_decimals(decimals), _checked_ranges(ranges), set(names)
        for what, declared in (("decimals", digits), ("ranges", bounds)):
            unknown = [name for name in declared if name not in known]
            if unknown:
                msg = f"Got {what} of unknown columns {unknown}, but expected some of {list(names)}."
                raise SchemaError(msg)
        for name in bounds.keys() & digits.keys():
            require_decimal_bounds(bounds[name], name, digits[name])
        if not (isinstance(outside, str) and outside in {"error", "drop"}):
            msg = f"Got outside={outside!r}, but expected 'error' or 'drop'."
            raise SchemaError(msg)
        object.__setattr__(self, "_decimals", _in_order(names, digits))
        object.__setattr__(self, "_ranges", _in_order(names, bounds))
        object.__setattr__(self, "outside", str(outside) if bounds else "error")

    @property
    def decimals(self) -> dict[str, int]:
        """Digits after the point of the columns that were declared to hold decimals, in the order of the columns."""
        return dict(self._decimals)

    @property
    def ranges(self) -> dict[str, Range]:
        """Bounds of the columns that have any, in the order of the columns; an infinity is no bound."""
        return dict(self._ranges)

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", classes={self.classes!r}"
        decimals = f", decimals={self.decimals!r}" if self._decimals else ""
        ranges = f", ranges={self.ranges!r}, outside={self.outside!r}" if self._ranges else ""
        return f"Schema({list(self.names)!r}{classes}{decimals}{ranges})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        if self.names == other.names:  # the usual case, without the words
            return (self.classes, self._decimals, self._ranges, self.outside) == (
                other.classes,
                other._decimals,
                other._ranges,
                other.outside,
            )
        return not self.differences(other)

    def __hash__(self) -> int:
        return hash((frozenset(self.names), self.classes, frozenset(self._decimals), frozenset(self._ranges)))

    def differences(self, other: Schema) -> list[str]:
        """List in words how `other` differs; an empty list means that the two match."""
        found = []
        mine, theirs = set(self.names), set(other.names)
        if mine - theirs:
            found.append(f"missing columns: {[name for name in self.names if name not in theirs]}")
        if theirs - mine:
            found.append(f"unexpected columns: {[name for name in other.names if name not in mine]}")
        if self.classes != other.classes:
            found.append(f"class column {other.classes!r} instead of {self.classes!r}")
        ours, others = self.decimals, other.decimals
        found += [
            f"decimals of column {name!r}: {others.get(name)} instead of {ours.get(name)}"
            for name in self.names
            if name in theirs and ours.get(name) != others.get(name)
        ]
        return found + self._other_ranges(other, theirs)

    def _other_ranges(self, other: Schema, theirs: set[str]) -> list[str]:
        ours, others = self.ranges, other.ranges
        found = [
            f"range of column {name!r}: {range_in_words(others.get(name))} instead of {range_in_words(ours.get(name))}"
            for name in self.names
            if name in theirs and ours.get(name) != others.get(name)
        ]
        if ours and others and self.outside != other.outside:
            found.append(f"outside={other.outside!r} instead of {self.outside!r}")
        return found

    def require_match(self, other: Schema) -> None:
        """Raise unless `other` describes the same columns.

        Raises
        ------
        SchemaError
            Lists every difference.
        """
        found = self.differences(other)
        if found:
            msg = f"The columns do not match: {'; '.join(found)}."
            raise SchemaError(msg)

    def select(self, names: Iterable[str], classes: str | None = None) -> Schema:
        """Return the schema of some columns, in the order given, and of a class column.

        Raises
        ------
        SchemaError
            If a name is unknown.
        """
        schema = Schema(names, classes)
        self.positions(schema.names)
        chosen = set(schema.names)
        decimals = {name: digits for name, digits in self._decimals if name in chosen}
        ranges = {name: bounds for name, bounds in self._ranges if name in chosen}
        return Schema(schema.names, classes, decimals, ranges, self.outside)

    def without_ranges(self) -> Schema:
        """Return the same columns, whatever range their numbers are in."""
        return Schema(self.names, self.classes, self.decimals)

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return where numeric columns stand.

        Raises
        ------
        SchemaError
            Lists the names that are not there, and those that are.
        """
        index = {name: position for position, name in enumerate(self.names)}
        wanted = [normalised(name) for name in names]
        unknown = [name for name in wanted if name not in index]
        if unknown:
            msg = f"Got unknown columns {unknown}, but expected some of {list(self.names)}."
            raise SchemaError(msg)
        return [index[name] for name in wanted]


def _in_order(names: tuple[str, ...], declared: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, declared[name]) for name in names if name in declared) if declared else ()

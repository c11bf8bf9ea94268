"""What the columns of a PSR are called and mean, and how two descriptions are matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._declared import MAX_COLUMNS, MAX_DECIMALS, MAX_NAME_BYTES, checked_decimals, normalised
from sklearn_symfed.psr._encodings import NUMERIC, Encoding, checked_encodings, observed_name
from sklearn_symfed.psr._ranges import Range, checked_ranges, range_in_words, require_decimal_bounds

if TYPE_CHECKING:
    from sklearn_symfed.psr._validation import Validation

__all__ = ["MAX_COLUMNS", "MAX_DECIMALS", "MAX_NAME_BYTES", "Schema", "checked_decimals", "normalised"]


@dataclass(frozen=True, init=False)
class Schema:
    """Names of columns, what may be in them, and the name of the column that holds class labels.

    Columns are matched by name; their order fixes the order of fitted features and nothing else.  Two schemas are
    equal when they describe the same columns, in whatever order.

    Parameters
    ----------
    columns : iterable of str
        Columns of rows, in order.
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
    categories : iterable of str, or mapping of str to levels or None, default=None
        Columns that hold categories.  Each level becomes an indicator, a column called ``column=level``.  Levels that
        are listed are all there are, unless "other" is one of them, which then stands for every other; None lets rows
        bring new ones.
    missing : {"error", "listwise", "pairwise", "indicator"}, or mapping of str to these, default="error"
        What becomes of values that are missing: they are refused; the row is left out; the value counts in no sum and
        no product, and moments are those of the pairs that are there; or it is zero, and a column called
        ``missingindicator_column`` is one.
    units : mapping of str to str, default=None
        Columns of dates or durations, and what they are counted in ("D", "h", "m", "s", "ms", "us", "ns"), dates since
        1970.

    Attributes
    ----------
    names : tuple of str
        Numeric columns that statistics have of `columns`, in order.

    Raises
    ------
    SchemaError
        If a name is not a string, is empty, or occurs twice; if something is said of an unknown column, or cannot be.

    Examples
    --------
    >>> from sklearn_symfed import Schema
    >>> Schema(["age", "dose"], classes="outcome")
    Schema(['age', 'dose'], classes='outcome')
    >>> Schema(["fare"], ranges={"fare": (0, 500)}, outside="drop", decimals={"fare": 2}).ranges
    {'fare': (0.0, 500.0)}
    >>> Schema(["carrier", "delay"], categories={"carrier": ["AA", "UA", "other"]}).names
    ('carrier=AA', 'carrier=UA', 'carrier=other', 'delay')
    """

    columns: tuple[str, ...]
    classes: str | None
    outside: str
    _decimals: tuple[tuple[str, int], ...]
    _ranges: tuple[tuple[str, Range], ...]
    _encodings: tuple[tuple[str, Encoding], ...]

    def __init__(
        self,
        columns: Iterable[str],
        classes: str | None = None,
        decimals: Mapping[str, int] | None = None,
        ranges: Mapping[str, Range] | None = None,
        outside: str = "error",
        categories: Iterable[str] | Mapping[str, Iterable[Any] | None] | None = None,
        missing: str | Mapping[str, str] = "error",
        units: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(columns, str):
            msg = f"Got columns={columns!r}, but expected a list of names."
            raise SchemaError(msg)
        names = tuple(normalised(name) for name in columns)
        classes = None if classes is None else normalised(classes)
        encodings = checked_encodings(names, categories, missing, units)
        self._set(names, classes, checked_decimals(decimals), checked_ranges(ranges), outside, encodings)

    def _set(
        self,
        columns: tuple[str, ...],
        classes: str | None,
        decimals: dict[str, int],
        ranges: dict[str, Range],
        outside: str,
        encodings: Mapping[str, Encoding],
    ) -> None:
        if not (isinstance(outside, str) and outside in {"error", "drop"}):
            msg = f"Got outside={outside!r}, but expected 'error' or 'drop'."
            raise SchemaError(msg)
        known = set(columns)
        for what, declared in (("decimals", decimals), ("ranges", ranges)):
            unknown = [name for name in declared if name not in known]
            if unknown:
                msg = f"Got {what} of unknown columns {unknown}, but expected some of {list(columns)}."
                raise SchemaError(msg)
            wrong = [name for name in declared if encodings.get(name, NUMERIC).levels is not None]
            if wrong:
                msg = f"Got {what} of columns of categories, {wrong}, but expected columns of numbers."
                raise SchemaError(msg)
        for name in ranges.keys() & decimals.keys():
            require_decimal_bounds(ranges[name], name, decimals[name])
        self.__dict__.update(
            columns=columns,
            classes=classes,
            outside=str(outside) if ranges else "error",
            _decimals=_in_order(columns, decimals),
            _ranges=_in_order(columns, ranges),
            _encodings=_in_order(columns, encodings),
        )
        for names in (columns, self.stored) if encodings else (columns,):
            seen = [*names, *([] if classes is None else [classes])]
            if len(set(seen)) != len(seen):
                twice = sorted(name for name, count in Counter(seen).items() if count > 1)
                msg = f"Got column names that occur more than once: {twice}, but expected distinct names."
                raise SchemaError(msg)
        if len(self.stored) > MAX_COLUMNS:
            msg = f"Got {len(self.stored)} columns, but expected at most {MAX_COLUMNS}."
            raise SchemaError(msg)

    @classmethod
    def of_encodings(
        cls,
        columns: Iterable[str],
        classes: str | None,
        decimals: Mapping[str, int],
        ranges: Mapping[str, Range],
        outside: str,
        encodings: Mapping[str, Encoding],
    ) -> Self:
        """Return the schema of columns whose encodings, levels that rows brought among them, are known."""
        if isinstance(columns, str):
            msg = f"Got columns={columns!r}, but expected a list of names."
            raise SchemaError(msg)
        schema = object.__new__(cls)
        names = tuple(normalised(name) for name in columns)
        classes = None if classes is None else normalised(classes)
        kept = {name: encoding for name, encoding in encodings.items() if encoding != NUMERIC}
        schema._set(names, classes, checked_decimals(decimals), checked_ranges(ranges), outside, kept)
        return schema

    # -- what it says ------------------------------------------------------------------------------------------------

    @property
    def decimals(self) -> dict[str, int]:
        """Digits after the point of the columns that were declared to hold decimals, in the order of the columns."""
        return dict(self._decimals)

    @property
    def ranges(self) -> dict[str, Range]:
        """Bounds of the columns that have any, in the order of the columns; an infinity is no bound."""
        return dict(self._ranges)

    @property
    def encodings(self) -> dict[str, Encoding]:
        """What columns hold that do not hold plain numbers, none of which may be missing."""
        return dict(self._encodings)

    @property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """Levels that are known of each column of categories."""
        return {name: encoding.levels for name, encoding in self._encodings if encoding.levels is not None}

    @property
    def missing(self) -> dict[str, str]:
        """What becomes of missing values, of the columns that may have some."""
        return {name: encoding.missing for name, encoding in self._encodings if encoding.missing != "error"}

    @property
    def units(self) -> dict[str, str]:
        """What dates and durations are counted in."""
        return {name: encoding.unit for name, encoding in self._encodings if encoding.unit is not None}

    @property
    def declared(self) -> dict[str, Any]:
        """What reading rows has to be told beside the names: keywords of `Schema`."""
        categories = {
            name: encoding.levels if encoding.declared else None
            for name, encoding in self._encodings
            if encoding.levels is not None
        }
        return {
            "decimals": self.decimals,
            "ranges": self.ranges,
            "outside": self.outside,
            "categories": categories,
            "missing": self.missing,
            "units": self.units,
        }

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Numeric columns that statistics have."""
        if not self._encodings:
            return self.columns
        return self.names_of(self.columns)

    @cached_property
    def observed(self) -> dict[str, str]:
        """For columns of moments by pairs, the name of the column that is one where a value was there."""
        found = {}
        for column, encoding in self._encodings:
            if encoding.missing == "pairwise":
                found.update(dict.fromkeys(encoding.names(column), observed_name(column)))
        return found

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """All numeric columns that a state has: `names`, and those that say where a value was there."""
        if not self._encodings:
            return self.columns
        partly = (column for column, encoding in self._encodings if encoding.missing == "pairwise")
        return (*self.names, *map(observed_name, partly))

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", classes={self.classes!r}"
        decimals = f", decimals={self.decimals!r}" if self._decimals else ""
        ranges = f", ranges={self.ranges!r}, outside={self.outside!r}" if self._ranges else ""
        said = self.declared if self._encodings else {}
        others = "".join(f", {what}={said[what]!r}" for what in ("categories", "missing", "units") if said.get(what))
        return f"Schema({list(self.columns)!r}{classes}{decimals}{ranges}{others})"

    # -- matching by name --------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        if self.columns == other.columns:  # the usual case, without the words
            return (self.classes, self._decimals, self._ranges, self.outside, self._encodings) == (
                other.classes,
                other._decimals,
                other._ranges,
                other.outside,
                other._encodings,
            )
        return self.encodings == other.encodings and not self.differences(other)

    def __hash__(self) -> int:
        parts = (self.columns, self._decimals, self._ranges, self._encodings)
        return hash((self.classes, *map(frozenset, parts)))

    def differences(self, other: Schema) -> list[str]:
        """List in words how `other` differs; an empty list means that the two match.

        Levels that rows brought to a column of categories, where no levels are declared, are no difference.
        """
        found = []
        mine, theirs = set(self.columns), set(other.columns)
        if mine - theirs:
            found.append(f"missing columns: {[name for name in self.columns if name not in theirs]}")
        if theirs - mine:
            found.append(f"unexpected columns: {[name for name in other.columns if name not in mine]}")
        if self.classes != other.classes:
            found.append(f"class column {other.classes!r} instead of {self.classes!r}")
        ours, others = self.decimals, other.decimals
        found += [
            f"decimals of column {name!r}: {others.get(name)} instead of {ours.get(name)}"
            for name in self.columns
            if name in theirs and ours.get(name) != others.get(name)
        ]
        return found + self._other_ranges(other, theirs) + self._other_encodings(other, theirs)

    def _other_ranges(self, other: Schema, theirs: set[str]) -> list[str]:
        ours, others = self.ranges, other.ranges
        found = [
            f"range of column {name!r}: {range_in_words(others.get(name))} instead of {range_in_words(ours.get(name))}"
            for name in self.columns
            if name in theirs and ours.get(name) != others.get(name)
        ]
        if ours and others and self.outside != other.outside:
            found.append(f"outside={other.outside!r} instead of {self.outside!r}")
        return found

    def _other_encodings(self, other: Schema, theirs: set[str]) -> list[str]:
        if self._encodings == other._encodings:
            return []
        ours, others = self.encodings, other.encodings
        pairs = [(name, others.get(name, NUMERIC), ours.get(name, NUMERIC)) for name in self.columns if name in theirs]
        return [
            f"column {name!r} holds {that.in_words()} instead of {this.in_words()}"
            for name, that, this in pairs
            if that.without_levels() != this.without_levels()
        ]

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

    def validate(self, X: Any, y: Any = None) -> Validation:
        """Look for everything in a table that does not fit, before anything is learned.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Class labels, if `X` has no such column, or more columns.

        Returns
        -------
        validation : Validation
            True if the rows can be learned; prints as a table of columns, what is wrong with them, how many rows it
            concerns, which is the first, and what becomes of them.  It holds no value of a row.

        Examples
        --------
        >>> from sklearn_symfed import Schema
        >>> Schema(["x0", "x1"], ranges={"x0": (0, 500)}).validate([[7.5, 1.0], [-1.0, float("nan")]])
        2 rows: refused
        column  what     rows  share  first row  outcome
        x0      range    1     50.0%  1          refused
        x1      missing  1     50.0%  1          refused
        """
        from sklearn_symfed.psr._validation import validate  # which reads rows, by schemas

        return validate(self, X, y)

    def with_levels_of(self, other: Schema) -> Schema:
        """Return the same columns with the levels of both, where no levels are declared.

        Raises
        ------
        SchemaError
            If `other` does not match.
        """
        self.require_match(other)
        theirs = other.encodings
        merged = {
            name: encoding.with_levels(theirs[name].levels or ()) if encoding.open else encoding
            for name, encoding in self._encodings
        }
        return self if merged == self.encodings else self._with(encodings=merged)

    def without_levels(self) -> Schema:
        """Return what is declared: no levels but those."""
        return self._with(encodings={name: encoding.without_levels() for name, encoding in self._encodings})

    def with_encodings(self, encodings: Mapping[str, Encoding]) -> Schema:
        """Return the same columns, some of them with other encodings."""
        return self._with(encodings={**self.encodings, **encodings})

    def with_numbers(self, decimals: Mapping[str, int], ranges: Mapping[str, Range]) -> Schema:
        """Return the same columns, whose numbers have other decimals and ranges."""
        return self._with(decimals=decimals, ranges=ranges)

    def rename(self, names: Mapping[str, str]) -> Schema:
        """Return the same columns under other names, and with them all that is said of them.

        Parameters
        ----------
        names : mapping of str to str
            Old names to new ones: of columns of rows, or of the class column.

        Raises
        ------
        SchemaError
            If an old name is unknown, or two columns would have one name.

        Examples
        --------
        >>> from sklearn_symfed import Schema
        >>> Schema(["carrier", "dist"], categories={"carrier": ["AA", "UA"]}).rename({"carrier": "airline"}).names
        ('airline=AA', 'airline=UA', 'dist')
        """
        if not isinstance(names, Mapping):
            msg = f"Got names of type {type(names).__name__}, but expected a mapping as {{'old': 'new'}}."
            raise SchemaError(msg)
        new = {normalised(old): normalised(name) for old, name in names.items()}
        known = [*self.columns, *([] if self.classes is None else [self.classes])]
        unknown = [old for old in new if old not in known]
        if unknown:
            msg = f"Got new names for unknown columns {unknown}, but expected some of {known}."
            raise SchemaError(msg)
        twice = sorted(name for name, count in Counter(new.get(old, old) for old in known).items() if count > 1)
        if twice:
            msg = f"Got names that two columns would have, {twice}, but expected distinct ones."
            raise SchemaError(msg)
        said: dict[str, dict[str, Any]]
        said = {"decimals": self.decimals, "ranges": self.ranges, "encodings": self.encodings}
        renamed = {what: {new.get(old, old): each for old, each in of.items()} for what, of in said.items()}
        columns = tuple(new.get(old, old) for old in self.columns)
        return self._with(columns=columns, classes=new.get(self.classes or "", self.classes), **renamed)

    def behind(self, columns: Iterable[str], decimals: Mapping[str, int]) -> Schema:
        """Return these columns behind others, which hold numbers."""
        return self._with(columns=(*columns, *self.columns), decimals={**decimals, **self.decimals})

    def without_classes(self) -> Schema:
        """Return the same columns without that of the classes."""
        return self._with(classes=None)

    def names_without(self, unwanted: Iterable[str]) -> list[str]:
        """Return what `select` is to be told to leave some columns, or single numeric ones, out."""
        unwanted, ours = set(unwanted), self.encodings
        kept: list[str] = []
        for column in self.columns:
            names = ours.get(column, NUMERIC).names(column)
            if column in unwanted:
                continue
            whole = column in self.categories and not unwanted & set(names)
            kept += [column] if whole else [name for name in names if name not in unwanted]
        return kept

    def _with(self, **changed: Any) -> Schema:
        parts: dict[str, Any] = {
            "columns": self.columns,
            "classes": self.classes,
            "decimals": self.decimals,
            "ranges": self.ranges,
            "outside": self.outside,
            "encodings": self.encodings,
            **changed,
        }
        return Schema.of_encodings(**parts)

    # -- parts -------------------------------------------------------------------------------------------------------

    def select(self, names: Iterable[str], classes: str | None = None) -> Schema:
        """Return the schema of some columns, in the order given, and of a class column.

        A name is that of a column of rows, or of one of the numeric columns that statistics have of it: an indicator
        of a level is then a plain column of zeros and ones.

        Raises
        ------
        SchemaError
            If a name is unknown.
        """
        if isinstance(names, str):
            msg = f"Got columns={names!r}, but expected a list of names."
            raise SchemaError(msg)
        wanted = [normalised(name) for name in names]
        ours, chosen = self.encodings, set(wanted)
        whole = self.categories if ours else {}
        self.positions(name for name in wanted if name not in whole)
        encodings = {name: _PAIRWISE for name in self.observed if name in chosen}
        encodings.update({name: _selected(encoding) for name, encoding in ours.items() if name in chosen})
        decimals = {name: digits for name, digits in self._decimals if name in chosen}
        ranges = {name: bounds for name, bounds in self._ranges if name in chosen}
        return Schema.of_encodings(wanted, classes, decimals, ranges, self.outside, encodings)

    def names_of(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the numeric columns that statistics have of some columns of rows."""
        ours = self.encodings
        return tuple(name for column in columns for name in ours.get(column, NUMERIC).names(column))

    def of_columns(self, columns: Iterable[str]) -> Schema:
        """Return what is said of some columns of rows; nothing of classes."""
        chosen = list(columns)
        decimals = {name: digits for name, digits in self._decimals if name in chosen}
        ranges = {name: bounds for name, bounds in self._ranges if name in chosen}
        encodings = {name: encoding for name, encoding in self._encodings if name in chosen}
        return Schema.of_encodings(chosen, None, decimals, ranges, self.outside, encodings)

    def without_ranges(self) -> Schema:
        """Return the same columns, whatever range their numbers are in."""
        return self._with(ranges={}, outside="error")

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

    def places(self, schema: Schema) -> list[int]:
        """Return where all numeric columns of another schema stand among those that a state has; -1: nowhere."""
        index = {name: position for position, name in enumerate(self.stored)}
        index.update({observed_name(name): index[mask] for name, mask in self.observed.items()})  # of single levels
        return [index.get(name, -1) for name in schema.stored]

    def as_stored(self) -> Schema:
        """Return the schema in which all columns that a state has are plain ones."""
        return (
            Schema.of_encodings(self.stored, self.classes, self.decimals, {}, "error", {}) if self._encodings else self
        )


_PAIRWISE = Encoding(missing="pairwise")


def _selected(encoding: Encoding) -> Encoding:
    """Return what a column of numbers that is selected by its name holds: its zeros no more say what is missing."""
    plain = encoding.levels is None and encoding.missing == "indicator"
    return replace(encoding, missing="error") if plain else encoding


def _in_order(names: tuple[str, ...], declared: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, declared[name]) for name in names if name in declared) if declared else ()

"""What the columns of a PSR are called and mean, and how two descriptions are matched by name."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sklearn_symfed.exceptions import SchemaError

__all__ = ["MAX_COLUMNS", "MAX_NAME_BYTES", "Schema", "normalised"]

MAX_COLUMNS = 65_535
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


@dataclass(frozen=True, init=False)
class Schema:
    """Names of numeric columns, and of the column that holds class labels.

    Columns are matched by name; their order fixes the order of fitted features and nothing else.  Two schemas are
    equal when they describe the same columns, in whatever order.

    Parameters
    ----------
    columns : iterable of str
        Numeric columns, in order.
    classes : str or None, default=None
        The column that holds class labels; statistics are then kept for each class.

    Raises
    ------
    SchemaError
        If a name is not a string, is empty, or occurs twice.

    Examples
    --------
    >>> from sklearn_symfed import Schema
    >>> Schema(["age", "dose"], classes="outcome")
    Schema(['age', 'dose'], classes='outcome')
    """

    names: tuple[str, ...]
    classes: str | None

    def __init__(self, columns: Iterable[str], classes: str | None = None) -> None:
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

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", classes={self.classes!r}"
        return f"Schema({list(self.names)!r}{classes})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        return not self.differences(other)

    def __hash__(self) -> int:
        return hash((frozenset(self.names), self.classes))

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

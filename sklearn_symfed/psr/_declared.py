"""What may be said of columns: names, in Unicode's composed form, and how many digits their decimals have."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, TypeVar

from sklearn_symfed.exceptions import SchemaError

__all__ = ["MAX_COLUMNS", "MAX_DECIMALS", "MAX_NAME_BYTES", "checked_decimals", "declared_by_name", "normalised"]

MAX_COLUMNS = 65_535
MAX_DECIMALS = 15
MAX_NAME_BYTES = 4_096

T = TypeVar("T")


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


def declared_by_name(
    what: str, declared: Mapping[str, Any] | None, example: str, checked: Callable[[Any, str], T]
) -> dict[str, T]:
    """Return what is declared of columns, by composed name, as `checked` returns it for a value and its column.

    Raises
    ------
    SchemaError
        If `declared` is no mapping of distinct names.
    """
    if declared is None:
        return {}
    if not isinstance(declared, Mapping):
        msg = f"Got {what} of type {type(declared).__name__}, but expected a mapping as {example}."
        raise SchemaError(msg)
    found: dict[str, T] = {}
    for key, value in declared.items():
        name = normalised(key)
        if name in found:
            msg = f"Got {what} of column {name!r} twice, but expected distinct names."
            raise SchemaError(msg)
        found[name] = checked(value, name)
    return found


def checked_decimals(decimals: Mapping[str, int] | None) -> dict[str, int]:
    """Return the declared digits after the point, by composed name.

    Raises
    ------
    SchemaError
        If `decimals` is no mapping of distinct names to integers from 0 to `MAX_DECIMALS`.
    """
    return declared_by_name("decimals", decimals, "{'fare_amount': 2}", _checked_digits)


def _checked_digits(digits: int, name: str) -> int:
    if isinstance(digits, bool) or not isinstance(digits, Integral) or not 0 <= digits <= MAX_DECIMALS:
        what = f"{digits}" if isinstance(digits, Integral) else f"type {type(digits).__name__}"
        msg = f"Got decimals of {what} for column {name!r}, but expected an integer from 0 to {MAX_DECIMALS}."
        raise SchemaError(msg)
    return int(digits)

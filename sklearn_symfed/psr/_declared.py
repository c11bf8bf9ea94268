"""What may be said of columns: names, in Unicode's composed form, and how many digits their decimals have."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from numbers import Integral

from sklearn_symfed.exceptions import SchemaError

__all__ = ["MAX_COLUMNS", "MAX_DECIMALS", "MAX_NAME_BYTES", "checked_decimals", "normalised"]

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

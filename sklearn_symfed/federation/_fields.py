"""Fields of messages and their bytes: kinds of values, each bounded, read one after the other as the layout says.

Owns msgpack.  A reader asks for what a layout expects and for nothing else, so what is allocated is bounded by the
layout and not by what the bytes say; nothing is ever unpickled, and what is left over is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from sklearn_symfed.exceptions import FormatError, SettingError
from sklearn_symfed.federation._names import MAX_NAME_BYTES, check_name
from sklearn_symfed.federation._sealing import can_be_sealed_to

__all__ = [
    "COUNTER",
    "DIGEST",
    "FLAG",
    "KEY",
    "MAX_COUNTER",
    "MAX_MEMBERS",
    "NAME",
    "NAME_OR_NONE",
    "SEAL_KEY",
    "SIGNATURE",
    "Kind",
    "Layout",
    "blob",
    "list_of",
    "map_of_blobs",
    "optional",
    "pack",
    "read",
    "record",
    "text",
]

MAX_COUNTER = 2**53 - 1
"""No incarnation, version, sequence or roster number goes beyond this."""
MAX_MEMBERS = 4096


@dataclass(frozen=True)
class Kind:
    """A kind of value: how it is told to msgpack, and how it is read back and checked."""

    pack: Callable[[Any], Any]
    read: Callable[[Any, str], Any]


Layout = Mapping[str, Kind]
"""The fields of a message or record by name, in order."""


def pack(layout: Layout, values: Mapping[str, Any]) -> bytes:
    """Turn values into bytes."""
    packed: bytes = msgpack.packb([kind.pack(values[name]) for name, kind in layout.items()])
    return packed


def read(layout: Layout, data: bytes, what: str) -> dict[str, Any]:
    """Turn bytes into values.

    Raises
    ------
    FormatError
        If they are not exactly what the layout says; the message never holds a value.
    """
    reader = msgpack.Unpacker(
        max_buffer_size=max(len(data), 1),
        max_str_len=65_536,
        max_bin_len=len(data),
        max_array_len=0,
        max_map_len=0,
        max_ext_len=0,
        strict_map_key=False,
    )
    reader.feed(data)
    try:
        values = record(layout, lambda *fields: dict(zip(layout, fields, strict=True))).read(reader, what)
        if reader.tell() != len(data):
            raise FormatError(f"Got bytes after the end of a {what}.")  # noqa: TRY301
    except FormatError:
        raise
    except Exception:  # msgpack raises half a dozen types on bad input
        raise FormatError(f"Got a {what} that is not the msgpack that was expected.") from None
    return dict(values)


def _scalar(of: type, holds: Callable[[Any], bool], expected: str) -> Kind:
    def read_scalar(reader: Any, name: str) -> Any:
        value = reader.unpack()
        if type(value) is not of or not holds(value):
            raise FormatError(f"Got a {name} that is not {expected}.")
        return value

    return Kind(lambda value: value, read_scalar)


def blob(most: int, least: int = 0) -> Kind:
    """Bytes of bounded length."""
    size = f"{least} bytes" if least == most else f"{least} to {most} bytes"
    return _scalar(bytes, lambda value: least <= len(value) <= most, size)


def text(most: int) -> Kind:
    """Expect a string of bounded length in UTF-8, and empty if need be."""
    return _scalar(str, lambda value: len(value.encode()) <= most, f"a str of at most {most} bytes")


def one_of(*choices: str) -> Kind:
    """Expect one of some strings."""
    return _scalar(str, lambda value: value in choices, f"one of {list(choices)}")


def _read_name(reader: Any, name: str) -> str:
    value = reader.unpack()
    with contextlib.suppress(SettingError):
        if check_name(value, name) == value:
            return str(value)
    raise FormatError(f"Got a {name} that is no name: expected 1 to {MAX_NAME_BYTES} bytes in normal form C.")


def optional(kind: Kind) -> Kind:
    """Nothing, or one value."""

    def read_optional(reader: Any, name: str) -> Any:
        count = reader.read_array_header()
        if count > 1:
            raise FormatError(f"Got {count} values of {name}, but expected one or none.")
        return kind.read(reader, name) if count else None

    return Kind(lambda value: [] if value is None else [kind.pack(value)], read_optional)


def list_of(kind: Kind, most: int) -> Kind:
    """Expect a list of values of one kind; read as a tuple."""

    def read_list(reader: Any, name: str) -> tuple[Any, ...]:
        count = reader.read_array_header()
        if count > most:
            raise FormatError(f"Got {count} values of {name}, but expected at most {most}.")
        return tuple(kind.read(reader, name) for _ in range(count))

    return Kind(lambda values: [kind.pack(value) for value in values], read_list)


def record(layout: Layout, make: Callable[..., Any]) -> Kind:
    """Expect several fields in order, of which `make` makes one value."""
    kinds = list(layout.values())

    def read_record(reader: Any, name: str) -> Any:
        if reader.read_array_header() != len(kinds):
            raise FormatError(f"Got a {name} with another number of fields than expected.")
        return make(*(kind.read(reader, f"{field} of a {name}") for field, kind in layout.items()))

    def pack_record(values: Sequence[Any]) -> list[Any]:
        return [kind.pack(value) for kind, value in zip(kinds, values, strict=True)]

    return Kind(pack_record, read_record)


def map_of_blobs(most_bytes: int) -> Kind:
    """Expect a map from member names to short bytes."""

    def read_map(reader: Any, name: str) -> dict[str, bytes]:
        count = reader.read_map_header()
        if count > 2 * MAX_MEMBERS:  # members, and those who left and let their rows stay
            raise FormatError(f"Got {count} entries of {name}, but expected at most {2 * MAX_MEMBERS}.")
        value: dict[str, bytes] = {}
        for _ in range(count):
            key, item = reader.unpack(), reader.unpack()
            if type(key) is not str or not 0 < len(key) <= 80:  # names that no roster lists are left aside later
                raise FormatError(f"Got a {name} with a key that is no name.")
            if type(item) is not bytes or len(item) > most_bytes:
                raise FormatError(f"Got a {name} with an entry that is not bytes, at most {most_bytes}.")
            value[key] = item
        if len(value) != count:
            raise FormatError(f"Got a {name} with two entries of one name.")
        return value

    return Kind(dict, read_map)


COUNTER = _scalar(int, lambda value: 0 <= value <= MAX_COUNTER, f"an integer from 0 to {MAX_COUNTER}")
FLAG = _scalar(bool, lambda _: True, "a bool")
NAME = Kind(lambda value: value, _read_name)
NAME_OR_NONE = optional(NAME)
KEY = blob(32, 32)
SEAL_KEY = _scalar(
    bytes, lambda value: len(value) == 32 and can_be_sealed_to(value), "32 bytes of a key that can be sealed to"
)
SIGNATURE = blob(64, 64)
_SHA256 = _scalar(bytes, lambda value: len(value) in {0, 32}, "32 bytes, or none")
DIGEST = Kind(bytes.fromhex, lambda reader, name: _SHA256.read(reader, name).hex())

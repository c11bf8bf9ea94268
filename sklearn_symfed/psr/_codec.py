"""PSR <-> canonical bytes: bounded, versioned, the same for equal PSRs but for the order of columns.

::

    magic     8 bytes   b"SYMF-PSR"
    version   u16
    order     u32 n, then n times u16: for each column of the fitted order its place among the sorted names
    canonical (the digest is its SHA-256):
      header  u32 length, then msgpack [[name, kind] or [name, kind, decimals] ... sorted, class column or nil]
      cells   u32 count, then for each, by ascending label:
        label   u16 length, then msgpack label (nil without class column)
        exponent i16, width u16
        planes  one byte for each plane and entry: two's complement of the shortest width that holds every entry, least
                significant plane first, which has the weight 2**(8 * exponent); entries are rows, sum of squared
                weights, and the upper triangle of the augmented Gram matrix over the sorted names, row by row

All numbers are little-endian.  A reader checks every length against what is there before it allocates, and refuses
bytes that are not canonical, so that equal digests mean equal canonical bytes and the other way round.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np

from sklearn_symfed.exceptions import DataError, FormatError
from sklearn_symfed.psr._labels import MAX_LABEL_BYTES, MAX_LABELS, Label, as_label, sorted_labels
from sklearn_symfed.psr._layout import packed_length, selection
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._schema import MAX_COLUMNS, MAX_NAME_BYTES, Schema

__all__ = ["VERSION", "Cells", "canonical_bytes", "decode", "digest_of", "encode", "most_bytes"]

MAGIC = b"SYMF-PSR"
VERSION = 1
_MAX_PACKED_LABEL = MAX_LABEL_BYTES + 3  # msgpack puts up to three bytes in front of a string
# Sums of weighted products of doubles lie between 2**-3222 and 2**3072 times a count: limbs -101 to 98 and some room.
_MAX_KEY = 128
_MAX_WIDTH = 8 * _MAX_KEY + 4
_KIND = "numeric"

Cells = dict[Label | None, Limbs]


def canonical_bytes(schema: Schema, cells: Cells) -> bytes:
    """Return the bytes that the digest is taken of; they do not depend on the order of columns."""
    names = sorted(schema.names)
    if cells and tuple(names) != schema.names:
        index = selection(len(names), schema.positions(names))
        cells = {label: state.take(index) for label, state in cells.items()}
    decimals = schema.decimals
    columns = [[name, _KIND, decimals[name]] if name in decimals else [name, _KIND] for name in names]
    header = msgpack.packb([columns, schema.classes])
    out = [struct.pack("<I", len(header)), header, struct.pack("<I", len(cells))]
    for label in cells if None in cells else sorted_labels(label for label in cells if label is not None):
        state = cells[label]
        packed = msgpack.packb(label)
        octets, exponent = state.to_octets()
        out += [struct.pack("<H", len(packed)), packed, struct.pack("<hH", exponent, len(octets)), octets.tobytes()]
    return b"".join(out)


def most_bytes(schema: Schema) -> int:
    """Return how many bytes a PSR of some columns can take: whoever knows the columns need not expand more."""
    columns = sum(len(name.encode()) + 32 for name in (*schema.names, schema.classes or ""))
    cell = 8 + _MAX_PACKED_LABEL + _MAX_WIDTH * packed_length(len(schema.names))
    return 64 + 2 * len(schema.names) + columns + cell * (1 if schema.classes is None else MAX_LABELS)


def digest_of(canonical: bytes) -> str:
    """Return the SHA-256 of canonical bytes, in hexadecimal."""
    return hashlib.sha256(MAGIC + struct.pack("<H", VERSION) + canonical).hexdigest()


def encode(schema: Schema, canonical: bytes) -> bytes:
    """Put the order of columns in front of canonical bytes."""
    place = {name: position for position, name in enumerate(sorted(schema.names))}
    order = np.array([place[name] for name in schema.names], dtype="<u2")
    return MAGIC + struct.pack("<HI", VERSION, len(order)) + order.tobytes() + canonical


def decode(data: bytes) -> tuple[Schema, Cells]:
    """Read what `encode` wrote.

    Raises
    ------
    FormatError
        If the bytes are anything else, or of a version that this release does not read.
    """
    reader = _Reader(data)
    if bytes(reader.take(len(MAGIC), "magic")) != MAGIC:
        msg = "Got bytes that are not a PSR, but expected them to start with its magic."
        raise FormatError(msg)
    version = reader.number("<H", "version")
    if version != VERSION:
        msg = f"Got a PSR of format {version}, but this release of sklearn-symfed reads format {VERSION}."
        raise FormatError(msg + (" Install a newer release." if version > VERSION else ""))
    order = reader.array("<u2", reader.number("<I", "number of columns", MAX_COLUMNS), "order of columns")
    schema = _read_header(reader, order)
    cells: Cells = {}
    length = packed_length(len(schema.names))
    for _ in range(reader.number("<I", "number of classes", MAX_LABELS)):
        label = _read_label(reader, schema)
        exponent = reader.number("<h", "exponent", 4 * _MAX_KEY)
        width = reader.number("<H", "width", _MAX_WIDTH)
        octets = reader.array("<u1", width * length, "planes").reshape(width, length)
        try:
            if not width or exponent < -4 * _MAX_KEY or exponent + width > 4 * _MAX_KEY + 4:
                raise ValueError  # noqa: TRY301
            state = Limbs.from_octets(octets, exponent)
        except ValueError:
            msg = "Got a PSR whose planes are not in canonical form."
            raise FormatError(msg) from None
        if cells and not _ascending(next(reversed(cells)), label):
            msg = "Got a PSR whose class labels are not ascending, or not of one kind."
            raise FormatError(msg)
        cells[label] = state
    reader.finish()
    if cells and tuple(sorted(schema.names)) != schema.names:
        index = selection(len(order), order.tolist())
        cells = {label: state.take(index) for label, state in cells.items()}
    return schema, cells


def _ascending(first: Any, second: Any) -> bool:
    return type(first) is type(second) and first is not None and first < second


def _read_header(reader: _Reader, order: np.ndarray[Any, Any]) -> Schema:
    size = reader.number("<I", "header length", 64 + (MAX_NAME_BYTES + 32) * (len(order) + 1))
    columns, classes = _unpack(reader.take(size, "header"), lambda header: _header(header, len(order)))
    try:
        names = [column[0] for column in columns]
        decimals = {column[0]: column[2] for column in columns if len(column) == 3}
        if sorted(set(names)) != names or any(column[1] != _KIND for column in columns):
            raise ValueError  # noqa: TRY301
        if sorted(order.tolist()) != list(range(len(names))):
            raise ValueError  # noqa: TRY301
        schema = Schema([names[place] for place in order], classes, decimals)
        if sorted(schema.names) != names or schema.classes != classes:
            raise ValueError  # noqa: TRY301
    except (TypeError, ValueError):
        msg = "Got a PSR whose header does not list sorted, distinct columns and a class column."
        raise FormatError(msg) from None
    return schema


def _read_label(reader: _Reader, schema: Schema) -> Label | None:
    label = _unpack(reader.take(reader.number("<H", "label length", _MAX_PACKED_LABEL), "label"))
    if label is None and schema.classes is None:
        return None
    try:
        known = schema.classes is not None and isinstance(label, (bool, int, str)) and as_label(label) == label
    except DataError:
        known = False
    if not known:
        msg = f"Got a class label of type {type(label).__name__} that is none: expected bool, int or composed str."
        raise FormatError(msg)
    return as_label(label)


def _header(unpacker: msgpack.Unpacker, n_columns: int) -> list[Any]:
    """Read what a header holds and nothing else: a list costs more memory than the byte that makes it."""

    def size(*expected: int) -> int:
        found = int(unpacker.read_array_header())
        if found not in expected:
            raise ValueError
        return found

    size(2)
    columns = [[unpacker.unpack() for _ in range(size(2, 3))] for _ in range(size(n_columns))]
    return [columns, unpacker.unpack()]


def _unpack(data: memoryview, read: Callable[[msgpack.Unpacker], Any] = msgpack.Unpacker.unpack) -> Any:
    try:
        unpacker = msgpack.Unpacker(
            max_buffer_size=max(len(data), 1), max_array_len=0, max_map_len=0, max_bin_len=0, max_ext_len=0
        )
        unpacker.feed(data)
        value = read(unpacker)
        if msgpack.packb(value) != data:
            raise ValueError  # noqa: TRY301
    except Exception:  # msgpack raises half a dozen types on bad input
        msg = "Got a PSR with a damaged header or label."
        raise FormatError(msg) from None
    return value


class _Reader:
    """Takes bytes from the front, and never more than there are."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def take(self, size: int, what: str) -> memoryview:
        if size > len(self._rest):
            msg = f"Got a PSR that ends within its {what}: {len(self._rest)} bytes left, but expected {size}."
            raise FormatError(msg)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def number(self, form: str, what: str, most: int = 2**32) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form), what))
        if value > most:
            msg = f"Got a PSR with {what} {value}, but expected at most {most}."
            raise FormatError(msg)
        return int(value)

    def array(self, dtype: str, count: int, what: str) -> np.ndarray[Any, Any]:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize, what), dtype=dtype)

    def finish(self) -> None:
        if len(self._rest):
            msg = f"Got a PSR followed by {len(self._rest)} bytes, but expected nothing after it."
            raise FormatError(msg)

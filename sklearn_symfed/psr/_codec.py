"""PSR <-> canonical bytes: bounded, versioned, the same for equal PSRs but for the order of columns.

::

    magic     8 bytes   b"SYMF-PSR"
    version   u16
    order     u16 n, then n times u16: for each column of the fitted order its place among the sorted names;
              none where the columns are sorted
    canonical (the digest is its SHA-256):
      header  u32 length, then msgpack [sorted names, decimals, class column or nil]; decimals are [] or the digits of
              each column, nil where none are declared.  Where there are ranges, three entries follow: whether rows
              outside are dropped, and the lower and the upper bound of each column, float64, nil where there is none.
              Where columns hold other things than numbers, or values may be missing, these three are there (bounds are
              [] without ranges) and two more: how many rows were left out as incomplete, and for each such column, by
              name, [name, what becomes of missing values, unit or nil, "numbers" or, of levels, "declared" or "open",
              levels].
              Names are then those of all numeric columns that the state has
      cells   u32 count, then for each, by ascending label:
        label    u16 length, then msgpack label (nil without class column)
        frame    exponent i16, width u16: two's complement of the shortest width in bytes that holds every entry, in
                 planes of bytes, least significant first, which has the weight 2**(8 * exponent)
        counts   rows, sum of squared weights, sum of weights: first u16, n u16, then the n planes that it takes from
                 the first on, one byte for each entry; planes below are zero, planes above repeat the sign
        sums     of the columns by sorted name, in the same way
        products the upper triangle of the Gram matrix over the sorted names, row by row: all planes

All numbers are little-endian.  A reader checks every length against what is there before it allocates, and refuses
bytes that are not canonical, so that equal digests mean equal canonical bytes and the other way round.  As products,
which are most entries, fill the frame, a state takes memory of the size of its bytes.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

import msgpack
import numpy as np

from sklearn_symfed.exceptions import DataError, FormatError
from sklearn_symfed.psr._encodings import (
    MISSING,
    MOST_OPEN_LEVELS,
    UNITS,
    Encoding,
    level_text,
    observed_name,
    sorted_levels,
)
from sklearn_symfed.psr._labels import MAX_LABEL_BYTES, MAX_LABELS, Label, as_label, sorted_labels
from sklearn_symfed.psr._layout import packed_length, selection
from sklearn_symfed.psr._limbs import Limbs, shortest, signs
from sklearn_symfed.psr._schema import MAX_COLUMNS, MAX_NAME_BYTES, Schema

__all__ = ["VERSION", "Cells", "canonical_bytes", "decode", "digest_of", "encode", "most_bytes"]

MAGIC = b"SYMF-PSR"
VERSION = 1
_MAX_PACKED_LABEL = MAX_LABEL_BYTES + 3  # msgpack puts up to three bytes in front of a string
# Sums of weighted products of doubles lie between 2**-3222 and 2**3072 times a count: limbs -101 to 98 and some room.
_MAX_KEY = 128
_MAX_WIDTH = 8 * _MAX_KEY + 4
_UNBOUNDED = (-math.inf, math.inf)

Cells = dict[Label | None, Limbs]


def canonical_bytes(schema: Schema, cells: Cells, n_incomplete: int = 0) -> bytes:
    """Return the bytes that the digest is taken of; they do not depend on the order of columns."""
    names = sorted(schema.stored)
    if cells and tuple(names) != schema.stored:
        place = {name: position for position, name in enumerate(schema.stored)}
        index = selection(len(names), [place[name] for name in names])
        cells = {label: state.take(index) for label, state in cells.items()}
    header = _packed_header(schema, names, n_incomplete)
    out = [struct.pack("<I", len(header)), header, struct.pack("<I", len(cells))]
    for label in cells if None in cells else sorted_labels(label for label in cells if label is not None):
        state = cells[label]
        packed = msgpack.packb(label)
        out += [struct.pack("<H", len(packed)), packed, *_packed_state(state, len(names))]
    return b"".join(out)


def _packed_header(schema: Schema, names: list[str], n_incomplete: int) -> bytes:
    decimals, ranges, encodings = schema.decimals, schema.ranges, schema.encodings
    header: list[Any] = [names, [decimals.get(name) for name in names] if decimals else [], schema.classes]
    if ranges:
        bounds = [[None if math.isinf(end) else end for end in ranges.get(name, _UNBOUNDED)] for name in names]
        header += [schema.outside == "drop", *zip(*bounds, strict=True)]
    elif encodings:
        header += [False, [], []]
    if encodings:
        columns = [
            [name, encoding.missing, encoding.unit, _kind_of(encoding), encoding.levels or ()]
            for name, encoding in sorted(encodings.items())
        ]
        header += [n_incomplete, columns]
    return bytes(msgpack.packb(header))


def _kind_of(encoding: Encoding) -> str:
    return "numbers" if encoding.levels is None else "declared" if encoding.declared else "open"


def _packed_state(state: Limbs, n_columns: int) -> Iterator[bytes]:
    octets, exponent = state.to_octets()
    yield struct.pack("<hH", exponent, len(octets))
    for start, stop in ((0, 3), (3, 3 + n_columns)):
        first, last = shortest(octets[:, start:stop])
        yield struct.pack("<HH", first, last - first)
        yield octets[first:last, start:stop].tobytes()
    yield octets[:, 3 + n_columns :].tobytes()


def most_bytes(schema: Schema) -> int:
    """Return how many bytes a PSR of some columns can take: whoever knows the columns need not expand more."""
    new = MOST_OPEN_LEVELS * sum(encoding.open for encoding in schema.encodings.values())
    size = len(schema.stored) + new
    columns = sum(2 * len(name.encode()) + 64 for name in (*schema.stored, *schema.columns, schema.classes or ""))
    cell = 16 + _MAX_PACKED_LABEL + _MAX_WIDTH * packed_length(size)
    return 128 + 2 * size + columns + 3 * new * MAX_NAME_BYTES + cell * (1 if schema.classes is None else MAX_LABELS)


def digest_of(canonical: bytes) -> str:
    """Return the SHA-256 of canonical bytes, in hexadecimal."""
    return hashlib.sha256(MAGIC + struct.pack("<H", VERSION) + canonical).hexdigest()


def encode(schema: Schema, canonical: bytes) -> bytes:
    """Put the order of columns in front of canonical bytes."""
    place = {name: position for position, name in enumerate(sorted(schema.stored))}
    order = np.array([place[name] for name in schema.stored], dtype="<u2")
    if np.array_equal(order, np.arange(len(order))):
        order = order[:0]
    return MAGIC + struct.pack("<HH", VERSION, len(order)) + order.tobytes() + canonical


def decode(data: bytes) -> tuple[Schema, Cells, int]:
    """Read what `encode` wrote, and how many rows were left out as incomplete.

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
    order = reader.array("<u2", reader.number("<H", "number of columns"), "order of columns")
    schema, n_incomplete = _read_header(reader, order)
    cells: Cells = {}
    for _ in range(reader.number("<I", "number of classes", MAX_LABELS)):
        label = _read_label(reader, schema)
        state = _read_state(reader, len(schema.stored))
        if cells and not _ascending(next(reversed(cells)), label):
            msg = "Got a PSR whose class labels are not ascending, or not of one kind."
            raise FormatError(msg)
        cells[label] = state
    reader.finish()
    if cells and len(order):
        index = selection(len(order), order.tolist())
        cells = {label: state.take(index) for label, state in cells.items()}
    return schema, cells, n_incomplete


def _ascending(first: Any, second: Any) -> bool:
    return type(first) is type(second) and first is not None and first < second


def _read_state(reader: _Reader, n_columns: int) -> Limbs:
    exponent = reader.number("<h", "exponent", 4 * _MAX_KEY)
    width = reader.number("<H", "width", _MAX_WIDTH)
    blocks = []
    for size in (3, n_columns):
        first, n_planes = reader.number("<H", "first plane", width), reader.number("<H", "number of planes", width)
        blocks.append((first, reader.array("<u1", n_planes * size, "planes").reshape(n_planes, size)))
    n_products = n_columns * (n_columns + 1) // 2
    products = reader.array("<u1", width * n_products, "planes").reshape(width, n_products)
    try:
        if not width or exponent < -4 * _MAX_KEY or exponent + width > 4 * _MAX_KEY + 4:
            raise ValueError  # noqa: TRY301
        framed = [_framed(planes, first, width) for first, planes in blocks]
        return Limbs.from_octets(np.hstack([*framed, products]), exponent)
    except ValueError:
        msg = "Got a PSR whose planes are not in canonical form."
        raise FormatError(msg) from None


def _framed(planes: np.ndarray[Any, np.dtype[np.uint8]], first: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Put the planes that it takes where they stand among all."""
    last = first + len(planes)
    if last > width or shortest(planes) != (0, len(planes)) or (first and first == last):
        raise ValueError
    whole = np.zeros((width, planes.shape[1]), np.uint8)
    if len(planes):
        whole[first:last] = planes
        whole[last:] = signs(planes[-1])
    return whole


def _read_header(reader: _Reader, order: np.ndarray[Any, Any]) -> tuple[Schema, int]:
    size = reader.number("<I", "header length", 64 + 3 * (MAX_NAME_BYTES + 32) * (MAX_COLUMNS + 1))
    header = reader.take(size, "header")
    names, digits, classes, *rest = _unpack(header, _header)
    n_incomplete, found = rest[3:] or (0, [])
    try:
        places = order.tolist() if len(order) else range(len(names))
        if sorted(set(names)) != names or sorted(places) != [*range(len(names))]:
            raise ValueError  # noqa: TRY301
        if places == sorted(places):  # a list: written though the columns are sorted
            raise ValueError  # noqa: TRY301
        decimals = {name: each for name, each in zip(names, digits, strict=False) if each is not None}
        encodings = {column: _read_encoding(*said) for column, *said in found}
        stored = [names[place] for place in places]
        columns = _columns_of(stored, encodings)
        ranges, outside = _read_ranges(names, *rest[:3])
        schema = Schema.of_encodings(columns, classes, decimals, ranges, outside, encodings)
        if list(schema.stored) != stored or _packed_header(schema, sorted(stored), n_incomplete) != header:
            raise ValueError  # noqa: TRY301
    except (TypeError, ValueError):
        msg = "Got a PSR whose header does not list sorted, distinct columns and a class column."
        raise FormatError(msg) from None
    return schema, n_incomplete


def _read_encoding(missing: Any, unit: Any, kind: Any, levels: list[Any]) -> Encoding:
    encoding = Encoding(None if kind == "numbers" else tuple(levels), kind == "declared", missing, unit)
    known = missing in MISSING and unit in {None, *UNITS} and kind == _kind_of(encoding)
    if not known or (kind == "declared" and not levels) or (kind == "numbers" and levels) or (unit and levels):
        raise ValueError
    if tuple(levels) != sorted_levels(level_text(level) for level in levels if isinstance(level, str)):
        raise ValueError
    return encoding


def _columns_of(stored: list[str], encodings: dict[str, Encoding]) -> list[str]:
    """Return the columns of rows in the order in which theirs stand in a state."""
    owner = {name: column for column, encoding in encodings.items() for name in encoding.names(column)}
    masks = {observed_name(column): column for column, encoding in encodings.items() if encoding.missing == "pairwise"}
    found = list(dict.fromkeys(owner.get(name, name) for name in stored if name not in masks))
    place = {column: position for position, column in enumerate(found)}
    before: dict[int, list[str]] = {}  # columns without levels, of which there is nothing but the mask
    after = len(found)
    for column in reversed([masks[name] for name in stored if name in masks]):
        after = place.get(column, after)
        if column not in place:
            before.setdefault(after, []).append(column)
    ordered = [each for at in range(len(found) + 1) for each in (*before.get(at, [])[::-1], *found[at : at + 1])]
    return [*ordered, *sorted(encodings.keys() - set(ordered))]


def _read_ranges(
    names: list[str], drops: Any = None, lows: Iterable[Any] = (), highs: Iterable[Any] = ()
) -> tuple[dict[str, Any], str]:
    bounds = zip(names, lows, highs, strict=False)
    ranges = {name: (low, high) for name, low, high in bounds if (low, high) != (None, None)}
    return ranges, "drop" if drops else "error"


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


def _header(unpacker: msgpack.Unpacker) -> list[Any]:
    """Read what a header holds and nothing else: a list costs more memory than the byte that makes it."""

    def size(expected: Container[int]) -> int:
        found = int(unpacker.read_array_header())
        if found not in expected:
            raise ValueError
        return found

    length = size([3, 6, 8])
    names = [unpacker.unpack() for _ in range(size(range(MAX_COLUMNS + 1)))]
    digits = [unpacker.unpack() for _ in range(size([0, len(names)]))]
    header = [names, digits, unpacker.unpack()]
    if length > 3:
        few = [len(names)] if length == 6 else [0, len(names)]
        header += [unpacker.unpack(), *([unpacker.unpack() for _ in range(size(few))] for _ in range(2))]
    if length > 6:
        header.append(unpacker.unpack())
        if type(header[-1]) is not int or header[-1] < 0:
            raise ValueError
        header.append([_encoding(unpacker, size, len(names)) for _ in range(size(range(1, MAX_COLUMNS + 1)))])
    return header


def _encoding(unpacker: msgpack.Unpacker, size: Callable[[Container[int]], int], most: int) -> list[Any]:
    size([5])
    return [*(unpacker.unpack() for _ in range(4)), [unpacker.unpack() for _ in range(size(range(most + 1)))]]


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

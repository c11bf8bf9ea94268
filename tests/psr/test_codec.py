"""Bytes: pinned, canonical, bounded, and refused when anything about them is odd."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pickle
import struct
import threading
import tracemalloc
from pathlib import Path

import msgpack
import numpy as np
import pandas as pd
import pytest

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.psr._codec import MAGIC, VERSION

# Format 1 of `_golden()`: a change here is a new version of the format, and this one stays readable.
GOLDEN_DIGEST = "ab076563263749e8e8858f7054a477070d8782405cdd9231149ded138e25cfa1"
GOLDEN = bytes.fromhex(
    "53594d462d50535201000200010000000e0000009392a27830a2783190a46c617465020000000300a26e6fffff0200010001"
    "0002020200000200804004fe40c0100bfd040400a379657300000b0000000100010101050001000001000000000000000000"
    "000000000000000000000000000000000000000000000001"
)

# The same of `_golden_kinds()`: categories, dates, values that are missing.
GOLDEN_KINDS_DIGEST = "1d0d134af6b22416283f5f4393a68a825810f361d9001ee61277523a5cd5791a"
GOLDEN_KINDS = bytes.fromhex(
    "53594d462d50535201000a0001000200040007000800000003000900050006002a010000989aa3616765aa63617272696572"
    "3d4141ad636172726965723d6f74686572a3646179b86d697373696e67696e64696361746f725f63617272696572ad6f6273"
    "65727665642861676529ab6f62736572766564287829aa6f726967696e3d4a464baa6f726967696e3d4c4741a1789a01c0c0"
    "c0c0c0c0c0c0c0a46c617465c29ac0c0c0c0c0c0c0c0c0cb00000000000000009ac0c0c0c0c0c0c0c0c0c0019595a3616765"
    "a87061697277697365c0a76e756d626572739095a763617272696572a9696e64696361746f72c0a86465636c6172656492a2"
    "4141a56f7468657295a3646179a86c69737477697365a144a76e756d626572739095a66f726967696ea56572726f72c0a46f"
    "70656e92a34a464ba34c474195a178a87061697277697365c0a76e756d6265727390020000000100c2000002000000010001"
    "0101000001001400000101010000010090000014141400001400000000000000000000000000000000000001010100000100"
    "0101000001000100000100000000000000000100000100000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000100c3ffff03000100010002020200000200000000000000"
    "000000400f000202000102010103000000000000000000c00000000000000000000000000000000040000000000000400000"
    "00000000000000004000000040000040000010e1000f0f000f0f0f0003000000000000000000020200010201010302000102"
    "0101030000000000000101010000020101030100000103090000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000"
)


def _golden():
    return PSR.from_rows([[1.5, -2.0], [0.0, 2.0**40], [3.0, 0.25]], ["no", "yes", "no"], classes="late").select(
        ["x1", "x0", "late"]
    )


def _golden_kinds():
    rows = pd.DataFrame(
        {
            "carrier": ["UA", None, "é", "AA"],
            "origin": ["JFK", "LGA", "LGA", "7"],
            "age": [1.5, 2.0, None, 4.0],
            "day": pd.to_datetime(["1970-01-02"] * 3 + [None]),
            "x": [0.25, None, 3.0, 4.0],
            "late": [True, False, True, True],
        }
    )
    return PSR.from_rows(
        rows,
        classes="late",
        categories={"carrier": ["AA", "other"], "origin": None},
        missing={"age": "pairwise", "carrier": "indicator", "day": "listwise", "x": "pairwise"},
        units={"day": "D"},
        decimals={"age": 1},
        ranges={"x": (0, None)},
    )


def _bytes(
    columns=("a",), classes=None, cells=(), order=(), version=VERSION, magic=MAGIC, digits=(), header=None, ranges=()
):
    """Write what the docstring of the codec describes, whether or not it makes sense."""
    header = msgpack.packb([columns, digits, classes, *ranges]) if header is None else header
    out = [magic, struct.pack("<HH", version, len(order)), np.array(order, "<u2").tobytes()]
    out += [struct.pack("<I", len(header)), header, struct.pack("<I", len(cells))]
    for label, state in cells:
        packed = label if isinstance(label, bytes) else msgpack.packb(label)
        exponent, planes, *blocks = state if isinstance(state, tuple) else _planes(0, state)
        out += [struct.pack("<H", len(packed)), packed, struct.pack("<hH", exponent, len(planes))]
        for first, block in blocks or [_block(planes, 0, 3), _block(planes, 3, 3 + len(columns))]:
            out += [struct.pack("<HH", first, len(block)), *block]
        out += [plane[3 + len(columns) :] for plane in planes]
    return b"".join(out)


def _block(planes, start, stop):
    """Return which plane is the first that some entries need, and their part of it and those that follow."""
    parts, first = [plane[start:stop] for plane in planes], 0
    while parts and not any(parts[0]):
        parts, first = parts[1:], first + 1
    while len(parts) > 1 and all(high == 255 * (low > 127) for high, low in zip(parts[-1], parts[-2], strict=True)):
        parts = parts[:-1]
    return (first, parts) if parts else (0, [])


def _planes(exponent, integers):
    """Return an exponent and planes of bytes: the shortest two's complement of integers over 2**(8 * exponent)."""
    width = 1
    while any(not -(1 << (8 * width - 1)) <= value < 1 << (8 * width - 1) for value in integers):
        width += 1
    rows = [value.to_bytes(width, "little", signed=True) for value in integers]
    return exponent, [bytes(plane) for plane in zip(*rows, strict=True)]


_ONE = [1, 1, 1, 2, 4]  # one row of one column: rows, w2, w, sum, square


def test_the_format_is_pinned():
    """The bytes and the digest of a small PSR are those of the first release."""
    psr = _golden()
    assert psr.to_bytes() == GOLDEN
    assert psr.digest == GOLDEN_DIGEST
    assert PSR.from_bytes(GOLDEN) == psr
    assert PSR.from_bytes(GOLDEN).names == ("x1", "x0")


def test_the_format_of_categories_and_missing_values_is_pinned():
    """The bytes of statistics with all kinds of columns are read as those, and written again."""
    psr = _golden_kinds()
    assert psr.to_bytes() == GOLDEN_KINDS
    assert psr.digest == GOLDEN_KINDS_DIGEST
    again = PSR.from_bytes(GOLDEN_KINDS)
    assert again == psr
    assert again.schema == psr.schema
    assert (again.n_rows, again.n_incomplete) == (3, 1)
    assert again.schema.categories == {"carrier": ("AA", "other"), "origin": ("JFK", "LGA")}


def test_the_docstring_describes_the_format():
    """A writer that follows the description, and nothing else, writes the same bytes."""
    assert _bytes(("x0",), cells=[(None, _ONE)]) == PSR.from_rows([[2.0]]).to_bytes()
    assert _bytes(("x0", "x1"), cells=[(None, _B)]) == PSR.from_rows([[2.0, 3.0]]).to_bytes()
    cents = PSR.from_rows([[2.0, 0.03]], decimals={"x1": 2})
    assert _bytes(("x0", "x1"), cells=[(None, _B)], digits=(None, 2)) == cents.to_bytes()
    within = PSR.from_rows([[2.0, 3.0]], ranges={"x0": (0, 2.5), "x1": (None, 3)}, outside="drop")
    bounds = (True, (0.0, None), (2.5, 3.0))
    assert _bytes(("x0", "x1"), cells=[(None, _B)], ranges=bounds) == within.to_bytes()
    halves = [(None, _planes(-1, [256, 256, 256, 384, -640, 576, -960, 1600]))]
    assert (
        _bytes(("x0", "x1"), cells=halves, order=[1, 0]) == PSR.from_rows([[1.5, -2.5]]).select(["x1", "x0"]).to_bytes()
    )
    psr = PSR.from_bytes(_bytes(cells=[(None, _ONE)]))
    assert psr.moments().matrix.tolist() == [[1, 2], [2, 4]]
    assert psr.digest == hashlib.sha256(MAGIC + struct.pack("<H", VERSION) + psr.to_bytes()[12:]).hexdigest()


def _samples():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 12))
    return {
        "golden": _golden(),
        "kinds": _golden_kinds(),
        "empty": PSR.zero(Schema(["b", "a"])),
        "empty with classes": PSR.zero(Schema(["b", "a"], "late")),
        "no columns": PSR.zero(Schema([])),
        "normal": PSR.from_rows(x),
        "extreme": PSR.from_rows(np.ldexp(x, rng.integers(-1070, 1020, x.shape))),
        "extremes of everything": PSR.from_rows(
            [[1.7976931348623157e308, 5e-324]] * 2, sample_weight=[1.7976931348623157e308, 5e-324]
        ),
        "many rows": PSR.from_rows([[1e308]], sample_weight=[2**62]),
        "ranges": PSR.from_rows(x, ranges={"x3": (-9, None), "x10": (-9.5, 1e300)}, decimals=None),
        "bool": PSR.from_rows(x, rng.integers(0, 2, 50) > 0, classes=True),
        "int": PSR.from_rows(x, rng.integers(-(2**63), 2**63 - 1, 50), classes=True),
        "str": PSR.from_rows(x[:4], ["", "é", "x" * 4096, "z\0"], classes="Überschrift"),
    }


@pytest.mark.parametrize("name", _samples())
def test_bytes_come_back_as_they_went(name):
    """Reading and writing again gives the same bytes, the order of columns included."""
    psr = _samples()[name]
    data = psr.to_bytes()
    again = PSR.from_bytes(data)
    assert (again, again.to_bytes(), again.names, again.labels) == (psr, data, psr.names, psr.labels)
    assert hash(again) == hash(psr)
    assert PSR.from_bytes(bytearray(data)) == PSR.from_bytes(memoryview(data)) == pickle.loads(pickle.dumps(psr)) == psr
    assert pickle.loads(pickle.dumps(psr)).names == psr.names
    columns = psr.schema.columns
    every = [*reversed(columns), *([psr.schema.classes] if psr.schema.classes else [])]
    turned = psr.select(every)
    assert (turned, turned.digest) == (psr, psr.digest)
    assert turned.select([*columns, *every[len(columns) :]]).to_bytes() == data


def test_equal_states_have_equal_bytes_however_they_came_about():
    """Sums, differences and rows in one go write the same bytes."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.integers(0, 3, 30)
    one = PSR.from_rows(x, y, classes=True)
    parts = [PSR.from_rows(x[i::3], y[i::3], classes=True) for i in range(3)]
    more = PSR.from_rows(x * 1e200, y + 5, classes=True)
    assert sum(parts).to_bytes() == one.to_bytes() == (more + one - more).to_bytes()


def test_bytes_that_end_early_are_refused():
    """Every proper prefix is refused by a sentence."""
    for size in range(len(GOLDEN)):
        with pytest.raises(FormatError, match=r"^Got .*\.$"):
            PSR.from_bytes(GOLDEN[:size])


def _flips():
    small = PSR.from_rows([[1.5], [0.1]], [True, False], classes=True)
    return {"golden": GOLDEN, "small": small.to_bytes(), "plain": PSR.from_rows([[3.0, 0.1]]).to_bytes()}


@pytest.mark.parametrize("name", _flips())
def test_no_changed_byte_goes_unnoticed(name):
    """A byte that is changed, by a bit or at all, gives an error or another state in its own canonical bytes."""
    data = _flips()[name]
    digest, refused = PSR.from_bytes(data).digest, 0
    for position in range(len(data)):
        for change in [1 << bit for bit in range(8)] + [0xFF, 0x55]:
            changed = bytearray(data)
            changed[position] ^= change
            try:
                psr = PSR.from_bytes(bytes(changed))
            except FormatError:
                refused += 1
                continue
            assert psr.to_bytes() == changed
            assert psr.digest != digest or psr.names != PSR.from_bytes(data).names
    assert refused > 5 * len(data)


def test_noise_is_refused():
    """Random bytes, and valid ones with random stretches in them, raise nothing but FormatError."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(GOLDEN)
        start = int(rng.integers(0, len(data)))
        data[start : start + int(rng.integers(1, 9))] = rng.bytes(int(rng.integers(0, 12)))
        with contextlib.suppress(FormatError):
            assert PSR.from_bytes(bytes(data)).to_bytes() == data
    for size in range(200):
        with pytest.raises(FormatError):
            PSR.from_bytes(MAGIC + b"\1\0" + rng.bytes(size))


_TWO = ("a", "b")
_B = [1, 1, 1, 2, 3, 4, 6, 9]
_SMALL = [1, 1, 1, 0, 0]
_PLANES = _planes(-1, [256, 256, 256, 384, 576])  # one row of 1.5
_COUNTS, _SUM = (1, [b"\1\1\1"]), (0, [b"\x80", b"\1"])

ODD = {
    "nothing": (b"", "ends within its magic"),
    "another magic": (_bytes(magic=b"SYMF-PSQ"), "not a PSR"),
    "a newer version": (
        _bytes(version=2),
        "format 2, but this release of sklearn-symfed reads format 1. Install a newer",
    ),
    "version zero": (_bytes(version=0), "format 0, but this release of sklearn-symfed reads format 1."),
    "bytes after the end": (_bytes(cells=[(None, _ONE)]) + b"\0", "followed by 1 bytes"),
    "another kind of column": (_bytes(header=msgpack.packb([[["a", "categorical"]], [], None])), "damaged header"),
    "decimals of no column": (_bytes(digits=(None,)), "header"),
    "decimals of a column too few": (_bytes(_TWO, digits=(2,)), "header"),
    "decimals that are no digits": (_bytes(_TWO, digits=(2, True)), "header"),
    "too many decimals": (_bytes(_TWO, digits=(None, 99)), "header"),
    "ranges of no column": (_bytes(ranges=(False, (None,), (None,))), "header"),
    "ranges of a column too few": (_bytes(_TWO, ranges=(False, (0.0,), (1.0,))), "header"),
    "lower bounds alone": (_bytes(ranges=(False, (0.0,))), "header"),
    "a bound that is an integer": (_bytes(ranges=(False, (0,), (1.0,))), "header"),
    "a bound that is text": (_bytes(ranges=(False, ("0",), (1.0,))), "header"),
    "a bound that is NaN": (_bytes(ranges=(False, (float("nan"),), (1.0,))), "header"),
    "a bound that is infinite": (_bytes(ranges=(False, (0.0,), (float("inf"),))), "header"),
    "a bound of negative zero": (_bytes(ranges=(False, (-0.0,), (1.0,))), "header"),
    "bounds the wrong way round": (_bytes(ranges=(False, (1.0,), (0.0,))), "header"),
    "a bound that is no such decimal": (_bytes(digits=(0,), ranges=(False, (0.5,), (1.0,))), "header"),
    "a word for what is outside": (_bytes(ranges=("drop", (0.0,), (1.0,))), "header"),
    "unsorted names": (_bytes(_TWO[::-1], cells=[(None, _B)]), "header"),
    "a name twice": (_bytes(("a", "a")), "header"),
    "a name that is no string": (_bytes((1,)), "header"),
    "a decomposed name": (_bytes(("e\u0301",)), "header"),
    "an empty name": (_bytes(("",)), "header"),
    "a class column called as a column": (_bytes(classes="a"), "header"),
    "a class column that is no string": (_bytes(classes=1), "header"),
    "a decomposed class column": (_bytes(classes="e\u0301"), "header"),
    "an order of columns that are sorted": (_bytes(_TWO, order=[0, 1]), "header"),
    "an order that repeats": (_bytes(_TWO, order=[0, 0]), "header"),
    "an order out of range": (_bytes(_TWO, order=[0, 2]), "header"),
    "an order of another length": (_bytes(_TWO, order=[0]), "header"),
    "a header in a longer encoding": (
        _bytes(header=b"\xdc\0\3" + msgpack.packb(["a"]) + msgpack.packb([]) + msgpack.packb(None)),
        "damaged header",
    ),
    "a header of maps": (_bytes(header=msgpack.packb({})), "header"),
    "a header of a number": (_bytes(header=msgpack.packb(5)), "header"),
    "a header of two": (_bytes(header=msgpack.packb([["a"], None])), "header"),
    "a header of four": (_bytes(header=msgpack.packb([["a"], [], None, 1])), "header"),
    "a header of bytes": (_bytes(header=msgpack.packb([[b"a"], [], None])), "header"),
    "a deep header": (_bytes(header=b"\x91" * 1000 + b"\xc0", columns=["a"] * 20), "header"),
    "a header with lone surrogates": (_bytes(header=b"\x93\x91\xa3\xed\xa0\x80\x90\xc0"), "damaged header"),
    "no planes": (_bytes(cells=[(None, (0, []))]), "canonical"),
    "a plane of zeros": (_bytes(cells=[(None, (0, [bytes(5)]))]), "canonical"),
    "a plane of zeros below": (_bytes(cells=[(None, (-1, [bytes(5), *_planes(0, _ONE)[1]]))]), "canonical"),
    "a plane of signs too many": (_bytes(cells=[(None, (0, [*_planes(0, _ONE)[1], bytes(5)]))]), "canonical"),
    "a plane of negative signs too many": (
        _bytes(cells=[(None, (0, [bytes([1, 1, 1, 254, 4]), bytes([0, 0, 0, 255, 0])]))]),
        "canonical",
    ),
    "a plane of zeros below the counts": (
        _bytes(cells=[(None, (*_PLANES, (0, [b"\0\0\0", b"\1\1\1"]), _SUM))]),
        "canon",
    ),
    "planes that the counts do not need": (
        _bytes(cells=[(None, (*_PLANES, (1, [b"\1\1\1", b"\0\0\0"]), _SUM))]),
        "canonical",
    ),
    "planes of sums beyond the frame": (_bytes(cells=[(None, (*_PLANES, _COUNTS, (2, [b"\2", b"\1"])))]), "canonical"),
    "a first plane of no sums": (_bytes(cells=[(None, (*_PLANES, _COUNTS, (1, [])))]), "canonical"),
    "a first plane beyond the frame": (_bytes(cells=[(None, (*_PLANES, _COUNTS, (4, [])))]), "first plane 4"),
    "more planes of sums than the frame has": (
        _bytes(cells=[(None, (*_PLANES, _COUNTS, (0, [b"\1"] * 4)))]),
        "number of planes 4",
    ),
    "planes beyond the grid": (_bytes(cells=[(None, _planes(512, [1, 1, 1, 2, 2**35]))]), "canonical"),
    "planes that begin beyond the grid": (_bytes(cells=[(None, _planes(513, _ONE))]), "exponent 513"),
    "planes below the grid": (_bytes(cells=[(None, _planes(-513, _ONE))]), "canonical"),
    "too many planes": (_bytes(cells=[(None, (-512, [bytes([1] * 5)] * 1029))]), "width 1029"),
    "a label without class column": (_bytes(cells=[("x", _ONE)]), "label of type str"),
    "no label": (_bytes(classes="late", cells=[(None, _ONE)]), "label of type NoneType"),
    "a float label": (_bytes(classes="late", cells=[(1.0, _ONE)]), "label of type float"),
    "a list as label": (_bytes(classes="late", cells=[([1], _ONE)]), "damaged header or label"),
    "a bytes label": (_bytes(classes="late", cells=[(b"\xc4\1a", _ONE)]), "damaged"),
    "a decomposed label": (_bytes(classes="late", cells=[("e\u0301", _ONE)]), "label of type str"),
    "a label beyond int64": (_bytes(classes="late", cells=[(2**63, _ONE)]), "label of type int"),
    "a label of 5000 bytes": (_bytes(classes="late", cells=[("a" * 5000, _ONE)]), "label length 5003"),
    "a label of 4097 bytes": (_bytes(classes="late", cells=[("a" * 4096 + "é", _ONE)]), "label"),
    "a label in a longer encoding": (_bytes(classes="late", cells=[(b"\xcc\x01", _ONE)]), "damaged"),
    "labels that descend": (_bytes(classes="late", cells=[("b", _ONE), ("a", _ONE)]), "ascending"),
    "a label twice": (_bytes(classes="late", cells=[("a", _ONE), ("a", _ONE)]), "ascending"),
    "no class twice": (_bytes(cells=[(None, _ONE), (None, _ONE)]), "ascending"),
    "True beside 1": (_bytes(classes="late", cells=[(True, _ONE), (1, _ONE)]), "one kind"),
    "False beside 1": (_bytes(classes="late", cells=[(False, _ONE), (1, _ONE)]), "one kind"),
    "int beside str": (_bytes(classes="late", cells=[(1, _ONE), ("a", _ONE)]), "one kind"),
    "negative rows": (_bytes(cells=[(None, [-1, -1, -1, -2, -4])]), "a negative number of rows"),
    "half a row": (_bytes(cells=[(None, _planes(-1, [384, 256, 256, 256, 256]))]), "a fraction of a row"),
    "sums without rows": (_bytes(cells=[(None, [0, 1, 1, 2, 4])]), "sums without rows"),
    "squares without rows": (_bytes(cells=[(None, [0, 0, 0, 0, 4])]), "sums without rows"),
    "rows without weights": (_bytes(cells=[(None, [1, 0, 0, 0, 0])]), "sum of weights"),
    "negative weights": (_bytes(cells=[(None, [1, 1, -1, 0, 0])]), "sum of weights"),
    "more squared weight than weight": (_bytes(cells=[(None, [2, 5, 2, 0, 0])]), "sum of weights"),
    "more weight than rows have": (_bytes(cells=[(None, [2, 2, 3, 0, 0])]), "sum of weights"),
    "a negative diagonal": (_bytes(cells=[(None, [1, 1, 1, 0, -4])]), "negative sum of squares"),
    "a sum beyond its squares": (_bytes(cells=[(None, [1, 1, 1, 3, 4])]), "larger than its squares allow"),
    "a bad class among good ones": (
        _bytes(classes="late", cells=[("a", _ONE), ("b", [1, 1, 1, 0, -4])]),
        "negative sum of squares",
    ),
}


@pytest.mark.parametrize(("data", "message"), ODD.values(), ids=ODD)
def test_odd_bytes_are_refused(data, message):
    """Each way to be not canonical or not possible is an error that says so."""
    with pytest.raises(FormatError) as caught:
        PSR.from_bytes(data)
    assert message in str(caught.value)


def test_the_odd_bytes_are_odd_for_their_own_reason():
    """Without its fault, each family of the table is read."""
    for data in (
        _bytes(),
        _bytes(cells=[(None, _ONE)]),
        _bytes(_TWO, cells=[(None, _B)]),
        _bytes(_TWO, cells=[(None, _B)], order=[1, 0]),
        _bytes(cells=[(None, _SMALL)]),
        _bytes(cells=[(None, (*_PLANES, _COUNTS, _SUM))]),
        _bytes(_TWO, cells=[(None, _B)], digits=(None, 2)),
        _bytes(classes="late", cells=[("a", _ONE), ("b", _ONE)]),
        _bytes(classes="late", cells=[(False, _ONE), (True, _ONE)]),
        _bytes(classes="late", cells=[(-5, _ONE), (2**63 - 1, _ONE)]),
        _bytes(cells=[(None, [1, 1, 1, 2, 4 << 2000])]),
        _bytes(cells=[(None, _planes(-512, [1 << 4096] * 3 + [5, 1]))]),
    ):
        assert PSR.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        MAGIC + struct.pack("<HH", 1, 65_535),
        MAGIC + struct.pack("<HHI", 1, 0, 2**32 - 1),
        MAGIC + struct.pack("<HHI", 1, 0, 6) + b"\x93\xdd\xff\xff\xff\xff",
        MAGIC + struct.pack("<HHI", 1, 0, 6) + b"\x93\xdd\x00\x00\xff\xff",
        MAGIC + struct.pack("<HHI", 1, 0, 7) + b"\x93\x91\xdb\xff\xff\xff\xff",
        MAGIC + struct.pack("<HHI", 1, 0, 2**17 + 4) + b"\x93\xdc\xff\xff" + b"\xc0" * 2**17,
        _bytes()[:-4] + struct.pack("<I", 2**32 - 1),
        _bytes()[:-4] + struct.pack("<I", 100_000),
        _bytes(classes="late")[:-4] + struct.pack("<IH", 1, 65_535),
        _bytes()[:-4] + struct.pack("<IH", 1, 1) + b"\xc0" + struct.pack("<hH", 0, 65_535),
        _bytes()[:-4] + struct.pack("<IH", 1, 1) + b"\xc0" + struct.pack("<hH", 0, 1028) + bytes(514),
    ],
)
def test_declared_sizes_are_not_believed(data):
    """A count beyond the bytes that follow costs no memory."""
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            PSR.from_bytes(data)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_many_columns_without_rows_cost_no_square():
    """The header of a wide PSR that holds nothing is read in memory of its own size."""
    names = [f"c{i:05d}" for i in range(30_000)]
    data = _bytes(names, order=list(range(30_000))[::-1])
    tracemalloc.start()
    try:
        psr = PSR.from_bytes(data)
        assert psr.to_bytes() == data
        assert psr == PSR.zero(Schema(names))
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", ["text", 5, None, [1, 2]])
def test_what_is_no_bytes_is_no_psr(data):
    """Anything but bytes is the caller's mistake; a number does not allocate."""
    with pytest.raises(TypeError):
        PSR.from_bytes(data)


def test_files(tmp_path):
    """A PSR is saved under the name given, over an older one, and nothing else stays behind."""
    path = tmp_path / "état.psr"
    for psr in _samples().values():
        psr.save(path)
        assert PSR.load(str(path)) == psr
        path.write_bytes(psr.to_bytes())
        assert PSR.load(path) == psr
    assert list(tmp_path.iterdir()) == [path]


def test_no_flipped_bit_and_no_shortened_file_is_loaded(tmp_path):
    """Whatever bit of a saved file is another one, and however much of it is missing, it is refused."""
    path = tmp_path / "state.psr"
    _golden().save(path)
    saved = path.read_bytes()
    flipped = (saved[:at] + bytes([saved[at] ^ 1 << at % 8]) + saved[at + 1 :] for at in range(len(saved)))
    for damaged in [*flipped, *(saved[:length] for length in range(0, len(saved), 7)), saved + b"\0"]:
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            PSR.load(path)
    path.write_bytes(saved[:-1])
    with pytest.raises(FormatError, match="damaged or cut short"):
        PSR.load(path)


def test_threads_save_to_one_name(tmp_path):
    """Threads that save to one name leave one whole file, and no other."""
    path, states = tmp_path / "state.psr", list(_samples().values())
    failures = []

    def save(psr):
        try:
            for _ in range(10):
                psr.save(path)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=save, args=(psr,)) for psr in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert PSR.load(path) in states
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call, tmp_path, monkeypatch):
    """When writing fails half-way, the file is the old one, and no other is left."""
    path = tmp_path / "state.psr"
    _golden().save(path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left"):
        PSR.from_rows([[1.0]]).save(path)
    monkeypatch.undo()
    assert PSR.load(path) == _golden()
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_the_callers(tmp_path):
    """Saving into no folder, and loading no file, are the errors of the file system, and name the file."""
    with pytest.raises(FileNotFoundError, match=r"none/state\.psr'$"):
        _golden().save(tmp_path / "none" / "state.psr")
    with pytest.raises(FileNotFoundError, match=r"none\.psr'$"):
        PSR.load(tmp_path / "none.psr")


def test_a_foreign_file_is_refused(tmp_path):
    """A file that is no PSR is a FormatError."""
    path = tmp_path / "state.psr"
    path.write_bytes(pickle.dumps(_golden()))
    with pytest.raises(FormatError, match="magic"):
        PSR.load(path)

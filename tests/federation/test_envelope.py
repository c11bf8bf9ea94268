"""A message survives the wire whole, and whatever else arrives is refused before it costs anything."""

from __future__ import annotations

import dataclasses
import hashlib
import zlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation import _envelope as envelope
from sklearn_symfed.federation._envelope import Mark, Pulse, decode, encode, pack_view, unpack_view

DIGEST = "ab" * 32
PULSE = Pulse(
    federation="flights",
    founder="jfk",
    sender="ewr",
    to="Zürich",
    incarnation=3,
    seq=17,
    version=2,
    digest=DIGEST,
    previous="cd" * 32,
    ask=True,
    view={"jfk": Mark(1, 4, "ef" * 32), "lga": Mark(1, 0, "")},
    psr=b"statistics" * 100,
)
HELLO = Pulse("", "", "new", None, 1, 1, 0, "", "", True, {})


def sealed(body, protocol=envelope.PROTOCOL, magic=b"symfed"):
    return envelope._HEADER.pack(magic, protocol, hashlib.sha256(body).digest()) + body


def fields():
    return msgpack.unpackb(encode(PULSE)[envelope._HEADER.size :])


names = st.sampled_from(["a", "b", "Zürich", "../x", "名前", "x" * 80, "a b"])
counters = st.integers(1, envelope.MAX_COUNTER)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
marks = st.builds(Mark, counters, counters, digests) | st.builds(Mark, counters, st.just(0), st.just(""))


@given(
    pulse=st.builds(
        Pulse, names, names, names, st.none() | names, counters, counters, counters, digests, digests | st.just(""),
        st.booleans(), st.dictionaries(names, marks, max_size=5), st.none() | st.binary(),
    )
)  # fmt: skip
def test_round_trip(pulse):
    """Any message comes out of its bytes as it went in."""
    pulse = dataclasses.replace(pulse, view={name: mark for name, mark in pulse.view.items() if name != pulse.sender})
    assert decode(encode(pulse)) == pulse
    assert unpack_view(pack_view(pulse.whole_view)) == pulse.whole_view


def test_hello_round_trip():
    """A hello, which knows no federation yet, is a message."""
    assert decode(encode(HELLO)) == HELLO


def test_payload_is_not_in_the_repr():
    """A message shown in a log or traceback does not show statistics."""
    assert "statistics" not in repr(PULSE)


@pytest.mark.parametrize("protocol", [0, 2, 65535])
def test_other_protocols_are_named(protocol):
    """A message of another protocol version is refused with both versions named, whatever its body is."""
    with pytest.raises(FormatError, match=f"protocol {protocol}, but this release reads protocol 1") as caught:
        decode(sealed(b"\xff", protocol))
    assert ("install a newer" in str(caught.value)) == (protocol > 1)


def test_every_truncation_is_refused():
    """No part of a message is a message."""
    data = encode(PULSE)
    for size in range(len(data)):
        with pytest.raises(FormatError):
            decode(data[:size])
    with pytest.raises(FormatError):
        decode(data + b"\0")


def test_every_changed_byte_is_refused():
    """A message of which one byte was changed on the way is refused."""
    data = bytearray(encode(PULSE))
    for position in range(len(data)):
        data[position] ^= 1
        with pytest.raises(FormatError):
            decode(bytes(data))
        data[position] ^= 1


def test_every_field_is_covered():
    """The table of mutations below has each field of the format."""
    assert {key for key, _ in MUTATIONS} == set(envelope._FIELDS)
    assert len(envelope._FIELDS) == len(dataclasses.fields(Pulse)) + 1


BAD_NAMES = ("", " x", "a\n", "x" * 81, "e\u0301", 5, None, b"x", True)
BAD_COUNTERS = (-1, 2**53, 2**63, 1.0, "1", None, True, [1])
BAD_DIGESTS = (b"x", b"x" * 31, b"x" * 33, "ab" * 32, None, 0)
MUTATIONS = [
    ("type", "roster"), ("type", None), ("type", b"pulse"),
    *(("federation", value) for value in BAD_NAMES),
    *(("founder", value) for value in BAD_NAMES),
    *(("sender", value) for value in BAD_NAMES), ("sender", "jfk"),
    *(("to", value) for value in BAD_NAMES if value is not None),
    *(("incarnation", value) for value in (0, *BAD_COUNTERS)),
    *(("seq", value) for value in (0, *BAD_COUNTERS)),
    *(("version", value) for value in (0, *BAD_COUNTERS)),
    *(("digest", value) for value in (b"", *BAD_DIGESTS)),
    *(("previous", value) for value in BAD_DIGESTS),
    *(("ask", value) for value in (0, 1, None, "yes")),
    *(("view", value) for value in (None, [], "x", {"": [1, 1, b"x" * 32]}, {"a": [1, 1]}, {"a": [1, 0, b"x" * 32]})),
    *(("view", {"a": mark}) for mark in ([0, 1, b"x" * 32], [1, 1, b""], [1, True, b"x" * 32], [1] * 4, None)),
    *(("psr", value) for value in (b"x", 1, [], [1], [1, "x"], [-1, b""], [9**5, b"x"], [2**40, b"x"], [3, b"xyz"])),
    ("psr", [2, zlib.compress(b"xyz")]), ("psr", [4, zlib.compress(b"xyz")]),
    ("psr", [3, zlib.compress(b"xyz") + b"!"]),
    ("psr", [3, zlib.compress(b"xyz")[:-1]]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), MUTATIONS)
def test_mutated_fields_are_refused(key, value):
    """A field of another type, or out of its range, is refused although the message's SHA-256 is right."""
    with pytest.raises(FormatError):
        decode(sealed(msgpack.packb({**fields(), key: value})))


@pytest.mark.parametrize("key", sorted(envelope._FIELDS))
def test_missing_fields_are_refused(key):
    """A message without one of its fields is refused, and so is one with a field more or twice."""
    short = {name: value for name, value in fields().items() if name != key}
    with pytest.raises(FormatError, match="fields"):
        decode(sealed(msgpack.packb(short)))
    with pytest.raises(FormatError):
        decode(sealed(msgpack.packb({**fields(), f"{key}2": 1})))
    twice = bytearray(msgpack.packb({**fields(), "x": 1}))
    twice = twice.replace(msgpack.packb("x") + b"\x01", msgpack.packb(key) + msgpack.packb(fields()[key]))
    with pytest.raises(FormatError):
        decode(sealed(bytes(twice)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        msgpack.packb([1, 2]),
        msgpack.packb(None),
        msgpack.packb({1: 2}),
        msgpack.packb({"view": {"a" * 200: 1}}),
    ],
)
def test_hostile_msgpack_is_refused(body):
    """Lengths that are not there, depth without end and other types cost nothing and are refused."""
    with pytest.raises(FormatError):
        decode(sealed(body))


def test_foreign_bytes_are_refused():
    """Bytes of another program are refused."""
    with pytest.raises(FormatError, match="not a message"):
        decode(sealed(b"x", magic=b"PK\3\4xx"))
    with pytest.raises(FormatError):
        decode(b"\x80\x04\x95" + b"pickle" * 20)


def test_decompression_bomb_is_bounded():
    """Statistics that expand to more than they say are refused after that many bytes."""
    bomb = zlib.compress(b"\0" * 50_000_000)
    with pytest.raises(FormatError, match="do not expand to the 1000 bytes"):
        decode(sealed(msgpack.packb({**fields(), "psr": [1000, bomb]})))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_cleanly(data):
    """Any bytes, even with a right header, give a message or a FormatError."""
    for candidate in (data, sealed(data)):
        with pytest.raises(FormatError):
            decode(candidate)


@pytest.mark.parametrize("change", [{"version": 1}, {"view": {"a": Mark(1, 0, "")}}, {"to": "x"}, {"ask": False}])
def test_hello_says_nothing_else(change):
    """A message without a federation that is more than a hello is refused."""
    with pytest.raises(FormatError):
        decode(encode(dataclasses.replace(HELLO, digest=DIGEST if "version" in change else "", **change)))

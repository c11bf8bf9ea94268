"""Messages have one form, say who they are from, and cannot make a reader hold more than their bytes."""

from __future__ import annotations

import contextlib
import tracemalloc
import zlib

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation._envelope import HEADER, open_envelope
from sklearn_symfed.federation._fields import MAX_COUNTER, MAX_MEMBERS
from sklearn_symfed.federation._messages import (
    MESSAGES,
    Leave,
    Packed,
    Pulse,
    Refusal,
    Request,
    RosterNews,
    Welcome,
    pack_message,
    read_message,
    type_of,
)
from sklearn_symfed.testing import Simulation

EXAMPLES = [
    Pulse(1, {"a": b"claim", "b": b""}, (Packed("a", 3, b"xyz"),)),
    Pulse(0, {}, ()),
    Leave(None),
    Leave(b"claim"),
    RosterNews((b"link", b"link"), None),
    RosterNews((), bytes(32)),
    Request(bytes(16), bytes(32), bytes(32), bytes(range(32)), None),
    Request(bytes(16), bytes(32), bytes(32), bytes(range(32)), b"schema"),
    Welcome(bytes(16), (b"link",), bytes(32), {"a": b"claim"}),
    Refusal(bytes(16), "why"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=type_of)
def test_messages_come_back(message):
    """What is packed is read back as it was; anything cut off, added or of another type is not."""
    data = pack_message(message)
    assert read_message(type_of(message), data) == message
    for bad in (data[:-1], data + b"\0", b""):
        with pytest.raises(FormatError):
            read_message(type_of(message), bad)
    for other in MESSAGES:
        if other != type_of(message):
            with pytest.raises(FormatError):
                read_message(other, data)


def test_a_view_may_name_all_members_and_as_many_who_left():
    """Rows that stay are in every view: a full federation that many have left is not cut off by that."""
    view = {f"m{number}": b"claim" for number in range(2 * MAX_MEMBERS)}
    for message in (Pulse(0, view, ()), Welcome(bytes(16), (b"link",), bytes(32), view)):
        assert read_message(type_of(message), pack_message(message)) == message


def test_every_type_has_an_example():
    """The list of types is the list of classes above; a new one wants its example, and a line in the docs."""
    assert {type_of(message) for message in EXAMPLES} == set(MESSAGES)
    assert sum(len(layout) for _, layout in MESSAGES.values()) == 18
    assert len(HEADER) == 11


BIG = 2**30


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("pulse", [MAX_COUNTER + 1, {}, []]),
        ("pulse", [-1, {}, []]),
        ("pulse", [True, {}, []]),
        ("pulse", [0, [], []]),
        ("pulse", [0, {"a": "text"}, []]),
        ("pulse", [0, {"": b""}, []]),
        ("pulse", [0, {1: b""}, []]),
        ("pulse", [0, {"a": [1]}, []]),
        ("pulse", [0, {"a": {"b": {}}}, []]),
        ("pulse", [0, {str(number): b"" for number in range(2 * MAX_MEMBERS + 1)}, []]),
        ("pulse", [0, {}, [["a", 1, b"x"]] * (MAX_MEMBERS + 1)]),
        ("pulse", [0, {}, [["a\0", 1, b"x"]]]),
        ("pulse", [0, {}, [["a", 1]]]),
        ("roster", [[[b"link"]], []]),
        ("roster", [[], [bytes(31)]]),
        ("roster", [[], [bytes(32), bytes(32)]]),
        ("refusal", [bytes(16), "x" * 5000]),
        ("refusal", [bytes(17), "x"]),
        ("leave", [msgpack.Timestamp(1)]),
    ],
)
def test_fields_out_of_bounds_are_refused(kind, values):
    """A field of another type or beyond its bound is a FormatError that names the field and holds no value."""
    with pytest.raises(FormatError, match=r"^Got "):
        read_message(kind, msgpack.packb(values))


@pytest.mark.parametrize(
    "packed",
    [
        Packed("a", BIG, zlib.compress(bytes(2**24), 9)),
        Packed("a", BIG + 1, bytes(2**21)),
        Packed("a", 10, zlib.compress(bytes(2**24), 9)),
        Packed("a", 2**24 + 1, zlib.compress(bytes(2**24), 9)),
        Packed("a", 10, b"no zlib stream"),
        Packed("a", 5, zlib.compress(b"12345") + b"more"),
        Packed("a", 0, b""),
    ],
)
def test_bombs_are_not_expanded(packed):
    """Statistics that say another size than they have are refused, and never held beyond what they say."""
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"more than is accepted|do not expand|cannot expand"):
        packed.expand()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff",  # a list of four billion
        b"\x93\x00\xdf\xff\xff\xff\xff",  # a map of as many
        b"\x93\x00\x80\xdd\xff\xff\xff\xff",
        b"\x92\xc6\xff\xff\xff\xff",  # bytes
        b"\x91" * 2000,
    ],
)
@pytest.mark.parametrize("kind", MESSAGES)
def test_lengths_that_lie_allocate_nothing(kind, data):
    """A length of billions in a few bytes is refused at once."""
    tracemalloc.start()
    with pytest.raises(FormatError):
        read_message(kind, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


@settings(max_examples=200)
@given(data=st.binary(max_size=300), kind=st.sampled_from(sorted(MESSAGES)))
def test_any_bytes_are_read_or_refused(data, kind):
    """Whatever arrives, a reader returns a message or raises a FormatError."""
    for read in (open_envelope, lambda data: read_message(kind, data)):
        with contextlib.suppress(FormatError):
            read(data)


@pytest.fixture(scope="module")
def message():
    net = Simulation("a")
    net.admit("b")
    net.nodes["a"].peers.ask_all()
    return net.pulse("a")[0].data


def test_a_newer_protocol_says_which_release_reads_it(message):
    """The release that brought a protocol travels with it."""
    with pytest.raises(
        FormatError, match=r"protocol 2, but this release reads protocol 1; install sklearn-symfed 1\.2\.3"
    ):
        open_envelope(message[:6] + b"\0\2\1\2\3" + message[11:])
    with pytest.raises(FormatError, match="older release"):
        open_envelope(message[:6] + b"\0\0" + message[8:])


def test_secrets_stand_in_no_repr(message):
    """Keys, tokens and payloads are left out of what is printed."""
    secret = bytes(range(64, 96))
    values = [
        RosterNews((), secret),
        Welcome(bytes(16), (), secret, {}),
        Request(bytes(16), secret, bytes(32), bytes(32), None),
        Packed("a", 32, secret),
        open_envelope(message),
    ]
    for value in values:
        assert repr(secret)[2:-1] not in repr(value)
        assert len(repr(value)) < 1000

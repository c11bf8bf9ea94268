"""Messages of which anything was altered, by whomever: one refusal each that changes nothing, in bounded memory.

The mutations are generated from the codec's layouts (`mutations.py`).  Most have to be refused; the few that a member
is free to make, as it speaks for itself, stand in a table with the reason.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib.util
import logging
import sys
import tracemalloc
import uuid
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgpack
import pytest

from sklearn_symfed.federation import Federation, Store, _envelope
from sklearn_symfed.federation._claims import Mark, signed_claim
from sklearn_symfed.federation._events import (
    Admitted,
    Applied,
    Early,
    Heard,
    Refused,
    RosterChanged,
    Stale,
    TurnedDown,
    Welcomed,
)
from sklearn_symfed.federation._messages import MESSAGES, Packed, Pulse, pack_message
from sklearn_symfed.federation.transports import MemoryTransport
from sklearn_symfed.psr import PSR, Schema


def module(name):
    """Import a file beside this one."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


Scene = module("scenes").Scene
mutations = module("mutations")
READ_AT_ONCE = 2**19 if msgpack.version >= (1, 1) else 5 << 18  # bytes: older ones set 1 MiB up for whatever they read
CASES = list(mutations.cases())


class Free(NamedTuple):
    """A mutation that is taken, what comes of it, and why that is as it should be."""

    pattern: str
    event: type
    why: str


_SELF = "what a header says of its sender's own state is for whoever looks at traffic; claims count"
_COUNT = "a sender counts its messages as it likes, and is heard no more if it counts back"
_ONE = "what is sealed to one is under no epoch; the header says which roster the sender has, and it may lack some"
_FLOOR = "a floor that cannot be read or is not authentic is none; everything else of the welcome is proved by itself"

FREE = [
    Free(f"{kind}-sender-header.{field}-changed", event, why)
    for field, why in (("incarnation", _SELF), ("version", _SELF), ("seq", _COUNT))
    for kind, event in (
        ("pulse", Applied),
        ("leave", RosterChanged),
        ("roster", RosterChanged),
        ("request", Admitted),
        ("welcome", Welcomed),
        ("refusal", TurnedDown),
    )
]
FREE += [
    Free(f"{kind}-sender-header.{field}-changed", event, _ONE)
    for field in ("epoch", "roster", "head")
    for kind, event in (
        ("roster", RosterChanged),
        ("request", Admitted),
        ("welcome", Welcomed),
        ("refusal", TurnedDown),
    )
]
FREE += [
    Free("pulse-sender-header.roster-changed", Early, "under a roster that is not here yet: it will be said again"),
    Free("leave-sender-header.roster-changed", Early, "under a roster that is not here yet: it will be said again"),
    Free("pulse-sender-header.hint-changed", Applied, "what is sealed for all needs no hint"),
    Free("leave-sender-header.hint-changed", RosterChanged, "what is sealed for all needs no hint"),
    Free("pulse-sender-ask-changed", Applied, "a member may ask for more"),
    Free("pulse-sender-psrs.member-changed", Heard, "statistics of nobody in the view are left aside"),
    Free("request-sender-seal-changed", Admitted, "a joiner chooses its keys, and has signed this one"),
    Free("welcome-sender-links.admit.admin-changed", Welcomed, "an admin may make somebody an admin"),
    Free("welcome-sender-links.admit.invite-changed", Welcomed, "an admin may number its invites"),
    Free("welcome-sender-floors-changed", Welcomed, _FLOOR),
    Free("welcome-sender-floors.claim.*-[cmrt]*", Welcomed, _FLOOR),
    Free("welcome-sender-floors.claim.[!dps]*-oversized", Welcomed, _FLOOR),
    Free("refusal-sender-reason-changed", TurnedDown, "an admin words its reasons"),
]


def free(case):
    """Return the entry of the table that lets a mutation be; None if it has to be refused."""
    found = [entry for entry in FREE if fnmatch.fnmatchcase(str(case), entry.pattern)]
    assert len(found) <= 1
    return found[0] if found else None


@functools.cache
def scene(kind):
    """Return the scene of a type of message, which each mutation leaves as it was."""
    return Scene(kind)


def receive(played, data):
    """Hand bytes to the node; return the events, once it is certain that they took little memory."""
    tracemalloc.start()
    try:
        events = played.receive(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(data) + READ_AT_ONCE, "a message costs a few times its own size, and what is read at once"
    return events


def test_every_field_of_every_message_is_mutated():
    """The number of mutations follows from the layouts: whoever adds a field or drops a mutation changes it here."""
    assert Counter(case.kind for case in CASES) == {
        "pulse": 223,
        "leave": 181,
        "roster": 205,
        "request": 175,
        "welcome": 283,
        "refusal": 151,
    }
    assert Counter(case.by for case in CASES) == {"carrier": 438, "sender": 650, "other": 130}
    assert len(set(CASES)) == len(CASES) == 1218
    assert sum(free(case) is not None for case in CASES) == 68
    for entry in FREE:
        assert fnmatch.filter(map(str, CASES), entry.pattern), f"{entry.pattern} lets nothing be"


@pytest.mark.parametrize("case", [case for case in CASES if free(case) is None], ids=str)
def test_mutations_are_refused(case):
    """One refusal, which says why, changes nothing and holds no secret; in memory that the message's size bounds."""
    played = scene(case.kind)
    before = played.held()
    (event,) = receive(played, mutations.message_of(case, played))
    assert isinstance(event, Refused)
    assert event.reason
    assert played.held() == before


@pytest.mark.parametrize("case", [case for case in CASES if free(case) is not None], ids=str)
def test_what_a_member_is_free_to_say_is_taken(case):
    """Each entry of the table: what comes of it is what comes of a true message, or of one that says less."""
    played = scene(case.kind)
    before = played.held()
    try:
        (event,) = receive(played, mutations.message_of(case, played))
        assert isinstance(event, free(case).event)
        if isinstance(event, Early):
            assert played.held() == before
    finally:
        played.rewind()


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_true_message_is_taken_after_all_that_were_not(kind):
    """Whatever was refused before, the message that nobody altered does what it does at a node that saw none of it."""
    seen, fresh = Scene(kind), Scene(kind)
    for case in CASES:
        if case.kind == kind and free(case) is None and case.way != "oversized":
            seen.receive(mutations.message_of(case, seen))
    assert seen.receive() == fresh.receive()
    assert seen.node.is_member == fresh.node.is_member
    if fresh.node.admitted:
        assert seen.node.peers.view == fresh.node.peers.view
        assert seen.node.peers.merged == fresh.node.peers.merged


# -- messages as a whole ---------------------------------------------------------------------------------------------

REPLAYED = {
    "pulse": (Stale, "it is not newer than what was heard"),
    "leave": (Refused, "whoever left is no member"),
    "roster": (Stale, "these links are known"),
    "request": (Stale, "it is answered again, and admits once"),
    "welcome": (Stale, "this node has joined"),
    "refusal": (TurnedDown, "it says what is known: this node waits no more"),
}


@pytest.mark.parametrize("kind", MESSAGES)
def test_replayed_messages_change_nothing(kind):
    """A carrier that delivers a message twice, or much later again, changes nothing by that."""
    played = Scene(kind)
    played.receive()
    before = played.held()
    for _ in range(2):
        (event,) = receive(played, played.data)
        assert type(event) is REPLAYED[kind][0]
        assert played.held() == before


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_signed_by_another_member_are_refused(kind):
    """Nobody speaks in the name of another: not even a member, who can seal as anybody."""
    played = Scene(kind)
    before = played.held()
    (event,) = receive(played, played.sealed(played.body, by=played.other))
    assert isinstance(event, Refused)
    assert played.held() == before


UNDER_AN_OLD_EPOCH = {
    "pulse": (Refused, "the key is known to whoever was removed"),
    "leave": (Refused, "the key is known to whoever was removed"),
    "roster": (Stale, "these links are known"),
    "request": (Admitted, "who asks to join knows no epoch"),
    "welcome": (Welcomed, "links prove themselves, and newer ones will follow"),
    "refusal": (TurnedDown, "it is the admin's answer, whatever came after"),
}
UNDER_AN_OLD_ROSTER = {
    **UNDER_AN_OLD_EPOCH,
    "pulse": (Applied, "its sender was a member then and is one now"),
    "leave": (RosterChanged, "its sender was a member then and is one now"),
}


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [(kind, "rotate", UNDER_AN_OLD_EPOCH[kind]) for kind in MESSAGES]
    + [(kind, "schedule", UNDER_AN_OLD_ROSTER[kind]) for kind in MESSAGES],
)
def test_messages_under_an_old_roster(kind, change, expected):
    """Of a message that comes after the roster went on, only what proves itself or is of the same epoch is taken."""
    played = Scene(kind)
    played.net.nodes["a"].change(change, {} if change == "rotate" else {"schedule": "1h"})
    if kind == "roster":
        played.net.pulse("a")
        newest = [data for data in played.net.bags["b"] if _envelope.open_envelope(data).header.kind == kind]
        assert isinstance(played.receive(newest[-1])[0], RosterChanged)
    before = played.held()
    (event,) = receive(played, played.data)
    assert type(event) is expected[0]
    if expected[0] in {Refused, Stale}:
        assert played.held() == before


def test_an_old_claim_in_a_new_message_is_not_taken():
    """What a member said long ago, passed on by another as news, brings no slot back."""
    played = Scene("pulse")
    old = played.node.peers.slots["b"]
    played.receive()
    before = (played.node.peers.view, played.node.peers.merged)
    view = {**played.other.peers.entries, "b": old.entry.to_bytes()}
    pulse = Pulse(0, view, (Packed.of("b", old.psr.to_bytes()),))
    header = played.other._header(pulse, None)
    data = _envelope.seal_all(header, pack_message(pulse), played.other.key, played.other.identity, played.net.random)
    (event,) = receive(played, data)
    assert isinstance(event, Heard)
    assert (played.node.peers.view, played.node.peers.merged) == before


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_beyond_the_largest_are_not_read(kind, monkeypatch):
    """A message that is larger than any may be is refused by its size alone."""
    played = Scene(kind)
    monkeypatch.setattr(_envelope, "MAX_MESSAGE_BYTES", len(played.data) - 1)
    (event,) = receive(played, played.data)
    assert f"Got a message of {len(played.data)} bytes" in event.reason


# -- statistics that expand ------------------------------------------------------------------------------------------

MIB = zlib.compress(bytes(2**20), 9)
WIDE = Schema([f"x{number}" for number in range(400)])
BOMBS = {
    "of a size that its bytes cannot hold": Packed("b", 2**29, MIB),
    "beyond the largest": Packed("b", 2**30 + 1, MIB * 1100),
    "beyond what the columns can need": Packed("b", 2**20, MIB),
    "larger than it says": Packed("b", 300, MIB),
    "smaller than it says": Packed("b", 400, zlib.compress(bytes(300))),
    "followed by something": Packed("b", 300, zlib.compress(bytes(300)) + b"more"),
    "no statistics": Packed("b", 300, zlib.compress(bytes(300))),
    "of other columns": Packed.of("b", PSR.zero(WIDE).to_bytes()),
    "not compressed": Packed("b", 300, bytes(300)),
}


def pulse_with(played, packed, digest="ab" * 32):
    """Return a message in which the sender claims statistics as its newest."""
    b, own = played.sender, played.sender.peers.own
    mark = Mark(own.incarnation, own.version + 1, digest)
    claim = signed_claim(mark, own.digest, (), b.federation, "b", b.identity.sign)
    pulse = Pulse(0, {**played.message.view, "b": claim.to_bytes()}, (packed,))
    return played.sealed(pack_message(pulse))


@pytest.mark.parametrize("what", BOMBS)
def test_statistics_that_are_none_are_refused(what):
    """Whatever they say of their size, no more is held than the columns of the federation can need."""
    played = scene("pulse")
    before = played.held()
    (event,) = receive(played, pulse_with(played, BOMBS[what]))
    assert isinstance(event, Refused)
    assert event.member == "b"
    assert played.held() == before


# -- the shell around the rules --------------------------------------------------------------------------------------


def federation_of(played, url):
    """Return a node as users have it, with a store and a transport, around the node of a scene."""
    store = Store.open()
    if played.node.local is not None:
        store.learn(played.node.local)
    store.set("url", url)
    return Federation(store, played.node, clock=lambda: played.net.now)


@pytest.mark.parametrize("kind", MESSAGES)
def test_each_refusal_is_one_line_and_no_message_comes_twice(kind, caplog):
    """A real node logs, reports and stores each refusal once, acknowledges the message, and goes on pulsing."""
    played, url = Scene(kind), f"memory://{uuid.uuid4()}"
    node = federation_of(played, url)
    carrier = MemoryTransport(url, "carrier")
    MemoryTransport(url, node.member)
    refused = [case for case in CASES if case.kind == kind and free(case) is None]
    for case in refused:
        carrier.publish(mutations.message_of(case, played), node.member)
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        report = node.pulse()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(report.refused) == report.received == len(refused)
    assert all(line.startswith(f"{node.member!r} refused a message") and line.isprintable() for line in lines)
    assert max(map(len, lines)) < 400
    carrier.publish(played.data, node.member)
    assert node.pulse().received == 1
    assert node.pulse().received == 0
    assert len(node._store.refusals) == len(refused) + (kind == "refusal")

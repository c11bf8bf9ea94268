"""What is fuzzed: every door through which bytes or text of somebody else become values.

A target takes any bytes and raises nothing but what it documents to raise; what it returns holds by the laws that are
asserted here.  Seeds are made of real messages.  Knows no fuzzer: `run.py` and `test_targets.py` use it.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sklearn_symfed.exceptions import FormatError, InviteError, SettingError, SymfedError
from sklearn_symfed.federation import _invites, _links, _records, _sealing
from sklearn_symfed.federation._admission import Desk
from sklearn_symfed.federation._claims import (
    Claim,
    Mark,
    Proof,
    conflict,
    read_entry,
    read_view,
    signed_claim,
    verified,
    view_bytes,
)
from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._envelope import HEADER, open_envelope, seal_all
from sklearn_symfed.federation._events import Event, Refused
from sklearn_symfed.federation._fields import pack, read
from sklearn_symfed.federation._invites import INVITE, open_invite, seal_invite
from sklearn_symfed.federation._links import CHANGES, Link
from sklearn_symfed.federation._messages import MESSAGES, Packed, Pulse, pack_message, read_message
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._rosters import Chain, RosterError
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.psr import PSR, NamedColumns, Schema
from sklearn_symfed.testing import Simulation

CODE = "0123-4567-89AB-CDEF-GHJK"
KINDS = list(MESSAGES)
CHANGE_KINDS = list(CHANGES)


class Target(NamedTuple):
    """One door: what is called with any bytes, and bytes to begin with."""

    run: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def _scenes():
    path = Path(__file__).parents[1] / "federation" / "scenes.py"
    spec = importlib.util.spec_from_file_location("scenes", path)
    module = sys.modules["scenes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Scene = _scenes().Scene


@functools.cache
def scene(kind: str):
    """Return the scene of a type of message; it is used again as long as nothing has changed in it."""
    return Scene(kind)


def chosen(data: bytes, choices: list[str]) -> tuple[str, bytes]:
    """Return what the first byte chooses, and the rest."""
    return choices[(data[0] if data else 0) % len(choices)], data[1:]


def prefixed(choice: int, data: bytes) -> bytes:
    """Return bytes that choose."""
    return bytes([choice]) + data


# -- messages --------------------------------------------------------------------------------------------------------


def envelope(data: bytes) -> None:
    """Read the outside of a message; a carrier writes what it likes."""
    try:
        read_envelope = open_envelope(data)
    except FormatError:
        return
    header = pack(HEADER, read_envelope.header._asdict())
    assert read(HEADER, header, "header") == read_envelope.header._asdict()
    assert read_envelope.associated + read_envelope.sealed + read_envelope.signature == data


def fields(data: bytes) -> None:
    """Read the inside of a message, once it is opened."""
    kind, body = chosen(data, KINDS)
    try:
        message = read_message(kind, body)
    except FormatError:
        return
    assert read_message(kind, pack_message(message)) == message


def reception(data: bytes) -> None:
    """Take a body that its true sender sealed and signed: whatever it says, the node returns events and lives on."""
    kind, body = chosen(data, KINDS)
    played = scene(kind)
    before = played.held()
    _require_one_answer(played, before, played.receive(played.sealed(body)))


def _require_one_answer(played, before, events: list[Event]) -> None:
    assert events
    assert all(isinstance(event, Event) for event in events)
    if any(isinstance(event, Refused) for event in events):
        assert len(events) == 1
        assert played.held() == before
    played.node.outgoing()
    if played.node.admitted:
        assert played.node.peers.merged is not None
    if not isinstance(events[0], Refused):
        played.rewind()


def _bodies() -> list[bytes]:
    return [prefixed(number, scene(kind).body) for number, kind in enumerate(KINDS)]


@functools.cache
def _court():
    """Return a federation with classes, of which each member may sign whatever it likes."""
    net = Simulation("a", schema=Schema(["x0"], "y"))
    net.admit("b", "c", "d")
    pool = [
        PSR.from_rows([[1.0]], [1], classes="y"),
        PSR.from_rows([[2.0], [4.0]], [1, 2], classes="y"),
        PSR.from_rows([[1.0]], ["one"], classes="y"),
        PSR.zero(Schema(["x0"], "y")),
        PSR.from_rows([[1.0]], classes=None),
    ]
    return net, net.backup("a"), pool


def course(data: bytes) -> None:
    """Take message after message in which members claim what they like: five bytes for each claim."""
    net, home, pool = _court()
    node = net.restore("a", home)
    origins = sorted(net.nodes[name].identity.public.origin for name in "bcd")
    steps = [data[start : start + 5] for start in range(0, len(data) - 4, 5)][:16]
    view, psrs = {}, {}
    for who, count, before, what, more in steps:
        name, psr = "bcd"[who % 3], pool[what % len(pool)]
        member = net.nodes[name]
        version = count % 4
        mark = Mark(member.peers.own.incarnation + count // 4 % 3, version, psr.digest if version else "")
        previous = pool[before % len(pool)].digest if version > 1 else ""
        listed = tuple(origin for bit, origin in enumerate(origins) if more >> bit & 1)
        claim = signed_claim(mark, previous, listed, member.federation, name, member.identity.sign)
        known = read_entry(view[name]) if name in view else None
        contradicts = isinstance(known, Claim) and conflict(known, claim) and more & 8
        view[name] = (Proof(known, claim) if contradicts else claim).to_bytes()
        psrs[name] = Packed.of(name, psr.to_bytes())
        if more & 16:
            pulse = Pulse(more >> 6 & 1, view, tuple(psrs.values()) if more & 32 else ())
            header = member._header(pulse, None)._replace(seq=1 << 50 | net.nodes["a"].next_seq())
            sealed = seal_all(header, pack_message(pulse), node.key, member.identity, net.random)
            _require_sums(node, node.receive(sealed, net.now))
            view, psrs = {}, {}


def _require_sums(node, events: list[Event]) -> None:
    """Assert that what is merged is the sum over the slots that count."""
    assert events
    peers = node.peers
    counted = [slot.psr for name, slot in peers.slots.items() if slot.psr is not None and name not in peers.overlapping]
    assert peers.merged == sum(counted, start=PSR.zero(peers.schema))
    assert all(slot.psr is None or slot.psr.digest == slot.entry.digest for slot in peers.slots.values())
    for message in node.outgoing():
        node.sent(message)


def _courses() -> list[bytes]:
    chance = random.Random(0)
    claims = [[*chance.randbytes(1), chance.randrange(8), *chance.randbytes(2)] for _ in range(64)]
    sent = [bytes([*claim, chance.choice([48, 48, 48, 49, 51, 112, 32, 40])]) for claim in claims]
    return [
        b"".join(sent[start : start + size]) for start, size in ((0, 1), (1, 3), (4, 8), (16, 16), (32, 16), (48, 16))
    ]


# -- what is inside of messages --------------------------------------------------------------------------------------


def statistics(data: bytes) -> None:
    """Read a PSR; what is read has one form, and can be added and taken away."""
    try:
        psr = PSR.from_bytes(data)
    except FormatError:
        return
    assert psr.to_bytes() == data
    assert PSR.from_bytes((psr + psr).to_bytes()) == psr + psr
    assert (psr + psr) - psr == psr
    assert psr.n_rows >= 0
    assert repr(psr)


_KINDS = NamedColumns(
    {
        "x": np.array([0.5, np.nan, 2.0]),
        "c": np.array(["a", "b", None], dtype=object),
        "d": np.array(["7", None, "ü"], dtype=object),
        "t": np.array(["2013-01-01T05", "2013-01-01T06", "NaT"], dtype="M8[s]"),
        "y": np.array([1, 2, 1]),
    }
)
_MODES = {"c": "indicator", "d": "pairwise", "x": "pairwise", "t": "indicator"}


def _psrs() -> list[bytes]:
    learned = [
        PSR.from_rows([[1.0, 2.0], [0.1, -3e300]]),
        PSR.from_rows([[1.0], [2.0], [4.0]], [True, False, True], classes=True),
        PSR.from_rows([[1.5, 2.0]] * 2, ["a", "ü"], classes="kind"),
        PSR.from_rows([[0.25]] * 2, [1, -7], classes=True),
        PSR.from_rows([[1.25, 3.0]], decimals={"x0": 2}, sample_weight=[0.5]),
        PSR.from_rows([[1.25, 3.0]], ranges={"x0": (0, None), "x1": (-1.5, 1e9)}, outside="drop"),
        PSR.from_rows(
            _KINDS, classes="y", categories={"c": ["a", "other"], "d": None}, missing=_MODES, units={"t": "h"}
        ),
        PSR.from_rows(_KINDS, categories=["c", "d", "y"], missing="pairwise", units={"t": "s"}, decimals={"x": 1}),
        PSR.from_rows(_KINDS, categories=["c", "d"], missing="listwise", units={"t": "s"}, ranges={"x": (0, 9)}),
    ]
    return [psr.to_bytes() for psr in [*learned, *(PSR.zero(psr.schema) for psr in learned)]]


def slot(data: bytes) -> None:
    """Take statistics that a member publishes as its own, whatever they say."""
    played = scene("pulse")
    try:
        psr = PSR.from_bytes(data)
    except FormatError:
        return
    b = played.sender
    claim = signed_claim(Mark(1 << 40, 1, psr.digest), "", (), b.federation, "b", b.identity.sign)
    pulse = Pulse(0, {"b": claim.to_bytes()}, (Packed.of("b", data),))
    before = played.held()
    _require_one_answer(played, before, played.receive(played.sealed(pack_message(pulse))))


def schema(data: bytes) -> None:
    """Read the columns that a joiner says its rows have, as the admin compares them with the federation's."""
    try:
        found = PSR.from_bytes(data).schema
    except FormatError:
        return
    assert Schema(found.columns, found.classes, **found.declared) == found.without_levels()
    assert found.differences(found) == []
    assert (Schema(["x0", "x1"]).differences(found) == []) == (found == Schema(["x0", "x1"]))


def packed(data: bytes) -> None:
    """Expand statistics; the first bytes are the size that they say."""
    size = int.from_bytes(data[:4], "big")
    try:
        expanded = Packed("a", size, data[4:]).expand()
    except FormatError:
        return
    assert len(expanded) == size


def _packed() -> list[bytes]:
    return [struct.pack(">I", len(data)) + Packed.of("a", data).data for data in [b"", *_psrs(), bytes(5000)]]


def claims(data: bytes) -> None:
    """Read an entry of a view."""
    try:
        entry = read_entry(data)
    except FormatError:
        return
    assert read_entry(entry.to_bytes()) == entry
    assert entry.stamp == entry.mark.stamp
    assert verified(entry, bytes(32), bytes(32), "a") in {True, False}


def _claims() -> list[bytes]:
    played = scene("pulse")
    view, b = played.message.view, played.sender
    first = read_entry(view["b"])
    other = signed_claim(first.mark._replace(digest="ab" * 32), "", (bytes(16),), b.federation, "b", b.identity.sign)
    return [*view.values(), other.to_bytes(), Proof(first, other).to_bytes()]


def links(data: bytes) -> None:
    """Read a link of the roster: as it travels, or with values of which an admin signs whatever it likes."""
    played = scene("pulse")
    choice, rest = chosen(data, ["", *CHANGE_KINDS])
    try:
        link = Link.from_bytes(_signed_values(played, choice, rest) if choice else rest)
        assert Link.from_bytes(link.to_bytes()) == link
        chain = played.node.chain.extended(link)
        assert chain.links[-1] == link
        assert Chain(chain.links).roster == chain.roster
        assert played.node.chain.joined([link]).roster == chain.roster
    except (FormatError, RosterError):
        pass


def _signed_values(played, change: str, values: bytes) -> bytes:
    roster, identity = played.node.roster, played.node.identity
    body = {
        "federation": roster.federation,
        "number": roster.number + 1,
        "previous": roster.head,
        "signer": "a",
        "change": change,
        "values": values,
    }
    packed_body = pack(_links._BODY, body)
    return pack(_links._LINK, {"body": packed_body, "signature": identity.sign(_links._signed(packed_body))})


def _seeds_of_links() -> list[bytes]:
    chain = scene("pulse").node.chain
    key = bytes(range(32))
    values = {
        "found": chain.links[0].values,
        "admit": {"member": "d", "sign": key, "seal": key, "admin": True, "invite": bytes(16), "commitment": None},
        "remove": {"member": "c", "keep": (1, 2), "commitment": key},
        "promote": {"member": "b"},
        "rotate": {"commitment": key},
        "schedule": {"schedule": "5m"},
        "contract": {"contract": Contract.of(["count() >= 3"]).to_bytes()},
        "schema": {"schema": PSR.zero(Schema(["x0", "x1"])).to_bytes()},
        "recover": {"member": "b", "commitment": key},
    }
    travelling = [prefixed(0, link.to_bytes()) for link in chain.links]
    return travelling + [prefixed(1 + CHANGE_KINDS.index(name), pack(CHANGES[name], values[name])) for name in values]


def contract(data: bytes) -> None:
    """Read the rules of a contract, and judge statistics by them."""
    choice, rest = chosen(data, ["travelling", "written"])
    try:
        read_contract = Contract.from_bytes(rest) if choice == "travelling" else Contract.of([rest.decode("latin-1")])
    except (FormatError, SettingError):
        return
    assert Contract.from_bytes(read_contract.to_bytes()) == read_contract
    for psr in _judged():
        try:
            read_contract.require_fit(psr.schema)
        except SettingError:
            continue
        breach = read_contract.breach(psr)
        assert breach is None or str(breach)


@functools.cache
def _judged() -> list[PSR]:
    return [PSR.from_bytes(data) for data in _psrs()] + [PSR.from_rows([[float(row), 1e-300] for row in range(20)])]


def _contracts() -> list[bytes]:
    rules = [
        'count() >= 3 and not mean("x0") < 2.5',
        'variance("x0") > 1e-3 or 0 <= corr("x0", "x1") <= 0.9',
        'std("x0") / (1 + count("kind", "a")) != -3 * share_missing("x1")',
        'mean("x0", "y", True) - cov("x0", "x0") <= 1e6',
        'count("c", "a") + mean("x", "d", 7) > share_missing("x", "c", "other")',
        'corr("x", "t") < 2 or share_missing("c") + share_missing("t") < 1 or std("t", "y", 1) > 0',
    ]
    made = [Contract.of(rules, ["b"]), *(Contract.of([rule]) for rule in rules)]
    return [prefixed(0, found.to_bytes()) for found in made] + [prefixed(1, rule.encode()) for rule in rules]


# -- what people type, and what lies on disk -------------------------------------------------------------------------


def invite(data: bytes) -> None:
    """Open an invite: as text, or with a whole seal around whatever it says."""
    choice, rest = chosen(data, ["text", "inside"])
    _invites.open_under_code = _open_quickly
    text, code = rest.decode("utf-8", "surrogateescape"), CODE
    if choice == "inside":
        sealed = _seal_quickly(rest)
        text = _invites._PREFIX + base64.urlsafe_b64encode(sealed + _invites._checksum(sealed)).decode()
    elif len(rest) > 24:
        code = text[-24:]
    try:
        opened = open_invite(text, code)
    except InviteError:
        return
    assert read(INVITE, pack(INVITE, vars(opened)), "invite") == vars(opened)


_KEY = bytes(32)


def _seal_quickly(plaintext: bytes) -> bytes:
    """As `seal_under_code`, without what makes a code slow to guess."""
    return bytes(16) + _sealing.AESGCM(_KEY).encrypt(bytes(12), plaintext, _invites._PREFIX.encode())


def _open_quickly(_: str, sealed: bytes, associated: bytes) -> bytes:
    return _sealing._decrypt(_KEY, bytes(12), sealed[16:], associated)


def _seeds_of_invites() -> list[bytes]:
    net = scene("pulse").net
    made = net.invite("d")
    text = seal_invite(made, CODE, net.random)
    inside = pack(INVITE, {name: getattr(made, name) for name in INVITE})
    return [prefixed(0, text.encode()), prefixed(0, f"{text} {CODE}".encode()), prefixed(1, inside)]


def texts(data: bytes) -> None:
    """Read names, schedules and recovery keys, as people type them."""
    text = data.decode("utf-8", "surrogateescape")
    for take in (check_name, parse_schedule, RecoveryKey.read):
        try:
            assert take(text) is not None
        except SettingError:
            continue


def stored(data: bytes) -> None:
    """Read what a home holds, should its disk be damaged: nothing but an error of the package comes out."""
    for take in (read_view, Desk.from_bytes, lambda rest: read(_records._CHAIN, rest, "stored roster")):
        try:
            take(data)
        except SymfedError:
            continue


def _stored() -> list[bytes]:
    node = scene("pulse").node
    held = [link.to_bytes() for link in node.chain.links]
    return [view_bytes(node.peers.view), node.desk.to_bytes(), pack(_records._CHAIN, {"links": held})]


TARGETS = {
    "envelope": Target(envelope, lambda: [scene(kind).data for kind in KINDS]),
    "fields": Target(fields, _bodies),
    "reception": Target(reception, _bodies),
    "course": Target(course, _courses),
    "statistics": Target(statistics, _psrs),
    "slot": Target(slot, _psrs),
    "schema": Target(schema, _psrs),
    "packed": Target(packed, _packed),
    "claims": Target(claims, _claims),
    "contract": Target(contract, _contracts),
    "links": Target(links, _seeds_of_links),
    "invite": Target(invite, _seeds_of_invites),
    "texts": Target(texts, lambda: ["süd".encode(), b"1.5h", scene("pulse").net.recovery.text.encode()]),
    "stored": Target(stored, _stored),
}

"""Joining, as real nodes with stores and carriers do it: both sides of each refusal, any carrier, nobody's clock."""

from __future__ import annotations

import dataclasses
import logging
import random
import socket
import uuid
from typing import ClassVar

import pytest

from sklearn_symfed.exceptions import InviteError
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation import _federation as federation_module
from sklearn_symfed.federation._envelope import open_envelope, seal_one
from sklearn_symfed.federation._messages import Refusal, pack_message
from sklearn_symfed.federation.transports import Delivery, MemoryTransport, Transport, open_transport
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.testing import FaultyTransport

ROWS = PSR.from_rows([[1.0, 2.0], [3.0, 4.0]])


class Pigeons(Transport):
    """What another distribution might offer: a carrier that this package knows nothing of."""

    lofts: ClassVar[dict[str, dict[str, list[bytes]]]] = {}

    def __init__(self, url, member, *, create=False):
        super().__init__(url, member, max_payload=2**20)
        self._loft = self.lofts.setdefault(url, {})
        self._loft.setdefault(member, [])

    def _publish(self, data, to):
        for name, waiting in self._loft.items():
            if name != self.member and to in {None, name}:
                waiting.insert(0, data)

    def _receive(self, limit):
        return [Delivery(data, data) for data in self._loft[self.member][:limit]]

    def _ack(self, delivery):
        if delivery.receipt in self._loft[self.member]:
            self._loft[self.member].remove(delivery.receipt)


def faulty(url, member, *, create=False):
    inner = open_transport(url, member, create=create)
    return FaultyTransport(inner, random.Random(member).random(), drop=0.3, duplicate=0.3, reorder=0.5, delay=0.3)


def url_of(scheme, tmp_path):
    return f"dir://{tmp_path}/share" if scheme == "dir" else f"{scheme}://{uuid.uuid4()}"


def founder(url, clock=lambda: 1000.0, schema=ROWS.schema, **means):
    return Federation.create(
        Store.open(), "f", url, "a", schema=schema, clock=clock, guard="off", on_recovery_key=str, **means
    )


def joiner(invite, clock=lambda: 1000.0, *, rows=None, **means):
    store = Store.open()
    if rows is not None:
        store.learn(rows)
    return Federation.join(store, *invite, clock=clock, **means)


@pytest.fixture
def admin():
    """Found a federation, and learn two rows."""
    node = founder(f"memory://{uuid.uuid4()}")
    node.learn(ROWS)
    yield node
    node.close()


# -- an invite works once, before it expires (admin's clock), for its member name, over any transport ----------------


@pytest.mark.parametrize("joiners_clock", [0.0, 1000.0, 1e12])
@pytest.mark.parametrize(("passed", "admitted"), [(59.0, True), (61.0, False)])
def test_an_invite_expires_by_the_admins_clock_and_no_other(joiners_clock, passed, admitted):
    """However wrong the joiner's clock is, the invite of a minute works before a minute of the admin's, not after."""
    now = [1000.0]
    a = founder(f"memory://{uuid.uuid4()}", lambda: now[0])
    invite = a.invite("b", "60s")
    now[0] += passed
    b = joiner(invite, lambda: joiners_clock)
    a.pulse(), b.pulse()
    assert b.is_member == admitted
    assert ("expired" in str(b.pending)) != admitted


@pytest.mark.parametrize("scheme", ["memory", "dir", "pigeon"])
@pytest.mark.parametrize("opener", [open_transport, faulty])
def test_an_invite_works_over_any_transport(scheme, opener, tmp_path, monkeypatch):
    """By a folder, a process, or a carrier of somebody else's, with faults or none: the invite names it."""
    monkeypatch.setitem(open_transport.__globals__["_BUILT_IN"], "pigeon", Pigeons)
    a = founder(url_of(scheme, tmp_path), opener=opener)
    a.learn(ROWS)
    b = joiner(a.invite("b"), opener=opener)
    for _ in range(200):
        a.pulse(), b.pulse()
        if b.is_member and b.merged == ROWS and a.converged and b.converged:
            return
    raise AssertionError(b.status())


def test_joining_opens_no_port(tmp_path, monkeypatch):
    """No node listens, or connects to anything: a folder that both can write to is all that they need."""
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("a socket was opened"))
    a = founder(url_of("dir", tmp_path))
    b = joiner(a.invite("b"))
    a.learn(ROWS)
    for _ in range(3):
        a.pulse(), b.pulse()
    assert a.merged == b.merged == ROWS


# -- clear refusals on both sides ------------------------------------------------------------------------------------


def altered(monkeypatch, **fields):
    """Have a joiner open its invite and change what it says, with the code that it rightly has."""
    opened = federation_module.open_invite
    replaced = lambda invite, code: dataclasses.replace(opened(invite, code), **fields)  # noqa: E731
    monkeypatch.setattr(federation_module, "open_invite", replaced)


def second_use(admin, _):
    invite = admin.invite("b")
    first = joiner(invite)
    admin.pulse(), first.pulse()
    return invite


def expired(admin, _):
    invite = admin.invite("b", "1m")
    admin._clock = lambda: 1061.0
    return invite


def another_name(admin, monkeypatch):
    altered(monkeypatch, member="c")
    return admin.invite("b")


def another_secret(admin, monkeypatch):
    altered(monkeypatch, token=bytes(32))
    return admin.invite("b")


def another_number(admin, monkeypatch):
    altered(monkeypatch, id=bytes(16))
    return admin.invite("b")


@pytest.mark.parametrize(
    ("prepared", "reason"),
    [
        (second_use, "the invite was used before; if not by you, tell the admin, and ask for a new one"),
        (expired, "the invite has expired by the admin's clock; ask for a new one"),
        (another_name, "the invite is for 'b'"),
        (another_secret, "the request does not hold the secret of the invite"),
        (another_number, "no such invite is open here"),
    ],
)
def test_a_refusal_is_clear_on_both_sides(admin, monkeypatch, caplog, prepared, reason):
    """One line in either log, in both reports and states, and an error where somebody waits; and nobody is admitted."""
    invite = prepared(admin, monkeypatch)
    members = [member.name for member in admin.members]
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        node = joiner(invite)
        asked, answered = admin.pulse(), node.pulse()
    told = f"a message: a request to join as {node.member!r}: {reason}"
    heard = f"a message: the request to join was refused: {reason}"
    assert (asked.refused, answered.refused) == ((told,), (heard,))
    assert [record.getMessage() for record in caplog.records] == [
        f"'a' refused {told}",
        f"{node.member!r} refused {heard}",
    ]
    assert (admin.status().last_refusal, node.status().last_refusal) == (told, heard)
    assert node.pending.endswith(f"refused the request to join: {reason}")
    with pytest.raises(InviteError) as caught:
        node.wait(1)
    assert reason in str(caught.value)
    assert [member.name for member in admin.members] == members
    assert not node.is_member


def test_a_forged_admin_is_refused_and_the_true_one_is_heard(admin, caplog):
    """An answer that somebody else signs in the admin's name is one line in the joiner's log, and changes nothing."""
    node = joiner(admin.invite("b"))
    forger = founder(f"memory://{uuid.uuid4()}")
    refusal = Refusal(node._node.joining.invite.id, "go away")
    header = admin._node._header(refusal, "b")
    data = seal_one(
        header, pack_message(refusal), node._node.identity.public.seal, forger._node.identity, forger._random
    )
    MemoryTransport(admin.url, "stranger").publish(data, to="b")
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        (reason,) = node.pulse().refused
    assert reason == "a message: it is not signed by 'a', the admin whose invite this node has"
    assert [record.getMessage() for record in caplog.records] == [f"'b' refused {reason}"]
    assert "has not answered" in node.pending
    admin.pulse(), node.pulse()
    assert node.is_member


def test_a_request_to_a_false_admin_says_nothing(admin):
    """Whoever takes the place of the admin at the carrier cannot open what a joiner sends, and says so."""
    invite = admin.invite("b")
    false = founder(f"memory://{uuid.uuid4()}")
    node = joiner(invite)
    (request,) = (delivery.data for delivery in MemoryTransport(admin.url, "a").receive())
    assert open_envelope(request).header.kind == "request"
    with pytest.raises(ValueError, match="authenticate"):
        open_envelope(request).open_one(false._node.identity)
    assert node._node.joining.invite.token not in request
    MemoryTransport(false.url, "carrier").publish(request, to="a")
    assert false.pulse().refused == ("a message: it is of another federation",)


# -- schema negotiation ----------------------------------------------------------------------------------------------


SCHEMA = Schema(["age", "fee"], classes="ward", decimals={"fee": 2}, ranges={"age": (0, 150)})


@pytest.mark.parametrize(
    ("rows", "differences"),
    [
        (Schema(["age", "Fee"], classes="ward"), ["missing columns: ['fee']", "unexpected columns: ['Fee']"]),
        (Schema(["age"], classes="ward"), ["missing columns: ['fee']"]),
        (Schema(["age", "fee", "sex"], classes="ward", decimals={"fee": 2}), ["unexpected columns: ['sex']"]),
        (Schema(["age", "fee"], decimals={"fee": 2}), ["ward"]),
        (Schema(["age", "fee"], classes="ward", decimals={"fee": 3}), ["'fee': 3 instead of 2"]),
        (Schema(["age", "fee"], classes="ward"), ["fee"]),
        (Schema(["age", "fee"], "ward", {"fee": 2}), ["range of column 'age': none instead of 0 to 150"]),
        (Schema(["age", "fee"], "ward", {"fee": 2}, {"age": (0, 99)}), ["'age': 0 to 99 instead of 0 to 150"]),
        (Schema(["age", "fee"], "ward", {"fee": 2}, {"age": (0, 150)}, "drop"), ["outside='drop' instead of 'error'"]),
    ],
)
def test_a_joiner_whose_rows_do_not_fit_is_told_before_anything_is_learned(rows, differences):
    """Each column that differs is named on both sides; the joiner keeps its rows, and nobody else has seen any."""
    a = founder(f"memory://{uuid.uuid4()}", schema=SCHEMA)
    held, local = a.merged, PSR.zero(rows)
    b = joiner(a.invite("b"), rows=local)
    (told,), (heard,) = a.pulse().refused, b.pulse().refused
    for difference in differences:
        assert difference in told
        assert difference in heard
        assert difference in b.pending
    assert b.local == local
    assert a.merged == held
    assert [member.name for member in a.members] == ["a"]


def test_a_joiner_whose_rows_fit_in_another_order_is_admitted():
    """Columns are matched by name; their order is that of the federation."""
    a = founder(f"memory://{uuid.uuid4()}", schema=SCHEMA)
    b = joiner(a.invite("b"), rows=PSR.zero(SCHEMA.select(["fee", "age"], "ward")))
    a.pulse(), b.pulse()
    assert b.is_member
    assert b.merged.names == ("age", "fee")


def labelled(*labels):
    """Return statistics of a row for each label."""
    return PSR.from_rows([[40.0 + row] for row in range(len(labels))], list(labels), classes="ward")


KINDS = {"bool": labelled(False, True), "int": labelled(0, 1), "str": labelled("no", "yes")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_a_joiner_whose_labels_are_of_another_kind_is_told_and_not_admitted(kind, other):
    """0 and False are two labels, which no class column can hold: both sides are told which kind it has to be."""
    a = founder(f"memory://{uuid.uuid4()}", schema=KINDS[kind].schema)
    a.learn(KINDS[kind])
    b = joiner(a.invite("b"), rows=KINDS[other])
    told, heard = a.pulse().refused, b.pulse().refused
    assert b.is_member == (kind == other)
    if kind != other:
        reason = f"the columns do not match: labels of the class column 'ward': {other} instead of {kind}"
        assert told[0].endswith(reason)
        assert heard[0].endswith(reason)
        assert b.pending.endswith(reason)
        assert a.merged == KINDS[kind]


def test_a_joiner_with_labels_is_admitted_where_no_labels_are_known():
    """Whoever learns first fixes of which kind labels are, as long as the admin has none."""
    a = founder(f"memory://{uuid.uuid4()}", schema=KINDS["int"].schema)
    b = joiner(a.invite("b"), rows=KINDS["int"])
    for _ in range(3):
        a.pulse(), b.pulse()
    assert a.merged == b.merged == KINDS["int"]


def test_a_node_whose_labels_contradict_those_of_an_earlier_member_says_so_and_how_to_go_on():
    """Both learn before either has heard the other: the later one is pending, publishes nothing, and may relearn."""
    a = founder(f"memory://{uuid.uuid4()}", schema=KINDS["bool"].schema)
    b = joiner(a.invite("b"))
    a.pulse(), b.pulse(), a.pulse(), b.pulse()
    a.learn(KINDS["bool"]), b.learn(KINDS["int"])
    a.pulse()
    report = b.pulse()
    reason = "labels of the class column 'ward': int instead of bool; reset() and learn rows that fit"
    assert report.status.startswith("pending")
    assert report.status.endswith(reason)
    assert b.status().pending.endswith(reason)
    assert report.version == 0
    assert a.pending is None
    assert a.merged == b.merged == KINDS["bool"]
    assert b.local == KINDS["int"]
    b.reset()
    b.learn(KINDS["bool"])
    for _ in range(4):
        b.pulse(), a.pulse()
    assert b.pending is None
    assert a.converged
    assert b.converged
    assert a.merged == b.merged == KINDS["bool"] + KINDS["bool"]

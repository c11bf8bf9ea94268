"""What the design says of peers beside the eight rules: whole states, joiners, sums, silence, origins, schedules."""

from __future__ import annotations

import logging
import threading
import uuid

import pytest

from sklearn_symfed.exceptions import FederationError, TransportError
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation import _background as background_module
from sklearn_symfed.federation._background import Background
from sklearn_symfed.federation._claims import Claim, Mark, signed_claim
from sklearn_symfed.federation._envelope import open_envelope, seal_all
from sklearn_symfed.federation._events import Applied, Heard, Stale
from sklearn_symfed.federation._messages import Packed, Pulse, pack_message, read_message
from sklearn_symfed.federation._slots import Slot
from sklearn_symfed.federation.transports import MemoryTransport
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

ROWS = [PSR.from_rows([[float(number), 1.0 / (number + 1)]]) for number in range(8)]
REMEDY = (
    "nothing of it counts until whoever runs it closes the second home of that name, if there is one, and calls "
    "resume(), or an admin removes it, or invites a successor under its name"
)


def network_of(n):
    net = Simulation("a", schema=ROWS[0].schema)
    net.admit(*"bcdefgh"[: n - 1])
    for name, psr in zip(net.nodes, ROWS, strict=False):
        net.learn(name, psr)
    net.settle()
    return net


@pytest.fixture
def net():
    """Return three members, of whom each has learned a row."""
    return network_of(3)


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def pulse_in(net, data):
    """Return what a message says to members."""
    return read_message("pulse", open_envelope(data).open_all(net.nodes["a"].key))


# -- whole states, not differences -----------------------------------------------------------------------------------


def test_a_node_publishes_its_whole_psr_not_differences(net):
    """Whoever has missed every version but the last lacks nothing."""
    for psr in ROWS[3:6]:
        net.learn("b", psr)
        net.pulse("b", lose=True)
    net.learn("b", ROWS[6])
    (message,) = net.pulse("b")
    (packed,) = pulse_in(net, message.data).psrs
    assert PSR.from_bytes(packed.expand(10**6)) == net.nodes["b"].local
    assert of(Applied, net.deliver("a")) == [Applied("b", net.nodes["b"].peers.mark)]
    assert net.nodes["a"].peers.psr_of("b") == ROWS[1] + sum(ROWS[3:7])


def test_a_late_joiner_needs_one_message_a_member():
    """Of each member the joiner takes in one message with statistics, and then holds everything."""
    net = network_of(6)
    net.join(net.invite("late"))
    net.pulse("late")
    net.round("abcdef")
    net.deliver("late")
    assert net.nodes["late"].is_member
    net.pulse("late")
    net.round("abcdef")
    bag = net.bags["late"]
    by_sender = {open_envelope(data).header.sender: data for data in bag}
    assert sorted(by_sender) == list("abcdef")
    net.bags["late"] = list(by_sender.values())
    net.deliver("late")
    assert net.nodes["late"].peers.merged == sum(ROWS[:6])


def test_a_late_joiner_holds_the_rows_of_those_who_are_away(net):
    """Within the same round an admin passes on what a member has published that does not pulse any more."""
    away = net.nodes.pop("c")
    net.join(net.invite("late"))
    net.pulse("late")
    for _ in range(2):
        net.round("ab")
        net.round(["late"])
    assert net.nodes["late"].peers.psr_of("c") == away.local
    assert net.nodes["late"].peers.merged == sum(ROWS[:3])


def test_a_welcome_brings_a_floor(net):
    """A joiner does not take a state that is older than what the admin held when it was welcomed."""
    net.learn("c", ROWS[3])
    (old,) = [message.data for message in net.pulse("c", lose=True)]
    net.learn("c", ROWS[4])
    net.settle()
    joiner = net.join(net.invite("late"))
    net.pulse("late"), net.deliver("a"), net.pulse("a")
    welcome = [data for data in net.bags["late"] if open_envelope(data).header.kind == "welcome"]
    joiner.receive(welcome[0], net.now)
    assert joiner.is_member
    assert of(Heard | Stale, joiner.receive(old, net.now))
    assert "c" not in joiner.peers.slots
    net.settle()
    net.check(sum(ROWS[:5]))


# -- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 30, 300])
def test_replacing_a_slot_costs_two_additions_however_many_members_there_are(n, monkeypatch):
    """The merged PSR is adjusted by + new - old, and is what adding all of them anew gives."""
    peers = Simulation("me", schema=ROWS[0].schema).nodes["me"].peers
    held = {f"m{number}": ROWS[number % 8] for number in range(n)}
    for name, psr in held.items():
        peers._replace(name, slot_of(1, psr))
    done = []
    add, subtract = PSR.__add__, PSR.__sub__
    with monkeypatch.context() as patch:
        patch.setattr(PSR, "__add__", lambda one, other: done.append("+") or add(one, other))
        patch.setattr(PSR, "__sub__", lambda one, other: done.append("-") or subtract(one, other))
        peers._replace("m1", slot_of(2, ROWS[7]))
    assert sorted(done) == ["+", "-"]
    assert peers.merged == sum({**held, "m1": ROWS[7]}.values())


def slot_of(version, psr):
    return Slot(Claim(1, version, psr.digest, "", (), bytes(64)), psr)


# -- real nodes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def nodes():
    """Return three real nodes, converged, each with a row."""
    url = f"memory://{uuid.uuid4()}"
    a = Federation.create(
        Store.open(), "f", url, "a", schema=ROWS[0].schema, clock=lambda: 1e3, guard="off", on_recovery_key=str
    )
    found = [a, *(Federation.join(Store.open(), *a.invite(name), clock=lambda: 1e3) for name in "bc")]
    pulse(found)
    for node, psr in zip(found, ROWS, strict=False):
        node.learn(psr)
    pulse(found)
    yield found
    for node in found:
        node.close()


def pulse(nodes, rounds=4):
    return [node.pulse() for _ in range(rounds) for node in nodes]


def test_unchanged_state_is_not_resent(nodes):
    """What was learned and forgotten again, or learned under a name twice, or reset to what it was, sends nothing."""
    a = nodes[0]
    a.learn(ROWS[3], "batch")
    pulse(nodes)
    version = a.status().version
    for change in (
        lambda: a.learn(ROWS[3], "batch"),
        lambda: (a.learn(ROWS[4]), a.forget(ROWS[4])),
        lambda: (a.forget(ROWS[3], "batch"), a.learn(ROWS[3], "batch")),
        lambda: (a.reset(), a.learn(ROWS[0] + ROWS[3])),
    ):
        change()
        report = a.pulse()
        assert (report.status, report.sent, report.bytes_sent) == ("unchanged", 0, 0)
    assert a.status().version == version
    assert not any(report.sent for report in pulse(nodes))


def test_equivocation_is_said_on_every_node(nodes, caplog):
    """One line in each log, a note beside the member, and its rows are counted by nobody."""
    c = nodes[2]._node
    for name, psr in zip("ab", ROWS[4:6], strict=True):
        own = c.peers.own
        claim = signed_claim(Mark(own.incarnation, 2, psr.digest), own.digest, (), c.federation, "c", c.identity.sign)
        says = Pulse(0, {**c.peers.entries, "c": claim.to_bytes()}, (Packed.of("c", psr.to_bytes()),))
        data = seal_all(c._header(says, None), pack_message(says), c.key, c.identity, nodes[2]._random)
        MemoryTransport(nodes[2].url, "c").publish(data, to=name)
    with caplog.at_level(logging.WARNING, "sklearn_symfed"):
        pulse(nodes[:2])
    reason = f"equivocation: two states that it signed contradict each other; {REMEDY}"
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"{name!r} refused a message of 'c': {reason}" for name in "ab"
    ]
    for node in nodes[:2]:
        assert node.merged == ROWS[0] + ROWS[1]
        assert [(member.name, member.rows, member.note) for member in node.members if member.note] == [
            ("c", 0, f"contradicted itself: {REMEDY}")
        ]
    pulse(nodes)
    assert "contradict each other" in nodes[2].pending
    nodes[2].resume()
    pulse(nodes)
    assert {node.merged.digest for node in nodes} == {sum(ROWS[:3]).digest}


# -- relays ----------------------------------------------------------------------------------------------------------


def federation(*names):
    """Return nodes of a federation of their own, converged."""
    url = f"memory://{uuid.uuid4()}"
    first = Federation.create(
        Store.open(),
        url[9:15],
        url,
        names[0],
        schema=ROWS[0].schema,
        clock=lambda: 1e3,
        guard="off",
        on_recovery_key=str,
    )
    found = [first, *(Federation.join(Store.open(), *first.invite(name), clock=lambda: 1e3) for name in names[1:])]
    pulse(found)
    return found


def relay(node, other):
    return node.learn_federation(other.id, other.merged_or_raise(), other.origins)


def origin(node):
    return node._node.identity.public.origin


def test_payloads_list_their_origins(nodes):
    """What a relay publishes says, signed, whose rows it holds: its own and those of all whose rows it passes on."""
    hub, spoke = federation("hub", "spoke")
    hub.learn(ROWS[3])
    relay(hub, nodes[0])
    pulse([hub, spoke])
    entry = spoke._node.peers.slots["hub"].entry
    assert entry.origins == tuple(sorted(map(origin, [*nodes, hub])))
    assert spoke.origins == tuple(sorted(map(origin, [*nodes, hub])))
    assert spoke.merged == sum(ROWS[:4])
    assert nodes[0]._node.peers.own.origins == ()


def test_origins_that_change_alone_are_published(nodes):
    """Rows that moved from one member to another before that one left are the same statistics, of others."""
    hub, spoke = federation("hub", "spoke")
    relay(hub, nodes[0])
    pulse([hub, spoke])
    held = spoke.merged
    nodes[1].forget(ROWS[1]), nodes[0].learn(ROWS[1])
    pulse(nodes)
    nodes[1].leave(forget=True)
    pulse([nodes[0], nodes[2]])
    relay(hub, nodes[0])
    pulse([hub, spoke])
    assert spoke.merged == held == nodes[0].merged
    assert spoke.origins == tuple(sorted(map(origin, [nodes[0], nodes[2], hub])))
    assert spoke.converged


def test_a_relayed_federation_is_one_replaceable_source(nodes):
    """What is relayed again takes the place of what was relayed before, whatever was learned or forgotten meanwhile."""
    hub, spoke = federation("hub", "spoke")
    hub.learn(ROWS[3])
    for change in (lambda: nodes[1].learn(ROWS[4]), lambda: nodes[1].forget(ROWS[1]), nodes[2].reset):
        assert relay(hub, nodes[0])
        assert not relay(hub, nodes[0])
        pulse([hub, spoke])
        assert spoke.merged == hub.merged == nodes[0].merged + ROWS[3]
        change()
        pulse(nodes)


def test_overlapping_origins_are_refused_along_every_way(nodes):
    """Rows that reach a federation by two ways, over whatever others, are refused by the second, or counted once."""
    middle, end = federation("hub", "spoke"), federation("x", "y", "z")
    middle[0].learn(ROWS[3])
    relay(middle[0], nodes[0])
    pulse(middle)
    with pytest.raises(FederationError, match="count twice"):
        relay(middle[1], nodes[1])
    relay(end[0], middle[1])
    pulse(end)
    assert end[2].merged == sum(ROWS[:4])
    for node, other in ((end[1], nodes[2]), (end[0], nodes[0]), (nodes[0], end[1]), (nodes[1], middle[0])):
        with pytest.raises(FederationError, match="count twice"):
            relay(node, other)
    assert {node.merged.digest for node in end} == {sum(ROWS[:4]).digest}


def test_two_relays_at_the_same_time_count_once(nodes):
    """Of two members that relay one federation without hearing of one another, all count the one admitted first."""
    x, y, z = federation("x", "y", "z")
    x.learn(ROWS[3]), y.learn(ROWS[4])
    pulse([x, y, z])
    relay(y, nodes[0]), relay(x, nodes[1])
    pulse([x, y, z])
    first, second = sorted((x, y), key=lambda node: node._node.roster.members[node.member].since)
    assert {node.merged.digest for node in (x, y, z)} == {first.local.digest}
    note = f"not counted: rows of {first.member!r} are among its"
    assert {member.name: member.note for member in z.members if member.note} == {second.member: note}


# -- schedules -------------------------------------------------------------------------------------------------------


def test_pulses_in_the_background_wait_with_jitter_and_back_off(monkeypatch):
    """The wait is the interval, a tenth more or less by chance, and twice as long after each failure in a row."""
    waits, outcomes = [], iter([None, TransportError("away"), TransportError("away"), None, None])
    chances = iter([0.0, 0.5, 1.0, 0.5, 1.0])
    monkeypatch.setattr(background_module.random, "random", lambda: next(chances))

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waits.append(round(timeout, 9))
            if len(waits) == 5:
                self.set()
            return self.is_set()

    class Node:
        def step(self):
            error = next(outcomes)
            if error is not None:
                raise error

    node = Node()
    background = Background(node.step, threading.RLock(), "a")
    background._run(lambda: 10.0, Stop())
    assert waits == [9.0, 20.0, 44.0, 10.0, 11.0]

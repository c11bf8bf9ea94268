"""The join of peers: any order, loss and repetition of messages ends in the same state, and then in silence."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sklearn_symfed.exceptions import FederationError, SchemaError
from sklearn_symfed.federation._envelope import MAX_COUNTER, Mark, decode, encode
from sklearn_symfed.federation._peers import Applied, Heard, Hello, Peers, Refused, Stale
from sklearn_symfed.psr import PSR

BATCHES = [PSR.from_rows([[float(number), 1.0 / (number + 1)]]) for number in range(6)]
ROW = BATCHES[0]


class Network:
    """Nodes, and for each a bag of messages on their way to it."""

    def __init__(self):
        self.nodes = {}
        self.bags = {}
        self.n_messages = 0

    def found(self, name):
        self.nodes[name] = Peers(name, "f", name)
        self.bags[name] = []

    def join(self, name, incarnation=1, claimed=False):
        self.nodes[name] = Peers(name, incarnation=incarnation, claimed=claimed)
        self.bags.setdefault(name, [])

    def pulse(self, name, lose=False):
        node = self.nodes[name]
        node.publish()
        for message in node.outgoing():
            self.n_messages += 1
            data = encode(message)
            for other in [message.to] if message.to else self.nodes:
                if other != name and not lose:
                    self.bags[other].append(data)
            node.sent(message)

    def deliver_all(self, name):
        bag, self.bags[name] = self.bags[name], []
        return [self.nodes[name].receive(decode(data)) for data in bag]

    def crash(self, name):
        """Start a node again from what its store holds."""
        old = self.nodes[name]
        new = Peers(name, old.federation, old.founder)
        new.mark, new.previous, new.seq, new.announced = old.mark, old.previous, old.seq, old.announced
        new.restore(dict(old.slots), dict(old.words))
        new.local = old.local
        self.nodes[name] = new

    def settle(self, rounds=200):
        """Pulse round after round without faults until nothing was sent; return how many messages that took."""
        before = self.n_messages
        for _ in range(rounds):
            last = self.n_messages
            for name in self.nodes:
                self.deliver_all(name)
                self.pulse(name)
            if (
                last == self.n_messages
                and not any(self.bags.values())
                and all(n.converged for n in self.nodes.values())
            ):
                return last - before
        raise AssertionError("the nodes never fell silent")

    def check_converged(self):
        total = sum(node.local for node in self.nodes.values() if node.local is not None)
        for node in self.nodes.values():
            assert node.converged
            assert node.view == next(iter(self.nodes.values())).view
            if total:
                assert node.merged.digest == total.digest
                rest = PSR.zero(total.schema) if node.local is None else node.local
                assert node.others == total - rest


def network_of(n, learned=True):
    net = Network()
    net.found("a")
    for name in "bcdefgh"[: n - 1]:
        net.join(name)
    for name, batch in zip(net.nodes, BATCHES, strict=False):
        if learned:
            net.nodes[name].local = batch
    return net


class PeersMachine(RuleBasedStateMachine):
    """Learn, forget, pulse, join late, crash, while messages are lost, repeated, late and out of order."""

    names = st.sampled_from("abcd")

    @initialize()
    def found(self):
        self.net = Network()
        self.net.found("a")
        self.net.join("b")
        self.versions = {}

    def pick(self, name):
        return name if name in self.net.nodes else "a"

    @rule(name=names, batch=st.sampled_from(BATCHES))
    def learn(self, name, batch):
        node = self.net.nodes[self.pick(name)]
        node.local = batch if node.local is None else node.local + batch

    @rule(name=names)
    def forget(self, name):
        node = self.net.nodes[self.pick(name)]
        if node.local is not None:
            node.local = PSR.zero(node.local.schema)

    @rule(name=names, lose=st.booleans())
    def pulse(self, name, lose):
        self.net.pulse(self.pick(name), lose)

    @rule(name=names, data=st.data(), fate=st.sampled_from(["deliver", "duplicate", "drop"]))
    def carry(self, name, data, fate):
        name = self.pick(name)
        bag = self.net.bags[name]
        if not bag:
            return
        index = data.draw(st.integers(0, len(bag) - 1))
        message = bag[index] if fate == "duplicate" else bag.pop(index)
        if fate != "drop":
            event = self.net.nodes[name].receive(decode(message))
            assert not isinstance(event, Refused), event

    @rule(name=names)
    def deliver_all(self, name):
        self.net.deliver_all(self.pick(name))

    @rule(name=names)
    def crash(self, name):
        self.net.crash(self.pick(name))

    @precondition(lambda self: len(self.net.nodes) < 4)
    @rule()
    def join(self):
        self.net.join("abcd"[len(self.net.nodes)])

    def teardown(self):
        if hasattr(self, "net"):
            self.net.settle()
            self.net.check_converged()


TestPeersMachine = PeersMachine.TestCase
TestPeersMachine.settings = settings(max_examples=60, stateful_step_count=40)


@settings(max_examples=40)
@given(order=st.permutations(range(8)), repeats=st.lists(st.integers(0, 7), max_size=8))
def test_receiving_commutes_and_is_idempotent(order, repeats):
    """The same messages in any order, some of them twice, give the same slots, views and sums."""
    net = network_of(3)
    net.settle()
    messages = []
    for batch in BATCHES[:4]:
        for name in "bc":
            net.nodes[name].local = net.nodes[name].local + batch
            net.pulse(name)
            messages.append(net.bags["a"][-1])
    ordered, shuffled = net.nodes["a"], Network()
    shuffled.nodes["a"] = ordered
    shuffled.crash("a")
    mixed = shuffled.nodes["a"]
    for message in messages:
        ordered.receive(decode(message))
    for index in [*order, *repeats]:
        mixed.receive(decode(messages[index]))
    assert mixed.slots == ordered.slots
    assert mixed.words == ordered.words
    assert mixed.merged == ordered.merged


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_silence_after_few_messages(n):
    """One learn costs one broadcast of statistics, and at most two small ones of every member."""
    net = network_of(n)
    net.settle()
    net.nodes["a"].local = net.nodes["a"].local + BATCHES[5]
    assert net.settle() <= 2 * n + 1
    net.check_converged()
    assert net.settle() == 0


def test_late_joiner_holds_all_within_one_round():
    """A joiner has everybody's statistics once each of them has pulsed after its hello."""
    net = network_of(4)
    net.settle()
    net.join("late")
    net.pulse("late")
    for name in "abcd":
        net.deliver_all(name)
        net.pulse(name)
    net.deliver_all("late")
    assert net.nodes["late"].merged == sum(BATCHES[:4])
    net.settle()
    net.check_converged()


def test_member_without_rows_counts_as_a_member():
    """A joiner that has learned nothing is a member with an empty slot, and all converge."""
    net = network_of(2, learned=False)
    net.settle()
    assert net.nodes["a"].members == ["a", "b"]
    assert net.nodes["a"].merged is None
    net.check_converged()


def test_dead_member_is_asked_less_and_less():
    """A member that never answers gets fewer and fewer messages, the others get none, and it recovers."""
    net = network_of(3)
    net.settle()
    net.nodes["a"].local = net.nodes["a"].local + BATCHES[5]
    dead = net.nodes.pop("c")
    counts = []
    for _ in range(300):
        before = net.n_messages
        for name in "ab":
            net.deliver_all(name)
            net.pulse(name)
        counts.append(net.n_messages - before)
    assert sum(counts) <= 26
    assert sum(counts[150:]) <= 6
    assert not net.nodes["a"].converged
    net.nodes["c"] = dead
    net.settle()
    net.check_converged()


def test_lost_broadcast_is_sent_again():
    """A member that missed a version gets it directly, with the statistics."""
    net = network_of(2)
    net.settle()
    net.nodes["a"].local = net.nodes["a"].local + BATCHES[5]
    net.pulse("a", lose=True)
    net.pulse("a")
    assert not net.bags["b"]
    net.pulse("a")
    (data,) = net.bags["b"]
    assert decode(data).to == "b"
    assert decode(data).psr is not None
    assert net.deliver_all("b") == [Applied("a", net.nodes["a"].mark)]


def pulse_of(net, name, **changes):
    """Return what a node would broadcast, changed."""
    net.nodes[name].publish()
    message = net.nodes[name]._pulse(None, ask=False, full=True)
    return dataclasses.replace(message, **changes)


@pytest.fixture
def net():
    net = network_of(3)
    net.settle()
    return net


DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"federation": "other"}, "federation 'other'"),
        ({"to": "c"}, "addressed to 'c'"),
        ({"digest": DIGEST}, "equivocation: version 1"),
        ({"version": 2, "digest": DIGEST, "previous": DIGEST}, "equivocation: version 2 follows another"),
        ({"version": 2, "digest": DIGEST, "previous": BATCHES[1].digest}, "another digest than it says"),
        ({"version": 2, "digest": DIGEST, "previous": BATCHES[1].digest, "psr": b"x"}, "PSR"),
        ({"sender": "a", "version": 9, "view": {}}, "another home publishes"),
    ],
)
def test_broken_rules_are_refused(net, changes, reason):
    """A message that breaks a rule changes nothing and says which rule."""
    a = net.nodes["a"]
    before = (a.view, dict(a.words), a.merged, a.members)
    event = a.receive(pulse_of(net, "b", **changes))
    assert isinstance(event, Refused)
    assert reason in event.reason
    assert (a.view, dict(a.words), a.merged, a.members) == before


def test_other_columns_are_refused_with_the_differences(net):
    """Statistics of other columns are refused, and the reason lists them."""
    other = PSR.from_rows([[1.0]], [2.0])
    message = pulse_of(net, "b", version=2, digest=other.digest, previous=BATCHES[1].digest, psr=other.to_bytes())
    event = net.nodes["a"].receive(message)
    assert isinstance(event, Refused)
    assert "missing columns: ['x1']; unexpected columns: ['y']" in event.reason
    with pytest.raises(SchemaError, match="'y'"):
        net.nodes["a"].check(other)


def test_stale_and_repeated_messages_change_nothing(net):
    """An older version and a repeated message are stale; a view that is news is heard."""
    a, b = net.nodes["a"], net.nodes["b"]
    old = pulse_of(net, "b")
    assert isinstance(a.receive(old), Heard)
    assert isinstance(a.receive(old), Stale)
    b.local = b.local + ROW
    assert isinstance(a.receive(pulse_of(net, "b")), Applied)
    assert isinstance(a.receive(old), Stale)
    assert a.slots["b"].mark == b.mark


def test_only_the_sender_changes_its_slot(net):
    """Whatever a view says of another member, that member's slot stays."""
    a = net.nodes["a"]
    message = pulse_of(net, "b", view={"c": Mark(1, 7, DIGEST), "a": a.mark})
    assert isinstance(a.receive(message), Heard)
    assert a.slots["c"].mark == net.nodes["c"].mark


def test_views_raise_floors(net):
    """A slot that is older than somebody's view shows is not taken."""
    a, c = net.nodes["a"], net.nodes["c"]
    c.local = c.local + ROW
    replayed = pulse_of(net, "c")
    a.receive(pulse_of(net, "b", view={"c": Mark(1, 3, DIGEST), "a": a.mark}))
    assert isinstance(a.receive(replayed), Heard)
    assert a.slots["c"].mark.version == 1


def test_views_trigger_no_replies(net):
    """Of converged nodes, one whose newest view is repeated gets no answer unless it asks."""
    a = net.nodes["a"]
    a.receive(pulse_of(net, "b"))
    assert a.outgoing() == []
    a.receive(pulse_of(net, "b", ask=True))
    (answer,) = a.outgoing()
    assert (answer.to, answer.ask, answer.psr) == ("b", False, None)


@pytest.mark.parametrize("incarnation", [1, 2])
def test_fresh_home_does_not_take_a_name_unasked(net, incarnation):
    """A fresh home under a member's name is refused, sees why, and says nothing more; its user can claim the name."""
    net.join("b", incarnation=incarnation)
    net.nodes["b"].local = BATCHES[4]
    net.pulse("b")
    event = net.deliver_all("a")[0]
    if incarnation == 1:
        assert isinstance(event, Hello)
    else:
        assert event == Refused("b", "the member name is taken by another home; join under another name")
    net.pulse("a")
    net.deliver_all("b")
    assert net.nodes["b"].ahead == net.nodes["a"].slots["b"].mark
    net.pulse("b")
    assert not net.nodes["b"].outgoing()
    assert net.nodes["a"].slots["b"].psr == BATCHES[1]
    net.nodes["b"].renew()
    net.settle()
    net.check_converged()
    assert net.nodes["a"].slots["b"].psr == BATCHES[4]


def test_newer_incarnation_takes_the_place_of_the_older(net):
    """A fresh home that claims a known name replaces what its predecessor published."""
    net.join("b", incarnation=2, claimed=True)
    net.nodes["b"].local = BATCHES[4]
    net.settle()
    net.check_converged()
    assert net.nodes["a"].slots["b"].psr == BATCHES[4]


def test_hello_under_ones_own_name_is_refused(net):
    """A member that hears somebody join under its own name says so."""
    hello = Peers("a", incarnation=7).outgoing()[0]
    assert isinstance(net.nodes["a"].receive(hello), Refused)
    assert net.nodes["a"].ahead is None


def test_another_founder_is_another_federation(net):
    """Of two federations of one name, each refuses the other's messages, and keeps its order of columns."""
    other = Peers("z", "f", "z")
    other.local = ROW.select(["x1", "x0"])
    other.publish()
    (message,) = other.outgoing() or [other._pulse(None, ask=False, full=True)]
    event = net.nodes["a"].receive(message)
    assert isinstance(event, Refused)
    assert "'z' founded it, and this one 'a'" in event.reason
    assert isinstance(other.receive(pulse_of(net, "a")), Refused)
    assert "z" not in net.nodes["a"].members
    assert {node.merged.names for node in net.nodes.values()} == {("x0", "x1")}


def test_fresh_home_with_an_old_clock_begins_a_later_incarnation(net):
    """A fresh home that hears of a predecessor goes on after it, although it dates itself earlier."""
    net.nodes["b"].renew(100)
    net.settle()
    net.join("b", incarnation=5, claimed=True)
    net.nodes["b"].local = BATCHES[4]
    net.settle()
    net.check_converged()
    assert net.nodes["b"].mark.incarnation > 100


def test_restored_backup_stops_publishing_until_renewed(net):
    """A home that is behind what others hold of it falls silent, until told that it counts."""
    backup, now = Network(), net.nodes["b"]
    backup.nodes["b"] = now
    backup.crash("b")
    now.local = now.local + BATCHES[4]
    net.settle()
    net.nodes["b"] = restored = backup.nodes["b"]
    restored.local = restored.local + BATCHES[5]
    for _ in range(6):
        for name in net.nodes:
            net.deliver_all(name)
            net.pulse(name)
    assert restored.ahead is not None
    assert all(message.psr is None for message in restored.outgoing())
    assert not restored.publish()
    assert net.nodes["a"].slots["b"].mark == now.mark
    restored.renew()
    net.settle()
    net.check_converged()


def test_restored_backup_is_found_out_without_new_rows(net):
    """A home that went back to an old copy asks, hears that it is behind, and nobody calls that converged."""
    backup, now = Network(), net.nodes["b"]
    backup.nodes["b"] = now
    backup.crash("b")
    now.local = now.local + BATCHES[4]
    net.settle()
    net.nodes["b"] = restored = backup.nodes["b"]
    assert not restored.converged
    counts = []
    for _ in range(300):
        before = net.n_messages
        for name in net.nodes:
            net.deliver_all(name)
            net.pulse(name)
        counts.append(net.n_messages - before)
    assert restored.ahead == now.mark
    assert not any(node.converged for node in net.nodes.values() if node.member in "ab")
    assert sum(counts[150:]) <= 6
    restored.renew()
    net.settle()
    net.check_converged()


@pytest.mark.parametrize("clock", ["goes on", "went back"])
@settings(max_examples=40)
@given(chance=st.randoms(use_true_random=False))
def test_backups_restored_at_any_time_are_noticed(clock, chance):
    """However often homes go back to old copies: who says converged, once it heard all, is right; resuming heals."""
    net, backups = network_of(3), Network()
    net.settle()
    for step in range(40):
        name, act = chance.choice("abc"), chance.choice(["learn", "pulse", "pulse", "deliver", "back up", "restore"])
        node = net.nodes[name]
        if act == "learn":
            node.local = node.local + BATCHES[chance.randrange(6)]
        elif act == "pulse":
            net.pulse(name, lose=chance.random() < 0.2)
        elif act == "deliver":
            net.deliver_all(name)
        elif act == "back up":
            backups.nodes[name] = node
            backups.crash(name)
        elif name in backups.nodes:
            net.nodes[name] = backups.nodes[name]
            backups.crash(name)
            if clock == "goes on":
                net.nodes[name].seq = 1000 * (step + 1)
    for _ in range(70):
        for name in net.nodes:
            net.deliver_all(name)
            net.pulse(name)
    if any(node.converged for node in net.nodes.values()):
        assert len({node.merged.digest for node in net.nodes.values()}) == 1
    for node in net.nodes.values():
        if node.ahead is not None:
            node.renew()
    net.settle(rounds=2000)
    net.check_converged()


def test_restored_backup_that_missed_a_version_gets_it(net):
    """A home that went back to before it took a peer's version in is given that version again."""
    backup = Network()
    backup.nodes["b"] = net.nodes["b"]
    backup.crash("b")
    net.nodes["a"].local = net.nodes["a"].local + BATCHES[4]
    net.settle()
    net.nodes["b"] = backup.nodes["b"]
    net.nodes["b"].seq += 1000
    net.settle()
    net.check_converged()


def test_a_restart_costs_one_message_a_member(net):
    """A node that starts again asks everybody once, is answered once by each, and believes nothing before."""
    net.crash("b")
    assert not net.nodes["b"].converged
    assert net.nodes["b"].lagging == ["a", "c"]
    assert net.settle() == 3
    net.check_converged()


def test_a_restart_beside_a_dead_member_is_nearly_silent(net):
    """A member that does not answer after a restart is asked less and less, without end to the doubling."""
    del net.nodes["c"]
    net.crash("b")
    before = net.n_messages
    for _ in range(1000):
        for name in net.nodes:
            net.deliver_all(name)
            net.pulse(name)
    assert net.n_messages - before <= 13
    assert not net.nodes["b"].converged


def test_order_of_columns_is_the_founders():
    """Members that learned columns in another order merge by name, in the founder's order."""
    net = network_of(2, learned=False)
    net.nodes["b"].local = PSR.from_rows([[1.0, 2.0]]).select(["x1", "x0"])
    net.settle()
    assert net.nodes["a"].merged.names == net.nodes["b"].merged.names == ("x1", "x0")
    net.nodes["a"].local = PSR.from_rows([[3.0, 4.0]])
    net.settle()
    for node in net.nodes.values():
        assert node.merged.names == node.others.names == node.psr_of(["a", "b"]).names == ("x0", "x1")
        assert node.merged == PSR.from_rows([[1.0, 2.0], [3.0, 4.0]])


def test_psr_of_some_members(net):
    """The statistics of chosen members are their sum, each counted once; a stranger is an error."""
    a = net.nodes["a"]
    assert a.psr_of(["b", "c", "b"]) == BATCHES[1] + BATCHES[2]
    assert a.psr_of([]).n_rows == 0
    with pytest.raises(FederationError, match="'zoe'"):
        a.psr_of(["zoe"])


def test_strangers_hello_is_answered_and_changes_nothing(net):
    """A hello is answered with statistics, and makes nobody a member."""
    a, hello = net.nodes["a"], Peers("new").outgoing()[0]
    assert isinstance(a.receive(hello), Hello)
    (answer,) = a.outgoing()
    assert answer.to == "new"
    assert answer.psr is not None
    a.sent(answer)
    assert a.outgoing() == []
    assert a.converged
    assert "new" not in a.members


def test_counters_end_with_an_error():
    """A node that has used up its counters says so instead of starting again."""
    node = Peers("a", "f", "a")
    node.local = ROW
    node.seq = MAX_COUNTER
    node.publish()
    with pytest.raises(FederationError, match="sequence"):
        node.outgoing()
    node.mark, node.local = Mark(1, MAX_COUNTER, DIGEST), BATCHES[1]
    with pytest.raises(FederationError, match="version"):
        node.publish()
    node.mark = Mark(MAX_COUNTER, 1, DIGEST)
    with pytest.raises(FederationError, match="incarnation"):
        node.renew()

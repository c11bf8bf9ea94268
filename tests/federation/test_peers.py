"""The eight rules of the join, each by name; then order, repetition, loss, silence and what they cost."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import FederationError, SchemaError
from sklearn_symfed.federation._claims import Claim, Mark, Proof, conflict, read_entry, signed_claim
from sklearn_symfed.federation._envelope import Header, seal_all
from sklearn_symfed.federation._events import Applied, Condemned, Heard, Refused, Stale
from sklearn_symfed.federation._fields import MAX_COUNTER
from sklearn_symfed.federation._messages import Packed, Pulse, pack_message
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

BATCHES = [PSR.from_rows([[float(number), 1.0 / (number + 1)]]) for number in range(6)]
DIGEST = "ab" * 32


def network_of(n, *, learned=True):
    net = Simulation("a", schema=BATCHES[0].schema)
    net.admit(*"bcdefgh"[: n - 1])
    if learned:
        for name, batch in zip(net.nodes, BATCHES * 2, strict=False):
            net.learn(name, batch)
    net.settle()
    return net


@pytest.fixture
def net():
    return network_of(3)


def claim_of(net, name, version, digest, previous, *, incarnation=None, origins=()):
    """Return what a node could sign, were it dishonest."""
    node = net.nodes[name]
    mark = Mark(incarnation or node.peers.own.incarnation, version, digest)
    return signed_claim(mark, previous, origins, node.federation, name, node.identity.sign)


def message_of(net, name, *, claim=None, psr=None, view=None, ask=0, to=None, seq=None, signer=None):
    """Return a message that a node could send, were it dishonest."""
    node = net.nodes[name]
    own = claim or node.peers.own
    entries = {**node.peers.entries, **(view or {}), name: own.to_bytes()}
    psrs = () if psr is None else (Packed.of(name, psr.to_bytes()),)
    header = node._header(Pulse(ask, entries, psrs), to)
    header = Header(**{**header._asdict(), "incarnation": own.incarnation, "version": own.version})
    header = header if seq is None else header._replace(seq=seq)
    identity = (signer and net.nodes[signer].identity) or node.identity
    return seal_all(header, pack_message(Pulse(ask, entries, psrs)), node.key, identity, net.random)


def receive(net, name, data):
    return net.nodes[name].receive(data, net.now)


def state(net, name):
    peers = net.nodes[name].peers
    return peers.view, dict(peers.words), peers.merged, peers.own


def step(net, name, psr):
    """Have a node learn rows; return claim and statistics of what it would publish next."""
    node = net.nodes[name]
    own, total = node.peers.own, node.local + psr
    return claim_of(net, name, own.version + 1, total.digest, own.digest), total


# -- the eight rules -------------------------------------------------------------------------------------------------


def test_rule_1_only_its_owners_signature_changes_a_slot(net):
    """Neither a message that another member signs, nor a claim of another in a view, changes a member's slot."""
    claim, total = step(net, "c", BATCHES[4])
    forged = message_of(net, "c", claim=claim, psr=total, signer="b")
    before = state(net, "a")
    assert receive(net, "a", forged) == [Refused(None, "it is not signed by a member")]
    faked = signed_claim(claim.mark, claim.previous, (), net.nodes["b"].federation, "c", net.nodes["b"].identity.sign)
    (refused,) = receive(net, "a", message_of(net, "b", view={"c": faked.to_bytes()}))
    assert refused == Refused("b", "its view holds a claim of 'c' that 'c' has not signed")
    assert state(net, "a") == before
    (applied,) = receive(net, "a", message_of(net, "c", claim=claim, psr=total))
    assert applied == Applied("c", claim.mark)


def test_rule_1_whoever_carries_it(net):
    """A slot that its owner signed counts when another member passes it on."""
    claim, total = step(net, "c", BATCHES[4])
    entries = {**net.nodes["b"].peers.entries, "c": claim.to_bytes()}
    pulse = Pulse(0, entries, (Packed.of("c", total.to_bytes()),))
    b = net.nodes["b"]
    data = seal_all(b._header(pulse, "a"), pack_message(pulse), b.key, b.identity, net.random)
    assert receive(net, "a", data) == [Applied("c", claim.mark)]
    assert net.nodes["a"].peers.psr_of(["c"]) == total


def test_rule_2_the_higher_incarnation_and_version_wins(net):
    """A later version replaces the slot, an earlier one never does, and a later incarnation beats any version."""
    first, one = step(net, "c", BATCHES[3])
    two = one + BATCHES[4]
    second = claim_of(net, "c", first.version + 1, two.digest, first.digest)
    assert receive(net, "a", message_of(net, "c", claim=second, psr=two)) == [Applied("c", second.mark)]
    assert receive(net, "a", message_of(net, "c", claim=first, psr=one, seq=1)) == [Stale("c")]
    assert net.nodes["a"].peers.psr_of(["c"]) == two
    life = claim_of(net, "c", 1, one.digest, "", incarnation=second.incarnation + 1)
    assert receive(net, "a", message_of(net, "c", claim=life, psr=one)) == [Applied("c", life.mark)]
    assert net.nodes["a"].peers.psr_of(["c"]) == one


def test_rule_2_each_pulse_names_the_digest_of_the_owners_previous_one(net):
    """Every version that a node publishes names the one before; version 1 and version 0 name none."""
    claims = [net.nodes["b"].peers.own]
    for batch in BATCHES[:3]:
        net.learn("b", batch)
        net.pulse("b")
        claims.append(net.nodes["b"].peers.own)
    assert [(claim.version, claim.previous) for claim in claims[1:]] == [
        (last.version + 1, last.digest) for last in claims[:-1]
    ]
    assert all(not conflict(first, second) for first in claims for second in claims)


def equivocate(net):
    """Return two messages of c that contradict each other."""
    first, one = step(net, "c", BATCHES[3])
    second, two = step(net, "c", BATCHES[4])
    return message_of(net, "c", claim=first, psr=one), message_of(net, "c", claim=second, psr=two)


def test_rule_3_equivocation_is_proven_forwarded_and_zeroed_on_every_node(net):
    """Who tells two members two things is found out as soon as they speak, and counts for nothing with everybody."""
    to_a, to_b = equivocate(net)
    receive(net, "a", to_a), receive(net, "b", to_b)
    net.nodes.pop("c")
    net.pulse("a")
    events = net.deliver("b")
    assert [event.member for event in events if isinstance(event, Condemned)] == ["c"]
    assert isinstance(net.nodes["b"].peers.slots["c"].entry, Proof)
    net.pulse("b")
    assert [event.member for event in net.deliver("a") if isinstance(event, Condemned)] == ["c"]
    for name in "ab":
        assert net.nodes[name].peers.merged == BATCHES[0] + BATCHES[1]
    net.join(net.invite("d"))
    for _ in range(3):
        net.round()
    assert isinstance(net.nodes["d"].peers.slots["c"].entry, Proof)


def test_rule_3_a_version_that_names_another_one_before_it_is_equivocation(net):
    """A version whose previous digest is not that of the version before is a proof, too."""
    claim = claim_of(net, "c", 2, BATCHES[4].digest, DIGEST)
    (event,) = receive(net, "a", message_of(net, "c", claim=claim, psr=BATCHES[4]))[:1]
    assert isinstance(event, Condemned)


def test_rule_3_the_equivocator_is_told_and_may_begin_a_new_incarnation(net):
    """The owner hears the proof, publishes no more, and counts again after resume()."""
    to_a, to_b = equivocate(net)
    receive(net, "a", to_a), receive(net, "b", to_b)
    net.learn("c", BATCHES[5])
    for _ in range(4):
        net.round()
    assert isinstance(net.nodes["c"].peers.ahead, Proof)
    assert not net.nodes["c"].peers.publish()
    net.nodes["c"].peers.renew()
    net.settle()
    net.check(sum(BATCHES[:3]) + BATCHES[5])


def test_rule_3_a_proof_that_proves_nothing_is_refused(net):
    """Two claims that may both be true, or that their owner has not signed, condemn nobody."""
    own = net.nodes["c"].peers.own
    after, _ = step(net, "c", BATCHES[4])
    for pair in ((own, after), (own, own)):
        (refused,) = receive(net, "a", message_of(net, "b", view={"c": Proof(*pair).to_bytes()}))
        assert "may both be true" in refused.reason
    forged = dataclasses.replace(own, digest=DIGEST)
    (refused,) = receive(net, "a", message_of(net, "b", view={"c": Proof(own, forged).to_bytes()}))
    assert "not signed" in refused.reason


def test_rule_4_a_removed_members_slot_goes_with_the_new_roster(net):
    """As soon as a node applies the roster, the removed member's rows are not counted."""
    net.nodes["a"].remove("c")
    assert "c" not in net.nodes["a"].peers.slots
    assert net.nodes["a"].peers.merged == BATCHES[0] + BATCHES[1]
    net.pulse("a")
    net.deliver("b")
    assert net.nodes["b"].peers.merged == BATCHES[0] + BATCHES[1]


@pytest.mark.parametrize(
    ("psr", "reason"),
    [
        (BATCHES[4], "another digest than it says"),
        (PSR.from_rows([[1.0]], [2.0]), "missing columns: ['x1']; unexpected columns: ['y']"),
        (b"x", "PSR"),
        (BATCHES[3].to_bytes()[:-4] + b"\xff\xff\xff\xff", "negative sum of squares"),
    ],
)
def test_rule_5_what_is_not_valid_changes_nothing_and_says_why(net, psr, reason):
    """Statistics of another digest or schema, or that no rows can have, are refused with their reason."""
    digest = psr.digest if isinstance(psr, PSR) and psr.names != ("x0", "x1") else BATCHES[3].digest
    claim = claim_of(net, "b", 2, digest, net.nodes["b"].peers.own.digest)
    node, before = net.nodes["b"], state(net, "a")
    data = psr if isinstance(psr, bytes) else psr.to_bytes()
    pulse = Pulse(0, {**node.peers.entries, "b": claim.to_bytes()}, (Packed.of("b", data),))
    sealed = seal_all(node._header(pulse, None), pack_message(pulse), node.key, node.identity, net.random)
    (refused,) = receive(net, "a", sealed)
    assert isinstance(refused, Refused)
    assert refused.member == "b"
    assert reason in refused.reason
    assert state(net, "a") == before


def test_rule_5_what_is_not_authentic_changes_nothing(net):
    """A message of another key, epoch, federation or protocol is refused without being opened."""
    node, before = net.nodes["b"], state(net, "a")
    data = message_of(net, "b")
    other = Simulation("b", seed=9)
    other.admit("z")
    cases = {
        b"symfed" + b"\0\2\7\10\11" + data[11:]: "install sklearn-symfed 7.8.9 or later",
        b"poison": "expected 77 to",
        data[:-1] + bytes([data[-1] ^ 1]): "not signed by a member",
        other.pulse("b")[0].data if other.pulse("b") else message_of(other, "b"): "another federation",
    }
    for bad, reason in cases.items():
        (refused,) = receive(net, "a", bad)
        assert reason in refused.reason
    header = node._header(Pulse(0, {}, ()), None)._replace(epoch=2)
    (refused,) = receive(net, "a", seal_all(header, b"", node.key, node.identity, net.random))
    assert refused == Refused("b", "it is of epoch 2, and this is epoch 1")
    assert state(net, "a") == before


def test_rule_7_every_authenticated_view_raises_a_floor(net):
    """A slot that is older than somebody's view shows is not taken, though it is newer than what is held."""
    first, one = step(net, "c", BATCHES[3])
    two = one + BATCHES[4]
    second = claim_of(net, "c", first.version + 1, two.digest, first.digest)
    old = message_of(net, "c", claim=first, psr=one)
    assert receive(net, "a", message_of(net, "b", view={"c": second.to_bytes()})) == [Heard("b")]
    assert receive(net, "a", old) == [Heard("c")]
    assert net.nodes["a"].peers.slots["c"].mark.version == 1
    assert receive(net, "a", message_of(net, "c", claim=second, psr=two)) == [Applied("c", second.mark)]


def test_rule_7_views_never_trigger_replies(net):
    """Of converged nodes, one whose newest view is repeated gets no answer unless it asks."""
    receive(net, "a", message_of(net, "b"))
    assert net.pulse("a") == []
    receive(net, "a", message_of(net, "b", ask=1))
    (answer,) = net.pulse("a")
    assert (answer.to, answer.speech.own) == ("b", False)
    receive(net, "a", message_of(net, "b", ask=2))
    (answer,) = net.pulse("a")
    assert (answer.to, answer.speech.own) == ("b", True)


def test_rule_8_a_restored_home_reads_its_peers_views_first(net):
    """A home that is taken up publishes nothing new before a peer has spoken, or three pulses went by in silence."""
    net.crash("b")
    net.learn("b", BATCHES[4])
    net.pulse("b")
    assert net.nodes["b"].peers.mark.version == 1
    net.round("a")
    net.deliver("b")
    net.pulse("b")
    assert net.nodes["b"].peers.mark.version == 2
    net.crash("b")
    net.learn("b", BATCHES[5])
    for _ in range(4):
        net.pulse("b", lose=True)
    assert net.nodes["b"].peers.mark.version == 3


def test_rule_8_a_restored_backup_refuses_to_publish_until_resume(net):
    """A home that is behind what others hold of it falls silent until a new incarnation, which then counts."""
    backup = net.backup("b")
    net.learn("b", BATCHES[4])
    net.settle()
    net.restore("b", backup)
    net.learn("b", BATCHES[5])
    for _ in range(8):
        net.round()
    peers = net.nodes["b"].peers
    assert peers.ahead.mark.version == 2
    assert not peers.publish()
    assert not any(node.peers.converged for node in net.nodes.values())
    peers.renew()
    net.settle()
    net.check(sum(BATCHES[:3]) + BATCHES[5])


def test_rule_8_counters_are_capped():
    """A node that has used up its counters says so instead of starting again."""
    net = network_of(2)
    peers = net.nodes["a"].peers
    peers.seq = MAX_COUNTER
    net.learn("a", BATCHES[5])
    with pytest.raises(FederationError, match="sequence"):
        net.pulse("a")
    peers.own = claim_of(net, "a", MAX_COUNTER - 1, DIGEST, DIGEST)
    with pytest.raises(FederationError, match="version"):
        peers.publish()
    peers.own = claim_of(net, "a", 0, "", "", incarnation=MAX_COUNTER - 1)
    with pytest.raises(FederationError, match="incarnation"):
        peers.renew()


# -- origins ---------------------------------------------------------------------------------------------------------


def test_overlapping_origins_count_once_and_for_all_the_same(net):
    """Of two members whose statistics hold rows of one origin, all nodes count the one that was admitted first."""
    shared = b"s" * 16
    for name in "cb":
        node = net.nodes[name]
        node.peers.origins = tuple(sorted([node.identity.public.origin, shared]))
        net.learn(name, BATCHES[3])
    net.settle()
    for node in net.nodes.values():
        assert node.peers.merged == BATCHES[0] + BATCHES[1] + BATCHES[3]
        assert node.peers.overlapping == {"c": "b"}
    net.nodes["b"].peers.origins = ()
    net.learn("b", BATCHES[4])
    net.settle()
    net.check(sum(BATCHES[:3]) + BATCHES[3] + BATCHES[3] + BATCHES[4])


# -- order, repetition, loss -----------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(order=st.permutations(range(8)), repeats=st.lists(st.integers(0, 7), max_size=8))
def test_receiving_commutes_and_is_idempotent(order, repeats):
    """The same messages in any order, some of them twice, give the same slots, views and sums."""
    net = network_of(3)
    for batch in BATCHES[:4]:
        for name in "bc":
            net.learn(name, batch)
            net.pulse(name)
    messages = net.bags["a"]
    start = net.backup("a")
    results = []
    for sequence in (range(8), [*order, *repeats]):
        node = net.restore("a", start)
        for index in sequence:
            node.receive(messages[index], net.now)
        results.append((node.peers.slots, node.peers.words, node.peers.merged))
    assert results[0] == results[1]


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_silence_after_few_messages(n):
    """One learn costs one broadcast of statistics, and at most two small ones of every member."""
    net = network_of(n)
    net.learn("a", BATCHES[5])
    assert net.settle() <= 2 * n + 1
    net.check(sum((BATCHES * 2)[:n]) + BATCHES[5])
    assert net.settle() == 0


def test_member_without_rows_counts_as_a_member():
    """A member that has learned nothing has an empty slot, and all converge."""
    net = network_of(2, learned=False)
    assert net.nodes["a"].peers.merged.n_rows == 0
    assert set(net.nodes["a"].peers.view) == {"a", "b"}


def test_dead_member_is_asked_less_and_less(net):
    """A member that never answers gets fewer and fewer messages, the others get none, and it recovers."""
    net.learn("a", BATCHES[5])
    dead = net.nodes.pop("c")
    counts = []
    for _ in range(300):
        before = net.n_messages
        net.round()
        counts.append(net.n_messages - before)
    assert sum(counts) <= 26
    assert sum(counts[150:]) <= 6
    assert not net.nodes["a"].peers.converged
    net.nodes["c"] = dead
    net.settle()
    net.check(sum(BATCHES[:3]) + BATCHES[5])


def test_lost_broadcast_is_sent_again():
    """A member that missed a version gets it directly, with the statistics."""
    net = network_of(2)
    net.learn("a", BATCHES[5])
    net.pulse("a", lose=True)
    net.pulse("a")
    assert not net.bags["b"]
    (message,) = net.pulse("a")
    assert (message.to, message.speech.own) == ("b", True)
    assert net.deliver("b") == [Applied("a", net.nodes["a"].peers.mark)]


def test_a_restart_costs_one_message_a_member(net):
    """A node that starts again asks everybody once, is answered once by each, and believes nothing before."""
    net.crash("b")
    assert not net.nodes["b"].peers.converged
    assert net.nodes["b"].peers.lagging == ["a", "c"]
    assert net.settle() == 3
    net.check(sum(BATCHES[:3]))


def test_a_restart_beside_a_dead_member_is_nearly_silent(net):
    """A member that does not answer after a restart is asked less and less, without end to the doubling."""
    del net.nodes["c"]
    net.crash("b")
    before = net.n_messages
    for _ in range(1000):
        net.round()
    assert net.n_messages - before <= 13
    assert not net.nodes["b"].peers.converged


def test_a_restored_backup_that_missed_a_version_gets_it(net):
    """A home that went back to before it took a peer's version in is given that version again."""
    backup = net.backup("b")
    net.learn("a", BATCHES[4])
    net.settle()
    net.restore("b", backup)
    net.settle()
    net.check(sum(BATCHES[:3]) + BATCHES[4])


def test_a_full_sync_brings_every_slot_again(net):
    """After request_full_sync every member sends its statistics, though nothing was missing."""
    net.nodes["b"].peers.ask_all()
    net.pulse("b")
    for name in "ac":
        net.deliver(name)
        assert [message.speech.own for message in net.pulse(name) if message.to == "b"] == [True]
    net.settle()
    net.check(sum(BATCHES[:3]))


def test_order_of_columns_is_the_schemas():
    """Members that learned columns in another order merge by name, in the schema's order."""
    net = network_of(2, learned=False)
    net.learn("b", PSR.from_rows([[1.0, 2.0]]).select(["x1", "x0"]))
    net.settle()
    for node in net.nodes.values():
        assert node.peers.merged.names == node.peers.others.names == node.peers.psr_of("ab").names == ("x0", "x1")
        assert node.peers.merged == PSR.from_rows([[1.0, 2.0]])


def test_psr_of_some_members(net):
    """The statistics of chosen members are their sum, each counted once; a stranger is an error."""
    peers = net.nodes["a"].peers
    assert peers.psr_of(["b", "c", "b"]) == BATCHES[1] + BATCHES[2]
    assert peers.psr_of([]).n_rows == 0
    with pytest.raises(FederationError, match="'zoe'"):
        peers.psr_of(["zoe"])


def test_labels_of_another_kind_are_refused(net):
    """A member whose labels are of another kind than the others' is refused before they are added up."""
    schema = PSR.from_rows([[1.0]], [True], classes=True).schema
    net = Simulation("a", schema=schema)
    net.admit("b")
    net.learn("a", PSR.from_rows([[1.0]], [True], classes=True))
    net.learn("b", PSR.from_rows([[1.0]], ["yes"], classes=True))
    net.pulse("a"), net.pulse("b")
    (refused,) = [event for event in net.deliver("a") if isinstance(event, Refused)]
    assert "bool" in refused.reason
    with pytest.raises(SchemaError):
        net.nodes["a"].peers.check({"b": net.nodes["b"].local})


def labelled(label):
    """Return statistics of one row, of a class."""
    return PSR.from_rows([[1.0]], [label], classes=True)


@pytest.mark.parametrize("crashes", [False, True])
def test_members_whose_labels_contradict_those_of_an_earlier_one_yield(crashes):
    """Two that agree on the wrong kind hold one another's labels: both are told, and all converge once they relearn."""
    nothing = PSR.zero(labelled(True).schema)
    net = Simulation("a", schema=nothing.schema)
    net.admit("b", "c")
    net.settle()
    net.part("a", "bc")
    net.learn("a", labelled(True)), net.learn("b", labelled(1)), net.learn("c", labelled(2))
    for _ in range(4):
        net.round()
    assert net.nodes["b"].peers.merged == labelled(1) + labelled(2)
    net.heal()
    for _ in range(40):
        net.round()
    if crashes:
        net.crash("b"), net.crash("c")
        for _ in range(40):
            net.round()
    assert net.nodes["a"].peers.mismatch() is None
    assert net.nodes["a"].peers.merged == labelled(True)
    for name in "bc":
        peers = net.nodes[name].peers
        assert "int instead of bool" in peers.mismatch()
        assert peers.offered is None
        assert not peers.converged
        net.nodes[name].local = nothing
    net.settle()
    net.check(labelled(True))
    net.learn("b", labelled(False)), net.learn("c", labelled(True))
    net.settle()
    net.check(labelled(True) + labelled(False) + labelled(True))


def test_nobody_yields_to_a_member_who_contradicts_an_earlier_one():
    """The labels of the first that was admitted stay: the second cannot hold the third back by labels of its own."""
    net = Simulation("a", schema=labelled(1).schema)
    net.admit("b", "c")
    net.learn("a", labelled(1)), net.learn("c", labelled(2))
    net.settle()
    net.learn("b", labelled("x"))
    for _ in range(10):
        net.round()
    assert "str instead of int" in net.nodes["b"].peers.mismatch()
    net.nodes["b"].peers.mismatch = lambda: None  # b does not go by the rules
    net.nodes["b"].peers._return = lambda: None
    net.pulse("b")
    for name in "ac":
        assert "labels of kinds" in next(event.reason for event in net.deliver(name) if isinstance(event, Refused))
    for _ in range(10):
        net.round()
    for name in "ac":
        assert net.nodes[name].peers.mismatch() is None
        assert net.nodes[name].peers.merged == labelled(1) + labelled(2)


def test_a_node_that_yielded_counts_again_when_the_contradiction_is_gone():
    """The earlier member takes its labels back: those of the later one, which it never forgot, are published."""
    net = Simulation("a", schema=labelled(True).schema)
    net.admit("b")
    net.settle()
    net.learn("a", labelled(True)), net.learn("b", labelled(1))
    net.round(), net.round()
    assert net.nodes["b"].peers.merged == labelled(True)
    net.nodes["a"].local = PSR.zero(labelled(True).schema)
    net.settle()
    net.check(labelled(1))


def test_entries_have_one_form():
    """A claim and a proof come back from their bytes, and other bytes are neither."""
    net = network_of(2)
    own = net.nodes["a"].peers.own
    assert read_entry(own.to_bytes()) == own
    assert isinstance(own, Claim)
    for bad in (b"", b"\3", own.to_bytes() + b"\0", own.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="Got"):
            read_entry(bad)

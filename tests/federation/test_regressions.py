"""Courses of events that `test_machine.py` found, or that its findings pointed at: each with what had gone wrong."""

from __future__ import annotations

import pytest

from sklearn_symfed.federation._claims import Mark, signed_claim
from sklearn_symfed.federation._envelope import open_envelope, seal_all
from sklearn_symfed.federation._messages import Packed, Pulse, pack_message
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

A, B, C, D = (PSR.from_rows([[float(number), 2.0]]) for number in range(4))


def network_of(*names, admins=(), topology="decentralised"):
    """Return a federation in which `a` founded, and each of the others has joined."""
    net = Simulation("a", schema=A.schema, topology=topology)
    for name in names:
        net.admit(name, admin=name in admins)
    return net


def rounds(net, times):
    for _ in range(times):
        net.round()


@pytest.mark.parametrize("topology", ["decentralised", "centralised"])
def test_a_founder_restored_from_before_anybody_joined_hears_of_the_members(topology):
    """It has nobody to ask, so it asks whoever listens: members that had fallen silent never told it of themselves."""
    net = network_of(topology=topology)
    net.learn("a", A)
    net.settle()
    backup = net.backup("a")
    net.admit("b")
    net.learn("b", B)
    net.settle()
    net.restore("a", backup)
    net.settle()
    net.check(A + B)


def test_what_was_told_beyond_the_state_that_stays_goes_with_the_leaver():
    """Of a leaver who told one member of a later state than it left, that member held what nobody else would take."""
    net = network_of("b", "c")
    net.learn("a", A)
    net.settle()
    c = net.nodes["c"]
    claim = signed_claim(Mark(c.peers.own.incarnation, 1, C.digest), "", (), c.federation, "c", c.identity.sign)
    pulse = Pulse(0, {**c.peers.entries, "c": claim.to_bytes()}, (Packed.of("c", C.to_bytes()),))
    data = seal_all(c._header(pulse, None), pack_message(pulse), c.key, c.identity, net.random)
    net.nodes["b"].receive(data, net.now)
    assert net.nodes["b"].peers.merged == A + C
    c.leave(forget=False)
    net.pulse("c")
    net.bags["b"].clear()
    net.round("ab")
    assert "c" in net.nodes["b"].roster.former
    net.settle()
    net.check(A)


def test_whoever_was_admitted_by_a_chain_that_lost_is_told():
    """The holder of a name that the chain that counts gives to other keys never heard that it is no member."""
    net = network_of("b", "c", admins="bc")
    net.part("b", "ac")
    net.nodes["b"].change("recover", {"member": "b"}, net.recovery)
    for _ in range(3):
        net.nodes["b"].change("rotate", {})
    net.join(net.invite("a", by="c"))
    rounds(net, 4)
    assert net.nodes["a"].is_member
    net.heal()
    rounds(net, 100)
    assert not net.nodes["a"].is_member
    net.nodes["b"].remove("a")
    net.settle()
    net.check(PSR.zero(A.schema))


def test_a_removal_that_is_made_again_does_not_hit_a_successor():
    """One admin removes a lost home while the other admits its successor: the removal was not meant for that one."""
    net = network_of("b", "c", admins="b")
    net.learn("a", A)
    net.settle()
    net.part("a", "bc")
    net.nodes["a"].remove("c")
    net.nodes["b"].change("schedule", {"schedule": "1h"})
    net.join(net.invite("c", by="b"))
    rounds(net, 4)
    net.heal()
    net.settle()
    net.learn("c", C)
    net.settle()
    assert net.nodes["a"].roster.members["c"].keys == net.nodes["c"].identity.public
    net.check(A + C)


@pytest.mark.parametrize("topology", ["decentralised", "centralised"])
def test_rows_that_stay_are_handed_over_before_their_last_holder_leaves(topology):
    """A new admin let the old one go before it held the rows of somebody who had left earlier, and they were lost."""
    net = network_of("c", topology=topology)
    net.learn("c", C)
    net.settle()
    net.nodes["c"].leave(forget=False)
    net.settle()
    del net.nodes["c"]
    net.join(net.invite("b", admin=True))
    net.pulse("b")
    net.round("a")
    net.deliver("b", [0])
    assert net.nodes["b"].is_admin
    net.nodes["a"].leave(forget=True)
    net.settle()
    assert net.nodes["a"].left
    net.check(C)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("topology", ["decentralised", "centralised"])
def test_a_restored_home_is_told_of_a_claim_whose_statistics_are_lost(topology, restarts):
    """A joiner that had heard of a later version took no earlier one, and its owner, restored, never heard why."""
    net = network_of("b", "f", topology=topology, admins="b")
    net.learn("f", A)
    net.settle()
    backup = net.backup("f")
    net.learn("f", B)
    net.pulse("f")
    net.deliver("b")
    net.join(net.invite("d", by="b"))
    net.pulse("d")
    net.round("b")
    net.deliver("d", [0])
    for data in net.bags["a"]:
        if open_envelope(data).header.kind == "roster":
            net.nodes["a"].receive(data, net.now)
    assert "d" in net.nodes["a"].roster.members
    assert "f" not in net.nodes["d"].peers.slots
    del net.nodes["b"]
    net.nodes["a"].remove("b")
    for bag in net.bags.values():
        bag.clear()
    net.restore("f", backup)
    if restarts:
        net.crash("d")
    rounds(net, 40)
    if net.nodes["f"].peers.ahead:
        net.nodes["f"].peers.renew()
    net.settle()
    net.check(A)


def test_a_claim_whose_statistics_were_refused_is_not_shown_as_held():
    """A restarted admin that knew a claim without its statistics told the owner so, who took it that it had them."""
    net = network_of("b")
    net.learn("b", B)
    net.pulse("b", lose=True)
    net.pulse("b")
    net.nodes["a"].change("rotate", {})
    net.crash("a")
    net.settle()
    net.check(B)


def test_a_leaver_restored_from_before_the_admins_changed_is_told():
    """It spoke to the admin that it knew, who was none any more and kept from it that it had left."""
    net = network_of("b", "c", topology="centralised")
    net.learn("b", B)
    net.settle()
    net.nodes["b"].leave(forget=False)
    backup = net.backup("b")
    net.nodes["c"].change("recover", {"member": "c"}, net.recovery)
    net.settle()
    assert net.nodes["b"].left
    assert not net.nodes["a"].is_admin
    net.restore("b", backup)
    assert net.nodes["b"].is_member
    rounds(net, 4)
    assert net.nodes["b"].left
    net.settle()
    net.check(B)

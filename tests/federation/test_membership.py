"""Becoming a member, being one and ceasing to be: every sentence of the design's "Joining"."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from sklearn_symfed.exceptions import FederationError, InviteError
from sklearn_symfed.federation._claims import Mark, signed_claim
from sklearn_symfed.federation._envelope import commitment_of, open_envelope, seal_all, seal_one
from sklearn_symfed.federation._events import (
    Admitted,
    Applied,
    Early,
    Refused,
    RosterChanged,
    Stale,
    TurnedDown,
    Welcomed,
)
from sklearn_symfed.federation._invites import new_code, open_invite, seal_invite
from sklearn_symfed.federation._links import signed_link
from sklearn_symfed.federation._messages import Packed, Pulse, RosterNews, Welcome, pack_message
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.testing import Simulation

A, B, C, D = (PSR.from_rows([[float(number), 2.0]]) for number in range(4))
OTHER = PSR.from_rows([[1.0, 2.0]], [3.0])


@pytest.fixture
def net():
    """Three members, of whom the first is the admin, and each has learned a row."""
    net = Simulation("a")
    net.learn("a", A)
    net.admit("b", "c")
    net.learn("b", B)
    net.learn("c", C)
    net.settle()
    return net


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def refusals(events):
    return [event.reason for event in of(Refused, events)]


# -- invites ---------------------------------------------------------------------------------------------------------


def test_an_invite_binds_name_federation_url_admin_and_expiry(net):
    """What an invite says once it is opened; it holds no key of the federation."""
    node = net.nodes["a"]
    invite = net.invite("d", seconds=60)
    assert (invite.member, invite.admin, invite.url) == ("d", "a", "memory://simulated")
    assert invite.federation == node.federation
    assert invite.admin_keys == node.identity.public
    assert invite.expires == int(net.now) + 60
    assert node.key not in pack_all(invite)


def sealed(net):
    """Return an invite as text, and its code."""
    code = new_code(net.random)
    return seal_invite(net.invite("d"), code, net.random), code


def pack_all(invite):
    return b"".join(value for value in dataclasses.asdict(invite).values() if isinstance(value, bytes))


def test_a_code_has_eighty_bits_and_is_read_however_it_is_typed(net):
    """20 letters of 32 are 100 bits; case, spaces and letters that look alike do not matter."""
    invite, code = sealed(net)
    assert len(code.replace("-", "")) == 20
    typed = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert open_invite(invite, typed) == open_invite(invite, code)
    assert open_invite("\n".join(invite[i : i + 40] for i in range(0, len(invite), 40)), code).member == "d"


def test_a_wrong_code_is_refused_where_it_is_typed(net):
    """A code that is not the invite's opens nothing, and the error says so."""
    invite, _ = sealed(net)
    _, other = sealed(net)
    with pytest.raises(InviteError, match="not the one of this invite"):
        open_invite(invite, other)
    with pytest.raises(InviteError, match="expected 20 letters"):
        open_invite(invite, "short")


def test_an_altered_invite_is_refused_where_it_is_typed(net):
    """An invite of which letters were changed or lost is told from one with a wrong code."""
    invite, code = sealed(net)
    middle = len(invite) // 2
    swapped = invite[:middle] + ("A" if invite[middle] != "A" else "B") + invite[middle + 1 :]
    for text in (swapped, invite[:-8], invite + "AAAA"):
        with pytest.raises(InviteError, match="altered or is not whole"):
            open_invite(text, code)
    with pytest.raises(InviteError, match="no invite"):
        open_invite("hello", code)
    with pytest.raises(InviteError, match="another version"):
        open_invite(invite.replace("invite-1", "invite-2"), code)


def test_a_joiner_becomes_a_member_by_one_answer(net):
    """Request, welcome: then the joiner has schema, schedule, topology, roster and the others' state."""
    net.join(net.invite("d"))
    net.pulse("d")
    assert of(Admitted, net.deliver("a")) == [Admitted("d", net.nodes["d"].identity.public.fingerprint)]
    net.pulse("a")
    welcomed = of(Welcomed, net.deliver("d"))
    assert welcomed == [Welcomed("a", net.nodes["a"].identity.public.fingerprint)]
    joiner, admin = net.nodes["d"], net.nodes["a"]
    assert joiner.roster == admin.roster
    assert joiner.peers.schema == A.schema
    assert (joiner.roster.schedule, joiner.roster.topology) == ("30s", "decentralised")
    assert joiner.key == admin.key


def test_an_invite_works_once(net):
    """A second home that uses an invite is refused on both sides, and the first stays a member."""
    invite = net.invite("d")
    net.join(invite)
    net.settle()
    first = net.nodes["d"]
    net.join(invite)
    net.pulse("d")
    assert refusals(net.deliver("a")) == [
        "a request to join as 'd': the invite was used before; if not by you, tell the admin, and ask for a new one"
    ]
    net.pulse("a")
    assert of(TurnedDown, net.deliver("d")) == [
        TurnedDown("the invite was used before; if not by you, tell the admin, and ask for a new one")
    ]
    assert not net.nodes["d"].admitted
    assert net.nodes["a"].roster.is_member("d", first.identity.public)


def test_a_repeated_request_of_the_same_joiner_is_answered_again(net):
    """A welcome that was lost is sent again, as the request is, and the invite is burned once."""
    net.join(net.invite("d"))
    (request,) = net.pulse("d")
    assert of(Admitted, net.deliver("a"))
    net.pulse("a", lose=True)
    before = net.nodes["a"].roster
    assert net.nodes["a"].receive(request.data, net.now) == [Stale("d")]
    assert net.nodes["a"].roster == before
    net.settle()
    assert net.nodes["d"].is_member


def test_an_expired_invite_is_refused_by_the_admins_clock(net):
    """After its expiry on the admin's clock an invite admits nobody, and the joiner is told why."""
    net.join(net.invite("d", seconds=60))
    net.now += 61
    net.pulse("d")
    assert "expired" in refusals(net.deliver("a"))[0]
    net.pulse("a")
    (turned_down,) = of(TurnedDown, net.deliver("d"))
    assert "ask for a new one" in turned_down.reason
    assert net.pulse("d") == []


def test_an_invite_is_for_its_member_name(net):
    """A joiner that changes the name in its opened invite is refused."""
    invite = net.invite("d")
    node = net.join(net.invite("e"))
    node.joining = dataclasses.replace(node.joining, invite=dataclasses.replace(invite, member="e"))
    net.pulse("e")
    assert refusals(net.deliver("a")) == ["a request to join as 'e': the invite is for 'd'"]


def test_a_request_without_the_invites_secret_is_refused(net):
    """Knowing an invite's number is not enough."""
    node = net.join(net.invite("d"))
    node.joining = dataclasses.replace(node.joining, invite=dataclasses.replace(node.joining.invite, token=bytes(32)))
    net.pulse("d")
    assert "secret of the invite" in refusals(net.deliver("a"))[0]


def test_a_request_whose_keys_did_not_sign_it_is_refused(net):
    """A request that names other keys than it is signed with admits nobody."""
    node = net.join(net.invite("d"))
    request = node.joining.request(net.nodes["b"].identity.public, None)
    header = node._header(request, "a")
    seal = net.nodes["a"].identity.public.seal
    data = seal_one(header, pack_message(request), seal, node.identity, net.random)
    assert "not signed by the keys that it names" in refusals(net.nodes["a"].receive(data, net.now))[0]


def test_a_forged_admin_is_refused_by_the_joiner(net):
    """A welcome that the inviting admin has not signed is refused, whoever else signed it."""
    net.join(net.invite("d"))
    net.pulse("d")
    net.deliver("a")
    messages = net.pulse("a", lose=True)
    (welcome,) = [message for message in messages if message.kind == "welcome"]
    body = open_envelope(welcome.data).open_one(net.nodes["d"].identity)
    forger, seal = net.nodes["b"], net.nodes["d"].identity.public.seal
    forged = seal_one(open_envelope(welcome.data).header, body, seal, forger.identity, net.random)
    assert "not signed by 'a'" in refusals(net.nodes["d"].receive(forged, net.now))[0]
    assert not net.nodes["d"].admitted
    assert of(Welcomed, net.nodes["d"].receive(welcome.data, net.now))


def test_a_refusal_is_authentic(net):
    """A refusal that the inviting admin has not signed does not turn a joiner down."""
    net.join(net.invite("d", seconds=-1))
    net.pulse("d")
    net.deliver("a")
    (refusal,) = [message for message in net.pulse("a", lose=True) if message.kind == "refusal"]
    envelope = open_envelope(refusal.data)
    body = envelope.open_one(net.nodes["d"].identity)
    seal = net.nodes["d"].identity.public.seal
    forged = seal_one(envelope.header, body, seal, net.nodes["b"].identity, net.random)
    assert refusals(net.nodes["d"].receive(forged, net.now))
    assert net.nodes["d"].joining.refusal is None
    assert of(TurnedDown, net.nodes["d"].receive(refusal.data, net.now))


def test_a_welcome_to_another_federation_is_refused(net):
    """The federation is the hash of its first link: an admin cannot welcome into another one."""
    other = Simulation("a", seed=1)
    net.join(net.invite("d"))
    net.pulse("d")
    net.deliver("a")
    (welcome,) = [message for message in net.pulse("a", lose=True) if message.kind == "welcome"]
    links = tuple(link.to_bytes() for link in other.nodes["a"].chain.links)
    invite = net.nodes["d"].joining.invite
    body = pack_message(Welcome(invite.id, links, other.nodes["a"].key, {}))
    seal = net.nodes["d"].identity.public.seal
    forged = seal_one(open_envelope(welcome.data).header, body, seal, net.nodes["a"].identity, net.random)
    assert "another federation" in refusals(net.nodes["d"].receive(forged, net.now))[0]


# -- schema ----------------------------------------------------------------------------------------------------------


def test_the_schema_is_fixed_at_creation_or_by_the_admins_first_rows(net):
    """Either way every joiner has it with its welcome, and the order of columns is its."""
    assert net.nodes["b"].peers.schema == A.schema
    fixed = Simulation("a", schema=Schema(["x1", "x0"]))
    fixed.admit("b")
    fixed.learn("b", A)
    fixed.settle()
    assert {node.peers.merged.names for node in fixed.nodes.values()} == {("x1", "x0")}


def test_a_joiner_whose_rows_do_not_fit_is_told_column_by_column(net):
    """The admin compares columns before it admits; the joiner hears what differs, and nothing was learned of it."""
    invite = net.invite("d")
    net.join(invite, OTHER)
    net.pulse("d")
    assert "unexpected columns: ['y']" in refusals(net.deliver("a"))[0]
    net.pulse("a")
    (turned_down,) = of(TurnedDown, net.deliver("d"))
    assert "unexpected columns: ['y']" in turned_down.reason
    assert "d" not in net.nodes["a"].roster.members
    net.join(invite, D)
    net.settle()
    net.check(A + B + C + D)


def test_rows_that_were_learned_before_the_schema_was_fixed_are_not_published():
    """A joiner of a federation without columns that turns out not to fit says so, and publishes nothing."""
    net = Simulation("a")
    net.join(net.invite("b"), OTHER)
    net.round(), net.round()
    net.learn("a", A)
    net.round(), net.round()
    assert "unexpected columns: ['y']" in net.nodes["b"].peers.mismatch()
    assert net.nodes["b"].peers.mark.version == 0
    assert net.nodes["a"].peers.merged == A


# -- rosters ---------------------------------------------------------------------------------------------------------


def test_rosters_are_numbered_chained_and_signed_by_an_admin(net):
    """Each link names the one before by its hash; the first one's hash is the federation."""
    chain = net.nodes["b"].chain
    assert [link.number for link in chain.links] == list(range(len(chain.links)))
    assert all(link.previous == before.digest for before, link in itertools.pairwise(chain.links))
    assert all(link.is_signed(net.nodes["a"].identity.public.sign) for link in chain.links)
    assert chain.links[0].digest == chain.roster.federation


def test_only_admins_change_the_roster(net):
    """A member that is no admin can neither invite nor remove, and a link that it signs is taken by nobody."""
    b = net.nodes["b"]
    with pytest.raises(FederationError, match="no admin"):
        net.invite("d", by="b")
    with pytest.raises(FederationError, match="no admin"):
        b.remove("c")
    values = {"member": "c", "keep": (), "commitment": commitment_of(bytes(32))}
    link = signed_link(b.federation, b.roster.number + 1, b.roster.head, "b", "remove", values, b.identity.sign)
    for name in "ac":
        before = net.nodes[name].roster
        news = RosterNews((link.to_bytes(),), bytes(32))
        seal = net.nodes[name].identity.public.seal
        data = seal_one(b._header(news, name), pack_message(news), seal, b.identity, net.random)
        assert "'b', who is no admin" in refusals(net.nodes[name].receive(data, net.now))[0]
        assert net.nodes[name].roster == before


def test_there_may_be_several_admins(net):
    """A promoted member, or one invited as admin, admits and removes as the founder does."""
    net.nodes["a"].change("promote", {"member": "b"})
    net.settle()
    net.admit("d", by="b", admin=True)
    net.nodes["d"].remove("a")
    net.settle()
    assert net.nodes["b"].roster.admins == ["b", "d"]
    assert not net.nodes["a"].is_member
    net.check(B + C)


def test_admins_who_act_at_the_same_time_come_to_agree(net):
    """Two admins that change the roster without hearing of one another: both changes are there in the end."""
    net.nodes["a"].change("promote", {"member": "b"})
    net.settle()
    net.nodes["a"].change("schedule", {"schedule": "1h"})
    net.nodes["b"].remove("c")
    net.settle()
    for name in "ab":
        assert net.nodes[name].roster.schedule == "1h"
        assert "c" not in net.nodes[name].roster.members
    net.check(A + B)


def test_a_removed_admin_makes_no_roster_that_counts(net):
    """Links that an admin signs after its removal change nothing for those who know of that, however many they are."""
    net.nodes["a"].change("promote", {"member": "b"})
    net.settle()
    rogue = net.nodes["b"]
    net.nodes["a"].remove("b")
    for _ in range(5):
        rogue.change("rotate", {})
    rogue.remove("a")
    messages = net.pulse("b")
    net.deliver("a"), net.deliver("c")
    for message in messages:
        net.nodes["a"].receive(message.data, net.now)
    assert net.nodes["a"].roster.admins == ["a"]
    assert "b" not in net.nodes["a"].roster.members


def test_removal_starts_a_new_epoch_that_the_removed_cannot_read(net):
    """Whoever was removed has neither the new key nor a slot, and says that it is no member any more."""
    removed, key = net.nodes["c"], net.nodes["c"].key
    net.nodes["a"].remove("c")
    net.settle()
    assert net.nodes["a"].roster.epoch == 2
    assert net.nodes["a"].key == net.nodes["b"].key != key == removed.key
    assert not removed.is_member
    net.check(A + B)
    net.learn("b", D)
    for message in net.pulse("b"):
        envelope = open_envelope(message.data)
        with pytest.raises(ValueError, match="authenticate"):
            envelope.open_all(removed.key)
    net.settle()
    net.check(A + B + D)


def test_a_removed_members_messages_are_refused(net):
    """What it sends after its removal changes no digest."""
    removed = net.nodes["c"]
    net.nodes["a"].remove("c")
    net.round(["a", "b"])
    net.bags["c"].clear()
    net.learn("c", D)
    messages = net.pulse("c")
    assert messages
    for message in messages:
        for name in "ab":
            assert refusals(net.nodes[name].receive(message.data, net.now)) == ["it is not signed by a member"]
    assert removed.is_member
    net.settle()
    assert not removed.is_member
    net.check(A + B)


def test_rotating_the_key_keeps_all_members(net):
    """A new epoch reaches everybody with the next pulses; messages of the old one are refused."""
    net.learn("b", D)
    old = net.pulse("b", lose=True)
    net.nodes["a"].change("rotate", {})
    net.settle()
    assert {node.roster.epoch for node in net.nodes.values()} == {2}
    assert len({node.key for node in net.nodes.values()}) == 1
    for message in old:
        assert "epoch 1" in refusals(net.nodes["a"].receive(message.data, net.now))[0]
    net.check(A + B + C + D)


def test_a_member_that_missed_many_rosters_catches_up(net):
    """Whoever was away while the roster changed often is sent what it lacks, and the newest key."""
    away = net.nodes.pop("c")
    for _ in range(5):
        net.nodes["a"].change("rotate", {})
        net.round()
    net.join(net.invite("d"))
    for _ in range(5):
        net.round()
    net.bags["c"].clear()
    net.nodes["c"] = away
    net.settle()
    assert away.roster == net.nodes["a"].roster
    net.check(A + B + C)


def test_links_without_the_key_of_their_epoch_are_refused(net):
    """A member cannot be made to go by a roster whose key it does not get."""
    net.nodes["a"].change("rotate", {})
    net.nodes["a"].key = bytes(32)
    net.pulse("a")
    assert "without the key" in refusals(net.deliver("b"))[0]
    assert net.nodes["b"].roster.epoch == 1


def test_leaving_with_rows_that_stay(net):
    """Somebody who leaves and lets the rows stay is off the roster; the rows are counted, by late joiners too."""
    net.nodes["c"].leave(forget=False)
    net.settle()
    assert net.nodes["c"].left
    net.check(A + B + C)
    net.admit("d")
    net.check(A + B + C)
    assert "c" not in net.nodes["d"].roster.members


def test_leaving_with_rows_that_go(net):
    """Somebody who leaves and takes the rows along is neither listed nor counted."""
    net.nodes["c"].leave(forget=True)
    net.settle()
    assert net.nodes["c"].left
    net.check(A + B)


def test_the_last_admin_does_not_leave_the_others(net):
    """The only admin has to promote somebody first; alone it may go."""
    with pytest.raises(FederationError, match="promote"):
        net.nodes["a"].leave(forget=True)
    net.nodes["a"].change("promote", {"member": "b"})
    net.nodes["a"].leave(forget=True)
    net.settle()
    net.check(B + C)
    alone = Simulation("a").nodes["a"]
    alone.leave(forget=True)
    assert alone.left


def test_an_invite_under_a_members_name_replaces_its_home(net):
    """The successor of a lost home gets the name; what its predecessor published goes, and so does its key."""
    lost = net.nodes.pop("c")
    net.admit("c")
    net.learn("c", D)
    net.settle()
    net.check(A + B + D)
    assert net.nodes["a"].roster.epoch == 2
    assert not net.nodes["a"].roster.is_member("c", lost.identity.public)


def test_the_recovery_key_makes_a_member_the_only_admin(net):
    """When all admins are lost, the recovery key that was printed once gives the roster to a member."""
    del net.nodes["a"]
    key = RecoveryKey.read(net.recovery.text.lower().replace("-", " "))
    assert key.public == net.recovery.public
    net.nodes["b"].change("recover", {"member": "b"}, key)
    net.round(), net.round()
    assert net.nodes["c"].roster.admins == ["b"]
    net.nodes["b"].remove("a")
    net.settle()
    net.check(B + C)


def test_another_recovery_key_recovers_nothing(net):
    """A link that another key signed is refused where it is made."""
    with pytest.raises(FederationError, match="not signed"):
        net.nodes["b"].change("recover", {"member": "b"}, RecoveryKey.new(net.random))
    with pytest.raises(FederationError, match="no admin"):
        net.nodes["b"].change("rotate", {})


def test_schedules_travel_with_the_roster(net):
    """A changed schedule is the same on all members after their next pulses."""
    net.nodes["a"].change("schedule", {"schedule": "5m"})
    net.settle()
    assert {node.roster.schedule for node in net.nodes.values()} == {"5m"}


def test_messages_under_a_later_roster_wait_for_it(net):
    """A message of a member that this node has not heard of yet is neither taken nor refused."""
    net.join(net.invite("d"))
    net.pulse("d")
    net.deliver("a")
    net.pulse("a")
    net.deliver("d")
    (message,) = [message for message in net.pulse("d") if message.to is None]
    assert net.nodes["b"].receive(message.data, net.now) == [Early("d")]
    events = net.deliver("b")
    assert of(RosterChanged, events) == [RosterChanged(net.nodes["d"].roster.number, ())]
    assert of(Applied, events)[-1] == Applied("d", net.nodes["d"].peers.mark)
    net.settle()
    net.check(A + B + C)


def test_late_joiners_hold_everyones_state_within_one_round(net):
    """A joiner holds everybody's statistics once each of them has pulsed after its request."""
    net.join(net.invite("d"))
    net.pulse("d")
    net.round("abc")
    net.deliver("d")
    net.round("abc")
    net.deliver("d")
    assert net.nodes["d"].peers.merged == A + B + C


@pytest.mark.parametrize("admins", ["", "b"])
def test_centralised_members_address_the_admins_only(admins):
    """In a centralised federation all converge though members send to admins alone."""
    net = Simulation("a", topology="centralised")
    net.learn("a", A)
    net.admit("b", "c", "d")
    for name in admins:
        net.nodes["a"].change("promote", {"member": name})
    net.settle()
    carried = []
    carry = net.carry
    net.carry = lambda sender, message: (carried.append((sender, message.to)), carry(sender, message))
    for name, psr in zip("bcd", (B, C, D), strict=True):
        net.learn(name, psr)
    net.settle()
    net.check(A + B + C + D)
    assert {to for sender, to in carried if sender in "cd"} == {"a", *admins}
    net.nodes["a"].remove("d")
    net.settle()
    net.check(A + B + C)


def test_centralised_members_tell_nobody_but_the_admins_of_a_roster_that_others_lack():
    """Whatever was lost, and whoever is away: a member's news of the roster go to the admins, who pass them on."""
    net = Simulation("a", topology="centralised")
    net.learn("a", A)
    net.admit("b", "c", "d")
    carried = []
    carry = net.carry
    net.carry = lambda sender, message: (carried.append((sender, message.to)), carry(sender, message))
    net.nodes["a"].change("rotate", {})
    net.pulse("a"), net.deliver("b")
    net.bags["c"].clear(), net.bags["d"].clear()
    away = net.nodes.pop("a")
    net.learn("b", B)
    for _ in range(40):
        net.round()
    assert net.nodes["c"].roster.epoch == 1
    net.nodes["a"] = away
    net.settle()
    net.check(A + B)
    assert {node.roster.epoch for node in net.nodes.values()} == {2}
    assert {to for sender, to in carried if sender != "a"} == {"a"}


def test_a_joiner_whose_admin_is_gone_is_welcomed_by_the_others(net):
    """A welcome that was lost with its admin is made up for: any member may pass the roster and the key on."""
    net.join(net.invite("d"))
    net.pulse("d")
    net.deliver("a")
    net.pulse("a")
    net.bags["d"].clear()
    net.nodes["a"].change("promote", {"member": "b"})
    net.round("abc"), net.round("abc")
    net.bags["d"].clear()
    del net.nodes["a"]
    for _ in range(40):
        net.round()
    assert net.nodes["d"].is_member
    assert net.nodes["d"].peers.merged == A + B + C


def test_an_admin_restored_from_a_backup_catches_up(net):
    """An admin whose home went back to before members joined is sent the roster by them."""
    net.nodes["a"].change("promote", {"member": "b"})
    net.settle()
    backup = net.backup("a")
    net.nodes["b"].change("rotate", {})
    net.admit("d", by="b")
    net.settle()
    net.restore("a", backup)
    net.settle()
    assert net.nodes["a"].roster == net.nodes["d"].roster
    net.check(A + B + C)


def test_whoever_is_removed_and_listed_again_gets_the_key(net):
    """A member that went by a chain without it, and then by one with it, has the key of the newest epoch."""
    net.nodes["a"].change("promote", {"member": "b"})
    net.settle()
    net.nodes["a"].remove("c")
    net.nodes["b"].change("rotate", {})
    net.nodes["b"].change("rotate", {})
    net.pulse("a"), net.deliver("c")
    net.settle()
    keys = {node.key for node in net.nodes.values() if node.is_member}
    assert len(keys) == 1


def test_slots_of_those_who_are_gone_are_passed_on_by_any_member(net):
    """Rows of somebody who left stay with all, even if an admin lost them with a backup."""
    backup = net.backup("a")
    net.learn("c", D)
    net.settle()
    net.nodes["c"].leave(forget=False)
    net.settle()
    del net.nodes["c"]
    net.restore("a", backup)
    net.nodes["a"].change("rotate", {})
    for _ in range(60):
        net.round()
    assert net.nodes["a"].peers.merged == net.nodes["b"].peers.merged


def test_nothing_counts_that_somebody_signs_after_leaving(net):
    """Of a member who left and let the rows stay, no later state is taken, whoever passes it on."""
    gone = net.nodes["c"]
    gone.leave(forget=False)
    net.settle()
    gone.local = gone.local + D
    own = gone.peers.own
    mark = Mark(own.incarnation, own.version + 1, gone.local.digest)
    later = signed_claim(mark, own.digest, (), gone.federation, "c", gone.identity.sign)
    b = net.nodes["b"]
    pulse = Pulse(0, {**b.peers.entries, "c": later.to_bytes()}, (Packed.of("c", gone.local.to_bytes()),))
    data = seal_all(b._header(pulse, None), pack_message(pulse), b.key, b.identity, net.random)
    net.nodes["a"].receive(data, net.now)
    assert net.nodes["a"].peers.slots["c"].mark == own.mark
    net.settle()
    net.check(A + B + C)


def admins(net, *names):
    """Make members admins."""
    for name in names:
        net.nodes["a"].change("promote", {"member": name})
    net.settle()


def test_admins_that_an_ousted_one_made_do_not_count(net):
    """Whoever was promoted by a removed admin after the removal makes no chain that counts, as its maker does not."""
    admins(net, "b")
    rogue = net.nodes["b"]
    net.nodes["a"].remove("b")
    net.round("ac")
    rogue.change("promote", {"member": "c"})
    puppet = net.nodes["c"]
    link = signed_link(
        rogue.federation,
        rogue.roster.number + 1,
        rogue.roster.head,
        "c",
        "remove",
        {"member": "a", "keep": (), "commitment": bytes(32)},
        puppet.identity.sign,
    )
    chain = rogue.chain.extended(link)
    assert net.nodes["a"].chain.joined(chain.links) is net.nodes["a"].chain
    assert net.nodes["a"].roster.admins == ["a"]


def test_a_removed_admins_removals_are_undone(net):
    """Of two admins who acted apart, one removing the other and that one a third, the first one's chain counts."""
    admins(net, "b", "c")
    net.nodes["c"].change("schedule", {"schedule": "1h"})
    net.pulse("c"), net.deliver("a")
    net.nodes["b"].remove("c")
    net.nodes["a"].remove("b")
    for name in ("a", "b"):
        other = net.nodes["b" if name == "a" else "a"].chain
        assert sorted(net.nodes[name].chain.joined(other.links).roster.members) == ["a", "c"]


def test_admins_who_remove_one_another_need_the_recovery_key(net):
    """Nodes stay with what they heard first, until a recovery that all take."""
    admins(net, "b")
    net.nodes["b"].remove("a")
    net.nodes["a"].remove("b")
    chains = net.nodes["a"].chain, net.nodes["b"].chain
    assert chains[0].joined(chains[1].links) is chains[0]
    assert chains[1].joined(chains[0].links) is chains[1]
    net.nodes["a"].change("recover", {"member": "a"}, net.recovery)
    assert chains[1].joined(net.nodes["a"].chain.links).roster.admins == ["a"]


def test_admins_who_rotate_at_the_same_time_fall_silent(net):
    """Several admins that change key and schedule apart from one another do not go on undoing one another."""
    admins(net, "b", "c")
    for step in range(3):
        for name in "abc":
            net.nodes[name].change("rotate", {})
            net.nodes[name].change("schedule", {"schedule": f"{step + 1}m"})
        net.pulse("c")
        net.round("ba")
    net.settle()
    net.check(A + B + C)
    assert net.nodes["a"].roster.number < 40

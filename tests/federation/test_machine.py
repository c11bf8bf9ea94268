"""A federation under everything at once: random courses of events, and what must hold whenever traffic quiesces.

The model is a ledger of who learned which rows.  From it the central statistics are computed, by one call over all
rows in one place; nothing of them comes from what nodes told one another.  Whose rows are among them follows from what
people did, as long as no admin was removed, restored or overruled by the recovery key.  From then on two chains of the
roster may part, and which one counts is the business of `test_membership.py`; here all have to go by one and the same.

What is expected of whom is not plainly a member:

- A home that was restored, or that signed two things, is silent until `resume()`; meanwhile those of the others that
  hold a state of it hold the same one, which it has signed.  After it, what its home holds counts.
- Of somebody who left, the rows count that it had learned when it asked to, or none if the only home that held them was
  restored from before.
- Admins who removed one another while apart stay by their own rosters until the recovery key is used.  That is only
  done where each chain holds against the other, and nobody lists somebody who could have told better.
- Homes that were removed or replaced, and strangers, change nothing with anybody whose roster does not list them.

More examples, other ones each time: SYMFED_MACHINE_EXAMPLES=2000 pytest --timeout 0 tests/federation/test_machine.py
"""

from __future__ import annotations

import importlib.util
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from sklearn_symfed.federation._claims import Mark, Proof, signed_claim
from sklearn_symfed.federation._envelope import seal_all, seal_one
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._links import signed_link
from sklearn_symfed.federation._messages import Packed, Pulse, Request, RosterNews, pack_message

_SPEC = importlib.util.spec_from_file_location("world", Path(__file__).with_name("world.py"))
world = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(world)

PICK = st.integers(0, 11)
WHO = st.sampled_from(world.NAMES)
SIDES = st.integers(1, 2 ** len(world.NAMES) - 2).map(
    lambda mask: [[name for at, name in enumerate(world.NAMES) if mask >> at & 1 == side] for side in (0, 1)]
)


def pick_of(names, pick):
    """Return one of some names; None where there is none."""
    names = sorted(names)
    return names[pick % len(names)] if names else None


class Federation(RuleBasedStateMachine):
    """Up to six nodes; each rule is what one person, carrier or thief does, where somebody is able to."""

    topology = "decentralised"
    done: Counter

    @initialize(size=st.integers(1, 4), admins=st.integers(1, 3), fixed=st.booleans(), seed=st.integers(0, 2**16))
    def found(self, size, admins, fixed, seed):
        """Begin with some members, some of them admins."""
        self.world = world.World(self.topology, self.count, fixed=fixed, seed=seed)
        self.net, self.ledger = self.world.net, self.world.ledger
        for number, name in enumerate(world.NAMES[1:size]):
            self.world.join(name, "a", admin=number + 1 < admins)
        for _ in range(4):
            self.world.everybody()
        for pick in range(size):
            self.learn_some(pick, 1)

    def count(self, name):
        """Note that something came to pass."""
        self.done[name] += 1

    def teardown(self):
        """End well, whatever happened."""
        if hasattr(self, "world"):
            self.world.settle()

    @rule(sure=st.integers(0, 3))
    def quiesce(self, sure):
        """End all faults, and do what nodes say is needed: then all hold the central statistics."""
        if not sure:
            self.world.settle()
            self.count("quiesce")

    # -- learning ----------------------------------------------------------------------------------------------------

    @rule(pick=PICK, times=st.integers(1, 3))
    def learn(self, pick, times):
        """Learn rows; where there are no columns yet, an admin's first rows fix them."""
        self.learn_some(pick, times)

    def learn_some(self, pick, times):
        staying = self.world.staying
        name = pick_of([n for n, node in staying.items() if node.peers.schema is not None or node.is_admin], pick)
        if name:
            self.count("learn" if self.net.nodes[name].peers.schema is not None else "learn the first rows of all")
            for _ in range(times):
                self.world.learn(name, self.world.next_batch())

    @rule(pick=PICK, which=PICK)
    def forget(self, pick, which):
        """Forget rows that were learned."""
        rows = {name: +self.ledger.rows[world.party(node)] for name, node in self.world.staying.items()}
        name = pick_of([n for n, learned in rows.items() if learned], pick)
        if name:
            batch = pick_of(rows[name], which)
            self.ledger.rows[world.party(self.net.nodes[name])][batch] -= 1
            self.net.nodes[name].local -= world.BATCHES[batch]
            self.count("forget")

    # -- traffic -----------------------------------------------------------------------------------------------------

    def with_mail(self, pick):
        """Return somebody for whom messages wait; if there is nobody, have a member ask all others first."""
        asks = pick_of(self.world.members, pick)
        if asks and not any(self.net.bags[name] for name in self.net.nodes):
            self.net.nodes[asks].peers.ask_all()
            self.world.send(asks)
        return pick_of([name for name in self.net.nodes if self.net.bags[name]], pick)

    @rule(pick=PICK, how=st.sampled_from([{}, {}, {"lose": True}, {"fail": True}]))
    def pulse(self, pick, how):
        """Publish and send, by a carrier that takes it, loses it or fails."""
        name = pick_of(self.net.nodes, pick)
        if name:
            self.world.send(name, **how)
            self.count(" and ".join(["pulse", *how]))

    @rule(pick=PICK)
    def deliver(self, pick):
        """Let a node take in all that waits for it."""
        name = self.with_mail(pick)
        if name:
            self.world.take(name)
            self.count("deliver")

    @rule(times=st.integers(1, 3), pick=PICK)
    def rounds(self, times, pick):
        """Have everybody take in what waits, and pulse, while somebody learns."""
        for _ in range(times):
            self.learn_some(pick, 1)
            self.world.everybody()
        self.count("rounds")

    @rule(pick=PICK, seed=st.integers(0, 99), first=st.integers(0, 4))
    def disturb(self, pick, seed, first):
        """Keep back all messages but one, lose or repeat one, mix them up, bring an old one again: some of these."""
        kinds, chance = ["delay", "drop", "duplicate", "reorder", "replay"], random.Random(seed)
        for what in (kinds[first], kinds[(first + 2) % 5], kinds[(first + 4) % 5]):
            name = self.with_mail(pick)
            if name:
                self.disturb_one(name, what, chance)

    def disturb_one(self, name, what, chance):
        """Do one of these things to what waits for a node."""
        bag = self.net.bags[name]
        if what == "delay":
            self.world.hand(name, bag.pop(chance.randrange(len(bag))))
        elif what == "drop":
            del bag[chance.randrange(len(bag))]
        elif what == "reorder":
            chance.shuffle(bag)
        else:
            bag.append(chance.choice(self.world.archive if what == "replay" else bag))
        self.count(what)

    @rule(pick=PICK, seed=st.integers(0, 9999))
    def corrupt(self, pick, seed):
        """Deliver a message with another byte in it, or too short."""
        name, chance = self.with_mail(pick), random.Random(seed)
        if name:
            data = chance.choice(self.net.bags[name])
            at = chance.randrange(len(data))
            rest = bytes([data[at] ^ chance.randrange(1, 256)]) + data[at + 1 :]
            self.world.hand(name, data[:at] + (rest if seed % 4 else b""))
            self.count("corrupt")

    @rule(sides=st.none() | SIDES)
    def partition(self, sides):
        """Let some no longer reach the others, or all reach one another again."""
        self.net.part(*(sides or ()))
        self.count("partition" if sides else "heal")

    @rule(pick=PICK)
    def full_sync(self, pick):
        """Have a member ask for everybody's slots anew."""
        name = pick_of(self.world.members, pick)
        if name:
            self.net.nodes[name].peers.ask_all()
            self.count("full sync")

    # -- membership --------------------------------------------------------------------------------------------------

    @rule(pick=PICK, who=PICK, admin=st.booleans(), rows=st.booleans(), replaces=st.booleans())
    def join(self, pick, who, admin, rows, replaces):
        """Join late, perhaps with rows; or in the place of a home that is lost."""
        nodes, by = self.net.nodes, pick_of(self.world.admins, pick)
        free = [n for n in world.NAMES if n not in nodes or (nodes[n].admitted and not nodes[n].is_member)]
        name = pick_of(self.world.staying.keys() - {by} if replaces else free, who)
        if by is None or name is None:
            return
        old = nodes.get(name)
        if old is not None:
            self.ledger.certain &= not old.is_admin  # what it changed, and told nobody, is lost with it
            self.world.go_on_apart(name)
        joiner = self.world.join(name, by, admin=admin and pick % 3 == 0)
        if rows:
            batch = self.world.next_batch()
            nodes[name].local = world.BATCHES[batch]
            self.ledger.rows[joiner][batch] += 1
        self.count("join in the place of a lost home" if replaces else "join late")

    @rule(pick=PICK, forget=st.booleans())
    def leave(self, pick, forget):
        """Ask to leave; the rows stay or go."""
        able = [n for n, o in self.world.staying.items() if len(o.roster.members) > 1 and not o.peers.ahead]
        name = pick_of(able, pick)
        if name and self.world.can(lambda: self.net.nodes[name].leave(forget=forget)):
            node = self.net.nodes[name]
            self.ledger.certain &= not any(name in other.roster.admins for other in self.world.members.values())
            self.ledger.leave(world.party(node), forget=forget)
            self.count("leave, rows go" if forget else "leave, rows stay")

    @rule(pick=PICK, who=PICK, goes_on=st.booleans())
    def remove(self, pick, who, goes_on):
        """Have an admin take somebody off the roster, of whose home perhaps a copy goes on."""
        by = pick_of(self.world.admins, pick)
        whom = pick_of(self.net.nodes[by].peers.others_names, who) if by else None
        held = self.world.remove(by, whom) if whom else None
        if held:
            if whom in self.world.members and goes_on:
                self.world.go_on_apart(whom)
            self.ledger.certain &= not held.admin and held.keys.sign not in self.ledger.kept
            self.count("remove an admin" if held.admin else "remove")

    @rule(pick=PICK, who=PICK)
    def promote(self, pick, who):
        """Have an admin make somebody an admin."""
        by = pick_of(self.world.admins, pick)
        whom = pick_of(self.net.nodes[by].roster.members, who) if by else None
        if whom and self.world.can(lambda: self.net.nodes[by].change("promote", {"member": whom})):
            self.ledger.certain &= whom not in self.net.nodes or whom in self.world.staying
            self.count("promote")

    @rule(pick=PICK, schedule=st.sampled_from([None, "1m", "2m"]))
    def rotate(self, pick, schedule):
        """Have an admin change the key, or the schedule."""
        by = pick_of(self.world.admins, pick)
        if by:
            change = ("rotate", {}) if schedule is None else ("schedule", {"schedule": schedule})
            self.net.nodes[by].change(*change)
            self.count(change[0])

    @rule(pick=PICK, sure=st.integers(0, 3))
    def recover(self, pick, sure):
        """Make somebody the only admin, by the recovery key."""
        name = pick_of(self.world.staying, pick)
        if name and not sure:
            self.world.recover(name)

    @rule(hours=st.integers(1, 3))
    def time_passes(self, hours):
        """Let time pass, after which invites expire."""
        self.net.now += 3600 * hours
        self.count("time passes")

    # -- homes -------------------------------------------------------------------------------------------------------

    @rule(pick=PICK)
    def crash(self, pick):
        """End a process, and open its home again."""
        name = pick_of(self.net.nodes, pick)
        if name:
            self.net.crash(name)
            self.count("crash and reopen")

    @rule(pick=PICK)
    def back_up(self, pick):
        """Copy a home."""
        name = pick_of(self.net.nodes, pick)
        if name:
            who = world.party(self.net.nodes[name])
            copy = (name, who, self.net.backup(name), +self.ledger.rows[who])
            self.world.backups = [*self.world.backups[-3:], copy]
            self.count("back up")

    @rule(pick=PICK)
    def restore(self, pick):
        """Put an old copy of a home in its place: what was learned since is gone."""
        nodes = self.net.nodes
        copies = [copy for copy in self.world.backups if copy[0] in nodes and world.party(nodes[copy[0]]) == copy[1]]
        if not copies:
            return
        name, who, held, rows = copies[pick % len(copies)]
        before = nodes[name]
        node = self.net.restore(name, held)
        self.ledger.rows[who] = Counter(rows)
        self.ledger.doubtful |= {who, *self.ledger.kept}  # it may have been the only one to hold what was to stay
        admin = any(one.admitted and name in one.roster.admins for one in (before, node))
        behind = not (before.admitted and node.admitted) or before.roster.head != node.roster.head
        self.ledger.certain &= not (admin and behind) and before.leaving == node.leaving
        self.count("restore an old backup")

    @rule(pick=PICK, sides=SIDES, resumes=st.booleans())
    def wait_in_silence(self, pick, sides, resumes):
        """See that of a home that is silent the others hold one and the same state, or none; perhaps resume it."""
        if not any(node.peers.ahead for node in self.world.members.values()):
            self.tell_two_things(pick, sides)
        self.net.heal()
        for _ in range(140):
            self.world.everybody()
        members = self.world.members
        silent = {name: node for name, node in members.items() if node.peers.ahead}
        others = [node for name, node in members.items() if name not in silent]
        if not silent or not others or len({node.roster.head for node in members.values()}) > 1:
            return
        for name in silent:
            slots = [node.peers.slots[name] for node in others if name in node.peers.slots]
            states = {world.central(rows).digest for rows in self.ledger.told[world.party(silent[name])]}
            assert len({slot.mark for slot in slots if slot.psr is not None}) <= 1
            assert all(slot.psr.digest in states for slot in slots if slot.psr is not None)
            assert not (any(isinstance(slot.entry, Proof) for slot in slots) and any(slot.psr for slot in slots))
        self.count("silent until resumed")
        if resumes:
            silent[pick_of(silent, pick)].peers.renew()
            self.count("resume")

    # -- dishonesty --------------------------------------------------------------------------------------------------

    @rule(pick=PICK, sides=SIDES)
    def equivocate(self, pick, sides):
        """Tell some members one thing, and the others another one, of the same version."""
        self.tell_two_things(pick, sides)

    def tell_two_things(self, pick, sides):
        staying = self.world.staying
        able = [n for n, o in staying.items() if o.peers.schema and not o.peers.ahead and len(o.roster.members) > 1]
        name = pick_of(able, pick)
        if name is None:
            return
        node = self.net.nodes[name]
        who, own = world.party(node), node.peers.own
        for side in sides:
            rows = self.ledger.rows[who] + Counter([self.world.next_batch()])
            psr = world.central(rows)
            mark = Mark(own.incarnation, own.version + 1, psr.digest)
            claim = signed_claim(mark, own.digest, (), node.federation, name, node.identity.sign)
            pulse = Pulse(0, {**node.peers.entries, name: claim.to_bytes()}, (Packed.of(name, psr.to_bytes()),))
            data = seal_all(node._header(pulse, None), pack_message(pulse), node.key, node.identity, self.net.random)
            self.ledger.told[who].append(rows)
            self.world.put(who, data, [other for other in side if other != name])
        self.ledger.doubtful.add(who)
        self.count("equivocate")

    @rule(pick=PICK, changes=st.booleans())
    def removed_speak(self, pick, changes):
        """Let a home that was replaced or removed go on by the roster that it had, as a member or even as an admin."""
        if not self.world.ghosts:
            return
        node, rows = self.world.ghosts[pick % len(self.world.ghosts)]
        if node.peers.schema is not None:
            rows[self.world.next_batch()] += 1
            node.local = world.central(rows)
        if node.peers.publish():
            self.ledger.told[world.party(node)].append(Counter(rows))
        if changes and node.is_admin:
            node.change("rotate", {})
            self.count("a removed admin changes the roster")
        for message in node.outgoing():
            names = self.net.nodes if message.to is None else [message.to]
            self.world.put(world.party(node), message.data, names)
            node.sent(message)
        self.count("removed speak")

    @rule(pick=PICK, name=WHO, what=st.sampled_from(["request", "pulse", "roster"]))
    def strangers_speak(self, pick, name, what):
        """Ask to join, pulse or make oneself an admin with keys of one's own, uninvited."""
        to = pick_of([n for n in self.world.members if n != name], pick)
        if to is None:
            return
        node, stranger, chance = self.net.nodes[to], Identity(self.net.random(32)), self.net.random
        header = node._header(Pulse(0, {}, ()), to)._replace(sender=name, kind=what, seq=2**50)
        if what == "pulse":  # even with a key that leaked
            mark = Mark(2**40, 9, world.BATCHES[0].digest)
            claim = signed_claim(mark, world.BATCHES[1].digest, (), node.federation, name, stranger.sign)
            message = Pulse(1, {name: claim.to_bytes()}, (Packed.of(name, world.BATCHES[0].to_bytes()),))
            data = seal_all(header, pack_message(message), node.key, stranger, chance)
        else:
            message = Request(chance(16), chance(32), *stranger.public, None)
            if what == "roster":
                values = {"member": name, **stranger.public._asdict(), "admin": True, "invite": chance(16)}
                place = (node.federation, node.roster.number + 1, node.roster.head, pick_of(node.roster.admins, pick))
                link = signed_link(*place, "admit", {**values, "commitment": None}, stranger.sign)
                message = RosterNews((link.to_bytes(),), node.key)
            data = seal_one(header, pack_message(message), node.identity.public.seal, stranger, chance)
        self.world.hand(to, data)
        self.count(f"a stranger's {what}")


def machine(topology):
    """Return the machine for one topology, with a count of its own."""
    return type(f"{topology.title()}Federation", (Federation,), {"topology": topology, "done": Counter()})


LONGER = int(os.environ.get("SYMFED_MACHINE_EXAMPLES", "0"))
COURSE = settings(
    max_examples=LONGER or 80,
    stateful_step_count=40,
    derandomize=not LONGER,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink] if LONGER else [Phase.generate],  # a course is shrunk for many minutes
)

EVENTS = """
learn; learn the first rows of all; forget; pulse; pulse and lose; pulse and fail; deliver; rounds; delay; drop;
duplicate; reorder; replay; corrupt; partition; heal; full sync; join late; join in the place of a lost home;
leave, rows stay; leave, rows go; remove; remove an admin; promote; rotate; schedule; recover; time passes;
crash and reopen; back up; restore an old backup; resume; silent until resumed; equivocate; removed speak;
a stranger's request; a stranger's pulse; a stranger's roster; quiesce; ends as the ledger says;
ends after admins were overruled"""


@pytest.mark.parametrize("topology", [pytest.param("decentralised", marks=pytest.mark.thorough), "centralised"])
def test_whenever_traffic_quiesces_all_hold_the_central_statistics(topology):
    """Whatever people, carriers and thieves do, in any order, all honest digests end equal to the central one.

    Everything that can happen has happened in that run.
    """
    course = machine(topology)
    run_state_machine_as_test(course, settings=COURSE)
    assert [event for event in " ".join(EVENTS.split()).split("; ") if not course.done[event]] == []

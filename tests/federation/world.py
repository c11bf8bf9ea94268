"""A federation with everything that can happen to it, and the plain ledger that says what must come of that.

Owns what `test_machine.py` stands on: the ledger, of who learned what and whom people admitted and removed; the hand
that delivers messages and looks at what each may change; and how a course of events is brought to its end.
"""

from __future__ import annotations

from collections import Counter

from sklearn_symfed.exceptions import FederationError
from sklearn_symfed.federation._events import Admitted
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import Simulation

NAMES = "abcdef"
ROWS = [[float(number), 1.0 / (number + 1)] for number in range(40)]
BATCHES = [PSR.from_rows([row]) for row in ROWS]
ZERO = PSR.zero(BATCHES[0].schema)


def central(rows):
    """Return the statistics of rows that lie in one place."""
    table = [ROWS[number] for number in rows.elements()]
    return PSR.from_rows(table) if table else ZERO


def party(node):
    """Return what tells homes apart, whatever names they have had: the key that signs."""
    return node.identity.public.sign


def picture(node):
    """Return what a node holds."""
    if not node.admitted:
        return node.joining
    merged = node.peers.merged
    return node.chain.roster.head, node.peers.view, node.key, node.peers.own, merged and merged.digest


class Ledger:
    """What people did, in plain containers; a party is one home."""

    def __init__(self):
        self.rows: dict[bytes, Counter] = {}  # which rows each has learned
        self.told: dict[bytes, list[Counter]] = {}  # and which it has ever signed for
        self.kept: dict[bytes, list[Counter]] = {}  # and which stay of it, if it left
        self.names: dict[bytes, str] = {}
        self.listed: set[bytes] = set()  # whom the roster should list, as long as `certain`
        self.stay: set[bytes] = set()  # whose rows should stay, as long as `certain`
        self.doubtful: set[bytes] = set()  # who signed two things, or may have: a backup was restored
        self.certain = True

    def arrive(self, who, name):
        """Note a new home."""
        self.names[who], self.rows[who], self.told[who] = name, Counter(), [Counter()]

    def admit(self, who):
        """Note that a home has its name from now on, and whoever had it before has none."""
        for others in (self.listed, self.stay):
            others -= {other for other in others if self.names[other] == self.names[who] and other != who}
        self.listed.add(who)

    def leave(self, who, *, forget):
        """Note that somebody asked to leave."""
        if not forget:
            self.kept.setdefault(who, []).append(+self.rows[who])
            self.stay |= {who} & self.listed
        self.listed.discard(who)


class World:
    """Nodes of one federation, what became of others, and the ledger.

    Parameters
    ----------
    topology : str
    count : callable
        Is told the name of everything that came to pass.
    fixed : bool
        Whether the columns are fixed from the start.
    seed : int
    """

    def __init__(self, topology, count, *, fixed, seed):
        self.net = Simulation("a", schema=ZERO.schema if fixed else None, topology=topology, seed=seed)
        self.count = count
        self.ledger = Ledger()
        self.makers: dict[bytes, bytes] = {}  # who made each message
        self.archive: list[bytes] = []
        self.ghosts = []  # homes that go on by the roster that they had, and what they learn
        self.backups = []
        self.batch = 0
        self.ledger.arrive(party(self.net.nodes["a"]), "a")
        self.ledger.admit(party(self.net.nodes["a"]))

    @property
    def members(self):
        """Nodes that hold themselves for members."""
        return {name: node for name, node in self.net.nodes.items() if node.is_member}

    @property
    def staying(self):
        """Those among them that have not asked to leave."""
        return {name: node for name, node in self.members.items() if node.leaving is None}

    @property
    def admins(self):
        """Those among all that hold themselves for admins."""
        return {name: node for name, node in self.members.items() if node.is_admin}

    # -- steps -------------------------------------------------------------------------------------------------------

    def next_batch(self):
        """Return the number of the next rows."""
        self.batch = (self.batch + 1) % len(BATCHES)
        return self.batch

    def join(self, name, by, *, admin=False):
        """Invite a home of some name, which begins to join; return it."""
        self.net.join(self.net.invite(name, by, admin=admin))
        self.net.bags[name] = []
        who = party(self.net.nodes[name])
        self.ledger.arrive(who, name)
        return who

    def learn(self, name, batch):
        """Have a node learn rows."""
        self.net.learn(name, BATCHES[batch])
        self.ledger.rows[party(self.net.nodes[name])][batch] += 1

    def can(self, change):
        """Try a change of the roster; return whether it could be made."""
        try:
            change()
        except FederationError:
            return False
        return True

    def remove(self, by, name):
        """Have an admin remove whoever has a name on its roster; return who that was, if it could."""
        node = self.net.nodes[by]
        held = node.roster.members[name]
        if not self.can(lambda: node.remove(name)):
            return None
        self.ledger.listed.discard(held.keys.sign)
        return held

    def go_on_apart(self, name):
        """Let a member's process go on, heard of nobody, while its home is opened again."""
        node = self.net.nodes[name]
        who = party(node)
        if node.is_member:
            self.ghosts.append((node, +self.ledger.rows[who]))
            self.ledger.doubtful.add(who)
        self.net.crash(name)

    def recover(self, name):
        """Make a member the only admin, by the recovery key."""
        self.net.nodes[name].change("recover", {"member": name}, self.net.recovery)
        self.ledger.certain = False
        self.count("recover")

    def hand(self, name, data):
        """Hand one message to a node: whoever is not on its roster changes nothing of what it holds."""
        node, maker = self.net.nodes[name], self.makers.get(data)
        roster = node.chain.roster if node.admitted else None
        listed = set() if roster is None else {held.keys.sign for held in roster.members.values()}
        before = None if maker in listed else picture(node)
        for event in node.receive(data, self.net.now):
            if isinstance(event, Admitted):
                assert maker == node.roster.members[event.member].keys.sign, "somebody else's message admitted it"
                self.ledger.admit(maker)
        if before is not None and maker not in self.ledger.rows:
            assert picture(node) == before, "somebody who was never invited changed something"
        elif before is not None and roster is not None and node.chain.roster.head == roster.head:
            assert picture(node) == before, "somebody who is not on the roster changed something"

    def take(self, name):
        """Hand a node all that waits for it."""
        bag, self.net.bags[name] = self.net.bags[name], []
        for data in bag:
            self.hand(name, data)

    def send(self, name, **how):
        """Have a node pulse."""
        node = self.net.nodes[name]
        before = node.peers.own if node.admitted else None
        for message in self.net.pulse(name, **how):
            self.makers.setdefault(message.data, party(node))  # what is forwarded has a maker already
            self.archive = [*self.archive[-50:], message.data]
        if node.admitted and node.peers.own is not before and node.peers.mark.version:
            self.ledger.told[party(node)].append(+self.ledger.rows[party(node)])

    def put(self, who, data, names):
        """Put a message into some bags."""
        self.makers[data] = who
        for name in names:
            if name in self.net.nodes:
                self.net.bags[name].append(data)

    def everybody(self):
        """Have all take in what waits, and pulse."""
        for name in list(self.net.nodes):
            self.take(name)
            self.send(name)

    # -- how it ends -------------------------------------------------------------------------------------------------

    def settle(self):
        """End all faults, do what nodes tell their users is needed, and check what they hold then."""
        self.net.heal()
        for attempt in range(13):
            if self.falls_silent(10 if attempt < 3 else 140):
                self.check()
                return
            self.help(late=attempt >= 3, last=attempt >= 6)
        self.fail("the nodes do not come to rest")

    def falls_silent(self, rounds):
        """Go round until nobody has anything to say; return whether all agree then."""
        for _ in range(rounds):
            before = self.net.n_messages
            self.everybody()
            quiet = before == self.net.n_messages and not any(self.net.bags[name] for name in self.net.nodes)
            if quiet and all(node.peers.converged for node in self.members.values()) and not self.missing():
                return len({node.roster.head for node in self.members.values()}) <= 1
        return False

    def missing(self):
        """Return who waits to be admitted, and whom rosters list although nobody runs it."""
        waiting = [name for name, node in self.net.nodes.items() if not node.admitted]
        return waiting or [n for node in self.members.values() for n in node.roster.members if n not in self.members]

    def help(self, *, late, last):
        """Do what people would: resume what is pending, give up what was refused, remove who is gone."""
        for name, node in list(self.net.nodes.items()):
            if not node.admitted:
                self.help_joiner(name, late=late)
            elif node.is_member and node.peers.ahead:
                node.peers.renew()
            elif node.is_member and not self.is_listed(name, all):
                self.help_removed(name, last=last)
        if late and len({node.roster.head for node in self.members.values()}) > 1:
            self.require_a_reason_to_part()
            self.rescue()
        by = min(self.admins.keys() & self.staying.keys(), default=None)
        if by is None and late:
            self.let_admins_go()
        if by is not None:
            self.help_admin(by)

    def help_joiner(self, name, *, late):
        """Let a joiner give up that was refused, or whose admin is none any more."""
        joining = self.net.nodes[name].joining
        admin = self.net.nodes.get(joining.invite.admin)
        gone = admin is None or not admin.is_admin
        assert joining.refusal or gone or not late or not self.ledger.certain, "a joiner got no answer"
        if joining.refusal or gone or late:
            del self.net.nodes[name]

    def help_removed(self, name, *, last):
        """Restart who missed its removal: once it speaks, it is told; unless those to whom it speaks are gone, too."""
        expected = self.ledger.certain and party(self.net.nodes[name]) in self.ledger.listed
        if last and not expected and not self.is_listed(name, any):
            del self.net.nodes[name]
            self.count("removed, and cannot hear of it")
        else:
            self.net.crash(name)

    def help_admin(self, by):
        """Have an admin fix the columns, where that was lost, and remove those whom nobody runs."""
        node = self.net.nodes[by]
        if node.peers.schema is None:
            self.learn(by, 0)
        for name, held in node.roster.members.items():
            runs = self.net.nodes.get(name)
            if name != by and (runs is None or party(runs) != held.keys.sign or not runs.is_member):
                self.remove(by, name)

    def is_listed(self, name, quantifier):
        """Tell whether of the members that go by another roster `quantifier` list this one."""
        node = self.net.nodes[name]
        others = [other for other in self.members.values() if other.roster.head != node.roster.head]
        return not others or quantifier(o.roster.is_member(name, node.identity.public) for o in others)

    def let_admins_go(self):
        """Where all admins want to leave, or are gone, make somebody else one; the last members stay after all."""
        for node in self.admins.values():
            name = min(node.roster.members.keys() & self.staying.keys(), default=None)
            if name is not None:
                node.change("promote", {"member": name})
                return
        if self.staying:
            self.rescue()
        for node in self.members.values():
            node.leaving = None

    def rescue(self):
        """Use the recovery key where most go by one roster."""
        heads = Counter(node.roster.head for node in self.members.values())
        if self.staying:
            self.recover(max(self.staying, key=lambda name: (heads[self.net.nodes[name].roster.head], name)))

    def require_a_reason_to_part(self):
        """Let rosters part only where admins were overruled, and each chain holds against the other."""
        self.count("split")
        if self.ledger.certain:
            self.fail("the nodes go by several rosters")
        for one in self.members.values():
            for other in self.members.values():
                if one.roster.is_member(other.member, other.identity.public) and one._addresses(other.member):
                    if one.chain.joined(other.chain.links) is not one.chain:
                        self.fail(f"{one.member} could know better, from {other.member}")
                    if other.chain.joined(one.chain.links) is not other.chain:
                        self.fail(f"{other.member} could have been told better, by {one.member}")

    def fail(self, why):
        """Say who is where."""
        admitted = {name: node for name, node in self.net.nodes.items() if node.admitted}
        state = {
            name: (node.roster.number, sorted(node.roster.members), node.leaving) for name, node in admitted.items()
        }
        raise AssertionError(f"{why}: {state}")

    def check(self):
        """All members hold the central statistics, and go by one roster: the one that people wanted."""
        members = list(self.members.values())
        if not members:
            return
        roster = members[0].roster
        listed = {held.keys.sign for held in roster.members.values()}
        assert listed == {party(node) for node in members}
        assert len({node.roster.head for node in members}) == len({node.key for node in members}) == 1
        rows = sum((self.ledger.rows[who] for who in listed), Counter())
        for name, former in roster.former.items():
            rows += self.rows_that_stay(name, former, members[0])
        expected = central(rows)
        for node in members:
            assert node.peers.view == members[0].peers.view
            assert (ZERO if node.peers.merged is None else node.peers.merged).digest == expected.digest
        self.count("ends as the ledger says" if self.ledger.certain else "ends after admins were overruled")
        if self.ledger.certain:
            assert listed == self.ledger.listed
            assert {former.keys.sign for former in roster.former.values()} == self.ledger.stay

    def rows_that_stay(self, name, former, node):
        """Return which rows stay of somebody who left; of the doubtful, one state that it signed, or none."""
        who = former.keys.sign
        if who not in self.ledger.doubtful:
            return self.ledger.kept[who][-1]
        slot = node.peers.slots.get(name)
        if slot is None or slot.psr is None:
            return Counter()
        states = self.ledger.kept[who] + self.ledger.told[who]
        return next(rows for rows in states if central(rows).digest == slot.psr.digest)

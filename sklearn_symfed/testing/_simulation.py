"""A federation without disks, threads or clocks: the rules alone, with every message in the hands of the test.

Owns the nodes, what a home of each would hold, and for each a bag of messages on their way to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._events import Event
from sklearn_symfed.federation._invites import Invite
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._records import dumped, loaded
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._standing import Outgoing
from sklearn_symfed.psr import PSR, Schema

__all__ = ["Simulation"]


class Simulation:
    """Nodes of one federation, founded by the first.

    Parameters
    ----------
    founder : str
        The first admin.
    schema : Schema, default=None
        Of the federation; by default that of the first rows that an admin learns.
    topology : str, default="decentralised"
    contract : list of str, default=None
    seed : int, default=0
        Of all keys and nonces.

    Attributes
    ----------
    nodes : dict of str to Membership
        By name; who left or was removed stays until the test drops it.
    bags : dict of str to list of bytes
        What waits for each.
    now : float
        The clock, in seconds; it stands still unless the test moves it.
    n_messages, n_bytes : int
        Handed to the carrier so far; a broadcast counts once.
    recovery : RecoveryKey
    """

    def __init__(
        self,
        founder: str,
        *,
        schema: Schema | None = None,
        topology: str = "decentralised",
        contract: Iterable[str] | None = None,
        seed: int = 0,
    ) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - a test repeats itself
        self.now = 1_000_000.0
        self.n_messages = self.n_bytes = 0
        self._parts: dict[str, int] = {}
        self.recovery = RecoveryKey.new(self.random)
        node = Membership.found(
            Identity(self.random(32)),
            founder,
            "simulated",
            topology=topology,
            schedule="30s",
            schema=schema,
            contract=None if contract is None else Contract.of(contract, (), schema),
            recovery=self.recovery,
            random=self.random,
        )
        self.nodes = {founder: node}
        self.bags: dict[str, list[bytes]] = {founder: []}

    def random(self, size: int) -> bytes:
        """Return bytes that look random and are the same in each run."""
        return self._chance.randbytes(size)

    # -- what people do ----------------------------------------------------------------------------------------------

    def invite(self, name: str, by: str | None = None, *, admin: bool = False, seconds: float = 7200) -> Invite:
        """Return an invite; that it is sealed under a code, which takes time, is left out."""
        node = self.nodes[by or next(iter(self.nodes))]
        return node.invite("memory://simulated", name, int(self.now + seconds), admin=admin)

    def join(self, invite: Invite, local: PSR | None = None) -> Membership:
        """Begin to join; nothing is sent before the first pulse."""
        node = Membership.join(Identity(self.random(32)), invite, self.random)
        node.local = local
        self.nodes[invite.member] = node
        self.bags.setdefault(invite.member, [])
        return node

    def admit(self, *names: str, by: str | None = None, admin: bool = False) -> None:
        """Invite, join, and pulse until all are members and know one another."""
        for name in names:
            self.join(self.invite(name, by, admin=admin))
        for _ in range(100):
            self.round()
            if all(self.nodes[name].is_member for name in names):
                break
        self.settle()

    def learn(self, name: str, psr: PSR) -> None:
        """Add rows to what a node has learned; an admin's first rows fix the schema."""
        node = self.nodes[name]
        if node.admitted and node.peers.schema is None and node.is_admin:
            node.change("schema", {"schema": PSR.zero(psr.schema).to_bytes()})
        node.local = psr if node.local is None else node.local + psr

    # -- what the carrier does ---------------------------------------------------------------------------------------

    def pulse(self, name: str, *, lose: bool = False, fail: bool = False) -> list[Outgoing]:
        """Have a node publish and send; return what it sent.

        Parameters
        ----------
        name : str
        lose : bool, default=False
            Whether the carrier takes the messages and loses them.
        fail : bool, default=False
            Whether the carrier refuses them, so that the node knows that they were not sent.
        """
        node = self.nodes[name]
        if node.is_member:
            node.peers.publish()
        messages = node.outgoing()
        for message in messages:
            if not lose and not fail:
                self.carry(name, message)
            if not fail:
                node.sent(message)
        return messages

    def carry(self, sender: str, message: Outgoing) -> None:
        """Put a message into the bags that it is for, as far as the sender reaches them."""
        self.n_messages += 1
        self.n_bytes += len(message.data)
        for name, bag in self.bags.items():
            if name != sender and message.to in {None, name} and not self._apart(sender, name):
                bag.append(message.data)

    def _apart(self, first: str, second: str) -> bool:
        parts = {self._parts[name] for name in (first, second) if name in self._parts}
        return len(parts) > 1

    def part(self, *groups: Iterable[str]) -> None:
        """Cut the network: from now on messages between two groups are lost; who is in none speaks to all."""
        self._parts = {name: number for number, group in enumerate(groups) for name in group}

    def heal(self) -> None:
        """Mend the network; what was lost while it was cut stays lost."""
        self._parts = {}

    def deliver(self, name: str, order: Iterable[int] | None = None) -> list[Event]:
        """Hand a node all that waits for it; return what came of it."""
        bag, self.bags[name] = self.bags[name], []
        messages = bag if order is None else [bag[index] for index in order]
        return [event for data in messages for event in self.nodes[name].receive(data, self.now)]

    def round(self, names: Iterable[str] | None = None) -> list[Event]:
        """Have every node, or some, take in what waits and pulse; return all events."""
        events = []
        for name in list(names or self.nodes):
            events += self.deliver(name)
            self.pulse(name)
        return events

    def crash(self, name: str) -> None:
        """Replace a node by what its home holds."""
        self.restore(name, self.backup(name))

    def backup(self, name: str) -> dict[str, Any]:
        """Return what a node's home holds."""
        node = self.nodes[name]
        held = {"values": dumped(node, {}), "identity": node.identity, "local": node.local}
        if node.admitted:
            held |= {"slots": dict(node.peers.slots), "words": dict(node.peers.words)}
        return held

    def restore(self, name: str, held: dict[str, Any]) -> Membership:
        """Put a home, old or new, in the place of the one that is there."""
        seq = max(held["values"]["seq"], self.nodes[name].seq)  # as the clock does in a home
        slots, words = held.get("slots", {}), held.get("words", {})
        node = loaded(held["values"].get, held["identity"], slots, words, self.random)
        node.local, node.seq = held["local"], seq
        self.nodes[name] = node
        return node

    # -- how it ends -------------------------------------------------------------------------------------------------

    def settle(self, rounds: int = 300) -> int:
        """Go round without faults until nobody sends anything; return how many messages that took.

        Raises
        ------
        AssertionError
            If they never fall silent.
        """
        before = self.n_messages
        for _ in range(rounds):
            last = self.n_messages
            self.round()
            quiet = last == self.n_messages and not any(self.bags[name] for name in self.nodes)
            if quiet and all(node.peers.converged for node in self.nodes.values() if node.is_member):
                return last - before
        raise AssertionError(f"the nodes have not fallen silent after {rounds} rounds")

    def check(self, total: PSR | None) -> None:
        """Assert that all members hold the same, and that it is `total`."""
        members = [node for node in self.nodes.values() if node.is_member]
        for node in members:
            assert node.peers.view == members[0].peers.view
            merged = node.peers.merged
            held = "nothing" if merged is None else merged.digest
            wanted = "nothing" if total is None else total.digest
            assert held == wanted or (merged is not None and total is None and merged.n_rows == 0)

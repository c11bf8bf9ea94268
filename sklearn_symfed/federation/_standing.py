"""What a node is in a federation: its identity, the roster that it goes by, keys, and how it changes the roster.

Owns the state; which messages change it is `_reception`, what is sent is `_membership`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sklearn_symfed.exceptions import FederationError, SettingError
from sklearn_symfed.federation._admission import Desk, Joining
from sklearn_symfed.federation._claims import Claim, Mark, signed_claim
from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._envelope import commitment_of
from sklearn_symfed.federation._events import (
    RosterChanged,
)
from sklearn_symfed.federation._guard import OFF, Guard
from sklearn_symfed.federation._invites import Invite
from sklearn_symfed.federation._keys import Identity, PublicKeys
from sklearn_symfed.federation._links import Link, signed_link
from sklearn_symfed.federation._messages import (
    Message,
    Packed,
)
from sklearn_symfed.federation._peers import LIVES, Peers, Speech
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._rosters import TOPOLOGIES, Chain, Roster, RosterError
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.psr import PSR, Schema

__all__ = ["Outgoing", "Standing", "encoded_schema"]

_RELAY_BYTES = 2**18
_MOST_QUEUED = 4096
_LAST_GAP = 64
_NOBODY = bytes(32)


@dataclass(frozen=True)
class Outgoing:
    """One message to hand to the carrier.

    Attributes
    ----------
    data : bytes
        The message.
    to : str or None
        Whose inbox; None for all.
    kind : str
        Its type.
    speech : Speech or None
        What `Membership.sent` wants to know of it.
    """

    data: bytes = field(repr=False)
    to: str | None
    kind: str
    speech: Speech | None = None


class Standing:
    """One node's place in a federation.

    Parameters
    ----------
    identity : Identity
        This node's keys.
    member : str
        Its name.
    random : callable
        Returns so many bytes of randomness.
    """

    def __init__(self, identity: Identity, member: str, random: Random) -> None:
        self.identity = identity
        self.member = member
        self.random = random
        self.joining: Joining | None = None
        self.chain: Chain | None = None
        self.key = b""
        self.desk = Desk()
        self.leaving: str | None = None
        self._peers: Peers | None = None
        self._local: PSR | None = None
        self._seq = 0
        self._replies: list[tuple[str, Message, bytes]] = []
        self._forwards: list[Outgoing] = []
        self._farewells: dict[PublicKeys, str] = {}
        self._turn = 0
        self._told: dict[str, tuple[int, int]] = {}
        self._reminded: dict[PublicKeys, tuple[int, int]] = {}
        self._packed: tuple[str, Packed] | None = None

    # -- becoming a member -------------------------------------------------------------------------------------------

    @classmethod
    def found(
        cls,
        identity: Identity,
        member: str,
        name: str,
        *,
        topology: str,
        schedule: str,
        schema: Schema | None,
        contract: Contract | None = None,
        recovery: RecoveryKey,
        random: Random,
        guard: Guard = OFF,
    ) -> Self:
        """Found a federation, as its first admin."""
        if topology not in TOPOLOGIES:
            raise SettingError(f"Got topology={topology!r}, but expected one of {list(TOPOLOGIES)}.")
        node = cls(identity, member, random)
        node.key = random(32)
        values = {
            "name": name,
            "topology": topology,
            "schedule": schedule,
            "schema": None if schema is None else encoded_schema(schema),
            "contract": None if contract is None else contract.to_bytes(),
            "guard": guard.thresholds,
            "sign": identity.public.sign,
            "seal": identity.public.seal,
            "recovery": recovery.public,
            "commitment": commitment_of(node.key),
            "nonce": random(32),
        }
        node._enter(Chain([signed_link(_NOBODY, 0, _NOBODY, member, "found", values, identity.sign)]))
        return node

    @classmethod
    def join(cls, identity: Identity, invite: Invite, random: Random) -> Self:
        """Begin to join; the request goes out at the first pulse."""
        node = cls(identity, invite.member, random)
        node.joining = Joining(invite)
        return node

    def _enter(self, chain: Chain) -> None:
        """Be a member, with nothing published yet."""
        self.chain = chain
        since = chain.roster.members[self.member].since
        self._peers = Peers(self.member, chain.roster, self._claim, since * LIVES + 1)
        self._peers.seq = self._seq
        self._peers.local = self._local

    def restore(self, chain: Chain, key: bytes, own: Claim) -> None:
        """Take up what an earlier process on the same home was."""
        self.chain, self.key = chain, key
        self._peers = Peers(self.member, chain.roster, self._claim, own.incarnation)
        self._peers.own = own

    def _claim(self, mark: Mark, previous: str, origins: tuple[bytes, ...]) -> Claim:
        return signed_claim(mark, previous, origins, self.federation, self.member, self.identity.sign)

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def federation(self) -> bytes:
        """Which federation: the hash of its first link."""
        return self.joining.invite.federation if self.chain is None and self.joining else self.roster.federation

    @property
    def roster(self) -> Roster:
        """The newest roster.

        Raises
        ------
        FederationError
            While joining, when none is known.
        """
        if self.chain is None:
            raise FederationError("The admin has not answered yet: pulse until it has.")
        return self.chain.roster

    @property
    def peers(self) -> Peers:
        """The join of peers; as `roster`, not known while joining."""
        if self._peers is None:
            raise FederationError("The admin has not answered yet: pulse until it has.")
        return self._peers

    @property
    def admitted(self) -> bool:
        """Whether this node was ever welcomed."""
        return self.chain is not None

    @property
    def is_member(self) -> bool:
        """Whether the newest roster lists this node under its keys."""
        return self.chain is not None and self.chain.roster.is_member(self.member, self.identity.public)

    @property
    def is_admin(self) -> bool:
        """Whether the newest roster lists it as an admin."""
        return self.is_member and self.roster.members[self.member].admin

    @property
    def left(self) -> bool:
        """Whether this node asked to leave and is off the roster."""
        return self.leaving is not None and self.chain is not None and not self.is_member

    @property
    def local(self) -> PSR | None:
        """What this node has learned."""
        return self._local

    @local.setter
    def local(self, psr: PSR | None) -> None:
        self._local = psr
        if self._peers is not None:
            self._peers.local = psr

    # -- changing the roster -----------------------------------------------------------------------------------------

    def invite(self, url: str, member: str, expires: int, *, admin: bool) -> Invite:
        """Return an invite for a member of that name, which is to be sealed before anybody sees it."""
        self._require_admin()
        return self.desk.issue(self.roster, url, member, expires, admin=admin, by=self.member, random=self.random)

    def remove(self, member: str) -> None:
        """Take a member off the roster, with what it has published, and begin a new epoch."""
        if member == self.member:
            raise FederationError("A node does not remove itself: it leaves.")
        self.change("remove", {"member": member, "keep": ()})

    def change(self, change: str, values: dict[str, Any], recovery: RecoveryKey | None = None) -> None:
        """Sign a change of the roster and go by it; a new epoch's key is made here.

        Raises
        ------
        FederationError
            If this node is no admin, or the change cannot be made.
        """
        if recovery is None:
            self._require_admin()
        chain, roster = self.chain, self.roster
        assert chain is not None
        key = self.random(32)
        if change in {"remove", "rotate", "recover"} or (change == "admit" and values["member"] in roster.members):
            values = {**values, "commitment": commitment_of(key)}
        elif change == "admit":
            values = {**values, "commitment": None}
        signer, sign = (self.member, self.identity.sign) if recovery is None else (None, recovery.sign)
        link = signed_link(roster.federation, roster.number + 1, roster.head, signer, change, values, sign)
        try:
            extended = chain.extended(link)
        except RosterError as error:
            raise FederationError(f"The roster stays as it is: {error}.") from None
        self._adopt(extended, key if extended.roster.epoch != roster.epoch else self.key)

    def leave(self, *, forget: bool) -> None:
        """Ask to be taken off the roster; done at once where nobody else is on it."""
        roster = self.roster
        others = [name for name in roster.members if name != self.member]
        if others and roster.admins == [self.member]:
            raise FederationError("The only admin cannot leave the others: promote one of them first.")
        if not forget and not self.peers.published:
            raise FederationError(
                "Got rows that are not published yet: pulse before you leave, or leave with forget=True."
            )
        self.leaving = "forget" if forget else "keep"
        if not others:
            self.change("remove", {"member": self.member, "keep": ()})

    def _require_admin(self) -> None:
        if not self.is_admin:
            admins = self.roster.admins
            raise FederationError(f"Got {self.member!r}, who is no admin, but expected one of {admins}.")

    def _adopt(self, chain: Chain, key: bytes) -> RosterChanged:
        """Go by a roster, of which key and rights were checked."""
        assert self.chain is not None
        old, self.chain, self.key = self.chain, chain, key
        for name, member in old.roster.members.items():
            if self.is_admin and not chain.roster.is_member(name, member.keys) and name != self.member:
                self._farewells[member.keys] = name
        gone = self.peers.adopt(chain.roster)
        self.desk.close(chain.roster)
        self._told.clear()
        self._reminded.clear()
        return RosterChanged(chain.roster.number, tuple(gone))

    def _redo(self, lost: Sequence[Link], won: Sequence[Link]) -> None:
        """Make this node's own changes again, after a chain without them turned out to count.

        Only what the chain that counts does not have already: a key that was changed there needs no change here, and a
        schedule that was set there stays.  So admins that act at the same time do not go on undoing one another.
        """
        settled = {"rotate" if "commitment" in link.values else link.change for link in won if _is_settling(link)}
        again = {
            link.change if link.change in _ONCE else str(link.number): link
            for link in lost
            if link.signer == self.member and link.change not in settled
        }
        newcomers = {link.values["member"] for link in won if link.change == "admit"}
        for link in again.values():
            name = link.values.get("member")
            if link.change == "admit":
                newcomers.discard(name)
            if self.is_admin and name not in newcomers:  # else it was meant for the one who had that name before
                values = {name: value for name, value in link.values.items() if name != "commitment"}
                try:
                    self.change(link.change, values)
                except FederationError:
                    continue  # it has been done by somebody else, or can be done no more

    @property
    def seq(self) -> int:
        """Counts this node's messages."""
        return self._seq if self._peers is None else self._peers.seq

    @seq.setter
    def seq(self, value: int) -> None:
        self._seq = value
        if self._peers is not None:
            self._peers.seq = value

    def next_seq(self) -> int:
        """Count one more message."""
        if self._peers is not None:
            return self._peers.next_seq()
        self._seq += 1
        return self._seq


_SETTINGS = ("schedule", "contract")
_ONCE = ("rotate", *_SETTINGS)


def _is_settling(link: Link) -> bool:
    return link.change in _SETTINGS or link.values.get("commitment") is not None


def encoded_schema(schema: Schema) -> bytes:
    """Return a schema's bytes: those of the PSR of no rows."""
    return PSR.zero(schema).to_bytes()

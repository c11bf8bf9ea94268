"""The roster: who is a member, by which keys, since when; as a chain of signed links from the federation's first one.

Owns what each change does and who may make it, and which of two chains counts where admins acted at the same time.
The federation *is* the hash of its first link, so whoever knows that can check every roster that follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from sklearn_symfed.exceptions import FederationError, SettingError, SymfedError
from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._fields import MAX_MEMBERS
from sklearn_symfed.federation._guard import Guard
from sklearn_symfed.federation._keys import PublicKeys
from sklearn_symfed.federation._links import Link
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.psr import PSR

__all__ = ["MAX_LINKS", "TOPOLOGIES", "Chain", "Former", "Roster", "RosterError", "RosterMember", "federation_of"]

MAX_LINKS = 65_536
TOPOLOGIES = ("decentralised", "centralised")


class RosterError(FederationError):
    """A link that does not follow, or that its signer may not make."""


class RosterMember(NamedTuple):
    """A member as the roster knows it."""

    keys: PublicKeys
    admin: bool
    since: int
    """Number of the roster that admitted it."""


class Former(NamedTuple):
    """Somebody who left and let the rows stay: no state after `stamp` is taken."""

    keys: PublicKeys
    stamp: tuple[int, int]


@dataclass(frozen=True)
class Roster:
    """The state after so many links.

    Attributes
    ----------
    federation : bytes
        The hash of the first link.
    name, topology, schedule : str
        As the admins fixed them.
    schema, contract : bytes or None
        As the admins fixed them; encoded elsewhere.
    guard : Guard
        What the statistics of every member must be like before they are published: as the founder fixed it.
    recovery : bytes
        Public key of the recovery key.
    members : mapping of str to RosterMember
    former : mapping of str to Former
    epoch, since : int
        Counts keys of the federation; and the number of the roster that began the newest epoch.
    commitment : bytes
        What the epoch's key is recognised by.
    number, head : int, bytes
        Number and digest of the last link.
    recoveries : int
        How often the recovery key was used.
    invites : frozenset of bytes
        Identifiers of the invites that were used.
    """

    federation: bytes
    name: str
    topology: str
    schedule: str
    schema: bytes | None
    contract: bytes | None
    guard: Guard
    recovery: bytes
    members: Mapping[str, RosterMember]
    former: Mapping[str, Former]
    epoch: int
    since: int
    commitment: bytes
    number: int
    head: bytes
    recoveries: int
    invites: frozenset[bytes]

    @cached_property
    def rules(self) -> Contract:
        """The contract, read."""
        return Contract() if self.contract is None else Contract.from_bytes(self.contract)

    @property
    def admins(self) -> list[str]:
        """The admins, sorted."""
        return sorted(name for name, member in self.members.items() if member.admin)

    def keys_of(self, name: str) -> PublicKeys | None:
        """Return the keys of a member, or of a former one whose rows stay."""
        held = self.members.get(name) or self.former.get(name)
        return None if held is None else held.keys

    def is_member(self, name: str, keys: PublicKeys) -> bool:
        """Tell whether the holder of these keys is the member of that name."""
        return name in self.members and self.members[name].keys == keys

    def after(self, link: Link) -> Roster:
        """Return the roster that a link makes of this one.

        Raises
        ------
        RosterError
            If it does not follow, its signature is wrong, its signer may not, or it changes what is not there.
        """
        if (link.federation, link.number, link.previous) != (self.federation, self.number + 1, self.head):
            raise RosterError("a link of the roster does not follow the one before")
        if link.signer is None:
            key = self.recovery
        elif link.signer in self.members and self.members[link.signer].admin:
            key = self.members[link.signer].keys.sign
        else:
            raise RosterError(f"a link of the roster is signed by {link.signer!r}, who is no admin")
        if (link.signer is None) != (link.change == "recover") or not link.is_signed(key):
            raise RosterError("a link of the roster is not signed by who says so")
        if link.number > MAX_LINKS:
            raise RosterError(f"the roster has had {MAX_LINKS} changes; found a new federation")
        changed: Roster = getattr(self, f"_{link.change}")(**link.values)
        return replace(changed, number=link.number, head=link.digest)

    # -- what each change does ---------------------------------------------------------------------------------------

    def _found(self, **_: object) -> Roster:
        raise RosterError("a federation is founded once")

    def _admit(
        self, member: str, sign: bytes, seal: bytes, admin: bool, invite: bytes, commitment: bytes | None
    ) -> Roster:
        keys = PublicKeys(sign, seal)
        if invite in self.invites:
            raise RosterError("an invite was used before")
        if any(held.keys == keys for held in self.members.values()):
            raise RosterError("these keys are a member's already")
        if (member in self.members) != (commitment is not None):
            raise RosterError("whoever takes the place of another one begins a new epoch, and nobody else")
        if len(self.members) >= MAX_MEMBERS:
            raise RosterError(f"there are {MAX_MEMBERS} members already")
        if member in self.members and self.admins == [member] and not admin:
            raise RosterError("the last admin cannot go")
        members = {**self.members, member: RosterMember(keys, admin, self.number + 1)}
        former = {name: held for name, held in self.former.items() if name != member}
        admitted = replace(self, members=members, former=former, invites=self.invites | {invite})
        return admitted if commitment is None else _in_new_epoch(admitted, commitment)

    def _remove(self, member: str, keep: tuple[int, ...], commitment: bytes) -> Roster:
        held = self._existing(member)
        if self.admins == [member] and len(self.members) > 1:
            raise RosterError("the last admin cannot go; promote another member first")
        if len(keep) not in {0, 2} or (keep and len(self.former) >= MAX_MEMBERS):
            raise RosterError("what stays of a member is one state")
        members = {name: other for name, other in self.members.items() if name != member}
        former = {**self.former, member: Former(held.keys, (keep[0], keep[1]))} if keep else self.former
        return _in_new_epoch(replace(self, members=members, former=former), commitment)

    def _promote(self, member: str) -> Roster:
        held = self._existing(member)
        if held.admin:
            raise RosterError(f"{member!r} is an admin already")
        return replace(self, members={**self.members, member: held._replace(admin=True)})

    def _rotate(self, commitment: bytes) -> Roster:
        return _in_new_epoch(self, commitment)

    def _schedule(self, schedule: str) -> Roster:
        _check(schedule, None, None)
        return replace(self, schedule=schedule)

    def _schema(self, schema: bytes) -> Roster:
        if self.schema is not None:
            raise RosterError("the federation has a schema already")
        _check(self.schedule, schema, self.contract)
        return replace(self, schema=schema)

    def _contract(self, contract: bytes) -> Roster:
        _check(self.schedule, self.schema, contract)
        return replace(self, contract=contract)

    def _recover(self, member: str, commitment: bytes) -> Roster:
        self._existing(member)
        members = {name: held._replace(admin=name == member) for name, held in self.members.items()}
        return _in_new_epoch(replace(self, members=members, recoveries=self.recoveries + 1), commitment)

    def _existing(self, member: str) -> RosterMember:
        if member not in self.members:
            raise RosterError(f"{member!r} is no member")
        return self.members[member]


def _in_new_epoch(roster: Roster, commitment: bytes) -> Roster:
    return replace(roster, epoch=roster.epoch + 1, since=roster.number + 1, commitment=commitment)


def _check(schedule: str, schema: bytes | None, contract: bytes | None) -> None:
    """Refuse what whoever goes by a roster could not read, and rules on columns that there are not."""
    try:
        parse_schedule(schedule)
        columns = None if schema is None else PSR.from_bytes(schema).schema
        rules = None if contract is None else Contract.from_bytes(contract)
    except SymfedError as error:
        raise RosterError(str(error)) from None
    if rules is None or columns is None:
        return
    try:
        rules.require_fit(columns)
    except SettingError as error:
        advice = "learn rows with the columns of the contract, or let an admin change its rules before"
        raise RosterError(f"{error}\n{advice}") from None


def federation_of(link: Link) -> bytes:
    """Return the federation that a first link founds."""
    return link.digest


def _founded(link: Link) -> Roster:
    """Return the first roster."""
    values = link.values
    if link.change != "found" or link.number or any(link.federation) or any(link.previous) or link.signer is None:
        raise RosterError("a chain does not begin with the founding of a federation")
    if not link.is_signed(values["sign"]) or values["topology"] not in TOPOLOGIES:
        raise RosterError("the founding of a federation is not signed by its founder")
    _check(values["schedule"], values["schema"], values["contract"])
    try:
        guard = Guard.of(values["guard"])
    except SettingError as error:
        raise RosterError(str(error)) from None
    founder = RosterMember(PublicKeys(values["sign"], values["seal"]), admin=True, since=0)
    return Roster(
        federation=federation_of(link),
        **{key: values[key] for key in ("name", "topology", "schedule", "schema", "contract", "recovery")},
        guard=guard,
        members={link.signer: founder},
        former={},
        epoch=1,
        since=0,
        commitment=values["commitment"],
        number=0,
        head=link.digest,
        recoveries=0,
        invites=frozenset(),
    )


class Chain:
    """All links from the first, and the roster that they make; immutable.

    Parameters
    ----------
    links : sequence of Link
        Their signatures and rights are checked.

    Raises
    ------
    RosterError
        If they make no roster.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = tuple(links)
        if not self.links:
            raise RosterError("a chain holds at least one link")
        self.roster = _replayed(_founded(self.links[0]), self.links[1:])
        self._once: dict[str, list[PublicKeys]] | None = None

    @classmethod
    def _known(cls, links: tuple[Link, ...], roster: Roster) -> Chain:
        chain = cls.__new__(cls)
        chain.links, chain.roster = links, roster
        chain._once = None  # noqa: SLF001 - its own class
        return chain

    def extended(self, link: Link) -> Chain:
        """Return the chain with one link more."""
        return Chain._known((*self.links, link), self.roster.after(link))

    def holds(self, number: int, head: bytes) -> bool:
        """Tell whether this chain goes through a roster."""
        return number < len(self.links) and self.links[number].digest == head

    def keys_once_of(self, name: str) -> list[PublicKeys]:
        """Return the keys that a name had in some roster of this chain, newest first."""
        if self._once is None:
            self._once = {}
            for link in self.links:
                who = link.signer if link.number == 0 else link.values.get("member")
                if who is not None and "seal" in link.values:
                    keys = PublicKeys(link.values["sign"], link.values["seal"])
                    self._once.setdefault(who, []).insert(0, keys)
        return self._once.get(name, [])[:8]

    def was_admin(self, name: str) -> bool:
        """Tell whether some roster of this chain lists an admin of that name."""
        return any(
            link.signer == name
            if link.number == 0
            else link.values.get("member") == name
            and (link.change in {"promote", "recover"} or (link.change == "admit" and link.values["admin"]))
            for link in self.links
        )

    def since(self, number: int, head: bytes) -> tuple[Link, ...]:
        """Return the links that somebody lacks who is at that roster: all, if this chain does not go through it."""
        return self.links[number + 1 :] if self.holds(number, head) else self.links

    def joined(self, links: Sequence[Link]) -> Chain:
        """Return the chain that counts, given links of another one that follow from a link of this one.

        Where two chains part, in this order: the one with more recoveries counts; the one that removed an admin who
        signed links of the other; if each did so, the one whose removers were not themselves removed by the other,
        and if that does not tell them apart, this one stays; the longer; the one whose first link of its own has the
        smaller digest.  So nobody who was removed makes a chain that counts for those who know of the removal, and
        admins who acted at the same time come to agree, unless they removed one another.

        Raises
        ------
        RosterError
            If the links do not connect, or break a rule.
        """
        if not links:
            return self
        start = links[0].number
        if start > len(self.links) or [link.number for link in links] != list(range(start, start + len(links))):
            raise RosterError("links of the roster are missing")
        fork = next((link.number for link in links if not self.holds(link.number, link.digest)), None)
        if fork is None:
            return self
        if fork == 0:
            raise RosterError("the chain is of another federation")
        theirs = tuple(links[fork - start :])
        if fork == len(self.links):
            return Chain._known((*self.links, *theirs), _replayed(self.roster, theirs))
        common = _replayed(_founded(self.links[0]), self.links[1:fork])
        other = Chain._known((*self.links[:fork], *theirs), _replayed(common, theirs))
        return other if _counts_more(common, theirs, other.roster, self.links[fork:], self.roster) else self


def _replayed(roster: Roster, links: Sequence[Link]) -> Roster:
    for link in links:
        roster = roster.after(link)
    return roster


def _counts_more(
    common: Roster, new: Sequence[Link], new_roster: Roster, old: Sequence[Link], old_roster: Roster
) -> bool:
    if new_roster.recoveries != old_roster.recoveries:
        return new_roster.recoveries > old_roster.recoveries
    by_old, old_removers = _outlawed(common, old, old_roster, new)
    by_new, new_removers = _outlawed(common, new, new_roster, old)
    if by_old and by_new and (old_removers <= by_new) == (new_removers <= by_old):
        return False
    if by_old or by_new:
        return not by_old or (bool(by_new) and old_removers <= by_new)
    if len(new) != len(old):
        return len(new) > len(old)
    return new[0].digest < old[0].digest


def _outlawed(
    common: Roster, links: Sequence[Link], later: Roster, others: Sequence[Link]
) -> tuple[set[str], set[str]]:
    """Return the admins whom some links took out although they signed other links, and the admins who did that.

    Whoever became an admin after the chains parted stands for the admin who made it one.
    """
    gone = {
        name
        for name in common.admins
        if not (later.is_member(name, common.members[name].keys) and later.members[name].admin)
    }
    signed = _answerable(common, others)
    outlawed = gone & set(signed)
    removed = ("remove", "admit")
    removers = {
        signer
        for link, signer in zip(links, _answerable(common, links), strict=True)
        if link.change in removed and link.values["member"] in outlawed
    }
    return outlawed, removers


def _answerable(common: Roster, links: Sequence[Link]) -> list[str]:
    """Return for each link the admin, of those before the chains parted, who answers for it."""
    stands_for = {name: name for name in common.admins}
    answerable = []
    for link in links:
        admin = stands_for.get(link.signer or "", "")
        answerable.append(admin)
        if link.change == "promote" or (link.change == "admit" and link.values["admin"]):
            stands_for.setdefault(link.values["member"], admin)
    return answerable

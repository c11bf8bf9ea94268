"""What a node holds of a federation's members: a slot for each, their newest words, and the sums over them.

Owns the values and what follows from them; how a slot comes to be replaced, and what is said to whom, is `_peers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sklearn_symfed.exceptions import FederationError
from sklearn_symfed.federation._claims import Claim, Entry, Mark, View
from sklearn_symfed.federation._contract import Breach
from sklearn_symfed.federation._rosters import Roster
from sklearn_symfed.federation._tally import Sum
from sklearn_symfed.psr import PSR, Schema, kind_of_labels

__all__ = ["ASK", "ASK_ALL", "Head", "Held", "Said", "Slot", "Speech", "Word", "schema_of"]


ASK, ASK_ALL = 1, 2
"""The recipient shall answer with what it holds / and with its whole slot."""


class Slot(NamedTuple):
    """What is held of one member: its claim, or the proof against it; and its statistics from version 1 on."""

    entry: Entry
    psr: PSR | None

    @property
    def mark(self) -> Mark:
        """Which state it is."""
        return self.entry.mark


class Word(NamedTuple):
    """The newest that one member said: the message's place in its sequence, and what it then held."""

    seq: int
    view: View


class Head(NamedTuple):
    """Which roster a member has, by its newest authentic message."""

    seq: int
    number: int
    head: bytes


@dataclass(frozen=True)
class Said:
    """What an authentic message of a member says; the entries of its view are not checked yet.

    Statistics are expanded when they are asked for, up to so many bytes.
    """

    sender: str
    seq: int
    ask: int
    view: Mapping[str, bytes]
    psrs: Mapping[str, Callable[[int], bytes]]


@dataclass(frozen=True)
class Speech:
    """What to send: to one member or all; whether to ask; whose statistics go along, this node's or others'."""

    to: str | None
    ask: int = 0
    own: bool = False
    relay: tuple[str, ...] = ()


class Held:
    """What one node holds.

    Parameters
    ----------
    member : str
        This node.
    roster : Roster
        Who takes part.
    claim : callable
        Signs a claim of this node: from mark, previous digest and origins.
    """

    def __init__(
        self, member: str, roster: Roster, claim: Callable[[Mark, str, tuple[bytes, ...]], Claim], incarnation: int = 1
    ) -> None:
        self.member = member
        self.roster = roster
        self.schema = schema_of(roster)
        self._sign = claim
        self.own: Claim = claim(Mark(incarnation, 0, ""), "", ())
        self.seq = 0
        self._origins: tuple[bytes, ...] = ()
        self.announced: View = {}
        self.announced_head = b""
        self.slots: dict[str, Slot] = {}
        self.words: dict[str, Word] = {}
        self.heads: dict[str, Head] = {}
        self._local: PSR | None = None
        self._shown: PSR | None = None
        self._sum = Sum()
        self._judged: dict[str, tuple[str, Breach | None]] = {}
        self._barred: set[str] = set()
        self._relays: set[str] = set()
        self._contrary: dict[str, str] = {}  # kinds of labels of members whose statistics are not held for that
        self._blobs: dict[str, tuple[bytes, Entry]] = {}
        self._checked: dict[str, tuple[bytes, Entry]] = {}  # the newest of each whose signature was checked
        self._newest: dict[str, Claim] = {}
        self._floors: dict[str, tuple[int, int]] = {}
        self._ahead: Entry | None = None
        self._asked: dict[str, int] = {}
        self._unheard: set[str] = set()
        self._call = ASK
        self._reading = 0
        self._reopened = False
        self._next_warning = 0
        self._turn = 0
        self._last: dict[str, int] = {}
        self._unanswered: dict[str, int] = {}
        self._deaf: set[str] = set()
        self._gaps: dict[str, int] = {}
        self._fresh: set[str] = set()  # whose slots came since this node's last pulse

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def local(self) -> PSR | None:
        """What this node has learned."""
        return self._local

    @local.setter
    def local(self, psr: PSR | None) -> None:
        self._local = psr
        self._count(self.member, None if self.mismatch() else psr)

    @property
    def origins(self) -> tuple[bytes, ...]:
        """Whose rows this node has learned, sorted; empty where they are its own only."""
        return self._origins

    @origins.setter
    def origins(self, origins: tuple[bytes, ...]) -> None:
        self._origins = origins
        self.local = self._local

    @property
    def mark(self) -> Mark:
        """The newest version of this node."""
        return self.own.mark

    @property
    def others_names(self) -> list[str]:
        """The other members, sorted."""
        return sorted(name for name in self.roster.members if name != self.member)

    @property
    def view(self) -> dict[str, Mark]:
        """What this node holds, its own slot included."""
        return {self.member: self.mark, **{name: slot.mark for name, slot in self.slots.items()}}

    @property
    def entries(self) -> dict[str, bytes]:
        """What this node holds, signed by whom it is of."""
        held = {name: self._blob(name, slot.entry) for name, slot in self.slots.items()}
        return {**held, self.member: self.own.to_bytes()}

    @property
    def published(self) -> bool:
        """Whether the newest version is what was learned."""
        same = self.local is None or self.local.digest == self.mark.digest
        return same and (self.local is None or self.origins == self.own.origins)

    @property
    def shown(self) -> PSR | None:
        """The statistics of this node's newest version; None if it has none, or its home does not hold them."""
        known = (psr for psr in (self._local, self._shown) if psr is not None and psr.digest == self.mark.digest)
        return next(known, None)

    @shown.setter
    def shown(self, psr: PSR | None) -> None:
        self._shown = psr

    @property
    def ahead(self) -> Entry | None:
        """What others hold of this node that its own home does not know of; None if nothing."""
        return self._ahead

    @property
    def reading(self) -> bool:
        """Whether this home was taken up and waits for a peer's view before it publishes."""
        return self._reading > 0

    @property
    def waiting(self) -> list[str]:
        """The members whose newest words do not show that they hold what this node holds."""
        view, head = self.view, self.roster.head
        return [
            name
            for name in self.others_names
            if name not in self.words
            or self.words[name].view != view
            or name not in self.heads
            or self.heads[name].head != head
        ]

    @property
    def outdated(self) -> list[str]:
        """The members that are known not to have this node's roster."""
        return [n for n in self.others_names if n in self.heads and self.heads[n].head != self.roster.head]

    @property
    def converged(self) -> bool:
        """Whether every member is known to hold the same, and this node has nothing unpublished.

        After `restore`, what members said before does not count: each must have been heard again.
        """
        return self._ahead is None and self.published and not self.waiting and not self._unheard

    @property
    def lagging(self) -> list[str]:
        """The members that are not known to hold what this node holds, or were not heard in this process; sorted."""
        return sorted({*self.waiting, *self._unheard})

    @property
    def others(self) -> PSR | None:
        """The sum over the other members; None while no column is known."""
        return self._ordered(self._sum.without(self.member))

    @property
    def merged(self) -> PSR | None:
        """What this node learned and the sum over the others; None while no column is known."""
        return self._ordered(self._sum.total)

    @property
    def overlapping(self) -> dict[str, str]:
        """The members that are not counted, as their rows are among those of another one: member -> the other."""
        return self._sum.overlapping

    @property
    def origins_held(self) -> tuple[bytes, ...]:
        """Whose rows the merged statistics hold, sorted."""
        counted = self._sum.counted
        return tuple(sorted({origin for name in counted for origin in self._origins_of(name)}))

    def origins_of_others(self) -> set[bytes]:
        """Return whose rows the other members' statistics hold, whether they count or not."""
        names = [name for name in {*self.roster.members, *self.roster.former} if name != self.member]
        return {origin for name in names for origin in self._origins_of(name)}

    @property
    def kind_of_labels(self) -> str:
        """Of which kind the class labels are that count here; "" if there are none."""
        own = self._sum.of(self.member)
        return self._sum.kind_without(self.member) or ("" if own is None else kind_of_labels(own.labels))

    def psr_of(self, members: Iterable[str]) -> PSR | None:
        """Return the sum over some members; None while no column is known."""
        total = self._ordered(None)
        for name in dict.fromkeys(members):
            if self.roster.keys_of(name) is None and name != self.member:
                known = sorted({*self.roster.members, *self.roster.former})
                raise FederationError(f"Got member {name!r}, but expected some of {known}.")
            psr = self.local if name == self.member else self._sum.of(name)
            total = psr if total is None else total + psr if psr is not None else total
        return total

    def check(self, news: Mapping[str, PSR]) -> None:
        """Raise the error that holding these of some members would raise: labels of two kinds, say."""
        if self.schema is not None and self.schema.classes is not None:
            self._sum.check(news)

    def mismatch(self) -> str | None:
        """Say why what was learned does not fit the federation; None if it does."""
        if self.local is None or self.schema is None:
            return None
        differences = self.schema.differences(self.local.schema)
        return "; ".join(differences or self._contradictions()) or None

    def _contradictions(self) -> list[str]:
        """Say how the labels that were learned contradict others': those held, or of who was admitted before."""
        assert self.local is not None
        assert self.schema is not None
        own = kind_of_labels(self.local.labels)
        if not own:
            return []
        kinds = {kind for name, kind in self._contrary.items() if kind != own and self._came_first(name, own)}
        kinds |= {self._sum.kind_without(self.member)} - {"", own}
        return [
            f"labels of the class column {self.schema.classes!r}: {own} instead of {kind}" for kind in sorted(kinds)
        ]

    def _came_first(self, name: str, kind: str) -> bool:
        """Whether a member was admitted before this one, and before all whose labels are known to be of a kind."""
        held = {other: slot.psr for other, slot in self.slots.items() if slot.psr is not None}
        same = [other for other, psr in held.items() if kind_of_labels(psr.labels) == kind]
        since = {member: listed.since for member, listed in self.roster.members.items()}
        return all(since.get(name, 0) < since.get(other, 0) for other in (self.member, *same))

    def _yield_to(self, news: Mapping[str, PSR]) -> None:
        """Do not count what was learned here if its labels contradict those of a member who was admitted before."""
        own = "" if self.local is None else kind_of_labels(self.local.labels)
        found = {name: kind for name, psr in news.items() if (kind := kind_of_labels(psr.labels)) not in {"", own}}
        if own and found:
            self._contrary |= found
            self.local = self._local

    def _return(self) -> None:
        """Count what was learned here again if nothing contradicts it any more."""
        if self._local is not None and self._sum.of(self.member) is None:
            self.local = self._local

    # -- the contract ------------------------------------------------------------------------------------------------

    def breach_of(self, member: str, psr: PSR | None) -> Breach | None:
        """Return the rule that statistics of a member break; None if none."""
        if psr is None or self.schema is None or not self.roster.rules:
            return None
        held = self._judged.get(member)
        if held is None or held[0] != psr.digest:
            held = self._judged[member] = (psr.digest, self.roster.rules.breach(psr))
        return held[1]

    def barring(self, member: str, psr: PSR | None) -> Breach | None:
        """Return the rule that keeps statistics of a member from counting; None for whoever is only flagged."""
        return None if member in self.roster.rules.flagged else self.breach_of(member, psr)

    @property
    def held_back(self) -> Breach | None:
        """The rule that keeps what was learned from being published; None if none."""
        return None if self.mismatch() else self.barring(self.member, self.local)

    def _ordered(self, psr: PSR | None) -> PSR | None:
        if self.schema is None:
            return psr
        zero = PSR.zero(self.schema)
        return zero if psr is None else zero + psr

    def _blob(self, name: str, entry: Entry) -> bytes:
        held = self._blobs.get(name)
        if held is None or held[1] is not entry:
            held = self._blobs[name] = (entry.to_bytes(), entry)
        return held[0]

    def _replace(self, member: str, slot: Slot | None) -> None:
        if slot is None:
            del self.slots[member]
        else:
            self.slots[member] = slot
        self._count(member, None if slot is None else slot.psr)

    def _count(self, member: str, psr: PSR | None) -> None:
        """Put a member's newest statistics in the place of its last; none of the others is touched but by relays."""
        entry = self.slots[member].entry if member in self.slots else None
        listed = self.origins if member == self.member else entry.origins if isinstance(entry, Claim) else ()
        if listed:
            self._relays.add(member)
        counts = member == self.member or self.barring(member, psr) is None
        (self._barred.discard if counts else self._barred.add)(member)
        if not self._relays:
            self._sum.replace(member, psr, counts=counts)
            return
        self._sum.put(member, psr)
        self._recount()
        if not listed:
            self._relays.discard(member)

    def _recount(self) -> None:
        """Decide whose statistics count: of members whose origins overlap, the one that was admitted first."""
        order = sorted(self.roster.members, key=lambda name: (self.roster.members[name].since, name))
        names = [name for name in [*order, *sorted(self.roster.former)] if name not in self._barred]
        self._sum.count({name: self._origins_of(name) for name in names})

    def _origins_of(self, name: str) -> tuple[bytes, ...]:
        entry = self.slots[name].entry if name in self.slots else None
        listed = self.origins if name == self.member else entry.origins if isinstance(entry, Claim) else ()
        keys = self.roster.keys_of(name)
        return listed or ((keys.origin,) if keys is not None else ())


def schema_of(roster: Roster) -> Schema | None:
    """Return the schema that a roster fixes."""
    return None if roster.schema is None else PSR.from_bytes(roster.schema).schema

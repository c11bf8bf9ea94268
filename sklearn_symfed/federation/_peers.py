"""The join of peers: what a node holds of the others, and what it has to say to them.

A state machine without I/O, clock, thread or randomness: `receive` takes a message and returns an event, `publish`
makes what was learned the node's newest version, `outgoing` says what to send at this node's own pulse, `sent` is told
what was.  Statistics *add*; the states of peers *join*: whatever is lost, repeated, late or out of order, nodes that
keep pulsing come to hold the same slots, and then fall silent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sklearn_symfed.exceptions import FederationError, SymfedError
from sklearn_symfed.federation._envelope import MAX_COUNTER, MAX_MEMBERS, Mark, Pulse, View
from sklearn_symfed.psr import PSR

__all__ = ["Applied", "Event", "Heard", "Hello", "Peers", "Refused", "Slot", "Stale", "Word"]

FIRST_GAP = 2
LAST_GAP = 64
"""A member that lags is asked again after 2, 4, 8, ... 64, 64 of this node's own pulses."""


class Slot(NamedTuple):
    """What is held of one member: its mark, and its statistics from version 1 on."""

    mark: Mark
    psr: PSR | None


class Word(NamedTuple):
    """The newest that one member said: the message's place in its sequence, and what it then held."""

    stamp: tuple[int, int]
    view: View


@dataclass(frozen=True)
class Applied:
    """The sender's slot was replaced."""

    member: str
    mark: Mark


@dataclass(frozen=True)
class Heard:
    """The sender's slot stays; what it holds of others is news."""

    member: str


@dataclass(frozen=True)
class Stale:
    """A repeated or late message, which changed nothing."""

    member: str


@dataclass(frozen=True)
class Hello:
    """Somebody wants to join, and will be answered."""

    member: str


@dataclass(frozen=True)
class Refused:
    """A message that breaks a rule, and changed nothing."""

    member: str
    reason: str


Event = Applied | Heard | Stale | Hello | Refused


_TAKEN = "the member name is taken by another home; join under another name"


class _RuleError(Exception):
    """A rule of the join is broken; the message says which."""


class Peers:
    """One node's side of a federation.

    Parameters
    ----------
    member : str
        This node.
    federation, founder : str
        Name of the federation and of the member who created it; empty until a joiner has heard them.
    incarnation : int, default=1
        Life of this node's home; a later one takes the place of an earlier one, whatever their versions.
    claimed : bool, default=False
        Whether the user said that this home counts, should another one have published under this member's name.
    """

    def __init__(
        self, member: str, federation: str = "", founder: str = "", *, incarnation: int = 1, claimed: bool = False
    ) -> None:
        self.member = member
        self.federation = federation
        self.founder = founder
        self.mark = Mark(incarnation, 0, "")
        self.previous = ""
        self.seq = 0
        self.local: PSR | None = None
        self.claimed = claimed
        self.announced: View = {}
        self.slots: dict[str, Slot] = {}
        self.words: dict[str, Word] = {}
        self._others: PSR | None = None
        self._floors: dict[str, tuple[int, int]] = {}
        self._ahead: Mark | None = None
        self._asked: set[str] = set()
        self._hellos: set[str] = set()
        self._unheard: set[str] = set()
        self._roll_call = False
        self._next_warning = 0
        self._turn = 0
        self._last: dict[str, int] = {}
        self._gaps: dict[str, int] = {}

    def restore(self, slots: dict[str, Slot], words: dict[str, Word]) -> None:
        """Take up what an earlier process on the same home had joined, and doubt it: all peers will be asked."""
        for member, slot in slots.items():
            self._replace(member, slot)
        for member, word in words.items():
            self._listen(member, word)
        self._unheard = {*slots, *words}
        self._roll_call = True

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def members(self) -> list[str]:
        """Every member that was heard, and this node; sorted."""
        return sorted({self.member, *self.slots, *self.words})

    @property
    def view(self) -> dict[str, Mark]:
        """What this node holds, its own slot included."""
        return {self.member: self.mark, **{name: slot.mark for name, slot in self.slots.items()}}

    @property
    def published(self) -> bool:
        """Whether the newest version is what was learned."""
        return self.local is None or self.local.digest == self.mark.digest

    @property
    def ahead(self) -> Mark | None:
        """What others hold of this node that its own home does not know of; None if nothing."""
        return self._ahead

    @property
    def waiting(self) -> list[str]:
        """The members whose newest words do not show that they hold what this node holds."""
        view = self.view
        others = [name for name in self.members if name != self.member]
        return [name for name in others if name not in self.words or self.words[name].view != view]

    @property
    def converged(self) -> bool:
        """Whether every member is known to hold the same, and this node has nothing unpublished.

        After `restore`, what members said before does not count: each must have been heard again.
        """
        settled = bool(self.federation) and self._ahead is None and self.published
        return settled and not self.waiting and not self._unheard

    @property
    def lagging(self) -> list[str]:
        """The members that are not known to hold what this node holds, or were not heard in this process; sorted."""
        return sorted({*self.waiting, *self._unheard})

    @property
    def reference(self) -> PSR | None:
        """The PSR whose order of columns is the federation's: the founder's, or the first by name that has one.

        A function of the slots alone, so that converged nodes agree.
        """
        held = {name: slot.psr for name, slot in self.slots.items() if slot.psr is not None}
        if self.local is not None:
            held[self.member] = self.local
        return held[self.founder if self.founder in held else min(held)] if held else None

    @property
    def others(self) -> PSR | None:
        """The sum over the other members; None while no column is known."""
        return self._ordered(self._others)

    @property
    def merged(self) -> PSR | None:
        """What this node learned and the sum over the others; None while no column is known."""
        if self.local is None or self._others is None:
            return self._ordered(self._others if self.local is None else self.local)
        return self._ordered(self._others + self.local)

    def psr_of(self, members: Iterable[str]) -> PSR | None:
        """Return the sum over some members; None while no column is known."""
        total = self._ordered(None)
        for name in dict.fromkeys(members):
            if name not in self.members:
                raise FederationError(f"Got member {name!r}, but expected some of {self.members}.")
            psr = self.local if name == self.member else self.slots[name].psr if name in self.slots else None
            total = psr if total is None else total + psr if psr is not None else total
        return total

    def check(self, psr: PSR) -> None:
        """Raise the error that adding `psr` to what others have learned would raise."""
        if self._others is not None:
            _ = self._others + psr

    def _ordered(self, psr: PSR | None) -> PSR | None:
        reference = self.reference
        if reference is None:
            return psr
        zero = PSR.zero(reference.schema)
        return zero if psr is None else zero + psr

    # -- receiving ---------------------------------------------------------------------------------------------------
    #
    # Rules of the join, in the order in which they are tried.  `stamp` is (incarnation, version) of the sender's slot
    # in the message; `held` is the slot that this node has of the sender; `floor` is the highest stamp of the sender
    # that anybody's view showed.  A refusal changes nothing.
    #
    #   message                                              effect                                         event
    #   addressed to somebody else                           -                                              Refused
    #   of my own name, not newer than my own slot           -                                              Stale
    #   of my own name, newer                                I stop publishing until a new incarnation      Refused
    #   hello (no federation) under the name of a member     is answered with my view: it will see itself   Refused
    #     that has published, of another incarnation           there, and stop
    #   hello                                                is answered at my next pulse                   Hello
    #   of another federation, or of another founder         -                                              Refused
    #   stamp = held, another digest                         -  (equivocation)                              Refused
    #   stamp = held + one version, another previous digest  -  (equivocation)                              Refused
    #   stamp < held, or stamp < floor                       slot stays                                     (see below)
    #   stamp > held, statistics missing                     slot stays; the sender will see that I lack it (see below)
    #   stamp > held, statistics not valid, of another       -                                              Refused
    #     digest, or of columns that do not match
    #   stamp > held, all is well                            slot := message's; merged += new - old         Applied
    #
    #   slot stays, message newer than the sender's last     view taken, floors raised                      Heard
    #   slot stays, message not newer                        -                                              Stale
    #
    # Only a sender's own message changes its slot.  Views raise floors and never trigger replies; `ask` does, once a
    # message and even if it is stale or refused for its slot: so a home restored from a backup learns that it is
    # behind.  The first message with a federation's name that a joiner hears is of its federation.
    #
    # Two homes of one name, be one a restored backup or a newcomer: whichever hears that others hold a state of its
    # name that is not its own past falls silent (`ahead`), until its user says that it counts (`claimed`, `renew`).
    # A node does not wait for that word before it publishes, or one dead peer would silence it: should it publish
    # another state under a stamp that others hold, they refuse it, and a new incarnation takes the place of both.

    def receive(self, pulse: Pulse) -> Event:
        """Join one message into what is held."""
        try:
            return self._receive(pulse)
        except (_RuleError, SymfedError) as error:
            return Refused(pulse.sender, str(error))

    def _receive(self, pulse: Pulse) -> Event:
        if pulse.to not in {None, self.member}:
            raise _RuleError(f"it is addressed to {pulse.to!r}, and this is {self.member!r}")
        if pulse.sender == self.member:
            return self._receive_own_name(pulse)
        if not pulse.federation:
            return self._receive_hello(pulse)
        if self.federation not in {"", pulse.federation}:
            raise _RuleError(f"it is of federation {pulse.federation!r}, and this is {self.federation!r}")
        if self.founder not in {"", pulse.founder}:
            raise _RuleError(
                f"it is of another federation of that name: {pulse.founder!r} founded it, and this one {self.founder!r}"
            )
        if pulse.sender not in self.words and len(self.members) > MAX_MEMBERS:
            raise _RuleError(f"there are {MAX_MEMBERS} members already")
        if pulse.ask and len(self._asked) < MAX_MEMBERS:
            self._asked.add(pulse.sender)
        slot = self._new_slot(pulse)
        if slot is not None:
            self._replace(pulse.sender, slot)
        if not self.federation:
            self.federation, self.founder = pulse.federation, pulse.founder
        heard = self._listen(pulse.sender, Word((pulse.incarnation, pulse.seq), pulse.whole_view))
        if pulse.ask and not heard and pulse.whole_view != self.words[pulse.sender].view:
            self._unheard.add(pulse.sender)  # late, or a restored home with an old clock: it has to say which
        return Applied(pulse.sender, slot.mark) if slot else Heard(pulse.sender) if heard else Stale(pulse.sender)

    def _receive_hello(self, pulse: Pulse) -> Event:
        name, slot = pulse.sender, self.slots.get(pulse.sender)
        taken = slot is not None and slot.mark.version > 0 and slot.mark.incarnation != pulse.incarnation
        queue = self._asked if taken else self._hellos
        if self.federation and len(queue) < MAX_MEMBERS:
            queue.add(name)
        if taken:
            raise _RuleError(_TAKEN)
        return Hello(name)

    def _receive_own_name(self, pulse: Pulse) -> Event:
        if not pulse.federation and pulse.incarnation != self.mark.incarnation:
            raise _RuleError(_TAKEN)
        if not pulse.federation or pulse.federation != self.federation or not self._note_self(pulse.mark):
            return Stale(pulse.sender)
        raise _RuleError("another home publishes under the name of this member")

    def _new_slot(self, pulse: Pulse) -> Slot | None:
        """Return the slot that a message brings; None if what is held stays."""
        mark, held = pulse.mark, self.slots.get(pulse.sender)
        if held is not None:
            if mark.stamp == held.mark.stamp and mark.digest != held.mark.digest:
                self._unheard.add(pulse.sender)
                raise _RuleError(f"equivocation: version {mark.version} was published with another digest before")
            if mark.stamp < held.mark.stamp or mark == held.mark:
                return None
            follows = mark.incarnation == held.mark.incarnation and mark.version == held.mark.version + 1
            if follows and pulse.previous != held.mark.digest:
                self._unheard.add(pulse.sender)
                raise _RuleError(f"equivocation: version {mark.version} follows another one than was published before")
        if mark.stamp < self._floors.get(pulse.sender, (0, 0)) or (mark.version and pulse.psr is None):
            return None
        psr = None if pulse.psr is None else PSR.from_bytes(pulse.psr)
        if psr is not None and psr.digest != mark.digest:
            raise _RuleError("its statistics have another digest than it says")
        if psr is not None and self.reference is not None:
            self.reference.schema.require_match(psr.schema)
        return Slot(mark, psr)

    def _replace(self, member: str, slot: Slot) -> None:
        old, others = self.slots.get(member), self._others
        if old is not None and old.psr is not None and others is not None:
            others = others - old.psr
        if slot.psr is not None:
            others = slot.psr if others is None else others + slot.psr
            if self.local is not None:
                _ = self.local + slot.psr
        self._others = others
        self.slots[member] = slot

    def _listen(self, member: str, word: Word) -> bool:
        """Take the newest word of a member; return whether it is newer than the last."""
        last = self.words.get(member)
        if last is not None and word.stamp <= last.stamp:
            return False
        self._unheard.discard(member)
        if last is None or word.view != last.view:
            self._gaps[member] = FIRST_GAP
        self.words[member] = word
        for name, mark in word.view.items():
            if name in self._floors or len(self._floors) < 2 * MAX_MEMBERS:
                self._floors[name] = max(self._floors.get(name, (0, 0)), mark.stamp)
        if self.member in word.view:
            self._note_self(word.view[self.member])
        return True

    def _note_self(self, mark: Mark) -> bool:
        """Look at a mark of this node that others hold; return whether its home does not know of it."""
        if mark == self.mark:
            return False
        newcomer = self.mark.version == 0 and not self.claimed and mark.version > 0
        before = mark.incarnation == self.mark.incarnation and mark.version == self.mark.version - 1
        forked = before and mark.digest != self.previous
        if mark.stamp < self.mark.stamp and not newcomer and not forked:
            return False
        if self._ahead is None or mark.stamp >= self._ahead.stamp:
            self._ahead = mark
        if self.mark.version == 0 and self.claimed and mark.incarnation < MAX_COUNTER:
            self.renew()  # nothing of this life is out yet, and its user said that it counts
        return True

    # -- publishing --------------------------------------------------------------------------------------------------

    def renew(self, incarnation: int = 1) -> None:
        """Begin a new incarnation, later than any that was seen, with nothing published yet: this home counts."""
        known = max(self.mark.incarnation, self._ahead.incarnation if self._ahead else 0)
        if known >= MAX_COUNTER:
            raise FederationError("No incarnation is left for this member; join under another name.")
        self.mark = Mark(max(known + 1, incarnation), 0, "")
        self.previous = ""
        self.claimed = True
        self._ahead = None

    def publish(self) -> bool:
        """Make what was learned the newest version, if it changed and may be sent."""
        if not self.federation or self._ahead is not None or self.local is None or self.published:
            return False
        if self.mark.version >= MAX_COUNTER:
            raise FederationError("This incarnation has no version left; begin a new one.")
        self.previous = self.mark.digest
        self.mark = Mark(self.mark.incarnation, self.mark.version + 1, self.local.digest)
        return True

    # What to send at one's own pulse, and to whom:
    #
    #   all       hello                          while the federation is not known
    #   all       slot and view, asking          at the first pulse of a process: the home may be a restored backup
    #   all       slot and view, small           if others are ahead of me: at pulse n, 2 n, 4 n, ..., and nothing else
    #   all       slot with statistics           if my slot changed since my last broadcast
    #   all       slot and view, small           if my view changed since my last broadcast
    #   a member  with statistics if it lacks    if it said hello or asked; or if its newest words differ from my view,
    #             them, else small               and I have sent it nothing for 2, 4, 8, ... 64 pulses: then I ask;
    #                                            likewise if it was not heard in this process, and then without end
    #                                            to the doubling
    #
    # Nobody lacks anything and nobody asks once all are converged: then nothing is sent.

    def outgoing(self) -> list[Pulse]:
        """Return the messages of this pulse; none of them counts as sent until `sent` says so."""
        self._turn += 1
        if self._ahead is not None:
            return self._warning(self._ahead)
        if not self.federation:
            return [self._pulse(None, ask=True, full=False)]
        pulses = []
        view = self.view
        changed = self.announced.get(self.member) != self.mark and self.mark.version > 0
        broadcast = self._roll_call or (view != self.announced and (changed or bool(self.words)))
        if broadcast:
            pulses.append(self._pulse(None, ask=self._roll_call, full=changed))
        waiting = set(self.waiting)
        for name in sorted({*waiting, *self._unheard, *self._asked, *self._hellos}):
            lacks = self._lacks(name)
            due = name in waiting | self._unheard and self._is_due(name, LAST_GAP if name in waiting else MAX_COUNTER)
            answers = name in self._hellos or name in self._asked
            covered = broadcast and (changed or not lacks) and name not in self._hellos
            if (due or answers) and not covered:
                pulses.append(self._pulse(name, ask=due and not answers, full=lacks))
        return pulses

    def _warning(self, ahead: Mark) -> list[Pulse]:
        """Say what a home that is behind really holds, so that nobody thinks it has more; a newcomer says nothing."""
        newcomer = self.mark.version == 0 and self.mark.incarnation != ahead.incarnation
        if newcomer or self._turn < self._next_warning:
            return []
        return [self._pulse(None, ask=self._roll_call, full=False)]

    def _is_due(self, name: str, most: int) -> bool:
        return self._turn >= self._last.get(name, -LAST_GAP) + min(self._gaps.get(name, FIRST_GAP), most)

    def sent(self, pulse: Pulse) -> None:
        """Note that the carrier took a message."""
        if not pulse.federation:
            return
        if pulse.to is None:
            self.announced = pulse.whole_view
            self._roll_call = False
            self._next_warning = 2 * self._turn if self._ahead is not None else 0
            reached = [name for name in self.words if pulse.psr is not None or not self._lacks(name)]
            reached = [name for name in reached if name not in self._hellos]
        else:
            reached = [pulse.to]
            self._hellos.discard(pulse.to)
            if pulse.ask:
                self._gaps[pulse.to] = min(2 * self._gaps.get(pulse.to, FIRST_GAP), MAX_COUNTER)
        for name in reached:
            self._last[name] = self._turn
            self._asked.discard(name)

    def _lacks(self, name: str) -> bool:
        """Whether a member needs this node's statistics, as far as is known."""
        if self.mark.version == 0:
            return False
        return name in self._hellos or (name in self.words and self.words[name].view.get(self.member) != self.mark)

    def _pulse(self, to: str | None, *, ask: bool, full: bool) -> Pulse:
        if self.seq >= MAX_COUNTER:
            raise FederationError("This incarnation has no sequence number left; begin a new one.")
        self.seq += 1
        view = {name: mark for name, mark in self.view.items() if name != self.member} if self.federation else {}
        mark = self.mark
        return Pulse(
            federation=self.federation,
            founder=self.founder,
            sender=self.member,
            to=to,
            incarnation=mark.incarnation,
            seq=self.seq,
            version=mark.version,
            digest=mark.digest,
            previous=self.previous,
            ask=ask,
            view=view,
            psr=self.local.to_bytes() if full and self.local is not None and self.published else None,
        )

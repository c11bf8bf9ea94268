"""The join of peers: what a node holds of the others, and what it has to say to them.

A state machine without I/O, clock, key or randomness: `receive` takes what an authentic message says, `publish` makes
what was learned the node's newest version, `outgoing` says what to send at this node's own pulse, `sent` is told what
was.  Statistics *add*; the states of peers *join*: whatever is lost, repeated, late or out of order, nodes that keep
pulsing come to hold the same slots, and then fall silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn_symfed.exceptions import FederationError, SymfedError
from sklearn_symfed.federation._claims import Claim, Entry, Mark, Proof, View, conflict, read_entry, verified
from sklearn_symfed.federation._events import Applied, Condemned, Event, Flagged, Heard, Refused, Stale
from sklearn_symfed.federation._fields import MAX_COUNTER
from sklearn_symfed.federation._rosters import Roster
from sklearn_symfed.federation._slots import ASK, ASK_ALL, Head, Held, Said, Slot, Speech, Word, schema_of
from sklearn_symfed.psr import PSR, most_bytes

__all__ = ["ASK", "ASK_ALL", "Peers", "Said", "Slot", "Speech", "Word", "schema_of"]

FIRST_GAP = 2
LAST_GAP = 64
"""A member that lags is asked again after 2, 4, 8, ... 64, 64 of this node's own pulses."""
READING = 3
"""A home that is taken up waits for so many of its own pulses for a peer's view before it publishes."""
_DEAF = 2
"""A member that did not answer as often is sent the whole roster, after 2, 4, 8, ... questions."""
LIVES = 2**20
"""A member that the roster admitted as number n begins with incarnation n * LIVES + 1."""


class _RuleError(Exception):
    """A rule of the join is broken; the message says which."""


class Peers(Held):
    """One node's side of a federation: what it holds, and the rules by which that changes and is told."""

    def restore(self, slots: Mapping[str, Slot], words: Mapping[str, Word]) -> None:
        """Take up what an earlier process on the same home had joined, and doubt it: all peers will be asked."""
        for member, slot in slots.items():
            if self.roster.keys_of(member) is not None:
                self._replace(member, slot)
        for member, word in words.items():
            if member in self.roster.members:
                self.words[member] = word  # raises no floor: without the claims, nobody could be shown what is missing
                self.heads[member] = Head(0, self.roster.number, self.roster.head)
        self._unheard = {name for name in self.roster.members if name != self.member}
        self._reading = READING if self._unheard else 0
        self._call = ASK
        self._reopened = True

    def adopt(self, roster: Roster) -> list[str]:
        """Go by a new roster; return those whose slots go with it."""
        old, self.roster = self.roster, roster
        self.schema = schema_of(roster)
        known = {*old.members, *old.former}
        gone = sorted(name for name in known if name != self.member and old.keys_of(name) != roster.keys_of(name))
        late = [name for name, slot in self.slots.items() if name not in gone and self._came_late(name, slot.entry)]
        for name in [*gone, *late]:
            self._drop(name)
            if name in self.slots:
                self._replace(name, None)
        for name in old.members.keys() - roster.members.keys():
            for kept in (self.words, self.heads):
                kept.pop(name, None)
            self._unheard.discard(name)
        for name in self.others_names:
            self.heads.setdefault(name, Head(0, old.number, old.head))
            if self.heads[name].head != roster.head:
                self._gaps[name] = FIRST_GAP
        if old.contract != roster.contract:
            self._judged.clear()
            for name, slot in self.slots.items():
                self._count(name, slot.psr)
        self.local = self._local
        return gone

    def _drop(self, name: str) -> None:
        """Forget all that was known of a member but its slot."""
        self._unheard.discard(name)
        tables: tuple[dict[str, Any], ...] = (
            self.words,
            self.heads,
            self._blobs,
            self._checked,
            self._newest,
            self._floors,
            self._last,
            self._gaps,
            self._asked,
            self._contrary,
        )
        for table in tables:
            table.pop(name, None)

    def note_head(self, name: str, head: Head) -> None:
        """Take note of which roster a member has."""
        if name in self.roster.members and (name not in self.heads or head.seq > self.heads[name].seq):
            if name not in self.heads or head.head != self.heads[name].head:
                self._gaps[name] = FIRST_GAP
            self.heads[name] = head

    # -- receiving ---------------------------------------------------------------------------------------------------
    #
    # What arrives here is authentic: its sender is a member and has signed it.  Rules of the join, in the order in
    # which they are tried; a refusal changes nothing.  `stamp` is (incarnation, version) of an entry of the message's
    # view, `held` that of the slot, `floor` the highest stamp of that member that anybody's view showed.
    #
    #   entry                                                 effect                                        event
    #   of nobody in the roster                               left aside                                    -
    #   not signed by whom it is of                           -                                             Refused
    #   of me, later than what my home knows, or in conflict  I stop publishing until a new incarnation     -
    #   in conflict with the slot or the newest claim known   slot := the proof, whose statistics are none  Condemned
    #   a proof, of an incarnation not before the slot's      slot := the proof                             Condemned
    #   stamp <= held, or stamp < floor                       slot stays, floor raised                      -
    #   stamp > held, statistics missing                      slot stays, floor raised                      -
    #   stamp > held, statistics not valid, of another        -                                             Refused
    #     digest, of columns that do not match, or such
    #     as the contract bars
    #   stamp > held, all is well                             slot := the message's; merged += new - old    Applied
    #
    #   message newer than the sender's last                  word taken                                    Heard
    #   message not newer, nothing applied                    -                                             Stale
    #
    # Of two kinds of class labels, that of whoever was admitted first is to stay: a node whose own are of another kind
    # counts and publishes them no more, even if the message is refused, as those of a third contradict it as well.
    #
    # Only its owner's signature changes a slot, whoever carries it.  Views raise floors and never trigger replies;
    # `ask` does, once a message and even if it is stale: so a home restored from a backup learns that it is behind.

    def receive(self, said: Said) -> list[Event]:
        """Join one message into what is held."""
        try:
            entries = {
                name: entry for name, blob in said.view.items() if (entry := self._entry(name, blob)) is not None
            }
            entries = {name: entry for name, entry in entries.items() if not self._came_late(name, entry)}
            if said.sender not in entries:
                raise _RuleError("its view lacks its sender")  # noqa: TRY301
            news = {name: entry for name, entry in entries.items() if not self._holds(name, entry)}
            slots = self._new_slots(news, said)
        except (_RuleError, SymfedError) as error:
            return [Refused(said.sender, str(error))]
        if said.ask:
            self._asked[said.sender] = max(said.ask, self._asked.get(said.sender, 0))
        events: list[Event] = [event for name, entry in news.items() if (event := self._judge(name, entry))]
        for name, slot in slots.items():
            if name not in self.slots or slot.entry.stamp > self.slots[name].entry.stamp:
                self._replace(name, slot)
                self._fresh.add(name)
                events.append(Applied(name, slot.mark))
                breach = self.breach_of(name, slot.psr)
                if breach is not None:
                    events.append(Flagged(name, str(breach)))
        for name in slots:
            self._contrary.pop(name, None)
        self._return()
        view = {name: entry.mark for name, entry in entries.items()}
        heard = self._listen(said.sender, Word(said.seq, view))
        if said.ask and not heard and view != self.words[said.sender].view:
            self._unheard.add(said.sender)  # late, or a restored home with an old clock: it has to say which
        return events or [Heard(said.sender) if heard else Stale(said.sender)]

    def _holds(self, name: str, entry: Entry) -> bool:
        return name in self.slots and self.slots[name].entry is entry

    def _came_late(self, name: str, entry: Entry) -> bool:
        """Whether it is a state of somebody who left, later than the one that was to stay."""
        former = self.roster.former.get(name)
        return former is not None and isinstance(entry, Claim) and entry.stamp > former.stamp

    def inherits_from(self, name: str) -> bool:
        """Whether a member holds, or may hold, rows of somebody who left that are not held here: it may be the last."""
        word = self.words.get(name)
        if word is None:
            return bool(self.roster.former)
        for other, former in self.roster.former.items():
            held = self.slots.get(other)
            stays = min(word.view[other].stamp, former.stamp) if other in word.view else (0, 0)
            if stays > (held.entry.stamp if held else (0, 0)):
                return True
        return False

    def hear_oneself(self, blob: bytes) -> bool:
        """Look at what a message that this node signed says of it; return whether its home does not know of that."""
        before = self._ahead
        entry = read_entry(blob)
        if verified(entry, self.roster.members[self.member].keys.sign, self.roster.federation, self.member):
            self._note_self(entry)
        return self._ahead is not before

    def raise_floors(self, floors: Mapping[str, bytes]) -> None:
        """Take what an admin says is the newest of each member, so that nothing older is taken."""
        for name, blob in floors.items():
            try:
                entry = self._entry(name, blob)
            except (_RuleError, SymfedError):
                continue
            if entry is not None and not self._came_late(name, entry):
                self._judge(name, entry)

    def _entry(self, name: str, blob: bytes) -> Entry | None:
        """Return a checked entry; None for somebody whom the roster does not list."""
        for known in (self._checked, self._blobs):  # of nobody whom the roster does not list: `adopt` drops those
            held = known.get(name)
            if held is not None and held[0] == blob:
                return held[1]
        keys = self.roster.keys_of(name)
        if keys is None:
            return None
        entry = read_entry(blob)
        if not verified(entry, keys.sign, self.roster.federation, name):
            raise _RuleError(f"its view holds a claim of {name!r} that {name!r} has not signed")
        self._checked[name] = (blob, entry)
        return entry

    def _new_slots(self, entries: Mapping[str, Entry], said: Said) -> dict[str, Slot]:
        """Return the slots that a message brings, each checked."""
        slots = {}
        for name, entry in entries.items():
            held = self.slots.get(name)
            if name == self.member or not isinstance(entry, Claim) or (held and entry.stamp <= held.entry.stamp):
                continue
            if entry.version == 0:
                slots[name] = Slot(entry, None)
            elif name in said.psrs and entry.stamp >= self._floors.get(name, (0, 0)):
                slots[name] = Slot(entry, self._statistics(name, entry, said.psrs[name]))
        news = {name: slot.psr for name, slot in slots.items() if slot.psr is not None}
        self._yield_to(news)
        self.check(news)
        return slots

    def _statistics(self, name: str, claim: Claim, expand: Callable[[int], bytes]) -> PSR:
        if self.schema is None:
            raise _RuleError("the federation has no schema yet")
        psr = PSR.from_bytes(expand(most_bytes(self.schema)))
        if psr.digest != claim.digest:
            raise _RuleError("its statistics have another digest than it says")
        self.schema.require_match(psr.schema)
        breach = self.barring(name, psr)
        if breach is not None:
            raise _RuleError(f"the statistics of {name!r} break the contract: {breach}")
        return psr

    def _judge(self, name: str, entry: Entry) -> Event | None:
        """Look for a contradiction with what is known, and raise the floor."""
        if name == self.member:
            self._note_self(entry)
            return None
        held = self.slots.get(name)
        known = [*([held.entry] if held else []), *([self._newest[name]] if name in self._newest else [])]
        proof = entry if isinstance(entry, Proof) else None
        for other in known:
            if proof is None and isinstance(entry, Claim) and isinstance(other, Claim) and conflict(entry, other):
                proof = Proof(entry, other)
        if isinstance(entry, Claim) and (name not in self._newest or entry.stamp > self._newest[name].stamp):
            self._newest[name] = entry
        self._floors[name] = max(self._floors.get(name, (0, 0)), entry.stamp)
        if proof is None or (held is not None and held.entry.stamp >= proof.stamp):
            return None
        self._newest.pop(name, None)
        self._floors[name] = max(self._floors[name], proof.stamp)
        self._replace(name, Slot(proof, None))
        return Condemned(name, proof.mark)

    def _listen(self, member: str, word: Word) -> bool:
        """Take the newest word of a member; return whether it is newer than the last."""
        last = self.words.get(member)
        if last is not None and word.seq <= last.seq:
            return False
        self._unheard.discard(member)
        self._unanswered.pop(member, None)
        self._reading = 0
        if last is None or word.view != last.view:
            self._gaps[member] = FIRST_GAP
        self.words[member] = word
        for name, mark in word.view.items():
            if name != self.member and mark.stamp > self._floors.get(name, (0, 0)):
                self._floors[name] = max(self._floors.get(name, (0, 0)), mark.stamp)
        return True

    def _note_self(self, entry: Entry) -> None:
        """Look at a state of this node that others hold, which it signed: does its home know of it."""
        if isinstance(entry, Proof):
            behind = entry.incarnation >= self.own.incarnation
        else:
            behind = entry.stamp > self.own.stamp or conflict(entry, self.own)
        if behind and (self._ahead is None or entry.stamp >= self._ahead.stamp):
            self._ahead = entry

    # -- publishing --------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        """Begin a new incarnation, later than any that was seen, with nothing published yet: this home counts."""
        known = max(self.own.incarnation, self._ahead.stamp[0] if self._ahead else 0)
        if known >= MAX_COUNTER - 1:
            raise FederationError("No incarnation is left for this member; join under another name.")
        self.own = self._sign(Mark(known + 1, 0, ""), "", ())
        self._ahead = None
        self._reading = 0

    def publish(self) -> bool:
        """Make what was learned the newest version, if it changed and may be sent."""
        psr = self.offered
        if psr is None:
            return False
        if self.own.version >= MAX_COUNTER - 1:
            raise FederationError("This incarnation has no version left; begin a new one.")
        mark = Mark(self.own.incarnation, self.own.version + 1, psr.digest)
        self.own = self._sign(mark, self.own.digest, self.origins if psr is self.local else ())
        self.shown = psr
        return True

    @property
    def offered(self) -> PSR | None:
        """What is to be the next version: what was learned; no rows if others may not count the newest one."""
        if self._ahead is not None or self._reading or self.local is None or self.mismatch():
            return None
        if self.schema is None:
            return None
        if self.held_back is None:
            return None if self.published else self.local
        if self.shown is not None and self.barring(self.member, self.shown) is not None:
            return PSR.zero(self.schema)
        return None

    # What to send at one's own pulse, and to whom:
    #
    #   all       slot and view, asking          at the first pulse of a process: the home may be a restored backup,
    #                                            from before others were members, even
    #   all       slot and view, small           if others are ahead of me: at pulse n, 2 n, 4 n, ..., and nothing else
    #   all       slot with statistics           if my slot changed since my last broadcast
    #   all       slot and view, small           if my view or my roster changed since my last broadcast
    #   a member  with statistics if it lacks    if it asked; or if its newest words differ from my view or roster, and
    #             them, else small               I have sent it nothing for 2, 4, 8, ... 64 pulses: then I ask;
    #                                            likewise if it was not heard in this process, and then without end
    #                                            to the doubling.  An admin adds the slots of others that it lacks
    #
    # Nobody lacks anything and nobody asks once all are converged: then nothing is sent.

    def outgoing(self) -> list[Speech]:
        """Return what to say at this pulse; none of it counts as sent until `sent` says so."""
        self._turn += 1
        self._reading = max(0, self._reading - 1)
        if self._ahead is not None:
            return [] if self._turn < self._next_warning else [Speech(None, self._call)]
        speeches = []
        view = self.view
        changed = self.announced.get(self.member) != self.mark and self.mark.version > 0
        news = view != self.announced or self.announced_head != self.roster.head
        broadcast = bool(self.others_names or self._reopened) and (self._call > 0 or news)
        if broadcast:
            speeches.append(Speech(None, self._call, own=changed and self.shown is not None))
        waiting = set(self.waiting)
        for name in sorted({*waiting, *self._unheard, *(set(self._asked) & set(self.roster.members))}):
            lacks = self._lacks(name)
            due = name in waiting | self._unheard and self._is_due(name, LAST_GAP if name in waiting else MAX_COUNTER)
            answers = name in self._asked
            if not (due or answers):
                continue
            relay = self._relay_to(name)
            covered = broadcast and (changed or not lacks) and not relay and self._asked.get(name, 0) < ASK_ALL
            if not covered:
                own = lacks and self.shown is not None
                speeches.append(Speech(name, ASK if due and not answers else 0, own, relay))
        self._fresh.clear()
        return speeches

    def entries_for(self, name: str | None) -> dict[str, bytes]:
        """Return what this node holds, as it is told to a member or all.

        A member that says it is at an earlier state than the newest claim of its own that is known here is shown that
        claim, even if its statistics never came: nobody takes what it publishes before it has begun a new incarnation.
        Anybody else is shown what is held, and sends what is not.
        """
        known = None if name is None else self._newest.get(name)
        word = None if name is None else self.words.get(name)
        if name is None or known is None or word is None:
            return self.entries
        behind = word.view.get(name, Mark(0, 0, "")).stamp < known.stamp
        return {**self.entries, name: known.to_bytes()} if behind else self.entries

    def _relay_to(self, name: str) -> tuple[str, ...]:
        """Return the members whose slots are passed on to one who lacks them.

        An admin does so at once where members do not speak to all, or once the other has spoken, but not with what came
        since its last pulse, which is on its way to all; anybody else for those who left, and for whoever has lagged
        for long: the owner may be gone.
        """
        word, wanted = self.words.get(name), self._asked.get(name, 0) >= ASK_ALL
        view: View = {} if word is None else word.view
        admin = self.member in self.roster.admins
        prompt = admin and (word is not None or self.roster.topology == "centralised")
        late = word is not None and self._gaps.get(name, 0) > 2 * FIRST_GAP
        return tuple(
            other
            for other, slot in sorted(self.slots.items())
            if other != name
            and other not in self._barred
            and slot.psr is not None
            and (view.get(other, Mark(0, 0, "")).stamp < slot.entry.stamp or (wanted and admin))
            and ((prompt and other not in self._fresh) or late or other in self.roster.former)
        )

    def _is_due(self, name: str, most: int) -> bool:
        return self._turn >= self._last.get(name, -LAST_GAP) + min(self._gaps.get(name, FIRST_GAP), most)

    def sent(self, speech: Speech) -> None:
        """Note that the carrier took a message."""
        if speech.to is None:
            self.announced = self.view
            self.announced_head = self.roster.head
            self._call = 0
            self._reopened = False
            self._next_warning = 2 * self._turn if self._ahead is not None else 0
            reached = [name for name in self.words if speech.own or not self._lacks(name)]
            reached = [name for name in reached if self._asked.get(name, 0) < ASK_ALL]
        else:
            reached = [speech.to]
            if speech.ask:
                asked = self._unanswered[speech.to] = self._unanswered.get(speech.to, 0) + 1
                if asked >= _DEAF and asked.bit_count() == 1:
                    self._deaf.add(speech.to)
                self._gaps[speech.to] = min(2 * self._gaps.get(speech.to, FIRST_GAP), MAX_COUNTER)
        for name in reached:
            self._last[name] = self._turn
            self._asked.pop(name, None)

    def silent(self) -> list[str]:
        """Return, once, whom this node has asked again and again without an answer: it may lack the roster itself."""
        deaf, self._deaf = self._deaf, set()
        return sorted(deaf & self.roster.members.keys())

    def ask_all(self) -> None:
        """Have every member send its whole slot at its next pulse, and forget none of what is held meanwhile."""
        self._call = ASK_ALL
        self._unheard = set(self.others_names)

    def next_seq(self) -> int:
        """Count a message of this node."""
        if self.seq >= MAX_COUNTER:
            raise FederationError("This member has no sequence number left; join under another name.")
        self.seq += 1
        return self.seq

    def _lacks(self, name: str) -> bool:
        """Whether a member needs this node's statistics, as far as is known."""
        if self.mark.version == 0:
            return False
        asked = self._asked.get(name, 0) >= ASK_ALL
        return asked or name not in self.words or self.words[name].view.get(self.member) != self.mark

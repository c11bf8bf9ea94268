"""What is told of a membership: the tally of one pulse, the table of members, and why nothing is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sklearn_symfed.federation._claims import Mark, Proof
from sklearn_symfed.federation._events import (
    Admitted,
    Applied,
    Condemned,
    Event,
    Flagged,
    Refused,
    RosterChanged,
    TurnedDown,
    Welcomed,
)
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._peers import Peers
from sklearn_symfed.federation._report import Member, PulseReport, Status
from sklearn_symfed.federation._standing import Outgoing
from sklearn_symfed.psr import PSR

__all__ = ["Tally", "members_of", "pending_of", "refusal", "status_of"]

_MOST_CHARACTERS = 2_000
_REMEDY = (
    "nothing of it counts until whoever runs it closes the second home of that name, if there is one, and calls "
    "resume(), or an admin removes it, or invites a successor under its name"
)


@dataclass
class Tally:
    """What a pulse has done so far."""

    sent: int = 0
    received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    applied: int = 0
    published: bool = False
    refused: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    _told: int = 0

    def note(self, event: Event) -> tuple[str | None, str] | None:
        """Count an event; return whose message was refused, and why, if one was."""
        if isinstance(event, Refused):
            return self.refuse(event.member, event.reason)
        if isinstance(event, TurnedDown):
            return self.refuse(None, f"the request to join was refused: {event.reason}")
        if isinstance(event, Condemned):
            reason = f"equivocation: two states that it signed contradict each other; {_REMEDY}"
            return self.refuse(event.member, reason)
        if isinstance(event, Applied):
            self.applied += 1
        if isinstance(event, Flagged):
            self.events.append(f"flagged {event.member!r}: {_one_line(event.reason)}")
        if isinstance(event, Admitted):
            self.events.append(f"admitted {event.member!r}, fingerprint {event.fingerprint}")
        if isinstance(event, Welcomed):
            self.events.append(f"welcomed by {event.admin!r}, fingerprint {event.fingerprint}")
        if isinstance(event, RosterChanged):
            gone = f", without {', '.join(map(repr, event.gone))}" if event.gone else ""
            self.events.append(f"roster {event.number}{gone}")
        return None

    def refuse(self, member: str | None, reason: str) -> tuple[str | None, str]:
        """Count a refusal, and return it as it may stand in a log."""
        reason = _one_line(reason)
        self.refused.append(refusal(member, reason))
        return member, reason

    def news(self) -> list[str]:
        """Return the events that were not returned before."""
        news, self._told = self.events[self._told :], len(self.events)
        return news

    def count(self, message: Outgoing) -> None:
        """Count a message that the carrier took."""
        self.sent += 1
        self.bytes_sent += len(message.data)
        speech = message.speech
        self.published |= speech is not None and speech.to is None and speech.own

    def report(self, node: Membership, pending: str | None) -> PulseReport:
        """Return what is told of the pulse."""
        mark = node.peers.mark if node.admitted else Mark(0, 0, "")
        return PulseReport(
            status=f"pending: {pending}" if pending else "published" if self.published else "unchanged",
            version=mark.version,
            digest=mark.digest,
            sent=self.sent,
            received=self.received,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            applied=self.applied,
            refused=tuple(self.refused),
            events=tuple(self.events),
            converged=node.is_member and node.leaving is None and node.peers.converged,
        )


def _one_line(reason: str) -> str:
    """Return a reason, in which others have a say, without line breaks and not too long."""
    line = reason if reason.isprintable() else reason.encode("unicode_escape").decode()
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def refusal(member: str | None, reason: str) -> str:
    """Return a refusal in words."""
    return f"a message: {reason}" if member is None else f"a message of {member!r}: {reason}"


def pending_of(node: Membership) -> str | None:
    """Say what keeps a node from publishing; None if nothing."""
    if node.joining is not None and not node.admitted:
        admin = f"{node.joining.invite.admin!r} ({node.joining.invite.admin_keys.fingerprint})"
        if node.joining.refusal is not None:
            return f"admin {admin} refused the request to join: {node.joining.refusal}"
        return f"admin {admin} has not answered the request to join"
    if node.left:
        return "this node has left the federation"
    if not node.is_member:
        return f"this node is no member any more, as of roster {node.roster.number}; ask an admin for an invite"
    if node.leaving is not None:
        return "this node leaves the federation once an admin has pulsed"
    peers = node.peers
    if peers.ahead is not None:
        return _behind(peers.ahead.mark, peers.mark, contradicted=isinstance(peers.ahead, Proof))
    mismatch = peers.mismatch()
    if mismatch is not None:
        return f"the rows that were learned here do not fit the federation: {mismatch}; reset() and learn rows that fit"
    if peers.held_back is not None:
        return (
            f"what was learned here breaks the contract: {peers.held_back}; learn or forget rows until it holds, or "
            "reset() to take all of them back"
        )
    if peers.local is not None and peers.schema is None and not peers.published:
        return "the federation has no columns yet; the first rows of an admin fix them"
    if peers.reading and not peers.published:
        return "this home was taken up again, and reads what its peers hold of it first"
    return None


def _behind(ahead: Mark, mark: Mark, *, contradicted: bool) -> str:
    held = (
        f"others hold two states of incarnation {ahead.incarnation} of this member that contradict each other"
        if contradicted
        else f"others hold version {ahead.version} of incarnation {ahead.incarnation} of this member, not as its home "
        f"published it, which is at version {mark.version} of incarnation {mark.incarnation}"
    )
    return (
        f"{held} (a restored backup, or a second home of that name?); close the other one and call resume() to publish "
        "what this one holds in its place, or give this one up"
    )


def members_of(
    node: Membership, heard: Mapping[str, float], now: float, refusals: Sequence[tuple[float, str | None, str]] = ()
) -> list[Member]:
    """Return every member, and those who left and let their rows stay, by name."""
    if not node.admitted:
        return []
    roster, peers, members = node.roster, node.peers, []
    refused = {member: reason for _, member, reason in refusals}
    for name in sorted({*roster.members, *roster.former}):
        entry = roster.members.get(name)
        keys = roster.keys_of(name)
        assert keys is not None
        slot = peers.slots.get(name)
        own = name == node.member and node.is_member
        psr = peers.local if own else slot.psr if slot else None
        mark = peers.mark if own else slot.mark if slot else Mark(1, 0, "")
        note = None
        if slot is not None and isinstance(slot.entry, Proof):
            note = f"contradicted itself: {_REMEDY}"
        elif name in peers.overlapping:
            note = f"not counted: rows of {peers.overlapping[name]!r} are among its"
        else:
            note = _breach_note(peers, name, psr, own=own)
        members.append(
            Member(
                name=name,
                rows=0 if psr is None else psr.n_rows,
                version=0 if isinstance(slot and slot.entry, Proof) else mark.version,
                digest=mark.digest,
                age=0.0 if own else max(0.0, now - heard[name]) if name in heard else None,
                role="left" if entry is None else "admin" if entry.admin else "member",
                fingerprint=keys.fingerprint,
                note=note,
                last_refusal=refused.get(name),
            )
        )
    return members


def _breach_note(peers: Peers, name: str, psr: PSR | None, *, own: bool) -> str | None:
    breach = None if own and peers.mismatch() else peers.breach_of(name, psr)
    if breach is None:
        return None
    effect = "flagged" if peers.barring(name, psr) is None else "not published" if own else "not counted"
    return f"{effect}: {breach}"


def status_of(
    node: Membership,
    *,
    name: str,
    url: str,
    members: Sequence[Member],
    pending: str | None,
    dropped: int,
    dead_letters: int,
    pulsing: bool,
    last_error: str | None,
    refusals: Sequence[tuple[float, str | None, str]],
) -> Status:
    """Return the state of a federation as one node knows it."""
    roster = node.roster if node.admitted else None
    peers = node.peers if node.admitted else None
    views = {} if peers is None else {who: word.view for who, word in peers.words.items()} | {node.member: peers.view}
    mark = peers.mark if peers else Mark(0, 0, "")
    return Status(
        federation=name,
        member=node.member,
        url=url,
        fingerprint=node.identity.public.fingerprint,
        topology=roster.topology if roster else "",
        schedule=roster.schedule if roster else "",
        roster=roster.number if roster else 0,
        epoch=roster.epoch if roster else 0,
        version=mark.version,
        digest=mark.digest,
        published=peers.published if peers else node.local is None,
        converged=node.is_member and node.leaving is None and bool(peers and peers.converged),
        members=tuple(members),
        seen={who: {of: held.version for of, held in sorted(views[who].items())} for who in sorted(views)},
        lagging=tuple(peers.lagging) if peers else (),
        pending=pending,
        dropped=dropped,
        dead_letters=dead_letters,
        pulsing=pulsing,
        last_error=last_error,
        last_refusal=refusal(*refusals[-1][1:]) if refusals else None,
    )

"""Which messages a node takes, in which state, and what comes of them.

Owns the order in which rules are tried, from the outside of a message to what it says; what a pulse says of statistics
is the business of `_peers`.
"""

from __future__ import annotations

from sklearn_symfed.exceptions import AuthenticationError, FederationError, FormatError
from sklearn_symfed.federation._claims import Claim, read_entry, verified
from sklearn_symfed.federation._envelope import Envelope, Header, commitment_of, open_envelope
from sklearn_symfed.federation._events import (
    Admitted,
    Applied,
    Condemned,
    Early,
    Event,
    Heard,
    Refused,
    RosterChanged,
    Stale,
    TurnedDown,
    Welcomed,
)
from sklearn_symfed.federation._keys import PublicKeys
from sklearn_symfed.federation._links import Link
from sklearn_symfed.federation._messages import (
    TO_ONE,
    Leave,
    Message,
    Pulse,
    Refusal,
    Request,
    RosterNews,
    Welcome,
    read_message,
)
from sklearn_symfed.federation._rosters import Chain
from sklearn_symfed.federation._slots import Head, Said
from sklearn_symfed.federation._standing import Outgoing, Standing

__all__ = ["Reception"]

_RELAY_BYTES = 2**18
_MOST_QUEUED = 4096
_LAST_GAP = 64
_NOBODY = bytes(32)


class Reception(Standing):
    """A node that takes messages in."""

    # -- receiving ---------------------------------------------------------------------------------------------------
    #
    # Which messages are taken, in the order in which it is tried; a refusal changes nothing.
    #
    #   message                                        joining         member                      removed, left
    #   of another federation                          Refused         Refused                     Refused
    #   to one, but not to my keys                     Refused         Refused                     Refused
    #   request, sealed to me                          Refused         verdict, if I am an admin   Refused
    #   welcome, refusal, signed by the inviting admin taken           Stale                       Stale
    #   roster: links that follow or outweigh mine,    Early           taken                       taken
    #     signed by somebody whom they list
    #   pulse, leave                                   Early                                       Early
    #     of a stranger, under a later roster                          Early
    #     not signed by a member                                       Refused
    #     under a later roster                                         Early
    #     under a roster that is not on my chain, or                   Refused; the sender will
    #       is of an epoch that is over                                  be sent the roster
    #     that cannot be opened, or has no such fields                 Refused
    #     to another member                                            forwarded by admins, else Refused
    #     all is well                                                  the rules of the peers

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take in one message.

        Parameters
        ----------
        data : bytes
            As it came from the carrier.
        now : float
            Seconds since 1970, for the expiry of invites.
        """
        try:
            envelope = open_envelope(data)
        except FormatError as error:
            return [Refused(None, str(error))]
        header = envelope.header
        try:
            if header.federation != self.federation:
                raise _RefusedError("it is of another federation")  # noqa: TRY301
            if header.kind in TO_ONE:
                return self._receive_to_one(envelope, now)
            return self._receive_sealed(envelope, data)
        except _RefusedError as error:
            return [Refused(error.member, str(error))]
        except (AuthenticationError, FormatError, FederationError) as error:
            return [Refused(None, f"{header.kind}: {error}")]

    def _receive_to_one(self, envelope: Envelope, now: float) -> list[Event]:
        header = envelope.header
        ours = self.identity.public.seal
        if header.to != self.member or not header.hint or not ours.startswith(header.hint):
            raise _RefusedError("it is sealed to other keys than this home has")
        if header.kind in {"welcome", "refusal"}:
            return self._on_answer(envelope)
        if header.kind == "request":
            return self._on_request(envelope, now)
        return self._on_roster(envelope)

    def _on_request(self, envelope: Envelope, now: float) -> list[Event]:
        """Admit, or answer why not."""
        name = envelope.header.sender
        if not self.is_admin:
            raise _RefusedError("it asks to join, and this node is no admin")
        request = read_message("request", envelope.open_one(self.identity))
        assert isinstance(request, Request)
        keys = PublicKeys(request.sign, request.seal)
        if not envelope.is_signed(request.sign):
            raise _RefusedError("a request is not signed by the keys that it names")
        verdict = self.desk.judge(request, name, self.roster, now, self.peers.kind_of_labels)
        reason, events = verdict.reason, list[Event]()
        if verdict.admits is not None:
            admit = {"member": name, "sign": keys.sign, "seal": keys.seal, "invite": request.invite}
            try:
                self.change("admit", {**admit, "admin": verdict.admits.admin})
            except FederationError as error:
                reason = str(error)
            events.append(Admitted(name, keys.fingerprint))
        if reason is not None:
            self._reply(name, Refusal(request.invite, reason), request.seal)
            raise _RefusedError(f"a request to join as {name!r}: {reason}")
        roster = self.roster
        self.peers.heads[name] = Head(0, roster.number, roster.head)
        assert self.chain is not None
        links = tuple(link.to_bytes() for link in self.chain.links)
        self._reply(name, Welcome(request.invite, links, self.key, self.peers.entries), request.seal)
        return events or [Stale(name)]

    def _reply(self, to: str, message: Message, seal: bytes) -> None:
        self._replies = [reply for reply in self._replies if (reply[0], reply[2]) != (to, seal)]  # one is enough
        if len(self._replies) < _MOST_QUEUED:
            self._replies.append((to, message, seal))

    def _on_answer(self, envelope: Envelope) -> list[Event]:
        """Take the admin's answer to this node's request."""
        if self.joining is None:
            return [Stale(envelope.header.sender)]
        invite, admin = self.joining.invite, envelope.header.sender
        if admin != invite.admin or not envelope.is_signed(invite.sign):
            raise _RefusedError(f"it is not signed by {invite.admin!r}, the admin whose invite this node has")
        message = read_message(envelope.header.kind, envelope.open_one(self.identity))
        assert isinstance(message, Welcome | Refusal)
        if message.invite != invite.id:
            raise _RefusedError("it answers another invite")
        if isinstance(message, Refusal):
            self.joining = self.joining.refused(message.reason)
            return [TurnedDown(message.reason)]
        self._be_welcomed(Chain([Link.from_bytes(link) for link in message.links]), message.key, admin)
        self.peers.raise_floors(message.floors)
        return [Welcomed(admin, invite.admin_keys.fingerprint)]

    def _be_welcomed(self, chain: Chain, key: bytes | None, by: str) -> None:
        """Become a member by a roster that says so: whoever carries it, its first link is what the invite names."""
        roster = chain.roster
        if roster.federation != self.federation or not roster.is_member(self.member, self.identity.public):
            raise _RefusedError("its roster is of another federation, or does not list this node")
        if key is None or commitment_of(key) != roster.commitment:
            raise _RefusedError("its key is not that of the roster's epoch")
        self.key = key
        self._enter(chain)
        self.joining = None
        self.peers.heads[by] = Head(0, roster.number, roster.head)

    def _on_roster(self, envelope: Envelope) -> list[Event]:
        """Take links of the roster, and the key that belongs to them."""
        header, chain = envelope.header, self.chain
        news = read_message("roster", envelope.open_one(self.identity))
        assert isinstance(news, RosterNews)
        links = [Link.from_bytes(link) for link in news.links]
        joined = Chain(links) if chain is None else chain.joined(links)
        roster = joined.roster
        sender = roster.members.get(header.sender)
        if sender is None or not envelope.is_signed(sender.keys.sign):
            if links and not links[0].number and self.is_member:
                theirs = Chain(links)
                if self.roster.topology == "decentralised" or self._is_asked(theirs):
                    self._remind(envelope, theirs)  # it may list no admin who could
            raise _RefusedError("links of the roster are not signed by a member")
        if chain is None:
            self._be_welcomed(joined, news.key, header.sender)
            return [Welcomed(header.sender, sender.keys.fingerprint)]
        head = Head(header.seq, header.roster, header.head)
        if joined is chain:
            self.peers.note_head(header.sender, head)
            return [Stale(header.sender)]
        key = self.key
        if roster.is_member(self.member, self.identity.public) and roster.commitment != commitment_of(key):
            if news.key is None or commitment_of(news.key) != roster.commitment:
                raise _RefusedError("links of the roster come without the key of their epoch", header.sender)
            key = news.key
        lost = [link for link in chain.links if not joined.holds(link.number, link.digest)]
        changed = self._adopt(joined, key)
        self.peers.note_head(header.sender, head)
        self._redo(lost, [link for link in joined.links if not chain.holds(link.number, link.digest)])
        return [changed]

    def _receive_sealed(self, envelope: Envelope, data: bytes) -> list[Event]:
        header, chain = envelope.header, self.chain
        if chain is None or not self.is_member:
            return [Early(header.sender)]
        roster = chain.roster
        sender = roster.members.get(header.sender)
        if sender is None and header.roster > roster.number:
            return [Early(header.sender)]
        if sender is None or not envelope.is_signed(sender.keys.sign):
            if self._is_asked(chain):
                self._remind(envelope, chain)
            raise _RefusedError("it is not signed by a member")
        if header.sender != self.member:
            self.peers.note_head(header.sender, Head(header.seq, header.roster, header.head))
        if header.roster > roster.number:
            return [Early(header.sender)]
        if not chain.holds(header.roster, header.head):
            raise _RefusedError("it is under a roster that does not count here", header.sender)
        if header.epoch != roster.epoch or header.roster < roster.since:
            raise _RefusedError(f"it is of epoch {header.epoch}, and this is epoch {roster.epoch}", header.sender)
        try:
            message = read_message(header.kind, envelope.open_all(self.key))
        except (AuthenticationError, FormatError) as error:
            raise _RefusedError(str(error), header.sender) from None
        if header.to not in {None, self.member}:
            self._forward(header, data, header.to)
            return [Stale(header.sender)]
        if isinstance(message, Leave):
            return self._on_leave(header.sender, message)
        assert isinstance(message, Pulse)
        events = self._on_pulse(header, message)
        if header.to is None and any(isinstance(event, Applied | Condemned | Heard) for event in events):
            self._forward(header, data, None)
        return events

    def _is_asked(self, chain: Chain) -> bool:
        """Tell whether somebody who goes by an old roster of a chain may speak to nobody but this node.

        That is an admin, or, where members speak to admins only, whoever was one: after a recovery there may be other
        admins, of whom an old roster says nothing.
        """
        central = self.roster.topology == "centralised"
        return self.is_admin or (self.is_member and central and chain.was_admin(self.member))

    def _remind(self, envelope: Envelope, chain: Chain) -> None:
        """Tell somebody who was on a roster and goes on that this does not count any more: the news may be lost."""
        keys = next((k for k in chain.keys_once_of(envelope.header.sender) if envelope.is_signed(k.sign)), None)
        if keys is None or len(self._farewells) >= _MOST_QUEUED or len(self._reminded) >= _MOST_QUEUED:
            return
        turn, gap = self._reminded.get(keys, (0, 1))
        if self._turn >= turn:
            self._farewells[keys] = envelope.header.sender
            self._reminded[keys] = (self._turn + gap, min(2 * gap, _LAST_GAP))

    def _on_pulse(self, header: Header, pulse: Pulse) -> list[Event]:
        if len({packed.member for packed in pulse.psrs}) != len(pulse.psrs) or pulse.ask > 2:
            raise _RefusedError("a pulse says more than a pulse can", header.sender)
        psrs = {packed.member: packed.expand for packed in pulse.psrs}
        said = Said(header.sender, header.seq, pulse.ask, pulse.view, psrs)
        if header.sender != self.member:
            return self.peers.receive(said)
        if self.peers.hear_oneself(pulse.view.get(self.member, b"")):
            raise _RefusedError("another home publishes under the name of this member", self.member)
        return [Stale(self.member)]

    def _on_leave(self, name: str, message: Leave) -> list[Event]:
        """Take a member off the roster as it asked, once what stays of it, and of others who left, is held here."""
        if not self.is_admin:
            raise _RefusedError("it asks to leave, and this node is no admin", name)
        keep: tuple[int, ...] = ()
        if message.keep is not None:
            claim = read_entry(message.keep)
            keys = self.roster.members[name].keys
            if not isinstance(claim, Claim) or not verified(claim, keys.sign, self.federation, name):
                raise _RefusedError("it asks to leave, and does not sign what stays", name)
            held = self.peers.slots.get(name)
            if claim.version and (held is None or held.entry.stamp != claim.stamp):
                return [Early(name)]
            keep = claim.stamp
        if self.peers.inherits_from(name):
            return [Early(name)]
        gone = set(self.peers.slots)
        self.change("remove", {"member": name, "keep": keep})
        return [RosterChanged(self.roster.number, tuple(gone - set(self.peers.slots)))]

    def _forward(self, header: Header, data: bytes, to: str | None) -> None:
        """Pass a member's message on, where members speak to admins only."""
        central = self.roster.topology == "centralised"
        if not (central and self.is_admin) or self.roster.members[header.sender].admin or header.sender == self.member:
            if to is not None:
                raise _RefusedError(f"it is addressed to {to!r}, and this is {self.member!r}", header.sender)
            return
        forward = Outgoing(data, to, header.kind)
        known = to is None or to in self.roster.members
        if known and len(self._forwards) < _MOST_QUEUED and forward not in self._forwards:
            self._forwards.append(forward)


class _RefusedError(Exception):
    """A message is refused; says why, and whose it was if that is certain."""

    def __init__(self, reason: str, member: str | None = None) -> None:
        super().__init__(reason)
        self.member = member

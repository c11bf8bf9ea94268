"""A node's membership: identity, roster, keys and admission, and which message is taken or made in which state.

A state machine without I/O: bytes in, events out, and bytes to send at this node's own pulse; the clock is an
argument, randomness is passed in.  What the messages of members say of statistics is the business of `_peers`.

States and what leads from one to the next::

    joining ──welcome──▶ member ──leave──▶ leaving ──roster without me──▶ left
       │ refusal            │  ▲
       ▼                    ▼  │ roster
    turned down          removed
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn_symfed.exceptions import AuthenticationError, FederationError, FormatError, SettingError
from sklearn_symfed.federation._admission import Desk, Joining
from sklearn_symfed.federation._claims import Claim, Mark, read_entry, signed_claim, verified
from sklearn_symfed.federation._envelope import Envelope, Header, commitment_of, open_envelope, seal_all, seal_one
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
from sklearn_symfed.federation._invites import Invite
from sklearn_symfed.federation._keys import Identity, PublicKeys
from sklearn_symfed.federation._links import Link, signed_link
from sklearn_symfed.federation._messages import (
    TO_ONE,
    Leave,
    Message,
    Packed,
    Pulse,
    Refusal,
    Request,
    RosterNews,
    Welcome,
    pack_message,
    read_message,
    type_of,
)
from sklearn_symfed.federation._peers import LIVES, Head, Peers, Said, Speech
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._rosters import TOPOLOGIES, Chain, Roster, RosterError
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.psr import PSR, Schema

__all__ = ["Membership", "Outgoing", "encoded_schema"]

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


class Membership:
    """One node's membership.

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
        self._farewells: dict[str, PublicKeys] = {}
        self._turn = 0
        self._told: dict[str, tuple[int, int]] = {}
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
        recovery: RecoveryKey,
        random: Random,
    ) -> Membership:
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
            "contract": None,
            "sign": identity.public.sign,
            "seal": identity.public.seal,
            "recovery": recovery.public,
            "commitment": commitment_of(node.key),
            "nonce": random(32),
        }
        node._enter(Chain([signed_link(_NOBODY, 0, _NOBODY, member, "found", values, identity.sign)]))
        return node

    @classmethod
    def join(cls, identity: Identity, invite: Invite, random: Random) -> Membership:
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
            if not chain.roster.is_member(name, member.keys) and name != self.member:
                self._farewells[name] = member.keys
        gone = self.peers.adopt(chain.roster)
        self.desk.close(chain.roster)
        self._told.clear()
        return RosterChanged(chain.roster.number, tuple(gone))

    def _redo(self, lost: Sequence[Link]) -> None:
        """Make this node's own changes again, after a chain without them turned out to count."""
        for link in lost:
            if link.signer == self.member and self.is_admin:
                values = {name: value for name, value in link.values.items() if name != "commitment"}
                try:
                    self.change(link.change, values)
                except FederationError:
                    continue  # it has been done by somebody else, or can be done no more

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
        except (AuthenticationError, FormatError, RosterError) as error:
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
        verdict = self.desk.judge(request, name, self.roster, now)
        if verdict.reason is not None:
            self._reply(name, Refusal(request.invite, verdict.reason), request.seal)
            raise _RefusedError(f"a request to join as {name!r}: {verdict.reason}")
        events: list[Event] = []
        if verdict.admits is not None:
            admit = {"member": name, "sign": keys.sign, "seal": keys.seal, "invite": request.invite}
            self.change("admit", {**admit, "admin": verdict.admits.admin})
            events.append(Admitted(name, keys.fingerprint))
        roster = self.roster
        self.peers.heads[name] = Head(0, roster.number, roster.head)
        assert self.chain is not None
        links = tuple(link.to_bytes() for link in self.chain.links)
        self._reply(name, Welcome(request.invite, links, self.key, self.peers.entries), request.seal)
        return events or [Stale(name)]

    def _reply(self, to: str, message: Message, seal: bytes) -> None:
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
            if links and not links[0].number:
                self._remind(envelope, Chain(links))
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
        self._redo(lost)
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

    def _remind(self, envelope: Envelope, chain: Chain) -> None:
        """Tell somebody who was on a roster and goes on that this does not count any more: the news may be lost."""
        name = envelope.header.sender
        if not self.is_admin or len(self._farewells) >= _MOST_QUEUED:
            return
        turn, gap = self._told.get(name, (0, 1))
        keys = next((keys for keys in chain.keys_once_of(name) if envelope.is_signed(keys.sign)), None)
        if keys is not None and self._turn >= turn:
            self._farewells[name] = keys
            self._told[name] = (self._turn + gap, min(2 * gap, _LAST_GAP))

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
        """Take a member off the roster as it asked, once what stays of it is held here."""
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
        if len(self._forwards) < _MOST_QUEUED and (to is None or to in self.roster.members):
            self._forwards.append(Outgoing(data, to, header.kind))

    # -- sending -----------------------------------------------------------------------------------------------------

    def outgoing(self) -> list[Outgoing]:
        """Return the messages of this pulse; those with a speech count as sent once `sent` is told so."""
        self._turn += 1
        if self.chain is None:
            return self._requests()
        messages = [self._to_one(to, message, seal) for to, message, seal in self._taken(self._replies)]
        messages += self._goodbyes()
        if not self.is_member:
            return messages
        messages += self._taken(self._forwards)
        messages += self._roster_news()
        messages += self._leave_messages()
        for speech in self.peers.outgoing():
            messages += self._pulses(speech)
        return messages

    def sent(self, message: Outgoing) -> None:
        """Note that the carrier took a message."""
        if message.speech is not None:
            self.peers.sent(message.speech)

    @staticmethod
    def _taken(queue: list[Any]) -> list[Any]:
        taken = queue[:]
        queue.clear()
        return taken

    def _requests(self) -> list[Outgoing]:
        if self.joining is None:
            return []
        self.joining, due = self.joining.next_turn()
        if not due:
            return []
        invite = self.joining.invite
        schema = None if self._local is None else encoded_schema(self._local.schema)
        request = self.joining.request(self.identity.public, schema)
        return [self._to_one(invite.admin, request, invite.seal)]

    def _goodbyes(self) -> list[Outgoing]:
        """Tell those who are off the roster, once."""
        assert self.chain is not None
        links = tuple(link.to_bytes() for link in self.chain.links)
        farewells, self._farewells = self._farewells, {}
        if not self.is_admin:
            return []
        return [self._to_one(name, RosterNews(links, None), keys.seal) for name, keys in sorted(farewells.items())]

    def _roster_news(self) -> list[Outgoing]:
        """Send links to those who lack them: an admin at once, others later, in case the admin is gone."""
        messages: list[Outgoing] = []
        assert self.chain is not None
        for name in self.peers.outdated:
            turn, gap = self._told.get(name, (self._turn, 1 if self.is_admin else 4))
            if name not in self._told and not self.is_admin:
                self._told[name] = (self._turn + gap, 2 * gap)
                continue
            if self._turn < turn:
                continue
            self._told[name] = (self._turn + gap, min(2 * gap, _LAST_GAP))
            head = self.peers.heads[name]
            ahead = head.number > self.roster.number  # it has what this node lacks, and will see that in the header
            links = () if ahead else self.chain.since(head.number, head.head)
            messages.append(self._news(name, links))
        messages += [self._news(name, self.chain.links) for name in self.peers.silent()]
        return messages

    def _news(self, name: str, links: Sequence[Link]) -> Outgoing:
        packed = tuple(link.to_bytes() for link in links)
        return self._to_one(name, RosterNews(packed, self.key), self.roster.members[name].keys.seal)

    def _leave_messages(self) -> list[Outgoing]:
        if self.leaving is None:
            return []
        keep = self.peers.own.to_bytes() if self.leaving == "keep" else None
        admins = [name for name in self.roster.admins if name != self.member]
        return [self._sealed(Leave(keep), name, to=name) for name in admins]

    def _pulses(self, speech: Speech) -> list[Outgoing]:
        """Put a speech into as many messages as its statistics need."""
        own = (self._own_statistics(),) if speech.own else ()
        batches: list[tuple[Packed, ...]] = [own]
        size = 0
        for name in speech.relay:
            psr = self.peers.slots[name].psr
            assert psr is not None
            packed = Packed.of(name, psr.to_bytes())
            if size + len(packed.data) > _RELAY_BYTES:
                batches.append(())
                size = 0
            batches[-1] = (*batches[-1], packed)
            size += len(packed.data)
        messages: list[Outgoing] = []
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            pulse = Pulse(speech.ask if last else 0, self.peers.entries, batch)
            routes = self._routes(speech.to)
            sealed = self._sealed(pulse, speech.to, to=routes[0])
            messages += [
                Outgoing(sealed.data, route, "pulse", speech if last and route == routes[-1] else None)
                for route in routes
            ]
        return messages

    def _routes(self, to: str | None) -> list[str | None]:
        """Return whose inboxes a message for `to` goes to."""
        roster = self.roster
        if roster.topology == "decentralised" or self.is_admin or to in roster.admins:
            return [to]
        return list(roster.admins)

    def _own_statistics(self) -> Packed:
        assert self._local is not None
        if self._packed is None or self._packed[0] != self._local.digest:
            self._packed = (self._local.digest, Packed.of(self.member, self._local.to_bytes()))
        return self._packed[1]

    def _header(self, message: Message, to: str | None) -> Header:
        roster = self.chain.roster if self.chain is not None else None
        own = self._peers.own if self._peers is not None else None
        return Header(
            kind=type_of(message),
            federation=self.federation,
            epoch=roster.epoch if roster else 0,
            roster=roster.number if roster else 0,
            head=roster.head if roster else _NOBODY,
            sender=self.member,
            to=to,
            hint=b"",
            incarnation=own.incarnation if own else 0,
            version=own.version if own else 0,
            seq=self.next_seq(),
        )

    def _to_one(self, to: str, message: Message, seal: bytes) -> Outgoing:
        header = self._header(message, to)
        data = seal_one(header, pack_message(message), seal, self.identity, self.random)
        return Outgoing(data, to, header.kind)

    def _sealed(self, message: Message, recipient: str | None, *, to: str | None) -> Outgoing:
        header = self._header(message, recipient)
        return Outgoing(seal_all(header, pack_message(message), self.key, self.identity, self.random), to, header.kind)

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


class _RefusedError(Exception):
    """A message is refused; says why, and whose it was if that is certain."""

    def __init__(self, reason: str, member: str | None = None) -> None:
        super().__init__(reason)
        self.member = member


def encoded_schema(schema: Schema) -> bytes:
    """Return a schema's bytes: those of the PSR of no rows."""
    return PSR.zero(schema).to_bytes()

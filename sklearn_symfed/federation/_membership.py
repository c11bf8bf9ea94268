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
from typing import Any

from sklearn_symfed.federation._envelope import Header, seal_all, seal_one
from sklearn_symfed.federation._links import Link
from sklearn_symfed.federation._messages import (
    Leave,
    Message,
    Packed,
    Pulse,
    RosterNews,
    pack_message,
    type_of,
)
from sklearn_symfed.federation._peers import Speech
from sklearn_symfed.federation._reception import Reception
from sklearn_symfed.federation._standing import Outgoing, encoded_schema
from sklearn_symfed.psr import kind_of_labels

__all__ = ["Membership"]

_RELAY_BYTES = 2**18
_MOST_QUEUED = 4096
_LAST_GAP = 64
_NOBODY = bytes(32)


class Membership(Reception):
    """A node's membership: `found` or `join` make one; `receive`, `outgoing` and `sent` are its life."""

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
        local = self._local
        schema, labels = (None, "") if local is None else (encoded_schema(local.schema), kind_of_labels(local.labels))
        request = self.joining.request(self.identity.public, schema, labels)
        return [self._to_one(invite.admin, request, invite.seal)]

    def _goodbyes(self) -> list[Outgoing]:
        """Tell those who are off the roster, once."""
        assert self.chain is not None
        links = tuple(link.to_bytes() for link in self.chain.links)
        farewells, self._farewells = self._farewells, {}
        return [self._to_one(name, RosterNews(links, None), keys.seal) for keys, name in farewells.items()]

    def _roster_news(self) -> list[Outgoing]:
        """Send links to those who lack them: an admin at once, others later, in case the admin is gone.

        Whoever is ahead sees in the header what this node lacks.  If nothing comes of that, the keys of this node may
        not be on its roster, and it is told by which chain they are on this one's.
        """
        messages: list[Outgoing] = []
        assert self.chain is not None
        first = 1 if self.is_admin else 4
        for name in filter(self._addresses, self.peers.outdated):
            turn, gap = self._told.get(name, (self._turn, first))
            if name not in self._told and not self.is_admin:
                self._told[name] = (self._turn + gap, 2 * gap)
                continue
            if self._turn < turn:
                continue
            self._told[name] = (self._turn + gap, min(2 * gap, _LAST_GAP))
            head = self.peers.heads[name]
            ahead = head.number > self.roster.number
            links = () if ahead and gap <= 2 * first else self.chain.since(head.number, head.head)
            messages.append(self._news(name, links))
        messages += [self._news(name, self.chain.links) for name in filter(self._addresses, self.peers.silent())]
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
            pulse = Pulse(speech.ask if last else 0, self.peers.entries_for(speech.to), batch)
            routes = self._routes(speech.to)
            sealed = self._sealed(pulse, speech.to, to=routes[0])
            messages += [
                Outgoing(sealed.data, route, "pulse", speech if last and route == routes[-1] else None)
                for route in routes
            ]
        return messages

    def _routes(self, to: str | None) -> list[str | None]:
        """Return whose inboxes a message for `to` goes to."""
        return [to] if self._addresses(to) else list(self.roster.admins)

    def _addresses(self, name: str | None) -> bool:
        """Tell whether this node sends to a member, or to all, itself: in a centralised federation to admins only."""
        return self.roster.topology == "decentralised" or self.is_admin or name in self.roster.admins

    def _own_statistics(self) -> Packed:
        psr = self.peers.shown
        assert psr is not None
        if self._packed is None or self._packed[0] != psr.digest:
            self._packed = (psr.digest, Packed.of(self.member, psr.to_bytes()))
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

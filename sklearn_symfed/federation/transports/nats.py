"""``nats://host:port/federation``: a JetStream stream a federation, a durable consumer a member.

Owns what is sent and received.  A stream of messages keeps each until all consumers have acknowledged it; a second one
keeps what nobody could take in; an object store holds what is larger than the server takes at once (`_claim_check`).
What is made and removed is
`_nats_places`; names and rights are `_nats_names`; whose credentials are used says the environment (`_nats_session`).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sklearn_symfed.exceptions import FormatError, TransportError
from sklearn_symfed.federation.transports._claim_check import ClaimCheck
from sklearn_symfed.federation.transports._nats_names import Names, place_of, rights_of, token_of
from sklearn_symfed.federation.transports._nats_places import Places
from sklearn_symfed.federation.transports._nats_session import Session
from sklearn_symfed.federation.transports.base import Delivery, Transport

__all__ = ["NatsTransport", "rights_of"]

_log = logging.getLogger("sklearn_symfed")

_TRIES = 5
_HEADERS = 1024
_AT_ONCE = 16
_MOST_BYTES = 64 * 2**20
_CHUNK = 512 * 2**10


class NatsTransport(Transport):
    """A mailbox of NATS JetStream.

    Parameters
    ----------
    url : str
        ``nats://host:port/federation``; user, password and the like come from the environment.
    member : str
        Whose inbox this is.
    create : bool, default=False
        Whether to make what the federation needs there, and to refuse a place in which others have inboxes.
    max_payload : int, default=64 MiB
        The largest message, in bytes.
    ack_deadline : float, default=60.0
        Seconds after which what was received and not acknowledged comes again.
    """

    def __init__(
        self,
        url: str,
        member: str,
        *,
        create: bool = False,
        max_payload: int = 64 * 2**20,
        ack_deadline: float = 60.0,
    ) -> None:
        super().__init__(url, member, max_payload=max_payload)
        self.ack_deadline = ack_deadline
        self._names = Names(place_of(url)[1])
        self._me = token_of(self.member)
        self._held: dict[str, Any] = {}
        self._session = _session(url, self.member, f"_INBOX.{self._me}")
        self._places = Places(self._session, self._names, url)
        try:
            self._enter(create=create)
        except BaseException:
            self._session.close()
            raise

    # -- places ------------------------------------------------------------------------------------------------------

    def _enter(self, *, create: bool) -> None:
        """Open the inbox, and make what is missing."""
        if create:
            self._places.make_streams()
            self.require_empty(self._places.members())
        self.existed = self._places.has_inbox(self._me)
        if not self.existed:
            try:
                self._places.make_inbox(self._me, self.ack_deadline or 0)
            except TransportError as error:
                raise TransportError(
                    f"Got no inbox of {self.member!r} at {self.url}: an admin who invites this member again makes it "
                    f"({error})"
                ) from None
        limit = self._session.max_payload - _HEADERS
        self._claims = ClaimCheck(_Bucket(self._session, self._names), self._me, limit=limit, most=self.max_payload)
        self._answers, self._subscription = self._session.run(self._session.subscribe(), "a subject for answers")

    def _prepare(self, member: str) -> None:
        token = token_of(member)
        if not self._places.has_inbox(token):
            self._places.make_inbox(token, self.ack_deadline or 0)

    def _discard(self, member: str) -> None:
        self._places.remove_inbox(token_of(member))

    @classmethod
    def provision(cls, url: str, member: str) -> list[str]:
        """Make streams, object store and the inbox of a founder; return what there is."""
        cls(url, member, create=True).close()
        return cls.standing(url)

    @classmethod
    def policy(cls, url: str, member: str, *, admin: bool = False) -> str:
        """Return the subjects that a member has to be allowed to publish and subscribe to, as JSON: the least."""
        return json.dumps(rights_of(place_of(url)[1], member, admin=admin), indent=2)

    @classmethod
    def standing(cls, url: str) -> list[str]:
        """Return what there is of a federation: streams, object store and the consumers of members."""
        with _administering(url) as places:
            return places.listed()

    @classmethod
    def teardown(cls, url: str) -> list[str]:
        """Remove all that `standing` lists, with what lies there; nothing of it is anybody else's."""
        with _administering(url) as places:
            places.remove_all()
        return []

    @property
    def dead_letters(self) -> int:
        """How many messages were given up, the newest thousand of the last two weeks."""
        return self._places.dead_letters(self._me)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _publish(self, data: bytes, to: str | None) -> None:
        token = None if to is None else token_of(to)
        subject = self._names.to_all(self._me) if token is None else self._names.to_one(token, self._me)
        self._claims.send(data, token, lambda frame: self._put(subject, frame))

    def _put(self, subject: str, frame: bytes) -> None:
        self._session.run(self._published(subject, frame), "the stream to take a message", seconds=40)

    async def _published(self, subject: str, frame: bytes) -> None:
        """Publish, and again if no answer came: the stream drops what it has already, by its number."""
        from nats.errors import NoRespondersError
        from nats.js.errors import NoStreamResponseError

        number = {"Nats-Msg-Id": uuid.uuid4().hex}
        for pause in (0.2, 1.0, None):
            try:
                await self._session.jetstream.publish(subject, frame, headers=number)
            except (TimeoutError, NoRespondersError, NoStreamResponseError):
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        room = _MOST_BYTES
        while len(deliveries) < limit and room > 0:
            work = self._pull(min(limit - len(deliveries), _AT_ONCE))
            messages = self._session.run(work, f"the inbox of {self.member!r}")
            if not messages:
                break
            for message in messages:
                self._held[message.reply] = message
            for message in messages:
                data = self._opened(message)
                if data is not None:
                    room -= len(data)
                    deliveries.append(Delivery(data, message))
        return deliveries

    async def _pull(self, most: int) -> list[Any]:
        """Ask for what waits now; the server says when there is no more."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._names.stream}.{self._me}"
        await self._session.send(subject, json.dumps({"batch": most, "no_wait": True}).encode(), self._answers)
        messages: list[Any] = []
        while len(messages) < most:
            message = await self._subscription.next_msg(timeout=10)
            status = (message.headers or {}).get("Status")
            if status is None:
                messages.append(message)
            elif status in {"404", "408"}:
                break
            else:
                raise TransportError(
                    f"Got no inbox of {self.member!r} at {self.url}: somebody took it down. An admin who invites this "
                    "member again makes it."
                )
        return messages

    def _opened(self, message: Any) -> bytes | None:
        """Return what a message holds; None for one's own, for what was superseded, and for what is given up."""
        if message.subject.rpartition(".")[2] == self._me:
            self._finish(message)
            return None
        try:
            data = self._claims.open(message.data)
        except FormatError as error:
            self._give_up(message, str(error))
            return None
        if message.metadata.num_delivered > _TRIES:
            self._give_up(message, f"it came {_TRIES} times and was not acknowledged")
            return None
        if data is None:
            self._finish(message)
        return data

    def _give_up(self, message: Any, reason: str) -> None:
        """Set a message aside."""
        _log.warning("%r set a message aside (%d bytes): %s", self.member, len(message.data), reason)
        self._put(self._names.dead(self._me), message.data)
        self._finish(message)

    def _finish(self, message: Any) -> None:
        if self._held.pop(message.reply, None) is not None:
            self._session.run(message.ack(), "an acknowledgement to be taken")

    def _ack(self, delivery: Delivery) -> None:
        if delivery.receipt is not None and delivery.receipt.reply in self._held:
            self._finish(delivery.receipt)
            self._claims.done(delivery.receipt.data)

    def _extend(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.receipt.reply in self._held:
                self._session.run(delivery.receipt.in_progress(), "more time for a message")

    def _close(self) -> None:
        """Give back what was not acknowledged, so that it comes again at once."""
        with contextlib.suppress(TransportError):
            for message in self._held.values():
                self._session.run(message.nak(), "a message to be taken back")
        self._session.close()


def _session(url: str, member: str, inbox: str) -> Session:
    """Return a connection whose answers come to an inbox, and which names rights as those of this member."""
    address, federation = place_of(url)
    mine, admins = rights_of(federation, member), rights_of(federation, member, admin=True)
    rights = [*mine["publish"], *admins["publish"], *admins["subscribe"]]
    return Session(address, url, inbox, rights)


@contextlib.contextmanager
def _administering(url: str) -> Iterator[Places]:
    """Connect as whoever the environment names, whose member's name need not be told."""
    names = Names(place_of(url)[1])
    with contextlib.closing(_session(url, "operator", names.answers)) as session:
        yield Places(session, names, url)


class _Bucket:
    """The object store, as the claim check wants it."""

    def __init__(self, session: Session, names: Names) -> None:
        self._session = session
        self._names = names
        self._store: Any = None

    def put(self, key: str, data: bytes) -> None:
        self._run(self._put(key, data), "an object to be stored", len(data))

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._run(self._get(key), "an object", _MOST_BYTES)
        return found

    def delete(self, key: str) -> None:
        self._run(self._delete(key), "an object to be removed")

    def keys(self, prefix: str) -> Iterable[str]:
        names: list[str] = self._run(self._list(), "a list of objects")
        return [name for name in names if name.startswith(prefix)]

    def _run(self, work: Any, expected: str, size: int = 0) -> Any:
        return self._session.run(work, expected, seconds=30 + size / 100_000)

    async def _opened(self) -> Any:
        if self._store is None:
            self._store = await self._session.jetstream.object_store(self._names.stream)
        return self._store

    async def _put(self, key: str, data: bytes) -> None:
        from nats.js import api

        options = api.ObjectMetaOptions(max_chunk_size=min(_CHUNK, self._session.max_payload - _HEADERS))
        await (await self._opened()).put(key, data, meta=api.ObjectMeta(name=key, options=options))

    async def _get(self, key: str) -> bytes | None:
        from nats.js.errors import NotFoundError

        data = io.BytesIO()
        try:
            await (await self._opened()).get(key, writeinto=data)
        except NotFoundError:
            return None
        return data.getvalue()

    async def _delete(self, key: str) -> None:
        from nats.js.errors import NotFoundError

        with contextlib.suppress(NotFoundError):
            await (await self._opened()).delete(key)

    async def _list(self) -> list[str]:
        from nats.js.errors import NotFoundError

        try:
            return [info.name for info in await (await self._opened()).list()]
        except NotFoundError:
            return []

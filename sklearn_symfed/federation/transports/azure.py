"""``azure://namespace/federation?blobs=account/container``: a topic of Service Bus, a subscription to it a member.

Owns how messages are sent and received.  All go through the topic, which hands each to the subscriptions of those it is
for.  It takes messages up to 256 KiB: what is larger lies in a container of blobs (`_claim_check`).  Service Bus itself
sets aside what came five times and was not acknowledged.  Names are `_azure_names`, topic, subscriptions and rights
`_azure_places`.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from sklearn_symfed.exceptions import FormatError, TransportError
from sklearn_symfed.federation.transports._azure_blob import Container
from sklearn_symfed.federation.transports._azure_names import ALL, place_of, token_of
from sklearn_symfed.federation.transports._azure_places import Places, role_assignments
from sklearn_symfed.federation.transports._azure_session import AzureAnswerError, Session
from sklearn_symfed.federation.transports._claim_check import ClaimCheck
from sklearn_symfed.federation.transports.base import Delivery, Transport

__all__ = ["AzureTransport"]

_log = logging.getLogger("sklearn_symfed")

_LONGEST_FRAME = 200 * 2**10
_MOST_BYTES = 64 * 2**20
_AT_ONCE, _LOOKED_AT = 10, 100
_SENDER = "from"
"""The property of a message that holds its sender's token."""
_SHORTEST_WAIT = 0.01


class AzureTransport(Transport):
    """A mailbox of Service Bus and Blob storage.

    Parameters
    ----------
    url : str
        ``azure://acme.servicebus.windows.net/federation?blobs=account/container``, and, if wanted, ``&wait=`` with the
        seconds for which an empty inbox is watched.  Credentials are the connection strings in the environment's
        ``AZURE_SERVICEBUS_CONNECTION_STRING`` and ``AZURE_STORAGE_CONNECTION_STRING``, else those that
        ``DefaultAzureCredential`` finds.
    member : str
        Whose inbox this is.
    create : bool, default=False
        Whether to make what the federation needs there, and to refuse a place in which others have inboxes.
    max_payload : int, default=64 MiB
        The largest message, in bytes.
    ack_deadline : float, default=60.0
        Seconds after which what was received and not acknowledged comes again; at most 300.  It is a setting of the
        inbox, and whoever makes that decides.
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
        place = place_of(url)
        self.ack_deadline = self._seconds = ack_deadline
        self._wait = max(place.wait, _SHORTEST_WAIT)
        self._me = token_of(self.member)
        self._held: dict[str, tuple[Any, bytes]] = {}
        self._n_dead, self._next_dead = 0, 0
        self._session = Session(place, url)
        self._links = contextlib.ExitStack()
        try:
            self._places = Places(self._session)
            self._inbox = self._enter(create=create)
        except BaseException:
            self._leave()
            raise
        blobs = Container(self._session)
        self._claims = ClaimCheck(blobs, self._me, limit=_LONGEST_FRAME, most=self.max_payload)

    # -- places ------------------------------------------------------------------------------------------------------

    def _enter(self, *, create: bool) -> Any:
        """Return an open receiver of the inbox; make what is missing, as far as this member may see that.

        Whoever may not has an inbox that an admin made; if not, the first look into it says so.
        """
        if create:
            self.require_empty(self._places.members())
            self._places.make_topic()
            Container(self._session).make()
        self.existed = self._places.has_inbox(self._me)
        if self.existed is False:
            self._places.make_inbox(self._me, self._seconds)
        return self._receiver()

    def _receiver(self, **settings: Any) -> Any:
        place = self._session.place
        with self._session.translated("an inbox"):
            receiver = self._session.bus.get_subscription_receiver(place.topic, place.inbox(self._me), **settings)
            return self._links.enter_context(receiver)

    @functools.cached_property
    def _sender(self) -> Any:
        with self._session.translated("a topic"):
            return self._links.enter_context(self._session.bus.get_topic_sender(self._session.place.topic))

    @functools.cached_property
    def _dead(self) -> Any:
        from azure.servicebus import ServiceBusSubQueue

        return self._receiver(sub_queue=ServiceBusSubQueue.DEAD_LETTER)

    def _prepare(self, member: str) -> None:
        self._places.make_inbox(token_of(member), self._seconds)

    def _discard(self, member: str) -> None:
        self._places.remove_inbox(token_of(member))

    @classmethod
    def provision(cls, url: str, member: str) -> list[str]:
        """Make topic, container and the inbox of a founder; return what there is."""
        cls(url, member, create=True).close()
        return cls.standing(url)

    @classmethod
    def policy(cls, url: str, member: str, *, admin: bool = False) -> str:
        """Return the roles to be assigned to a member, and their scopes, as JSON: the least that will do."""
        return role_assignments(place_of(url), token_of(member), admin=admin)

    @classmethod
    def standing(cls, url: str) -> list[str]:
        """Return what there is of a federation: topic, subscriptions and container."""
        with contextlib.closing(Session(place_of(url), url)) as session:
            container = [f"container {session.place.container}"] if Container(session).is_there() else []
            return [*Places(session).listed(), *container]

    @classmethod
    def teardown(cls, url: str) -> list[str]:
        """Remove all that `standing` lists, with what lies there; a container in which something else lies stays."""
        with contextlib.closing(Session(place_of(url), url)) as session:
            Places(session).remove_all()
            container = Container(session)
            stays = container.is_there() and not container.remove()
            return [f"container {session.place.container}"] if stays else []

    @property
    def dead_letters(self) -> int:
        """How many messages were set aside and still lie there, as far as this end has looked."""
        with self._session.translated("dead letters"):
            while True:
                found = self._dead.peek_messages(_LOOKED_AT, sequence_number=self._next_dead)
                if not found:
                    return self._n_dead
                self._n_dead += len(found)
                self._next_dead = found[-1].sequence_number + 1

    # -- messages ----------------------------------------------------------------------------------------------------

    def _publish(self, data: bytes, to: str | None) -> None:
        token = None if to is None else token_of(to)
        self._claims.send(data, token, functools.partial(self._send, token or ALL))

    def _send(self, to: str, frame: bytes) -> None:
        from azure.servicebus import ServiceBusMessage

        name = uuid.uuid4().hex  # by which the topic drops what the SDK sends again
        message = ServiceBusMessage(frame, message_id=name, to=to, application_properties={_SENDER: self._me})
        with self._session.translated("to send a message"):
            self._sender.send_messages(message)

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        room, wait, there_is_more = _MOST_BYTES, self._wait, True
        while len(deliveries) < limit and room > 0 and there_is_more:
            most = min(limit - len(deliveries), _AT_ONCE)
            messages, wait = self._pull(most, wait), _SHORTEST_WAIT
            there_is_more = len(messages) == most
            for message in messages:
                data = self._opened(message)
                if data is not None:
                    room -= len(data)
                    deliveries.append(Delivery(data, str(message.lock_token)))
        return deliveries

    def _pull(self, most: int, wait: float) -> list[Any]:
        """Return some of what waits; watch an empty inbox for some seconds."""
        try:
            with self._session.translated("messages"):
                messages: list[Any] = self._inbox.receive_messages(most, max_wait_time=wait)
        except AzureAnswerError as error:
            if not error.missing:
                raise
            raise TransportError(
                f"Got no inbox of {self.member!r} at {self.url}: nobody made it, or somebody took it down. An admin "
                "who invites this member again makes it."
            ) from None
        self._held.update((str(message.lock_token), (message, b"")) for message in messages)
        return messages

    def _opened(self, message: Any) -> bytes | None:
        """Return what a message holds; None for one's own, for what was superseded, and for what is given up."""
        token = str(message.lock_token)
        sender = (message.application_properties or {}).get(_SENDER.encode())
        if sender == self._me.encode() or message.to not in {self._me, ALL}:
            self._finish(token)
            return None
        try:
            frame = _body(message)
            data = self._claims.open(frame)
        except FormatError as error:
            self._give_up(token, str(error))
            return None
        self._held[token] = (message, frame)
        if data is None:
            self._finish(token)
        return data

    def _give_up(self, token: str, reason: str) -> None:
        """Set a message aside."""
        message, _ = self._held.pop(token)
        _log.warning("%r set a message aside: %s", self.member, reason)
        with self._settled():
            self._inbox.dead_letter_message(message, reason="NoMessage", error_description=reason)

    def _finish(self, token: str) -> None:
        message, _ = self._held.pop(token)
        with self._settled():
            self._inbox.complete_message(message)

    @contextlib.contextmanager
    def _settled(self) -> Any:
        """Pass over a lock that was lost: another reader has the message since, or will."""
        from azure.servicebus.exceptions import MessageLockLostError

        with self._session.translated("to settle a message"), contextlib.suppress(MessageLockLostError):
            yield

    def _ack(self, delivery: Delivery) -> None:
        if delivery.receipt in self._held:
            frame = self._held[delivery.receipt][1]
            self._finish(delivery.receipt)
            self._claims.done(frame)

    def _extend(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.receipt in self._held:
                with self._settled():
                    self._inbox.renew_message_lock(self._held[delivery.receipt][0])

    def _close(self) -> None:
        """Give back what was not acknowledged, so that it comes again at once."""
        with contextlib.suppress(TransportError):
            for message, _ in self._held.values():
                with self._settled():
                    self._inbox.abandon_message(message)
        self._leave()

    def _leave(self) -> None:
        with contextlib.suppress(TransportError), self._session.translated("an end"):
            self._links.close()
        self._session.close()


def _body(message: Any) -> bytes:
    """Return the bytes that a message holds.

    Raises
    ------
    FormatError
        If it holds something else.
    """
    try:
        return b"".join(message.body)
    except TypeError:
        raise FormatError("Got a message whose body is no bytes.") from None

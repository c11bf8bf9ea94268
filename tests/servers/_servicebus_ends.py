"""The broker's ends of links: one takes messages, one delivers them, one takes requests, and one their answers.

Each says what a transfer, a disposition or credit does to the namespace; which link gets which end, and whether it gets
one at all, is the business of `_servicebus_amqp.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from proton import Condition, Delivery, Link, Message, ProtonException, symbol

from tests.servers._servicebus_entities import NamespaceError, NotFound, NotSupported
from tests.servers._servicebus_messages import MOST_BYTES, Line, LockLost, Messages, TooLarge, Waiting
from tests.servers._servicebus_tokens import Unauthorized
from tests.servers._servicebus_wire import Malformed, delivered, read, scheduled, text

CREDIT = 100
TERMINAL = (Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED)

CONDITIONS = {
    LockLost: "com.microsoft:message-lock-lost",
    NotFound: "amqp:not-found",
    NotSupported: "amqp:not-implemented",
    TooLarge: "amqp:link:message-size-exceeded",
    Malformed: "amqp:decode-error",
    Unauthorized: "amqp:unauthorized-access",
}


def condition_of(error: Exception) -> Condition:
    """Return how AMQP calls what a namespace refuses; clients count on a map of details, too."""
    name = CONDITIONS.get(type(error), "amqp:internal-error")
    return Condition(name, str(error), {symbol("tracking-id"): str(uuid4())})


class End:
    """What the broker does at its end of a link to a path."""

    path: str

    def transferred(self, delivery: Delivery, data: bytes, fmt: int) -> None:
        """Take what the client has sent."""
        raise NotImplementedError

    def disposed(self, delivery: Delivery) -> None:
        """Heed what the client makes of a delivery."""
        if delivery.settled:
            delivery.settle()

    def flows(self) -> None:
        """Use the credit that the client gives."""


@dataclass(eq=False)
class Entrance(End):
    """Takes messages for a topic or queue."""

    messages: Messages
    link: Link
    path: str

    def __post_init__(self) -> None:
        self.link.flow(CREDIT)

    def transferred(self, delivery: Delivery, data: bytes, fmt: int) -> None:
        """Store a message or a batch, and say so; or say why not."""
        try:
            if len(data) > MOST_BYTES:
                raise TooLarge(f"the message has {len(data)} bytes, the limit of the link is {MOST_BYTES}")
            batch = read(data, fmt)
            if any(scheduled(sent) for sent in batch):
                raise NotSupported("to hold a message back until a time")
            self.messages.send(self.path, batch)
        except (NamespaceError, Malformed) as refused:
            delivery.local.condition = condition_of(refused)
            delivery.update(Delivery.REJECTED)
        else:
            delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        self.link.flow(CREDIT - self.link.credit)


@dataclass(eq=False)
class Exit(End):
    """Delivers from a queue, a subscription or its dead letters."""

    messages: Messages
    link: Link
    path: str
    line: Line
    _tokens: dict[Delivery, UUID] = field(default_factory=dict)

    @property
    def takes(self) -> bool:
        """Whether what is delivered is gone with it."""
        return bool(self.link.remote_snd_settle_mode == Link.SND_SETTLED)

    def flows(self) -> None:
        """Deliver as much as there is credit for; a client that drains gets the rest of its credit back."""
        if self.link.credit > 0:
            for waiting in (self.messages.take if self.takes else self.messages.lock)(self.line, self.link.credit):
                self._deliver(waiting)
        if self.link.drain_mode:
            self.link.drained()

    def _deliver(self, waiting: Waiting) -> None:
        token = waiting.token or UUID(int=waiting.sequence)
        delivery = self.link.delivery(token.bytes_le)
        self.link.send(delivered(waiting))
        self.link.advance()
        if waiting.token is None:
            delivery.settle()
        else:
            self._tokens[delivery] = token

    def disposed(self, delivery: Delivery) -> None:
        """Do what the client's outcome asks for, and answer with a settled outcome."""
        outcome = delivery.remote_state
        if delivery not in self._tokens or not (outcome in TERMINAL or delivery.settled):
            return
        token = self._tokens.pop(delivery)
        try:
            self._apply(delivery, token)
        except NamespaceError as refused:
            delivery.local.condition = condition_of(refused)
            delivery.update(Delivery.REJECTED)
        else:
            delivery.update(outcome)
        delivery.settle()

    def _apply(self, delivery: Delivery, token: UUID) -> None:
        remote = delivery.remote
        if delivery.remote_state == Delivery.ACCEPTED:
            self.messages.complete(self.line, token)
        elif delivery.remote_state == Delivery.RELEASED:
            self.messages.release(self.line, token)
        elif delivery.remote_state == Delivery.MODIFIED:
            if remote.undeliverable:
                raise NotSupported("to defer a message")
            delivery.local.failed = remote.failed
            self.messages.abandon(self.line, token)
        elif delivery.remote_state == Delivery.REJECTED:
            self.messages.dead_letter(self.line, token, *_why(remote.condition))


@dataclass(eq=False)
class Answers(End):
    """Delivers what requests are answered with."""

    link: Link
    path: str

    def send(self, message: Message) -> None:
        """Deliver a response; nobody settles it."""
        delivery = self.link.delivery(self.link.delivery_tag().encode())
        self.link.send(message.encode())
        self.link.advance()
        delivery.settle()
        if self.link.drain_mode:
            self.link.drained()


@dataclass(eq=False)
class Requests(End):
    """Takes requests, and has their answers delivered."""

    link: Link
    path: str
    answer: Callable[[Message], Message]
    reply: Callable[[str | None, Message], None]

    def __post_init__(self) -> None:
        self.link.flow(CREDIT)

    def transferred(self, delivery: Delivery, data: bytes, fmt: int) -> None:
        """Answer a request."""
        request = Message()
        with contextlib.suppress(ProtonException):
            request.decode(data)
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        self.reply(request.reply_to, self.answer(request))
        self.link.flow(CREDIT - self.link.credit)


def _why(condition: Condition | None) -> tuple[str | None, str | None]:
    """Return reason and description of a rejection."""
    if condition is None:
        return None, None
    if condition.name != "com.microsoft:dead-letter":
        return condition.name, condition.description
    info = condition.info if isinstance(condition.info, dict) else {}
    return text(info.get("DeadLetterReason")), text(info.get("DeadLetterErrorDescription"))

"""One AMQP connection of the broker: proton's engine between bytes and links, fed frame by frame.

Owns who may open which link, and refuses the others as Service Bus does: attached first, and detached a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from proton import SASL, Collector, Endpoint, Event, Link, Message, TransportException
from proton import Connection as Engine
from proton import Transport as Wire

from tests.servers._servicebus_ends import Answers, End, Entrance, Exit, Requests, condition_of
from tests.servers._servicebus_entities import NamespaceError, NotSupported
from tests.servers._servicebus_messages import MOST_BYTES, Line, Messages
from tests.servers._servicebus_requests import MANAGEMENT, Management, Tokens
from tests.servers._servicebus_tokens import Unauthorized, covers, path_of
from tests.servers._servicebus_wire import FRAME, Frames, message_format

CBS = "$cbs"
CHANNELS, IDLE = 255, 240.0
MOMENT = 0.005
"""Between attach and detach, in seconds: a client that gets both at once takes the link for open, and waits."""


@dataclass(frozen=True)
class House:
    """What all connections share."""

    messages: Messages
    keys: Mapping[str, str]
    clock: Callable[[], float]
    exits: dict[Line, list[tuple[Connection, Exit]]] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)
    """Those that are open, and whom to tell of new messages."""


class Connection(asyncio.Protocol):
    """One client.

    Parameters
    ----------
    house : House
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._engine, self._wire, self._events = Engine(), Wire(Wire.SERVER), Collector()
        self._frames, self._format, self._over = Frames(), 0, False
        self._formats: dict[Any, int] = {}
        self._ends: dict[Link, End] = {}
        self._until: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tokens = Tokens(house.keys, house.clock, self._put_token)

    # -- bytes -------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client's first bytes."""
        self._socket = cast(asyncio.Transport, transport)
        self._house.connections.add(self)
        self._engine.collect(self._events)
        self._engine.container = "servicebus-of-the-tests"
        self._wire.max_frame_size, self._wire.channel_max, self._wire.idle_timeout = FRAME, CHANNELS, IDLE
        self._sasl = self._wire.sasl()
        self._sasl.allow_insecure_mechs = True
        self._sasl.allowed_mechs("ANONYMOUS")
        self._wire.bind(self._engine)

    def data_received(self, data: bytes) -> None:
        """Do what each frame asks for, then answer."""
        for frame in self._frames.feed(data):
            self._format = message_format(frame) or 0
            self._push(memoryview(frame))
            self._dispatch()
        self.flush()

    def _push(self, frame: memoryview) -> None:
        """Give the engine a frame, as much at a time as it takes; once it takes no more, the connection ends."""
        while frame and (room := self._wire.capacity()) > 0:
            with contextlib.suppress(TransportException):
                self._wire.push(bytes(frame[:room]))
            frame = frame[room:]
        self._over |= self._wire.capacity() < 0

    def eof_received(self) -> None:
        """Close, as the client has."""

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the client; what it has locked stays locked."""
        self._house.connections.discard(self)
        for link in list(self._ends):
            self._forget(link)
        if self._timer is not None:
            self._timer.cancel()
        self._wire.unbind()
        self._events.release()

    def flush(self) -> None:
        """Send what there is to send, and see to heartbeats."""
        self._dispatch()
        deadline = self._wire.tick(time.monotonic())
        while (size := self._wire.pending()) > 0:
            self._socket.write(bytes(self._wire.peek(size) or b""))
            self._wire.pop(size)
        if size < 0 or self._wire.closed or self._over:
            self._socket.close()
        elif deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self.flush)

    # -- events ------------------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        while (event := self._events.peek()) is not None:
            do = getattr(self, event.type.method, None)
            if do is not None:
                do(event)
            self._events.pop()

    def on_connection_remote_open(self, event: Event) -> None:
        self._over |= self._sasl.outcome != SASL.OK
        event.connection.open()

    def on_connection_remote_close(self, event: Event) -> None:
        event.connection.close()

    def on_session_remote_open(self, event: Event) -> None:
        event.session.open()

    def on_session_remote_close(self, event: Event) -> None:
        for link in [link for link in self._ends if link.session == event.session]:
            self._forget(link)
        event.session.close()

    def on_link_remote_open(self, event: Event) -> None:
        link = event.link
        link.source.copy(link.remote_source)
        link.target.copy(link.remote_target)
        link.snd_settle_mode, link.rcv_settle_mode = link.remote_snd_settle_mode, link.remote_rcv_settle_mode
        link.max_message_size = MOST_BYTES
        link.open()
        try:
            self._ends[link] = self._end(link)
        except NamespaceError as refused:
            self._refuse(link, refused)

    def on_link_remote_close(self, event: Event) -> None:
        self._forget(event.link)
        event.link.close()

    def on_link_remote_detach(self, event: Event) -> None:
        self._forget(event.link)
        event.link.detach()

    def on_link_flow(self, event: Event) -> None:
        if event.link in self._ends:
            self.serve(event.link)

    def on_delivery(self, event: Event) -> None:
        delivery, end = event.delivery, self._ends.get(event.link)
        if event.link.is_sender:
            if end is not None and delivery.updated:
                end.disposed(delivery)
            return
        self._formats.setdefault(delivery, self._format)
        if delivery.aborted or end is None:
            self._formats.pop(delivery)
            delivery.settle()
        elif delivery.readable and not delivery.partial:
            data = event.link.recv(delivery.pending)
            event.link.advance()
            end.transferred(delivery, bytes(data or b""), self._formats.pop(delivery))

    # -- links -------------------------------------------------------------------------------------------------------

    def serve(self, link: Link) -> None:
        """Use the credit of a link."""
        try:
            self._ends[link].flows()
        except NamespaceError as refused:
            self._refuse(link, refused)

    def review(self) -> None:
        """Detach links whose entity is gone, or whose token has expired."""
        for link, end in list(self._ends.items()):
            try:
                self._check(end.path)
            except NamespaceError as refused:
                self._refuse(link, refused)

    def _end(self, link: Link) -> End:
        address = (link.remote_source if link.is_sender else link.remote_target).address or ""
        path = path_of(address)
        self._check(path)
        if path == CBS or path.endswith(MANAGEMENT):
            return self._management(link, path)
        messages = self._house.messages
        if not link.is_sender:
            messages.entrance(path)
            return Entrance(messages, link, path)
        if any("session-filter" in str(name) for name in _filters(link)):
            raise NotSupported("sessions")
        exit_ = Exit(messages, link, path, messages.line(path))
        self._house.exits.setdefault(exit_.line, []).append((self, exit_))
        return exit_

    def _management(self, link: Link, path: str) -> End:
        if link.is_sender:
            return Answers(link, path)
        if path == CBS:
            return Requests(link, path, self._tokens.answer, lambda to, message: self._reply(path, to, message))
        management = Management(self._house.messages, path.removesuffix(MANAGEMENT))
        return Requests(link, path, management.answer, lambda to, message: self._reply(path, to, message))

    def _reply(self, path: str, to: str | None, message: Message) -> None:
        """Deliver an answer on the link that the request names, or, if it names none, on the only one there is."""
        ends = [end for end in self._ends.values() if isinstance(end, Answers) and end.path == path]
        named = [end for end in ends if to and end.link.remote_target.address == to]
        for end in (named or ends)[-1:]:
            end.send(message)

    def _check(self, path: str) -> None:
        """Raise `Unauthorized` or `NotFound`."""
        if path == CBS:
            return
        now = self._house.clock()
        if not any(until > now and covers(audience, path) for audience, until in self._until.items()):
            raise Unauthorized("Unauthorized access: no valid token was put for this audience")
        self._house.messages.exists(path.removesuffix(MANAGEMENT))

    def _put_token(self, audience: str, until: float) -> None:
        self._until[audience] = until
        self._loop.call_later(max(0.0, until - self._house.clock()), self._expire)

    def _expire(self) -> None:
        if self in self._house.connections:
            self.review()
            self.flush()

    def _refuse(self, link: Link, error: NamespaceError) -> None:
        self._forget(link)
        link.condition = condition_of(error)
        self._loop.call_later(MOMENT, self._detach, link)

    def _detach(self, link: Link) -> None:
        if self in self._house.connections and link.state & Endpoint.LOCAL_ACTIVE:
            link.close()
            self.flush()

    def _forget(self, link: Link) -> None:
        end = self._ends.pop(link, None)
        if isinstance(end, Exit):
            self._house.exits[end.line].remove((self, end))


def _filters(link: Link) -> dict[Any, Any]:
    data = link.remote_source.filter
    data.rewind()
    return cast(dict[Any, Any], data.get_dict()) if data.next() else {}

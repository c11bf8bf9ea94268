"""The broker's process: one port of loopback, AMQP and, where a client begins TLS, administration.

Owns the event loop, who is told when a message can be received, and the timer of locks and lives. Everything of AMQP
happens in this one thread; a namespace changes in any.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping

from tests.servers._servicebus_amqp import Connection, House
from tests.servers._servicebus_entities import Namespace
from tests.servers._servicebus_messages import Line, Messages

Administration = Callable[[socket.socket], None]
TLS = b"\x16"


class Broker:
    """A namespace on a port of loopback.

    Parameters
    ----------
    namespace : Namespace
    keys : mapping
        The key of each name.
    administration : callable, default=None
        Given a blocking socket whose client begins TLS, in a thread of its own, it serves and closes it. Without one
        such a client is hung up on.
    """

    def __init__(
        self, namespace: Namespace, keys: Mapping[str, str], administration: Administration | None = None
    ) -> None:
        self._messages = Messages(namespace)
        self._house = House(self._messages, keys, namespace.store.clock)
        self._namespace = namespace
        self._administration = administration
        self._ready: set[Line] = set()
        self._timer: asyncio.Handle | None = None

    async def serve(self, port: int) -> None:
        """Serve until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._messages.on_clock = lambda: self._soon(self._look_at_the_clock)
        self._messages.on_ready = lambda line: self._soon(self._arrived, line)
        self._namespace.on_change = lambda: self._soon(self._changed)
        self._by_time()
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            listener.setblocking(False)
            while True:
                client, _ = await self._loop.sock_accept(listener)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = self._loop.create_task(self._welcome(client))
                task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _welcome(self, client: socket.socket) -> None:
        """Look at the first byte without taking it, and hand the client over."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(client, lambda: readable.done() or readable.set_result(None))
        await readable
        self._loop.remove_reader(client)
        try:
            first = client.recv(1, socket.MSG_PEEK)
        except OSError:
            first = b""
        if first == b"A":
            await self._loop.connect_accepted_socket(lambda: Connection(self._house), client)
        elif first == TLS and self._administration is not None:
            client.setblocking(True)
            threading.Thread(target=self._administration, args=(client,), daemon=True).start()
        else:
            client.close()

    def _soon(self, do: Callable[..., None], *args: object) -> None:
        self._loop.call_soon_threadsafe(do, *args)

    def _arrived(self, line: Line) -> None:
        if not self._ready:
            self._loop.call_soon(self._serve_all)
        self._ready.add(line)

    def _serve_all(self) -> None:
        """Deliver what has become ready to whoever has credit."""
        ready, self._ready = self._ready, set()
        served = []
        for line in ready:
            for connection, exit_ in list(self._house.exits.get(line, ())):
                connection.serve(exit_.link)
                served.append(connection)
        for connection in served:
            connection.flush()

    def _changed(self) -> None:
        for connection in list(self._house.connections):
            connection.review()
            connection.flush()

    def _look_at_the_clock(self) -> None:
        """Let happen what is due, soon."""
        if self._timer is None or isinstance(self._timer, asyncio.TimerHandle):
            self._plan(None)

    def _plan(self, moment: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if moment is None:
            self._timer = self._loop.call_soon(self._by_time)
        else:
            self._timer = self._loop.call_later(max(0.0, moment - self._house.clock()), self._by_time)

    def _by_time(self) -> None:
        """Let happen what is due, and come again when the next is."""
        self._timer = None
        upcoming = self._messages.due()
        if upcoming is not None:
            self._plan(upcoming)

"""A way to a server that takes its time: each piece that goes through waits before it goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

from tests.servers._server import free_port


class SlowWay:
    """Listens at a port of its own, and passes on what comes, late, to another port of loopback.

    Parameters
    ----------
    to : int
        The server's port.
    seconds : float
        How long each piece waits.
    """

    def __init__(self, to: int, seconds: float) -> None:
        self.port = free_port()
        self._to, self._seconds = to, seconds
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._threads: list[threading.Thread] = []
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take no new connections, and end those that there are."""
        for end in (self._listener, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._ends.append(near)
                thread = threading.Thread(target=self._connect, args=(near,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self, near: socket.socket) -> None:
        """Pass on what comes from either side, until one ends."""
        with near, socket.create_connection(("127.0.0.1", self._to)) as far:
            back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
            back.start()
            self._pass_on(near, far)
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self._seconds)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

"""A way to a server that takes its time: each piece that goes through waits before it goes on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

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
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> SlowWay:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(self._seconds)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

"""moto_server: SQS, SNS, S3 and STS in the memory of one process, which asks for rights once it is told to."""

from __future__ import annotations

import contextlib
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers._server import Server, free_port, listens, skip_without


class MotoServer(Server):
    """One server, on loopback, which forgets all when it ends."""

    def __init__(self, folder: Path) -> None:
        path = program()
        if path is None:
            skip_without("moto_server (from moto[server])")
        self.port = free_port()
        super().__init__([path, "-H", "127.0.0.1", "-p", str(self.port)], folder, lambda: listens(self.port))

    def stop(self) -> None:
        """End it at once: it would wait for connections that nobody uses."""
        self._end(kill=True)

    @contextlib.contextmanager
    def asking_for_rights(self) -> Iterator[None]:
        """Have it check signatures and rights meanwhile, those of a policy without its resources."""
        self._take_unchecked("0")
        try:
            yield
        finally:
            self._take_unchecked("inf")

    def _take_unchecked(self, requests: str) -> None:
        address, headers = f"http://127.0.0.1:{self.port}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, requests.encode(), headers), timeout=10).close()


def program() -> str | None:
    """Return the server's program, beside this interpreter or on the path."""
    return shutil.which("moto_server", path=str(Path(sys.executable).parent)) or shutil.which("moto_server")


def require_sdk() -> None:
    """Skip without the SDK, which the server takes as well."""
    try:
        import boto3  # noqa: F401
    except ImportError:
        skip_without("boto3")


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """Yield a server that takes any credentials."""
    require_sdk()
    server = MotoServer(tmp_path_factory.mktemp("moto"))
    server.start()
    yield server
    server.stop()

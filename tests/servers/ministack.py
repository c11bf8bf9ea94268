"""ministack: SQS, SNS and STS, kept in a folder when it is told to end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers._server import Server, free_port, listens, skip_without
from tests.servers.moto import require_sdk


class MinistackServer(Server):
    """One server, on loopback.

    It writes what it holds when it ends, and not before: a restart ends it by SIGTERM.
    """

    def __init__(self, folder: Path) -> None:
        path = program()
        if path is None:
            skip_without("ministack")
        self.port = free_port()
        places = {"STATE_DIR": str(folder / "state"), "TMPDIR": str(folder), "HOME": str(folder)}
        settings = {"BIND_HOST": "127.0.0.1", "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port)}
        settings |= {"SERVICES": "sqs,sns,sts", "PERSIST_STATE": "1", "LOG_LEVEL": "ERROR", "PATH": os.environ["PATH"]}
        settings["MINISTACK_ACCOUNT_ID"] = "123456789012"  # as moto's
        super().__init__([path], folder, lambda: listens(self.port), {**places, **settings})

    def restart(self) -> None:
        """Have it end, and start it again."""
        self.stop()
        self.start()


def program() -> str | None:
    """Return the server's program, beside this interpreter or on the path."""
    return shutil.which("ministack", path=str(Path(sys.executable).parent)) or shutil.which("ministack")


@pytest.fixture(scope="session")
def ministack_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinistackServer]:
    """Yield a server, which takes any credentials."""
    require_sdk()
    server = MinistackServer(tmp_path_factory.mktemp("ministack"))
    server.start()
    yield server
    server.stop()

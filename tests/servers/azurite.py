"""Azurite: Blob storage with signatures that are checked, as npm's package of that name has it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers._server import Server, free_port, listens, skip_without

ACCOUNT, STORAGE_KEY = "symfedtests", "c3ltZmVkLWJsb2Itb2YtdGhlLXRlc3RzLTI4MDY="


class AzuriteServer(Server):
    """One storage account, on loopback, with what it stores in a folder."""

    def __init__(self, folder: Path) -> None:
        path = program()
        if path is None:
            skip_without("azurite (from npm)")
        self.port = free_port()
        command = [path, "--blobPort", str(self.port), "--location", str(folder), "--silent"]
        command += ["--disableTelemetry", "--skipApiVersionCheck", "--disableProductStyleUrl"]
        accounts = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{STORAGE_KEY}"}
        super().__init__(command, folder, lambda: listens(self.port), accounts)

    @property
    def connection_string(self) -> str:
        """What the official clients make a connection of."""
        return storage_string(self.port)


def storage_string(port: int, key: str = STORAGE_KEY) -> str:
    """Return what the official clients make a connection of."""
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={endpoint};"


def program() -> str | None:
    """Return the server's program, where `make test-all` puts it or on the path."""
    here = Path(sys.prefix) / "node" / "node_modules" / ".bin"
    return shutil.which("azurite-blob", path=str(here)) or shutil.which("azurite-blob")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzuriteServer]:
    """Yield a server."""
    server = AzuriteServer(tmp_path_factory.mktemp("azurite"))
    server.start()
    yield server
    server.stop()

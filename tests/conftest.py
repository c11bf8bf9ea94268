"""What every test has: repeatable examples, no network beyond this machine, and the shared data where present."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers._server import MISSING
from tests.servers.aws import aws_carrier  # noqa: F401 - a fixture
from tests.servers.azure import azure_carrier  # noqa: F401 - a fixture
from tests.servers.azurite import azurite  # noqa: F401 - a fixture
from tests.servers.ministack import ministack_server  # noqa: F401 - a fixture
from tests.servers.moto import moto_server  # noqa: F401 - a fixture
from tests.servers.nats import nats_carrier, nats_server, nats_user  # noqa: F401 - fixtures
from tests.servers.seaweedfs import seaweed_server  # noqa: F401 - a fixture
from tests.servers.servicebus import servicebus  # noqa: F401 - a fixture

collect_ignore_glob = ["servers/*.py"]  # hold no tests, and import what may not be installed

# CI asks whether this commit is right, hence the same examples each time; elsewhere each run looks at new ones.
_COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
}  # machines that run tests are slow, not the code
settings.register_profile("dev", **_COMMON)
settings.register_profile("ci", derandomize=True, database=None, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Report all tests that lack one server or SDK at one place, so that pytest folds them into one line."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[2].endswith(MISSING):
        report.longrepr = (str(Path(__file__).parent / "servers"), 1, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference data beside the project, which is not part of it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the shared reference data does not lie beside this checkout")
    return folder


def is_local(family: int, address: object) -> bool:
    """Tell whether connecting to `address` stays on this machine."""
    if family not in {socket.AF_INET, socket.AF_INET6}:
        return True
    host = address[0]
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""

    def guard(name: str):
        original = getattr(socket.socket, name)

        def connect(self: socket.socket, address: object):
            if not is_local(self.family, address):
                pytest.fail(f"a test tried to reach {address!r}; tests stay on loopback")
            return original(self, address)

        return connect

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guard(name))

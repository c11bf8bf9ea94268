"""What stands in for Azure: a broker for Service Bus and its administration, and azurite for Blob storage."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest

from tests.servers._server import Carrier
from tests.servers.azurite import ACCOUNT, AzuriteServer, storage_string
from tests.servers.servicebus import ServiceBusServer, connection_string


def variables_of(bus: ServiceBusServer, blob: AzuriteServer, port: int | None = None) -> Mapping[str, str]:
    """Return what the environment of a process holds that uses these servers; the broker by another port, if given."""
    return {
        "AZURE_SERVICEBUS_CONNECTION_STRING": connection_string(port or bus.port),
        "AZURE_STORAGE_CONNECTION_STRING": storage_string(blob.port),
        "REQUESTS_CA_BUNDLE": str(bus.authority),  # for administration, which is by TLS
    }


def new_url(port: int, federation: str | None = None) -> str:
    """Return the URL of a federation that nobody else uses; no test waits long for what does not come."""
    return f"azure://localhost:{port}/{federation or uuid.uuid4().hex[:20]}?blobs={ACCOUNT}/symfed-tests&wait=0.1"


@pytest.fixture
def azure_carrier(servicebus: ServiceBusServer, azurite: AzuriteServer, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    """Return a place for a federation there, and have this process know it, too."""
    variables = variables_of(servicebus, azurite)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Carrier(new_url(servicebus.port), variables)

"""A stand-in for Azure Service Bus, written for these tests: AMQP 1.0 as the official clients speak it, on loopback.

It is not Microsoft's, and shares no code with it. It is strict: whatever it does not do it refuses by an error, and
what a client has to get right on a real namespace it has to get right here (tokens that are signed, hold and name the
audience; locks that expire; sizes; names). It does: topics, queues, subscriptions with correlation filters, duplicate
detection, peek-lock and receive-and-delete, dead letters, time to live, batches, renewal, peeking. It does not: SQL
filters, sessions, transactions, scheduled and deferred messages, forwarding, partitions, `DefaultAzureCredential`'s
tokens, quotas, throttling, nor the seconds that a real namespace takes.

Both official clients, azure-servicebus and npm's @azure/service-bus, are tested against it in
`tests/federation/test_servicebus_broker.py`.

Owns how it is started: as a process, and as pytest's fixture. AMQP begins at `_servicebus_broker.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import pytest

from tests.servers._server import Server, free_port, listens, skip_without
from tests.servers._servicebus_entities import Namespace
from tests.servers._servicebus_store import Store

KEY_NAME, KEY = "RootManageSharedAccessKey", "c3ltZmVkLW9mLXRoZS10ZXN0cy1rZXktOTQ3MQ=="
MEMBER_NAME, MEMBER_KEY = "Member", "c3ltZmVkLW9mLWEtbWVtYmVyLWtleS0yODA2"  # may send and receive, and make nothing
ROOT = Path(__file__).parents[2]


def connection_string(port: int, key: str = KEY, name: str = KEY_NAME) -> str:
    """Return what the official clients make a connection of."""
    return (
        f"Endpoint=sb://localhost:{port};SharedAccessKeyName={name};SharedAccessKey={key};UseDevelopmentEmulator=true;"
    )


class ServiceBusServer(Server):
    """One namespace, which a file keeps, so that a restart finds its entities and messages again.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.connection_string = connection_string(self.port)
        command = [sys.executable, "-m", "tests.servers.servicebus", "--port", str(self.port), "--file", "bus.db"]
        super().__init__(command, folder, lambda: listens(self.port), {**os.environ, "PYTHONPATH": str(ROOT)})
        self._file = folder / "bus.db"
        self.authority = folder / "authority.pem"

    @cached_property
    def namespace(self) -> Namespace:
        """The namespace behind the broker's back: what is made or changed there, open links are not told of."""
        return Namespace(Store(self._file))

    def stop(self) -> None:
        """End it."""
        super().stop()
        self.namespace.store.close()


def require_sdk() -> None:
    """Skip without what the broker is made of, or the SDK."""
    for module, name in (("proton", "python-qpid-proton"), ("azure.servicebus", "azure-servicebus")):
        try:
            __import__(module)
        except ImportError:
            skip_without(name)


@pytest.fixture(scope="session")
def servicebus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceBusServer]:
    """Yield a namespace with a key that may do everything, and one of a member."""
    require_sdk()
    server = ServiceBusServer(tmp_path_factory.mktemp("servicebus"))
    server.start()
    yield server
    server.stop()


def main() -> None:
    """Serve a namespace until killed."""
    from tests.servers._servicebus_atom import Administration
    from tests.servers._servicebus_broker import Broker

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, help="keeps the namespace; in memory without")
    arguments = parser.parse_args()
    namespace = Namespace(Store(arguments.file))
    keys = {KEY_NAME: KEY}
    administration = Administration(namespace, keys, Path.cwd())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Broker(namespace, {**keys, MEMBER_NAME: MEMBER_KEY}, administration).serve(arguments.port))


if __name__ == "__main__":
    main()

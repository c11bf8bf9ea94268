"""Azure Service Bus keeps the contract of a transport: the official SDKs against a strict broker, and azurite.

Neither is Azure: nobody has run this on a real namespace yet (`tests/live_azure.py` does).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import time
from types import SimpleNamespace

import pytest

from sklearn_symfed.federation.transports._azure_names import place_of, token_of
from sklearn_symfed.federation.transports.azure import AzureTransport
from sklearn_symfed.testing import TransportTests
from tests.servers._slow import SlowWay
from tests.servers.azure import new_url, variables_of
from tests.servers.servicebus import KEY, connection_string

pytestmark = [
    pytest.mark.servers,
    # When a connection breaks, the SDK leaves its socket to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def hurry(monkeypatch):
    """Have the SDK take less time: it looks at a socket for 0.2 seconds each time, and ends a link after up to one."""
    from azure.servicebus import ServiceBusClient

    for name in ("get_subscription_receiver", "get_topic_sender"):
        opened = functools.partialmethod(getattr(ServiceBusClient, name), socket_timeout=0.02)
        monkeypatch.setattr(ServiceBusClient, name, opened)
    for module in ("_pyamqp.client", "_servicebus_receiver", "_servicebus_sender"):
        brief = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(seconds / 10)})
        monkeypatch.setattr(f"azure.servicebus.{module}.time", brief)


class TestAzure(TransportTests):
    back_end = "azure"
    patience = 1
    sizes = (204_799,)

    @pytest.fixture(autouse=True)
    def _place(self, servicebus, azurite, monkeypatch):
        self.bus, self.blob, self.monkeypatch = servicebus, azurite, monkeypatch
        hurry(monkeypatch)
        self.url = new_url(servicebus.port)
        self._point_to(servicebus.port)
        AzureTransport(self.url, "founder", create=True).close()
        yield
        gc.collect()

    def _point_to(self, port):
        for name, value in variables_of(self.bus, self.blob, port).items():
            self.monkeypatch.setenv(name, value)
        self.url = self.url.replace(self.url.partition("://")[2].partition("/")[0], f"localhost:{port}")

    def make(self, member):
        return AzureTransport(self.url, member, ack_deadline=1.0)

    @contextlib.contextmanager
    def with_wrong_credentials(self):
        wrong = KEY.replace("c3lt", "d3lt")
        with self.monkeypatch.context() as patch:
            patch.setenv("AZURE_SERVICEBUS_CONNECTION_STRING", connection_string(self.bus.port, wrong))
            yield wrong

    @contextlib.contextmanager
    def slowly(self):
        with SlowWay(self.bus.port, 0.01) as way:
            self._point_to(way.port)
            yield
            self._point_to(self.bus.port)

    def restart_server(self):
        self.bus.restart()

    def remove_inbox(self, member):
        from azure.servicebus.management import ServiceBusAdministrationClient

        place = place_of(self.url)
        with ServiceBusAdministrationClient.from_connection_string(self.bus.connection_string) as client:
            client.delete_subscription(place.topic, place.inbox(token_of(member)))

    def poison(self, member):
        from azure.servicebus import ServiceBusClient, ServiceBusMessage

        with (
            ServiceBusClient.from_connection_string(self.bus.connection_string) as client,
            client.get_topic_sender(place_of(self.url).topic) as sender,
        ):
            sender.send_messages(ServiceBusMessage("no frame", to=token_of(member)))

"""Azure Service Bus keeps the contract of a transport: the official SDKs against a strict broker, and azurite.

Neither is Azure: nobody has run this on a real namespace yet (`tests/live_azure.py` does).
"""

from __future__ import annotations

import contextlib
import traceback

import pytest

from sklearn_symfed.exceptions import FederationError, SettingError, TransportError
from sklearn_symfed.federation.transports import _claim_check, open_transport
from sklearn_symfed.federation.transports._azure_names import member_of, place_of, token_of
from sklearn_symfed.federation.transports.azure import AzureTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain
from tests.servers._slow import SlowWay
from tests.servers.azure import new_url, variables_of
from tests.servers.azurite import STORAGE_KEY, storage_string
from tests.servers.servicebus import KEY, connection_string

pytestmark = pytest.mark.servers


class TestAzure(TransportTests):
    back_end = "azure"
    patience = 1
    sizes = (204_799,)

    @pytest.fixture(autouse=True)
    def _place(self, servicebus, azurite, monkeypatch):
        self.bus, self.blob, self.monkeypatch = servicebus, azurite, monkeypatch
        # What the SDK takes for one look at its socket: it looks twice for each message, and four times for each link.
        monkeypatch.setattr("azure.servicebus._pyamqp._connection.SOCKET_TIMEOUT", 0.02)
        self.url = new_url(servicebus.port)
        self._point_to(servicebus.port)
        AzureTransport(self.url, "founder", create=True).close()

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
        place = place_of(self.url)
        self.administration().delete_subscription(place.topic, place.inbox(token_of(member)))

    def poison(self, member):
        from azure.servicebus import ServiceBusClient, ServiceBusMessage

        with (
            ServiceBusClient.from_connection_string(self.bus.connection_string) as client,
            client.get_topic_sender(place_of(self.url).topic) as sender,
        ):
            sender.send_messages(ServiceBusMessage("no frame", to=token_of(member)))

    def administration(self):
        from azure.servicebus.management import ServiceBusAdministrationClient

        return ServiceBusAdministrationClient.from_connection_string(self.bus.connection_string)

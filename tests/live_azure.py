"""A run on a real namespace of Azure Service Bus, where rights are enforced: by hand, never in CI.

    export SYMFED_AZURE_LIVE='azure://acme.servicebus.windows.net/symfed-live?blobs=acmeblobs/symfed-live'
    export SYMFED_AZURE_LIVE_MEMBER='Endpoint=sb://acme.servicebus.windows.net/;...'
    python -m pytest -p no:xdist tests/live_azure.py

Credentials are those of the environment, as `docs/transports.md` has them, and may do everything in the namespace and
the storage account; the connection string of a member, if there is one, has the rights Listen and Send, and no more.
What is made there is removed.
"""

from __future__ import annotations

import contextlib
import os
import time

import pytest

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports._azure_blob import Container
from sklearn_symfed.federation.transports._azure_names import place_of, token_of
from sklearn_symfed.federation.transports.azure import AzureTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain

URL = os.environ.get("SYMFED_AZURE_LIVE", "")
MEMBER = os.environ.get("SYMFED_AZURE_LIVE_MEMBER", "")
BUS = "AZURE_SERVICEBUS_CONNECTION_STRING"

pytestmark = [
    pytest.mark.skipif(not URL, reason="SYMFED_AZURE_LIVE names no federation in a real namespace"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def _loopback_only():
    """Let these tests leave this machine."""


@pytest.fixture(scope="module", autouse=True)
def _kept():
    """Keep the container until the end: Blob storage does not make one anew at once."""
    with AzureTransport(URL, "a", create=True) as a:
        Container(a._session).put("a/kept/0", b"something")
    yield
    AzureTransport.teardown(URL)


class TestLive(TransportTests):
    """The contract, each test in a federation of its own."""

    patience = 2
    sizes = (204_799,)
    skips = {  # noqa: RUF012 - a property of the base
        "restart_server": "nobody restarts Azure",
        "slowly": "nothing stands between",
    }

    @pytest.fixture(autouse=True)
    def _place(self, monkeypatch):
        self.monkeypatch = monkeypatch
        federation = f"live-{time.time_ns() // 10**6:x}"
        self.url = URL.replace(f"/{place_of(URL).federation}?", f"/{federation}?")
        AzureTransport(self.url, "founder", create=True).close()
        yield
        AzureTransport.teardown(self.url)

    def make(self, member):
        return AzureTransport(self.url, member, ack_deadline=5.0)

    @contextlib.contextmanager
    def with_wrong_credentials(self):
        wrong = "bm90LXRoZS1zZWNyZXQ="
        endpoint = f"Endpoint=sb://{place_of(self.url).namespace}/"
        emulator = "UseDevelopmentEmulator=true" if "localhost" in endpoint else ""
        with self.monkeypatch.context() as patch:
            patch.setenv(BUS, f"{endpoint};SharedAccessKeyName=nobody;SharedAccessKey={wrong};{emulator}")
            yield wrong

    def remove_inbox(self, member):
        with self.make("remover") as end:
            end._places.remove_inbox(token_of(member))

    def poison(self, member):
        with self.make("poisoner") as end:
            end._send(token_of(member), b"\7no frame")


@pytest.mark.skipif(not MEMBER, reason="SYMFED_AZURE_LIVE_MEMBER is no connection string of a member")
def test_the_least_rights_of_a_member_are_enough_and_enforced(monkeypatch):
    """With the rights Listen and Send a member does all that it is to, and nothing else."""
    with AzureTransport(URL, "a") as a:
        a.prepare("b")
        monkeypatch.setenv(BUS, MEMBER)
        with AzureTransport(URL, "b") as b:
            for data in (b"small", b"large" * 50_000):
                for sender, reader, to in ((a, b, None), (b, a, None), (a, b, "b"), (b, a, "a")):
                    sender.publish(data, to)
                    assert drain(reader, patience=5) == [data]
            assert b.dead_letters == 0
            for forbidden in (lambda: b.discard("a"), lambda: b.prepare("c"), lambda: AzureTransport.teardown(URL)):
                with pytest.raises(TransportError, match=r"no right to|credentials that Azure does not take"):
                    forbidden()

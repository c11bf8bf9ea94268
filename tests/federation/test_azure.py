"""Azure Service Bus keeps the contract of a transport: the official SDKs against a strict broker, and azurite.

Neither is Azure: nobody has run this on a real namespace yet (`tests/live_azure.py` does).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import re
import time
from types import SimpleNamespace

import pytest

from sklearn_symfed.exceptions import SettingError, TransportError
from sklearn_symfed.federation.transports import _claim_check, open_transport
from sklearn_symfed.federation.transports._azure_names import place_of, token_of
from sklearn_symfed.federation.transports.azure import AzureTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain
from tests.servers._servicebus_entities import Correlation, Rule
from tests.servers._slow import SlowWay
from tests.servers.azure import new_url, variables_of
from tests.servers.azurite import STORAGE_KEY, storage_string
from tests.servers.servicebus import KEY, MEMBER_KEY, MEMBER_NAME, connection_string

BUS = "AZURE_SERVICEBUS_CONNECTION_STRING"

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


# -- who may do what -------------------------------------------------------------------------------------------------


@pytest.fixture
def carrier(azure_carrier, monkeypatch):
    """Return a place for a federation, founded by a."""
    hurry(monkeypatch)
    AzureTransport(azure_carrier.url, "a", create=True).close()
    yield azure_carrier
    gc.collect()


@pytest.fixture
def as_member(servicebus, monkeypatch):
    """Have what opens next be somebody who may send and receive, and make nothing."""
    monkeypatch.setenv(BUS, connection_string(servicebus.port, MEMBER_KEY, MEMBER_NAME))


@pytest.mark.parametrize("of_the_topic", [False, True])
def test_a_member_needs_no_right_to_make_anything(carrier, servicebus, monkeypatch, of_the_topic):
    """Who was invited reads and writes by its own key, of namespace or topic; who was not learns who can help."""
    with AzureTransport(carrier.url, "a") as a:
        assert a.existed
        a.prepare("b")
        entity = f"EntityPath={place_of(carrier.url).topic};" if of_the_topic else ""
        monkeypatch.setenv(BUS, connection_string(servicebus.port, MEMBER_KEY, MEMBER_NAME) + entity)
        with AzureTransport(carrier.url, "b") as b, AzureTransport(carrier.url, "c") as c:
            assert b.existed is None
            for data in (b"small", b"large" * 50_000):
                for sender, reader, to in ((a, b, None), (b, a, None), (a, b, "b"), (b, a, "a")):
                    sender.publish(data, to)
                    assert drain(reader, patience=1) == [data]
            assert b.dead_letters == 0
            for forbidden in (lambda: b.prepare("c"), lambda: b.discard("a")):
                with pytest.raises(TransportError, match="credentials that Azure does not take"):
                    forbidden()
            with pytest.raises(TransportError, match=r"Got no inbox of 'c' .*invites this member again"):
                c.receive()


@pytest.mark.usefixtures("as_member")
def test_what_an_operator_declared_is_used_as_it_is(servicebus, azurite, monkeypatch):
    """A topic and subscriptions that were made by other means than ours serve members that may make nothing."""
    hurry(monkeypatch)
    url = new_url(servicebus.port)
    place, there = place_of(url), servicebus.namespace
    there.create_topic(place.topic)
    for name in "ab":
        rule = Rule("$Default", Correlation(to=name))
        there.create_subscription(place.topic, place.inbox(name), rule=rule)
        there.create_rule(place.topic, place.inbox(name), Rule("everybody", Correlation(to="*")))
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(servicebus.authority))
    with AzureTransport(url, "a") as a, AzureTransport(url, "b") as b:
        a.publish(b"to all")
        a.publish(b"to b", "b")
        b.publish(b"to a", "a")
        assert drain(b, patience=1) == [b"to all", b"to b"]
        assert drain(a, patience=1) == [b"to a"]


# -- messages --------------------------------------------------------------------------------------------------------


def test_what_the_sdk_sends_again_comes_once(carrier):
    """A topic drops a message that it has already, by its id."""
    from azure.servicebus import ServiceBusMessage

    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "b") as b:
        for _ in range(2):
            a._sender.send_messages(ServiceBusMessage(b"\0x", message_id="the same", to="b"))
        assert [delivery.data for delivery in b.receive()] == [b"x"]


def test_links_stay_open(carrier, monkeypatch):
    """Opening a link takes a second at Azure: an end opens three, whatever it does, and the third when it is asked."""
    from azure.servicebus import ServiceBusClient

    opened = []

    def counted(opening, client, *names, **settings):
        opened.append(names)
        return opening(client, *names, **settings)

    for name in ("get_subscription_receiver", "get_topic_sender"):
        opening = getattr(ServiceBusClient, name)
        monkeypatch.setattr(ServiceBusClient, name, functools.partialmethod(functools.partial(counted, opening)))
    place = place_of(carrier.url)
    with AzureTransport(carrier.url, "a") as a:
        for _ in range(3):
            a.publish(b"x")
            assert drain(a, patience=1) == []
        assert opened == [(place.topic, place.inbox("a")), (place.topic,)]
        assert (a.dead_letters, a.dead_letters) == (0, 0)
    assert len(opened) == 3


def test_what_came_before_the_rules_were_set_is_passed_over(carrier, servicebus):
    """A message to somebody else that the rule of a new subscription let in is taken out, and not read."""
    place = place_of(carrier.url)
    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "b") as b:
        servicebus.namespace.create_rule(place.topic, place.inbox("b"), Rule("$Default"))
        a.publish(b"to c", "c")
        a.publish(b"to b", "b")
        assert drain(b, patience=1) == [b"to b"]
        assert servicebus.namespace.counts(f"{place.topic}/Subscriptions/{place.inbox('b')}").active == 0
        a.prepare("b")
        assert {rule.name for rule in servicebus.namespace.rules(place.topic, place.inbox("b"))} == {
            "to_all",
            "to_member",
        }


def test_superseded_blobs_are_removed(carrier, azurite, monkeypatch):
    """Of the large messages of one sender for all, those that have been superseded for long do not lie there."""
    from azure.storage.blob import ContainerClient

    now, data = [1e9], b"large" * 50_000
    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "b") as b:
        a._claims._clock = lambda: now[0]
        for number in range(3):
            a.publish(data + bytes([number]))
            now[0] += _claim_check.KEPT + 1
        a.publish(b"to b" + data, "b")
        assert drain(b, patience=1) == [data + b"\2", b"to b" + data]
    place = place_of(carrier.url)
    with ContainerClient.from_connection_string(azurite.connection_string, place.container) as container:
        assert len(list(container.list_blob_names(name_starts_with=place.blobs))) == 1


def test_dead_letters_are_counted_once(carrier):
    """Each look counts what came since the one before; a new end counts all."""
    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "b") as b:
        for number in range(1, 4):
            a._send("b", b"\7")
            assert drain(b, patience=1) == []
            assert (b.dead_letters, b.dead_letters) == (number, number)
    with AzureTransport(carrier.url, "b") as b:
        assert b.dead_letters == 3


def test_a_lock_is_renewed_while_a_message_is_taken_in(carrier, monkeypatch):
    """What is extended does not come again when its first lock ends."""
    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "c", ack_deadline=1.0) as c:
        a.publish(b"x", "c")
        deliveries = c.receive()
        first = c._held[deliveries[0].receipt][0].locked_until_utc
        monkeypatch.setattr(c, "_granted", c._granted - 1.0)
        c.extend(deliveries)
        assert c._held[deliveries[0].receipt][0].locked_until_utc > first
        c.ack(deliveries[0])
        assert c.receive() == []


def test_a_lost_lock_is_no_error(carrier):
    """What was acknowledged too late comes again, and no error is made of that."""
    with AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "c", ack_deadline=0.5) as c:
        a.publish(b"x", "c")
        (delivery,) = c.receive()
        time.sleep(0.6)
        c.ack(delivery)
        assert drain(c, patience=1) == [b"x"]


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_credentials_of_another_place_are_refused(carrier, azurite, monkeypatch):
    """A connection string of another namespace or account is told apart before anything is sent; none is quoted."""
    with monkeypatch.context() as patch:
        patch.setenv(BUS, connection_string(1))
        with pytest.raises(SettingError, match="of the namespace 'localhost:1', but expected") as e:
            open_transport(carrier.url, "a")
        assert KEY not in str(e.value)
        patch.setenv(BUS, KEY)
        with pytest.raises(SettingError, match="no connection string of Service Bus") as e:
            open_transport(carrier.url, "a")
        assert KEY not in str(e.value)
    other = carrier.url.replace("blobs=", "blobs=not")
    with AzureTransport(other, "a") as a, pytest.raises(SettingError, match="of the account 'symfedtests', but"):
        a.publish(b"large" * 50_000)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", storage_string(azurite.port, "bm90LXRoZS1zZWNyZXQ="))
    with AzureTransport(carrier.url, "a") as a, pytest.raises(TransportError, match="no right to") as e:
        a.publish(b"a payload" * 30_000)
    assert "bm90LXRoZS1zZWNyZXQ=" not in str(e.value)


def test_no_credentials_and_no_server(carrier, monkeypatch):
    """Without credentials and without a server the error says which it is."""
    monkeypatch.setenv(BUS, connection_string(1))
    with pytest.raises(TransportError, match="no connection"):
        open_transport(re.sub(r"localhost:\d+", "localhost:1", carrier.url), "a")
    monkeypatch.delenv(BUS)
    from azure.identity import EnvironmentCredential  # of the chain that is usual, what asks nobody else

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", EnvironmentCredential)
    with pytest.raises(TransportError, match="neither a connection string nor what Default"):
        open_transport(carrier.url, "a")


def test_no_error_and_no_log_tells_a_secret(carrier, caplog):
    """Neither ours nor the SDKs' logs tell a payload or a key, down to the least of them."""
    with caplog.at_level(logging.DEBUG), AzureTransport(carrier.url, "a") as a, AzureTransport(carrier.url, "b") as b:
        a._send("b", b"!secret payload!")
        a.publish(b"secret payload", "b")
        a.publish(b"secret payload" * 20_000, "b")
        assert len(drain(b, patience=1)) == 2
        assert b.dead_letters == 1
        for told in (caplog.text, repr(a), repr(vars(a)), repr(a._session)):
            assert not any(secret in told for secret in ("secret payload", KEY, STORAGE_KEY, "SharedAccessSignature"))
    assert "'b' set a message aside" in caplog.text

"""The broker that stands in for Azure Service Bus does what both official clients, Python's and npm's, ask of it."""

from __future__ import annotations

import contextlib
import gc
import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from tests.servers._server import skip_without
from tests.servers._servicebus_entities import (
    Correlation,
    Exists,
    Invalid,
    Namespace,
    NotFound,
    Rule,
    Settings,
    subscription_path,
)
from tests.servers._servicebus_messages import LockLost, Messages, Sent
from tests.servers._servicebus_store import Store
from tests.servers._servicebus_tokens import signature
from tests.servers.servicebus import KEY, KEY_NAME, ServiceBusServer, connection_string

# When its connection breaks, azure-servicebus leaves a socket to the garbage collector.
pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

CLIENT = Path(__file__).parents[1] / "servers" / "servicebus_client.mjs"
NODE_FOLDER = Path(sys.prefix) / "node"
BRIEF, LONG = timedelta(seconds=1), timedelta(minutes=5)


class Place:
    """A topic that no other test uses, and the ends that a test opens there."""

    def __init__(self, server: ServiceBusServer) -> None:
        from azure.servicebus import ServiceBusClient

        self.server, self.topic = server, f"topic-{uuid.uuid4().hex}"
        self.inbox = subscription_path(self.topic, "inbox")
        self.client = ServiceBusClient.from_connection_string(server.connection_string, retry_total=0)

    def make(self, lock: timedelta = LONG, *rules: Rule, **settings: Any) -> None:
        """Make the topic, with duplicate detection, and its subscription."""
        namespace = self.server.namespace
        namespace.create_topic(self.topic, Settings(duplicate_detection=True))
        settings = {"lock_duration": lock, "max_delivery_count": 3, **settings}
        namespace.create_subscription(self.topic, "inbox", Settings(**settings), *rules[:1])
        for rule in rules[1:]:
            namespace.create_rule(self.topic, "inbox", rule)

    @property
    def sender(self):
        return self.client.get_topic_sender(self.topic)

    def receiver(self, name: str = "inbox", **options: Any):
        return self.client.get_subscription_receiver(self.topic, name, **options)

    @property
    def waits(self) -> tuple[int, int]:
        """How many messages wait, and how many dead letters."""
        counts = self.server.namespace.counts(self.inbox)
        return counts.active, counts.dead_letters


@pytest.fixture
def place(servicebus: ServiceBusServer) -> Iterator[Place]:
    """Yield a place of this test's own."""
    place = Place(servicebus)
    yield place
    place.client.close()
    gc.collect()  # while warnings of its sockets are ignored


def messages(*names: str, **fields: Any):
    """Return messages with these bodies and ids."""
    from azure.servicebus import ServiceBusMessage

    return [ServiceBusMessage(name.encode(), message_id=name, **fields) for name in names]


def receive(receiver, most: int = 1):
    """Return as many messages, however long they take."""
    found = []
    while len(found) < most:
        found += receiver.receive_messages(most - len(found), max_wait_time=30)
    return found


def bodies(found) -> list[bytes]:
    return [b"".join(message.body) for message in found]


# -- azure-servicebus --------------------------------------------------------------------------------------------------


def test_a_message_arrives_as_it_was_sent(place):
    """Body, fields, properties and time to live come through, with the broker's own annotations beside them."""
    from azure.servicebus import ServiceBusMessage

    place.make()
    properties = {"text": "é", "number": 7, "flag": True}
    sent = ServiceBusMessage(
        bytes(range(256)),
        message_id="m",
        correlation_id="c",
        subject="s",
        to="t",
        reply_to="r",
        content_type="x/y",
        time_to_live=timedelta(minutes=1),
        application_properties=properties,
    )
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    place.sender.send_messages(sent)
    (found,) = receive(place.receiver())
    assert bodies([found]) == [bytes(range(256))]
    assert (found.message_id, found.correlation_id, found.subject, found.to) == ("m", "c", "s", "t")
    assert (found.reply_to, found.content_type, found.time_to_live) == ("r", "x/y", timedelta(minutes=1))
    assert found.application_properties == {b"text": "é".encode(), b"number": 7, b"flag": True}
    assert isinstance(found.lock_token, uuid.UUID)
    assert found.delivery_count == 0
    assert before <= found.enqueued_time_utc <= datetime.now(UTC) < found.locked_until_utc


def test_a_batch_is_split(place):
    """What was sent at once arrives as single messages, in order, with rising sequence numbers."""
    place.make()
    sender = place.sender
    batch = sender.create_message_batch()
    for message in messages("a", "b", "c"):
        batch.add_message(message)
    sender.send_messages(batch)
    found = receive(place.receiver(), 3)
    assert bodies(found) == [b"a", b"b", b"c"]
    assert sorted({message.sequence_number for message in found}) == [message.sequence_number for message in found]
    assert [message.message_id for message in found] == ["a", "b", "c"]


def test_a_completed_message_is_gone(place):
    """Complete removes one message and leaves the others."""
    place.make()
    place.sender.send_messages(messages("a", "b"))
    receiver = place.receiver()
    receiver.complete_message(receive(receiver)[0])
    assert bodies(receive(receiver)) == [b"b"]
    assert place.waits == (1, 0)


def test_an_abandoned_message_comes_again_until_it_is_a_dead_letter(place):
    """Each abandon counts, and the last that is allowed makes a dead letter of the message."""
    place.make()
    place.sender.send_messages(messages("a"))
    receiver = place.receiver()
    for count in range(3):
        (found,) = receive(receiver)
        assert found.delivery_count == count
        receiver.abandon_message(found)
    assert place.waits == (0, 1)
    (dead,) = receive(place.receiver(sub_queue="deadletter"))
    assert (dead.dead_letter_reason, bodies([dead])) == ("MaxDeliveryCountExceeded", [b"a"])


def test_a_dead_letter_says_why(place):
    """Reason, description and source are on it, beside what the application had said; completed, it is gone."""
    place.make()
    place.sender.send_messages(messages("a", application_properties={"mine": 1}))
    receiver = place.receiver()
    receiver.dead_letter_message(receive(receiver)[0], reason="why", error_description="because")
    assert place.waits == (0, 1)
    dead_letters = place.receiver(sub_queue="deadletter")
    (dead,) = receive(dead_letters)
    assert (dead.dead_letter_reason, dead.dead_letter_error_description) == ("why", "because")
    assert dead.dead_letter_source == place.inbox
    assert dead.application_properties[b"mine"] == 1
    dead_letters.complete_message(dead)
    assert place.waits == (0, 0)


def test_a_lock_that_expires_is_lost(place):
    """The message comes again, counted, under another lock; the old one settles nothing any more."""
    from azure.servicebus.exceptions import MessageLockLostError

    place.make(BRIEF)
    place.sender.send_messages(messages("a"))
    receiver = place.receiver()
    (first,) = receive(receiver)
    (again,) = receive(place.receiver())
    assert (first.delivery_count, again.delivery_count) == (0, 1)
    assert first.lock_token != again.lock_token
    for settle in (receiver.complete_message, receiver.abandon_message, receiver.renew_message_lock):
        with pytest.raises(MessageLockLostError):
            settle(first)
    assert place.waits == (1, 0)


def test_a_renewed_lock_ends_later(place):
    """Renewal returns a later end, by which the message can still be completed."""
    place.make()
    place.sender.send_messages(messages("a"))
    receiver = place.receiver()
    (found,) = receive(receiver)
    before = found.locked_until_utc
    assert receiver.renew_message_lock(found) > before
    receiver.complete_message(found)
    assert place.waits == (0, 0)


def test_peeking_lends_nothing(place):
    """A peek shows messages from a sequence number on, locked or not, and takes none."""
    place.make()
    place.sender.send_messages(messages("a", "b", "c"))
    receiver = place.receiver()
    (locked,) = receive(receiver)
    peeked = receiver.peek_messages(10, sequence_number=1)
    assert bodies(peeked) == [b"a", b"b", b"c"]
    assert bodies(receiver.peek_messages(1, sequence_number=peeked[1].sequence_number)) == [b"b"]
    assert receiver.peek_messages(10, sequence_number=peeked[2].sequence_number + 1) == []
    receiver.complete_message(locked)
    assert bodies(receive(receiver, 2)) == [b"b", b"c"]


def test_a_message_received_and_deleted_is_gone(place):
    """Without a lock, receiving is all there is."""
    place.make()
    place.sender.send_messages(messages("a"))
    assert bodies(receive(place.receiver(receive_mode="receiveanddelete"))) == [b"a"]
    assert place.waits == (0, 0)


def test_a_second_message_of_one_id_is_dropped(place):
    """Duplicates are taken, and go nowhere, within one batch, too, and after the first was completed."""
    place.make()
    sender, receiver = place.sender, place.receiver()
    sender.send_messages(messages("a", "a"))
    receiver.complete_message(receive(receiver)[0])
    sender.send_messages(messages("a"))
    sender.send_messages(messages("b"))
    assert bodies(receive(receiver)) == [b"b"]
    assert place.waits == (1, 0)


def test_a_filter_chooses(place):
    """A subscription takes what one of its rules lets pass, once, and nothing else."""
    to = Rule("to", Correlation(to="me"))
    both = Rule("both", Correlation(label="news", properties={"number": 7}))
    place.make(LONG, to, both)
    sender = place.sender
    sender.send_messages(messages("no-1") + messages("no-2", to="other") + messages("no-3", subject="news"))
    sender.send_messages(messages("no-4", subject="news", application_properties={"number": 8}))
    sender.send_messages(messages("a", to="me") + messages("b", subject="news", application_properties={"number": 7}))
    sender.send_messages(messages("c", to="me", subject="news", application_properties={"number": 7}))
    assert bodies(receive(place.receiver(), 3)) == [b"a", b"b", b"c"]
    assert place.waits == (3, 0)


def test_a_message_of_the_largest_size_passes_and_a_larger_one_does_not(place):
    """The limit is 256 KiB, fields included, for one message and for a batch, and the link announces it."""
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.exceptions import MessageSizeExceededError

    place.make()
    sender = place.sender
    largest = ServiceBusMessage(bytes(256 * 1024 - 128), message_id="largest")
    sender.send_messages(largest)
    assert bodies(receive(place.receiver())) == bodies([largest])
    for body in (bytes(256 * 1024), bytes(2**20)):
        with pytest.raises(MessageSizeExceededError):
            sender.send_messages(ServiceBusMessage(body))
    assert sender.create_message_batch().max_size_in_bytes == 256 * 1024
    assert place.waits == (1, 0)


def test_there_is_nothing_at_an_unknown_entity(place):
    """Neither a receiver nor a sender gets a link to it; a topic cannot be received from."""
    from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError

    place.make()
    for receiver in (place.receiver("nobody"), place.client.get_queue_receiver(place.topic)):
        with pytest.raises(MessagingEntityNotFoundError):
            receiver.receive_messages(max_wait_time=30)
    # A send may overtake the refusal of its link, which the client then calls an unknown error.
    with pytest.raises(ServiceBusError, match=r"unknown-error|not-found"):
        place.client.get_topic_sender("nobody").send_messages(messages("a"))


@pytest.mark.parametrize("fault", ["key", "name", "expired", "elsewhere"])
def test_a_token_must_be_signed_hold_and_name_the_place(place, fault):
    """Another key, an unknown name, a time that is over, and another entity's token are refused alike."""
    from azure.servicebus import ServiceBusClient
    from azure.servicebus.exceptions import ServiceBusAuthenticationError

    place.make()
    port, now = place.server.port, int(time.time())
    url = f"sb://localhost:{port}/{place.topic}"
    tokens = {
        "name": signature(url, "Nobody", KEY, now + 600),
        "expired": signature(url, KEY_NAME, KEY, now - 1),
        "elsewhere": signature(url + "-2", KEY_NAME, KEY, now + 600),
    }
    start = f"Endpoint=sb://localhost:{port};UseDevelopmentEmulator=true;SharedAccessSignature="
    string = connection_string(port, KEY[::-1]) if fault == "key" else start + tokens[fault]
    client = ServiceBusClient.from_connection_string(string, retry_total=0)
    with client, pytest.raises(ServiceBusAuthenticationError):
        client.get_topic_sender(place.topic).send_messages(messages("a"))
    assert place.waits == (0, 0)


def test_a_message_outlives_the_broker(place):
    """A killed broker has what it had accepted when it starts again, locks and counts included."""
    place.make()
    place.sender.send_messages(messages("a", "b"))
    receiver = place.receiver()
    receiver.abandon_message(receive(receiver)[0])
    (locked,) = receive(receiver)
    place.server.restart()
    with Place(place.server).client as client:
        again = client.get_subscription_receiver(place.topic, "inbox")
        (found,) = receive(again)
        assert (locked.delivery_count, bodies([locked]), bodies([found])) == (1, [b"a"], [b"b"])
        assert bodies(again.peek_messages(10, sequence_number=1)) == [b"a", b"b"]


def test_what_the_broker_cannot_do_it_refuses(place):
    """Messages for later, sessions and deferring end in an error, not in silence."""
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.exceptions import ServiceBusError

    place.make()
    later = ServiceBusMessage(b"later", scheduled_enqueue_time_utc=datetime.now(UTC) + LONG)
    with pytest.raises(ServiceBusError, match="amqp:not-implemented"):
        place.sender.send_messages(later)
    with pytest.raises(ServiceBusError):
        place.receiver(session_id="s").receive_messages(max_wait_time=30)
    place.sender.send_messages(messages("a"))
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        assert wire.settle(wire.lock(place.inbox), "MODIFIED", undeliverable=True)[1] == "amqp:not-implemented"
    assert place.waits == (1, 0)


# -- the protocol, by proton's own client ------------------------------------------------------------------------------


class Wire:
    """A connection by proton's own client, for what the official ones hide."""

    def __init__(self, server: ServiceBusServer, heartbeat: float | None = None) -> None:
        from proton.utils import BlockingConnection

        self.server = server
        self.connection = BlockingConnection(
            f"127.0.0.1:{server.port}", timeout=30, heartbeat=heartbeat, allowed_mechs="ANONYMOUS"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def ask(self, address: str, body: object, request_id: object = "1", **properties: object):
        """Return what a request is answered with."""
        from proton import Message

        receiver, sender = self.connection.create_receiver(address), self.connection.create_sender(address)
        asked = {name.replace("_", "-"): value for name, value in properties.items()}
        sender.send(Message(id=request_id, properties=asked, body=body))
        answer = receiver.receive()
        for link in (receiver, sender):
            link.close()
        return answer

    def put_token(self, path: str, seconds: int = 600, request_id: object = "1"):
        """Put a good token for a path."""
        url = f"sb://localhost:{self.server.port}/{path}"
        token = signature(url, KEY_NAME, KEY, int(time.time()) + seconds)
        kind = "servicebus.windows.net:sastoken"
        return self.ask("$cbs", token, request_id, operation="put-token", type=kind, name=url)

    def receiver(self, path: str, credit: int = 1):
        """Open a link whose every outcome the broker has to answer."""
        from proton import Link
        from proton.reactor import LinkOption

        class Second(LinkOption):
            def apply(self, link):
                link.snd_settle_mode, link.rcv_settle_mode = Link.SND_UNSETTLED, Link.RCV_SECOND

        return self.connection.create_receiver(path, credit=credit, options=Second(), name=uuid.uuid4().hex)

    def refusal(self, link) -> str:
        """Wait until the broker detaches a link that it has attached, and return how it calls the reason."""
        from proton.utils import LinkDetached

        with pytest.raises(LinkDetached) as refused:
            self.connection.wait(lambda: False)
        link.link.close()
        return refused.value.condition

    def lock(self, path: str):
        """Receive one message on a link of its own, and return its delivery."""
        receiver = self.receiver(path)
        receiver.receive()
        return receiver.fetcher.unsettled[0]

    def settle(self, delivery, outcome: str, *, failed: bool = False, undeliverable: bool = False):
        """Ask for an outcome; return the one that the broker settles with, and the name of its error."""
        from proton import Delivery

        delivery.local.failed, delivery.local.undeliverable = failed, undeliverable
        delivery.update(getattr(Delivery, outcome))
        self.connection.wait(lambda: delivery.settled)
        condition = delivery.remote.condition
        answered = delivery.remote_state, None if condition is None else condition.name
        delivery.settle()
        return answered


@pytest.mark.parametrize("request_id", ["text", uuid.UUID(int=7), 7], ids=["str", "UUID", "ulong"])
def test_a_token_is_answered_under_the_same_id(servicebus, request_id):
    """The answer carries the request's id, with its type, and an int as the status."""
    from proton import int32

    with Wire(servicebus) as wire:
        answer = wire.put_token("anything", request_id=request_id)
        assert (answer.correlation_id, type(answer.correlation_id)) == (request_id, type(request_id))
        status = answer.properties["status-code"]
        assert (status, type(status)) == (202, int32)
        refused = wire.ask("$cbs", "nonsense", operation="put-token", type="jwt", name="sb://localhost/anything")
        assert (refused.properties["status-code"], type(refused.properties["status-code"])) == (401, int32)


def test_no_link_without_a_token_for_its_address(place):
    """A token opens what it names and what lies below, and nothing else; links of requests are no exception."""
    place.make()
    with Wire(place.server) as wire:
        for open_link in (wire.connection.create_sender, wire.receiver):
            assert wire.refusal(open_link(place.topic)) == "amqp:unauthorized-access"
        wire.put_token(place.inbox)
        for path in (place.topic, f"{place.topic}/$management", place.inbox[:-1]):
            assert wire.refusal(wire.receiver(path)) == "amqp:unauthorized-access"
        for path in (place.inbox, f"amqps://localhost:{place.server.port}/{place.inbox}/$DeadLetterQueue"):
            wire.receiver(path).close()


def test_a_link_ends_with_its_token(place):
    """Who does not put another token in time is detached."""
    place.make()
    with Wire(place.server) as wire:
        wire.put_token(place.topic, seconds=2)
        assert wire.refusal(wire.receiver(place.inbox)) == "amqp:unauthorized-access"


def test_a_link_has_the_modes_that_were_asked_for_and_a_limit(place):
    """Settling second is granted, and the size limit announced."""
    from proton import Link

    place.make()
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        receiver, sender = wire.receiver(place.inbox), wire.connection.create_sender(place.topic)
        assert receiver.link.remote_rcv_settle_mode == Link.RCV_SECOND
        assert sender.link.remote_max_message_size == 256 * 1024


@pytest.mark.parametrize(
    ("outcome", "count"), [("ACCEPTED", None), ("RELEASED", 0), ("MODIFIED", 1), ("REJECTED", None)]
)
def test_each_outcome_is_answered_by_a_settled_one(place, outcome, count):
    """Accepted completes, released requeues without a count, modified with one, rejected makes a dead letter."""
    from proton import Delivery

    place.make()
    place.sender.send_messages(messages("a"))
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        receiver = wire.receiver(place.inbox)
        receiver.receive()
        answered = wire.settle(receiver.fetcher.unsettled[0], outcome, failed=outcome == "MODIFIED")
        assert answered == (getattr(Delivery, outcome), None)
        assert place.waits == {"ACCEPTED": (0, 0), "REJECTED": (0, 1)}.get(outcome, (1, 0))
        if count is not None:
            assert receiver.receive().delivery_count == count


def test_an_expired_lock_settles_nothing_on_its_link_either(place):
    """The outcome is a rejection that says so, whatever a client's own clock has told it before."""
    from proton import Delivery

    place.make(BRIEF)
    place.sender.send_messages(messages("a"))
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        first = wire.lock(place.inbox)
        wire.lock(place.inbox)
        answered = wire.settle(first, "ACCEPTED")
        assert answered == (Delivery.REJECTED, "com.microsoft:message-lock-lost")
    assert place.waits == (1, 0)


def test_a_link_that_drains_gets_its_credit_back(place):
    """What there is is delivered, and the rest of the credit returned at once."""
    place.make()
    place.sender.send_messages(messages("a", "b"))
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        receiver = wire.receiver(place.inbox, credit=0)
        receiver.link.drain(10)
        wire.connection.wait(lambda: receiver.link.credit == 0 and not receiver.link.draining())
        assert len(receiver.fetcher.incoming) == 2


def test_management_settles_by_lock_token(place):
    """Dispositions by request do the same as by link; tokens that are none, or lost, are refused by number."""
    from proton import UNDESCRIBED, Array, Data

    place.make()
    place.sender.send_messages(messages("a", "b", "c"))
    receiver = place.receiver()
    tokens = [message.lock_token for message in receive(receiver, 3)]
    address, operation = f"{place.inbox}/$management", "com.microsoft:update-disposition"
    with Wire(place.server) as wire:
        wire.put_token(place.topic)

        def ask(status: str, token: object, **more: object) -> int:
            body = {"disposition-status": status, "lock-tokens": token, **more}
            return wire.ask(address, body, operation=operation).properties["statusCode"]

        a, b, c = (Array(UNDESCRIBED, Data.UUID, token) for token in tokens)
        assert ask("completed", a) == 200
        assert ask("completed", a) == 410
        assert ask("suspended", b, **{"deadletter-reason": "why"}) == 200
        assert ask("abandoned", c) == 200
        assert ask("defered", c) == 501
        assert ask("completed", "no array") == 400
        assert wire.ask(address, {}, operation="com.microsoft:add-rule").properties["statusCode"] == 501
    assert place.waits == (1, 1)


def test_a_link_ends_with_its_entity(place, monkeypatch):
    """Who receives from a subscription that an administrator deletes is told so at once."""
    from azure.servicebus.management import ServiceBusAdministrationClient

    place.make()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place.server.authority))
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        receiver = wire.receiver(place.inbox)
        string = place.server.connection_string
        with ServiceBusAdministrationClient.from_connection_string(string) as administration:
            administration.delete_subscription(place.topic, "inbox")
        assert wire.refusal(receiver) == "amqp:not-found"


def test_the_broker_keeps_a_quiet_connection_alive(servicebus):
    """A client that asks for heartbeats gets them."""
    with Wire(servicebus, heartbeat=1) as wire:
        transport = wire.connection.conn.transport
        before = transport.frames_input
        wire.connection.wait(lambda: transport.frames_input >= before + 2)


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"AMQP\x00\x01\x00\x00" + b"\xff" * 64,
        b"AMQP\x00\x01\x00\x00" + b"\x00\x00\x00\x0f\x02\x00\x00\x00\x00\x53\x14\xd0\xff\xff\xff",
        b"AMQP\x00\x01\x00\x00" + b"\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01x",
    ],
    ids=["nothing", "HTTP", "no frame", "no transfer", "no SASL"],
)
def test_noise_harms_nobody_else(place, noise):
    """What is no AMQP is hung up on, and the others are served as before."""
    place.make()
    with socket.create_connection(("127.0.0.1", place.server.port)) as stranger:
        stranger.sendall(noise)
        if not noise:
            stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            while stranger.recv(4096):
                pass
    place.sender.send_messages(messages("a"))
    assert place.waits == (1, 0)


def test_bytes_that_are_no_message_are_refused(place):
    """Neither a transfer nor one message of a batch may be nonsense; nothing of it is stored."""
    from proton import Delivery

    place.make()
    with Wire(place.server) as wire:
        wire.put_token(place.topic)
        sender = wire.connection.create_sender(place.topic)
        for number, data in enumerate([b"nonsense", b"\x00\x53\x73\x45", b"\x00\x53\x75\xa0\xff"]):
            delivery = sender.link.delivery(str(number))
            sender.link.send(data)
            sender.link.advance()
            wire.connection.wait(lambda delivery=delivery: delivery.settled)
            assert (delivery.remote_state, delivery.remote.condition.name) == (Delivery.REJECTED, "amqp:decode-error")
    assert place.waits == (0, 0)


# -- by time, with a clock of the test's own ---------------------------------------------------------------------------


class Clock:
    """A namespace whose time a test tells."""

    def __init__(self, **settings: Any) -> None:
        self.now = 1000.0
        self.namespace = Namespace(Store(clock=lambda: self.now))
        self.messages = Messages(self.namespace)
        self.namespace.create_topic(
            "topic", Settings(duplicate_detection=True, duplicate_detection_window=timedelta(seconds=30))
        )
        self.namespace.create_subscription("topic", "inbox", Settings(lock_duration=timedelta(seconds=10), **settings))
        self.line = self.messages.line("Topic/subscriptions/INBOX")

    def send(self, name: str, lives: timedelta | None = None) -> None:
        self.messages.send("topic", [Sent(name.encode(), Correlation(message_id=name), lives)])

    def count(self) -> tuple[int, int]:
        counts = self.namespace.counts(self.line.path)
        return counts.active, counts.dead_letters


def test_a_renewed_lock_holds_from_its_renewal_on():
    """What was renewed at the ninth second of ten is held at the eighteenth, and lost at the twentieth."""
    clock = Clock()
    clock.send("a")
    (held,) = clock.messages.lock(clock.line, 1)
    clock.now += 9
    assert clock.messages.renew(clock.line, held.token) == clock.now + 10
    clock.now += 9
    assert clock.messages.lock(clock.line, 1) == []
    clock.now += 2
    with pytest.raises(LockLost):
        clock.messages.complete(clock.line, held.token)
    assert [waiting.count for waiting in clock.messages.lock(clock.line, 1)] == [1]


def test_locks_that_expire_too_often_make_a_dead_letter():
    """A receiver that dies each time is as good as one that abandons."""
    clock = Clock(max_delivery_count=2)
    clock.send("a")
    for _ in range(2):
        (held,) = clock.messages.lock(clock.line, 1)
        assert clock.messages.due() == held.locked_until == clock.now + 10
        clock.now += 10
        clock.messages.due()
    assert clock.count() == (0, 1)


@pytest.mark.parametrize("dead_letters", [True, False])
def test_a_message_lives_as_long_as_it_may(dead_letters):
    """The shorter of its own time and the subscription's ends it, unless it is locked just then."""
    clock = Clock(time_to_live=timedelta(seconds=60), dead_lettering_on_expiration=dead_letters)
    clock.send("own", timedelta(seconds=5))
    clock.send("subscription's", timedelta(days=1))
    clock.now += 4
    (held,) = clock.messages.lock(clock.line, 1)
    clock.now += 2
    clock.messages.due()
    assert clock.count() == (2, 0)
    clock.messages.abandon(clock.line, held.token)
    clock.messages.due()
    assert clock.count() == (1, int(dead_letters))
    clock.now += 54
    clock.messages.due()
    assert clock.count() == (0, 2 * dead_letters)
    dead = clock.messages.lock(clock.line._replace(dead=True), 2)
    assert {waiting.reason for waiting in dead} == ({"TTLExpiredException"} if dead_letters else set())


def test_an_id_may_come_again_after_the_window():
    """Within the window it is a duplicate, after it a message."""
    clock = Clock()
    for wait, expected in ((0, 1), (29, 1), (1, 2)):
        clock.now += wait
        clock.send("a")
        assert clock.count() == (expected, 0)


def test_a_file_has_what_was_stored(tmp_path):
    """Entities, rules, messages, locks and ids seen are there when the file is opened again."""
    store = Store(tmp_path / "bus.db")
    namespace = Namespace(store)
    namespace.create_topic("topic", Settings(duplicate_detection=True))
    rule = Rule("to", Correlation(to="me", properties={"number": 7}))
    namespace.create_subscription("topic", "inbox", Settings(lock_duration=LONG, extra={"mine": "x"}), rule)
    sent = Sent(b"a", Correlation(message_id="a", to="me", properties={"number": 7}))
    messages = Messages(namespace)
    messages.send("topic", [sent])
    (held,) = messages.lock(messages.line("topic/Subscriptions/inbox"), 1)
    before = namespace.topics(), namespace.subscriptions("topic"), namespace.rules("topic", "inbox")
    store.close()
    store = Store(tmp_path / "bus.db")
    namespace = Namespace(store)
    assert (namespace.topics(), namespace.subscriptions("topic"), namespace.rules("topic", "inbox")) == before
    messages = Messages(namespace)
    messages.send("topic", [sent])
    line = messages.line("topic/Subscriptions/inbox")
    assert messages.lock(line, 9) == []
    messages.complete(line, held.token)
    assert namespace.counts(line.path).active == 0
    store.close()


def test_names_are_those_of_a_namespace():
    """They are compared without regard to case, and limited in length and letters."""
    namespace = Namespace()
    namespace.create_topic("Some/Topic")
    namespace.create_subscription("some/topic", "Inbox")
    assert namespace.subscription("SOME/TOPIC", "inbox").path == "Some/Topic/Subscriptions/Inbox"
    for again in (lambda: namespace.create_topic("some/topic"), lambda: namespace.create_queue("SOME/topic")):
        with pytest.raises(Exists):
            again()
    for name in ("", "a" * 51, "a/b", "-a", "a b", "é", "a.", "a$"):
        with pytest.raises(Invalid):
            namespace.create_subscription("some/topic", name)
    for name in ("nobody", "inbox/"):
        with pytest.raises(NotFound):
            namespace.subscription("some/topic", name)


# -- @azure/service-bus ------------------------------------------------------------------------------------------------


def in_node(place: Place, scenario: str, key: str = KEY) -> Any:
    """Return what npm's client has seen."""
    node, package = shutil.which("node"), NODE_FOLDER / "node_modules" / "@azure" / "service-bus"
    if node is None:
        skip_without("node (18 or later)")
    if not package.is_dir():
        skip_without("@azure/service-bus (from npm)")
    command = [node, str(CLIENT), str(NODE_FOLDER), connection_string(place.server.port, key), place.topic, scenario]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


def test_npm_a_message_arrives_as_it_was_sent(place):
    """The client of npm finds body, fields and properties again, a lock token, and times in their order."""
    place.make()
    found = in_node(place, "send")
    assert found["body"] == [0, 255, 128]
    assert found["fields"] == ["c", "s", "t", "x/y", 60000]
    assert found["properties"] == {"text": "é", "number": 7, "flag": True}
    assert (found["id"], found["count"], found["times"]) == ("m", 0, True)
    assert uuid.UUID(found["token"]).version == 4
    assert place.waits == (0, 0)


def test_npm_a_batch_is_split(place):
    """The client of npm learns the limit of a batch from the link, and receives single messages."""
    place.make()
    found = in_node(place, "batch")
    assert (found["most"], found["tooMuch"]) == (256 * 1024, False)
    assert [(message["body"], message["id"]) for message in found["messages"]] == [(n, n) for n in "abc"]
    assert place.waits == (0, 0)


def test_npm_a_completed_message_is_gone(place):
    """The client of npm completes one of two."""
    place.make()
    assert [message["body"] for message in in_node(place, "complete")] == ["b"]
    assert place.waits == (1, 0)


def test_npm_an_abandoned_message_comes_again_until_it_is_a_dead_letter(place):
    """The client of npm sees the count rise, and the reason in the end."""
    place.make()
    found = in_node(place, "abandon")
    assert (found["counts"], found["left"], found["dead"]["reason"]) == ([0, 1, 2], 0, "MaxDeliveryCountExceeded")
    assert place.waits == (0, 1)


def test_npm_a_dead_letter_says_why(place):
    """The client of npm reads the reason that it gave."""
    place.make()
    found = in_node(place, "deadLetter")
    assert (found["left"], found["dead"]["reason"], found["dead"]["description"]) == (0, "why", "because")
    assert place.waits == (0, 0)


def test_npm_a_lock_that_expires_is_lost(place):
    """The client of npm gets the message again, counted, and cannot complete it by the first lock."""
    place.make(BRIEF)
    assert in_node(place, "lockExpiry") == {"counts": [0, 1], "lost": "MessageLockLost", "other": True}
    assert place.waits == (0, 0)


def test_npm_a_renewed_lock_ends_later(place):
    """The client of npm renews a lock, and not one that is gone."""
    place.make()
    assert in_node(place, "renew") == {"later": True, "lost": "MessageLockLost"}


def test_npm_is_refused_what_it_may_not(place):
    """The client of npm knows each refusal by its name: size, unknown entities, another key."""
    place.make()
    assert in_node(place, "tooLarge") == "MessageSizeExceeded"
    assert in_node(place, "unknown") == ["MessagingEntityNotFound"] * 2
    assert in_node(place, "unauthorized", KEY[::-1]) == "UnauthorizedAccess"
    assert place.waits == (0, 0)

"""AWS keeps the contract of a transport: boto3 over HTTP against two emulators, and S3 that checks signatures.

Neither emulator enforces policies as IAM does; what the policies grant is compared with what is asked for.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from sklearn_symfed.exceptions import FederationError, TransportError
from sklearn_symfed.federation.transports import _claim_check, open_transport
from sklearn_symfed.federation.transports._aws_names import place_of, token_of
from sklearn_symfed.federation.transports.aws import AwsTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain
from tests.servers._slow import SlowWay
from tests.servers.aws import ACCOUNT, REGION, new_url, variables_of
from tests.servers.moto import require_sdk

pytestmark = pytest.mark.servers


class _Aws(TransportTests):
    patience = 1
    sizes = (153_599,)
    s3_port = None

    @pytest.fixture
    def _founded(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self._point_to(self.server.port)
        self.url = new_url()
        AwsTransport(self.url, "founder", create=True).close()

    def _point_to(self, port):
        for name, value in variables_of(port, self.s3_port).items():
            self.monkeypatch.setenv(name, value)

    def make(self, member):
        return AwsTransport(self.url, member, ack_deadline=1.0)

    @contextlib.contextmanager
    def slowly(self):
        with SlowWay(self.server.port, 0.01) as way:
            self._point_to(way.port)
            yield
            self._point_to(self.server.port)

    def remove_inbox(self, member):
        self.sqs().delete_queue(QueueUrl=self.queue(member))

    def poison(self, member):
        self.sqs().send_message(QueueUrl=self.queue(member), MessageBody="no frame")

    def sqs(self):
        import boto3

        return boto3.client("sqs", region_name=REGION)

    def queue(self, member):
        federation = self.url.partition("?")[0].rpartition("/")[2]
        return self.sqs().get_queue_url(QueueName=f"symfed_{federation}_in_{token_of(member)}")["QueueUrl"]


class TestMoto(_Aws):
    back_end = "aws, moto"

    @pytest.fixture(autouse=True)
    def _place(self, moto_server, request):
        self.server = moto_server
        request.getfixturevalue("_founded")

    @contextlib.contextmanager
    def with_wrong_credentials(self):
        with self.server.asking_for_rights(), self.monkeypatch.context() as patch:
            patch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
            yield "not-the-secret"


class TestMinistack(_Aws):
    back_end = "aws, ministack"

    @pytest.fixture(autouse=True)
    def _place(self, ministack_server, seaweed_server, request):
        self.server, self.s3_port = ministack_server, seaweed_server.port
        request.getfixturevalue("_founded")

    def restart_server(self):
        self.server.restart()


# -- who may do what -------------------------------------------------------------------------------------------------


@pytest.fixture
def requests(monkeypatch):
    """Return a list to which every request of boto3 is added: its client, service, operation and parameters."""
    from botocore.client import BaseClient

    asked, original = [], BaseClient._make_api_call

    def record(client, operation, parameters):
        asked.append((client, client.meta.service_model.service_name, operation, parameters))
        return original(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    return asked


ACTIONS = {  # where it is not called as the operation
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}


def action_and_resource(service, operation, parameters):
    """Return what IAM calls what a request does, and what it does that to, by the reference of AWS."""
    action = f"{service}:{ACTIONS.get(operation, operation)}"
    if action in {"sqs:ListQueues", "sns:Unsubscribe"}:  # have no types of resources
        return action, "*"
    if service == "s3":
        return action, f"arn:aws:s3:::{parameters['Bucket']}" + ("/" + parameters["Key"] if "Key" in parameters else "")
    if service == "sqs":
        name = parameters.get("QueueName") or parameters["QueueUrl"].rpartition("/")[2]
        return action, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    return action, parameters.get("TopicArn") or f"arn:aws:sns:{REGION}:{ACCOUNT}:{parameters['Name']}"


def granted(policy):
    """Return pairs of an action and a pattern of resources."""
    statements = json.loads(policy)["Statement"]
    assert len({each["Sid"] for each in statements}) == len(statements)
    return {(action, resource) for each in statements for action in each["Action"] for resource in each["Resource"]}


def test_the_least_rights_are_enough_and_least(aws_carrier, requests, monkeypatch):
    """All that an admin and a member ask for is granted by their policies, and what is granted is asked for."""
    url, reset = aws_carrier.url.replace("symfed-tests", "symfed-of-its-own"), _claim_check.KEPT
    a = AwsTransport(url, "Ä", create=True)
    a.prepare("b")
    b = AwsTransport(url, "b")
    assert b.existed
    monkeypatch.setattr(_claim_check, "KEPT", -1.0)  # superseded at once
    for data in (b"small", b"large" * 50_000):
        for sender, reader, to in ((a, b, None), (b, a, None), (a, b, "b"), (b, a, "Ä")):
            sender.publish(data, to)
            if len(data) < 10 or to:
                assert drain(reader, patience=1) == [data]
    monkeypatch.setattr(_claim_check, "KEPT", reset)
    for sender, reader, to in ((a, b, "b"), (b, a, "Ä")):
        sender.publish(b"again", to)
        reader._show_again([delivery.receipt.handle for delivery in reader.receive()], 0)
        reader.ack(*reader.receive())
        sender._put_to_one(reader._inbox, b"\7")
        assert reader.receive() == []
        assert reader.dead_letters == 1
    of_b = {id(client) for client in b._session._clients.values()}
    with pytest.raises(FederationError, match="members 'b'"):
        AwsTransport(url, "Ä", create=True)
    a.discard("b")
    AwsTransport.teardown(url)
    for name, admin in (("Ä", True), ("b", False)):
        policy = granted(AwsTransport.policy(url, name, admin=admin))
        unused = set(policy)
        for client, *request in requests:
            action, resource = action_and_resource(*request)
            if request[0] == "sts" or (id(client) in of_b) is admin:
                continue
            used = {(act, pattern) for act, pattern in policy if act == action and fnmatchcase(resource, pattern)}
            assert used, (name, action, resource)
            unused -= used
        assert {action for action, _ in unused} <= {action for action, _ in policy - unused}
    a.close(), b.close()


def test_the_policy_in_the_docs_is_that():
    """The policy that the docs print is that of a member, and is printed without a request."""
    require_sdk()
    page = (Path(__file__).parents[2] / "docs" / "transports.md").read_text("utf-8")
    (block,) = re.findall(r"### Roles\n.*?```json\n(.*?)```", page, flags=re.DOTALL)
    url = "aws://eu-central-1/flights?bucket=flights-symfed&account=123456789012"
    assert json.loads(block) == json.loads(AwsTransport.policy(url, "south"))


def test_queues_take_messages_of_the_topic_only_and_are_encrypted(aws_carrier):
    """A queue's policy names the topic, its messages are encrypted and kept for 14 days, five tries are made."""
    import boto3

    AwsTransport(aws_carrier.url, "a", create=True).close()
    sqs, federation = boto3.client("sqs", region_name=REGION), place_of(aws_carrier.url).federation
    for kind in ("in", "dead"):
        queue = sqs.get_queue_url(QueueName=f"symfed_{federation}_{kind}_a")["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert (found["SqsManagedSseEnabled"], found["MessageRetentionPeriod"]) == ("true", "1209600")
    found = sqs.get_queue_attributes(QueueUrl=queue.replace("_dead_", "_in_"), AttributeNames=["All"])["Attributes"]
    (statement,) = json.loads(found["Policy"])["Statement"]
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:symfed_{federation}"
    assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": topic}}
    assert json.loads(found["RedrivePolicy"])["maxReceiveCount"] == 5
    encryption = boto3.client("s3", region_name=REGION).get_bucket_encryption(Bucket="symfed-tests")
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_denied_right_and_a_missing_federation_say_what_to_do(aws_carrier, moto_server):
    """Who has no inbox and may not make one learns who does; a place without a federation is called so."""
    with pytest.raises(TransportError, match=r"Got no inbox of 'a' .*invites this member again.*Got no topic symfed_"):
        open_transport(aws_carrier.url, "a")
    with moto_server.asking_for_rights(), pytest.raises(TransportError, match="credentials that AWS does not take"):
        open_transport(aws_carrier.url, "a")


def test_s3_checks_signatures(ministack_server, seaweed_server, monkeypatch):
    """Where only S3 checks whose credentials they are, what takes S3 fails, and tells neither secret nor payload."""
    for name, value in variables_of(ministack_server.port, seaweed_server.port).items():
        monkeypatch.setenv(name, value)
    url = new_url()
    with AwsTransport(url, "a", create=True):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
        with (
            AwsTransport(url, "b") as b,
            pytest.raises(TransportError, match="credentials that AWS does not take") as e,
        ):
            b.publish(b"a payload" * 30_000)
        assert "not-the-secret" not in str(e.value)
        assert base64.b64encode(b"a payload").decode()[:8] not in str(e.value)


def test_no_credentials_and_no_server(aws_carrier, monkeypatch, tmp_path):
    """Without credentials, with a profile that is not there, and without a server the error says which it is."""
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(TransportError, match="no credentials from the usual chain of boto3"):
        open_transport(aws_carrier.url, "a")
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setattr("sklearn_symfed.federation.transports._aws_session._ATTEMPTS", 1)
    for service in ("", "_SQS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL{service}", "http://127.0.0.1:1")
    with pytest.raises(TransportError, match="no connection"):
        open_transport(aws_carrier.url, "a")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TransportError, match="no credentials from the usual chain of boto3"):
        open_transport(aws_carrier.url, "a")


# -- messages --------------------------------------------------------------------------------------------------------


def test_superseded_objects_are_removed(aws_carrier, monkeypatch):
    """Of the large messages of one sender for all, those that have been superseded for long do not lie there."""
    import boto3

    now, data = [1e9], b"large" * 50_000
    monkeypatch.setattr("time.time", lambda: now[0])
    with AwsTransport(aws_carrier.url, "a", create=True) as a, AwsTransport(aws_carrier.url, "b") as b:
        a._claims._clock = lambda: now[0]
        for number in range(3):
            a.publish(data + bytes([number]))
            now[0] += _claim_check.KEPT + 1
        a.publish(b"to b" + data, "b")
        assert drain(b, patience=1) == [data + b"\2", b"to b" + data]
    prefix = place_of(aws_carrier.url).federation
    listed = boto3.client("s3", region_name=REGION).list_objects_v2(Bucket="symfed-tests", Prefix=f"{prefix}/")
    assert listed["KeyCount"] == 1


def test_one_watches_an_empty_inbox_only(aws_carrier, requests):
    """An inbox that is empty is watched for as long as the URL says; what is there is taken without waiting."""
    url = aws_carrier.url.replace("wait=0", "wait=1")
    assert place_of(url.replace("&wait=1", "")).wait == 1
    with AwsTransport(url, "a", create=True) as a, AwsTransport(url, "b") as b:
        a.publish(b"x")
        assert [delivery.data for delivery in b.receive()] == [b"x"]
        waits = [
            parameters["WaitTimeSeconds"] for *_, operation, parameters in requests if operation == "ReceiveMessage"
        ]
        assert waits == [1, 0]


def test_no_error_and_no_log_tells_a_secret(aws_carrier, caplog):
    """What is set aside is told of by its length and its reader."""
    with AwsTransport(aws_carrier.url, "a", create=True) as a, caplog.at_level(logging.DEBUG, "sklearn_symfed"):
        for text in ("!secret payload!", base64.b64encode(b"\1secret payload").decode()):
            a._session.ask("sqs", "send_message", QueueUrl=a._inbox, MessageBody=text)
        assert drain(a, patience=1) == []
        assert a.dead_letters == 2
    assert len(caplog.records) == 2
    assert "secret" not in caplog.text

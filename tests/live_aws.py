"""A run on a real account of AWS, where IAM is enforced, which no emulator does: by hand, never in CI.

    export SYMFED_AWS_LIVE='aws://eu-central-1/symfed-live?bucket=a-bucket-that-nobody-has'
    export SYMFED_AWS_LIVE_MEMBER=profile
    python -m pytest -p no:xdist tests/live_aws.py

Credentials are those of boto3's usual chain, and may do everything in SNS, SQS and S3; those of the profile, if one is
named, have the rights of `symfed policy URL --member b`, and no more.  What is made there is removed.  It takes about
five minutes and costs less than a cent.
"""

from __future__ import annotations

import contextlib
import os
import time

import pytest

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports._aws_bucket import Bucket
from sklearn_symfed.federation.transports._aws_names import place_of, token_of
from sklearn_symfed.federation.transports.aws import AwsTransport
from sklearn_symfed.testing import TransportTests
from sklearn_symfed.testing._transports import drain

URL = os.environ.get("SYMFED_AWS_LIVE", "")
PROFILE = os.environ.get("SYMFED_AWS_LIVE_MEMBER", "")

pytestmark = pytest.mark.skipif(not URL, reason="SYMFED_AWS_LIVE names no federation on a real account")


@pytest.fixture
def _loopback_only():
    """Let these tests leave this machine."""


@pytest.fixture(scope="module", autouse=True)
def _kept():
    """Keep the bucket until the end: S3 does not make one anew at once."""
    with AwsTransport(URL, "a", create=True) as a:
        Bucket(a._session).put("a/kept/0", b"something")
    yield
    AwsTransport.teardown(URL)


class TestLive(TransportTests):
    """The contract, each test in a federation of its own, since SQS makes no queue anew within a minute."""

    patience = 2
    sizes = (153_599,)
    skips = {  # noqa: RUF012 - a property of the base
        "restart_server": "nobody restarts AWS",
        "slowly": "nothing stands between",
        "remove_inbox": "SQS makes no queue anew within a minute",
    }

    @pytest.fixture(autouse=True)
    def _place(self, monkeypatch):
        self.monkeypatch = monkeypatch
        federation = f"live-{time.time_ns() // 10**6:x}"
        self.url = URL.replace(f"/{place_of(URL).federation}?", f"/{federation}?")
        AwsTransport(self.url, "founder", create=True).close()
        yield
        AwsTransport.teardown(self.url)

    def make(self, member):
        return AwsTransport(self.url, member, ack_deadline=2.0)

    @contextlib.contextmanager
    def with_wrong_credentials(self):
        with self.monkeypatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
            yield "not-the-secret"

    def poison(self, member):
        with self.make("poisoner") as end:
            address = end._places.queue(end._names.inbox(token_of(member)))
            end._session.ask("sqs", "send_message", QueueUrl=address, MessageBody="no frame")

    def test_discarded_inbox(self, ends):
        """A discarded inbox is gone, and is not made anew within a minute: the admin's next pulse tries again."""
        a, b = ends("a"), ends("b")
        b.close()
        a.discard("b")
        a.publish(b"lost", to="b")
        with contextlib.suppress(TransportError):
            a.prepare("b")


@pytest.mark.skipif(not PROFILE, reason="SYMFED_AWS_LIVE_MEMBER names no profile with the rights of a member")
def test_the_least_rights_of_a_member_are_enough_and_enforced(monkeypatch):
    """With the rights that are printed a member does all that it is to, and nothing else."""
    with AwsTransport(URL, "a") as a:
        a.prepare("b")
        monkeypatch.setenv("AWS_PROFILE", PROFILE)
        with AwsTransport(URL, "b") as b:
            for data in (b"small", b"large" * 50_000):
                for sender, reader, to in ((a, b, None), (b, a, None), (a, b, "b"), (b, a, "a")):
                    sender.publish(data, to)
                    assert drain(reader, patience=5) == [data]
            assert b.dead_letters == 0
            for forbidden in (lambda: b.discard("a"), lambda: b.prepare("c"), lambda: AwsTransport(URL, "a").receive()):
                with pytest.raises(TransportError, match="no right to"):
                    forbidden()

"""``aws://region/federation?bucket=name``: an SNS topic a federation, an SQS queue a member.

Owns how messages are sent and received.  A message for all is published to the topic, which hands it to the queues of
all but its sender; one for a single member is put into its queue.  Both take text up to 256 KiB: a message travels as
base64, and what is larger lies in a bucket of S3 (`_claim_check`).  SQS itself sets aside what came five times and was
not acknowledged.  Names are `_aws_names`, rights `_aws_policy`, topic and queues `_aws_places`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sklearn_symfed.exceptions import FormatError, TransportError
from sklearn_symfed.federation.transports._aws_bucket import Bucket
from sklearn_symfed.federation.transports._aws_names import place_of, token_of
from sklearn_symfed.federation.transports._aws_places import Places
from sklearn_symfed.federation.transports._aws_policy import SENDER, role_policy
from sklearn_symfed.federation.transports._aws_session import AwsError, Session
from sklearn_symfed.federation.transports._claim_check import ClaimCheck
from sklearn_symfed.federation.transports.base import Delivery, Transport

__all__ = ["AwsTransport"]

_log = logging.getLogger("sklearn_symfed")

_LONGEST_TEXT = 200 * 2**10
_AT_ONCE = 10
_MOST_BYTES = 64 * 2**20


class _Receipt(NamedTuple):
    handle: str
    frame: bytes


class AwsTransport(Transport):
    """A mailbox of SNS, SQS and S3.

    Parameters
    ----------
    url : str
        ``aws://region/federation?bucket=name``, and, if wanted, ``&account=`` with the number of the account that it
        all belongs to, and ``&wait=`` with the seconds for which an empty inbox is watched.  Credentials come from
        boto3's usual chain.
    member : str
        Whose inbox this is.
    create : bool, default=False
        Whether to make what the federation needs there, and to refuse a place in which others have inboxes.
    max_payload : int, default=64 MiB
        The largest message, in bytes.
    ack_deadline : float, default=60.0
        Seconds after which what was received and not acknowledged comes again; at least 1.
    """

    def __init__(
        self,
        url: str,
        member: str,
        *,
        create: bool = False,
        max_payload: int = 64 * 2**20,
        ack_deadline: float = 60.0,
    ) -> None:
        super().__init__(url, member, max_payload=max_payload)
        place = place_of(url)
        self.ack_deadline = ack_deadline
        self._seconds = int(ack_deadline)
        self._wait = place.wait
        self._me = token_of(self.member)
        self._held: dict[str, _Receipt] = {}
        self._addresses: dict[str, str] = {}
        self._session = Session(place, url)
        try:
            self._names = self._session.names
            self._places = Places(self._session)
            self._inbox = self._enter(create=create)
        except BaseException:
            self._session.close()
            raise
        limit = _LONGEST_TEXT // 4 * 3
        self._claims = ClaimCheck(Bucket(self._session), self._me, limit=limit, most=self.max_payload)

    # -- places ------------------------------------------------------------------------------------------------------

    def _enter(self, *, create: bool) -> str:
        """Return the address of the inbox; make what is missing."""
        if create:
            self.require_empty(self._places.members())
            self._places.make_topic()
            Bucket(self._session).make()
        address = self._places.queue(self._names.inbox(self._me))
        self.existed = address is not None
        if address is not None and not create:
            return address
        try:
            return self._places.make_inbox(self._me, self._seconds)
        except TransportError as error:
            if create:
                raise
            raise TransportError(
                f"Got no inbox of {self.member!r} at {self.url}: an admin who invites this member again makes it "
                f"({error})"
            ) from None

    def _prepare(self, member: str) -> None:
        self._places.make_inbox(token_of(member), self._seconds)

    def _discard(self, member: str) -> None:
        self._places.remove_inbox(token_of(member))

    @classmethod
    def provision(cls, url: str, member: str) -> list[str]:
        """Make topic, bucket and the inbox of a founder; return what there is."""
        cls(url, member, create=True).close()
        return cls.standing(url)

    @classmethod
    def policy(cls, url: str, member: str, *, admin: bool = False) -> str:
        """Return the policy of the role of a member, in the language of IAM: the least that will do."""
        with contextlib.closing(Session(place_of(url), url)) as session:
            return role_policy(session.names, token_of(member), admin=admin)

    @classmethod
    def standing(cls, url: str) -> list[str]:
        """Return what there is of a federation: topic, queues and bucket."""
        with contextlib.closing(Session(place_of(url), url)) as session:
            bucket = [f"bucket {session.names.bucket}"] if Bucket(session).is_there() else []
            return [*Places(session).listed(), *bucket]

    @classmethod
    def teardown(cls, url: str) -> list[str]:
        """Remove all that `standing` lists, with what lies there; a bucket in which something else lies stays."""
        with contextlib.closing(Session(place_of(url), url)) as session:
            Places(session).remove_all()
            bucket = Bucket(session)
            return [] if not bucket.is_there() or bucket.remove() else [f"bucket {session.names.bucket}"]

    @property
    def dead_letters(self) -> int:
        """How many messages were set aside in the last two weeks, as far as SQS knows."""
        wanted = "ApproximateNumberOfMessages"
        with self._at(self._names.dead(self._me)) as address:
            if address is not None:
                found = self._session.ask("sqs", "get_queue_attributes", QueueUrl=address, AttributeNames=[wanted])
                return int(found["Attributes"][wanted])
        return 0

    @contextlib.contextmanager
    def _at(self, queue: str) -> Iterator[str | None]:
        """Yield the address of a queue, which is asked for once; None where there is none, and end where it went."""
        if queue not in self._addresses:
            address = self._places.queue(queue)
            if address is None:
                yield None
                return
            self._addresses[queue] = address
        try:
            yield self._addresses[queue]
        except AwsError as error:
            del self._addresses[queue]
            if not error.missing_queue:
                raise

    # -- messages ----------------------------------------------------------------------------------------------------

    def _publish(self, data: bytes, to: str | None) -> None:
        if to is None:
            self._claims.send(data, None, self._put_to_all)
            return
        token = token_of(to)
        with self._at(self._names.inbox(token)) as address:
            if address is not None:
                self._claims.send(data, token, functools.partial(self._put_to_one, address))

    def _put_to_all(self, frame: bytes) -> None:
        text, attributes = base64.b64encode(frame).decode(), self._attributes()
        topic = self._names.topic_arn
        self._session.ask("sns", "publish", TopicArn=topic, Message=text, MessageAttributes=attributes)

    def _put_to_one(self, address: str, frame: bytes) -> None:
        text, attributes = base64.b64encode(frame).decode(), self._attributes()
        self._session.ask("sqs", "send_message", QueueUrl=address, MessageBody=text, MessageAttributes=attributes)

    def _attributes(self) -> dict[str, dict[str, str]]:
        return {SENDER: {"DataType": "String", "StringValue": self._me}}

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        room, wait = _MOST_BYTES, self._wait
        while len(deliveries) < limit and room > 0:
            messages, wait = self._pull(min(limit - len(deliveries), _AT_ONCE), wait), 0
            if not messages:
                break
            for message in messages:
                data = self._opened(message)
                if data is not None:
                    room -= len(data)
                    deliveries.append(Delivery(data, self._held[message["ReceiptHandle"]]))
        return deliveries

    def _pull(self, most: int, wait: int) -> list[dict[str, Any]]:
        """Return some of what waits; watch an empty inbox for some seconds, as SQS looks everywhere only then."""
        try:
            found = self._session.ask(
                "sqs",
                "receive_message",
                QueueUrl=self._inbox,
                MaxNumberOfMessages=most,
                VisibilityTimeout=self._seconds,
                WaitTimeSeconds=wait,
                MessageAttributeNames=[SENDER],
            )
        except AwsError as error:
            if not error.missing_queue:
                raise
            raise TransportError(
                f"Got no inbox of {self.member!r} at {self.url}: somebody took it down. An admin who invites this "
                "member again makes it."
            ) from None
        messages: list[dict[str, Any]] = found.get("Messages", [])
        for message in messages:
            self._held[message["ReceiptHandle"]] = _Receipt(message["ReceiptHandle"], b"")
        return messages

    def _opened(self, message: dict[str, Any]) -> bytes | None:
        """Return what a message holds; None for one's own, for what was superseded, and for what is given up."""
        handle, text = message["ReceiptHandle"], message["Body"]
        if message.get("MessageAttributes", {}).get(SENDER, {}).get("StringValue") == self._me:
            self._finish(handle)
            return None
        try:
            frame = _decoded(text)
            data = self._claims.open(frame)
        except FormatError as error:
            self._give_up(handle, text, str(error))
            return None
        self._held[handle] = _Receipt(handle, frame)
        if data is None:
            self._finish(handle)
        return data

    def _give_up(self, handle: str, text: str, reason: str) -> None:
        """Set a message aside."""
        _log.warning("%r set a message aside (%d letters): %s", self.member, len(text), reason)
        with self._at(self._names.dead(self._me)) as address:
            if address is not None:
                self._session.ask("sqs", "send_message", QueueUrl=address, MessageBody=text)
        self._finish(handle)

    def _finish(self, handle: str) -> None:
        if self._held.pop(handle, None) is None:
            return
        try:
            self._session.ask("sqs", "delete_message", QueueUrl=self._inbox, ReceiptHandle=handle)
        except AwsError as error:
            if error.code != "ReceiptHandleIsInvalid":  # another reader has it since
                raise

    def _ack(self, delivery: Delivery) -> None:
        if delivery.receipt is not None and delivery.receipt.handle in self._held:
            self._finish(delivery.receipt.handle)
            self._claims.done(delivery.receipt.frame)

    def _extend(self, deliveries: Sequence[Delivery]) -> None:
        self._show_again([delivery.receipt.handle for delivery in deliveries], self._seconds)

    def _show_again(self, handles: Sequence[str], seconds: int) -> None:
        """Have what is still held come again after so many seconds from now."""
        entries = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": seconds}
            for number, handle in enumerate(handles)
            if handle in self._held
        ]
        for start in range(0, len(entries), _AT_ONCE):
            some = entries[start : start + _AT_ONCE]
            self._session.ask("sqs", "change_message_visibility_batch", QueueUrl=self._inbox, Entries=some)

    def _close(self) -> None:
        """Give back what was not acknowledged, so that it comes again at once."""
        with contextlib.suppress(TransportError):
            self._show_again(list(self._held), 0)
        self._session.close()


def _decoded(text: str) -> bytes:
    """Return the frame that a text is."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError("Got text that is no frame of a message.") from None

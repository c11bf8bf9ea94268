"""The topic of a federation at AWS and the queues of its members: made where there are none, and removed.

Owns their settings.  What is there stays as it is, so an operator may have made it otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from sklearn_symfed.federation.transports._aws_names import member_of
from sklearn_symfed.federation.transports._aws_policy import filter_of, topic_may_send
from sklearn_symfed.federation.transports._aws_session import AwsError, Session

__all__ = ["Places"]

_KEPT = 14 * 86_400
"""So many seconds a message waits for whoever does not read: SQS keeps none for longer."""
_TRIES = 5


class Places:
    """Of one federation; members are given as tokens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = session.names

    def queue(self, name: str) -> str | None:
        """Return the address of a queue; None if there is none."""
        owner = self._names.account
        try:
            return str(
                self._session.ask("sqs", "get_queue_url", QueueName=name, QueueOwnerAWSAccountId=owner)["QueueUrl"]
            )
        except AwsError as error:
            if error.missing:
                return None
            raise

    def members(self) -> Iterator[str]:
        """Yield who has an inbox: the name, or, where a name cannot be told from a queue's, its token."""
        start = self._names.inbox("")
        for name in self._queues(start):
            token = name.removeprefix(start)
            yield member_of(token) or token

    def listed(self) -> list[str]:
        """Return what there is, in words."""
        topics = [f"topic {self._names.topic}"] if self._subscriptions() is not None else []
        return [*topics, *(f"queue {name}" for name in sorted(self._queues(f"{self._names.topic}_")))]

    def make_topic(self) -> None:
        """Make the topic, which a founder may not be allowed to where an operator made it."""
        if self._subscriptions() is None:
            self._session.ask("sns", "create_topic", Name=self._names.topic)

    def make_inbox(self, member: str, seconds: int) -> str:
        """Make a member's inbox, what is beside it, and its subscription; return the inbox's address.

        Parameters
        ----------
        member : str
        seconds : int
            After which a message comes again, where its reader does not say.
        """
        names, inbox, dead = self._names, self._names.inbox(member), self._names.dead(member)
        subscriptions = self._subscriptions()
        if subscriptions is None:
            raise AwsError(f"Got no topic {names.topic}, but expected a federation that was founded there.", "NotFound")
        common = {"SqsManagedSseEnabled": "true", "MessageRetentionPeriod": str(_KEPT)}
        self._make(dead, common)
        redrive = {"deadLetterTargetArn": names.queue_arn(dead), "maxReceiveCount": _TRIES}
        settings = {"RedrivePolicy": json.dumps(redrive), "Policy": topic_may_send(names, inbox)}
        address = self._make(inbox, {**common, **settings, "VisibilityTimeout": str(seconds)})
        if names.queue_arn(inbox) not in subscriptions:
            self._subscribe(names.queue_arn(inbox), filter_of(member))
        return address

    def _make(self, name: str, settings: dict[str, str]) -> str:
        address = self.queue(name)
        if address is None:
            address = str(self._session.ask("sqs", "create_queue", QueueName=name, Attributes=settings)["QueueUrl"])
        return address

    def _subscribe(self, queue: str, wanted: str) -> None:
        attributes = {"RawMessageDelivery": "true", "FilterPolicy": wanted}
        topic = self._names.topic_arn
        self._session.ask("sns", "subscribe", TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)

    def remove_inbox(self, member: str) -> None:
        """Take down a member's inbox, and what is beside it."""
        inbox = self._names.inbox(member)
        subscription = (self._subscriptions() or {}).get(self._names.queue_arn(inbox))
        if subscription is not None:
            self._session.ask("sns", "unsubscribe", SubscriptionArn=subscription)
        for name in (inbox, self._names.dead(member)):
            self._remove(name)

    def remove_all(self) -> None:
        """Take down the topic and all queues."""
        self._session.ask("sns", "delete_topic", TopicArn=self._names.topic_arn)
        for name in self._queues(f"{self._names.topic}_"):
            self._remove(name)

    def _remove(self, queue: str) -> None:
        address = self.queue(queue)
        try:
            if address is not None:
                self._session.ask("sqs", "delete_queue", QueueUrl=address)
        except AwsError as error:
            if not error.missing:
                raise

    def _queues(self, start: str) -> list[str]:
        """Return the names of queues that begin so."""
        pages = {"PageSize": 1000}  # without which there is one page, and no word of a second
        found: list[str] = self._session.pages(
            "sqs", "list_queues", "QueueUrls", QueueNamePrefix=start, PaginationConfig=pages
        )
        return [address.rpartition("/")[2] for address in found]

    def _subscriptions(self) -> dict[str, str] | None:
        """Return the subscriptions to the topic, by the ARNs of their queues; None if there is no topic."""
        topic = self._names.topic_arn
        try:
            found = self._session.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
        except AwsError as error:
            if error.missing:
                return None
            raise
        return {each["Endpoint"]: each["SubscriptionArn"] for each in found}

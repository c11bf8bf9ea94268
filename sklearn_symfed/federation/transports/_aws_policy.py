"""Who may do what at AWS: of queues, of subscriptions, and of the roles of members.

Owns the documents in IAM's language; each is the least that will do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sklearn_symfed.federation.transports._aws_names import Names

__all__ = ["SENDER", "filter_of", "role_policy", "topic_may_send"]

SENDER = "from"
"""The attribute of a message that holds its sender's token."""


def topic_may_send(names: Names, queue: str) -> str:
    """Return the policy of a queue that takes the messages of the federation's topic, and of no other.

    Those of members, to one, come by the right of their roles, which are of the queue's own account.
    """
    statement = {
        "Sid": "TopicOfTheFederation",
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": names.queue_arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": names.topic_arn}},
    }
    return _document([statement])


def filter_of(member: str) -> str:
    """Return the filter of the subscription of a member, given as a token: all but its own messages."""
    return json.dumps({SENDER: [{"anything-but": [member]}]})


def role_policy(names: Names, member: str, *, admin: bool) -> str:
    """Return the policy of the role of a member, given as a token, as IAM takes it."""
    return _document(_statements(names, member, admin=admin))


def _statements(names: Names, member: str, *, admin: bool) -> list[dict[str, Any]]:
    """Return the rights of a member; of one who founds, or invites and removes, if `admin`."""
    mine, dead, any_inbox = map(names.queue_arn, (names.inbox(member), names.dead(member), names.inbox("*")))
    statements = [
        _allow("SendToAll", ["sns:Publish"], names.topic_arn),
        _allow("SendToOne", ["sqs:GetQueueUrl", "sqs:SendMessage"], any_inbox),
        _allow("OwnInbox", ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"], mine),
        _allow("SetAside", ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"], dead),
        _allow("ReadObjects", ["s3:GetObject"], names.object_arn("*")),
        _allow("OwnObjects", ["s3:PutObject"], names.object_arn(f"{member}/*")),
        _allow("RemoveObjects", ["s3:DeleteObject"], *map(names.object_arn, (f"{member}/*", f"*/to-{member}/*"))),
        _allow("ListObjects", ["s3:ListBucket"], names.object_arn()),
    ]
    if admin:
        queues = names.queue_arn(f"{names.topic}_*")
        topic = ["sns:CreateTopic", "sns:DeleteTopic", "sns:ListSubscriptionsByTopic", "sns:Subscribe"]
        settings = ["s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration"]
        statements += [
            _allow("MakeTopic", topic, names.topic_arn),
            _allow("MakeInboxes", ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueUrl"], queues),
            _allow("NoResourceCanBeNamed", ["sns:Unsubscribe", "sqs:ListQueues"], "*"),
            _allow("MakeBucket", ["s3:CreateBucket", "s3:DeleteBucket", *settings], names.object_arn()),
            _allow("RemoveAll", ["s3:DeleteObject"], names.object_arn("*")),
        ]
    return statements


def _allow(name: str, actions: Iterable[str], *resources: str) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)

"""The topic of a federation at Azure and the subscriptions of its members: made where there are none, and removed.

Owns their settings and what rights they take.  What is there stays as it is, so an operator may have made it otherwise.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sklearn_symfed.federation.transports._azure_names import ALL, Place
from sklearn_symfed.federation.transports._azure_session import AzureAnswerError, Session

__all__ = ["Places", "role_assignments"]

_KEPT = timedelta(days=14)
"""So long a message waits for whoever does not read; it is no dead letter afterwards, but gone."""
_REPEATED = timedelta(minutes=10)
"""So long a topic knows the messages that it has: the SDK repeats what was not confirmed for some seconds."""
_MEGABYTES = 5 * 1024
"""So much may wait in a topic, in all its subscriptions: what the Standard tier can hold.  A full one takes nothing."""
_TRIES = 5
_LONGEST_LOCK = 300.0
_DEFAULT_RULE = "$Default"


class Places:
    """Of one federation; members are given as tokens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._place = session.place

    def members(self) -> Iterator[str]:
        """Yield who has an inbox: the name, or, where a name cannot be told from a subscription's, its token."""
        for name in self._subscriptions():
            owner = self._place.owner(name)
            if owner is not None:
                yield owner

    def has_inbox(self, member: str) -> bool | None:
        """Tell whether there is a member's inbox; None if this end may not see that, as only an admin may."""
        try:
            self._ask("get_subscription", self._place.topic, self._place.inbox(member))
        except AzureAnswerError as error:
            if error.denied:
                return None
            if error.missing:
                return False
            raise
        return True

    def listed(self) -> list[str]:
        """Return what there is, in words."""
        topic = self._place.topic
        if not self._has_topic():
            return []
        return [f"topic {topic}", *(f"subscription {name}" for name in sorted(self._subscriptions()))]

    def make_topic(self) -> None:
        """Make the topic, which a founder may not be allowed to where an operator made it."""
        if not self._has_topic():
            self._make(
                "create_topic",
                self._place.topic,
                default_message_time_to_live=_KEPT,
                max_size_in_megabytes=_MEGABYTES,
                requires_duplicate_detection=True,
                duplicate_detection_history_time_window=_REPEATED,
            )

    def make_inbox(self, member: str, seconds: float) -> None:
        """Make a member's inbox, which takes what is for that member or for all.

        Parameters
        ----------
        member : str
        seconds : float
            For which a message is locked that was received; Service Bus takes five minutes at most.
        """
        topic, inbox = self._place.topic, self._place.inbox(member)
        if not self.has_inbox(member):
            if not self._has_topic():
                raise AzureAnswerError(
                    f"Got no topic {topic!r}, but expected a federation that was founded there.", missing=True
                )
            self._make(
                "create_subscription",
                topic,
                inbox,
                lock_duration=timedelta(seconds=min(seconds, _LONGEST_LOCK)),
                max_delivery_count=_TRIES,
                default_message_time_to_live=_KEPT,
            )
        rules = [rule.name for rule in self._ask("list_rules", topic, inbox)]
        from azure.servicebus.management import CorrelationRuleFilter

        for name, to in (("to_member", member), ("to_all", ALL)):
            if name not in rules:
                self._make("create_rule", topic, inbox, name, filter=CorrelationRuleFilter(to=to))
        if _DEFAULT_RULE in rules:  # which lets everything in; a reader passes over what came by it meanwhile
            self._remove("delete_rule", topic, inbox, _DEFAULT_RULE)

    def remove_inbox(self, member: str) -> None:
        """Take down a member's inbox, with its dead letters."""
        self._remove("delete_subscription", self._place.topic, self._place.inbox(member))

    def remove_all(self) -> None:
        """Take down the topic and with it all subscriptions."""
        self._remove("delete_topic", self._place.topic)

    def _has_topic(self) -> bool:
        try:
            self._ask("get_topic", self._place.topic)
        except AzureAnswerError as error:
            if error.missing:
                return False
            raise
        return True

    def _subscriptions(self) -> list[str]:
        """Return the names of the topic's subscriptions; none where there is no topic."""
        try:
            with self._session.translated("a list of subscriptions"):
                found = self._session.administration.list_subscriptions(self._place.topic)
                return [each.name for each in found]
        except AzureAnswerError as error:
            if error.missing:
                return []
            raise

    def _make(self, operation: str, *names: str, **settings: Any) -> None:
        """Make something; somebody else may have been faster."""
        from azure.core.exceptions import ResourceExistsError

        said = self._session.translated(f"an answer of Service Bus to {operation}")
        with said, contextlib.suppress(ResourceExistsError):
            getattr(self._session.administration, operation)(*names, **settings)

    def _remove(self, operation: str, *names: str) -> None:
        """Remove something, if it is there."""
        try:
            self._ask(operation, *names)
        except AzureAnswerError as error:
            if not error.missing:
                raise

    def _ask(self, operation: str, *names: str) -> Any:
        with self._session.translated(f"an answer of Service Bus to {operation}"):
            answer = getattr(self._session.administration, operation)(*names)
            return list(answer) if operation.startswith("list_") else answer


def role_assignments(place: Place, member: str, *, admin: bool) -> str:
    """Return the roles that a member, given as a token, is to be assigned, and their scopes, as JSON.

    The parts in capitals are not in a URL: ids of the subscription to Azure and names of resource groups.
    """
    namespace = place.namespace.partition(".")[0].partition(":")[0]
    group = "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP/providers"
    topic = f"{group}/Microsoft.ServiceBus/namespaces/{namespace}/topics/{place.topic}"
    storage = f"{group}/Microsoft.Storage/storageAccounts/{place.account}"
    roles = {
        "Azure Service Bus Data Sender": topic,
        "Azure Service Bus Data Receiver": f"{topic}/subscriptions/{place.inbox(member)}",
    }
    if admin:
        roles = {"Azure Service Bus Data Owner": topic}
    roles["Storage Blob Data Contributor"] = f"{storage}/blobServices/default/containers/{place.container}"
    return json.dumps([{"role": role, "scope": scope} for role, scope in roles.items()], indent=2)

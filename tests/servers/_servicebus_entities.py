"""Topics, queues, subscriptions and rules of a Service Bus namespace, and who may be called what: no protocol in here.

Owns the entities. Their messages, locks and dead letters are the business of `_servicebus_messages.py`.
Names are compared without regard to case, as there; whatever this stand-in does not do, it refuses (`NotSupported`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.servers._servicebus_store import Store

FOREVER = timedelta(days=10675199, hours=2, minutes=48, seconds=5, microseconds=477580)
DEAD_LETTERS = "/$DeadLetterQueue"
DEFAULT_RULE = "$Default"


class NamespaceError(Exception):
    """What a namespace refuses."""


class NotFound(NamespaceError):  # noqa: N818 - as the status of HTTP is called
    """There is no such entity, or not of that kind; in the words by which npm's client knows it."""

    def __init__(self, path: str) -> None:
        super().__init__(f"The messaging entity '{path}' could not be found.")


class Exists(NamespaceError):  # noqa: N818
    """There is one of that name."""


class Invalid(NamespaceError):  # noqa: N818
    """A name or a setting that a namespace does not take."""


class NotSupported(NamespaceError):  # noqa: N818
    """A namespace can, this stand-in cannot."""


@dataclass(frozen=True)
class Correlation:
    """A filter that a message passes if each given field equals the message's own; none given: it passes everything.

    `label` is what newer clients call the subject; `properties` are the application's.
    """

    correlation_id: str | None = None
    message_id: str | None = None
    to: str | None = None
    reply_to: str | None = None
    label: str | None = None
    session_id: str | None = None
    reply_to_session_id: str | None = None
    content_type: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    def passes(self, message: Correlation) -> bool:
        """Tell whether a message with these fields passes."""
        for entry in fields(self):
            wanted = getattr(self, entry.name)
            if entry.name != "properties" and wanted is not None and wanted != getattr(message, entry.name):
                return False
        nothing = object()
        return all(message.properties.get(name, nothing) == value for name, value in self.properties.items())


@dataclass(frozen=True)
class Rule:
    """A subscription takes what passes one of its rules: `filter` is a `Correlation`, or None for the true filter."""

    name: str = DEFAULT_RULE
    filter: Correlation | None = None


@dataclass(frozen=True)
class Settings:
    """What an entity is set to; each kind heeds its own part, and `extra` (JSON) belongs to the front that set it."""

    lock_duration: timedelta = timedelta(minutes=1)
    max_delivery_count: int = 10
    time_to_live: timedelta = FOREVER
    dead_lettering_on_expiration: bool = False
    duplicate_detection: bool = False
    duplicate_detection_window: timedelta = timedelta(minutes=10)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `Invalid` for what a namespace does not take; brief locks and windows it is not asked to refuse."""
        for name, most in (
            ("lock_duration", timedelta(minutes=5)),
            ("duplicate_detection_window", timedelta(days=7)),
            ("time_to_live", FOREVER),
        ):
            if not timedelta(0) < getattr(self, name) <= most:
                raise Invalid(f"{name} must be above 0 and at most {most}, got {getattr(self, name)}")
        if not 1 <= self.max_delivery_count <= 2000:
            raise Invalid(f"max_delivery_count must be within 1..2000, got {self.max_delivery_count}")

    def dump(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), default=lambda span: [span // timedelta(microseconds=1)])

    @classmethod
    def load(cls, text: str) -> Settings:
        """Return what `dump` made a text of."""
        found = json.loads(text)
        return cls(**{k: timedelta(microseconds=v[0]) if isinstance(v, list) else v for k, v in found.items()})


@dataclass(frozen=True)
class Entity:
    """A topic, queue or subscription (`kind`), as it is now.

    `path` is what clients open: `TOPIC`, `QUEUE` or `TOPIC/Subscriptions/NAME`.
    """

    kind: str
    name: str
    path: str
    settings: Settings
    created: datetime
    updated: datetime


@dataclass(frozen=True)
class Counts:
    """Messages of a queue or subscription (of all of a topic's subscriptions: their bytes only)."""

    active: int
    dead_letters: int
    size_in_bytes: int


def subscription_path(topic: str, name: str) -> str:
    """Return what clients open."""
    return f"{topic}/Subscriptions/{name}"


class Namespace:
    """The entities of a namespace; every method may be called from any thread.

    Parameters
    ----------
    store : Store, default=None
        Where they are kept; in memory without.
    """

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or Store()
        self.on_change: Callable[[], None] = lambda: None
        """Called after an entity was made, changed or deleted, in the thread that did it."""

    # -- topics and queues -------------------------------------------------------------------------------------------

    def create_topic(self, name: str, settings: Settings | None = None) -> Entity:
        """Make a topic; raise `Exists` where there is one, or a queue of that name."""
        return self._create("topic", name, name, None, settings or Settings())

    def topic(self, name: str) -> Entity:
        """Return a topic; raise `NotFound`."""
        return self._get("topic", name)

    def topics(self) -> list[Entity]:
        """Return all topics, by name."""
        return self._list("topic", None)

    def update_topic(self, name: str, settings: Settings) -> Entity:
        """Give a topic other settings; raise `NotFound`, or `Invalid` for what cannot change."""
        return self._update("topic", name, settings)

    def delete_topic(self, name: str) -> None:
        """Remove a topic with its subscriptions and their messages; raise `NotFound`."""
        self._delete("topic", name)

    def create_queue(self, name: str, settings: Settings | None = None) -> Entity:
        """Make a queue; raise `Exists` where there is one, or a topic of that name."""
        return self._create("queue", name, name, None, settings or Settings())

    def queue(self, name: str) -> Entity:
        """Return a queue; raise `NotFound`."""
        return self._get("queue", name)

    def queues(self) -> list[Entity]:
        """Return all queues, by name."""
        return self._list("queue", None)

    def update_queue(self, name: str, settings: Settings) -> Entity:
        """Give a queue other settings; raise `NotFound`, or `Invalid` for what cannot change."""
        return self._update("queue", name, settings)

    def delete_queue(self, name: str) -> None:
        """Remove a queue with its messages; raise `NotFound`."""
        self._delete("queue", name)

    # -- subscriptions and rules -------------------------------------------------------------------------------------

    def create_subscription(
        self, topic: str, name: str, settings: Settings | None = None, rule: Rule | None = None
    ) -> Entity:
        """Make a subscription with one rule, the true filter unless given; raise `NotFound` (topic), `Exists`."""
        with self.store.turn():
            parent = self._get("topic", topic)
            path = subscription_path(parent.name, name)
            made = self._create("subscription", name, path, parent.path, settings or Settings())
            self._create_rule(path, rule or Rule())
        return made

    def subscription(self, topic: str, name: str) -> Entity:
        """Return a subscription; raise `NotFound`, for its topic, too."""
        self._get("topic", topic)
        return self._get("subscription", subscription_path(topic, name))

    def subscriptions(self, topic: str) -> list[Entity]:
        """Return all subscriptions of a topic, by name; raise `NotFound`."""
        return self._list("subscription", self._get("topic", topic).path)

    def update_subscription(self, topic: str, name: str, settings: Settings) -> Entity:
        """Give a subscription other settings; raise `NotFound`."""
        return self._update("subscription", subscription_path(topic, name), settings)

    def delete_subscription(self, topic: str, name: str) -> None:
        """Remove a subscription with its messages; raise `NotFound`."""
        self._delete("subscription", subscription_path(topic, name))

    def create_rule(self, topic: str, subscription: str, rule: Rule) -> Rule:
        """Give a subscription one more rule; raise `NotFound`, `Exists`."""
        found = self.subscription(topic, subscription)
        self._create_rule(found.path, rule)
        return self.rule(topic, subscription, rule.name)

    def rule(self, topic: str, subscription: str, name: str) -> Rule:
        """Return a rule; raise `NotFound`."""
        for rule in self.rules(topic, subscription):
            if rule.name.lower() == name.lower():
                return rule
        raise NotFound(f"{subscription_path(topic, subscription)}/Rules/{name}")

    def rules(self, topic: str, subscription: str) -> list[Rule]:
        """Return all rules of a subscription, by name; raise `NotFound`."""
        return self.rules_of(self.subscription(topic, subscription).path)

    def update_rule(self, topic: str, subscription: str, rule: Rule) -> Rule:
        """Give the rule of that name another filter; raise `NotFound`."""
        with self.store.turn():
            self.delete_rule(topic, subscription, rule.name)
            return self.create_rule(topic, subscription, rule)

    def delete_rule(self, topic: str, subscription: str, name: str) -> None:
        """Remove a rule; raise `NotFound`."""
        self.rule(topic, subscription, name)
        path = self.subscription(topic, subscription).path
        with self.store.turn() as rows:
            rows.execute("DELETE FROM entities WHERE path = ?", (f"{path}/Rules/{name}",))

    # -- by path, for a front that delivers --------------------------------------------------------------------------

    def entity(self, path: str) -> Entity:
        """Return the topic, queue or subscription at a path; raise `NotFound`."""
        with self.store.turn() as rows:
            row = rows.execute("SELECT * FROM entities WHERE path = ? AND kind != 'rule'", (path,)).fetchone()
        if row is None:
            raise NotFound(path)
        stamps = (datetime.fromtimestamp(row[at], UTC) for at in ("created", "updated"))
        return Entity(row["kind"], row["name"], row["path"], Settings.load(row["settings"]), *stamps)

    def rules_of(self, path: str) -> list[Rule]:
        """Return all rules of the subscription at a path, by name."""
        with self.store.turn() as rows:
            found = rows.execute(
                "SELECT name, settings FROM entities WHERE kind = 'rule' AND parent = ? ORDER BY name", (path,)
            ).fetchall()
        loaded = [(row["name"], json.loads(row["settings"])) for row in found]
        return [Rule(name, None if wanted is None else Correlation(**wanted)) for name, wanted in loaded]

    def counts(self, path: str) -> Counts:
        """Return how much waits at a path; raise `NotFound`."""
        path = self.entity(path).path
        with self.store.turn() as rows:
            active, dead, size = rows.execute(
                "SELECT total(path = :p AND NOT dead), total(path = :p AND dead), total(length(data)) FROM messages"
                " WHERE path = :p OR path IN (SELECT path FROM entities WHERE parent = :p)",
                {"p": path},
            ).fetchone()
        return Counts(int(active), int(dead), int(size))

    # -- rows --------------------------------------------------------------------------------------------------------

    def _create(self, kind: str, name: str, path: str, parent: str | None, settings: Settings) -> Entity:
        _check_name(kind, name)
        settings.check()
        with self.store.turn():
            self._insert(kind, name, path, parent, settings.dump())
            made = self.entity(path)
        self.on_change()
        return made

    def _create_rule(self, path: str, rule: Rule) -> None:
        _check_name("rule", rule.name)
        text = json.dumps(None if rule.filter is None else asdict(rule.filter))
        self._insert("rule", rule.name, f"{path}/Rules/{rule.name}", path, text)

    def _insert(self, kind: str, name: str, path: str, parent: str | None, text: str) -> None:
        now = self.store.clock()
        with self.store.turn() as rows:
            if rows.execute("SELECT 1 FROM entities WHERE path = ?", (path,)).fetchone():
                raise Exists(f"{kind} {path!r}")
            rows.execute(
                "INSERT INTO entities VALUES (?, ?, ?, ?, ?, ?, ?)", (path, kind, parent, name, text, now, now)
            )

    def _get(self, kind: str, path: str) -> Entity:
        found = self.entity(path)
        if found.kind != kind:
            raise NotFound(path)
        return found

    def _list(self, kind: str, parent: str | None) -> list[Entity]:
        with self.store.turn() as rows:
            found = rows.execute(
                "SELECT path FROM entities WHERE kind = ? AND parent IS ? ORDER BY path", (kind, parent)
            ).fetchall()
            return [self.entity(row["path"]) for row in found]

    def _update(self, kind: str, path: str, settings: Settings) -> Entity:
        settings.check()
        with self.store.turn() as rows:
            before = self._get(kind, path)
            if before.settings.duplicate_detection != settings.duplicate_detection:
                raise Invalid(f"duplicate detection of a {kind} cannot change")
            rows.execute(
                "UPDATE entities SET settings = ?, updated = ? WHERE path = ?",
                (settings.dump(), self.store.clock(), path),
            )
            made = self.entity(path)
        self.on_change()
        return made

    def _delete(self, kind: str, path: str) -> None:
        with self.store.turn() as rows:
            gone = [self._get(kind, path).path]
            gone += [entity.path for entity in self._list("subscription", gone[0])]
            for each in gone:
                rows.execute("DELETE FROM messages WHERE path = ?", (each,))
                rows.execute("DELETE FROM seen WHERE path = ?", (each,))
                rows.execute("DELETE FROM entities WHERE path = ?", (each,))
                rows.execute("DELETE FROM entities WHERE kind = 'rule' AND parent = ?", (each,))
        self.on_change()


def _check_name(kind: str, name: str) -> None:
    most, inside = {"topic": (260, "/"), "queue": (260, "/")}.get(kind, (50, ""))
    if kind == "rule" and name == DEFAULT_RULE:
        return
    if not 1 <= len(name) <= most or not re.fullmatch(rf"[A-Za-z0-9]([A-Za-z0-9._{inside}-]*[A-Za-z0-9_])?", name):
        raise Invalid(
            f"a {kind} has a name of at most {most} letters, digits, '.', '-' and '_', beginning with a letter or digit"
        )

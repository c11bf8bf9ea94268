"""The messages of a Service Bus namespace: sent, filtered, locked, settled, delivered again, dead-lettered, expired.

Owns what happens to a message between its sender and the receiver that completes it; bytes and fields come from a front
that knows the protocol. What happens by time happens in `due`, which says when to come again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from tests.servers._servicebus_entities import (
    DEAD_LETTERS,
    FOREVER,
    Correlation,
    Entity,
    Namespace,
    NamespaceError,
    NotFound,
    NotSupported,
)

MOST_BYTES = 256 * 1024


class TooLarge(NamespaceError):  # noqa: N818 - as its siblings
    """More bytes than a message, or a batch of them, may have."""


class LockLost(NamespaceError):  # noqa: N818
    """There is no such lock: it has expired, or its message was settled."""


class Line(NamedTuple):
    """What waits at a queue or subscription, or at its dead letters."""

    path: str
    dead: bool


@dataclass(frozen=True)
class Sent:
    """A message as it comes: its bytes, what filters see of it, and how long it asks to live."""

    data: bytes
    fields: Correlation
    time_to_live: timedelta | None = None


@dataclass(frozen=True)
class Waiting:
    """A message as it waits; times are seconds since the epoch, `origin` is its sequence number at the topic."""

    line: Line
    sequence: int
    data: bytes
    origin: int
    enqueued: float
    count: int
    token: UUID | None
    locked_until: float | None
    reason: str | None
    description: str | None


class Messages:
    """The messages of a namespace; every method may be called from any thread.

    Parameters
    ----------
    namespace : Namespace
    """

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._store = namespace.store
        self.on_ready: Callable[[Line], None] = lambda _: None
        """Called when something can be received from a line that was not before, in the thread that did it."""
        self.on_clock: Callable[[], None] = lambda: None
        """Called when `due` has something new to wait for: a lock or a life that ends."""

    def entrance(self, address: str) -> Entity:
        """Return the topic or queue that is sent to; raise `NotFound`."""
        entity = self._namespace.entity(address)
        if entity.kind == "subscription":
            raise NotFound(address)
        return entity

    def line(self, address: str) -> Line:
        """Return what a receiver of an address gets; raise `NotFound`, also for a topic, which nobody receives from."""
        dead = address.lower().endswith(DEAD_LETTERS.lower())
        entity = self.exists(address)
        if entity.kind == "topic":
            raise NotFound(address)
        return Line(entity.path, dead)

    def exists(self, address: str) -> Entity:
        """Return the entity of an address, which may be one of dead letters; raise `NotFound`."""
        dead = address.lower().endswith(DEAD_LETTERS.lower())
        return self._namespace.entity(address[: -len(DEAD_LETTERS)] if dead else address)

    # -- in ----------------------------------------------------------------------------------------------------------

    def send(self, path: str, batch: Sequence[Sent]) -> None:
        """Take messages for a topic or queue, all or none; raise `NotFound`, `TooLarge`."""
        if sum(len(sent.data) for sent in batch) > MOST_BYTES:
            raise TooLarge(f"more than {MOST_BYTES} bytes")
        with self._store.turn() as rows:
            entity = self.entrance(path)
            lines = self._namespace.subscriptions(entity.name) if entity.kind == "topic" else [entity]
            filters = {line.path: self._namespace.rules_of(line.path) for line in lines}
            origin = int(rows.execute("SELECT ifnull(max(seq), 0) FROM sqlite_sequence").fetchone()[0])
            reached = set()
            for sent in batch:
                if self._duplicate(rows, entity, sent.fields.message_id):
                    continue
                origin += 1
                for line in lines:
                    passes = (rule.filter is None or rule.filter.passes(sent.fields) for rule in filters[line.path])
                    if line is entity or any(passes):
                        self._insert(rows, line, sent, origin, entity.settings.time_to_live)
                        reached.add(line.path)
        for reached_path in sorted(reached):
            self.on_ready(Line(reached_path, dead=False))
        self.on_clock()

    def _duplicate(self, rows: sqlite3.Connection, entity: Entity, message_id: str | None) -> bool:
        if not entity.settings.duplicate_detection or message_id is None:
            return False
        now = self._store.clock()
        oldest = now - entity.settings.duplicate_detection_window.total_seconds()
        rows.execute("DELETE FROM seen WHERE path = ? AND at <= ?", (entity.path, oldest))
        added = rows.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (entity.path, message_id, now))
        return added.rowcount == 0

    def _insert(self, rows: sqlite3.Connection, line: Entity, sent: Sent, origin: int, most: timedelta) -> None:
        now = self._store.clock()
        lives = min(sent.time_to_live or FOREVER, most, line.settings.time_to_live)
        rows.execute(
            "INSERT INTO messages (path, data, origin, enqueued, expires) VALUES (?, ?, ?, ?, ?)",
            (line.path, sent.data, origin, now, None if lives >= FOREVER else now + lives.total_seconds()),
        )

    # -- out ---------------------------------------------------------------------------------------------------------

    def lock(self, line: Line, most: int) -> list[Waiting]:
        """Lend the next messages to one receiver, each for the lock duration; raise `NotFound`."""
        self.due()
        with self._store.turn() as rows:
            until = self._store.clock() + self._entity(line).settings.lock_duration.total_seconds()
            found = self._next(rows, line, most)
            for sequence in found:
                rows.execute(
                    "UPDATE messages SET token = ?, locked_until = ? WHERE sequence = ?",
                    (str(uuid4()), until, sequence),
                )
            lent = [self._waiting(rows, sequence) for sequence in found]
        if lent:
            self.on_clock()
        return lent

    def take(self, line: Line, most: int) -> list[Waiting]:
        """Return the next messages, which are gone with it; raise `NotFound`."""
        self.due()
        with self._store.turn() as rows:
            self._entity(line)
            found = [self._waiting(rows, sequence) for sequence in self._next(rows, line, most)]
            for waiting in found:
                rows.execute("DELETE FROM messages WHERE sequence = ?", (waiting.sequence,))
        return found

    def peek(self, line: Line, sequence: int, most: int) -> list[Waiting]:
        """Return messages from a sequence number on, locked or not, without lending them; raise `NotFound`."""
        self.due()
        with self._store.turn() as rows:
            self._entity(line)
            found = rows.execute(
                "SELECT sequence FROM messages WHERE path = ? AND dead = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
                (*line, sequence, most),
            ).fetchall()
            return [self._waiting(rows, row["sequence"]) for row in found]

    # -- settled -----------------------------------------------------------------------------------------------------

    def complete(self, line: Line, token: UUID) -> None:
        """Remove a message; raise `LockLost`."""
        with self._store.turn() as rows:
            rows.execute("DELETE FROM messages WHERE sequence = ?", (self._held(rows, line, token).sequence,))

    def abandon(self, line: Line, token: UUID) -> None:
        """Have a message delivered again, or dead-lettered if it was too often; raise `LockLost`."""
        with self._store.turn() as rows:
            waiting = self._held(rows, line, token)
            reached = self._failed(rows, waiting)
        self.on_ready(reached)

    def release(self, line: Line, token: UUID) -> None:
        """Have a message delivered again as if it had not been; raise `LockLost`."""
        with self._store.turn() as rows:
            self._unlock(rows, self._held(rows, line, token).sequence)
        self.on_ready(line)

    def dead_letter(self, line: Line, token: UUID, reason: str | None, description: str | None) -> None:
        """Put a message to the dead letters; raise `LockLost`, and `NotSupported` where it is one."""
        if line.dead:
            raise NotSupported("to dead-letter a dead letter")
        with self._store.turn() as rows:
            self._bury(rows, self._held(rows, line, token).sequence, reason, description)
        self.on_ready(line._replace(dead=True))

    def renew(self, line: Line, token: UUID) -> float:
        """Begin the lock duration anew, and return when it ends; raise `LockLost`."""
        with self._store.turn() as rows:
            waiting = self._held(rows, line, token)
            until = self._store.clock() + self._entity(line).settings.lock_duration.total_seconds()
            rows.execute("UPDATE messages SET locked_until = ? WHERE sequence = ?", (until, waiting.sequence))
        return until

    # -- by time -----------------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """End locks and lives whose time has come, and return when the next one's comes, if there is one."""
        now, reached = self._store.clock(), set()
        with self._store.turn() as rows:
            for row in rows.execute("SELECT sequence FROM messages WHERE locked_until <= ?", (now,)).fetchall():
                reached.add(self._failed(rows, self._waiting(rows, row["sequence"])))
            expired = "SELECT sequence FROM messages WHERE expires <= ? AND token IS NULL AND NOT dead"
            for row in rows.execute(expired, (now,)).fetchall():
                reached |= self._expired(rows, self._waiting(rows, row["sequence"]))
            upcoming: float | None = rows.execute(
                "SELECT min(at) FROM (SELECT min(locked_until) AS at FROM messages UNION ALL"
                " SELECT min(expires) FROM messages WHERE token IS NULL AND NOT dead)"
            ).fetchone()[0]
        for line in sorted(reached):
            self.on_ready(line)
        return upcoming

    def _failed(self, rows: sqlite3.Connection, waiting: Waiting) -> Line:
        count = waiting.count + 1
        rows.execute("UPDATE messages SET count = ? WHERE sequence = ?", (count, waiting.sequence))
        if waiting.line.dead or count < self._entity(waiting.line).settings.max_delivery_count:
            self._unlock(rows, waiting.sequence)
            return waiting.line
        told = f"The message could not be consumed after {count} delivery attempts."
        self._bury(rows, waiting.sequence, "MaxDeliveryCountExceeded", told)
        return waiting.line._replace(dead=True)

    def _expired(self, rows: sqlite3.Connection, waiting: Waiting) -> set[Line]:
        if self._entity(waiting.line).settings.dead_lettering_on_expiration:
            self._bury(rows, waiting.sequence, "TTLExpiredException", "The message expired and was dead lettered.")
            return {waiting.line._replace(dead=True)}
        rows.execute("DELETE FROM messages WHERE sequence = ?", (waiting.sequence,))
        return set()

    # -- rows --------------------------------------------------------------------------------------------------------

    def _entity(self, line: Line) -> Entity:
        return self._namespace.entity(line.path)

    def _next(self, rows: sqlite3.Connection, line: Line, most: int) -> list[int]:
        found = rows.execute(
            "SELECT sequence FROM messages WHERE path = ? AND dead = ? AND token IS NULL ORDER BY sequence LIMIT ?",
            (*line, most),
        ).fetchall()
        return [row["sequence"] for row in found]

    def _waiting(self, rows: sqlite3.Connection, sequence: int) -> Waiting:
        row = rows.execute("SELECT * FROM messages WHERE sequence = ?", (sequence,)).fetchone()
        return Waiting(
            Line(row["path"], bool(row["dead"])),
            row["sequence"],
            row["data"],
            row["origin"],
            row["enqueued"],
            row["count"],
            None if row["token"] is None else UUID(row["token"]),
            row["locked_until"],
            row["reason"],
            row["description"],
        )

    def _held(self, rows: sqlite3.Connection, line: Line, token: UUID) -> Waiting:
        row = rows.execute(
            "SELECT sequence FROM messages WHERE token = ? AND path = ? AND dead = ? AND locked_until > ?",
            (str(token), *line, self._store.clock()),
        ).fetchone()
        if row is None:
            raise LockLost("the lock has expired, or the message was settled already")
        return self._waiting(rows, row["sequence"])

    @staticmethod
    def _unlock(rows: sqlite3.Connection, sequence: int) -> None:
        rows.execute("UPDATE messages SET token = NULL, locked_until = NULL WHERE sequence = ?", (sequence,))

    def _bury(self, rows: sqlite3.Connection, sequence: int, reason: str | None, description: str | None) -> None:
        self._unlock(rows, sequence)
        rows.execute(
            "UPDATE messages SET dead = 1, reason = ?, description = ? WHERE sequence = ?",
            (reason, description, sequence),
        )

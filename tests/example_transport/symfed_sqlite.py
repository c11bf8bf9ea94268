"""``sqlite:///path``: a federation whose carrier is one SQLite file, for processes on one machine."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports import Delivery, Transport


class SqliteTransport(Transport):
    """A mailbox in a table; SQLite's own transactions make each message visible as a whole or not at all."""

    def __init__(self, url: str, member: str, *, create: bool = False) -> None:
        super().__init__(url, member, max_payload=100_000_000)
        path = Path(url.removeprefix("sqlite://"))
        if not create and not path.exists():
            raise TransportError(f"Got no file at {url}, but expected the one that the founder made.")
        with self._translated():
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._do("CREATE TABLE IF NOT EXISTS inboxes (member TEXT PRIMARY KEY)")
            self._do("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, member TEXT, data BLOB)")
            if create:
                self.require_empty(row[0] for row in self._do("SELECT member FROM inboxes"))
        self._prepare(self.member)

    def _publish(self, data: bytes, to: str | None) -> None:
        whom, name = ("member != ?", self.member) if to is None else ("member = ?", to)
        self._do(f"INSERT INTO messages (member, data) SELECT member, ? FROM inboxes WHERE {whom}", data, name)

    def _receive(self, limit: int) -> list[Delivery]:
        rows = self._do("SELECT data, id FROM messages WHERE member = ? ORDER BY id LIMIT ?", self.member, limit)
        return [Delivery(*row) for row in rows]

    def _ack(self, delivery: Delivery) -> None:
        self._do("DELETE FROM messages WHERE id = ?", delivery.receipt)

    def _prepare(self, member: str) -> None:
        self._do("INSERT OR IGNORE INTO inboxes VALUES (?)", member)

    def _discard(self, member: str) -> None:
        self._do("DELETE FROM inboxes WHERE member = ?", member)
        self._do("DELETE FROM messages WHERE member = ?", member)

    def _close(self) -> None:
        self._connection.close()

    def _do(self, statement: str, *values: object) -> list[tuple]:
        with self._translated():
            return self._connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Let no error of the library through: it could quote what the message holds."""
        try:
            yield
        except sqlite3.Error as error:
            raise TransportError(
                f"Got {type(error).__name__} from {self.url}, but expected a file of SQLite."
            ) from None

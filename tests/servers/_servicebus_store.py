"""The tables in which the Service Bus of the tests keeps everything: SQLite, so that a killed server finds it again.

Owns the file, its tables and whose turn it is; what the rows mean is the business of the modules beside this one.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TABLES = """
CREATE TABLE IF NOT EXISTS entities (
    path TEXT PRIMARY KEY COLLATE NOCASE, kind TEXT NOT NULL, parent TEXT COLLATE NOCASE, name TEXT NOT NULL,
    settings TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL COLLATE NOCASE, dead INTEGER NOT NULL DEFAULT 0,
    data BLOB NOT NULL, origin INTEGER NOT NULL, enqueued REAL NOT NULL, expires REAL, count INTEGER NOT NULL DEFAULT 0,
    token TEXT UNIQUE, locked_until REAL, reason TEXT, description TEXT);
CREATE INDEX IF NOT EXISTS lines ON messages (path, dead, sequence);
CREATE INDEX IF NOT EXISTS locks ON messages (locked_until) WHERE locked_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS lives ON messages (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS seen (
    path TEXT NOT NULL COLLATE NOCASE, message_id TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (path, message_id));
"""


class Store:
    """Rows, for one thread at a time.

    Parameters
    ----------
    file : Path, default=None
        Where they outlive this process; in memory without.
    clock : callable, default=time.time
        Returns seconds since the epoch.
    """

    def __init__(self, file: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._turn = threading.RLock()
        self._depth = 0
        self._rows = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False)
        self._rows.row_factory = sqlite3.Row
        # A killed process loses nothing that the operating system has; a power cut is not what the tests are about.
        self._rows.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {TABLES}")

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection: what is done with it inside happens at once, or not at all."""
        with self._turn:
            outermost = self._depth == 0
            self._depth += 1
            try:
                if outermost:
                    self._rows.execute("BEGIN IMMEDIATE")
                yield self._rows
            except BaseException:
                if outermost:
                    self._rows.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._rows.execute("COMMIT")
            finally:
                self._depth -= 1

    def close(self) -> None:
        """Let the file go."""
        with self._turn:
            self._rows.close()

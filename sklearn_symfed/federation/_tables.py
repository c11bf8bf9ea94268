"""The tables of a node's database, the version of their format, and a database's way into the hands of one process.

The lock is SQLite's own, which the kernel releases when a process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from sklearn_symfed.exceptions import FormatError, StoreError
from sklearn_symfed.federation._home import sweep

__all__ = ["connected", "create", "take"]

_APPLICATION = 0x73796D66
_FORMAT = 3
_SINCE = "0.1.0"
"""The release that brought this format."""

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value)",
    "CREATE TABLE batches (id TEXT PRIMARY KEY, digest TEXT)",  # of a batch that was forgotten the digest is NULL
    "CREATE TABLE sources (id TEXT PRIMARY KEY, digest TEXT, psr BLOB, origins BLOB)",
    "CREATE TABLE slots (member TEXT PRIMARY KEY, entry BLOB, psr BLOB)",
    "CREATE TABLE words (member TEXT PRIMARY KEY, seq INTEGER, view BLOB, heard REAL)",
    """CREATE TABLE releases (id INTEGER PRIMARY KEY, at REAL, federation TEXT, incarnation INTEGER, version INTEGER,
    n_rows INTEGER, digest TEXT, learned INTEGER, forgotten INTEGER, turnover BLOB, psr BLOB)""",
    "CREATE INDEX releases_by_digest ON releases (digest)",
    "CREATE TABLE refusals (id INTEGER PRIMARY KEY, at REAL, member TEXT, reason TEXT)",
)


def connected(path: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def create(path: Path) -> None:
    """Make a database with empty tables, whole and synced once this returns."""
    with contextlib.closing(connected(path)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
        _fill(connection)
        connection.execute("COMMIT")


def _fill(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("CREATE TABLE format (since TEXT)")
    connection.execute("INSERT INTO format VALUES (?)", (_SINCE,))


def take(connection: sqlite3.Connection, folder: Path | None, *, must_exist: bool) -> None:
    """Take the database for this process alone, and check whose it is; one without tables is new."""
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("BEGIN EXCLUSIVE")
    application, version, tables = (
        connection.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    if tables == 0 and application == 0 and not must_exist:
        _fill(connection)
    elif application != _APPLICATION:
        raise StoreError(f"Got home {str(folder)!r}, whose database is not a node's.")
    elif version != _FORMAT:
        advice = "it was made by an early release and has to be made anew"
        if version > _FORMAT:
            since = connection.execute("SELECT since FROM format").fetchone()[0]
            advice = f"install sklearn-symfed {since} or later"
        raise FormatError(f"Got a home of format {version}, but this release reads format {_FORMAT}; {advice}.")
    connection.execute("COMMIT")
    if folder is not None:
        sweep(folder)

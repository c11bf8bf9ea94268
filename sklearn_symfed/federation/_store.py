"""A node's database: one SQLite file that survives being killed at any point.

Owns what is one transaction: a batch and its statistics; a version before it is sent; a slot before its message is
acknowledged.  The tables, and the exclusive use by one process, are `_tables`.
It knows claims and statistics, and no rule of the join; what is secret in it is sealed by its caller, under a key that
lies in a file of its own (`_home`).  Without a home the same database lives in memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from sklearn_symfed.exceptions import FederationError, HomeInUseError, StoreError, SymfedError
from sklearn_symfed.federation._claims import read_entry, read_view, view_bytes
from sklearn_symfed.federation._differencing import Turnover
from sklearn_symfed.federation._home import DATABASE, place, prepare, presence, read_seed, write_seed
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._ledger import Ledger
from sklearn_symfed.federation._slots import Slot, Word
from sklearn_symfed.federation._tables import connected, create, take
from sklearn_symfed.psr import PSR

__all__ = ["Store"]

_REFUSALS = 1000
_SURROGATE = re.compile("[\ud800-\udfff]")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Store:
    """What a node knows, on disk: `Store.open` makes one.

    Attributes
    ----------
    home : Path or None
        The folder; None for a store in memory.
    local : PSR or None
        What this node has learned; None until it has learned anything.
    n_dropped : int
        Rows of what it has learned that were left out, as they were outside of a range.
    ledger : Ledger
        What this node has released, and how many rows it ever learned and forgot.
    """

    def __init__(self, connection: sqlite3.Connection, home: Path | None) -> None:
        self.home = home
        self._connection = connection
        self._check_presence: Callable[[], None] = (lambda: None) if home is None else presence(home)
        self._lock = threading.RLock()
        self._identity: Identity | None = None
        weakref.finalize(self, connection.close)  # a store that nobody holds any more lets go of its home
        self._local = _undamaged(self.get("local"), self.get("local_digest"))
        self._turnover = Turnover.from_bytes(self.get("turnover"))
        self.n_dropped: int = self.get("n_dropped") or 0

    @classmethod
    def open(cls, home: str | os.PathLike[str] | None = None, *, must_exist: bool = False) -> Self:
        """Open a node's home, and create it if it is missing and its parent is there.

        Parameters
        ----------
        home : path-like, default=None
            A folder of this node alone; None keeps everything in memory.
        must_exist : bool, default=False
            Whether a home has to be there already.

        Raises
        ------
        HomeInUseError
            If another process or object uses it.
        StoreError
            If it is no home, or damaged, or cannot be read and written.
        FormatError
            If a newer release wrote it.
        """
        if home is not None and not isinstance(home, str | os.PathLike):
            raise StoreError(f"Got a home of type {type(home).__name__}, but expected the path of a folder.")
        folder = None if home is None else Path(home)
        with _translated(folder, "a folder that this process can create, read and write"):
            if folder is not None:
                prepare(folder, must_exist=must_exist)
                if not (folder / DATABASE).exists():
                    with place(folder) as new:
                        create(new)
            connection = connected(":memory:" if folder is None else folder / DATABASE)
            try:
                take(connection, folder, must_exist=must_exist)
                return cls(connection, folder)
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Let go of the home; what was committed stays.  Doing so twice does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside durable as a whole, or not at all; may be nested."""
        with self._lock, _translated(self.home, "an open home with room to write"):
            if self._connection.in_transaction:
                yield
                return
            before = self._local, self._turnover, self.n_dropped
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._check_presence()  # a database that was deleted takes everything in, for nobody to find
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                self._local, self._turnover, self.n_dropped = before
                raise

    # -- learning ----------------------------------------------------------------------------------------------------

    @property
    def local(self) -> PSR | None:
        return self._local

    @property
    def ledger(self) -> Ledger:
        return Ledger(self._rows, self._write, self._turnover)

    @property
    def batches(self) -> dict[str, str]:
        """The batches that were learned by name and not forgotten: identifier -> digest of the batch."""
        return dict(self._rows("SELECT id, digest FROM batches WHERE digest IS NOT NULL"))

    def learn(self, psr: PSR, batch_id: str | None = None, n_dropped: int = 0) -> bool:
        """Add the statistics of a batch to the local PSR, exactly once if the batch has a name.

        Parameters
        ----------
        psr : PSR
        batch_id : str, default=None
            Its name.
        n_dropped : int, default=0
            Rows of the batch that were left out, which are counted along.

        Returns
        -------
        learned : bool
            False if this very batch was learned before; nothing changes then.

        Raises
        ------
        FederationError
            If other rows were learned under this name.
        SchemaError
            If the columns do not match what was learned before.
        """
        with self._lock:
            known = self._digest_of(batch_id)
            if known == psr.digest:
                return False
            if known is not None:
                raise FederationError(f"Got other rows for batch_id={batch_id!r} than were learned under that name.")
            local = psr if self._local is None else self._local + psr
            with self.transaction():
                if batch_id is not None:
                    self._execute("INSERT OR REPLACE INTO batches VALUES (?, ?)", batch_id, psr.digest)
                turnover = self._write_local(local, self._turnover.learned(psr))
                self._write_dropped(self.n_dropped + n_dropped)
            self._local, self._turnover = local, turnover
            return True

    def forget(self, psr: PSR, batch_id: str | None = None, n_dropped: int = 0) -> bool:
        """Subtract the statistics of a batch, and its name if it has one.

        A batch that was learned by name is to be forgotten by name: without it the rows go, but the name stays, and
        learning the batch again under that name does nothing.

        Returns
        -------
        forgotten : bool
            False if the batch of this name was forgotten before; nothing changes then, so that a repeated call does no
            harm.

        Raises
        ------
        FederationError
            If nothing, or other rows, were learned under this name.
        ForgetError
            If these rows cannot have been learned.
        """
        with self._lock:
            known = self._digest_of(batch_id)
            if batch_id is not None and known is None:
                if self._rows("SELECT 1 FROM batches WHERE id = ?", batch_id):
                    return False
                raise FederationError(f"Got batch_id={batch_id!r}, under which nothing was learned here.")
            if known not in {None, psr.digest}:
                raise FederationError(f"Got other rows for batch_id={batch_id!r} than were learned under that name.")
            local = (PSR.zero(psr.schema) if self._local is None else self._local) - psr
            with self.transaction():
                if batch_id is not None:
                    self._execute("UPDATE batches SET digest = NULL WHERE id = ?", batch_id)
                turnover = self._write_local(local, self._turnover.forgotten(psr))
                self._write_dropped(max(0, self.n_dropped - n_dropped))  # a PSR may have been learned in their place
            self._local, self._turnover = local, turnover
            return True

    def reset(self, psr: PSR | None = None, n_dropped: int = 0) -> bool:
        """Drop what was learned, with all named batches, and take `psr` in its place."""
        with self._lock:
            turnover = self._turnover
            turnover = turnover if self._local is None else turnover.forgotten(self._local)
            with self.transaction():
                self._execute("UPDATE batches SET digest = NULL")
                self._execute("DELETE FROM sources")
                turnover = self._write_local(psr, turnover if psr is None else turnover.learned(psr))
                self._write_dropped(n_dropped)
            self._local, self._turnover = psr, turnover
            return True

    @property
    def sources(self) -> dict[str, bytes]:
        """Other federations whose merged statistics are among what was learned: which -> whose rows, 16 bytes each."""
        return dict(self._rows("SELECT id, origins FROM sources"))

    def learn_source(self, source: str, psr: PSR, origins: bytes) -> bool:
        """Put the statistics of another federation in the place of those that were learned of it before.

        Returns
        -------
        learned : bool
            False if they are the same.
        """
        with self._lock:
            found = self._rows("SELECT digest, psr, origins FROM sources WHERE id = ?", source)
            if found and (found[0][0], found[0][2]) == (psr.digest, origins):
                return False
            local, turnover = psr if self._local is None else self._local + psr, self._turnover.learned(psr)
            if found:
                old = _undamaged(found[0][1], found[0][0])
                assert old is not None
                local, turnover = local - old, turnover.forgotten(old)
            with self.transaction():
                row = (source, psr.digest, psr.to_bytes(), origins)
                self._execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?)", *row)
                turnover = self._write_local(local, turnover)
            self._local, self._turnover = local, turnover
            return True

    def _digest_of(self, batch_id: str | None) -> str | None:
        if batch_id is None:
            return None
        if not isinstance(batch_id, str) or not batch_id or _SURROGATE.search(batch_id):
            raise FederationError(f"Got batch_id={batch_id!r}, but expected a non-empty str of valid Unicode.")
        found = self._rows("SELECT digest FROM batches WHERE id = ?", batch_id)
        return found[0][0] if found else None

    def _write_local(self, psr: PSR | None, turnover: Turnover) -> Turnover:
        with self.transaction():
            if self.home is not None:
                self.set("local", None if psr is None else psr.to_bytes())
                self.set("local_digest", None if psr is None else psr.digest)
                self.set("turnover", turnover.to_bytes())
            if psr is not None:
                self.ledger.hold(psr, turnover)
        return turnover

    def _write_dropped(self, n_dropped: int) -> None:
        if n_dropped != self.n_dropped:
            self.set("n_dropped", n_dropped)
            self.n_dropped = n_dropped

    # -- membership and peers ----------------------------------------------------------------------------------------

    def get(self, key: str) -> Any:
        """Return a single value; None if it was never set."""
        found = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return found[0][0] if found else None

    def set(self, key: str, value: str | int | bytes | None) -> None:
        """Keep a single value."""
        with self.transaction():
            self._execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    @property
    def identity(self) -> Identity:
        """The node's keys, from the key file.

        Raises
        ------
        StoreError
            If the file is missing, not of this node alone, or not one.
        """
        if self._identity is None:
            if self.home is None:
                raise StoreError("This node has no identity yet.")
            with _translated(self.home, "its key file, readable"):
                self._identity = Identity(read_seed(self.home))
        return self._identity

    def new_identity(self, seed: bytes) -> Identity:
        """Become somebody else: the key file is on disk when this returns."""
        if self.home is not None:
            with _translated(self.home, "room for a key file"):
                write_seed(self.home, seed)
        self._identity = Identity(seed)
        return self._identity

    @property
    def slots(self) -> dict[str, Slot]:
        """What is held of each other member."""
        found = {}
        for member, blob, psr in self._rows("SELECT member, entry, psr FROM slots"):
            entry = read_entry(blob)
            found[member] = Slot(entry, _undamaged(psr, entry.mark.digest))
        return found

    def set_slot(self, member: str, slot: Slot | None) -> None:
        """Replace what is held of a member; None drops it."""
        with self.transaction():
            if slot is None:
                self._execute("DELETE FROM slots WHERE member = ?", member)
            else:
                psr = None if slot.psr is None else slot.psr.to_bytes()
                self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", member, slot.entry.to_bytes(), psr)

    @property
    def words(self) -> dict[str, Word]:
        """The newest that each other member said."""
        rows = self._rows("SELECT member, seq, view FROM words")
        return {member: Word(seq, read_view(view)) for member, seq, view in rows}

    @property
    def heard(self) -> dict[str, float]:
        """When each other member's newest message was taken in, in seconds of the node's clock."""
        return dict(self._rows("SELECT member, heard FROM words"))

    def set_word(self, member: str, word: Word | None, heard: float) -> None:
        """Replace the newest that a member said; None drops it."""
        with self.transaction():
            if word is None:
                self._execute("DELETE FROM words WHERE member = ?", member)
            else:
                row = (member, word.seq, view_bytes(word.view), heard)
                self._execute("INSERT OR REPLACE INTO words VALUES (?, ?, ?, ?)", *row)

    def forget_membership(self, keep: tuple[str, ...] = ("local", "local_digest", "turnover", "n_dropped")) -> None:
        """Drop all that belongs to a membership; what was learned stays, and the ledger of what was released."""
        with self.transaction():
            for table in ("slots", "words"):
                self._execute(f"DELETE FROM {table}")  # noqa: S608 - one of two words
            marks = ", ".join("?" * len(keep))
            self._execute(f"DELETE FROM meta WHERE key NOT IN ({marks})", *keep)  # noqa: S608 - question marks

    @property
    def refusals(self) -> list[tuple[float, str | None, str]]:
        """The newest refusals, oldest first: (when, sender if known, reason)."""
        return self._rows("SELECT at, member, reason FROM refusals ORDER BY id")

    def add_refusal(self, at: float, member: str | None, reason: str) -> None:
        """Keep a refusal; the oldest beyond a thousand go."""
        with self.transaction():
            self._execute("INSERT INTO refusals (at, member, reason) VALUES (?, ?, ?)", at, member, reason)
            self._execute("DELETE FROM refusals WHERE id <= (SELECT max(id) FROM refusals) - ?", _REFUSALS)

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._lock, _translated(self.home, "an open home that can be read"):
            return self._connection.execute(statement, values).fetchall()

    def _execute(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)

    def _write(self, statement: str, *values: object) -> None:
        with self.transaction():
            self._execute(statement, *values)


def _undamaged(blob: bytes | None, digest: str | None) -> PSR | None:
    """Return stored statistics, once it is certain that they are those that were written."""
    if blob is None:
        return None
    psr = PSR.from_bytes(blob)
    if psr.digest != digest:
        raise StoreError("Got a home whose statistics have another digest than was written: it is damaged.")
    return psr


@contextlib.contextmanager
def _translated(home: Path | None, expected: str) -> Iterator[None]:
    """Turn the errors of SQLite and the file system into a `StoreError`."""
    where = "memory" if home is None else repr(str(home))
    try:
        yield
    except SymfedError:  # a TransportError is an OSError as well
        raise
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise HomeInUseError(
                f"The home {where} is in use by another process or object; close that first."
            ) from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE or "no such" in str(error):
            raise StoreError(
                f"The home {where} is damaged, or its database is not a node's ({error}): restore a backup."
            ) from error
        raise StoreError(f"Got {str(error)!r} from the home {where}, but expected {expected}.") from error
    except (OSError, UnicodeError) as error:  # a path of lone surrogates is no name for a file
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise StoreError(f"Got {reason!r} from the home {where}, but expected {expected}.") from error

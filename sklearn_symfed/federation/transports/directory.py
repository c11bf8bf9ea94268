"""``dir:///path``: a folder that all members can reach holds one inbox folder a member.

Owns the layout: ``inbox-<escaped member>/<time>-<writer>-<unique>.msg``, each file a header (magic, length, SHA-256)
and the message.  A file is written under a temporary name, synced, renamed, and its folder synced, so a reader
sees a whole message or none.  Folders and files are open to whom the shared folder is open (`_access`).  What is not
named like a message is left alone; what is named like one but torn is set aside under another name, with one log line:
the protocol sends again what got lost.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import shutil
import stat
import struct
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from urllib.request import url2pathname

from sklearn_symfed.exceptions import SettingError, TransportError
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation.transports._access import advice, share
from sklearn_symfed.federation.transports.base import Delivery, Transport

__all__ = ["DirectoryTransport"]

_log = logging.getLogger("sklearn_symfed")

_HEADER = struct.Struct(">8sQ32s")
_MAGIC = b"SYMFEDm1"
_MESSAGE = re.compile(r"\d{20}-[0-9a-f]{16}-[0-9a-f]{32}\.msg", re.ASCII)
_PREFIX = "inbox-"
_TEMPORARY = ".tmp-"
_TORN = ".torn"
_GONE = ".gone-"
_ABANDONED = 86400.0
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class DirectoryTransport(Transport):
    """A mailbox in a shared folder.

    Parameters
    ----------
    url : str
        ``dir:///absolute/path`` of a folder that every member can read and write.
    member : str
        Whose inbox this is.
    create : bool, default=False
        Whether to create the folder if it is missing, and to refuse one in which others have inboxes.  Its parents are
        never created.
    max_payload : int, default=64 MiB
        The largest message, in bytes.
    """

    def __init__(self, url: str, member: str, *, create: bool = False, max_payload: int = 64 * 2**20) -> None:
        super().__init__(url, member, max_payload=max_payload)
        self._root = _path(url)
        self._inbox = self._root / folder_of(self.member)
        self._writer = hashlib.sha256(self.member.encode()).hexdigest()[:16]
        with self._translated("a folder that exists and can be written"):
            if create:
                with contextlib.suppress(FileExistsError):
                    self._root.mkdir()
                    share(self._root)
                self.require_empty(member_of(inbox.name) or "" for inbox in self._inboxes(None))
            self.existed = self._inbox.is_dir()
            with contextlib.suppress(FileExistsError):
                self._inbox.mkdir()
            share(self._inbox)  # also one whose maker was killed before this
            if not self._inbox.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            self._sweep()

    def _publish(self, data: bytes, to: str | None) -> None:
        blob = _HEADER.pack(_MAGIC, len(data), hashlib.sha256(data).digest()) + data
        with self._translated("room to write a message there"):
            staged: list[Path] = []
            try:
                for inbox in list(self._inboxes(to)):
                    with contextlib.suppress(FileNotFoundError):
                        staged.append(self._stage(inbox, blob))
                while staged:
                    self._reveal(staged.pop())
            finally:
                for temporary in staged:
                    _unlink(temporary)

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries: list[Delivery] = []
        with self._translated("this member's inbox, readable"):
            for name in sorted(filter(_MESSAGE.fullmatch, os.listdir(self._inbox))):
                data = self._read(self._inbox / name)
                if data is not None:
                    deliveries.append(Delivery(data, name))
                if len(deliveries) == limit:
                    break
        return deliveries

    def _ack(self, delivery: Delivery) -> None:
        with self._translated("this member's inbox, writable"):
            _unlink(self._inbox / delivery.receipt)

    def _discard(self, member: str) -> None:
        """Remove an inbox, unless the folder keeps what members own to themselves."""
        gone = self._root / f"{_GONE}{uuid.uuid4().hex}"
        with self._translated("an inbox that can be removed"):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                os.rename(self._root / folder_of(member), gone)  # first: nobody sees half of it
            for left in self._root.glob(f"{_GONE}*"):  # also of somebody who was killed here
                shutil.rmtree(left, ignore_errors=True)

    @property
    def dead_letters(self) -> int:
        """How many files of this inbox were torn."""
        with self._translated("this member's inbox, readable"):
            return sum(name.endswith(_TORN) for name in os.listdir(self._inbox))

    def _inboxes(self, to: str | None) -> Iterator[Path]:
        if to is not None:
            inbox = self._root / folder_of(to)
            if inbox.is_dir():
                yield inbox
            return
        with os.scandir(self._root) as entries:
            for entry in entries:
                if member_of(entry.name) not in {None, self.member} and entry.is_dir(follow_symlinks=False):
                    yield self._root / entry.name

    def _stage(self, inbox: Path, blob: bytes) -> Path:
        """Write and sync under a temporary name; leave nothing behind on failure."""
        temporary = inbox / f"{_TEMPORARY}{time.time_ns():020d}-{self._writer}-{uuid.uuid4().hex}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o660)
        try:
            try:
                share(temporary)
                rest = memoryview(blob)
                while rest:
                    rest = rest[_progress(os.write(descriptor, rest)) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except BaseException:
            _unlink(temporary)
            raise
        return temporary

    def _reveal(self, temporary: Path) -> None:
        final = temporary.with_name(temporary.name.removeprefix(_TEMPORARY) + ".msg")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rename(temporary, final)
                _sync_folder(final.parent)
        except BaseException:
            _unlink(temporary)
            raise

    def _read(self, path: Path) -> bytes | None:
        """Return the message in a file; None if another reader took it or it is not a whole message."""
        try:
            size, blob = _content(path, _HEADER.size + self.max_payload)
        except (FileNotFoundError, IsADirectoryError):
            return None
        data = blob[_HEADER.size :]
        if size == len(blob) and blob[: _HEADER.size] == _HEADER.pack(_MAGIC, len(data), hashlib.sha256(data).digest()):
            return data
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(path.name + _TORN))
            _log.warning("set aside %s: torn or not a message of this format (%d bytes)", path.name, size)
        return None

    def _sweep(self) -> None:
        """Remove what writers that were killed long ago left unfinished in this inbox."""
        with os.scandir(self._inbox) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.startswith(_TEMPORARY) and time.time() - entry.stat().st_mtime > _ABANDONED:
                        _unlink(Path(entry.path))

    @contextlib.contextmanager
    def _translated(self, expected: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            hint = advice(error, self._root)
            raise TransportError(f"Got {reason!r} from {self.url}, but expected {expected}{hint}.") from error


def folder_of(member: str) -> str:
    """Return the name of a member's inbox folder: safe on any file system, also where case does not matter."""
    escaped = "".join(c if c in _PLAIN else _escape(c) for c in check_name(member))
    return _PREFIX + escaped


def member_of(folder: str) -> str | None:
    """Return the member whose inbox folder this is, or None if it is not one."""
    if not folder.startswith(_PREFIX):
        return None
    try:
        member = unquote(folder.removeprefix(_PREFIX), errors="strict")
        return member if folder_of(member) == folder else None
    except (UnicodeDecodeError, SettingError):
        return None


def _escape(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())


def _path(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(url2pathname(parts.path)) if parts.path else Path()
    if parts.scheme != "dir" or parts.netloc or not path.is_absolute() or parts.query or parts.fragment:
        example = "dir://" + quote("/mnt/share/flights")
        raise SettingError(f"Got transport URL {url!r}, but expected an absolute path, such as {example}.")
    return path


def _content(path: Path, most: int) -> tuple[int, bytes]:
    """Return a regular file's size and its bytes, of which none are read if there are more than `most`."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return size, file.read(most) if size <= most else b""


def _progress(written: int) -> int:
    if written <= 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return written


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover - folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

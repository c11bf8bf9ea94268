"""The claim check: what is too large for a carrier lies in a store of objects, and a small pointer travels.

Owns the frame around each message of such a carrier, the names of objects and when they are removed; how objects are
put, read and deleted is the transport's business.  A frame is one byte, 0, and the message; or one byte, 1, and a
pointer: magic, length and SHA-256 of the message, and the object's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from sklearn_symfed.exceptions import FormatError, TransportError

__all__ = ["KEPT", "ClaimCheck", "Objects"]

KEPT = 3600.0
"""For so many seconds an object that is meant for all stays, though its sender has sent newer ones."""

_WHOLE, _CLAIM = b"\0", b"\1"
_POINTER = struct.Struct(">8sQ32s")
_MAGIC = b"SYMFEDc1"


class Objects(Protocol):
    """A store of objects, as a transport has it; names are of ``a-z0-9/-`` and those that the transport gave."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""

    def get(self, key: str) -> bytes | None:
        """Return an object; None if there is none."""

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""

    def keys(self, prefix: str) -> Iterable[str]:
        """Return the names of objects that begin so."""


class _Pointer(NamedTuple):
    size: int
    digest: bytes
    key: str


class ClaimCheck:
    """Messages in frames that fit a carrier.

    Parameters
    ----------
    objects : Objects
        Where large messages lie.
    member : str
        Whose end this is, as one token that may stand in a name.
    limit : int
        The longest frame that the carrier takes, in bytes.
    most : int
        The longest message, in bytes: more is not read.
    clock : callable, default=time.time
        Returns seconds.

    Notes
    -----
    A message to one member is removed by who it is for, once it is acknowledged.  One to all is removed by its sender:
    `KEPT` seconds old, and not the newest.  A reader that comes later has the newest of each sender, which is all that
    it needs; a pointer to what was removed is no message any more, as if the carrier had lost it.  What a killed sender
    leaves behind goes by the store's own limit of age.
    """

    def __init__(
        self, objects: Objects, member: str, *, limit: int, most: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._objects = objects
        self._member = member
        self._limit = limit
        self._most = most
        self._clock = clock
        self._mine: list[str] | None = None

    def send(self, data: bytes, to: str | None, publish: Callable[[bytes], object]) -> None:
        """Hand `publish` the frame of a message for a member (a token, as `member` is), or for all."""
        if len(data) + 1 <= self._limit:
            publish(_WHOLE + data)
            return
        key = f"{self._member}/{'all' if to is None else f'to-{to}'}/{int(self._clock() * 1e6):020d}-{uuid.uuid4().hex}"
        self._objects.put(key, data)
        try:
            publish(_CLAIM + _POINTER.pack(_MAGIC, len(data), hashlib.sha256(data).digest()) + key.encode())
        except BaseException:
            with contextlib.suppress(TransportError):
                self._objects.delete(key)
            raise
        if to is None:
            self._supersede(key)

    def open(self, frame: bytes) -> bytes | None:
        """Return the message of a frame; None if its object was removed.

        Raises
        ------
        FormatError
            If it is no frame, or its object is not what the pointer says.
        """
        if frame[:1] == _WHOLE:
            return frame[1:]
        pointer = _read(frame)
        if pointer.size > self._most:
            raise FormatError("Got a claim for a larger message than this carrier takes.")
        data = self._objects.get(pointer.key)
        if data is not None and (len(data) != pointer.size or hashlib.sha256(data).digest() != pointer.digest):
            raise FormatError("Got an object that is not the message that its claim says.")
        return data

    def done(self, frame: bytes) -> None:
        """Remove the object of a frame that was acknowledged, if it was for this member alone."""
        if frame[:1] == _CLAIM:
            key = _read(frame).key
            if key.split("/")[1] == f"to-{self._member}":
                self._objects.delete(key)

    def _supersede(self, newest: str) -> None:
        """Remove what this member sent to all before, once readers have had time to take it in."""
        if self._mine is None:
            self._mine = sorted(set(self._objects.keys(f"{self._member}/all/")) - {newest})
        over = f"{self._member}/all/{max(0, int((self._clock() - KEPT) * 1e6)):020d}"
        old = [key for key in self._mine if key < over]
        for key in old:
            self._objects.delete(key)
        self._mine = [*self._mine[len(old) :], newest]


def _read(frame: bytes) -> _Pointer:
    """Return the pointer in a frame."""
    body = frame[1:]
    try:
        magic, size, digest = _POINTER.unpack(body[: _POINTER.size])
        key = body[_POINTER.size :].decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise FormatError("Got bytes that are neither a message in a frame nor a claim.") from None
    if frame[:1] != _CLAIM or magic != _MAGIC or key.count("/") != 2:
        raise FormatError("Got bytes that are neither a message in a frame nor a claim.")
    return _Pointer(size, digest, key)

"""The outside of a message: what a carrier sees, what is sealed, and who signed it.

::

    magic      6 bytes  b"symfed"
    protocol   u16      how to read the rest; and the release that brought it, three bytes
    header     u16 length, then msgpack: all that stands in the clear
    sealed     with the key of the epoch and a subkey of the sender; or to the keys of one recipient
    signature  64 bytes Ed25519 by the sender, of everything before it

The bytes up to the end of the header are associated data of the seal, so a header cannot be put on another message.
All numbers outside of msgpack are big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation._fields import (
    COUNTER,
    KEY,
    NAME,
    NAME_OR_NONE,
    Layout,
    blob,
    pack,
    read,
    text,
)
from sklearn_symfed.federation._keys import SIGNATURE_BYTES, Identity, is_signed
from sklearn_symfed.federation._messages import MESSAGES
from sklearn_symfed.federation._sealing import Random, derive, open_sealed, seal, seal_to

__all__ = [
    "HEADER",
    "MAX_MESSAGE_BYTES",
    "PROTOCOL",
    "Envelope",
    "Header",
    "commitment_of",
    "open_envelope",
    "seal_all",
    "seal_one",
]

PROTOCOL = 1
_SINCE = (0, 1, 0)
"""The release that brought this protocol."""
MAX_MESSAGE_BYTES = 2**30
_MAGIC = b"symfed"
_PREFIX = struct.Struct(">6sH3BH")
_MAX_HEADER = 1024
_HINT_BYTES = 8


class Header(NamedTuple):
    """What stands in the clear.

    Attributes
    ----------
    kind : str
        The type of message.
    federation : bytes
        Which federation.
    epoch, roster, head : int, int, bytes
        Under which key, and the number and digest of the newest link that the sender knows.
    sender : str
        Who speaks.
    to : str or None
        Who is spoken to; None for all.
    hint : bytes
        Begin of the recipient's sealing key where it is sealed to one, else empty: homes that share a name can tell.
    incarnation, version : int
        Which state the sender is in.
    seq : int
        Counts the sender's messages.
    """

    kind: str
    federation: bytes
    epoch: int
    roster: int
    head: bytes
    sender: str
    to: str | None
    hint: bytes
    incarnation: int
    version: int
    seq: int


HEADER: Layout = {
    "kind": text(16),
    "federation": KEY,
    "epoch": COUNTER,
    "roster": COUNTER,
    "head": KEY,
    "sender": NAME,
    "to": NAME_OR_NONE,
    "hint": blob(_HINT_BYTES),
    "incarnation": COUNTER,
    "version": COUNTER,
    "seq": COUNTER,
}


@dataclass(frozen=True)
class Envelope:
    """A message as it arrives: read, but neither authenticated nor opened."""

    header: Header
    associated: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def is_signed(self, key: bytes) -> bool:
        """Tell whether the holder of a key signed all of it."""
        return is_signed(key, self.signature, b"symfed message 1\0" + self.associated + self.sealed)

    def open_all(self, epoch_key: bytes) -> bytes:
        """Open what was sealed with the key of an epoch, or raise an `AuthenticationError`."""
        return open_sealed(_subkey(epoch_key, self.header), self.sealed, self.associated)

    def open_one(self, identity: Identity) -> bytes:
        """Open what was sealed to one identity, or raise an `AuthenticationError`."""
        return identity.open(self.sealed, self.associated)


def open_envelope(data: bytes) -> Envelope:
    """Read the outside of a message.

    Raises
    ------
    FormatError
        If it is none, or of a protocol that this release does not read.
    """
    least = _PREFIX.size + SIGNATURE_BYTES
    if not least <= len(data) <= MAX_MESSAGE_BYTES:
        raise FormatError(f"Got a message of {len(data)} bytes, but expected {least} to {MAX_MESSAGE_BYTES}.")
    magic, protocol, *since, size = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise FormatError("Got bytes that are not a message of a federation.")
    if protocol != PROTOCOL:
        advice = (
            f"install sklearn-symfed {'.'.join(map(str, since))} or later"
            if protocol > PROTOCOL
            else ("its sender has an older release")
        )
        raise FormatError(
            f"Got a message of protocol {protocol}, but this release reads protocol {PROTOCOL}; {advice}."
        )
    end = _PREFIX.size + size
    if size > _MAX_HEADER or end + SIGNATURE_BYTES > len(data):
        raise FormatError("Got a message with a header that is too long.")
    header = Header(**read(HEADER, data[_PREFIX.size : end], "header of a message"))
    if header.kind not in MESSAGES:
        raise FormatError("Got a message of a type that this release does not know.")
    return Envelope(header, data[:end], data[end:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:])


def seal_all(header: Header, body: bytes, epoch_key: bytes, identity: Identity, random: Random) -> bytes:
    """Seal for all members of an epoch, and sign."""
    associated = _associated(header)
    return _signed(associated + seal(_subkey(epoch_key, header), body, associated, random), identity)


def seal_one(header: Header, body: bytes, recipient: bytes, identity: Identity, random: Random) -> bytes:
    """Seal to the holder of one X25519 key, and sign."""
    associated = _associated(header._replace(hint=recipient[:_HINT_BYTES]))
    return _signed(associated + seal_to(recipient, body, associated, random), identity)


def commitment_of(epoch_key: bytes) -> bytes:
    """Return what an epoch's key is recognised by, which says nothing of the key."""
    return derive(epoch_key, "commitment")


def _associated(header: Header) -> bytes:
    packed = pack(HEADER, header._asdict())
    return _PREFIX.pack(_MAGIC, PROTOCOL, *_SINCE, len(packed)) + packed


def _signed(message: bytes, identity: Identity) -> bytes:
    return message + identity.sign(b"symfed message 1\0" + message)


def _subkey(epoch_key: bytes, header: Header) -> bytes:
    """Return the key of one sender in one epoch."""
    return derive(epoch_key, "sender", header.federation, str(header.epoch).encode(), header.sender.encode())

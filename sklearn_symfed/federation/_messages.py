"""The types of messages and the fields of each; what each is sealed with is said here, and done in `_envelope`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation._claims import MAX_ENTRY_BYTES
from sklearn_symfed.federation._fields import (
    COUNTER,
    KEY,
    MAX_MEMBERS,
    NAME,
    SEAL_KEY,
    Kind,
    Layout,
    blob,
    list_of,
    map_of_blobs,
    one_of,
    optional,
    pack,
    read,
    record,
    text,
)
from sklearn_symfed.federation._invites import INVITE_ID_BYTES
from sklearn_symfed.federation._links import MAX_LINK_BYTES, MAX_SCHEMA_BYTES
from sklearn_symfed.federation._rosters import MAX_LINKS

__all__ = [
    "MAX_PSR_BYTES",
    "MAX_REASON_BYTES",
    "MESSAGES",
    "PACKED",
    "TO_ONE",
    "Leave",
    "Message",
    "Packed",
    "Pulse",
    "Refusal",
    "Request",
    "RosterNews",
    "Welcome",
    "pack_message",
    "read_message",
    "type_of",
]

MAX_PSR_BYTES = 2**30
MAX_REASON_BYTES = 4096
_MAX_RATIO = 1040
"""zlib cannot expand one byte to more than 1032."""


@dataclass(frozen=True)
class Packed:
    """Statistics of one member on their way: whose, how many bytes they are, and these bytes compressed."""

    member: str
    size: int
    data: bytes = field(repr=False)

    def __iter__(self) -> Any:
        return iter((self.member, self.size, self.data))

    @classmethod
    def of(cls, member: str, data: bytes) -> Packed:
        """Compress."""
        return cls(member, len(data), zlib.compress(data, 6))

    def expand(self, most: int = MAX_PSR_BYTES) -> bytes:
        """Decompress, after a check that so few bytes can hold so many, and that no more than `most` are to be held.

        Raises
        ------
        FormatError
            If they do not expand to what they say.
        """
        if self.size > min(most, MAX_PSR_BYTES, _MAX_RATIO * len(self.data)):
            raise FormatError(f"Got {len(self.data)} bytes that say they hold {self.size}, more than is accepted.")
        expander = zlib.decompressobj()
        try:
            data = expander.decompress(self.data, self.size + 1)
        except zlib.error:
            raise FormatError("Got statistics that zlib cannot expand.") from None
        if len(data) != self.size or not expander.eof or expander.unused_data:
            raise FormatError(f"Got statistics that do not expand to the {self.size} bytes they say.")
        return data


@dataclass(frozen=True)
class Pulse:
    """What a member says to the others: what it holds, and statistics that they may lack.

    Attributes
    ----------
    ask : int
        1: answer with what you hold; 2: and with your whole slot.
    view : dict of str to bytes
        For each member that it holds something of, itself included, that member's signed claim, or the proof
        against it.
    psrs : tuple of Packed
        Its own statistics, and those of others that it passes on.
    """

    ask: int
    view: Mapping[str, bytes]
    psrs: tuple[Packed, ...]


@dataclass(frozen=True)
class RosterNews:
    """Links of the roster for a member that lacks them, and the key of the newest epoch if it is entitled to it."""

    links: tuple[bytes, ...]
    key: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Request:
    """Somebody who holds an invite asks its admin to become a member under these keys.

    Attributes
    ----------
    invite, token : bytes
        Which invite, and what only its holder knows.
    sign, seal : bytes
        The public keys that it will be known by.
    schema : bytes or None
        What its rows look like, if it has learned any.
    labels : str
        Of which kind their class labels are: "bool", "int" or "str"; "" if there are none.
    """

    invite: bytes
    token: bytes = field(repr=False)
    sign: bytes
    seal: bytes
    schema: bytes | None
    labels: str = ""


@dataclass(frozen=True)
class Welcome:
    """An admin's answer: the whole roster from its first link, the key of the epoch, and floors.

    Attributes
    ----------
    invite : bytes
        Which invite it answers.
    links : tuple of bytes
        The whole chain, of which the first link's hash is the federation; schema, schedule, topology and contract
        are in it.
    key : bytes
        Of the epoch.
    floors : dict of str to bytes
        The newest claims: older ones are not taken.
    """

    invite: bytes
    links: tuple[bytes, ...]
    key: bytes = field(repr=False)
    floors: Mapping[str, bytes]


@dataclass(frozen=True)
class Refusal:
    """An admin's answer to a request that it does not grant."""

    invite: bytes
    reason: str


@dataclass(frozen=True)
class Leave:
    """A member asks to be taken off the roster; `keep` is the claim of what stays, None if its rows go."""

    keep: bytes | None


Message = Pulse | RosterNews | Request | Welcome | Refusal | Leave

PACKED: Layout = {"member": NAME, "size": COUNTER, "data": blob(MAX_PSR_BYTES)}
_VIEW: Kind = map_of_blobs(MAX_ENTRY_BYTES)
_LINKS: Kind = list_of(blob(MAX_LINK_BYTES), MAX_LINKS + 1)
_INVITE_ID: Kind = blob(INVITE_ID_BYTES, INVITE_ID_BYTES)

MESSAGES: dict[str, tuple[type[Message], Layout]] = {
    "pulse": (Pulse, {"ask": COUNTER, "view": _VIEW, "psrs": list_of(record(PACKED, Packed), MAX_MEMBERS)}),
    "leave": (Leave, {"keep": optional(blob(MAX_ENTRY_BYTES))}),
    "roster": (RosterNews, {"links": _LINKS, "key": optional(KEY)}),
    "request": (
        Request,
        {
            "invite": _INVITE_ID,
            "token": KEY,
            "sign": KEY,
            "seal": SEAL_KEY,
            "schema": optional(blob(MAX_SCHEMA_BYTES)),
            "labels": one_of("", "bool", "int", "str"),
        },
    ),
    "welcome": (Welcome, {"invite": _INVITE_ID, "links": _LINKS, "key": KEY, "floors": _VIEW}),
    "refusal": (Refusal, {"invite": _INVITE_ID, "reason": text(MAX_REASON_BYTES)}),
}
"""Every type of message: its name on the wire, its class, its fields."""
TO_ONE = frozenset({"roster", "request", "welcome", "refusal"})
"""What is sealed to the keys of one recipient; everything else is sealed with the key of the epoch."""

_NAMES = {cls: name for name, (cls, _) in MESSAGES.items()}


def type_of(message: Message) -> str:
    """Return a message's name on the wire."""
    return _NAMES[type(message)]


def pack_message(message: Message) -> bytes:
    """Turn a message into bytes, which are to be sealed."""
    _, layout = MESSAGES[type_of(message)]
    return pack(layout, {name: getattr(message, name) for name in layout})


def read_message(kind: str, data: bytes) -> Message:
    """Turn opened bytes into a message.

    Raises
    ------
    FormatError
        If they are not exactly one of that type.
    """
    cls, layout = MESSAGES[kind]
    return cls(**read(layout, data, kind))

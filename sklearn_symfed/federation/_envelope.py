"""Message ↔ bytes: one type of message for now, the `Pulse`.

Owns the format on the wire, its bounds and its version.  An envelope is

    magic (6 bytes) | protocol version (2 bytes, big endian) | SHA-256 of the body (32 bytes) | body (msgpack)

The version comes first and in the clear, so that a release can say what it cannot read; the digest's place is where
a signature will go.  Every length is bounded before anything of that length is allocated, every field is checked for
its exact type, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from sklearn_symfed.exceptions import FormatError, SettingError
from sklearn_symfed.federation._names import MAX_NAME_BYTES, check_name

__all__ = ["MAX_COUNTER", "MAX_MEMBERS", "MAX_PSR_BYTES", "PROTOCOL", "Mark", "Pulse", "View", "decode", "encode"]

PROTOCOL = 1
MAX_COUNTER = 2**53 - 1
"""No incarnation, version or sequence number goes beyond this."""
MAX_MEMBERS = 4096
MAX_PSR_BYTES = 2**30

_MAGIC = b"symfed"
_HEADER = struct.Struct(">6sH32s")
_MAX_RATIO = 1040
"""zlib cannot expand one byte to more than 1032."""


class Mark(NamedTuple):
    """Which state of a member: the order of states is the order of (incarnation, version)."""

    incarnation: int
    version: int
    digest: str
    """SHA-256 of the local PSR in hexadecimal; empty at version 0, when there is none."""

    @property
    def stamp(self) -> tuple[int, int]:
        """What decides which of two marks is newer."""
        return self.incarnation, self.version


View = Mapping[str, Mark]
"""What a member holds: the mark of each member's slot, its own among them."""


@dataclass(frozen=True)
class Pulse:
    """What a member says to the others: its slot, and what it holds of theirs.

    Attributes
    ----------
    federation : str
        Name of the federation; empty in the hello of one who has joined and does not know it yet.
    founder : str
        The member whose order of columns is the federation's; empty in a hello.
    sender : str
        The member who speaks.
    to : str or None
        The member who is spoken to; None for all.
    incarnation, version, digest : int, int, str
        The mark of the sender's slot.
    previous : str
        The digest of the sender's version before this one.
    seq : int
        Counts the sender's messages.
    ask : bool
        Whether the recipient shall answer with what it holds.
    view : dict of str to Mark
        What the sender holds of the other members.
    psr : bytes or None
        The sender's whole local PSR, where the recipient may not have it.
    """

    federation: str
    founder: str
    sender: str
    to: str | None
    incarnation: int
    seq: int
    version: int
    digest: str
    previous: str
    ask: bool
    view: View
    psr: bytes | None = field(default=None, repr=False)

    @property
    def mark(self) -> Mark:
        """The sender's slot."""
        return Mark(self.incarnation, self.version, self.digest)

    @property
    def whole_view(self) -> dict[str, Mark]:
        """What the sender holds, its own slot included."""
        return {**self.view, self.sender: self.mark}


def encode(pulse: Pulse) -> bytes:
    """Turn a message into bytes."""
    body: bytes = msgpack.packb(
        {
            "type": "pulse",
            "federation": pulse.federation,
            "founder": pulse.founder,
            "sender": pulse.sender,
            "to": pulse.to,
            "incarnation": pulse.incarnation,
            "seq": pulse.seq,
            "version": pulse.version,
            "digest": bytes.fromhex(pulse.digest),
            "previous": bytes.fromhex(pulse.previous),
            "ask": pulse.ask,
            "view": {name: [m.incarnation, m.version, bytes.fromhex(m.digest)] for name, m in pulse.view.items()},
            "psr": None if pulse.psr is None else [len(pulse.psr), zlib.compress(pulse.psr, 6)],
        }
    )
    return _HEADER.pack(_MAGIC, PROTOCOL, hashlib.sha256(body).digest()) + body


def decode(data: bytes) -> Pulse:
    """Turn bytes into a message.

    Raises
    ------
    FormatError
        If they are not one, whole and of the protocol version that this release reads.
    """
    if len(data) < _HEADER.size:
        raise FormatError(f"Got a message of {len(data)} bytes, but expected at least {_HEADER.size}.")
    magic, protocol, digest = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise FormatError("Got bytes that are not a message of a federation.")
    if protocol != PROTOCOL:
        advice = "; install a newer sklearn-symfed" if protocol > PROTOCOL else ""
        raise FormatError(f"Got a message of protocol {protocol}, but this release reads protocol {PROTOCOL}{advice}.")
    body = data[_HEADER.size :]
    if hashlib.sha256(body).digest() != digest:
        raise FormatError("Got a message whose bytes do not match its SHA-256.")
    return _pulse(_unpack(body))


def pack_view(view: View) -> bytes:
    """Turn a view into bytes for the store, in a form that does not depend on its order."""
    packed: bytes = msgpack.packb([[name, *view[name]] for name in sorted(view)])
    return packed


def unpack_view(data: bytes) -> dict[str, Mark]:
    """Turn the store's bytes into a view."""
    try:
        return {name: Mark(*mark) for name, *mark in msgpack.unpackb(data)}
    except (ValueError, TypeError) as error:
        raise FormatError("Got a stored view that is not one.") from error


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        fields = msgpack.unpackb(
            body,
            object_pairs_hook=_no_twins,
            max_str_len=MAX_NAME_BYTES,
            max_bin_len=min(len(body), MAX_PSR_BYTES),
            max_array_len=3,
            max_map_len=MAX_MEMBERS,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise FormatError("Got a message whose body is not the msgpack that was expected.") from error
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise FormatError("Got a message with other fields than a pulse has.")
    return fields


def _no_twins(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key comes twice")
    return fields


_FIELDS = frozenset(
    "type federation founder sender to incarnation seq version digest previous ask view psr".split()  # noqa: SIM905
)


def _pulse(fields: dict[str, Any]) -> Pulse:
    if fields["type"] != "pulse":
        raise FormatError("Got a message of another type than 'pulse'.")
    hello = fields["federation"] == ""
    pulse = Pulse(
        federation="" if hello else _name(fields, "federation"),
        founder="" if hello and fields["founder"] == "" else _name(fields, "founder"),
        sender=_name(fields, "sender"),
        to=None if fields["to"] is None else _name(fields, "to"),
        incarnation=_counter(fields["incarnation"], "incarnation", least=1),
        seq=_counter(fields["seq"], "seq", least=1),
        version=_counter(fields["version"], "version"),
        digest=_digest(fields["digest"], "digest"),
        previous=_digest(fields["previous"], "previous"),
        ask=_bool(fields["ask"]),
        view=_view(fields["view"]),
        psr=_psr(fields["psr"]),
    )
    _check_whole(pulse, hello)
    return pulse


def _check_whole(pulse: Pulse, hello: bool) -> None:
    """Refuse fields that are each right and do not go together."""
    if hello and (pulse.version or pulse.view or pulse.founder or not pulse.ask or pulse.to is not None):
        raise FormatError("Got a hello that says more than a hello can.")
    if (pulse.version == 0) != (pulse.digest == ""):
        raise FormatError(f"Got a digest of {len(pulse.digest) // 2} bytes, which version {pulse.version} cannot have.")
    if pulse.version == 0 and (pulse.psr is not None or pulse.previous):
        raise FormatError("Got statistics or a previous digest in a message of version 0.")
    if pulse.sender in pulse.view:
        raise FormatError("Got a view that lists its sender.")


def _name(fields: dict[str, Any], key: str) -> str:
    value = fields[key]
    try:
        if check_name(value, key) == value:
            return str(value)
    except SettingError as error:
        raise FormatError(str(error)) from None
    raise FormatError(f"Got a {key} that is not in normal form C.")


def _counter(value: object, key: str, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MAX_COUNTER:
        raise FormatError(f"Got a {key} that is not an integer from {least} to {MAX_COUNTER}.")
    return value


def _digest(value: object, key: str) -> str:
    if type(value) is not bytes or len(value) not in {0, 32}:
        raise FormatError(f"Got a {key} that is not 32 bytes, or none.")
    return value.hex()


def _bool(value: object) -> bool:
    if type(value) is not bool:
        raise FormatError("Got an ask that is not a bool.")
    return value


def _view(value: object) -> dict[str, Mark]:
    if not isinstance(value, dict):
        raise FormatError("Got a view that is not a map.")
    return {_name({"member": name}, "member"): _mark(mark) for name, mark in value.items()}


def _mark(value: object) -> Mark:
    if type(value) is not list or len(value) != 3:
        raise FormatError("Got a mark that is not a list of three.")
    mark = Mark(_counter(value[0], "incarnation", 1), _counter(value[1], "version"), _digest(value[2], "digest"))
    if (mark.version == 0) != (mark.digest == ""):
        raise FormatError("Got a mark whose digest its version cannot have.")
    return mark


def _psr(value: object) -> bytes | None:
    """Decompress what says its size, after a check that so few bytes can hold so many."""
    if value is None:
        return None
    if type(value) is not list or len(value) != 2 or type(value[1]) is not bytes:
        raise FormatError("Got statistics that are not a size and bytes.")
    packed = value[1]
    size = _counter(value[0], "size of the statistics")
    if size > min(MAX_PSR_BYTES, _MAX_RATIO * len(packed)):
        raise FormatError(f"Got {len(packed)} bytes that say they hold {size}, which is more than is accepted.")
    expander = zlib.decompressobj()
    try:
        data = expander.decompress(packed, size + 1)
    except zlib.error as error:
        raise FormatError("Got statistics that zlib cannot expand.") from error
    if len(data) != size or not expander.eof or expander.unused_data:
        raise FormatError(f"Got statistics that do not expand to the {size} bytes they say.")
    return data

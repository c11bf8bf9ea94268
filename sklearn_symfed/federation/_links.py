"""Links of the roster: each is one signed change of who is a member, under which key and by which rules.

Owns the kinds of changes and their bytes; what a change does to a roster, and who may make it, is `_rosters`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation._contract import MAX_CONTRACT_BYTES
from sklearn_symfed.federation._fields import (
    COUNTER,
    FLAG,
    KEY,
    NAME,
    NAME_OR_NONE,
    SEAL_KEY,
    SIGNATURE,
    Layout,
    blob,
    list_of,
    optional,
    pack,
    read,
    text,
)
from sklearn_symfed.federation._invites import INVITE_ID_BYTES
from sklearn_symfed.federation._keys import is_signed

__all__ = ["CHANGES", "MAX_LINK_BYTES", "MAX_SCHEMA_BYTES", "Link", "signed_link"]

MAX_SCHEMA_BYTES = 2**20
MAX_LINK_BYTES = 2 * MAX_SCHEMA_BYTES + 4096

CHANGES: dict[str, Layout] = {
    "found": {
        "name": NAME,
        "topology": text(16),
        "schedule": text(32),
        "schema": optional(blob(MAX_SCHEMA_BYTES)),
        "contract": optional(blob(MAX_CONTRACT_BYTES)),
        "guard": list_of(COUNTER, 16),  # thresholds below which nobody publishes
        "sign": KEY,
        "seal": SEAL_KEY,
        "recovery": KEY,
        "commitment": KEY,
        "nonce": KEY,
    },
    "admit": {
        "member": NAME,
        "sign": KEY,
        "seal": SEAL_KEY,
        "admin": FLAG,
        "invite": blob(INVITE_ID_BYTES, INVITE_ID_BYTES),
        "commitment": optional(KEY),  # a new epoch, if somebody of this name makes way
    },
    "remove": {"member": NAME, "keep": list_of(COUNTER, 2), "commitment": KEY},
    "promote": {"member": NAME},
    "rotate": {"commitment": KEY},
    "schedule": {"schedule": text(32)},
    "schema": {"schema": blob(MAX_SCHEMA_BYTES)},
    "contract": {"contract": blob(MAX_CONTRACT_BYTES)},
    "recover": {"member": NAME, "commitment": KEY},
}
"""The fields of each kind of change.  A commitment is what the new epoch's key is recognised by."""

_BODY: Layout = {
    "federation": KEY,  # zeros in the first link, whose hash is the federation
    "number": COUNTER,
    "previous": KEY,
    "signer": NAME_OR_NONE,  # none: the recovery key
    "change": text(16),
    "values": blob(MAX_LINK_BYTES - 1024),
}
_LINK: Layout = {"body": blob(MAX_LINK_BYTES - 128), "signature": SIGNATURE}


@dataclass(frozen=True)
class Link:
    """One change.

    Attributes
    ----------
    federation : bytes
        Whose roster it is.
    number : int
        How many links come before it.
    previous : bytes
        SHA-256 of the link before.
    signer : str or None
        The admin who made it; None for the recovery key.
    change : str
        Its kind, one of `CHANGES`.
    values : dict
        Its fields.
    signature : bytes
        By the signer, of all that is above.
    """

    federation: bytes
    number: int
    previous: bytes
    signer: str | None
    change: str
    values: dict[str, Any]
    signature: bytes

    @cached_property
    def body(self) -> bytes:
        """What is signed, but for what it is signed for."""
        values = pack(CHANGES[self.change], self.values)
        return pack(_BODY, {name: getattr(self, name) for name in _BODY if name != "values"} | {"values": values})

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 by which the next link names this one."""
        return hashlib.sha256(b"symfed link\0" + self.body).digest()

    def to_bytes(self) -> bytes:
        """Return the form that travels and is stored."""
        return pack(_LINK, {"body": self.body, "signature": self.signature})

    @classmethod
    def from_bytes(cls, data: bytes) -> Link:
        """Read a link, whose signature is not checked by that."""
        outer = read(_LINK, data, "link of the roster")
        fields = read(_BODY, outer["body"], "link of the roster")
        layout = CHANGES.get(fields["change"])
        if layout is None:
            raise FormatError("Got a link of the roster with a change that this release does not know.")
        fields["values"] = read(layout, fields["values"], f"{fields['change']} of the roster")
        link = cls(**fields, signature=outer["signature"])
        if link.body != outer["body"]:
            raise FormatError("Got a link of the roster that is not in its canonical form.")
        return link

    def is_signed(self, key: bytes) -> bool:
        """Tell whether the holder of a key has signed it."""
        return is_signed(key, self.signature, _signed(self.body))


def signed_link(
    federation: bytes,
    number: int,
    previous: bytes,
    signer: str | None,
    change: str,
    values: dict[str, Any],
    sign: Callable[[bytes], bytes],
) -> Link:
    """Make a link."""
    unsigned = Link(federation, number, previous, signer, change, values, b"")
    return Link(federation, number, previous, signer, change, values, sign(_signed(unsigned.body)))


def _signed(body: bytes) -> bytes:
    return b"symfed link 1\0" + body

"""What a member says of itself, signed: which state of it is the newest; and the proof that it said two things.

A claim names a state of its owner by (incarnation, version), the digest of its statistics and that of the state
before.  Anybody may pass a claim on, nobody but its owner can make one.  Two claims that cannot both be true are a
proof of equivocation, which anybody can check.  Claims and proofs of one member form an order, so that nodes that
have seen the same ones hold the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sklearn_symfed.exceptions import FormatError
from sklearn_symfed.federation._fields import (
    COUNTER,
    DIGEST,
    MAX_COUNTER,
    MAX_MEMBERS,
    NAME,
    SIGNATURE,
    Layout,
    blob,
    list_of,
    pack,
    read,
    record,
)
from sklearn_symfed.federation._keys import is_signed

__all__ = [
    "CLAIM",
    "MAX_ENTRY_BYTES",
    "ORIGIN_BYTES",
    "Claim",
    "Entry",
    "Mark",
    "Proof",
    "View",
    "conflict",
    "read_entry",
    "read_view",
    "signed_claim",
    "verified",
    "view_bytes",
]

ORIGIN_BYTES = 16
MAX_ENTRY_BYTES = 2 * (MAX_MEMBERS * (ORIGIN_BYTES + 2) + 512)


class Mark(NamedTuple):
    """Which state of a member: the order of states is the order of (incarnation, version)."""

    incarnation: int
    version: int
    digest: str
    """SHA-256 of the local PSR in hexadecimal; empty at version 0 and where a proof took the state's place."""

    @property
    def stamp(self) -> tuple[int, int]:
        """What decides which of two marks is newer."""
        return self.incarnation, self.version


View = Mapping[str, Mark]
"""What a member holds: the mark of each member's slot, its own among them."""


@dataclass(frozen=True)
class Claim:
    """A state of a member, in the words of its owner.

    Attributes
    ----------
    incarnation, version, digest : int, int, str
        The mark.
    previous : str
        Digest of the version before; empty at version 1.
    origins : tuple of bytes
        Whose rows the statistics hold, if others' are among them; sorted.
    signature : bytes
        By the owner.
    """

    incarnation: int
    version: int
    digest: str
    previous: str
    origins: tuple[bytes, ...]
    signature: bytes

    @cached_property
    def mark(self) -> Mark:
        """The state."""
        return Mark(self.incarnation, self.version, self.digest)

    @property
    def stamp(self) -> tuple[int, int]:
        """Its place in the order."""
        return self.incarnation, self.version

    def statement(self, federation: bytes, member: str) -> bytes:
        """Return what the signature is made of."""
        unsigned = {name: getattr(self, name) for name in CLAIM if name != "signature"}
        fields = pack({name: kind for name, kind in CLAIM.items() if name != "signature"}, unsigned)
        return b"symfed claim 1\0" + federation + len(member.encode()).to_bytes(2, "big") + member.encode() + fields

    def to_bytes(self) -> bytes:
        """Return the form that travels and is stored."""
        return b"\1" + pack(CLAIM, {name: getattr(self, name) for name in CLAIM})


@dataclass(frozen=True)
class Proof:
    """Two claims of one owner that cannot both be true: nothing of that incarnation counts any more."""

    first: Claim
    second: Claim

    @property
    def incarnation(self) -> int:
        """The incarnation that equivocated."""
        return self.first.incarnation

    @property
    def mark(self) -> Mark:
        """The state that takes the place of all others of this incarnation."""
        return Mark(self.incarnation, MAX_COUNTER, "")

    @property
    def stamp(self) -> tuple[int, int]:
        """Its place in the order: after all claims of the incarnation."""
        return self.incarnation, MAX_COUNTER

    def to_bytes(self) -> bytes:
        """Return the form that travels and is stored."""
        return b"\2" + pack(_PROOF, {"first": self.first.to_bytes(), "second": self.second.to_bytes()})


Entry = Claim | Proof

CLAIM: Layout = {
    "incarnation": COUNTER,
    "version": COUNTER,
    "digest": DIGEST,
    "previous": DIGEST,
    "origins": list_of(blob(ORIGIN_BYTES, ORIGIN_BYTES), MAX_MEMBERS),
    "signature": SIGNATURE,
}
_PROOF: Layout = {"first": blob(MAX_ENTRY_BYTES // 2), "second": blob(MAX_ENTRY_BYTES // 2)}


_MARK: Layout = {"member": NAME, "incarnation": COUNTER, "version": COUNTER, "digest": DIGEST}
_VIEW: Layout = {"marks": list_of(record(_MARK, lambda *fields: fields), 2 * MAX_MEMBERS + 1)}


def view_bytes(view: View) -> bytes:
    """Turn a view into bytes, in a form that does not depend on its order."""
    return pack(_VIEW, {"marks": [(name, *view[name]) for name in sorted(view)]})


def read_view(data: bytes) -> dict[str, Mark]:
    """Turn such bytes into a view."""
    return {name: Mark(*mark) for name, *mark in read(_VIEW, data, "stored view")["marks"]}


def signed_claim(
    mark: Mark,
    previous: str,
    origins: tuple[bytes, ...],
    federation: bytes,
    member: str,
    sign: Callable[[bytes], bytes],
) -> Claim:
    """Make a claim of one's own."""
    unsigned = Claim(*mark, previous, origins, b"")
    return Claim(*mark, previous, origins, sign(unsigned.statement(federation, member)))


def read_entry(data: bytes) -> Entry:
    """Turn bytes into a claim or a proof, whose signatures are not checked by that.

    Raises
    ------
    FormatError
        If they are neither, or say what no claim can say.
    """
    if data[:1] == b"\1":
        return _read_claim(data)
    if data[:1] == b"\2":
        fields = read(_PROOF, data[1:], "proof")
        proof = Proof(_read_claim(fields["first"]), _read_claim(fields["second"]))
        if conflict(proof.first, proof.second):
            return proof
        raise FormatError("Got a proof of two claims that may both be true.")
    raise FormatError("Got an entry of a view that is neither a claim nor a proof.")


def _read_claim(data: bytes) -> Claim:
    if data[:1] != b"\1":
        raise FormatError("Got a claim that is none.")
    claim = Claim(**read(CLAIM, data[1:], "claim"))
    if not claim.incarnation or claim.version >= MAX_COUNTER:
        raise FormatError("Got a claim whose counters are out of range.")
    if (claim.version == 0) != (claim.digest == "") or (claim.version <= 1 and claim.previous):
        raise FormatError("Got a claim with digests that its version cannot have.")
    if list(claim.origins) != sorted(set(claim.origins)):
        raise FormatError("Got a claim whose origins are not sorted and distinct.")
    return claim


def verified(entry: Entry, key: bytes, federation: bytes, member: str) -> bool:
    """Tell whether the owner has signed all of an entry."""
    claims = (entry,) if isinstance(entry, Claim) else (entry.first, entry.second)
    return all(is_signed(key, claim.signature, claim.statement(federation, member)) for claim in claims)


def conflict(first: Claim, second: Claim) -> bool:
    """Tell whether two claims of one owner cannot both be true.

    They cannot if one version has two contents, or if a version names another one before it than was claimed.
    """
    if first.incarnation != second.incarnation:
        return False
    if first.version > second.version:
        first, second = second, first
    if first.version == second.version:
        return (first.digest, first.previous, first.origins) != (second.digest, second.previous, second.origins)
    return first.version + 1 == second.version and first.digest != second.previous

"""How somebody becomes a member: the admin's open invites and its verdict on a request; the joiner's side of it.

Owns the rules of admission.  It signs nothing and sends nothing: who is admitted becomes a member by a link of the
roster, which `_membership` makes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sklearn_symfed.exceptions import FederationError, FormatError, SchemaError
from sklearn_symfed.federation._fields import (
    COUNTER,
    FLAG,
    KEY,
    MAX_MEMBERS,
    NAME,
    Layout,
    blob,
    list_of,
    pack,
    read,
    record,
)
from sklearn_symfed.federation._invites import INVITE, INVITE_ID_BYTES, Invite
from sklearn_symfed.federation._keys import PublicKeys
from sklearn_symfed.federation._messages import MAX_REASON_BYTES, Request
from sklearn_symfed.federation._rosters import Roster
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.federation._slots import schema_of
from sklearn_symfed.psr import PSR

__all__ = ["Desk", "Issued", "Joining", "Verdict"]

_MOST_OPEN = MAX_MEMBERS
_LAST_GAP = 64
_USED = "the invite was used before; if not by you, tell the admin, and ask for a new one"


class Issued(NamedTuple):
    """An invite as its admin remembers it: not its secret, only a hash of that."""

    id: bytes
    member: str
    token_hash: bytes
    expires: int
    admin: bool


_ISSUED: Layout = {
    "id": blob(INVITE_ID_BYTES, INVITE_ID_BYTES),
    "member": NAME,
    "token_hash": KEY,
    "expires": COUNTER,
    "admin": FLAG,
}
_DESK: Layout = {"issued": list_of(record(_ISSUED, Issued), _MOST_OPEN)}


class Verdict(NamedTuple):
    """What an admin makes of a request: a reason to refuse; or the invite that admits; or neither, if it did before."""

    reason: str | None = None
    admits: Issued | None = None


class Desk:
    """The invites that an admin has issued and nobody has used."""

    def __init__(self, issued: tuple[Issued, ...] = ()) -> None:
        self.issued = {invite.id: invite for invite in issued}

    def issue(
        self, roster: Roster, url: str, member: str, expires: int, *, admin: bool, by: str, random: Random
    ) -> Invite:
        """Make an invite, and remember it."""
        if len(self.issued) >= _MOST_OPEN:
            raise FederationError(f"There are {_MOST_OPEN} open invites already.")
        keys = roster.members[by].keys
        invite = Invite(
            random(INVITE_ID_BYTES), random(32), roster.federation, roster.name, url, member, by, *keys, expires
        )
        self.issued[invite.id] = Issued(invite.id, member, _hash(invite.token), expires, admin)
        return invite

    def judge(self, request: Request, member: str, roster: Roster, now: float, labels: str = "") -> Verdict:
        """Decide on a request that is signed by the keys that it names; `labels` is of which kind those held are."""
        keys = PublicKeys(request.sign, request.seal)
        issued = self.issued.get(request.invite)
        if request.invite in roster.invites:
            return Verdict() if roster.is_member(member, keys) else Verdict(_USED)
        if issued is None:
            return Verdict("no such invite is open here")
        if _hash(request.token) != issued.token_hash:
            return Verdict("the request does not hold the secret of the invite")
        if member != issued.member:
            return Verdict(f"the invite is for {issued.member!r}")
        if now > issued.expires:
            return Verdict("the invite has expired by the admin's clock; ask for a new one")
        if len(roster.members) >= MAX_MEMBERS and member not in roster.members:
            return Verdict(f"there are {MAX_MEMBERS} members already")
        if any(held.keys == keys for held in roster.members.values()):
            return Verdict("these keys are a member's already")
        differences = _differences(roster, request, labels)
        return Verdict(differences) if differences else Verdict(admits=issued)

    def close(self, roster: Roster) -> None:
        """Forget the invites that a roster shows to be used."""
        for used in self.issued.keys() & roster.invites:
            del self.issued[used]

    def to_bytes(self) -> bytes:
        """Return the form that is stored."""
        return pack(_DESK, {"issued": tuple(self.issued.values())})

    @classmethod
    def from_bytes(cls, data: bytes) -> Desk:
        """Read what was stored."""
        return cls(read(_DESK, data, "list of invites")["issued"])


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(b"symfed invite token\0" + token).digest()


def _differences(roster: Roster, request: Request, labels: str) -> str | None:
    """Say how a joiner's rows differ from the federation's schema; None if they fit, or one of them is not known."""
    schema = schema_of(roster)
    if schema is None or request.schema is None:
        return None
    try:
        found = schema.differences(PSR.from_bytes(request.schema).schema)
    except (FormatError, SchemaError):
        return "the columns cannot be read"
    if labels and request.labels not in {"", labels}:
        found.append(f"labels of the class column {schema.classes!r}: {request.labels} instead of {labels}")
    reason = f"the columns do not match: {'; '.join(found)}".encode()[:MAX_REASON_BYTES]
    return reason.decode(errors="ignore") if found else None


@dataclass(frozen=True)
class Joining:
    """A joiner that has sent its request and waits for the answer.

    Attributes
    ----------
    invite : Invite
        What it was given.
    refusal : str or None
        Why the admin turned it down.
    """

    invite: Invite
    refusal: str | None = None
    turn: int = field(default=0, compare=False)
    due: int = field(default=1, compare=False)

    def refused(self, reason: str) -> Joining:
        """Return this, turned down."""
        return replace(self, refusal=reason)

    def next_turn(self) -> tuple[Joining, bool]:
        """Return what comes of one more pulse, and whether the request is to be sent (again) in it."""
        if self.refusal is not None:
            return self, False
        turn = self.turn + 1
        due = turn >= self.due
        return replace(self, turn=turn, due=turn + min(max(turn, 1), _LAST_GAP) if due else self.due), due

    def request(self, keys: PublicKeys, schema: bytes | None, labels: str = "") -> Request:
        """Return what is asked of the admin."""
        return Request(self.invite.id, self.invite.token, keys.sign, keys.seal, schema, labels)

    def to_bytes(self, sealed: Callable[[bytes], bytes]) -> bytes:
        """Return the form that is stored; it holds a secret, hence it is sealed."""
        return sealed(pack(INVITE, {name: getattr(self.invite, name) for name in INVITE}))

    @classmethod
    def from_bytes(cls, data: bytes, opened: Callable[[bytes], bytes], refusal: str | None) -> Joining:
        """Read what was stored."""
        return cls(Invite(**read(INVITE, opened(data), "stored invite")), refusal)

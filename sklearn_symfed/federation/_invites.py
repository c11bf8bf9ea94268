"""Invites: what an admin hands to somebody who is to become a member, sealed under a code that goes another way.

An invite names one member, the federation, its carrier and the admin's public keys; it holds a secret that the admin
knows the hash of, no key of the federation and no credential of the carrier.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from sklearn_symfed.exceptions import AuthenticationError, FormatError, InviteError
from sklearn_symfed.federation._fields import COUNTER, KEY, NAME, SEAL_KEY, Layout, blob, pack, read, text
from sklearn_symfed.federation._keys import PublicKeys
from sklearn_symfed.federation._sealing import Random, open_under_code, seal_under_code

__all__ = ["INVITE", "INVITE_ID_BYTES", "Invite", "new_code", "open_invite", "seal_invite"]

INVITE_ID_BYTES = 16
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O, U."""
_CODE_LETTERS = 20
_PREFIX = "symfed-invite-1."
_MAX_INVITE_CHARACTERS = 16_384


@dataclass(frozen=True)
class Invite:
    """What an invite says.

    Attributes
    ----------
    id : bytes
        Its number; public.
    token : bytes
        What only its holder knows.
    federation, name : bytes, str
        Identity and name of the federation.
    url : str
        The carrier.
    member : str
        Whom it is for.
    admin : str
        Who answers.
    sign, seal : bytes
        The admin's public keys.
    expires : int
        Seconds since 1970 on the admin's clock.
    """

    id: bytes
    token: bytes = field(repr=False)
    federation: bytes
    name: str
    url: str
    member: str
    admin: str
    sign: bytes
    seal: bytes
    expires: int

    @property
    def admin_keys(self) -> PublicKeys:
        """Who answers, by keys."""
        return PublicKeys(self.sign, self.seal)


INVITE: Layout = {
    "id": blob(INVITE_ID_BYTES, INVITE_ID_BYTES),
    "token": KEY,
    "federation": KEY,
    "name": NAME,
    "url": text(2048),
    "member": NAME,
    "admin": NAME,
    "sign": KEY,
    "seal": SEAL_KEY,
    "expires": COUNTER,
}


def new_code(random: Random) -> str:
    """Return a code of 100 bits: five groups of four letters and digits."""
    letters = "".join(_ALPHABET[byte % 32] for byte in random(_CODE_LETTERS))  # 32 divides 256: no letter is likelier
    return "-".join(letters[start : start + 4] for start in range(0, _CODE_LETTERS, 4))


def seal_invite(invite: Invite, code: str, random: Random) -> str:
    """Return the text that the member is given, which says nothing without the code."""
    plaintext = pack(INVITE, {name: getattr(invite, name) for name in INVITE})
    sealed = seal_under_code(_normal(code), plaintext, _PREFIX.encode(), random)
    return _PREFIX + base64.urlsafe_b64encode(sealed + _checksum(sealed)).decode().rstrip("=")


def open_invite(invite: str, code: str) -> Invite:
    """Read an invite.

    Raises
    ------
    InviteError
        If the text is no whole invite of this version, or the code is not the one that it was sealed under.
    """
    if not isinstance(invite, str) or not isinstance(code, str):
        raise InviteError(
            f"Got an invite of type {type(invite).__name__}, a code of type {type(code).__name__}; expected two str."
        )
    compact = "".join(invite.split())
    if len(compact) > _MAX_INVITE_CHARACTERS or not compact.startswith("symfed-invite-"):
        raise InviteError("Got a text that is no invite: expected one that begins with 'symfed-invite-'.")
    if not compact.startswith(_PREFIX):
        raise InviteError("Got an invite of another version: install the release of sklearn-symfed that the admin has.")
    sealed = _decoded(compact.removeprefix(_PREFIX))
    normal = _normal(code)
    if len(normal) != _CODE_LETTERS or any(letter not in _ALPHABET for letter in normal):
        raise InviteError(f"Got a code that cannot be right: expected {_CODE_LETTERS} letters and digits.")
    try:
        return Invite(**read(INVITE, open_under_code(normal, sealed, _PREFIX.encode()), "invite"))
    except AuthenticationError:
        raise InviteError("The code is not the one of this invite: compare it with what the admin was shown.") from None
    except FormatError as error:
        raise InviteError(f"The invite opens, but says what this release cannot read: {error}") from None


def _decoded(letters: str) -> bytes:
    try:
        data = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    sealed, checksum = data[:-4], data[-4:]
    if not sealed or _checksum(sealed) != checksum:
        raise InviteError("The invite was altered or is not whole: copy it again, from its first to its last letter.")
    return sealed


def _checksum(sealed: bytes) -> bytes:
    return hashlib.sha256(_PREFIX.encode() + sealed).digest()[:4]


def _normal(code: str) -> str:
    """Return a code as it was made, however it was typed."""
    letters = "".join(letter for letter in code.upper() if not letter.isspace() and letter not in "-_.")
    return letters.translate(str.maketrans("OIL", "011"))

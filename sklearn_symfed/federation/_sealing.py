"""Primitives of secrecy, from `cryptography` alone: what seals, for one, for all, and under a code that people type.

Owns the choice of algorithms and their parameters; which key is whose, and what is sealed with it, is decided
elsewhere.  HKDF-SHA256 makes keys, AES-256-GCM seals, X25519 agrees, scrypt stretches a code.  Every failure to open
is the same error: it tells nobody what was wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from sklearn_symfed.exceptions import AuthenticationError

__all__ = [
    "KEY_BYTES",
    "OVERHEAD",
    "Random",
    "can_be_sealed_to",
    "derive",
    "open_sealed",
    "open_sealed_to",
    "open_under_code",
    "seal",
    "seal_to",
    "seal_under_code",
]

Random = Callable[[int], bytes]
"""Returns so many bytes that nobody can guess: `os.urandom`, or a seeded source in tests."""

KEY_BYTES = 32
OVERHEAD = 12 + 16
"""What sealing adds: a nonce and a tag."""
_SALT_BYTES = 16
_SCRYPT = {"length": KEY_BYTES, "n": 2**15, "r": 8, "p": 1}
"""32 MiB and about a tenth of a second.  Fixed: what arrives from outside cannot ask for more."""


def derive(secret: bytes, label: str, *context: bytes) -> bytes:
    """Return a key that depends on `secret`, what it is for, and every part of the context."""
    parts = (b"sklearn-symfed", label.encode(), *context)
    info = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret)


def seal(key: bytes, plaintext: bytes, associated: bytes, random: Random) -> bytes:
    """Encrypt and authenticate; `associated` is authenticated only."""
    nonce = random(12)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, associated)


def open_sealed(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Undo `seal`, or raise an `AuthenticationError`."""
    if len(sealed) < OVERHEAD:
        raise AuthenticationError(_FAILED)
    return _decrypt(key, sealed[:12], sealed[12:], associated)


def seal_to(public: bytes, plaintext: bytes, associated: bytes, random: Random) -> bytes:
    """Encrypt for the holder of one X25519 key; the sender is not authenticated by this."""
    ephemeral = X25519PrivateKey.from_private_bytes(random(KEY_BYTES))
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    ours = ephemeral.public_key().public_bytes_raw()
    key = derive(shared, "sealed to one", ours, public)
    return ours + AESGCM(key).encrypt(bytes(12), plaintext, associated)  # the key is used once, hence no nonce


def can_be_sealed_to(public: bytes) -> bool:
    """Tell whether `seal_to` takes a key: a point of small order agrees on nothing with anybody."""
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True


def open_sealed_to(private: X25519PrivateKey, sealed: bytes, associated: bytes) -> bytes:
    """Undo `seal_to`, or raise an `AuthenticationError`."""
    if len(sealed) < KEY_BYTES + 16:
        raise AuthenticationError(_FAILED)
    theirs = sealed[:KEY_BYTES]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:  # a point of small order
        raise AuthenticationError(_FAILED) from None
    key = derive(shared, "sealed to one", theirs, private.public_key().public_bytes_raw())
    return _decrypt(key, bytes(12), sealed[KEY_BYTES:], associated)


def seal_under_code(code: str, plaintext: bytes, associated: bytes, random: Random) -> bytes:
    """Encrypt under a code of high entropy that people pass on."""
    salt = random(_SALT_BYTES)
    return salt + AESGCM(_stretched(code, salt)).encrypt(bytes(12), plaintext, associated)  # a key of its own


def open_under_code(code: str, sealed: bytes, associated: bytes) -> bytes:
    """Undo `seal_under_code`, or raise an `AuthenticationError`."""
    if len(sealed) < _SALT_BYTES + 16:
        raise AuthenticationError(_FAILED)
    return _decrypt(_stretched(code, sealed[:_SALT_BYTES]), bytes(12), sealed[_SALT_BYTES:], associated)


_PROBE = X25519PrivateKey.from_private_bytes(bytes(range(KEY_BYTES)))
"""Guards nothing."""
_FAILED = "Got sealed bytes that do not authenticate under this key."


def _stretched(code: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, **_SCRYPT).derive(code.encode())


def _decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        raise AuthenticationError(_FAILED) from None

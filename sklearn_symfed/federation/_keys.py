"""Who a node is: an identity made from one seed, its public half, and the fingerprint that people compare.

Owns keys and signatures; knows no member and no message.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cached_property
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sklearn_symfed.federation._sealing import KEY_BYTES, derive, open_sealed_to

__all__ = ["SIGNATURE_BYTES", "Identity", "PublicKeys", "is_signed"]

SIGNATURE_BYTES = 64


class PublicKeys(NamedTuple):
    """What others know of an identity: an Ed25519 key that signs and an X25519 key that opens."""

    sign: bytes
    seal: bytes

    @property
    def fingerprint(self) -> str:
        """100 bits of a hash of both keys, in groups of four: what two people read to each other."""
        text = base64.b32encode(hashlib.sha256(b"symfed keys\0" + self.sign + self.seal).digest()).decode()
        return "-".join(text[start : start + 4] for start in range(0, 20, 4))

    @property
    def origin(self) -> bytes:
        """16 bytes that stand for the identity where rows are traced to who learned them."""
        return hashlib.sha256(b"symfed origin\0" + self.sign).digest()[:16]


class Identity:
    """The secret half; made from a seed of 32 bytes that never leaves its home.

    Parameters
    ----------
    seed : bytes
        Of full entropy.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) != KEY_BYTES:
            raise ValueError(f"Got a seed of {len(seed)} bytes, but expected {KEY_BYTES}.")
        self._seed = seed

    def __repr__(self) -> str:
        return f"Identity({self.public.fingerprint})"

    @cached_property
    def public(self) -> PublicKeys:
        """What others may know."""
        return PublicKeys(self._sign.public_key().public_bytes_raw(), self._seal.public_key().public_bytes_raw())

    @cached_property
    def store_key(self) -> bytes:
        """The key under which a home keeps what is secret in its database."""
        return derive(self._seed, "store")

    def sign(self, statement: bytes) -> bytes:
        """Sign a statement, which has to begin with what it is for."""
        return self._sign.sign(statement)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Open what was sealed to this identity, or raise an `AuthenticationError`."""
        return open_sealed_to(self._seal, sealed, associated)

    @cached_property
    def _sign(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(derive(self._seed, "sign"))

    @cached_property
    def _seal(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(derive(self._seed, "seal"))


def is_signed(key: bytes, signature: bytes, statement: bytes) -> bool:
    """Tell whether the holder of an Ed25519 key has signed a statement."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, statement)
    except (InvalidSignature, ValueError):
        return False
    return True

"""The recovery key of a federation: printed once, kept by nobody, it makes one member the only admin."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation._sealing import KEY_BYTES, Random

__all__ = ["RecoveryKey"]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS = 52


class RecoveryKey:
    """A signing key in a form that people write down: 13 groups of four letters and digits."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def new(cls, random: Random) -> RecoveryKey:
        """Make one."""
        return cls(random(KEY_BYTES))

    @classmethod
    def read(cls, text: str) -> RecoveryKey:
        """Read what was written down."""
        if not isinstance(text, str):
            raise SettingError(f"Got a recovery key of type {type(text).__name__}, but expected a str.")
        letters = "".join(letter for letter in text.upper() if letter.isalnum())
        letters = letters.translate(str.maketrans("OIL", "011"))
        if len(letters) != _LETTERS or any(letter not in _ALPHABET for letter in letters):
            raise SettingError(f"Got a recovery key that cannot be right: expected {_LETTERS} letters and digits.")
        number = 0
        for letter in letters:
            number = 32 * number + _ALPHABET.index(letter)
        if number >> (8 * KEY_BYTES):
            raise SettingError("Got a recovery key that cannot be right: it is beyond the largest.")
        return cls(number.to_bytes(KEY_BYTES, "big"))

    def __repr__(self) -> str:
        return "RecoveryKey(...)"

    @property
    def public(self) -> bytes:
        """What the roster holds of it."""
        return self._key.public_key().public_bytes_raw()

    @property
    def text(self) -> str:
        """What is printed once."""
        number = int.from_bytes(self._key.private_bytes_raw(), "big")
        letters = "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LETTERS - 1), -1, -5))
        return "-".join(letters[start : start + 4] for start in range(0, _LETTERS, 4))

    def sign(self, statement: bytes) -> bytes:
        """Sign a statement."""
        return self._key.sign(statement)

"""Names of members and federations.

Owns what a name may be, so that every transport can turn it into a folder, a queue or a subject.
"""

from __future__ import annotations

import unicodedata

from sklearn_symfed.exceptions import SettingError

__all__ = ["MAX_NAME_BYTES", "check_name"]

MAX_NAME_BYTES = 80
"""Longest name in UTF-8: three times as much, escaped, still fits in a file name."""

_REFUSED = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp"})
"""Control, format, unassigned, surrogate, line and paragraph separator: two names must not look alike by them."""


def check_name(name: str, what: str = "member") -> str:
    """Return `name` in normal form C, or raise a `SettingError` that says what a name may be.

    Parameters
    ----------
    name : str
        1 to 80 bytes of UTF-8 without control characters, invisible ones or surrounding white space.  Slashes, dots
        and letters of any script are fine.
    what : str, default="member"
        What is being named, for the message.
    """
    expected = f"1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters, invisible ones or surrounding spaces"
    if not isinstance(name, str):
        raise SettingError(f"Got a {what} name of type {type(name).__name__}, but expected a str of {expected}.")
    normal = unicodedata.normalize("NFC", name)
    if not normal or normal != normal.strip() or any(unicodedata.category(c) in _REFUSED for c in normal):
        raise SettingError(f"Got {what} name {name!r}, but expected {expected}.")
    size = len(normal.encode())
    if size > MAX_NAME_BYTES:
        raise SettingError(f"Got a {what} name of {size} bytes, but expected {expected}.")
    return normal

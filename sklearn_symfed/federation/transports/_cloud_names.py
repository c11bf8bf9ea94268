"""What the names of clouds have in common: URLs with options, and tokens that stand for members.

Owns how a URL of the form ``scheme://place/federation?option=value`` is read, and how a member's name becomes one that
a service takes.  Which letters that may have, and which options there are, is each transport's own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation._names import check_name

__all__ = ["Shape", "Tokens"]

_LONGEST, _SHOWN = 43, 9


class Shape(NamedTuple):
    """What the URLs of a transport look like.

    Attributes
    ----------
    scheme : str
    place, federation : re.Pattern
        Of what stands before and behind the first slash.
    options : mapping of str to re.Pattern
        The first of which has to be there.
    expected : str
        In words.
    """

    scheme: str
    place: re.Pattern[str]
    federation: re.Pattern[str]
    options: Mapping[str, re.Pattern[str]]
    expected: str

    def read(self, url: str) -> tuple[str, str, dict[str, str]]:
        """Return place, federation and options of a URL.

        Raises
        ------
        SettingError
            If it says less, more or something else; a credential is not repeated.
        """
        try:
            parts = urlsplit(url)
        except ValueError:  # of a bracket that nothing closes
            parts = urlsplit("")
        federation = parts.path.removeprefix("/")
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        options = dict(pairs)
        right = (
            parts.scheme == self.scheme
            and not parts.fragment
            and len(options) == len(pairs)
            and next(iter(self.options)) in options
            and self.place.fullmatch(parts.netloc)
            and self.federation.fullmatch(federation)
            and all(name in self.options and self.options[name].fullmatch(value) for name, value in pairs)
        )
        if not right:
            shown = f"{self.scheme}://..." if "@" in url or options.keys() - self.options.keys() else url
            raise SettingError(f"Got transport URL {shown!r}, but expected {self.expected}.")
        return parts.netloc, federation, options


class Tokens:
    """Names of members in some plain letters and ``_``.

    Parameters
    ----------
    plain : str
        Letters of ASCII that stand for themselves.
    """

    def __init__(self, plain: str) -> None:
        self._plain = frozenset(plain.encode())
        self._escaped = re.compile(rf"(?:[{re.escape(plain)}]|_[0-9a-f]{{2}})+", re.ASCII)

    def of(self, member: str) -> str:
        """Return a member's name as it is, escaped, or, if that is long, hashed: at most 43 letters.

        Two names never have one token: what is hashed holds two underscores in a row, and what is escaped does not.
        """
        data = check_name(member).encode()
        escaped = "".join(chr(byte) if byte in self._plain else f"_{byte:02x}" for byte in data)
        if len(escaped) <= _LONGEST:
            return escaped
        return f"{escaped[:_SHOWN]}__{hashlib.sha256(data).hexdigest()[:32]}"

    def member(self, token: str) -> str | None:
        """Return the member whose token this is; None if it cannot be told, or is nobody's."""
        if not self._escaped.fullmatch(token):
            return None
        try:
            data = re.sub(rb"_(..)", lambda escaped: bytes([int(escaped[1], 16)]), token.encode())
            member = data.decode()
            return member if self.of(member) == token else None
        except (UnicodeDecodeError, SettingError):
            return None

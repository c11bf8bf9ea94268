"""What things of a federation are called at Azure, and what a URL says.

Owns the names of topic, subscriptions and blobs, and the tokens that stand for members.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation._names import check_name

__all__ = ["ALL", "Place", "member_of", "place_of", "token_of"]

ALL = "*"
"""Who a message is for that is for all; no token is that."""

_FEDERATION = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?", re.ASCII)
_OPTIONS = {
    "blobs": re.compile(r"[a-z0-9]{3,24}/[a-z0-9](-?[a-z0-9]){2,62}", re.ASCII),
    "wait": re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?", re.ASCII),
}
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
_LONGEST, _SHOWN = 43, 9
_ESCAPED = re.compile(r"(?:[a-z0-9]|_[0-9a-f]{2})+", re.ASCII)
_INBOX = "in_"


class Place(NamedTuple):
    """What a URL says, and what things are called there; members are given as tokens.

    Attributes
    ----------
    namespace : str
        Its host, as ``acme.servicebus.windows.net``.
    federation : str
    account : str
        The storage account.
    container : str
        Where blobs lie.
    wait : float
        For so many seconds an empty inbox is watched.
    """

    namespace: str
    federation: str
    account: str
    container: str
    wait: float

    @property
    def topic(self) -> str:
        """Of all messages.  No federation's name holds an underscore."""
        return f"symfed_{self.federation}"

    @property
    def blobs(self) -> str:
        """What the names of blobs begin with."""
        return f"{self.federation}/"

    @property
    def storage_url(self) -> str:
        """Of the storage account, in the cloud (Azure's, or that of a country) in which the namespace is."""
        return f"https://{self.account}.blob.core.{self.namespace.partition('.servicebus.')[2] or 'windows.net'}"

    def inbox(self, member: str) -> str:
        """Return the name of a member's subscription: at most 50 letters, beginning with one, as Service Bus asks."""
        return f"{_INBOX}{member}"

    def owner(self, subscription: str) -> str | None:
        """Return whose inbox a subscription is: the name, or the token where that cannot be told; None: nobody's."""
        if not subscription.startswith(_INBOX):
            return None
        token = subscription.removeprefix(_INBOX)
        return member_of(token) or token


def token_of(member: str) -> str:
    """Return a member's name in small letters, digits and ``_``: as it is, escaped, or, if that is long, hashed.

    Two names never have one token, though Service Bus takes large letters for small ones: what is hashed holds two
    underscores in a row, and what is escaped does not.
    """
    data = check_name(member).encode()
    escaped = "".join(chr(byte) if byte in _PLAIN else f"_{byte:02x}" for byte in data)
    if len(escaped) <= _LONGEST:
        return escaped
    return f"{escaped[:_SHOWN]}__{hashlib.sha256(data).hexdigest()[:32]}"


def member_of(token: str) -> str | None:
    """Return the member whose token this is; None if it cannot be told, or is nobody's."""
    if not _ESCAPED.fullmatch(token):
        return None
    try:
        data = re.sub(rb"_(..)", lambda escaped: bytes([int(escaped[1], 16)]), token.encode())
        member = data.decode()
        return member if token_of(member) == token else None
    except (UnicodeDecodeError, SettingError):
        return None


def place_of(url: str) -> Place:
    """Return what a URL says.

    Raises
    ------
    SettingError
        If it names no namespace, federation or container, or holds what is none of these; a credential is not repeated.
    """
    parts = urlsplit(url)
    federation = parts.path.removeprefix("/")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    wrong = parts.scheme != "azure" or parts.fragment or len(options) != len(pairs)
    wrong = wrong or not _NAMESPACE.fullmatch(parts.netloc) or not _FEDERATION.fullmatch(federation)
    if wrong or any(name not in _OPTIONS or not _OPTIONS[name].fullmatch(value) for name, value in pairs):
        options = {}
    if "blobs" not in options:
        shown = "azure://..." if "@" in url or set(dict(pairs)) - _OPTIONS.keys() else url
        raise SettingError(
            f"Got transport URL {shown!r}, but expected azure://namespace.servicebus.windows.net/federation"
            "?blobs=account/container, with a federation of at most 40 small letters, digits and -, and, if wanted, "
            "&wait=seconds; credentials come from the environment."
        )
    account, _, container = options["blobs"].partition("/")
    return Place(parts.netloc, federation, account, container, float(options.get("wait", "1")))

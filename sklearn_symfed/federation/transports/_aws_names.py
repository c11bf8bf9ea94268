"""What things of a federation are called at AWS, and what a URL says.

Owns the names of topic, queues and objects, the tokens that stand for members, and ARNs.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation._names import check_name

__all__ = ["Names", "Place", "member_of", "place_of", "token_of"]

_FEDERATION = re.compile(r"[a-z0-9-]{1,24}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+", re.ASCII)
_OPTIONS = {
    "bucket": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII),
    "account": re.compile(r"[0-9]{12}", re.ASCII),
    "wait": re.compile(r"1?[0-9]|20", re.ASCII),
}
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
_LONGEST, _SHOWN = 43, 9
_ESCAPED = re.compile(r"(?:[A-Za-z0-9-]|_[0-9a-f]{2})+", re.ASCII)


class Place(NamedTuple):
    """What a URL says.

    Attributes
    ----------
    region : str
    federation : str
    bucket : str
        Where objects lie.
    account : str
        Of 12 digits; empty if it is that of whoever connects.
    wait : int
        For so many seconds an empty inbox is watched.
    """

    region: str
    federation: str
    bucket: str
    account: str
    wait: int


class Names(NamedTuple):
    """Of one federation; members are given as tokens.

    No federation's name holds an underscore, hence none begins with what the names of another one begin with.
    """

    partition: str
    region: str
    account: str
    federation: str
    bucket: str

    @property
    def topic(self) -> str:
        """Of messages for all."""
        return f"symfed_{self.federation}"

    def inbox(self, member: str) -> str:
        """Return the name of a member's queue: at most 80 letters, as SQS asks."""
        return f"symfed_{self.federation}_in_{member}"

    def dead(self, member: str) -> str:
        """Return the name of the queue of what a member could not take in."""
        return f"symfed_{self.federation}_dead_{member}"

    @property
    def objects(self) -> str:
        """What the names of objects begin with."""
        return f"{self.federation}/"

    @property
    def topic_arn(self) -> str:
        """Of the topic."""
        return f"arn:{self.partition}:sns:{self.region}:{self.account}:{self.topic}"

    def queue_arn(self, queue: str) -> str:
        """Return the ARN of a queue."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{queue}"

    def object_arn(self, pattern: str = "") -> str:
        """Return the ARN of the objects of a federation that match a pattern; that of the bucket for none."""
        return f"arn:{self.partition}:s3:::{self.bucket}" + (f"/{self.objects}{pattern}" if pattern else "")


def token_of(member: str) -> str:
    """Return a member's name in letters, digits, ``-`` and ``_``: as it is, escaped, or, if that is long, hashed.

    Two names never have one token: what is hashed holds two underscores in a row, and what is escaped does not.
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
        If it names no region, federation or bucket, or holds what is none of these; a credential is not repeated.
    """
    parts = urlsplit(url)
    federation = parts.path.removeprefix("/")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    wrong = parts.scheme != "aws" or parts.fragment or len(options) != len(pairs)
    wrong = wrong or not _REGION.fullmatch(parts.netloc) or not _FEDERATION.fullmatch(federation)
    if wrong or any(name not in _OPTIONS or not _OPTIONS[name].fullmatch(value) for name, value in pairs):
        options = {}
    if "bucket" not in options:
        shown = "aws://..." if "@" in url or set(dict(pairs)) - _OPTIONS.keys() else url
        raise SettingError(
            f"Got transport URL {shown!r}, but expected aws://region/federation?bucket=name, with a federation of at "
            "most 24 small letters, digits and -, and, if wanted, &account=123456789012 and &wait=seconds; credentials "
            "come from the usual chain of boto3."
        )
    return Place(parts.netloc, federation, options["bucket"], options.get("account", ""), int(options.get("wait", "1")))

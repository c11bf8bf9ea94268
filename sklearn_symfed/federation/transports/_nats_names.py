"""What things of a federation are called on a NATS server, and which rights of its members that takes.

Owns streams, subjects, the tokens that stand for members, and what a URL says.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation.transports.directory import folder_of

__all__ = ["Names", "member_of", "place_of", "rights_of", "token_of"]

_FEDERATION = re.compile(r"[A-Za-z0-9_-]{1,64}(?<!_dead)", re.ASCII)
"""The stream of one federation may not be the dead letters of another."""


class Names(NamedTuple):
    """Of one federation; members are given as tokens."""

    federation: str

    @property
    def stream(self) -> str:
        """Of the messages; the bucket of objects has the same name."""
        return f"symfed_{self.federation}"

    @property
    def dead_stream(self) -> str:
        """Of what could not be taken in."""
        return f"{self.stream}_dead"

    @property
    def objects(self) -> str:
        """Of what an object store lies in."""
        return f"OBJ_{self.stream}"

    @property
    def answers(self) -> str:
        """Of the subjects of answers to an admin who lists or removes all, before whom it is as a member is known."""
        return f"_ADMIN.{self.federation}"

    def to_all(self, sender: str) -> str:
        """Return the subject of messages for all."""
        return f"symfed.{self.federation}.all.{sender}"

    def to_one(self, recipient: str, sender: str) -> str:
        """Return the subject of messages for one."""
        return f"symfed.{self.federation}.to.{recipient}.{sender}"

    def dead(self, member: str) -> str:
        """Return the subject of what a member could not take in."""
        return f"symfed.{self.federation}.dead.{member}"


def token_of(member: str) -> str:
    """Return a member's name as one token of a subject, from which the member can be told."""
    return folder_of(member).removeprefix("inbox-")


def member_of(token: str) -> str | None:
    """Return the member whose token this is, or None if it is nobody's."""
    try:
        member = unquote(token, errors="strict")
        return member if token_of(member) == token else None
    except (UnicodeDecodeError, SettingError):
        return None


def rights_of(federation: str, member: str, *, admin: bool = False) -> dict[str, list[str]]:
    """Return the subjects that a member has to be allowed to publish and subscribe to: the least that will do.

    Parameters
    ----------
    federation : str
        As in the URL.
    member : str
    admin : bool, default=False
        Whether it founds the federation, makes the inboxes of those whom it invites, or takes all of it down.
    """
    names, me = Names(federation), token_of(check_name(member))
    stream, objects = names.stream, names.objects
    publish = [
        names.to_all(me),
        names.to_one("*", me),
        names.dead(me),
        f"$JS.API.CONSUMER.INFO.{stream}.{me}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{me}",
        f"$JS.ACK.{stream}.{me}.>",
        f"$JS.API.STREAM.INFO.{names.dead_stream}",
        f"$O.{stream}.>",
        f"$JS.API.STREAM.INFO.{objects}",
        f"$JS.API.STREAM.PURGE.{objects}",
        f"$JS.API.STREAM.MSG.GET.{objects}",
        f"$JS.API.CONSUMER.CREATE.{objects}",
        "$JS.API.STREAM.NAMES",
        "$JS.FC.>",
    ]
    subscribe = [f"_INBOX.{me}.>"]
    if admin:
        streams = (stream, names.dead_stream, objects)
        publish += [f"$JS.API.STREAM.{verb}.{name}" for verb in ("INFO", "CREATE", "DELETE") for name in streams]
        publish += [f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("INFO", "DURABLE.CREATE", "DELETE")]
        publish.append(f"$JS.API.CONSUMER.NAMES.{stream}")
        subscribe.append(f"{names.answers}.>")
    return {"publish": sorted(set(publish)), "subscribe": sorted(subscribe)}


def place_of(url: str) -> tuple[str, str]:
    """Return the server's address and the federation's name there."""
    parts = urlsplit(url)
    federation = parts.path.removeprefix("/")
    try:
        port = parts.port or 4222
    except ValueError:
        port = 0
    host = parts.hostname or ""
    wrong = parts.scheme != "nats" or not host or not port or "@" in parts.netloc
    if wrong or parts.query or parts.fragment or not _FEDERATION.fullmatch(federation):
        shown = url.replace(parts.netloc, "...") if "@" in parts.netloc else url
        raise SettingError(
            f"Got transport URL {shown!r}, but expected nats://host:port/federation, with a federation of letters, "
            "digits, - and _ that does not end in _dead; user and password come from the environment (NATS_USER, "
            "NATS_PASSWORD)."
        )
    return f"nats://{f'[{host}]' if ':' in host else host}:{port}", federation

"""Whose inboxes an admin makes at the carrier, and when it takes them down.

Owns what an admin remembers of that, so that it does each once, and again what a crash or the carrier kept it from; how
it is done is the transport's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation._fields import COUNTER, MAX_MEMBERS, NAME, Layout, list_of, pack, read, record
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation.transports import Transport

__all__ = ["GRACE", "Inboxes"]

_log = logging.getLogger("sklearn_symfed")

GRACE = 86_400
"""So many seconds the inbox of somebody who is off the roster stays, for it holds the news of that."""


class _Inbox(NamedTuple):
    member: str
    since: int


_INBOX: Layout = {"member": NAME, "since": COUNTER}
_INBOXES: Layout = {"inboxes": list_of(record(_INBOX, _Inbox), 3 * MAX_MEMBERS)}


class Inboxes:
    """The inboxes that are there, and since when (seconds since 1970) nobody needs them; 0 for those in use."""

    def __init__(self, since: Mapping[str, int] | None = None) -> None:
        self._since = dict(since or {})

    def tend(self, node: Membership, carrier: Callable[[], Transport], now: float) -> None:
        """Make and take down what is due, and remember each that was done, also if the next one fails.

        Raises
        ------
        TransportError
            If an inbox cannot be made.  One that cannot be taken down is left for a day.
        """
        make, take_down = self._due(node, now)
        for name in make:
            carrier().prepare(name)
            self._since[name] = 0
        for name in take_down:
            try:
                carrier().discard(name)
            except TransportError as error:  # it does no harm meanwhile, and keeps nobody from pulsing
                self._since[name] = max(1, int(now))
                _log.warning("%r tries again later to take down the inbox of %r: %s", node.member, name, error)
            else:
                self.forget(name)

    def _due(self, node: Membership, now: float) -> tuple[list[str], list[str]]:
        """Return whose inboxes this node is to make, and whose to take down."""
        if not node.is_admin:
            return [], []
        invited = {issued.member for issued in node.desk.issued.values() if now <= issued.expires}
        make = sorted(invited - self._since.keys())
        wanted = invited | node.roster.members.keys()
        for name in self._since.keys() | node.roster.members.keys():
            self._since[name] = 0 if name in wanted else self._since[name] or max(1, int(now))
        over = [name for name, since in self._since.items() if since and now >= since + GRACE]
        return make, sorted(over)

    def forget(self, member: str) -> None:
        """Note that a member's inbox is gone, or may be: whoever is invited again gets one again."""
        self._since.pop(member, None)

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        newest = sorted(self._since.items(), key=lambda item: (-item[1], item[0]))[: 3 * MAX_MEMBERS]
        return pack(_INBOXES, {"inboxes": sorted(_Inbox(*item) for item in newest)})

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Inboxes:
        """Return what was stored; nothing if nothing was."""
        return cls() if data is None else cls(dict(read(_INBOXES, data, "stored inboxes")["inboxes"]))

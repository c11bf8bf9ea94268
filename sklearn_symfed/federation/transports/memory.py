"""``memory://name``: inboxes in this process, for tests and for learning how a federation behaves.

Owns a registry of hubs, one a name, that lives as long as the process.
"""

from __future__ import annotations

import itertools
import threading

from sklearn_symfed.exceptions import SettingError, TransportError
from sklearn_symfed.federation.transports.base import Delivery, Transport

__all__ = ["MemoryTransport"]


class _Hub:
    """The inboxes of one federation: member -> number of the message -> its bytes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.numbers = itertools.count()
        self.inboxes: dict[str, dict[int, bytes]] = {}


_hubs: dict[str, _Hub] = {}
_hubs_lock = threading.Lock()


class MemoryTransport(Transport):
    """A mailbox in the memory of this process; any number of threads may use it.

    Parameters
    ----------
    url : str
        ``memory://name``; members that give the same name share a hub.
    member : str
        Whose inbox this is.
    create : bool, default=False
        Whether to refuse a hub in which others have inboxes; it comes to be when somebody names it.
    max_payload : int, default=64 MiB
        The largest message, in bytes.
    """

    def __init__(self, url: str, member: str, *, create: bool = False, max_payload: int = 64 * 2**20) -> None:
        super().__init__(url, member, max_payload=max_payload)
        name = url.removeprefix("memory://")
        if not name or name == url:
            raise SettingError(f"Got transport URL {url!r}, but expected memory://name.")
        with _hubs_lock:
            self._hub = _hubs.setdefault(name, _Hub())
        with self._hub.lock:
            if create:
                self.require_empty(self._hub.inboxes)
            self.existed = self.member in self._hub.inboxes
            self._hub.inboxes.setdefault(self.member, {})

    def _publish(self, data: bytes, to: str | None) -> None:
        with self._hub.lock:
            for member, inbox in self._hub.inboxes.items():
                if member == to or (to is None and member != self.member):
                    inbox[next(self._hub.numbers)] = data

    def _receive(self, limit: int) -> list[Delivery]:
        with self._hub.lock:
            waiting = itertools.islice(self._inbox().items(), limit)
            return [Delivery(data, number) for number, data in waiting]

    def _ack(self, delivery: Delivery) -> None:
        with self._hub.lock:
            self._inbox().pop(delivery.receipt, None)

    def _prepare(self, member: str) -> None:
        with self._hub.lock:
            self._hub.inboxes.setdefault(member, {})

    def _discard(self, member: str) -> None:
        with self._hub.lock:
            self._hub.inboxes.pop(member, None)

    def _inbox(self) -> dict[int, bytes]:
        inbox = self._hub.inboxes.get(self.member)
        if inbox is None:
            raise TransportError(f"Got no inbox of {self.member!r} at {self.url}: somebody took it down; open it anew.")
        return inbox

"""What the federation asks of a carrier, and how one is chosen by URL.

A carrier moves opaque bytes between named members: at least once, in any order, up to a size.  Nothing here knows what
the bytes mean.  A back end is one file beside this one, or a package of someone else with an entry point in the group
``sklearn_symfed.transports``; each proves itself by inheriting :class:`sklearn_symfed.testing.TransportTests`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import TracebackType
from typing import Any, Protocol, Self

from sklearn_symfed.exceptions import FederationError, PayloadTooLargeError, SettingError
from sklearn_symfed.federation._names import check_name

__all__ = ["Delivery", "Transport", "TransportFactory", "open_transport"]

ENTRY_POINTS = "sklearn_symfed.transports"
_EXTRAS = ("aws", "azure", "nats")


@dataclass(frozen=True)
class Delivery:
    """One message out of a member's inbox.

    Attributes
    ----------
    data : bytes
        What was published.
    receipt : object
        What the transport needs to acknowledge it; means nothing to anybody else.
    """

    data: bytes = field(repr=False)
    receipt: Any = field(repr=False, compare=False)


class Transport(ABC):
    """One member's end of a carrier: a blocking, at-least-once, unordered mailbox.

    The contract that every back end keeps, and :class:`~sklearn_symfed.testing.TransportTests` checks:

    - A message reaches every member that had an inbox when it was published (or only `to`), never its publisher,
      at least once; messages arrive in any order.  A message to somebody without an inbox is lost.
    - A delivery that is not acknowledged comes again, at the latest after the inbox is opened anew.
    - The inbox outlives the object that reads it; opening creates it where there is none.
    - A failure of the carrier is a :class:`~sklearn_symfed.exceptions.TransportError`, with no message half visible.

    Back ends implement the four methods with an underscore; size, names and use after closing are checked here.

    Parameters
    ----------
    url : str
        Where the federation's carrier is.
    member : str
        Whose inbox this is.
    max_payload : int
        The largest message, in bytes.
    """

    def __init__(self, url: str, member: str, *, max_payload: int) -> None:
        self.url = url
        self.member = check_name(member)
        self.max_payload = max_payload
        self._closed = False

    def publish(self, data: bytes, to: str | None = None) -> None:
        """Send `data` to every other member, or to one.

        Raises
        ------
        PayloadTooLargeError
            If `data` is longer than `max_payload` bytes.
        TransportError
            If the carrier failed; some members may have the message.
        """
        self._check_open()
        if len(data) > self.max_payload:
            raise PayloadTooLargeError(
                f"Got a message of {len(data)} bytes, but {self.url} takes at most {self.max_payload} bytes."
            )
        recipient = None if to is None else check_name(to)
        if recipient != self.member:
            self._publish(bytes(data), recipient)

    def receive(self, limit: int = 100) -> list[Delivery]:
        """Return up to `limit` messages that wait in the inbox; an empty list when there is nothing now."""
        self._check_open()
        return self._receive(limit) if limit > 0 else []

    def ack(self, delivery: Delivery) -> None:
        """Take one delivered message out of the inbox; doing so twice does nothing."""
        self._check_open()
        self._ack(delivery)

    def close(self) -> None:
        """Let go of the carrier; the inbox stays.  Doing so twice does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise FederationError(f"The transport {self.url} of member {self.member!r} is closed; open it again.")

    @abstractmethod
    def _publish(self, data: bytes, to: str | None) -> None: ...

    @abstractmethod
    def _receive(self, limit: int) -> list[Delivery]: ...

    @abstractmethod
    def _ack(self, delivery: Delivery) -> None: ...

    def _close(self) -> None:  # noqa: B027 - most back ends hold nothing
        """Release what the back end holds; by default nothing."""


class TransportFactory(Protocol):
    """What an entry point names: usually the transport class itself."""

    def __call__(self, url: str, member: str, *, create: bool = False) -> Transport:
        """Open the inbox of `member` at `url`."""
        ...


def open_transport(url: str, member: str, *, create: bool = False) -> Transport:
    """Open a member's end of the carrier that `url` names.

    Parameters
    ----------
    url : str
        ``dir:///path``, ``memory://name``, or a scheme that an installed package offers.
    member : str
        Whose inbox to open; it is created where there is none.
    create : bool, default=False
        Whether the place itself may be created, as the founder of a federation does.

    Raises
    ------
    SettingError
        If the URL's scheme is not known; the message lists those that are.
    TransportError
        If the place is missing or cannot be used.
    """
    scheme, separator, _ = url.partition("://") if isinstance(url, str) else ("", "", "")
    factories = _builtin()
    if separator and scheme not in factories:
        for point in entry_points(group=ENTRY_POINTS, name=scheme):
            factory: TransportFactory = point.load()
            return factory(url, member, create=create)
    if not separator or scheme not in factories:
        raise SettingError(_unknown(url, scheme if separator else "", sorted(factories)))
    return factories[scheme](url, member, create=create)


def _builtin() -> dict[str, TransportFactory]:
    from sklearn_symfed.federation.transports.directory import DirectoryTransport
    from sklearn_symfed.federation.transports.memory import MemoryTransport

    return {"dir": DirectoryTransport, "memory": MemoryTransport}


def _unknown(url: str, scheme: str, builtin: list[str]) -> str:
    if scheme in _EXTRAS:
        return f"The transport of {scheme}:// is not installed: pip install 'sklearn-symfed[{scheme}]'."
    offered = sorted({point.name for point in entry_points(group=ENTRY_POINTS)} | set(builtin))
    known = ", ".join(f"{name}://" for name in offered)
    extras = ", ".join(f"{name}://" for name in _EXTRAS)
    return f"Got transport URL {url!r}, but expected one of {known} (extras of this package: {extras})."

"""What the federation asks of a carrier.

A carrier moves opaque bytes between named members: at least once, in any order, up to a size.  Nothing here knows what
the bytes mean.  A back end is one file beside this one, or a package of someone else with an entry point in the group
``sklearn_symfed.transports``; each proves itself by inheriting :class:`sklearn_symfed.testing.TransportTests`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from sklearn_symfed.exceptions import FederationError, PayloadTooLargeError
from sklearn_symfed.federation._names import check_name

__all__ = ["Delivery", "Transport", "TransportFactory"]


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
    - The inbox of a founder (``create=True``) is not opened where others have one: `require_empty`.
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

    Attributes
    ----------
    existed : bool or None
        Whether the inbox was there before this object opened it; None if the back end cannot tell.
    """

    existed: bool | None = None

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

    def require_empty(self, members: Iterable[str]) -> None:
        """Raise an error if any of `members`, who have an inbox there, is another one: for a founder's `create`.

        Raises
        ------
        FederationError
            It lists them.
        """
        others = sorted({*members} - {self.member})
        if others:
            listed = ", ".join(map(repr, others[:5])) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
            raise FederationError(
                f"{self.url} holds a federation already (members {listed}): join it, or choose another place."
            )

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

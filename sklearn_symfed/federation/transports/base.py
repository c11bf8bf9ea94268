"""What the federation asks of a carrier.

A carrier moves opaque bytes between named members: at least once, in any order, up to a size.  Nothing here knows what
the bytes mean.  A back end is one file beside this one, or a package of someone else with an entry point in the group
``sklearn_symfed.transports``; each proves itself by inheriting :class:`sklearn_symfed.testing.TransportTests`.
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from sklearn_symfed.exceptions import FederationError, PayloadTooLargeError, SettingError, TransportError
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
    - A delivery that is not acknowledged comes again: at the latest after the inbox is closed and opened anew or, if
      its reader was killed, `ack_deadline` seconds after it was received.
    - The inbox outlives the object that reads it.  Opening creates it where there is none and its member may; an admin
      makes those of whom it invites (`prepare`), so that nobody else needs the right to create.
    - The inbox of a founder (``create=True``) is not opened where others have one: `require_empty`.
    - A failure of the carrier is a :class:`~sklearn_symfed.exceptions.TransportError`, with no message half visible.
      Its text holds no credential, no payload and no words of an SDK that could quote one.
    - What no reader can take in does not keep other messages from arriving: it is set aside, and counted.

    Back ends implement the methods with an underscore, of which three are abstract; size, names and use after closing
    are checked here.

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
    ack_deadline : float or None
        Seconds after which what was received and not acknowledged comes again by itself; None where it comes again only
        once the inbox is opened anew.
    """

    existed: bool | None = None
    ack_deadline: float | None = None

    def __init__(self, url: str, member: str, *, max_payload: int) -> None:
        self.url = url
        self.member = check_name(member)
        self.max_payload = max_payload
        self._closed = False
        self._granted = 0.0

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
        self._granted = time.monotonic()
        return self._receive(limit) if limit > 0 else []

    def ack(self, delivery: Delivery) -> None:
        """Take one delivered message out of the inbox; doing so twice does nothing."""
        self._check_open()
        self._ack(delivery)

    def extend(self, deliveries: Sequence[Delivery]) -> None:
        """Keep what was received and is still being taken in from coming again.

        It may be called often: the carrier is asked once a third of `ack_deadline` has passed.  A failure is passed
        over, since a message that comes again does no harm.
        """
        self._check_open()
        if self.ack_deadline is not None and time.monotonic() - self._granted > self.ack_deadline / 3:
            self._granted = time.monotonic()
            with contextlib.suppress(TransportError):
                self._extend(deliveries)

    def prepare(self, member: str) -> None:
        """Make the inbox of another member, who may have no right to; one that is there stays as it is.

        Raises
        ------
        TransportError
            If the carrier failed, or this end has no right to either.
        """
        self._check_open()
        if check_name(member) != self.member:
            self._prepare(member)

    def discard(self, member: str) -> None:
        """Take down the inbox of another member, with what waits in it; one that is not there is none the less gone.

        Raises
        ------
        TransportError
            If the carrier failed, or this end has no right to.
        """
        self._check_open()
        if check_name(member) != self.member:
            self._discard(member)

    @classmethod
    def provision(cls, url: str, member: str) -> list[str]:
        """Make what a federation needs before `member` founds it, and that member's inbox; return what there is.

        What is there already stays as it is.

        Raises
        ------
        FederationError
            If others have inboxes there.
        TransportError
            If the carrier failed, or there is no right to.
        """
        opener: Any = cls
        opener(url, member, create=True).close()
        return [url]

    @classmethod
    def policy(cls, url: str, member: str, *, admin: bool = False) -> str:  # noqa: ARG003 - for those who have one
        """Return the rights that a member needs, or one who founds and invites, in the language of the carrier.

        Raises
        ------
        SettingError
            If the carrier has no such language.
        """
        raise SettingError(
            f"Got {url}, but expected a carrier that has rights of its own to be listed: aws://, azure://, nats://"
        )

    @classmethod
    def standing(cls, url: str) -> list[str]:
        """Return what `teardown` would remove, in words; see there."""
        raise SettingError(f"Got {url}, but expected a carrier that a command can take down: aws://, azure://, nats://")

    @classmethod
    def teardown(cls, url: str) -> list[str]:
        """Remove all that was made for a federation, with what waits there; return what stays, as others use it.

        Raises
        ------
        SettingError
            If that is left to other tools.
        TransportError
            If the carrier failed, or there is no right to.
        """
        return cls.standing(url)

    @property
    def dead_letters(self) -> int:
        """How many messages of this inbox could not be taken in and were set aside."""
        return 0

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

    def _extend(self, deliveries: Sequence[Delivery]) -> None:  # noqa: B027 - most back ends set no deadline
        """Set the deadline of deliveries anew; by default there is none."""

    def _prepare(self, member: str) -> None:  # noqa: B027 - where each member may make its own, nobody else needs to
        """Make a member's inbox; by default its own opening does."""

    def _discard(self, member: str) -> None:  # noqa: B027 - a back end may keep what it cannot remove
        """Take down a member's inbox; by default it stays."""

    def _close(self) -> None:  # noqa: B027 - most back ends hold nothing
        """Release what the back end holds; by default nothing."""


class TransportFactory(Protocol):
    """What an entry point names: usually the transport class itself."""

    def __call__(self, url: str, member: str, *, create: bool = False) -> Transport:
        """Open the inbox of `member` at `url`."""
        ...

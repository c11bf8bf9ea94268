"""What the conformance suite of transports asks of the class that inherits it: ends, and ways to break a carrier.

Owns the one list of what back ends cannot provide.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import ClassVar, NoReturn

import pytest

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports import Transport

__all__ = ["SKIPS", "Ends", "TransportHooks", "drain"]

Ends = Callable[[str], Transport]

_NO_SERVER = "there is no server, but a folder, which the operating system keeps"
_NO_PLACE = "it is this process's memory, where nobody else does anything"

SKIPS: Mapping[str, Mapping[str, str]] = {
    "dir": {
        "with_wrong_credentials": "a folder has modes in place of credentials: tests/federation/test_shared_folder.py",
        "restart_server": _NO_SERVER,
        "slowly": _NO_SERVER,
    },
    "memory": {
        "with_wrong_credentials": _NO_PLACE,
        "restart_server": _NO_PLACE,
        "slowly": _NO_PLACE,
        "poison": _NO_PLACE,
    },
    "aws, moto": {"restart_server": "moto keeps everything in its memory: ministack is restarted"},
    "aws, ministack": {"with_wrong_credentials": "ministack takes any: moto checks them"},
}
"""Which hooks a back end of this package cannot provide, and why: no other test of a transport is ever skipped."""


def drain(transport: Transport, *, ack: bool = True, patience: int = 20) -> list[bytes]:
    """Return every different message that waits, in order of arrival; ends after so many empty looks."""
    seen: dict[bytes, None] = {}
    empty = 0
    while empty < patience:
        deliveries = transport.receive(10)
        fresh = [delivery for delivery in deliveries if delivery.data not in seen]
        seen.update(dict.fromkeys(delivery.data for delivery in fresh))
        for delivery in deliveries if ack else []:
            transport.ack(delivery)
        empty = 0 if fresh else empty + 1
    return list(seen)


class TransportHooks(ABC):
    """What a back end's test class says of its back end."""

    back_end: ClassVar[str] = ""
    """The scheme, as `SKIPS` has it."""

    patience: ClassVar[int] = 20
    """After so many looks that found nothing an inbox counts as empty."""

    most_tested: ClassVar[int] = 20_000_000
    """The maximal payload is tested with no more than so many bytes."""

    sizes: ClassVar[tuple[int, ...]] = ()
    """Lengths at which the back end changes its ways, in bytes: where it begins to use a claim check, say."""

    @property
    def skips(self) -> Mapping[str, str]:
        """Hooks that this back end cannot provide, and why; another package's class overrides it."""
        return SKIPS.get(self.back_end, {})

    # -- hooks -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def make(self, member: str) -> Transport:
        """Open a member's end; the ends of one test share one place, which no other test uses."""

    def with_wrong_credentials(self) -> AbstractContextManager[str]:
        """Have `make` use credentials that the carrier does not take; yields the secret among them."""
        self._lacks("with_wrong_credentials")

    def slowly(self) -> AbstractContextManager[object]:
        """Have `make` open ends whose carrier takes its time for each answer."""
        self._lacks("slowly")

    def restart_server(self) -> None:
        """End the server, abruptly, and start it again; what it had acknowledged it still has."""
        self._lacks("restart_server")

    def remove_inbox(self, member: str) -> None:  # noqa: ARG002 - for those who provide it
        """Take a member's inbox down by the carrier's own means, behind everybody's back."""
        self._lacks("remove_inbox")

    def poison(self, member: str) -> None:  # noqa: ARG002 - for those who provide it
        """Put something into a member's inbox, by the carrier's own means, that is no message."""
        self._lacks("poison")

    def _lacks(self, hook: str) -> NoReturn:
        if hook in self.skips:
            pytest.skip(f"{self.back_end or type(self).__name__}: {self.skips[hook]}")
        pytest.fail(f"{type(self).__name__} does not provide {hook}(), and `skips` does not say why")

    # -- what tests stand on -----------------------------------------------------------------------------------------

    @pytest.fixture
    def ends(self) -> Iterator[Ends]:
        """Return a function like `make` whose transports are closed in the end."""
        opened: list[Transport] = []

        def open_end(member: str) -> Transport:
            opened.append(self.make(member))
            return opened[-1]

        yield open_end
        for transport in opened:
            transport.close()

    def drained(self, transport: Transport, *, ack: bool = True) -> list[bytes]:
        """Return what waits, as `drain` does."""
        return drain(transport, ack=ack, patience=self.patience)

    def arrive(self, ends: Ends, member: str, messages: set[bytes]) -> Transport:
        """Open an end again and again, as a node does, until all of some messages have come; return the last one."""
        missing, until = set(messages), time.monotonic() + 60
        while True:
            try:
                transport = ends(member)
                missing -= set(self.drained(transport))
                if not missing:
                    return transport
                transport.close()
            except TransportError:
                if time.monotonic() > until:
                    raise
            assert time.monotonic() < until, f"{len(missing)} of {len(messages)} messages have not come"

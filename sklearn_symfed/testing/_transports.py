"""A carrier with seeded faults, and the conformance suite of transports.

Owns what "at least once, in any order, up to a size" means as tests: a back end's own test inherits `TransportTests`,
says how to open a member's end, and is done.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import pytest

from sklearn_symfed.exceptions import FederationError, PayloadTooLargeError
from sklearn_symfed.federation.transports import Delivery, Transport

__all__ = ["FaultyTransport", "TransportTests"]

Ends = Callable[[str], Transport]


class FaultyTransport(Transport):
    """Another transport, whose messages get lost, come twice, late and out of order; the same ones for the same seed.

    Faults happen on the way into this member's hands, so members of one broadcast fare differently.

    Parameters
    ----------
    inner : Transport
        What carries the messages that survive.
    seed : int
        Chooses the faults.
    drop, duplicate, reorder, delay : float, default=0.0
        Probabilities: that a message is lost, that it comes once more later, that what is received at once is shuffled,
        that a message is not received this time but perhaps next time.
    """

    def __init__(
        self,
        inner: Transport,
        seed: int,
        *,
        drop: float = 0.0,
        duplicate: float = 0.0,
        reorder: float = 0.0,
        delay: float = 0.0,
    ) -> None:
        super().__init__(inner.url, inner.member, max_payload=inner.max_payload)
        self.inner = inner
        self._rates = {"drop": drop, "duplicate": duplicate, "reorder": reorder, "delay": delay}
        self._random = random.Random(seed)  # noqa: S311 - repeatable faults, not secrets
        self._again: list[bytes] = []

    def _publish(self, data: bytes, to: str | None) -> None:
        self.inner.publish(data, to)

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries = [Delivery(data, None) for data in self._again[:limit]]
        del self._again[:limit]
        for delivery in self.inner.receive(limit - len(deliveries)):
            if self._happens("drop"):
                self.inner.ack(delivery)
            elif not self._happens("delay"):
                deliveries.append(delivery)
                if self._happens("duplicate"):
                    self._again.append(delivery.data)
        if self._happens("reorder"):
            self._random.shuffle(deliveries)
        return deliveries

    def _ack(self, delivery: Delivery) -> None:
        if delivery.receipt is not None:
            self.inner.ack(delivery)

    def _close(self) -> None:
        self.inner.close()

    def _happens(self, fault: str) -> bool:
        return self._random.random() < self._rates[fault]


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


class TransportTests(ABC):
    """The contract of a transport, as tests for a back end's own test class to inherit.

    Examples
    --------
    >>> from sklearn_symfed.federation.transports import open_transport
    >>> class TestMine(TransportTests):
    ...     @pytest.fixture(autouse=True)
    ...     def _place(self, tmp_path):
    ...         self.url = tmp_path.as_uri().replace("file", "dir", 1)
    ...
    ...     def make(self, member):
    ...         return open_transport(self.url, member)
    """

    most_tested = 20_000_000
    """The maximal payload is tested with no more than so many bytes."""

    @abstractmethod
    def make(self, member: str) -> Transport:
        """Open a member's end; the ends of one test share one place, which no other test uses."""

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

    def test_broadcast_reaches_all_others(self, ends: Ends) -> None:
        """A broadcast reaches every other member and never its publisher."""
        a, b, c = ends("a"), ends("b"), ends("c")
        a.publish(b"all")
        assert drain(b) == [b"all"]
        assert drain(c) == [b"all"]
        assert drain(a) == []

    def test_direct_reaches_one(self, ends: Ends) -> None:
        """A direct message reaches its recipient and nobody else."""
        a, b, c = ends("a"), ends("b"), ends("c")
        a.publish(b"one", to="b")
        assert drain(b) == [b"one"]
        assert drain(a) == drain(c) == []

    def test_nothing_to_self_or_nobody(self, ends: Ends) -> None:
        """A message to oneself or to somebody without an inbox is lost, without an error."""
        a, b = ends("a"), ends("b")
        a.publish(b"self", to="a")
        a.publish(b"nobody", to="nobody")
        assert drain(a) == drain(b) == []
        assert drain(ends("nobody")) == []

    def test_at_least_once_until_acknowledged(self, ends: Ends) -> None:
        """What is not acknowledged comes again when the inbox is opened anew; what is acknowledged does not."""
        a, b = ends("a"), ends("b")
        a.publish(b"again")
        assert drain(b, ack=False) == [b"again"]
        b.close()
        b = ends("b")
        assert drain(b) == [b"again"]
        b.close()
        assert drain(ends("b")) == []

    def test_ack_removes_only_that_one(self, ends: Ends) -> None:
        """Acknowledging one message, even twice, leaves the others."""
        a, b = ends("a"), ends("b")
        messages = {b"%d" % number for number in range(5)}
        for message in sorted(messages):
            a.publish(message)
        acknowledged: set[bytes] = set()
        while not acknowledged:
            for delivery in b.receive(5)[:1]:
                b.ack(delivery)
                b.ack(delivery)
                acknowledged.add(delivery.data)
        b.close()
        left = set(drain(ends("b")))
        assert messages - acknowledged <= left <= messages

    def test_all_of_many_arrive(self, ends: Ends) -> None:
        """Many messages of several members all arrive, in whatever order, and no more than asked for at once."""
        members = {name: ends(name) for name in "abc"}
        reader = ends("reader")
        for number in range(20):
            for name, transport in members.items():
                transport.publish(f"{name}{number}".encode(), to="reader")
        assert len(reader.receive(7)) <= 7
        assert reader.receive(0) == []
        assert set(drain(reader)) == {f"{name}{number}".encode() for name in "abc" for number in range(20)}

    @pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)) * 3, b"\r\n\x1a\xff\xfe", b"\xc3\x28"])
    def test_binary_safety(self, ends: Ends, data: bytes) -> None:
        """Any bytes arrive as they are, also none at all."""
        a, b = ends("a"), ends("b")
        a.publish(data)
        assert drain(b) == [data]

    def test_maximal_and_larger_payloads(self, ends: Ends) -> None:
        """The largest payload arrives; one byte more is refused before anything is sent."""
        a, b = ends("a"), ends("b")
        size = min(a.max_payload, self.most_tested)
        data = random.Random(0).randbytes(size)  # noqa: S311 - any bytes do
        a.publish(data)
        if a.max_payload <= self.most_tested:
            with pytest.raises(PayloadTooLargeError, match=str(a.max_payload)):
                a.publish(data + b"!")
        assert drain(b) == [data]

    @pytest.mark.parametrize("name", ["Zürich", "../x", "a/b", "..", "A", "con", "名前", "a b%41", "x" * 80, "🙂.msg"])
    def test_member_names(self, ends: Ends, name: str) -> None:
        """Any member name works, and is not mistaken for another that looks alike."""
        a, b, named = ends("a"), ends("b"), ends(name)
        a.publish(b"to the name", to=name)
        named.publish(b"from the name")
        assert drain(named) == [b"to the name"]
        assert drain(a) == drain(b) == [b"from the name"]

    def test_close(self, ends: Ends) -> None:
        """Closing twice does nothing; using a closed end is an error that says so."""
        a = ends("a")
        with a as entered:
            assert entered is a
        a.close()
        for use in (lambda: a.publish(b"x"), lambda: a.receive(1), lambda: a.ack(Delivery(b"x", None))):
            with pytest.raises(FederationError, match="closed"):
                use()

    def test_two_readers_lose_nothing(self, ends: Ends) -> None:
        """Two readers of one inbox may both get a message; together they get all."""
        a, first, second = ends("a"), ends("b"), ends("b")
        messages = {b"%d" % number for number in range(30)}
        for message in messages:
            a.publish(message)
        got: set[bytes] = set()
        for _ in range(200):
            for reader in (first, second):
                deliveries = reader.receive(4)
                got |= {delivery.data for delivery in deliveries}
                for delivery in deliveries[:2]:
                    reader.ack(delivery)
        assert got == messages

    def test_late_subscriber(self, ends: Ends) -> None:
        """A member gets the broadcasts that come after its inbox, which lasts while nobody reads it."""
        a = ends("a")
        a.publish(b"before")
        ends("late").close()
        a.publish(b"after")
        assert drain(ends("late")) == [b"after"]

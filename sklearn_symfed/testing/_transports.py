"""The conformance suite of transports.

Owns what "at least once, in any order, up to a size" means as tests: a back end's own test inherits `TransportTests`,
says how to open a member's end, provides the hooks by which its carrier can be broken, and is done.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable

import pytest

from sklearn_symfed.exceptions import FederationError, PayloadTooLargeError, TransportError
from sklearn_symfed.federation.transports import Delivery
from sklearn_symfed.testing._transport_hooks import SKIPS, Ends, TransportHooks, drain

__all__ = ["SKIPS", "TransportTests", "drain"]


class TransportTests(TransportHooks):
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

    def test_what_is_skipped_cannot_be_provided(self) -> None:
        """A hook that is listed as one that cannot be provided is not."""
        assert [hook for hook in self.skips if getattr(type(self), hook) is not getattr(TransportHooks, hook)] == []

    # -- who gets what -----------------------------------------------------------------------------------------------

    def test_broadcast_reaches_all_others(self, ends: Ends) -> None:
        """A broadcast reaches every other member and never its publisher."""
        a, b, c = ends("a"), ends("b"), ends("c")
        a.publish(b"all")
        assert self.drained(b) == [b"all"]
        assert self.drained(c) == [b"all"]
        assert self.drained(a) == []

    def test_direct_reaches_one(self, ends: Ends) -> None:
        """A direct message reaches its recipient and nobody else."""
        a, b, c = ends("a"), ends("b"), ends("c")
        a.publish(b"one", to="b")
        assert self.drained(b) == [b"one"]
        assert self.drained(a) == self.drained(c) == []

    def test_nothing_to_self_or_nobody(self, ends: Ends) -> None:
        """A message to oneself or to somebody without an inbox is lost, without an error."""
        a, b = ends("a"), ends("b")
        a.publish(b"self", to="a")
        a.publish(b"nobody", to="nobody")
        assert self.drained(a) == self.drained(b) == []
        assert self.drained(ends("nobody")) == []

    def test_late_subscriber(self, ends: Ends) -> None:
        """A member gets the broadcasts that come after its inbox, which lasts while nobody reads it."""
        a = ends("a")
        a.publish(b"before")
        ends("late").close()
        a.publish(b"after")
        assert self.drained(ends("late")) == [b"after"]

    def test_prepared_inbox(self, ends: Ends) -> None:
        """Preparing an inbox, even twice, lets its member open it, and takes nothing out of one that is there."""
        a, b = ends("a"), ends("b")
        a.publish(b"kept")
        for name in ("late", "b", "late", "a"):
            a.prepare(name)
        late = ends("late")
        a.publish(b"x")
        assert self.drained(late) == [b"x"]
        assert set(self.drained(b)) == {b"kept", b"x"}

    def test_discarded_inbox(self, ends: Ends) -> None:
        """Discarding an inbox, even twice, disturbs no other, and its member may have a new one."""
        a, b, c = ends("a"), ends("b"), ends("c")
        a.publish(b"old")
        b.close()
        for name in ("b", "nobody", "b", "a"):
            a.discard(name)
        a.publish(b"lost", to="b")
        assert self.drained(c) == [b"old"]
        a.prepare("b")
        b = ends("b")
        assert set(self.drained(b)) <= {b"old", b"lost"}
        a.publish(b"new")
        assert self.drained(b) == self.drained(c) == [b"new"]

    @pytest.mark.parametrize(
        "name", ["Zürich", "../x", "a/b", "..", "A", "con", "名前", "a b%41", "x" * 80, "ü" * 40, "🙂.msg"]
    )
    def test_member_names(self, ends: Ends, name: str) -> None:
        """Any member name works, and is not mistaken for another that looks alike."""
        a, b, named = ends("a"), ends("b"), ends(name)
        a.publish(b"to the name", to=name)
        named.publish(b"from the name")
        assert self.drained(named) == [b"to the name"]
        assert self.drained(a) == self.drained(b) == [b"from the name"]

    # -- at least once -----------------------------------------------------------------------------------------------

    def test_at_least_once_until_acknowledged(self, ends: Ends) -> None:
        """What is not acknowledged comes again when the inbox is opened anew; what is acknowledged does not."""
        a, b = ends("a"), ends("b")
        a.publish(b"again")
        assert self.drained(b, ack=False) == [b"again"]
        b.close()
        b = ends("b")
        assert self.drained(b) == [b"again"]
        b.close()
        assert self.drained(ends("b")) == []

    def test_redelivery_after_a_crash(self, ends: Ends) -> None:
        """What a reader had received when it was killed, and not acknowledged, comes to the next one."""
        a, killed = ends("a"), ends("b")
        messages = {b"%d" % number for number in range(3)}
        for message in messages:
            a.publish(message)
        assert set(self.drained(killed, ack=False)) == messages
        self.arrive(ends, "b", messages)

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
        left = set(self.drained(ends("b")))
        assert messages - acknowledged <= left <= messages

    def test_all_of_many_arrive(self, ends: Ends) -> None:
        """Many messages of several members all arrive, in whatever order, and no more than asked for at once."""
        members = {name: ends(name) for name in "abc"}
        reader = ends("reader")
        for number in range(20):
            for name, transport in members.items():
                transport.publish(f"{name}{number}".encode(), to="reader")
        first = reader.receive(7)
        assert len(first) <= 7
        assert reader.receive(0) == []
        reader.extend(first)
        for delivery in first:
            reader.ack(delivery)
        got = {delivery.data for delivery in first} | set(self.drained(reader))
        assert got == {f"{name}{number}".encode() for name in "abc" for number in range(20)}

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
            if got == messages:
                break
        assert got == messages

    def test_never_acknowledged(self, ends: Ends) -> None:
        """What its readers never acknowledge keeps coming or is set aside and counted, and keeps back no other."""
        a = ends("a")
        ends("b").close()
        a.publish(b"never", to="b")
        for _ in range(8):
            reader = ends("b")
            self.drained(reader, ack=False)
            reader.close()
        a.publish(b"later", to="b")
        reader = ends("b")
        got = set(self.drained(reader))
        assert got | {b"never"} == {b"never", b"later"}
        assert b"never" in got or reader.dead_letters == 1

    # -- which bytes -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)) * 3, b"\r\n\x1a\xff\xfe", b"\xc3\x28"])
    def test_binary_safety(self, ends: Ends, data: bytes) -> None:
        """Any bytes arrive as they are, also none at all."""
        a, b = ends("a"), ends("b")
        a.publish(data)
        assert self.drained(b) == [data]

    def test_maximal_and_larger_payloads(self, ends: Ends) -> None:
        """The largest payload arrives; one byte more is refused before anything is sent."""
        a, b = ends("a"), ends("b")
        data = _bytes(min(a.max_payload, self.most_tested))
        a.publish(data)
        if a.max_payload <= self.most_tested:
            with pytest.raises(PayloadTooLargeError, match=str(a.max_payload)):
                a.publish(data + b"!")
        assert self.drained(b) == [data]

    def test_payloads_of_20_mb(self, ends: Ends) -> None:
        """Payloads of 20 MB arrive, for one and for all, or are refused by name."""
        a, b = ends("a"), ends("b")
        for data, to in ((_bytes(20_000_000), None), (_bytes(20_000_001), "b")):
            if len(data) <= a.max_payload:
                a.publish(data, to)
                assert self.drained(b) == [data]
            else:
                with pytest.raises(PayloadTooLargeError, match=str(len(data))):
                    a.publish(data, to)

    def test_payloads_at_the_limits_of_the_back_end(self, ends: Ends) -> None:
        """Payloads just below, at and above each length at which the back end changes its ways arrive."""
        a, b, c = ends("a"), ends("b"), ends("c")
        for size in self.sizes:
            messages = {_bytes(size + more) for more in (-1, 0, 1)}
            for data in messages:
                a.publish(data)
            assert set(self.drained(b)) == messages
            assert set(self.drained(c)) == messages

    # -- what goes wrong ---------------------------------------------------------------------------------------------

    def test_close(self, ends: Ends) -> None:
        """Closing twice does nothing; using a closed end is an error that says so."""
        a = ends("a")
        with a as entered:
            assert entered is a
        a.close()
        delivery = Delivery(b"x", None)
        for use in (lambda: a.publish(b"x"), lambda: a.receive(1), lambda: a.ack(delivery), lambda: a.prepare("b")):
            with pytest.raises(FederationError, match="closed"):
                use()

    def test_wrong_credentials(self, ends: Ends) -> None:
        """Credentials that are not taken are an error of the carrier, which tells neither them nor the message."""
        ends("a"), ends("b")
        payload = "a message that nobody else is to see"
        with self.with_wrong_credentials() as secret:
            error = _failure(lambda: ends("b").publish(payload.encode(), to="a"), lambda: ends("b").receive(1))
        assert error is not None
        told = "".join(traceback.format_exception(error))
        assert secret not in told
        assert payload not in told

    def test_missing_inbox(self, ends: Ends) -> None:
        """An inbox that was removed behind one's back is empty or an error, and is there again once opened anew."""
        a, b, c = ends("a"), ends("b"), ends("c")
        self.remove_inbox("b")
        a.publish(b"lost", to="b")
        _failure(lambda: b.receive(1))
        _failure(lambda: b.publish(b"sent", to="c"))
        ends("b")
        a.publish(b"new")
        assert b"new" in self.drained(ends("b"))
        assert set(self.drained(c)) <= {b"new", b"sent"}

    def test_server_restarted_in_the_middle(self, ends: Ends) -> None:
        """What was published before a server was killed arrives, and ends go on, at once or once opened anew."""
        a, b = ends("a"), ends("b")
        a.publish(b"acknowledged")
        a.publish(b"received")
        for delivery in b.receive(2):
            if delivery.data == b"acknowledged":
                b.ack(delivery)
        large = _bytes(min(1_500_000, a.max_payload))
        a.publish(large)
        self.restart_server()
        try:
            a.publish(b"after")
        except TransportError:
            ends("a").publish(b"after")
        self.arrive(ends, "b", {b"received", large, b"after"})

    def test_slow_server(self, ends: Ends) -> None:
        """A carrier that takes its time is waited for."""
        with self.slowly():
            a, b = ends("a"), ends("b")
            messages = {b"small", _bytes(300_000)}
            for message in messages:
                a.publish(message)
            self.arrive(ends, "b", messages)
            b.close()

    def test_poison(self, ends: Ends) -> None:
        """What is no message is set aside and counted, and what is beside it arrives."""
        a, b = ends("a"), ends("b")
        assert b.dead_letters == 0
        a.publish(b"before")
        self.poison("b")
        a.publish(b"after")
        assert set(self.drained(b)) == {b"before", b"after"}
        assert b.dead_letters == 1
        b.close()
        b = ends("b")
        assert self.drained(b) == []
        assert b.dead_letters == 1


def _failure(*uses: Callable[[], object]) -> TransportError | None:
    """Return the error of the carrier that the first of some uses to fail fails with; None if all go well."""
    for use in uses:
        try:
            use()
        except TransportError as error:
            return error
    return None


def _bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 - any bytes do

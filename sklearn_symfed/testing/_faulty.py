"""A carrier with seeded faults: lost, repeated, late and shuffled messages, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sklearn_symfed.federation.transports import Delivery, Transport

__all__ = ["FaultyTransport"]


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
        self.ack_deadline = inner.ack_deadline
        self._rates = {"drop": drop, "duplicate": duplicate, "reorder": reorder, "delay": delay}
        self._random = random.Random(seed)  # noqa: S311 - repeatable faults, not secrets
        self._again: list[bytes] = []
        self._late: list[Delivery] = []

    def _publish(self, data: bytes, to: str | None) -> None:
        self.inner.publish(data, to)

    def _receive(self, limit: int) -> list[Delivery]:
        deliveries = [Delivery(data, None) for data in self._again[:limit]]
        del self._again[:limit]
        room = limit - len(deliveries)
        waiting, self._late = self._late[:room], self._late[room:]
        for delivery in [*waiting, *self.inner.receive(room - len(waiting))]:
            if self._happens("drop"):
                self.inner.ack(delivery)
            elif self._happens("delay"):
                if self.ack_deadline is not None:  # the carrier itself would hand it out again, but long after
                    self._late.append(delivery)
            else:
                deliveries.append(delivery)
                if self._happens("duplicate"):
                    self._again.append(delivery.data)
        if self._happens("reorder"):
            self._random.shuffle(deliveries)
        return deliveries

    def _ack(self, delivery: Delivery) -> None:
        if delivery.receipt is not None:
            self.inner.ack(delivery)

    def _extend(self, deliveries: Sequence[Delivery]) -> None:
        self.inner.extend([delivery for delivery in deliveries if delivery.receipt is not None])

    def _prepare(self, member: str) -> None:
        self.inner.prepare(member)

    def _discard(self, member: str) -> None:
        self.inner.discard(member)

    @property
    def dead_letters(self) -> int:
        return self.inner.dead_letters

    def _close(self) -> None:
        self.inner.close()

    def _happens(self, fault: str) -> bool:
        return self._random.random() < self._rates[fault]

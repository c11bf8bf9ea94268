"""A member at work: receives, commits, acknowledges; then publishes, commits, sends; by itself, or when told.

Owns the order of effects.  Whatever kills the process in between, what comes back is a node that repeats itself, never
one that contradicts itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any, Self, cast

from sklearn_symfed.exceptions import (
    FederationError,
    PayloadTooLargeError,
    StoreError,
    SymfedError,
    TransportError,
)
from sklearn_symfed.federation import _account
from sklearn_symfed.federation._background import Background, Interval
from sklearn_symfed.federation._differencing import Verdict
from sklearn_symfed.federation._guard import Guard
from sklearn_symfed.federation._inboxes import Inboxes
from sklearn_symfed.federation._learning import Learning
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._preview import held_back_by
from sklearn_symfed.federation._records import dumped, loaded
from sklearn_symfed.federation._report import PulseReport
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.federation._standing import Outgoing
from sklearn_symfed.federation._store import Store
from sklearn_symfed.federation.transports import Delivery, Transport, TransportFactory, open_transport
from sklearn_symfed.psr import PSR

__all__ = ["Pulsing", "first_seq"]

_log = logging.getLogger("sklearn_symfed")

_BATCH = 64
_MOST_A_PULSE = 10_000


class Pulsing(Learning):
    """A node that moves bytes between its membership, a store and a transport.

    Any number of threads may use it.  It does not own its store, which is closed by whoever opened it.

    Parameters
    ----------
    store : Store
        The node's home.
    node : Membership or None
        What it is; by default what the store says.
    clock : callable, default=time.time
        Returns seconds; judges the expiry of invites and the age of views.
    random : callable, default=os.urandom
        Returns so many bytes.
    opener : callable, default=open_transport
        Turns URL and member into a transport.
    own_guard : Guard, default=None
        What this node asks of its statistics before they are published; by default what its federation does.
    """

    def __init__(
        self,
        store: Store,
        node: Membership | None = None,
        *,
        clock: Callable[[], float] = time.time,
        random: Random = os.urandom,
        opener: TransportFactory = open_transport,
        own_guard: Guard | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._opener = opener
        self._lock = threading.RLock()
        self._transport: Transport | None = None
        self._closed = False
        self._last_error: str | None = None
        self._unsendable: str | None = None
        self._own_guard = own_guard
        self._judged: tuple[object, Verdict] = ((), Verdict(()))
        self._interval: float | None = None
        if node is None:
            self._load()
        else:
            self._take_up(node)
        step = cast("MethodType", self._pulse)
        self._background = Background(step, self._lock, self.member)
        weakref.finalize(self, self._background.quit)

    @property
    def member(self) -> str:
        """The name of this node."""
        return self._node.member

    @property
    def url(self) -> str:
        """The transport's URL."""
        return str(self._store.get("url"))

    @property
    def schedule(self) -> str:
        """How often `start_pulsing` pulses: as the admins fixed it."""
        return self._node.roster.schedule if self._node.admitted else "30s"

    @property
    def pending(self) -> str | None:
        """What keeps this node from publishing; None if nothing."""
        with self._lock:
            return _account.pending_of(self._node) or self._unsendable or self._held_back

    def _change(self, action: Callable[[], None]) -> None:
        with self._ready():
            try:
                with self._store.transaction():
                    action()
                    self._save()
            except StoreError:
                self._reload()
                raise

    # -- pulsing -----------------------------------------------------------------------------------------------------

    def pulse(self) -> PulseReport:
        """Take in what peers have published, and publish the local PSR if it changed.

        Raises
        ------
        TransportError
            If the carrier failed; nothing is lost, pulse again.
        StoreError
            If the home cannot be written.
        """
        with self._ready(kept=True):
            return self._pulse()

    def start_pulsing(self, interval: str | float | None = None) -> None:
        """Pulse in a background thread, now and then about every `interval` (by default the federation's schedule).

        Failing pulses are repeated, after longer and longer waits.  Their error is kept: `status` shows it, and the
        next `pulse`, `start_pulsing` or `stop_pulsing` raises it once, unless a later pulse went well; learning and
        forgetting go on.  An error of another kind than the package's own ends the thread, and the next call of any
        kind but `status` raises it as the cause of a `FederationError`, and does nothing else.
        """
        seconds = None if interval is None else parse_schedule(interval, "interval")
        with self._ready(kept=True):
            self._background.start(Interval(self, seconds))

    def stop_pulsing(self) -> None:
        """End the background thread, after the pulse that it may be at; does nothing if there is none."""
        self._background.stop()
        self.raise_kept()

    def raise_kept(self) -> None:
        """Raise the error of a background pulse that no call has raised yet, if there is one."""
        self._background.raise_kept()

    def close(self) -> None:
        """Stop pulsing and let go of the transport; the node stays a member.  Doing so twice does nothing."""
        self._background.stop()
        with self._lock:
            self._closed = True
            if self._transport is not None:
                self._transport.close()
                self._transport = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self, *, kept: bool = False) -> threading.RLock:
        """Return the lock, once it is certain that this object is open and owes no error that concerns the call."""
        if self._closed:
            raise FederationError("This membership is closed; reopen it from the node's home.")
        self._background.raise_kept(fatal=not kept)
        return self._lock

    def _pulse(self) -> PulseReport:
        tally = _account.Tally()
        try:
            if not self._node.left:
                self._take_in(tally)
                self._send(tally)
                self._tend()
        except Exception as error:
            self._last_error = f"{type(error).__name__}: {error}"
            if not isinstance(error, TransportError):
                self._reload()
            elif not isinstance(error, PayloadTooLargeError):
                self._hang_up()
            raise
        self._last_error = None
        return tally.report(self._node, self.pending)

    def _take_in(self, tally: _account.Tally) -> None:
        """Join what waits in the inbox; acknowledge each message only after its effect is committed."""
        transport = self._carrier()
        while tally.received < _MOST_A_PULSE:
            deliveries = transport.receive(_BATCH)
            if not deliveries:
                break
            with self._store.transaction():
                for delivery in deliveries:
                    transport.extend(deliveries)
                    self._join(delivery, tally)
                self._save()
            for delivery in deliveries:
                transport.ack(delivery)
        self._dead_letters = transport.dead_letters

    def _join(self, delivery: Delivery, tally: _account.Tally) -> None:
        now, before = self._clock(), self._overlapping()
        for event in self._node.receive(delivery.data, now):
            line = tally.note(event)
            if line is not None:
                self._refuse(now, *line)
        for member, other in self._overlapping().items():
            if before.get(member) != other:
                self._refuse(now, *tally.refuse(member, f"rows of {other!r} are among its, and it is not counted"))
        for news in tally.news():
            _log.info("%r: %s", self.member, news)
        tally.received += 1
        tally.bytes_received += len(delivery.data)

    def _overlapping(self) -> dict[str, str]:
        return self._node.peers.overlapping if self._node.admitted else {}

    def _refuse(self, now: float, member: str | None, reason: str) -> None:
        self._store.add_refusal(now, member, reason)
        _log.warning("%r refused %s", self.member, _account.refusal(member, reason))

    def _send(self, tally: _account.Tally) -> None:
        """Publish, and commit version and sequence numbers before anybody can have seen them."""
        transport = self._carrier()
        released = self._node.is_member and self._may_leave() and self._node.peers.publish()
        if released:
            tally.published = not self._node.peers.others_names
        messages = self._node.outgoing()
        with self._store.transaction():
            if released:
                self._write_down()
            self._save()
        too_large = None
        try:
            for message in messages:
                too_large = self._send_one(transport, message, tally) or too_large
        finally:
            with self._store.transaction():
                self._save()
        version = self._node.peers.mark.version if self._node.admitted else 0
        self._unsendable = None if too_large is None else f"version {version} is not sent: {too_large}"
        if too_large is not None:
            raise too_large

    def _send_one(self, transport: Transport, message: Outgoing, tally: _account.Tally) -> PayloadTooLargeError | None:
        """Send a message; return the error if it is too large, which does not keep others from being sent."""
        try:
            transport.publish(message.data, message.to)
        except PayloadTooLargeError as error:
            return error
        self._node.sent(message)
        tally.count(message)
        return None

    # -- the carrier -------------------------------------------------------------------------------------------------

    def _carrier(self) -> Transport:
        if self._transport is None:
            self._transport = self._opener(self.url, self.member, create=False)
        return self._transport

    def _hang_up(self) -> None:
        """Let the next pulse open the carrier anew, which also makes an inbox that has disappeared."""
        transport, self._transport = self._transport, None
        if transport is not None:
            with contextlib.suppress(SymfedError):
                transport.close()

    def _tend(self) -> None:
        """Make and take down the inboxes of others, where that is due and this node's to do."""
        try:
            self._inboxes.tend(self._node, self._carrier, self._clock())
        finally:
            with self._store.transaction():
                self._save()

    def _tend_or_later(self) -> None:
        try:
            self._tend()
        except TransportError as error:
            self._last_error = f"{type(error).__name__}: {error}"
            _log.warning("an inbox that %r is to make waits for its next pulse: %s", self.member, self._last_error)
            self._hang_up()

    # -- the guard ---------------------------------------------------------------------------------------------------

    @property
    def guard(self) -> Guard:
        """What is asked of statistics before they are published: the federation's, or this node's own, stricter one.

        Raises
        ------
        SettingError
            If this node's own is laxer.
        """
        guard = self._node.roster.guard
        if self._own_guard is not None:
            self._own_guard.require_as_strict(guard)
            guard = self._own_guard
        return guard

    def foresee(self, psr: PSR) -> tuple[str, ...]:
        """Say what contract and guard would hold back if some statistics were learned and published; change nothing."""
        with self._ready(kept=True):
            self._require_fit(psr)
            local = self._store.local
            breach = self._node.roster.rules.blocks(self.member, psr if local is None else local + psr)
            broken = () if breach is None else (f"what would be learned here breaks the contract: {breach}",)
            return broken + (held_back_by(self.guard, self._store.ledger, local, psr) if self.guard else ())

    def _may_leave(self) -> bool:
        """Ask the guard whether what is to be published may be, and keep its reasons if not."""
        guard, offered, ledger = self.guard, self._node.peers.offered, self._store.ledger
        if not guard or offered is None:
            self._judged = ((), Verdict(()))
            return True
        asked = (offered.digest, guard, ledger.turnover, len(ledger))
        if self._judged[0] != asked:
            self._judged = (asked, ledger.judge(guard, offered))
            if not self._judged[1]:
                rules = sorted({reason.rule for reason in self._judged[1].reasons})
                _log.warning("%r publishes nothing new: its guard holds it back by %s", self.member, ", ".join(rules))
        return bool(self._judged[1])

    @property
    def _held_back(self) -> str | None:
        """Say why the guard held back what the newest pulse would have published."""
        return None if self._node.admitted and self._node.peers.published else str(self._judged[1]) or None

    def _write_down(self) -> None:
        """Enter a release into the ledger, in the transaction that comes before it is sent."""
        node, psr = self._node, self._node.peers.shown
        assert psr is not None
        self._store.ledger.add(self._clock(), node.federation.hex(), node.peers.mark, psr, keep=bool(self.guard))

    # -- the store ---------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Take up what the store holds, in place of whatever this object held."""
        store = self._store
        node = loaded(store.get, store.identity, store.slots, store.words, self._random)
        node.seq = max(node.seq, first_seq(self._clock))  # beyond a backup's
        self._take_up(node)

    def _take_up(self, node: Membership) -> None:
        node.local = self._store.local
        self._node = node
        self._inboxes = Inboxes.from_bytes(self._store.get("inboxes"))
        self._dead_letters = self._store.get("dead_letters") or 0
        self._saved: dict[str, Any] = {}
        self._kept: dict[str, Any] = {}
        self._saved_slots = dict(node.peers.slots) if node.admitted else {}
        self._saved_words = dict(node.peers.words) if node.admitted else {}
        self._set_origins()

    def _reload(self) -> None:
        """Give up what was joined but could not be committed; it was not acknowledged and comes again."""
        try:
            self._load()
        except StoreError:
            _log.warning("the home of %r cannot be read", self.member)

    def _save(self) -> None:
        """Store what has changed."""
        store, node = self._store, self._node
        values = dumped(node, self._kept)
        values |= {"inboxes": self._inboxes.to_bytes(), "dead_letters": self._dead_letters}
        for key, value in values.items():
            if key not in self._saved or self._saved[key] != value:
                store.set(key, value)
        self._saved = values
        if not node.admitted:
            return
        slots, words, now = node.peers.slots, node.peers.words, self._clock()
        for name in self._saved_slots.keys() | slots.keys():
            if slots.get(name) is not self._saved_slots.get(name):
                store.set_slot(name, slots.get(name))
        for name in self._saved_words.keys() | words.keys():
            if words.get(name) is not self._saved_words.get(name):
                store.set_word(name, words.get(name), now)
        self._saved_slots, self._saved_words = dict(slots), dict(words)


def first_seq(clock: Callable[[], float]) -> int:
    """Return milliseconds: beyond what a backup counted."""
    return max(0, min(int(clock() * 1000), 2**52))

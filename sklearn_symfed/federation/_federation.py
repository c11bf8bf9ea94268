"""A node's membership: joins the rules of the peers, a store and a transport.

Owns the order of effects: receive, commit, acknowledge; then publish, commit, send.  Whatever kills the process in
between, what comes back is a node that repeats itself, never one that contradicts itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import MethodType
from typing import Self, cast

from sklearn_symfed.exceptions import (
    FederationError,
    FormatError,
    PayloadTooLargeError,
    StoreError,
    SymfedError,
    TransportError,
)
from sklearn_symfed.federation._background import Background
from sklearn_symfed.federation._envelope import MAX_COUNTER, Mark, Pulse, decode, encode, pack_view, unpack_view
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation._peers import Applied, Heard, Peers, Refused
from sklearn_symfed.federation._report import Member, PulseReport, Status
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.federation._store import Store
from sklearn_symfed.federation.transports import Delivery, Transport, TransportFactory, open_transport
from sklearn_symfed.psr import PSR

__all__ = ["Federation"]

_log = logging.getLogger("sklearn_symfed")

_BATCH = 64
_MOST_A_PULSE = 10_000


@dataclass
class _Tally:
    """What a pulse has done so far."""

    sent: int = 0
    received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    applied: int = 0
    published: bool = False
    refused: list[str] = field(default_factory=list)


class Federation:
    """A node that is a member: `Federation.create`, `Federation.join` or `Federation.reopen` make one.

    Any number of threads may use it.  It does not own its store, which is closed by whoever opened it.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, opener: TransportFactory) -> None:
        self._store = store
        self._clock = clock
        self._opener = opener
        self._lock = threading.RLock()
        self._transport: Transport | None = None
        self._closed = False
        self._last_error: str | None = None
        self._unsendable: str | None = None
        self._load()
        step = cast("MethodType", self._pulse)
        self._background = Background(step, self._lock, self._peers.member)
        weakref.finalize(self, self._background.quit)

    # -- becoming a member -------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        store: Store,
        name: str,
        url: str,
        member: str,
        schedule: str | float = "30s",
        *,
        clock: Callable[[], float] = time.time,
        opener: TransportFactory = open_transport,
    ) -> Self:
        """Found a federation and become its first member.

        Parameters
        ----------
        store : Store
            The node's home.
        name : str
            The federation's name.
        url : str
            Its transport; a directory is created if only its last part is missing.
        member : str
            The founder's name in it.
        schedule : str or float, default="30s"
            How often `start_pulsing` pulses.
        clock : callable, default=time.time
            Returns seconds; dates incarnations and the age of views.
        opener : callable, default=open_transport
            Turns URL and member into a transport.

        Raises
        ------
        FederationError
            If the node is a member already, or the place holds a federation already.
        TransportError
            If the place is missing or cannot be used.
        """
        name = check_name(name, "federation")
        return cls._enter(store, name, url, member, schedule, clock, opener)

    @classmethod
    def join(
        cls,
        store: Store,
        url: str,
        member: str,
        schedule: str | float = "30s",
        *,
        take_over: bool = False,
        clock: Callable[[], float] = time.time,
        opener: TransportFactory = open_transport,
    ) -> Self:
        """Become a member of the federation at `url`; its name comes with the first message heard.

        Parameters
        ----------
        store, url, member, schedule, clock, opener
            As in `create`.
        take_over : bool, default=False
            Take the place of a member of this name whose home is gone: its rows make way for this node's.

        Raises
        ------
        FederationError
            If the node is a member already, or a member of that name has an inbox there and is not taken over.
        TransportError
            If the place is missing or cannot be used.
        """
        return cls._enter(store, "", url, member, schedule, clock, opener, take_over=take_over)

    @classmethod
    def reopen(
        cls,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        opener: TransportFactory = open_transport,
    ) -> Self | None:
        """Go on as the member that the store says this node is; None if it is none.

        The transport is opened by the first pulse, so a node whose carrier is down can still be used.
        """
        return None if store.get("url") is None else cls(store, clock=clock, opener=opener)

    @classmethod
    def _enter(
        cls,
        store: Store,
        name: str,
        url: str,
        member: str,
        schedule: str | float,
        clock: Callable[[], float],
        opener: TransportFactory,
        *,
        take_over: bool = False,
    ) -> Self:
        member = check_name(member)
        parse_schedule(schedule)
        if store.get("url") is not None:
            raise FederationError(f"This node is already a member of the federation at {store.get('url')}.")
        transport = opener(url, member, create=bool(name))
        try:
            if not name and not take_over:
                _require_free(transport)
            with store.transaction():
                store.set("federation", name)
                store.set("founder", member if name else "")
                store.set("url", url)
                store.set("member", member)
                store.set("schedule", str(schedule))
                store.set("incarnation", _incarnation(clock))
                store.set("claimed", int(take_over))
            federation = cls(store, clock=clock, opener=opener)
        except BaseException:
            transport.close()
            raise
        federation._transport = transport
        return federation

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def member(self) -> str:
        """The name of this node."""
        return self._peers.member

    @property
    def name(self) -> str | None:
        """The federation's name; None until a joiner has heard it."""
        return self._peers.federation or None

    @property
    def url(self) -> str:
        """The transport's URL."""
        return str(self._store.get("url"))

    @property
    def schedule(self) -> str:
        """How often `start_pulsing` pulses."""
        return str(self._store.get("schedule"))

    @property
    def local(self) -> PSR | None:
        """What this node has learned; None until it has learned anything."""
        with self._lock:
            return self._store.local

    @property
    def merged(self) -> PSR | None:
        """What this node and its peers have learned, in the founder's order of columns; None if nothing is known."""
        with self._lock:
            return self._peers.merged

    @property
    def peers(self) -> PSR | None:
        """What the other members have learned; None if nothing is known."""
        with self._lock:
            return self._peers.others

    @property
    def converged(self) -> bool:
        """Whether all members are known to hold the same."""
        with self._lock:
            return self._peers.converged

    @property
    def pending(self) -> str | None:
        """What keeps this node from publishing; None if nothing."""
        with self._lock:
            if not self._peers.federation:
                refusals = self._store.refusals
                newest = f"; the newest refusal: {_refusal(*refusals[-1][1:])}" if refusals else ""
                return f"no member of the federation has answered yet{newest}"
            ahead, mark = self._peers.ahead, self._peers.mark
            if ahead is None:
                return self._unsendable
            return (
                f"others hold version {ahead.version} of incarnation {ahead.incarnation} of this member, not as its "
                f"home published it, which is at version {mark.version} of incarnation {mark.incarnation} (a restored "
                "backup, or a second home of that name?); close the other one and call resume() to publish what this "
                "one holds in its place, or give this one up"
            )

    @property
    def members(self) -> list[Member]:
        """Every member that is known, this node included, by name."""
        with self._lock:
            return self._members()

    def psr_of(self, members: Iterable[str]) -> PSR | None:
        """Return what some members have learned.

        Raises
        ------
        FederationError
            If one of them is not known.
        """
        with self._lock:
            return self._peers.psr_of([members] if isinstance(members, str) else members)

    def status(self) -> Status:
        """Return who is a member, who holds what of whom, and what went wrong last.  Never raises a kept error."""
        with self._lock:
            peers, refusals = self._peers, self._store.refusals
            views = {name: word.view for name, word in peers.words.items()} | {peers.member: peers.view}
            return Status(
                federation=self.name,
                member=peers.member,
                url=self.url,
                version=peers.mark.version,
                digest=peers.mark.digest,
                published=peers.published,
                converged=peers.converged,
                members=tuple(self._members()),
                seen={name: {of: mark.version for of, mark in sorted(views[name].items())} for name in sorted(views)},
                lagging=tuple(peers.lagging),
                pending=self.pending,
                pulsing=self._background.running,
                last_error=self._last_error,
                last_refusal=_refusal(*refusals[-1][1:]) if refusals else None,
            )

    def _members(self) -> list[Member]:
        heard, now, members = self._store.heard, self._clock(), []
        age: float | None
        for name in self._peers.members:
            if name == self._peers.member:
                psr, mark, age = self._store.local, self._peers.mark, 0.0
            else:
                slot = self._peers.slots.get(name)
                psr, mark = slot[::-1] if slot is not None else (None, Mark(1, 0, ""))
                age = max(0.0, now - heard[name]) if name in heard else None
            members.append(Member(name, 0 if psr is None else psr.n_rows, mark.version, mark.digest, age))
        return members

    # -- learning ----------------------------------------------------------------------------------------------------

    def learn(self, psr: PSR, batch_id: str | None = None) -> bool:
        """Add a batch to what this node has learned: as `Store.learn`, and the columns must match the peers'."""
        with self._ready():
            self._peers.check(psr)
            return self._learned(self._store.learn(psr, batch_id))

    def forget(self, psr: PSR, batch_id: str | None = None) -> bool:
        """Take a batch out of what this node has learned: as `Store.forget`."""
        with self._ready():
            return self._learned(self._store.forget(psr, batch_id))

    def reset(self) -> None:
        """Forget everything that this node learned; its next version, if it has published any, is that of no rows."""
        with self._ready():
            local = self._store.local
            published = self._peers.mark.version > 0
            self._store.reset(PSR.zero(local.schema) if local is not None and published else None)
            self._learned(True)

    def resume(self) -> None:
        """Publish again, although others hold a later state of this member: this home counts from now on.

        It begins a new incarnation, whose state takes the place of whatever others hold.
        """
        with self._ready():
            self._peers.renew(_incarnation(self._clock))
            self._commit_own()

    def _learned(self, changed: bool) -> bool:
        self._peers.local = self._store.local
        return changed

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
        """Pulse in a background thread, now and then every `interval` (by default the federation's schedule).

        Failing pulses are repeated, after longer and longer waits.  Their error is kept: `status` shows it, and the
        next `pulse`, `start_pulsing` or `stop_pulsing` raises it once, unless a later pulse went well; learning and
        forgetting go on.  An error of another kind than the package's own ends the thread, and the next call of any
        kind but `status` raises it as the cause of a `FederationError`, and does nothing else.
        """
        seconds = parse_schedule(self.schedule if interval is None else interval)
        with self._ready(kept=True):
            self._background.start(seconds)

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
        tally = _Tally()
        try:
            self._take_in(tally)
            self._send(tally)
        except Exception as error:
            self._last_error = f"{type(error).__name__}: {error}"
            _log.warning("a pulse of %r failed: %s", self.member, self._last_error)
            if not isinstance(error, TransportError):
                self._reload()
            elif not isinstance(error, PayloadTooLargeError):
                self._hang_up()
            raise
        self._last_error = None
        pending = self.pending
        status = f"pending: {pending}" if pending else "published" if tally.published else "unchanged"
        return PulseReport(
            status=status,
            version=self._peers.mark.version,
            digest=self._peers.mark.digest,
            sent=tally.sent,
            received=tally.received,
            bytes_sent=tally.bytes_sent,
            bytes_received=tally.bytes_received,
            applied=tally.applied,
            refused=tuple(tally.refused),
            converged=self._peers.converged,
        )

    def _take_in(self, tally: _Tally) -> None:
        """Join what waits in the inbox; acknowledge each message only after its effect is committed."""
        transport = self._carrier()
        while tally.received < _MOST_A_PULSE:
            deliveries = transport.receive(_BATCH)
            if not deliveries:
                return
            with self._store.transaction():
                for delivery in deliveries:
                    self._join(delivery, tally)
                self._save_own()
            for delivery in deliveries:
                transport.ack(delivery)

    def _join(self, delivery: Delivery, tally: _Tally) -> None:
        tally.received += 1
        tally.bytes_received += len(delivery.data)
        try:
            pulse = decode(delivery.data)
        except FormatError as error:
            self._refuse(None, str(error), tally)
            return
        event = self._peers.receive(pulse)
        if isinstance(event, Refused):
            self._refuse(event.member, event.reason, tally)
        if isinstance(event, Applied):
            tally.applied += 1
            self._store.set_slot(event.member, self._peers.slots[event.member])
        if isinstance(event, Applied | Heard):
            self._store.set_word(event.member, self._peers.words[event.member], self._clock())

    def _refuse(self, member: str | None, reason: str, tally: _Tally) -> None:
        text = _refusal(member, reason)
        tally.refused.append(text)
        self._store.add_refusal(self._clock(), member, reason)
        _log.warning("%r refused %s", self.member, text)

    def _send(self, tally: _Tally) -> None:
        """Publish, and commit version and sequence numbers before anybody can have seen them."""
        transport = self._carrier()
        self._peers.publish()
        pulses = self._peers.outgoing()
        self._commit_own()
        too_large = None
        try:
            for pulse in pulses:
                too_large = self._send_one(transport, pulse, tally) or too_large
        finally:
            self._commit_own()
        self._unsendable = None if too_large is None else f"version {self._peers.mark.version} is not sent: {too_large}"
        if too_large is not None:
            raise too_large

    def _send_one(self, transport: Transport, pulse: Pulse, tally: _Tally) -> PayloadTooLargeError | None:
        """Send a message; return the error if it is too large, which does not keep others from being sent."""
        data = encode(pulse)
        try:
            transport.publish(data, pulse.to)
        except PayloadTooLargeError as error:
            return error
        self._peers.sent(pulse)
        tally.sent += 1
        tally.bytes_sent += len(data)
        tally.published |= pulse.to is None and pulse.psr is not None
        return None

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

    # -- the store ---------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Take up what the store holds, in place of whatever this object held."""
        get = self._store.get
        own = get("member"), get("federation"), get("founder")
        peers = Peers(*own, incarnation=get("incarnation"), claimed=bool(get("claimed")))
        peers.mark = Mark(get("incarnation"), get("version") or 0, get("digest") or "")
        peers.previous = get("previous") or ""
        peers.seq = max(get("seq") or 0, min(int(self._clock() * 1000), MAX_COUNTER // 2))  # beyond a backup's
        peers.announced = unpack_view(get("announced")) if get("announced") else {}
        peers.restore(self._store.slots, self._store.words)
        peers.local = self._store.local
        self._peers = peers
        self._saved: dict[str, str | int | bytes] = {}

    def _reload(self) -> None:
        """Give up what was joined but could not be committed; it was not acknowledged and comes again."""
        try:
            self._load()
        except StoreError:
            _log.warning("the home of %r cannot be read", self.member)

    def _commit_own(self) -> None:
        with self._store.transaction():
            self._save_own()

    def _save_own(self) -> None:
        peers = self._peers
        values: dict[str, str | int | bytes] = {
            "federation": peers.federation,
            "founder": peers.founder,
            "incarnation": peers.mark.incarnation,
            "claimed": int(peers.claimed),
            "version": peers.mark.version,
            "digest": peers.mark.digest,
            "previous": peers.previous,
            "seq": peers.seq,
            "announced": pack_view(peers.announced),
        }
        for key, value in values.items():
            if self._saved.get(key) != value:
                self._store.set(key, value)
        self._saved = values


def _incarnation(clock: Callable[[], float]) -> int:
    """Return microseconds: two homes of one name do not begin in the same one."""
    return max(1, min(int(clock() * 1e6), MAX_COUNTER // 2))


def _require_free(transport: Transport) -> None:
    if transport.existed:
        raise FederationError(
            f"A member named {transport.member!r} has an inbox at {transport.url}: join under another name, or take "
            "its place with take_over=True if its home is gone."
        )


def _refusal(member: str | None, reason: str) -> str:
    return f"a message: {reason}" if member is None else f"a message of {member!r}: {reason}"

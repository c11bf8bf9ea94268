"""A node's membership at work: moves bytes between the rules, a store and a transport.

Owns the order of effects: receive, commit, acknowledge; then publish, commit, send.  Whatever kills the process in
between, what comes back is a node that repeats itself, never one that contradicts itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any, Self, cast

from sklearn_symfed.exceptions import (
    FederationError,
    InviteError,
    PayloadTooLargeError,
    SettingError,
    StoreError,
    SymfedError,
    TransportError,
)
from sklearn_symfed.federation import _account
from sklearn_symfed.federation._background import Background
from sklearn_symfed.federation._invites import new_code, open_invite, seal_invite
from sklearn_symfed.federation._learning import Learning
from sklearn_symfed.federation._membership import Membership, Outgoing
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation._records import dumped, loaded
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._report import Member, PulseReport, Status
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.federation._store import Store
from sklearn_symfed.federation.transports import Delivery, Transport, TransportFactory, open_transport
from sklearn_symfed.psr import Schema

__all__ = ["Federation"]

_log = logging.getLogger("sklearn_symfed")

_BATCH = 64
_MOST_A_PULSE = 10_000


class Federation(Learning):
    """A node that is a member, or about to be: `create`, `join` or `reopen` make one.

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
    """

    def __init__(
        self,
        store: Store,
        node: Membership | None = None,
        *,
        clock: Callable[[], float] = time.time,
        random: Random = os.urandom,
        opener: TransportFactory = open_transport,
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
        self._interval: float | None = None
        if node is None:
            self._load()
        else:
            self._take_up(node)
        step = cast("MethodType", self._pulse)
        self._background = Background(step, self._lock, self.member)
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
        schema: Schema | None = None,
        topology: str = "decentralised",
        on_recovery_key: Callable[[str], object],
        **means: Any,
    ) -> Self:
        """Found a federation and become its first admin.

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
        schema : Schema, default=None
            What columns the members learn; by default those of the first rows that an admin learns.
        topology : {"decentralised", "centralised"}, default="decentralised"
            Whether members send to all, or to the admins, who pass it on.
        on_recovery_key : callable
            Is handed the recovery key, once.
        **means
            `clock`, `random` and `opener`, as for the class.

        Raises
        ------
        FederationError
            If the node is a member already, or the place holds a federation already.
        SchemaError
            If rows that were learned do not fit the schema.
        TransportError
            If the place is missing or cannot be used.
        """
        name, member = check_name(name, "federation"), check_name(member)
        parse_schedule(schedule)
        _require_no_member(store)
        if store.local is not None:
            if schema is not None:
                schema.require_match(store.local.schema)
            schema = schema or store.local.schema
        random: Random = means.get("random", os.urandom)
        transport = means.get("opener", open_transport)(url, member, create=True)
        with _closing_on_error(transport):
            store.forget_membership()
            recovery = RecoveryKey.new(random)
            node = Membership.found(
                store.new_identity(random(32)),
                member,
                name,
                topology=topology,
                schedule=str(schedule),
                schema=schema,
                recovery=recovery,
                random=random,
            )
            federation = cls._begin(store, node, url, transport, means)
        on_recovery_key(recovery.text)
        return federation

    @classmethod
    def join(cls, store: Store, invite: str, code: str, **means: Any) -> Self:
        """Begin to join the federation of an invite: send the request that its admin's next pulse answers.

        Parameters
        ----------
        store : Store
            The node's home.
        invite, code : str
            As the admin's `invite` returned them.
        **means
            `clock`, `random` and `opener`, as for the class.

        Raises
        ------
        InviteError
            If the invite was altered, or the code is not its.
        FederationError
            If the node is a member already.
        TransportError
            If the carrier cannot be reached.
        """
        _require_no_member(store)
        opened = open_invite(invite, code)
        random: Random = means.get("random", os.urandom)
        transport = means.get("opener", open_transport)(opened.url, opened.member, create=False)
        with _closing_on_error(transport):
            store.forget_membership()
            node = Membership.join(store.new_identity(random(32)), opened, random)
            federation = cls._begin(store, node, opened.url, transport, means)
        federation.pulse()
        return federation

    @classmethod
    def reopen(cls, store: Store, **means: Any) -> Self | None:
        """Go on as the member that the store says this node is; None if it is none.

        The transport is opened by the first pulse, so a node whose carrier is down can still be used.
        """
        return None if store.get("url") is None else cls(store, **means)

    @classmethod
    def _begin(cls, store: Store, node: Membership, url: str, transport: Transport, means: dict[str, Any]) -> Self:
        with store.transaction():
            store.set("url", url)
            node.seq = _first_seq(means.get("clock", time.time))
            federation = cls(store, node, **means)
            federation._save()
        federation._transport = transport
        return federation

    def wait(self, seconds: float, step: float = 0.5) -> None:
        """Pulse until the admin has answered.

        Raises
        ------
        InviteError
            If it refused.
        FederationError
            If it did not answer in time; the request stays.
        """
        ends = time.monotonic() + seconds
        while not self._node.admitted:
            self.pulse()
            refusal = self._node.joining.refusal if self._node.joining else None
            if refusal is not None:
                raise InviteError(f"{_account.pending_of(self._node)}.")
            if self._node.admitted:
                return
            if time.monotonic() >= ends:
                raise FederationError(f"Still {_account.pending_of(self._node)}: pulse again later.")
            time.sleep(min(step, max(0.0, ends - time.monotonic())))

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def member(self) -> str:
        """The name of this node."""
        return self._node.member

    @property
    def name(self) -> str:
        """The federation's name."""
        joining = self._node.joining
        return joining.invite.name if joining and not self._node.admitted else self._node.roster.name

    @property
    def url(self) -> str:
        """The transport's URL."""
        return str(self._store.get("url"))

    @property
    def schedule(self) -> str:
        """How often `start_pulsing` pulses: as the admins fixed it."""
        return self._node.roster.schedule if self._node.admitted else "30s"

    @property
    def id(self) -> str:
        """Which federation: the hash of its first link, in hexadecimal."""
        return self._node.federation.hex()

    @property
    def is_member(self) -> bool:
        """Whether the newest roster lists this node."""
        with self._lock:
            return self._node.is_member

    @property
    def left(self) -> bool:
        """Whether this node asked to leave, and is off the roster."""
        with self._lock:
            return self._node.left

    @property
    def fingerprint(self) -> str:
        """Of this node's keys: what others should see."""
        return self._node.identity.public.fingerprint

    @property
    def pending(self) -> str | None:
        """What keeps this node from publishing; None if nothing."""
        with self._lock:
            return _account.pending_of(self._node) or self._unsendable

    @property
    def members(self) -> list[Member]:
        """Every member, this node included, by name; and those who left and let their rows stay."""
        with self._lock:
            return _account.members_of(self._node, self._store.heard, self._clock())

    def status(self) -> Status:
        """Return who is a member, who holds what of whom, and what went wrong last.  Never raises a kept error."""
        with self._lock:
            return _account.status_of(
                self._node,
                name=self.name,
                url=self.url,
                members=self.members,
                pending=self.pending,
                pulsing=self._background.running,
                last_error=self._last_error,
                refusals=self._store.refusals,
            )

    # -- the roster --------------------------------------------------------------------------------------------------

    def invite(self, member: str, expires: str | float = "2h", *, admin: bool = False) -> tuple[str, str]:
        """Return an invite for one member, and the code that opens it, which is to go another way.

        Parameters
        ----------
        member : str
            The name that the invited will have.  That of a member makes an invite for its successor: whose home is
            lost, say.  The rows of the one who makes way go when the successor is admitted.
        expires : str or float, default="2h"
            For how long it can be used, by this node's clock.
        admin : bool, default=False
            Whether the invited becomes an admin.
        """
        with self._ready(), self._store.transaction():
            until = int(self._clock() + parse_schedule(expires))
            invite = self._node.invite(self.url, check_name(member), until, admin=admin)
            self._save()
        code = new_code(self._random)
        return seal_invite(invite, code, self._random), code

    def remove(self, member: str) -> None:
        """Take a member off the roster with its rows, and change the key; known to the others after the next pulse."""
        self._change(lambda: self._node.remove(member))

    def promote(self, member: str) -> None:
        """Make a member an admin."""
        self._change(lambda: self._node.change("promote", {"member": check_name(member)}))

    def rotate_key(self) -> None:
        """Begin a new epoch: the others get its key with the next pulse."""
        self._change(lambda: self._node.change("rotate", {}))

    def set_schedule(self, schedule: str | float) -> None:
        """Change how often all members pulse."""
        parse_schedule(schedule)
        self._change(lambda: self._node.change("schedule", {"schedule": str(schedule)}))

    def recover(self, recovery_key: str) -> None:
        """Make this member the only admin, by the recovery key, and change the federation's key."""
        recovery = RecoveryKey.read(recovery_key)
        if recovery.public != self._node.roster.recovery:
            raise SettingError("Got a recovery key that is not this federation's.")
        self._change(lambda: self._node.change("recover", {"member": self.member}, recovery))

    def leave(self, *, forget: bool) -> None:
        """Ask the admins to be taken off the roster, with or without the rows that were published here.

        Done once an admin has pulsed; `left` tells.  What was learned stays in the home.
        """
        self._change(lambda: self._node.leave(forget=forget))
        if not self._node.left:
            self.pulse()

    def forget_membership(self) -> None:
        """Drop what a membership that has ended left in the store; what was learned stays."""
        self.close()
        self._store.forget_membership()

    def request_full_sync(self) -> None:
        """Have all members send their whole slots again, at their next pulse after this node's."""
        self._change(self._node.peers.ask_all)

    def resume(self) -> None:
        """Publish again, although others hold a later state of this member: this home counts from now on.

        It begins a new incarnation, whose state takes the place of whatever others hold.
        """
        self._change(self._node.peers.renew)

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
        seconds = None if interval is None else parse_schedule(interval)
        with self._ready(kept=True):
            self._background.start(_Interval(self, seconds))

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
        except Exception as error:
            self._last_error = f"{type(error).__name__}: {error}"
            _log.warning("a pulse of %r failed: %s", self.member, self._last_error)
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
                return
            with self._store.transaction():
                for delivery in deliveries:
                    self._join(delivery, tally)
                self._save()
            for delivery in deliveries:
                transport.ack(delivery)

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
        if self._node.is_member and self._node.peers.publish():
            tally.published = not self._node.peers.others_names
        messages = self._node.outgoing()
        with self._store.transaction():
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
        store = self._store
        node = loaded(store.get, store.identity, store.slots, store.words, self._random)
        node.seq = max(node.seq, _first_seq(self._clock))  # beyond a backup's
        self._take_up(node)

    def _take_up(self, node: Membership) -> None:
        node.local = self._store.local
        self._node = node
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


class _Interval:
    """The seconds between two pulses: as asked for, or as the roster now says; keeps its node from no garbage."""

    def __init__(self, federation: Federation, seconds: float | None) -> None:
        self._federation = weakref.ref(federation)
        self._seconds = seconds

    def __call__(self) -> float:
        federation = self._federation()
        if self._seconds is not None or federation is None:
            return self._seconds or 1.0
        return parse_schedule(federation.schedule)


def _first_seq(clock: Callable[[], float]) -> int:
    """Return milliseconds: beyond what a backup counted."""
    return max(0, min(int(clock() * 1000), 2**52))


def _require_no_member(store: Store) -> None:
    """Let those join who are no member, or not yet, or not any more."""
    if store.get("chain") is not None:
        node = loaded(store.get, store.identity, {}, {}, os.urandom)
        if node.is_member:
            raise FederationError(f"This node is already {node.member!r} of the federation at {store.get('url')}.")


@contextlib.contextmanager
def _closing_on_error(transport: Transport) -> Iterator[None]:
    try:
        yield
    except BaseException:
        transport.close()
        raise

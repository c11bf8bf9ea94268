"""A node of a federation: how it becomes a member, what it tells of itself, and what its user may change.

Owns what people call; statistics are `_learning`, and what a pulse does is `_pulsing`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from sklearn_symfed.exceptions import (
    FederationError,
    InviteError,
    SettingError,
    StillWaitingError,
    StoreError,
)
from sklearn_symfed.federation import _account
from sklearn_symfed.federation._contract import Contract
from sklearn_symfed.federation._guard import DEFAULT, Guard
from sklearn_symfed.federation._invites import Invite, new_code, open_invite, seal_invite
from sklearn_symfed.federation._ledger import Release
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._names import check_name
from sklearn_symfed.federation._pulsing import Pulsing, first_seq
from sklearn_symfed.federation._records import loaded
from sklearn_symfed.federation._recovery import RecoveryKey
from sklearn_symfed.federation._report import Member, Status
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.federation._sealing import Random
from sklearn_symfed.federation._store import Store
from sklearn_symfed.federation.transports import Transport, open_transport
from sklearn_symfed.psr import Schema

__all__ = ["Federation"]


class Federation(Pulsing):
    """A node that is a member, or about to be: `create`, `join` or `reopen` make one.

    Any number of threads may use it.  It does not own its store, which is closed by whoever opened it.
    """

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
        contract: Iterable[str] | None = None,
        guard: Guard | str | None = None,
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
        contract : list of str, default=None
            Rules that hold for what each member publishes.
        guard : Guard or "off", default=None
            What every member's statistics must be like before they are published; by default `Guard()`.
        on_recovery_key : callable
            Is handed the recovery key, once, before the federation is there; a call that fails later, or is killed, is
            to be repeated, and hands out another.
        **means
            `clock`, `random`, `opener` and `own_guard`, as for the class.

        Raises
        ------
        SettingError
            If this node's own guard is laxer than the federation's.
        FederationError
            If the node is a member already, or the place holds a federation already.
        SettingError
            If a rule of the contract is none; says which, where, and what was expected there.
        SchemaError
            If rows that were learned do not fit the schema.
        TransportError
            If the place is missing or cannot be used.
        """
        name, member = check_name(name, "federation"), check_name(member)
        parse_schedule(schedule)
        if schema is not None and not isinstance(schema, Schema):
            raise SettingError(f"Got a schema of type {type(schema).__name__}, but expected a Schema.")
        guard = Guard.read(guard, DEFAULT)
        if means.get("own_guard") is not None:
            means["own_guard"].require_as_strict(guard)
        _require_no_member(store)
        if store.local is not None:
            if schema is not None:
                schema.require_match(store.local.schema)
            schema = schema or store.local.schema
        rules = None if contract is None else Contract.of(contract, (), schema)
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
                contract=rules,
                recovery=recovery,
                random=random,
                guard=guard,
            )
            on_recovery_key(recovery.text)  # first: whoever is killed here must not leave a federation without it
            return cls._begin(store, node, url, transport, means)

    @classmethod
    def join(cls, store: Store, invite: str, code: str, **means: Any) -> Self:
        """Begin to join the federation of an invite: send the request that its admin's next pulse answers.

        A node that asked by this very invite already goes on with that, since an invite admits one identity only.

        Parameters
        ----------
        store : Store
            The node's home.
        invite, code : str
            As the admin's `invite` returned them.
        **means
            `clock`, `random`, `opener` and `own_guard`, as for the class.

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
        if _asked_by(store) == opened:
            federation = cls(store, **means)
            with _closing_on_error(federation):
                federation.pulse()
            return federation
        random: Random = means.get("random", os.urandom)
        transport = means.get("opener", open_transport)(opened.url, opened.member, create=False)
        with _closing_on_error(transport):
            store.forget_membership()
            node = Membership.join(store.new_identity(random(32)), opened, random)
            federation = cls._begin(store, node, opened.url, transport, means)
        try:
            federation.pulse()
        except BaseException:
            federation.forget_membership()
            raise
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
            node.seq = first_seq(means.get("clock", time.time))
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
        StillWaitingError
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
                raise StillWaitingError(f"Still {_account.pending_of(self._node)}: pulse again later.")
            time.sleep(min(step, max(0.0, ends - time.monotonic())))

    # -- what is held ------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The federation's name."""
        joining = self._node.joining
        return joining.invite.name if joining and not self._node.admitted else self._node.roster.name

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
    def members(self) -> list[Member]:
        """Every member, this node included, by name; and those who left and let their rows stay."""
        with self._lock:
            return _account.members_of(self._node, self._store.heard, self._clock(), self._store.refusals)

    @property
    def releases(self) -> list[Release]:
        """Every release of this node's statistics, oldest first."""
        with self._lock:
            return self._store.ledger.releases

    def status(self) -> Status:
        """Return who is a member, who holds what of whom, and what went wrong last.  Never raises a kept error."""
        with self._lock:
            return _account.status_of(
                self._node,
                name=self.name,
                url=self.url,
                members=self.members,
                pending=self.pending,
                dropped=self._store.n_dropped,
                dead_letters=self._dead_letters,
                pulsing=self._background.running,
                last_error=self._last_error,
                refusals=self._store.refusals,
            )

    # -- the roster --------------------------------------------------------------------------------------------------

    def invite(self, member: str, expires: str | float = "2h", *, admin: bool = False) -> tuple[str, str]:
        """Return an invite for one member, and the code that opens it, which is to go another way.

        The inbox of the invited is made at once or, if the carrier fails now, by the next pulse that goes well.

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
        with self._ready():
            with self._store.transaction():
                until = int(self._clock() + parse_schedule(expires, "expires"))
                if check_name(member) == self._node.member:  # a carrier goes by names: both would read one inbox
                    raise FederationError(f"Got {member!r}, the name of this node itself, but expected another one.")
                invite = self._node.invite(self.url, member, until, admin=admin)
                self._inboxes.forget(member)
                self._save()
            self._tend_or_later()
        code = new_code(self._random)
        return seal_invite(invite, code, self._random), code

    def remove(self, member: str) -> None:
        """Take a member off the roster with its rows, and change the key; known to the others after the next pulse."""
        self._change(lambda: self._node.remove(check_name(member)))

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

    def set_contract(self, rules: Iterable[str], flag: Iterable[str] = ()) -> None:
        """Change the rules that hold for what each member publishes, and say of whom a breach is only noted."""
        contract = Contract.of(rules, flag, self.schema)
        self._change(lambda: self._node.change("contract", {"contract": contract.to_bytes()}))

    @property
    def contract(self) -> Contract:
        """The rules that hold for what each member publishes; none while joining."""
        with self._lock:
            return self._node.roster.rules if self._node.admitted else Contract()

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


def _require_no_member(store: Store) -> None:
    """Let those join who are no member, or not yet, or not any more."""
    if store.get("chain") is not None:
        node = loaded(store.get, store.identity, {}, {}, os.urandom)
        if node.is_member:
            raise FederationError(f"This node is already {node.member!r} of the federation at {store.get('url')}.")


def _asked_by(store: Store) -> Invite | None:
    """Return the invite of which no answer has come yet."""
    if store.get("joining") is None:
        return None
    with contextlib.suppress(StoreError):  # the keys that asked are lost
        joining = loaded(store.get, store.identity, {}, {}, os.urandom).joining
        return joining.invite if joining is not None and joining.refusal is None else None
    return None


@contextlib.contextmanager
def _closing_on_error(opened: Transport | Federation) -> Iterator[None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise

"""A node's part in a federation: founding and joining, inviting and leaving, pulsing, and what peers hold.

Owns what `FederatedPSR` offers to members.  What it learns, and the estimator that it is, stand in `_federated_psr.py`.
"""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Self

from sklearn_symfed.exceptions import FederationError, NotAMemberError, SettingError
from sklearn_symfed.federation import (
    Federation,
    Guard,
    Member,
    PulseReport,
    Release,
    Status,
    Store,
    parse_schedule,
)
from sklearn_symfed.psr import PSR, Schema

__all__ = ["FederationMember"]


class FederationMember:
    """What a node does as a member; mixed into `FederatedPSR`."""

    home: str | os.PathLike[str] | None
    guard: Guard | str | None
    _store: Store
    _membership: Federation | None

    @abstractmethod
    def _node(self, *, must_exist: bool = False) -> Federation | Store:
        """Return what holds this node's state."""

    @abstractmethod
    def _exists(self) -> bool:
        """Tell whether there is anything to open."""

    @abstractmethod
    def _takes_part(self) -> bool:
        """Tell whether there is a federation that this node is, was or is about to be in."""

    @abstractmethod
    def _known(self, psr: PSR | None) -> PSR:
        """Return the statistics, or raise where there are none."""

    @abstractmethod
    def _refresh(self) -> Self:
        """Set the fitted attributes anew."""

    @property
    def is_member(self) -> bool:
        """Whether this node is on the roster of a federation; not yet while it joins, not any more once removed."""
        return self._takes_part() and self._federation().is_member

    def create_federation(
        self,
        name: str,
        url: str,
        *,
        member: str | None = None,
        schema: Schema | None = None,
        schedule: str = "30s",
        topology: str = "decentralised",
        contract: Iterable[str] | None = None,
        guard: Guard | str | None = None,
        on_recovery_key: Callable[[str], object] | None = None,
    ) -> Self:
        """Found a federation, as its first member and admin.

        Parameters
        ----------
        name : str
            Name of the federation.
        url : str
            Its carrier: ``dir:///mnt/share/flights``, ``nats://host:4222/flights``, ``memory://flights``.
        member : str, default=None
            Name of this node; by default the name of its home folder.
        schema : Schema, default=None
            The columns that all members learn; by default those of the first rows that an admin learns.
        schedule : str, default="30s"
            Time between the pulses of `start_pulsing`, on all members: ``"30s"``, ``"5m"``, ``"1h"``, ``"1d"``.
        topology : {"decentralised", "centralised"}, default="decentralised"
            Whether members send to all others, or to the admins, who pass it on.
        contract : list of str, default=None
            Rules that hold for what each member publishes: ``["count() >= 1000", "0 < mean('fare_amount') < 200"]``.
            A node publishes nothing that breaks one, and takes no such thing from others.  See `set_contract`.
        guard : Guard or "off", default=None
            What the statistics of every member must be like before they leave it, for good; by default `Guard()`.  With
            ``"off"`` members see statistics of however few rows.
        on_recovery_key : callable, default=None
            Is handed the recovery key, a str; by default it is printed.  Nothing keeps it: see `recover`.  A call that
            was killed, and did not make this node a member, is to be repeated, and hands out another key.

        Returns
        -------
        self : object

        Raises
        ------
        FederationError
            If the node is a member already.
        SettingError
            If a rule of the contract is none; says which, where, and what was expected there.
        SchemaError
            If rows that were learned before do not fit the schema.
        TransportError
            If the carrier cannot be reached.
        """
        own_guard = self._own_guard()
        self._require_no_member()
        self._membership = Federation.create(
            self._store,
            name,
            url,
            self._member_name(member),
            schedule,
            schema=schema,
            topology=topology,
            contract=contract,
            guard=guard,
            own_guard=own_guard,
            on_recovery_key=on_recovery_key or _print_recovery_key(name),
        )
        return self._refresh()

    def invite(self, member: str, expires: str = "2h", *, admin: bool = False) -> tuple[str, str]:
        """Make an invite for somebody who is to become a member, and a code without which it says nothing.

        Hand over the invite by any means, and the code by another.  It works once, for this name.  The answer to
        whoever uses it goes out with this node's pulses.

        Parameters
        ----------
        member : str
            The name that the invited will have.  The name of a member makes an invite for its successor, say after
            its home was lost: **when the successor is admitted, the one who has the name now is off the roster, and
            its rows are gone** from what all members hold, also those of somebody who left and let them stay.
        expires : str, default="2h"
            For how long, by this node's clock.
        admin : bool, default=False
            Whether the invited will be an admin, too.

        Returns
        -------
        invite, code : str, str

        Raises
        ------
        FederationError
            If this node is no admin.
        """
        return self._federation().invite(member, expires, admin=admin)

    def join(self, invite: str, code: str, *, wait: str | float | None = None) -> Self:
        """Join the federation of an invite: send the request, which the admin's next pulse answers.

        Until then nothing can be learned, since the federation's columns come with the answer.  Calling this again,
        after a crash say, goes on with the same request.

        Parameters
        ----------
        invite, code : str
            As the admin's `invite` returned them.
        wait : str, default=None
            Pulse for so long, ``"5m"`` say, until the admin has answered.  None returns at once; `pulse` later.

        Returns
        -------
        self : object

        Raises
        ------
        InviteError
            If the invite was altered, the code is not its, or, while waiting, the admin refused.
        FederationError
            If the node is a member already.
        StillWaitingError
            If the wait was in vain: the request stays, and a later `pulse` may find the answer.
        TransportError
            If the carrier cannot be reached.
        """
        own_guard = self._own_guard()
        self._require_no_member()
        self._membership = Federation.join(self._store, invite, code, own_guard=own_guard)
        if wait is not None:
            self._federation().wait(parse_schedule(wait, "wait"))
        return self._refresh()

    def leave(self, *, forget: bool) -> Self:
        """Leave the federation, once an admin has pulsed; what was learned stays in this node.

        Parameters
        ----------
        forget : bool
            Whether the rows that this node has published go with it, or stay in what the others hold.

        Returns
        -------
        self : object

        Raises
        ------
        FederationError
            If it is the only admin of others, or has rows that are not published but are to stay.
        """
        self._federation().leave(forget=forget)
        return self._leave_if_done()

    def remove(self, member: str) -> Self:
        """Take a member off the roster with its rows, and change the key; the others hear of it with the next pulse.

        Parameters
        ----------
        member : str

        Returns
        -------
        self : object

        Raises
        ------
        FederationError
            If this node is no admin, or there is no such member.
        """
        self._federation().remove(member)
        return self._refresh()

    def promote(self, member: str) -> Self:
        """Make a member an admin, who invites and removes as this node does.

        Returns
        -------
        self : object
        """
        self._federation().promote(member)
        return self

    def rotate_key(self) -> Self:
        """Change the key that messages are sealed with; members get the new one with the next pulses.

        Returns
        -------
        self : object
        """
        self._federation().rotate_key()
        return self

    def set_schedule(self, schedule: str) -> Self:
        """Change the time between pulses, on all members.

        Parameters
        ----------
        schedule : str
            ``"30s"``, ``"5m"``, ``"1h"``, ``"1d"``.

        Returns
        -------
        self : object
        """
        self._federation().set_schedule(schedule)
        return self

    def set_contract(self, rules: Iterable[str], flag: Iterable[str] = ()) -> Self:
        """Change the rules that hold for what each member publishes; the others go by them after the next pulse.

        What a member has published before counts for nothing from then on if it breaks a rule, and the member takes
        it back.

        Parameters
        ----------
        rules : list of str
            ``'count() >= 1000'``, ``'0 < mean("fare") < 200 and std("distance") <= 30'``,
            ``'count("carrier", "UA") >= 50'``: see the guide.  An empty list ends the contract.
        flag : list of str, default=()
            Members whose statistics count although they break a rule; `status` says so.

        Returns
        -------
        self : object

        Raises
        ------
        SettingError
            If a rule is none, or names a column that there is not; says which, where, and what was expected there.
        FederationError
            If this node is no admin.
        """
        self._federation().set_contract(rules, flag)
        return self

    def recover(self, recovery_key: str) -> Self:
        """Make this member the only admin, by the key that was printed when the federation was created.

        Parameters
        ----------
        recovery_key : str

        Returns
        -------
        self : object
        """
        self._federation().recover(recovery_key)
        return self

    def request_full_sync(self) -> Self:
        """Have all members send their statistics again, at their next pulses after this node's.

        Returns
        -------
        self : object
        """
        self._federation().request_full_sync()
        return self

    def relay(self, other: FederationMember) -> Self:
        """Learn what another federation holds, as one source that a later call replaces.

        Parameters
        ----------
        other : FederatedPSR
            A member of the other federation, on this machine.

        Returns
        -------
        self : object

        Raises
        ------
        SettingError
            If it is anything else.
        FederationError
            If rows of one member would count twice.
        """
        own = self._federation()
        if not isinstance(other, FederationMember):
            raise SettingError(
                f"Got a {type(other).__name__} to relay, but expected a FederatedPSR that is a member of another "
                "federation; statistics alone do not say whose rows they hold."
            )
        theirs = other._federation()
        own.learn_federation(theirs.id, theirs.merged_or_raise(), theirs.origins)
        return self._refresh()

    def pulse(self) -> PulseReport:
        """Publish what was learned if it changed, and take in what peers have published.

        Returns
        -------
        report : PulseReport
            Prints as ``published``, ``unchanged`` or ``pending``, with figures.

        Raises
        ------
        TransportError
            If the carrier failed; whatever was not sent is sent by a later pulse.
        FederationError
            If this node is not a member.
        """
        report = self._federation().pulse()
        self._leave_if_done()
        return report

    def start_pulsing(self, interval: str | None = None) -> Self:
        """Pulse in the background, by the federation's schedule.

        The background never changes a fitted attribute; `psr_` follows it.  Its errors reach `status`, and are raised
        by the next `pulse`, `start_pulsing` or `stop_pulsing`; learning goes on meanwhile.

        Parameters
        ----------
        interval : str, default=None
            Another time between pulses, ``"30s"`` say.

        Returns
        -------
        self : object
        """
        self._federation().start_pulsing(interval)
        return self

    def stop_pulsing(self) -> Self:
        """Stop pulsing in the background, after the pulse that is under way.

        Returns
        -------
        self : object
        """
        self._federation().stop_pulsing()
        return self

    def resume(self) -> Self:
        """Publish again although peers hold a later state of this node than its home does, as after a restored backup.

        What this home holds counts from now on, as a new incarnation; `pulse` reports ``pending`` until this is called.

        Returns
        -------
        self : object
        """
        self._federation().resume()
        return self

    def status(self) -> Status:
        """Return who is a member, what each holds, how long ago that was heard, and the last failures."""
        return self._federation().status()

    @property
    def peers_psr_(self) -> PSR:
        return self._known(self._federation().peers)

    @property
    def peers_(self) -> list[str]:
        federation = self._federation()
        return [m.name for m in federation.members if m.name != federation.member and m.role != "left"]

    @property
    def members_(self) -> list[Member]:
        return self._federation().members

    @property
    def contract_(self) -> list[str]:
        """The rules that hold for what each member publishes."""
        return [str(rule) for rule in self._federation().contract.rules]

    @property
    def flagged_(self) -> list[str]:
        """The members that may break a rule of the contract: their statistics count, with a note."""
        return sorted(self._federation().contract.flagged)

    @property
    def fingerprint_(self) -> str:
        return self._federation().fingerprint

    @property
    def converged_(self) -> bool:
        return self._federation().converged

    @property
    def refusals_(self) -> list[tuple[float, str | None, str]]:
        """The newest messages that were refused, oldest first: when (seconds since 1970), the sender if known, why."""
        self._federation()
        return self._store.refusals

    @property
    def batches_(self) -> dict[str, str]:
        """The batches that were learned under a `batch_id` and not forgotten, and the digest of each."""
        self._node()
        return self._store.batches

    @property
    def releases_(self) -> list[Release]:
        return self._federation().releases

    def psr_of(self, members: str | Iterable[str]) -> PSR:
        """Return the statistics of some members: the sum over what they had published.

        Parameters
        ----------
        members : str or iterable of str

        Returns
        -------
        PSR
        """
        return self._known(self._federation().psr_of([members] if isinstance(members, str) else members))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _own_guard(self) -> Guard | None:
        return None if self.guard is None else Guard.read(self.guard, Guard())

    def _federation(self) -> Federation:
        node = self._node() if self._exists() else None
        if not isinstance(node, Federation):
            raise NotAMemberError("This node is not a member: create_federation(...) or join(...) first.")
        return node

    def _require_no_member(self) -> None:
        """Raise an error on a member; let go of a request that was not granted, and of a membership that has ended."""
        node = self._node()
        if isinstance(node, Federation):
            if node.is_member:
                raise FederationError(f"This node is already {node.member!r} of the federation at {node.url}.")
            node.close()  # before another one uses the same home
            self._membership = None

    def _leave_if_done(self) -> Self:
        membership = self._federation()
        if membership.left:
            membership.forget_membership()
            self._membership = None
        return self._refresh()

    def _member_name(self, member: str | None) -> str:
        if member is not None:
            return member
        if self.home is None:
            raise FederationError("Got neither member= nor home=, but expected a name for this node.")
        return os.path.basename(os.path.abspath(self.home))  # noqa: PTH100, PTH119


def _print_recovery_key(name: str) -> Callable[[str], None]:
    def show(key: str) -> None:
        sys.stdout.write(
            f"Recovery key of federation {name!r}, shown this once; keep it apart from every home:\n  {key}\n"
        )

    return show

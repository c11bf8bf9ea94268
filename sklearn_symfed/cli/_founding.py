"""Founding and joining, and what admins do: create, invite, join, remove, rotate, promote, leave, resume, recover."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sklearn_symfed import FederatedPSR
from sklearn_symfed.cli._session import (
    AsJson,
    Exit,
    Home,
    answer,
    guard_of,
    opened,
    read_text,
    say,
    secret,
    split,
    write_secret,
)
from sklearn_symfed.exceptions import StillWaitingError

__all__ = ["contract", "create", "invite", "join", "leave", "promote", "recover", "remove", "resume", "rotate"]

_LONGEST_SHOWN = 200
_OWN_FINGERPRINT = "This node's fingerprint is {}; compare it with what the admin sees."


class Topology(StrEnum):
    """Who writes to whom."""

    decentralised = "decentralised"
    centralised = "centralised"


NewFile = Annotated[Path | None, typer.Option(dir_okay=False, help="Write it to this new file, for its owner alone.")]
MemberName = Annotated[str, typer.Argument(help="Its name.")]


def create(
    name: Annotated[str, typer.Argument(help="What the federation is called.")],
    url: Annotated[str, typer.Argument(help="Its carrier, such as dir:///mnt/share/flights.")],
    home: Home,
    member: Annotated[str | None, typer.Option(help="Name of this node; by default that of its home.")] = None,
    schedule: Annotated[str, typer.Option(help="How often members pulse: 30s, 5m, 1h, 1d.")] = "30s",
    topology: Annotated[Topology, typer.Option(help="Send to all, or through the admins.")] = Topology.decentralised,
    contract: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="A rule on what members publish. May be repeated.")
    ] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", help="A threshold of all members' guard, rows=50, or off. May be repeated."
        ),
    ] = None,
    recovery_key_to: NewFile = None,
) -> None:
    """Found a federation, and be its first member and admin.

    The recovery key is shown once, or written to a file; keep it apart from every home.

    Example: symfed create flights dir:///mnt/share/flights --home north --recovery-key-to recovery.key
    """
    if url.startswith("memory://"):
        raise typer.BadParameter(f"Got {url!r}, which ends with this command, but expected dir://...", param_hint="URL")

    def hand_out(key: str) -> None:
        if recovery_key_to is not None:
            write_secret(recovery_key_to, key)
        else:
            typer.echo(f"Recovery key, shown this once; keep it apart from every home:\n  {key}")

    with opened(home, create=True) as node:
        node.create_federation(
            name,
            url,
            member=member,
            schedule=schedule,
            topology=topology.value,
            contract=contract,
            guard=guard_of(guard),
            on_recovery_key=hand_out,
        )
        say(f"Created federation {name!r} as {node.status().member!r}, fingerprint {node.fingerprint_}.")


def invite(
    member: Annotated[str, typer.Argument(help="The name that the invited will have.")],
    home: Home,
    expires: Annotated[str, typer.Option(help="For how long it can be used.")] = "2h",
    admin: Annotated[bool, typer.Option("--admin", help="Let it be an admin, too.")] = False,
    to: Annotated[Path | None, typer.Option(dir_okay=False, help="Write the invite to this file.")] = None,
    code_to: NewFile = None,
) -> None:
    """Make an invite, and the code that opens it; send them by two ways.

    The code is shown once, or written to a file; nothing keeps it.

    Example: symfed invite south --home north --to south.invite --code-to south.code
    """
    if to is not None and not to.parent.is_dir():
        raise typer.BadParameter(f"{str(to.parent)!r} is no folder.", param_hint="--to")
    with opened(home) as node:
        text, code = node.invite(member, expires, admin=admin)
        fingerprint = node.fingerprint_
        before = next((each for each in node.members_ if each.name == member), None)
    if code_to is not None:
        write_secret(code_to, code)
    if to is not None:
        to.write_text(text + "\n", "utf-8")
    typer.echo(
        "\n".join([*([] if to else [f"invite: {text}"]), *([] if code_to else [f"code: {code}"])]) or "",
        nl=not (to and code_to),
    )
    say(f"Invited {member!r} for {expires}; this node's fingerprint is {fingerprint}.")
    if before is not None:
        say(
            f"There is a {member!r} already: when whoever uses this invite is admitted, it makes way, and its "
            f"{before.rows:,} rows are gone from what all members hold."
        )


def join(
    invitation: Annotated[Path, typer.Argument(metavar="INVITE", help="A file; - is stdin.")],
    home: Home,
    code_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read the code from here.")
    ] = None,
    wait: Annotated[str | None, typer.Option(help="Pulse for so long, 5m say, until the admin has answered.")] = None,
) -> None:
    """Join the federation of an invite: send the request that its admin's next pulse answers.

    The code is asked for, unless --code-file or the variable SYMFED_CODE holds it.

    Example: symfed join south.invite --home south --wait 5m
    """
    name = str(invitation)
    if name != "-" and not os.path.isfile(name):  # noqa: PTH113 - which takes the text of an invite for no file, too
        shown = repr(name) if len(name) <= _LONGEST_SHOWN else f"A text of {len(name)} letters"
        raise typer.BadParameter(f"{shown} is no file; expected one that holds the invite.", param_hint="INVITE")
    text = read_text(invitation)
    code = secret("Code", "SYMFED_CODE", code_file)
    with opened(home, create=True) as node:
        try:
            node.join(text.removeprefix("invite:").strip(), code, wait=wait)
        except StillWaitingError:
            say(_OWN_FINGERPRINT.format(node.fingerprint_))
            raise
        status = node.status()
        say(_OWN_FINGERPRINT.format(node.fingerprint_))
        if not node.is_member:
            say(f"Pending: {status.pending}.")
            raise typer.Exit(Exit.PENDING)
        say(f"Joined federation {status.federation!r} as {status.member!r}.")


def contract(
    home: Home,
    rules: Annotated[list[str] | None, typer.Argument(metavar="[RULE]...", help="The rules from now on.")] = None,
    flag: Annotated[str | None, typer.Option(help="Members a,b who may break a rule: it is noted.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End the contract.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the rules that hold for what members publish, or put others in their place.

    Example: symfed contract "count() >= 1000" "0 < mean('fare') < 200" --home north
    """
    changes = bool(rules) or clear
    if (changes and as_json) or (rules and clear) or (flag and not rules):
        raise typer.BadParameter("Expected rules, with or without --flag, or --clear, or --json.")
    with opened(home) as node:
        if changes:
            node.set_contract(rules or [], split(flag) or [])
            _done(node, "Changed the contract")
            strangers = sorted(set(node.flagged_) - {member.name for member in node.members_})
            if strangers:
                say(f"Nobody is called {', '.join(strangers)} yet.")
            return
        found, flagged = node.contract_, node.flagged_
    lines = [*found, *([f"flagged if they break a rule: {', '.join(flagged)}"] if flagged else [])]
    answer({"contract": found, "flagged": flagged}, "\n".join(lines) or "No rules.", as_json=as_json)


def remove(member: MemberName, home: Home) -> None:
    """Take a member off the roster, with its rows, and change the key.

    Example: symfed remove south --home north
    """
    with opened(home) as node:
        node.remove(member)
        _done(node, f"Removed {member!r}")


def promote(member: MemberName, home: Home) -> None:
    """Make a member an admin.

    Example: symfed promote south --home north
    """
    with opened(home) as node:
        node.promote(member)
        _done(node, f"Promoted {member!r}")


def rotate(home: Home) -> None:
    """Change the key that messages are sealed with.

    Example: symfed rotate --home north
    """
    with opened(home) as node:
        node.rotate_key()
        _done(node, "Changed the key")


def leave(
    home: Home,
    forget: Annotated[
        bool, typer.Option("--forget/--keep", help="Whether the rows that were published here go, or stay.")
    ],
) -> None:
    """Leave the federation, once an admin has pulsed; what was learned stays in the home.

    Example: symfed leave --forget --home south
    """
    with opened(home) as node:
        node.leave(forget=forget)
        if node.is_member:
            say("Pending: this node leaves once an admin has pulsed; pulse again to see it done.")
            raise typer.Exit(Exit.PENDING)
    say("Left the federation.")


def resume(home: Home) -> None:
    """Publish again from a home that was restored from a backup: what it holds counts from now on.

    Example: symfed resume --home south
    """
    with opened(home) as node:
        node.resume()
        _done(node, "What this home holds counts from now on")


def recover(
    home: Home,
    recovery_key_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read the recovery key from here.")
    ] = None,
) -> None:
    """Make this member the only admin, by the recovery key, where all admins are lost.

    The key is asked for, unless --recovery-key-file or the variable SYMFED_RECOVERY_KEY holds it.

    Example: symfed recover --home south --recovery-key-file recovery.key
    """
    key = secret("Recovery key", "SYMFED_RECOVERY_KEY", recovery_key_file)
    with opened(home) as node:
        node.recover(key)
        _done(node, "This member is the only admin")


def _done(node: FederatedPSR, what: str) -> None:
    say(f"{what}; roster {node.status().roster}. The others hear of it with the next pulse.")

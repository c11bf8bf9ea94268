"""Pulsing and looking: pulse, status, members, log, digest."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sklearn_symfed import FederatedPSR, Guard, PulseReport
from sklearn_symfed.cli._declared import facts_of, known_schema
from sklearn_symfed.cli._session import (
    AsJson,
    Exit,
    Home,
    answer,
    guard_of,
    is_wanted,
    node_of,
    opened,
    say,
)
from sklearn_symfed.cli._tables import as_time, log_of, show, status_table, watch
from sklearn_symfed.exceptions import HomeInUseError, NothingLearnedError, StoreError, SymfedError, TransportError
from sklearn_symfed.federation import parse_schedule

__all__ = ["digest", "log", "members", "pulse", "releases", "snapshot", "status"]

_TICK = 0.1
_ASIDE = 0.5
"""For so many seconds a process that pulses stays away from the home after somebody asked for it."""


def snapshot(node: FederatedPSR) -> dict[str, Any]:
    """Return what a member knows of its federation, as `symfed status --json` prints it."""
    status = node.status()
    own = status.seen.get(status.member, {})
    behind = {
        member.name: sum(status.seen[member.name].get(of, 0) != version for of, version in own.items())
        for member in status.members
        if member.name in status.seen
    }
    members = [{**asdict(member), "behind": behind.get(member.name)} for member in status.members]
    try:
        merged = node.psr_
        rows, digest = merged.n_rows, merged.digest
    except NothingLearnedError:
        rows, digest = 0, None
    listed = [member for member in members if member["role"] != "left"]
    agreed = status.published and status.pending is None and all(member["behind"] == 0 for member in listed)
    facts = {name: value for name, value in asdict(status).items() if name not in {"lagging", "pulsing", "last_error"}}
    own_facts = {"converged": agreed and bool(listed), "rows": rows, "merged_digest": digest, "members": members}
    return {**facts, **own_facts, **facts_of(known_schema(node))}


def pulse(
    home: Home,
    every: Annotated[str | None, typer.Option(help="Pulse on and on: 30s, 5m; 'schedule' is the federation's.")] = None,
    wait: Annotated[str | None, typer.Option(help="Pulse for so long, 1m say, until all hold the same.")] = None,
    guard: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="Make this node's guard stricter, as SYMFED_GUARD does: rows=50."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish what was learned, and take in what others published.

    With --every it goes on until SIGTERM or Ctrl-C, finishes what it is at, and exits with 0; other commands may use
    the home meanwhile.

    Example: symfed pulse --home north --every 30s
    """
    if every is not None and (as_json or wait):
        raise typer.BadParameter("Got --every with --json or --wait, but expected one of them.")
    if every is not None:
        _pulse_on(home, None if every == "schedule" else parse_schedule(every, "every"), guard_of(guard))
        return
    seconds = 0.0 if wait is None else parse_schedule(wait, "wait")
    with opened(home, guard=guard_of(guard)) as node:
        report = node.pulse()
        ends = time.monotonic() + seconds
        while wait is not None and not report.converged and time.monotonic() < ends:
            time.sleep(min(0.5, max(0.0, ends - time.monotonic())))
            report = node.pulse()
    answer(asdict(report), str(report), as_json=as_json)
    if report.status.startswith("pending") or (wait is not None and not report.converged):
        raise typer.Exit(Exit.PENDING)


def status(
    home: Home,
    as_json: AsJson = False,
    watching: Annotated[bool, typer.Option("--watch", help="A live table, until Ctrl-C.")] = False,
    interval: Annotated[str, typer.Option(help="Time between two looks of --watch.")] = "2s",
) -> None:
    """Show who is a member, what each holds, and who lags.

    It says what each member had said last, as old as the table tells; only a pulse hears anew.

    Example: symfed status --home north --watch
    """
    if watching and as_json:
        raise typer.BadParameter("Got --watch with --json, but expected one of them.")

    def look() -> dict[str, Any]:
        with opened(home) as node:
            return snapshot(node)

    if watching:
        watch(look, parse_schedule(interval, "interval"))
        return
    facts = look()
    answer(facts, lambda: show(status_table(facts)), as_json=as_json)


def members(home: Home, as_json: AsJson = False) -> None:
    """List the members, with their fingerprints: compare them with what each sees at its own end.

    Example: symfed members --home north
    """
    with opened(home) as node:
        listed = [asdict(member) for member in node.members_]
    lines = [f"{each['name']}  {each['role']}  {each['fingerprint']}  {each['rows']:,} rows" for each in listed]
    answer({"members": listed}, "\n".join(lines) or "No members are known yet: pulse.", as_json=as_json)


def log(
    home: Home,
    as_json: AsJson = False,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest.")] = 20,
) -> None:
    """Show which messages were refused, when and why; the newest thousand are kept.

    Example: symfed log --home north --last 5
    """
    with opened(home) as node:
        entries = log_of(node.refusals_[-last:])
    lines = [f"{each['at']}  {each['member'] or '-'}  {each['reason']}" for each in entries]
    answer({"refusals": entries}, "\n".join(lines) or "Nothing was refused.", as_json=as_json)


def releases(home: Home, as_json: AsJson = False) -> None:
    """Show every release of this node's statistics: when, how many rows, and how many had been learned and forgotten.

    Example: symfed releases --home north
    """
    with opened(home) as node:
        ledger = node.releases_
    entries = [{**asdict(release), "at": as_time(release.at)} for release in ledger]
    answer({"releases": entries}, "\n".join(map(str, ledger)) or "Nothing was released.", as_json=as_json)


def digest(home: Home, as_json: AsJson = False) -> None:
    """Print the digest of all that the members have learned: nodes with equal digests hold the same, to the last bit.

    Example: symfed digest --home north
    """
    with opened(home) as node:
        merged = node.psr_
        own = node.local_psr_.digest if _has_learned(node) else None
    answer({"digest": merged.digest, "rows": merged.n_rows, "local_digest": own}, merged.digest, as_json=as_json)


def _has_learned(node: FederatedPSR) -> bool:
    with contextlib.suppress(NothingLearnedError):
        return node.local_psr_ is not None
    return False


# -- pulsing on and on -----------------------------------------------------------------------------------------------


def _pulse_on(home: Path, seconds: float | None, guard: Guard | str | None) -> None:
    """Pulse until a signal says to stop, which is heeded between two pulses."""
    with _stopped_by_signals() as stop:
        failures, told = 0, ""
        node: FederatedPSR | None = node_of(home, guard=guard)
        is_wanted(home)  # a note that somebody who was killed has left
        try:
            while not stop.is_set():
                try:
                    node = node or node_of(home, patience=0.0, note=False, guard=guard)
                    report = node.pulse()
                    state = f"{report.status}, {report.converged}"
                    if report.sent or report.received or state != told:
                        _tell(report)
                    failures, told = 0, state
                    interval = seconds or parse_schedule(node.status().schedule or "30s")
                except (TransportError, StoreError) as error:
                    if not isinstance(error, HomeInUseError):
                        failures += 1
                        _tell(error)
                    if node is not None and isinstance(error, StoreError):
                        node.close()  # a home that was put back is another one
                        node = None
                    interval = (seconds or 30.0) * min(2**failures, 32) if failures else _ASIDE
                node = _idle(home, node, interval, stop)
        finally:
            if node is not None:
                node.close()
    say("Stopped.")


def _idle(home: Path, node: FederatedPSR | None, seconds: float, stop: threading.Event) -> FederatedPSR | None:
    """Wait for the next pulse; return the node, or None if somebody asked for its home."""
    ends = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < ends:
        if node is not None and is_wanted(home):
            node.close()
            node = None
            stop.wait(_ASIDE)
        stop.wait(min(_TICK, max(0.0, ends - time.monotonic())))
    return node


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    stop = threading.Event()
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(kind, lambda *_: stop.set()) for kind in kinds]
    try:
        yield stop
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _tell(what: PulseReport | SymfedError) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    say(f"{now} {what if isinstance(what, PulseReport) else f'failed: {what}'}")

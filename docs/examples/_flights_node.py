"""One airport of the demo, a process of its own: learns its flights month by month, pulses, and fits.

It tells what it does in lines of JSON on standard output, and is told to ``begin``, ``settle`` and ``fit`` by lines on
standard input.  No row leaves it: what it tells are counts and digests, what it publishes are statistics.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

from _flights_common import AIRPORTS, CLASSES, COLUMNS, FOUNDER, MODELS, read_flights

from sklearn_symfed import FederatedPSR, PulseReport, Schema, fitted_digests

# Each airport keeps its table in another order of columns; the founder's is the federation's.
ORDERS = {"EWR": COLUMNS, "JFK": COLUMNS[::-1], "LGA": sorted(COLUMNS)}
PATIENCE = 300  # seconds without a command: whoever started this process is gone
REST = 0.05  # seconds between pulses when there is nothing to learn


def run_node(airport: str, folder: Path, *, months: int, pause: float, withhold: bool, unguarded: bool) -> int:
    """Be one airport until told to fit.

    `withhold` leaves out one row, which the demo has to find out; `unguarded` founds a federation without a guard.
    """
    commands = listen()
    flights = read_flights([airport], months)
    rows = flights.rows.drop(columns="origin")[ORDERS[airport]]
    if withhold:
        rows = rows.drop(index=rows.index[len(rows) // 2])
    tell("rows", total=flights.total, dropped=flights.dropped)
    invite_and_code = expect("begin", commands)

    node = FederatedPSR(home=folder / airport, classes=CLASSES)
    resumed = node.is_member
    if not resumed:
        become_a_member(node, airport, folder, invite_and_code, "off" if unguarded else None)
    pulse(node)
    tell("member", resumed=resumed, rows=rows_held(node), fingerprint=node.fingerprint_)

    for month, batch in rows.groupby("month"):
        before, started = rows_held(node), time.perf_counter()
        node.partial_fit(batch, batch_id=f"2013-{month:02d}")
        seconds = time.perf_counter() - started
        known = rows_held(node) == before
        tell("batch", month=month, rows=rows_held(node), known=known, seconds=seconds)
        if not known:
            pulse(node)
            time.sleep(pause)

    tell("learned", rows=rows_held(node))
    pulse_until("settle", node, commands)
    tell("settling")
    pulse_until("fit", node, commands)

    psr = node.psr_
    tell("psr", local=node.local_psr_.digest, merged=psr.digest, rows=psr.n_rows, size=len(psr.to_bytes()))
    for model in MODELS:
        tell("model", name=model.name, digests=fitted_digests(model.fit_statistics(psr)))
    node.close()
    tell("done")
    return 0


def become_a_member(
    node: FederatedPSR, airport: str, folder: Path, invite_and_code: list[str], guard: str | None
) -> None:
    """Found the federation and tell of an invite for each of the others; or join by the invite that was handed over."""
    if airport != FOUNDER:
        node.join(*invite_and_code, wait=PATIENCE)
        return
    url = (folder / "federation").as_uri().replace("file:", "dir:", 1)
    schema = Schema([name for name in COLUMNS if name != CLASSES], classes=CLASSES)
    node.create_federation(
        "flights",
        url,
        schema=schema,
        guard=guard,
        on_recovery_key=lambda _: None,  # a demo recovers nothing
    )
    for other in AIRPORTS:
        if other != FOUNDER:
            invite, code = node.invite(other)
            tell("invite", member=other, invite=invite, code=code)


def rows_held(node: FederatedPSR) -> int:
    """Return how many rows this node has learned."""
    status = node.status()
    return next(member.rows for member in status.members if member.name == status.member)


def pulse(node: FederatedPSR) -> PulseReport:
    """Pulse once, and tell what went over the wire."""
    report = node.pulse()
    whole = report.converged and len(node.peers_) == len(AIRPORTS) - 1
    tell(
        "pulse",
        status=report.status,
        version=report.version,
        sent=report.sent,
        received=report.received,
        bytes_sent=report.bytes_sent,
        bytes_received=report.bytes_received,
        refused=report.refused,
        converged=whole,
    )
    return report


def pulse_until(command: str, node: FederatedPSR, commands: queue.Queue[str]) -> None:
    """Pulse on and on, as a node in a background does, until told otherwise."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        pulse(node)
        try:
            got = commands.get(timeout=REST)
        except queue.Empty:
            continue
        if got.split()[0] == command:
            return
        sys.exit(f"Got the command {got!r}, but expected {command!r}.")
    sys.exit(f"Nobody said {command!r} for {PATIENCE} seconds.")


def listen() -> queue.Queue[str]:
    """Collect commands; if their sender is gone, so is this process."""
    commands: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with open(0, "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                commands.put(line.decode().strip())
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return commands


def expect(command: str, commands: queue.Queue[str]) -> list[str]:
    """Wait for a command; return what it says besides."""
    got, *rest = commands.get(timeout=PATIENCE).split()
    if got != command:
        sys.exit(f"Got the command {got!r}, but expected {command!r}.")
    return rest


def tell(event: str, **facts: Any) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()

"""How long it takes until all members hold the same, and how many bytes that is, over each carrier that is installed.

    python benchmarks/bench_carriers.py

Members have homes on disk and pulse in turn, in one process; servers run on this machine.  The clock starts once all of
them have learned, and stops when each knows that all hold the same.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _harness import ROOT, Options, Table, has, limited, significant

sys.path.append(str(ROOT))

from sklearn_symfed import PSR
from sklearn_symfed.federation import Federation, Store
from tests.servers import aws, azure, azurite, moto, servicebus
from tests.servers._server import Carrier
from tests.servers.nats import PASSWORD, USER, NatsServer, program

MEMBERS, WIDTHS = (3, 10), (30, 300)
N_ROWS, ROUNDS = 64, 5


@contextlib.contextmanager
def in_folder(folder: Path) -> Iterator[Carrier]:
    yield Carrier((folder / "share").as_uri().replace("file", "dir", 1))


@contextlib.contextmanager
def at_nats(folder: Path) -> Iterator[Carrier]:
    server = NatsServer(folder, f"authorization {{ users: [ {{ user: {USER}, password: {PASSWORD} }} ] }}")
    server.start()
    try:
        yield Carrier(server.url(uuid.uuid4().hex), {"NATS_USER": USER, "NATS_PASSWORD": PASSWORD})
    finally:
        server.stop()


@contextlib.contextmanager
def at_moto(folder: Path) -> Iterator[Carrier]:
    server = moto.MotoServer(folder)
    server.start()
    try:
        yield Carrier(aws.new_url(), aws.variables_of(server.port))
    finally:
        server.stop()


@contextlib.contextmanager
def at_broker(folder: Path) -> Iterator[Carrier]:
    with contextlib.ExitStack() as servers:
        bus, blob = servicebus.ServiceBusServer(folder), azurite.AzuriteServer(folder)
        for server in (bus, blob):
            server.start()
            servers.callback(server.stop)
        yield Carrier(azure.new_url(bus.port), azure.variables_of(bus, blob))


def _has_azure() -> bool:
    return has("azure") and has("azure.servicebus") and has("azure.storage.blob") and has("azure.identity")


CARRIERS = {
    "dir": (in_folder, lambda: True),
    "nats": (at_nats, lambda: has("nats") and program() is not None),
    "aws (moto)": (at_moto, lambda: has("boto3") and moto.program() is not None),
    "azure (tests' broker)": (at_broker, lambda: has("proton") and _has_azure() and azurite.program() is not None),
}
"""By scheme: what starts one, and whether it is installed."""


@contextlib.contextmanager
def federation(folder: Path, url: str, n_members: int, schema: object) -> Iterator[list[Federation]]:
    """Yield members that know one another and have learned nothing."""
    stores = [Store.open(folder / f"home-{number}") for number in range(n_members)]
    keys = {"schema": schema, "guard": "off", "on_recovery_key": lambda _: None}
    nodes = [Federation.create(stores[0], "f", url, "m0", **keys)]
    try:
        for number, store in enumerate(stores[1:], 1):
            nodes.append(Federation.join(store, *nodes[0].invite(f"m{number}")))
            nodes[0].pulse()
        converge(nodes)
        yield nodes
    finally:
        for node, store in zip(nodes, stores, strict=False):
            node.close()
            store.close()


def converge(nodes: list[Federation]) -> tuple[int, int, int, int]:
    """Pulse in turn until all know that all hold the same; return rounds, messages, and bytes sent and received."""
    messages = sent = received = 0
    for n_rounds in itertools.count(1):
        reports = [node.pulse() for node in nodes]
        messages += sum(report.sent for report in reports)
        sent += sum(report.bytes_sent for report in reports)
        received += sum(report.bytes_received for report in reports)
        if all(node.converged for node in nodes):
            return n_rounds, messages, sent, received
    raise AssertionError


def measured(carrier: Carrier, folder: Path, n_members: int, d: int, rounds: int) -> list[float]:
    """Return median seconds, and the figures of `converge`, of rounds in which all learn and then pulse."""
    rng = np.random.default_rng(0)
    batches = [[PSR.from_rows(rng.normal(size=(N_ROWS, d))) for _ in range(n_members)] for _ in range(rounds)]
    found = []
    with federation(folder, carrier.url, n_members, batches[0][0].schema) as nodes:
        for batch in batches:
            for node, psr in zip(nodes, batch, strict=True):
                node.learn(psr)
            begin = time.perf_counter()
            counted = converge(nodes)
            found.append((time.perf_counter() - begin, *counted))
        assert len({node.merged.digest for node in nodes}) == 1
    return [statistics.median(column) for column in zip(*found, strict=True)]


def convergence(options: Options) -> Table:
    table = Table(
        f"From the last learn to convergence: {N_ROWS} rows of d float64 columns at each member",
        ["carrier", "members", "d", "seconds", "rounds", "messages", "MB sent", "MB received"],
        note="Members pulse in turn, in one process, with homes on disk; a broadcast counts once as sent, and as often "
        "as it has readers as received.  Servers run on this machine, so no network is in these figures; in place of "
        "AWS that is an emulator, moto, whose empty inboxes are not watched; in place of Azure it is the broker of the "
        "tests, with azurite, and most of the seconds are those for which the SDK looks at its sockets.",
    )
    for scheme, (start, is_installed) in CARRIERS.items():
        if not is_installed():
            continue
        for n_members, d in [(2, 2)] if options.tiny else itertools.product(MEMBERS, WIDTHS):
            with tempfile.TemporaryDirectory() as name, start(Path(name)) as carrier:
                before = {key: os.environ.get(key) for key in carrier.variables}
                os.environ.update(carrier.variables)
                try:
                    rounds = min(options.rounds, ROUNDS)
                    seconds, *counts, sent, received = measured(carrier, Path(name), n_members, d, rounds)
                finally:
                    for key, value in before.items():
                        os.environ.pop(key) if value is None else os.environ.update({key: value})
            megabytes = [significant(each / 1e6) for each in (sent, received)]
            table.rows.append([scheme, n_members, d, significant(seconds), *map(int, counts), *megabytes])
    return table


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    with limited(1):
        options.finish("carriers", [convergence(options)])


if __name__ == "__main__":
    main()

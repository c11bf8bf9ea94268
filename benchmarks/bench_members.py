"""What a pulse of a member costs where there are many: milliseconds, messages and bytes, by the rules alone.

    python benchmarks/bench_members.py

Members join, all of them learn, and all pulse in turn until nobody has anything to say.  Carriers and disks are left
out: what is timed is reading, checking, joining, sealing and signing of messages, all members in one process.
"""

from __future__ import annotations

import time

import numpy as np
from _harness import Options, Table, limited, significant

from sklearn_symfed import PSR
from sklearn_symfed.testing import Simulation

MEMBERS = (10, 30, 100)
N_COLUMNS, N_ROWS = 10, 64


def federation(n_members: int, psrs: list[PSR]) -> Simulation:
    """Return members that know one another and have learned nothing."""
    net = Simulation("m0", schema=psrs[0].schema)
    for number in range(1, n_members):
        net.join(net.invite(f"m{number}"))
    net.settle()
    return net


def counted(net: Simulation) -> tuple[float, int, int]:
    """Have every member pulse once; return seconds of the processor, messages and bytes."""
    n_messages, n_bytes, begin = net.n_messages, net.n_bytes, time.process_time()
    net.round()
    return time.process_time() - begin, net.n_messages - n_messages, net.n_bytes - n_bytes


def rounds_of(net: Simulation, psrs: list[PSR]) -> list[tuple[float, int, int]]:
    """Have all members learn; return what each round costs, up to the first in which nobody sends anything."""
    for name, psr in zip(net.nodes, psrs, strict=True):
        net.learn(name, psr)
    rounds = [counted(net)]
    while rounds[-1][1]:
        rounds.append(counted(net))
    rounds.append(counted(net))
    assert all(node.peers.converged for node in net.nodes.values())
    return rounds


def pulses(options: Options) -> Table:
    table = Table(
        f"A pulse after all have learned {N_ROWS} rows of {N_COLUMNS} columns, one thread",
        ["members", "round", "ms a pulse", "messages sent", "bytes sent", "bytes received"],
        note="Each member pulses once a round; figures are means over the members, times are the processor's.  In the "
        "first round all publish, in the second they confirm what they hold, in the third they read that; from then on "
        "nobody says anything.",
    )
    rng = np.random.default_rng(0)
    for n in (2, 3) if options.tiny else MEMBERS:
        psrs = [PSR.from_rows(rng.normal(size=(N_ROWS, N_COLUMNS))) for _ in range(n)]
        for number, (seconds, messages, n_bytes) in enumerate(rounds_of(federation(n, psrs), psrs), 1):
            sent, received = round(n_bytes / n), round(n_bytes * (n - 1) / n)
            table.rows.append([n, number, significant(1000 * seconds / n), significant(messages / n), sent, received])
    return table


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    with limited(1):
        options.finish("members", [pulses(options)])


if __name__ == "__main__":
    main()

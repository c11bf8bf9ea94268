"""How long adding two statistics takes, beside adding two float64 Gram matrices; and replacing one peer's among many.

python benchmarks/bench_merge.py
"""

from __future__ import annotations

import numpy as np
from _harness import Options, Table, in_turns, limited, ratio, significant
from bench_learn import columns

from sklearn_symfed import PSR
from sklearn_symfed.federation._claims import Claim
from sklearn_symfed.federation._peers import Peers, Slot
from sklearn_symfed.testing import Simulation

GOAL_ADD = 4.0
GOAL_REPLACE = 1.15  # one peer of a thousand may cost this much more than one of ten: nothing but noise
SIZES = (10, 30, 100, 300)
PEERS = 100
SHORT = 25  # times as many rounds: one sum takes microseconds, and short rounds meet less of what else goes on
MEMBERS = (10, 100, 1000)


def augmented(x: np.ndarray) -> np.ndarray:
    x = np.column_stack([np.ones(len(x)), x])
    return x.T @ x


def again(first, second, times: int) -> None:
    """Add two things many times, and let go of each sum."""
    for _ in range(times):
        first + second


def adding(options: Options) -> Table:
    """Compare `+` of two PSRs of different rows with `+` of two float64 matrices; many times in each round."""
    table = Table(
        "Merging: PSR + PSR / float64 Gram + float64 Gram, one thread",
        ["columns", "d", "PSR, µs", "float64, µs", "ratio / goal"],
    )
    for kind in ("float64", "integers"):
        for d in (3,) if options.tiny else SIZES:
            halves = np.split(columns(kind, (2048, d)), 2)
            a, b = (PSR.from_rows(half) for half in halves)
            p, q = (augmented(half) for half in halves)
            repeats = 1 if options.tiny else max(5, 2_000 // d)
            timed = in_turns(
                {
                    "ours": lambda a=a, b=b, n=repeats: again(a, b, n),
                    "float64": lambda p=p, q=q, n=repeats: again(p, q, n),
                },
                1 if options.tiny else SHORT * options.rounds,
            )
            micro = [significant(1e6 * sorted(each)[len(each) // 2] / repeats) for each in timed.values()]
            table.rows.append([kind, d, *micro, ratio(*timed.values(), GOAL_ADD)])
    return table


def adding_up(options: Options) -> Table:
    """Add up what peers have learned and take the digest of the sum: carries that waited are made then."""
    table = Table(
        f"Adding up the PSRs of {PEERS} peers, digest of the sum included / {PEERS} float64 Gram matrices, one thread",
        ["columns", "d", "PSRs, µs", "float64, µs", "ratio"],
    )
    for kind in ("float64", "integers"):
        for d in (3,) if options.tiny else SIZES:
            parts = np.split(columns(kind, (32 * PEERS, d)), PEERS)
            psrs, grams = [PSR.from_rows(part) for part in parts], [augmented(part) for part in parts]
            timed = in_turns(
                {"ours": lambda psrs=psrs: sum(psrs).digest, "float64": lambda grams=grams: sum(grams)},
                1 if options.tiny else SHORT * options.rounds,
            )
            micro = [significant(1e6 * sorted(each)[len(each) // 2]) for each in timed.values()]
            table.rows.append([kind, d, *micro, ratio(*timed.values())])
    return table


def slot_of(version: int, psr: PSR) -> Slot:
    """Return a slot with a claim that nobody looks at: signatures are checked before slots are replaced."""
    return Slot(Claim(1, version, psr.digest, "", (), bytes(64)), psr)


def node_among(n_members: int, psrs: list[PSR]) -> Peers:
    """Return one node's side of a federation that holds statistics of all other members."""
    peers = Simulation("me", schema=psrs[0].schema).nodes["me"].peers
    for number in range(n_members - 1):
        psr = psrs[number % len(psrs)]
        peers._replace(f"peer-{number}", slot_of(1, psr))
    return peers


def replacing(options: Options) -> Table:
    """Time how one peer's statistics are replaced by its newer ones, whatever the number of members."""
    table = Table(
        "Replacing one peer's statistics, d = 30, one thread",
        ["members", "µs", "ratio to the fewest / goal"],
    )
    x = columns("float64", (4096, 30))
    psrs = [PSR.from_rows(part) for part in np.split(x, 16)]
    slots = [slot_of(version, psr) for version, psr in enumerate(psrs[:2], 2)]
    repeats = 1 if options.tiny else 20
    nodes = {n: node_among(n, psrs) for n in ((2, 4) if options.tiny else MEMBERS)}
    sides = {
        str(n): lambda node=node: [node._replace("peer-0", slots[turn % 2]) for turn in range(repeats)]
        for n, node in nodes.items()
    }
    timed = in_turns(sides, 1 if options.tiny else SHORT * options.rounds)
    fewest = next(iter(timed.values()))
    for n, each in timed.items():
        micro = significant(1e6 * sorted(each)[len(each) // 2] / repeats)
        table.rows.append([int(n), micro, ratio(each, fewest, GOAL_REPLACE)])
    return table


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    with limited(1):
        options.finish("merge", [adding(options), adding_up(options), replacing(options)])


if __name__ == "__main__":
    main()

"""How cost grows with rows, columns, classes and peers, beside what else one would do: the lines of the plots.

    python benchmarks/bench_scaling.py

One thread, general float64 columns.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

import numpy as np
from _harness import Options, Plot, Side, Table, in_turns, limited, significant
from bench_learn import by_chunks, data_of, plain
from bench_merge import node_among, slot_of
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from sklearn_symfed import PSR

ROUNDS = 5
N_COLUMNS, N_ROWS = 30, 32_768
ROWS = (1_000, 10_000, 100_000, 1_000_000)
COLUMNS = (3, 10, 30, 100, 300)
CLASSES = (2, 10, 100, 1000)
PEERS = (10, 30, 100, 300, 1000)


def without_classes(n_rows: int, d: int) -> dict[str, Side]:
    data = data_of("float64", d, n_rows, None)
    return {
        "PSR": data.learn,
        "plain float64 XᵀX": lambda: plain(data),
        "Ridge.fit": lambda: Ridge().fit(data.x, data.y),
        "IncrementalPCA.partial_fit": lambda: by_chunks(IncrementalPCA(), data),
    }


def with_classes(n_rows: int, n_classes: int) -> dict[str, Side]:
    data = data_of("float64", N_COLUMNS, n_rows, None)
    labels = np.random.default_rng(1).integers(0, n_classes, n_rows)
    labels[:n_classes] = np.arange(n_classes)
    every = np.arange(n_classes)
    return {
        "PSR": lambda: data.learn(labels, classes=True),
        "PSR without classes": data.learn,
        "GaussianNB.partial_fit": lambda: by_chunks(GaussianNB(), data, labels, classes=every),
    }


def among_peers(n_members: int, repeats: int) -> dict[str, Side]:
    x = data_of("float64", N_COLUMNS, 4096, None).x
    psrs = [PSR.from_rows(part) for part in np.split(x, 16)]
    slots = [slot_of(version, psr) for version, psr in enumerate(psrs[:2], 2)]
    node = node_among(n_members, psrs)
    held = [psrs[number % 16] for number in range(n_members)]
    grams = [part.T @ part for part in np.split(x, 16)]
    return {
        "replace one peer's PSR": lambda: [node._replace("peer-0", slots[turn % 2]) for turn in range(repeats)],
        "add all PSRs anew": lambda: sum(held[1:], held[0]),
        "add all float64 Gram matrices anew": lambda: sum(grams[number % 16] for number in range(n_members)),
    }


def line(
    plot: Plot, sizes: Iterable[int], sides: Callable[[int], dict[str, Side]], rounds: int, per: dict[str, int]
) -> Plot:
    """Fill a plot: the median seconds of each side at each size."""
    for size in sizes:
        for name, each in in_turns(sides(size), rounds).items():
            took = significant(statistics.median(each) / per.get(name, 1))
            plot.lines.setdefault(name, []).append((size, took))
    return plot


def plots(options: Options) -> list[Plot]:
    tiny, rounds = options.tiny, min(options.rounds, ROUNDS)
    n_rows, repeats = (64, 1) if tiny else (N_ROWS, 50)
    of = f"{n_rows:,} rows"
    return [
        line(
            Plot("rows", f"Learning rows, d = {N_COLUMNS}", "rows", "seconds"),
            (16, 64) if tiny else ROWS,
            lambda n: without_classes(n, N_COLUMNS),
            rounds,
            {},
        ),
        line(
            Plot("columns", f"Learning {of}", "columns", "seconds"),
            (2, 3) if tiny else COLUMNS,
            lambda d: without_classes(n_rows, d),
            rounds,
            {},
        ),
        line(
            Plot("classes", f"Learning {of} by class, d = {N_COLUMNS}", "classes", "seconds"),
            (2, 3) if tiny else CLASSES,
            lambda n: with_classes(n_rows, n),
            rounds,
            {},
        ),
        line(
            Plot("peers", f"One peer of many has news, d = {N_COLUMNS}", "members", "seconds"),
            (2, 4) if tiny else PEERS,
            lambda n: among_peers(n, repeats),
            rounds,
            {"replace one peer's PSR": repeats},
        ),
    ]


def as_table(plot: Plot) -> Table:
    sizes = sorted({x for points in plot.lines.values() for x, _ in points})
    lines = {name: dict(points) for name, points in plot.lines.items()}
    rows = [[size, *(points.get(size) for points in lines.values())] for size in sizes]
    return Table(f"{plot.title}: seconds, one thread", [plot.x, *lines], rows)


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    with limited(1):
        found = plots(options)
    options.finish("scaling", [as_table(plot) for plot in found], found)


if __name__ == "__main__":
    main()

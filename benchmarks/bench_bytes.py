"""How many bytes stand for rows, beside the 8 (d + 1)² bytes of a float64 Gram matrix of [1, X].

python benchmarks/bench_bytes.py
"""

from __future__ import annotations

import zlib

from _harness import Cell, Options, Table, significant
from bench_learn import KINDS, data_of, learnable

SIZES = (10, 30, 100, 300)
N_ROWS = 32_768
GOALS = {"integers": (0.5, 0.25), "int64": (0.5, 0.25), "money, decimals": (0.5, None), "float64": (1.5, None)}


def share(size: int, gram: int, goal: float | None) -> Cell:
    return {"ratio": significant(size / gram)} | ({} if goal is None else {"goal": goal})


def sizes(options: Options) -> Table:
    table = Table(
        "Bytes: canonical bytes / 8 (d + 1)² bytes of the float64 Gram matrix of [1, X]",
        ["columns", "d", "rows", "bytes", "ratio / goal", "after zlib, ratio / goal"],
        note=(
            "Names of columns and the diagonal come on top of half a matrix, which shows where d is small. Sums of "
            "products of these integers have 26 random bits each: no code could bring them below 0.2."
        ),
    )
    for kind in filter(learnable, KINDS):
        goal, packed_goal = GOALS.get(kind, (None, None))
        for d in (3,) if options.tiny else SIZES:
            n_rows = 64 if options.tiny else N_ROWS
            canonical = data_of(kind, d, n_rows, None).learn().to_bytes()
            packed, gram = len(zlib.compress(canonical, 6)), 8 * (d + 1) ** 2
            row = [share(len(canonical), gram, goal), share(packed, gram, packed_goal)]
            table.rows.append([kind, d, n_rows, len(canonical), *row])
    return table


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    options.finish("bytes", [sizes(options)])


if __name__ == "__main__":
    main()

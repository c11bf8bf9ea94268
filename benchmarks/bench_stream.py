"""How long learning row by row takes: beside learning the same rows at once, and beside others that learn row by row.

    python benchmarks/bench_stream.py

The statistics are asked for once, after the last row.
"""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from _harness import Options, Side, Table, has, in_turns, limited, ratio, seconds, significant
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import StandardScaler

from sklearn_symfed import PSR, FederatedPSR

SIZES = (10, 30, 100)
N_ROWS = 16_384
SLOW = 16  # the others get one row of as many: they take as long for each row, whatever the number of rows
GOAL = 3.0
STREAMING = ("rows of a generator", "rows", "batches of 100 rows")


def streamed(x: np.ndarray, size: int) -> PSR:
    node = FederatedPSR()
    for start, stop in pairwise([*range(0, len(x), size), len(x)]):
        node.partial_fit(x[start:stop])
    return node.psr_


def affordable(d: int) -> int:
    """Return how many rows can be learned one by one in a second or so."""
    few = np.random.default_rng(0).normal(size=(256, d))
    return int(np.clip(256 / seconds(lambda: streamed(few, 1)), 512, N_ROWS))


def others(x: np.ndarray, y: np.ndarray) -> dict[str, Side]:
    """Return what learns the same rows one by one; their time counts for fewer rows."""

    def scaler() -> None:
        estimator = StandardScaler()
        for row in x:
            estimator.partial_fit(row[None])

    def descent() -> None:
        estimator = SGDRegressor(learning_rate="constant", eta0=1e-4)
        for row, target in zip(x, y, strict=True):
            estimator.partial_fit(row[None], [target])

    sides: dict[str, Side] = {"StandardScaler.partial_fit": scaler, "SGDRegressor.partial_fit": descent}
    if has("river"):
        from river import covariance, linear_model, preprocessing

        names = [f"x{i}" for i in range(x.shape[1])]
        dicts = [dict(zip(names, row, strict=True)) for row in x.tolist()]  # river's own form of a row

        def learn_one(estimator: object) -> None:
            for row in dicts:
                estimator.learn_one(row)

        def regress(estimator: object) -> None:
            for row, target in zip(dicts, y.tolist(), strict=True):
                estimator.learn_one(row, target)

        def update(estimator: object) -> None:
            for row in dicts:
                estimator.update(row)

        sides["river StandardScaler"] = lambda: learn_one(preprocessing.StandardScaler())
        sides["river LinearRegression"] = lambda: regress(linear_model.LinearRegression())
        if len(names) <= 30:  # all pairs of columns, one by one, in Python
            sides["river EmpiricalCovariance"] = lambda: update(covariance.EmpiricalCovariance())
    return sides


def streaming(options: Options) -> tuple[Table, Table]:
    batch = Table(
        "Streaming: time row by row / time at once, one thread",
        ["d", "what comes", "µs a row", "µs a row at once", "ratio / goal"],
        note="Rows and batches are passed to partial_fit one by one: a call of Python for each.",
    )
    beside = Table(
        "Row by row beside others: our time a row / theirs, one thread",
        ["d", "other", "their µs a row", "ratio"],
        note="Only EmpiricalCovariance keeps all products, as a PSR does; the others keep d numbers.",
    )
    rng = np.random.default_rng(0)
    for d in (3,) if options.tiny else SIZES:
        n_rows = 64 if options.tiny else affordable(d)
        x, y = rng.normal(size=(n_rows, d)), rng.normal(size=n_rows)
        few = n_rows // SLOW
        sides = {
            "at once": lambda x=x: PSR.from_rows(x),
            "rows of a generator": lambda x=x: PSR.from_rows(iter(x)),
            "rows": lambda x=x: streamed(x, 1),
            "batches of 100 rows": lambda x=x: streamed(x, 100),
        }
        assert sides["rows"]() == sides["at once"]()
        timed = in_turns(sides, options.rounds)
        micro = {name: [1e6 * second / n_rows for second in each] for name, each in timed.items()}
        middle = {name: significant(sorted(each)[len(each) // 2]) for name, each in micro.items()}
        for name in STREAMING:
            row = [middle[name], middle["at once"], ratio(micro[name], micro["at once"], GOAL)]
            batch.rows.append([d, name, *row])
        for name, side in others(x[:few], y[:few]).items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pair = in_turns({"ours": sides["rows"], "theirs": side}, min(options.rounds, 5))
            ours = [1e6 * second / n_rows for second in pair["ours"]]
            other = [1e6 * second / few for second in pair["theirs"]]
            beside.rows.append([d, name, significant(sorted(other)[len(other) // 2]), ratio(ours, other)])
    return batch, beside


def main(arguments: list[str] | None = None) -> None:
    options = Options.read(__doc__, arguments)
    with limited(1):
        options.finish("stream", streaming(options))


if __name__ == "__main__":
    main()

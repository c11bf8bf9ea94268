"""How long learning real columns takes: taxi trips, with money declared as decimals, beside what others do with them.

    python benchmarks/bench_real.py --trips FILE        or SYMFED_TRIPS=FILE

FILE is a Parquet file of New York's Taxi and Limousine Commission, any month of yellow cabs or several.  Rows with
missing values are left out.  Both sides start at the same DataFrame, or at the same float64 array.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from _harness import Cell, Options, Side, Table, has, in_turns, limited, ratio, significant
from bench_learn import CHUNK, DECIMALS
from sklearn.linear_model import LinearRegression, Ridge

from sklearn_symfed import PSR

CENTS = (
    "fare_amount",
    "extra",
    "mta_tax",
    "tip_amount",
    "tolls_amount",
    "improvement_surcharge",
    "congestion_surcharge",
    "total_amount",
)
TARGET = "total_amount"
GOALS = {"XtX": 1.6, "Ridge": 1.0, "LinearRegression": 1.0}


def trips(file: Path):
    """Return the numeric columns of all rows without missing values, the target last."""
    import pyarrow.parquet as pq

    frame = pq.read_table(file).to_pandas().select_dtypes("number").dropna().reset_index(drop=True)
    return frame[[*(name for name in frame.columns if name != TARGET), TARGET]]


def made_up(n_rows: int):
    """Return a few rows of the same names, to see that all runs where there is no file."""
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: np.rint(rng.lognormal(2, 1, n_rows) * 100) / 100 for name in CENTS})
    return frame.assign(passengers=rng.integers(1, 6, n_rows))[["passengers", *CENTS]]


def plain(values: np.ndarray) -> np.ndarray:
    total = np.zeros((values.shape[1],) * 2)
    for start in range(0, len(values), CHUNK):
        some = values[start : start + CHUNK]
        total += some.T @ some
    return total


def pairs(frame, form: str, n_jobs: int | None) -> dict[str, tuple[Side, Side]]:
    """Return what is compared: our side, which learns all columns, and theirs, on the same rows in the same form."""
    n_features = frame.shape[1] - 1
    array = frame.to_numpy(np.float64)
    X, y = (frame.iloc[:, :n_features], frame[TARGET]) if form == "DataFrame" else (array[:, :n_features], array[:, -1])
    rows = frame if form == "DataFrame" else array
    names = list(frame.columns) if form == "DataFrame" else [f"x{i}" for i in range(n_features + 1)]
    cents = {name: 2 for name, column in zip(names, frame.columns, strict=True) if column in CENTS}

    def ours() -> PSR:
        return PSR.from_rows(rows, n_jobs=n_jobs, **({"decimals": cents} if DECIMALS else {}))

    out: dict[str, tuple[Side, Side]] = {
        "XtX": (ours, lambda: plain(rows if form == "array" else rows.to_numpy(np.float64))),
        "Ridge": (ours, lambda: Ridge().fit(X, y)),
        "LinearRegression": (ours, lambda: LinearRegression().fit(X, y)),
    }
    if DECIMALS:
        out["ours, no decimals"] = (ours, lambda: PSR.from_rows(rows, n_jobs=n_jobs))
    if has("sklearnex"):
        from sklearnex.linear_model import IncrementalLinearRegression

        def incremental() -> None:
            estimator = IncrementalLinearRegression()
            for start in range(0, len(X), CHUNK):
                estimator.partial_fit(X[start : start + CHUNK], y[start : start + CHUNK])

        out["intelex LinearRegression"] = (ours, incremental)
    return out


def measured(frame, options: Options, threads: int) -> Table:
    table = Table(
        f"Learning {len(frame):,} taxi trips x {frame.shape[1]}, threads: {threads}",
        ["rows as", "Mrow/s", *GOALS, *(["ours, no decimals"] if DECIMALS else []), "intelex LinearRegression"],
        note="Our time / theirs, below 1 is faster." + (" Money is declared to have two decimals." if DECIMALS else ""),
    )
    for form in ("DataFrame", "array"):
        found: dict[str, Cell] = {}
        for name, (ours, theirs) in pairs(frame, form, None if threads == 1 else threads).items():
            timed = in_turns({"ours": ours, "theirs": theirs}, options.rounds)
            found.setdefault("Mrow/s", significant(len(frame) / sorted(timed["ours"])[options.rounds // 2] / 1e6))
            found[name] = ratio(timed["ours"], timed["theirs"], GOALS.get(name))
        table.rows.append([form, *(found.get(name) for name in table.columns[1:])])
    return table


def main(arguments: list[str] | None = None) -> None:
    parser = Options.parser(__doc__)
    parser.add_argument("--trips", type=Path, default=os.environ.get("SYMFED_TRIPS"), help="a Parquet file of trips")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="limits of threads, on both sides")
    found = parser.parse_args(arguments)
    options = Options.of(found)
    if not has("pandas") or not has("pyarrow"):
        print("\nReal columns need pandas and pyarrow: skipped.")
    elif not options.tiny and not (found.trips and Path(found.trips).is_file()):
        print("\nReal columns need a file (--trips FILE or SYMFED_TRIPS=FILE): skipped.")
    else:
        frame = made_up(64) if options.tiny else trips(Path(found.trips))
        tables = []
        for threads in [1] if options.tiny else found.threads:
            with limited(threads):
                tables.append(measured(frame, options, threads))
        options.finish("real", tables)


if __name__ == "__main__":
    main()

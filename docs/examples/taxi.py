"""Federate New York taxi trips: nodes that hold different files fit the models of all trips, equal to the last bit.

    python docs/examples/taxi.py FILE FILE [FILE ...] [--nodes 2] [--rows N] [--url dir:///mnt/share/taxi]

FILE is a csv, csv.gz or parquet of the TLC Trip Record Data, yellow or green, of any year.  The files are dealt to the
nodes in turn.  The exit code is 0 if everything held, 1 if anything did not, 2 if the input cannot be used.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, Ridge

from sklearn_symfed import (
    PSR,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedPCA,
    FederatedPSR,
    FederatedRidge,
    fitted_digests,
)
from sklearn_symfed.exceptions import SymfedError

TARGET, LABEL = "fare_amount", "paid_by"
FEATURES = ["trip_distance", "duration", "passenger_count", "pickup_hour"]
COLUMNS = [*FEATURES, "tip_amount", TARGET, LABEL]
UNITS = {
    "trip_distance": "dollars per mile",
    "duration": "dollars per minute",
    "passenger_count": "dollars per passenger",
    "pickup_hour": "dollars per hour after midnight",
}

# What the TLC has called each column: by service, by year, in any case.
ALIASES = {
    "pickup": ("tpep_pickup_datetime", "lpep_pickup_datetime", "pickup_datetime", "trip_pickup_datetime"),
    "dropoff": ("tpep_dropoff_datetime", "lpep_dropoff_datetime", "dropoff_datetime", "trip_dropoff_datetime"),
    "passenger_count": ("passenger_count",),
    "trip_distance": ("trip_distance",),
    "fare_amount": ("fare_amount", "fare_amt"),
    "tip_amount": ("tip_amount", "tip_amt"),
    "payment": ("payment_type",),
}
PAYMENTS = {
    **dict.fromkeys(("1", "crd", "cre", "credit"), "card"),
    **dict.fromkeys(("2", "csh", "cas", "cash"), "cash"),
}

# A trip is dropped by the first rule that it breaks, and counted there.
RULES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "a value is missing or unreadable": lambda t: t.isna().any(axis=1),
    "paid neither by card nor in cash": lambda t: t[LABEL] == "other",
    "fare zero or negative": lambda t: t["fare_amount"] <= 0,
    "fare above 500 dollars": lambda t: t["fare_amount"] > 500,
    "tip negative": lambda t: t["tip_amount"] < 0,
    "distance zero or negative": lambda t: t["trip_distance"] <= 0,
    "distance above 100 miles": lambda t: t["trip_distance"] > 100,
    "shorter than 1 minute": lambda t: t["duration"] < 1,
    "longer than 180 minutes": lambda t: t["duration"] > 180,
    "passengers not 0 to 9": lambda t: ~t["passenger_count"].between(0, 9),  # 0: the driver entered none
    "pickup outside the file's month": lambda t: (t["pickup"] < t["first"]) | (t["pickup"] >= t["end"]),
}
# scikit-learn computes from the rows, and so rounds otherwise: by up to 5e-12 in our runs.  Leaving out one trip of
# 20,000 moved each model by 3e-7 or more in forty trials.
NEAR = 1e-9
ENOUGH = 30  # trips; fewer do not determine the models


class InputError(Exception):
    """What the user gave cannot be used."""


# -- trips -------------------------------------------------------------------------------------------------------------


def read_trips(path: str | Path, rows: int | None = None) -> pd.DataFrame:
    """Read the columns that we use from a TLC file, under one set of names; `rows` limits how many trips."""
    path = Path(path)
    require_readable(path)
    try:
        raw = (_read_parquet if path.suffix.lower() == ".parquet" else _read_csv)(path, rows)
    except (OSError, EOFError, ValueError) as error:  # pandas' and pyarrow's errors are ValueErrors
        raise InputError(f"Got {path.name}, which cannot be read: {error}") from error
    return _trips(raw, *_month(path.name))


def require_readable(path: Path) -> None:
    """Refuse, before anything is read, what is no file or of no kind that we read."""
    if not path.is_file():
        raise InputError(f"Got {path}, but there is no such file.")
    if not path.name.lower().endswith((".csv", ".csv.gz", ".parquet")):
        raise InputError(f"Got {path.name}, but expected a name that ends with .csv, .csv.gz or .parquet.")


def clean(trips: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Drop what breaks a rule; return the trips that are left, and how many each rule dropped."""
    dropped = {}
    for rule, breaks in RULES.items():
        broken = np.asarray(breaks(trips), dtype=bool)
        dropped[rule] = int(broken.sum())
        trips = trips[~broken]
    return trips.reset_index(drop=True), dropped


def days(trips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split trips into batches, one for each day, with the columns that a node learns."""
    return {str(day): batch[COLUMNS] for day, batch in trips.groupby(trips["pickup"].dt.date)}


def _read_csv(path: Path, rows: int | None) -> pd.DataFrame:
    header = pd.read_csv(path, nrows=0, index_col=False).columns
    columns = _columns(path, header)
    # Some green files have more fields in each row than names: index_col=False keeps names and fields together.
    raw = pd.read_csv(path, usecols=list(columns), nrows=rows, index_col=False, low_memory=False)
    return raw.rename(columns=columns)


def _read_parquet(path: Path, rows: int | None) -> pd.DataFrame:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        columns = _columns(path, file.schema_arrow.names)
        ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
        groups = range(len(ends) if rows is None else min(len(ends), 1 + int(np.searchsorted(ends, rows))))
        table = file.read_row_groups(list(groups), columns=list(columns)).slice(0, rows)
    return table.to_pandas().rename(columns=columns)


def _columns(path: Path, present: Sequence[str]) -> dict[str, str]:
    """Map the file's names of the columns that we use to ours."""
    by_lower_case = {str(name).strip().lower(): name for name in present}
    found, missing = {}, []
    for name, aliases in ALIASES.items():
        alias = next((alias for alias in aliases if alias in by_lower_case), None)
        if alias is None:
            missing.append(" or ".join(aliases))
        else:
            found[by_lower_case[alias]] = name
    if missing:
        raise InputError(
            f"Got {path.name}, which lacks: {'; '.join(missing)}. Expected yellow or green trips of the TLC; "
            f"its columns are {', '.join(map(str, present))}."
        )
    return found


def _trips(raw: pd.DataFrame, first: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """Derive the columns that are learned; what cannot be read becomes a missing value."""
    pickup, dropoff = _times(raw["pickup"]), _times(raw["dropoff"])
    numbers = {
        name: pd.to_numeric(raw[name], errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)
        for name in ("trip_distance", "passenger_count", "tip_amount", "fare_amount")
    }
    code = raw["payment"].astype("string").str.strip().str.lower().str.removesuffix(".0")
    paid_by = code.map(PAYMENTS).astype("object").where(code.isin(list(PAYMENTS)), "other").where(code.notna(), None)
    return pd.DataFrame(
        {
            **numbers,
            "duration": (dropoff - pickup).dt.total_seconds() / 60,
            "pickup_hour": pickup.dt.hour.astype("float64"),
            LABEL: paid_by,
            "pickup": pickup,
            "first": first,
            "end": end,
        }
    )


def _times(column: pd.Series) -> pd.Series:
    """Read 2019-02-07 15:48:06, as the TLC writes it, or 02/07/2019 03:48:06 PM, as the city's portal does."""
    times = pd.to_datetime(column, format="ISO8601", errors="coerce")
    return times.fillna(pd.to_datetime(column, format="%m/%d/%Y %I:%M:%S %p", errors="coerce"))


def _month(name: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the span of plausible pickups: the month in the file's name and a day around it, or 2009 until now."""
    found = re.search(r"(?<!\d)(20\d\d)-(0[1-9]|1[0-2])(?!\d)", name)
    if found is None:
        return pd.Timestamp(2009, 1, 1), pd.Timestamp.now().floor("s") + pd.Timedelta(days=1)
    first, day = pd.Timestamp(int(found[1]), int(found[2]), 1), pd.Timedelta(days=1)
    return first - day, first + pd.offsets.MonthBegin() + day


# -- the federation ----------------------------------------------------------------------------------------------------


def deal(files: Sequence[Path], nodes: int) -> list[list[Path]]:
    """Deal files to nodes in turn."""
    if nodes < 2:
        raise InputError(f"Got --nodes {nodes}, but expected at least 2.")
    if len(files) < nodes:
        raise InputError(f"Got {len(files)} file(s) for {nodes} nodes, but expected at least one file for each.")
    names = [path.name for path in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"Got {', '.join(twice)} more than once, but expected files of different names.")
    return [list(files[number::nodes]) for number in range(nodes)]


def load(files: Sequence[Path], rows: int | None) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Read and clean the files of one node: its trips by file, and how many were read, dropped and kept."""
    kept, counts, left = {}, {"rows read": 0, **dict.fromkeys(RULES, 0)}, rows
    for path in files:
        if left == 0:
            break
        trips = read_trips(path, left)
        counts["rows read"] += len(trips)
        left = None if left is None else left - len(trips)
        kept[path.name], dropped = clean(trips)
        for rule, count in dropped.items():
            counts[rule] += count
    counts["trips kept"] = sum(map(len, kept.values()))
    if not counts["trips kept"]:
        dropped = ", ".join(f"{count:,} {rule}" for rule, count in counts.items() if count)
        raise InputError(f"Got {', '.join(kept)}, of which no trip is left: {dropped}.")
    return kept, counts


def federate(trips: dict[str, dict[str, pd.DataFrame]], folder: Path, url: str, stack: ExitStack) -> list[FederatedPSR]:
    """Found a federation, let each node learn its own trips, and pulse until all hold the same."""
    nodes = {}
    for name, files in trips.items():
        node = FederatedPSR(home=folder / name, classes=LABEL)
        stack.callback(node.close)
        if nodes:
            admin = next(iter(nodes.values()))
            node.join(*admin.invite(name))
            admin.pulse()  # admits the newcomer
            node.pulse()
        else:
            # the city has published these trips, so nothing is held back; in earnest the recovery key is kept, too
            node.create_federation("taxi", url, guard="off", on_recovery_key=lambda _: None)
        nodes[name] = node
        batches = {f"{file} {day}": batch for file, kept in files.items() for day, batch in days(kept).items()}
        for batch_id, batch in batches.items():
            node.partial_fit(batch, batch_id=batch_id)
        print(f"  {name} learned {node.local_psr_.n_rows:,} trips in {len(batches)} batches, one for each day")
    for _ in range(10):
        for name, node in nodes.items():
            print(f"  {name} {node.pulse()}")
        digests = {node.psr_.digest for node in nodes.values()}
        if len(digests) == 1 and all(node.converged_ for node in nodes.values()):
            break
    for name, node in nodes.items():
        print(f"  {name} holds {node.psr_.n_rows:,} trips in {len(node.psr_.to_bytes()):,} bytes, {node.psr_.digest}")
    return list(nodes.values())


def models(X: PSR | pd.DataFrame, rows: pd.DataFrame | None = None) -> dict[str, Any]:
    """Fit all models, from a PSR by the names of its columns, or from rows."""
    fare, label = (TARGET, LABEL) if rows is None else (rows[TARGET], rows[LABEL])
    trip = X.select([*FEATURES, TARGET]) if isinstance(X, PSR) else X[FEATURES]
    numbers = X.drop(LABEL) if isinstance(X, PSR) else X.drop(columns=LABEL)
    return {
        "ridge": FederatedRidge(alpha=1.0).fit(trip, fare),
        "least squares": FederatedLinearRegression().fit(trip, fare),
        "LDA": FederatedLinearDiscriminantAnalysis().fit(X if isinstance(X, PSR) else numbers, label),
        "PCA": FederatedPCA(n_components=3).fit(numbers),
    }


# -- proof -------------------------------------------------------------------------------------------------------------


def distances(central: dict[str, Any], rows: pd.DataFrame) -> dict[str, float]:
    """Return how far scikit-learn's own fit on all rows is: the largest difference, relative to the largest entry."""
    trip, numbers = rows[FEATURES], rows.drop(columns=LABEL)
    plain = {
        "ridge": (Ridge(alpha=1.0).fit(trip, rows[TARGET]), ("coef_", "intercept_")),
        "least squares": (LinearRegression().fit(trip, rows[TARGET]), ("coef_", "intercept_")),
        "LDA": (LinearDiscriminantAnalysis().fit(numbers, rows[LABEL]), ("coef_", "intercept_", "means_")),
        "PCA": (PCA(n_components=3).fit(numbers), ("components_", "explained_variance_", "mean_")),
    }
    return {
        name: max(_relative(getattr(theirs, what), getattr(central[name], what)) for what in attributes)
        for name, (theirs, attributes) in plain.items()
    }


def _relative(theirs: Any, ours: Any) -> float:
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    return float(np.max(np.abs(theirs - ours)) / np.max(np.abs(ours))) if theirs.shape == ours.shape else np.inf


def prove(nodes: list[FederatedPSR], rows: pd.DataFrame) -> dict[str, bool]:
    """Fit on every node and centrally, print what came out, and return what was to hold and whether it did."""
    psr = nodes[0].psr_
    central = models(rows, rows)
    fitted = [models(node.psr_) for node in nodes]
    far = distances(central, rows)
    held = {
        "all nodes hold the same digest": len({node.psr_.digest for node in nodes}) == 1,
        "it is the digest of all rows": psr.digest == PSR.from_rows(rows, classes=LABEL).digest,
    }
    print("\nModel            nodes = central, bit for bit   scikit-learn on all rows differs by")
    for name, model in central.items():
        equal = all(fitted_digests(own[name]) == fitted_digests(model) for own in fitted)
        count = len(fitted_digests(model))
        print(f"  {name:<14} {f'{count} of {count} attributes' if equal else 'NO':<30} {far[name]:.1e}")
        held[f"{name}: every fitted attribute is equal on all nodes and centrally"] = equal
        held[f"{name}: scikit-learn is within {NEAR:.0e}"] = far[name] <= NEAR

    ols, trip = fitted[0]["least squares"], psr.select([*FEATURES, TARGET])
    print(f"\nFare, least squares over {psr.n_rows:,} trips")
    for name, value in zip(ols.feature_names_in_, ols.coef_, strict=True):
        print(f"  {name:<16} {value:>9.4f}  {UNITS[name]}")
    print(f"  {'intercept':<16} {ols.intercept_:>9.4f}  dollars")
    for name in ("least squares", "ridge"):
        score = fitted[0][name].score(trip, TARGET)
        held[f"{name}: R² is equal on all nodes"] = {own[name].score(trip, TARGET) for own in fitted} == {score}
        print(f"  R² of {name}: {score:.6f}")

    lda, pca, numbers = fitted[0]["LDA"], fitted[0]["PCA"], rows.drop(columns=LABEL)
    right, shares = lda.score(numbers, rows[LABEL]), rows[LABEL].value_counts(normalize=True)
    print(f"\nPaid by card or in cash, LDA: {right:.2%} right (always {shares.index[0]}: {shares.iloc[0]:.2%})")
    print("PCA, shares of the variance: " + ", ".join(f"{share:.4f}" for share in pca.explained_variance_ratio_))
    return held


# -- the program -------------------------------------------------------------------------------------------------------


def show_counts(counts: dict[str, dict[str, int]]) -> None:
    """Print what each rule dropped, node by node."""
    print(f"\n{'Trips':<36}" + "".join(f"{name:>12}" for name in counts))
    for what in next(iter(counts.values())):
        print(f"  {what:<34}" + "".join(f"{of_node[what]:>12,}" for of_node in counts.values()))


def run(files: Sequence[Path], nodes: int, rows: int | None, url: str | None) -> dict[str, bool]:
    """Do it all; return what was to hold and whether it did."""
    trips, counts = {}, {}
    for path in files:
        require_readable(path)
    for number, own in enumerate(deal(files, nodes), 1):
        name = f"node-{number}"
        print(f"{name}: {', '.join(path.name for path in own)}")
        trips[name], counts[name] = load(own, rows)
    show_counts(counts)
    everything = pd.concat([kept for own in trips.values() for kept in own.values()], ignore_index=True)[COLUMNS]
    labels = sorted(set(everything[LABEL]))
    if len(everything) < ENOUGH or len(labels) < 2:
        raise InputError(
            f"Got {len(everything)} trips, paid by {' and '.join(labels)}, but expected at least {ENOUGH}, "
            "paid by card and cash."
        )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        print("\nFederation")
        members = federate(trips, Path(folder), url or f"dir://{Path(folder, 'share').as_posix()}", stack)
        return prove(members, everything)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, and return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="csv, csv.gz or parquet of the TLC")
    parser.add_argument("--nodes", type=int, default=2, metavar="N", help="number of nodes (default: 2)")
    parser.add_argument("--rows", type=int, metavar="N", help="read only the first N rows of each node")
    parser.add_argument("--url", help="carrier of the federation (default: dir:// in a temporary folder)")
    options = parser.parse_args(arguments)
    if options.rows is not None and options.rows < 1:
        parser.error(f"Got --rows {options.rows}, but expected at least 1.")
    try:
        held = run(options.files, options.nodes, options.rows, options.url)
    except (InputError, SymfedError) as error:
        print(f"taxi.py: {error}", file=sys.stderr)
        return 2
    failed = [what for what, holds in held.items() if not holds]
    print(f"\n{len(held) - len(failed)} of {len(held)} statements hold.")
    print(*(f"FAILED: {what}\n" for what in failed), sep="", end="")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())

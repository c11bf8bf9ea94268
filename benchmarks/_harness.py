"""What the benchmarks share: timing side by side, limits of threads, the environment, tables and where results go.

Two sides are always timed in turns, in one run and under the same limits, and a figure is the median over rounds of the
ratio of their times: ours divided by theirs, so that below one is faster.  A machine that is slow for a while is slow
for both.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info, threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ROUNDS = 9
PACKAGES = ("sklearn-symfed", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "river", "flwr", "ray")

Side = Callable[[], object]
Cell = str | int | float | dict[str, float] | None


# -- timing ----------------------------------------------------------------------------------------------------------


def seconds(side: Side) -> float:
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def in_turns(sides: Mapping[str, Side], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Return the seconds of each side in each round, after one round that is not counted."""
    for side in sides.values():
        side()
    timed: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            timed[name].append(seconds(side))
    return timed


def ratio(ours: Sequence[float], theirs: Sequence[float], goal: float | None = None) -> dict[str, float]:
    """Return the cell of a table: the median of the ratios of the rounds, their quartiles, and the goal."""
    every = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    low, _, high = statistics.quantiles(every, n=4, method="inclusive") if len(every) > 1 else every * 3
    cell = {"ratio": statistics.median(every), "low": low, "high": high}
    cell |= {} if goal is None else {"goal": goal}
    return {key: significant(value) for key, value in cell.items()}


def significant(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let BLAS, OpenMP and oneDAL, whoever uses them, have as many threads."""
    if has("daal4py"):
        import daal4py

        daal4py.daalinit(threads)
    with threadpool_limits(threads):
        yield


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# -- environment -----------------------------------------------------------------------------------------------------


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """Return architecture and, where the system tells them, maker and family."""
    facts = Path("/proc/cpuinfo")
    text = facts.read_text("utf-8") if facts.exists() else ""
    found = [re.search(rf"^{key}\s*: (.+)$", text, re.MULTILINE) for key in ("vendor_id", "cpu family")]
    maker, family = (match[1] if match else "" for match in found)
    return " ".join([platform.machine(), *([f"{maker} family {family}"] if maker and family else [])])


def blas() -> list[str]:
    return sorted(
        {
            f"{each['internal_api']} {each['version']} ({each.get('architecture', 'unknown')} kernel)"
            for each in threadpool_info()
            if each["user_api"] == "blas"
        }
    )


def environment() -> dict[str, Any]:
    """Return what figures depend on; nothing in it names the machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "blas": blas(),
        "packages": {name: found for name in PACKAGES if (found := version(name))},
        "not installed": [name for name in PACKAGES if not version(name)],
    }


# -- tables and results ----------------------------------------------------------------------------------------------


@dataclass
class Table:
    """Rows of cells; a cell that is a dict is a ratio with quartiles and, maybe, a goal."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""


@dataclass
class Plot:
    """Lines of points, drawn with logarithmic axes."""

    name: str
    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def text_of(cell: Cell) -> str:
    """Return how a cell is printed; a goal that was missed is marked."""
    if cell is None:
        return ""
    if isinstance(cell, dict):
        goal = cell.get("goal")
        missed = goal is not None and cell["ratio"] > goal
        return f"{cell['ratio']:.3g}" + ("" if goal is None else f" / {goal:.3g}") + (" !" if missed else "")
    if isinstance(cell, float):
        return f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


@dataclass
class Options:
    """What every benchmark is asked."""

    tiny: bool
    write: bool
    rounds: int

    @classmethod
    def parser(cls, text: str | None) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--tiny", action="store_true", help="once, as small as can be: only to see that it runs")
        parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
        parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often both sides take turns")
        return parser

    @classmethod
    def read(cls, text: str | None, arguments: list[str] | None) -> Options:
        return cls.of(cls.parser(text).parse_args(arguments))

    @classmethod
    def of(cls, found: argparse.Namespace) -> Options:
        return cls(found.tiny, found.write, 1 if found.tiny else found.rounds)

    def finish(self, topic: str, tables: Sequence[Table], plots: Sequence[Plot] = ()) -> None:
        """Print the tables, and keep them if that was asked for."""
        for table in tables:
            show(table)
        if self.write and not self.tiny:
            save(topic, tables, plots)


def show(table: Table) -> None:
    """Print a table with aligned columns."""
    lines = [table.columns, *([text_of(cell) for cell in row] for row in table.rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.columns))]
    print(f"\n{table.title}")
    for line in lines:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    marks = "! marks a goal that was missed." if any(line[-1:] == "!" for row in lines for line in row) else ""
    print(" ".join(filter(None, [table.note, marks])))


def save(topic: str, tables: Sequence[Table], plots: Sequence[Plot] = ()) -> Path:
    """Write the newest results of a topic, with the environment that they were found in."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{topic}.json"
    content = {
        "topic": topic,
        "environment": environment(),
        "tables": [asdict(table) for table in tables],
        "plots": [asdict(plot) for plot in plots],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path

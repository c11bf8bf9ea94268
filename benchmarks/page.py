"""Put the newest results, in benchmarks/results, into docs/benchmarks.md; and draw the plots.

    python benchmarks/page.py

What stands between the markers of a topic is made from its JSON file alone: a test asks that it is what this makes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _harness import RESULTS, ROOT, has, text_of

PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "plots"
SUMMARY = "faster"
NOT_PEERS = ("ours, no classes", "ours, no decimals", "ratio to the fewest / goal")

Results = dict[str, Any]


def read(topic: str) -> Results | None:
    path = RESULTS / f"{topic}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def markdown(table: dict[str, Any]) -> str:
    """Return a table with its title and note; goals that were missed are bold."""

    def shown(cell: Any) -> str:
        text = text_of(cell)
        return f"**{text.removesuffix(' !')}**" if text.endswith(" !") else text

    rows = [[shown(cell) for cell in row] for row in table["rows"]]
    lines = [table["columns"], ["---"] * len(table["columns"]), *rows]
    parts = [f"{table['title']}:", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join([*parts, *([table["note"]] if table["note"] else [])])


def conditions(environment: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    missing = environment["not installed"]
    left_out = f" Not installed, hence left out: {', '.join(missing)}." if missing else ""
    return (
        f"Measured on {environment['date']}: {environment['processor']}, {environment['cores']} cores, "
        f"{environment['system']}, Python {environment['python']}, {packages}; {', '.join(environment['blas'])}."
        f"{left_out}"
    )


def section(topic: str) -> str:
    """Return what the page says of a topic."""
    results = read(topic)
    if results is None:
        return "Not measured yet."
    pictures = [f"![{plot['title']}](plots/{plot['name']}.svg)" for plot in results["plots"]]
    tables = [markdown(table) for table in results["tables"]]
    return "\n\n".join([*pictures, *tables, conditions(results["environment"])])


def ratios(topics: tuple[str, ...]) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Yield where, beside whom, and the cell with our time divided by theirs, of all tables of some topics."""
    for topic in topics:
        for table in (read(topic) or {"tables": []})["tables"]:
            for row in table["rows"]:
                for name, cell in zip(table["columns"], row, strict=True):
                    if isinstance(cell, dict):
                        yield table["title"], name, cell


def summary() -> str:
    """Return who is faster at what, and which goals were missed."""
    peers: dict[tuple[str, str], list[float]] = {}
    for title, name, cell in ratios(("learn", "real", "merge", "solve")):
        if name not in NOT_PEERS:
            peers.setdefault((title, "float64" if name.startswith("ratio") else name), []).append(cell["ratio"])
    goals: dict[tuple[str, str], list[float]] = {}
    for title, name, cell in ratios(tuple(sorted(path.stem for path in RESULTS.glob("*.json")))):
        if "goal" in cell:
            goals.setdefault((title, "" if "goal" in name else name), []).append(cell["ratio"] / cell["goal"])
    if not peers:
        return "Not measured yet."
    faster = [
        [title, name, f"{sum(each > 1 for each in every)} of {len(every)}", min(every), max(every)]
        for (title, name), every in peers.items()
    ]
    missed = [
        [title, name, f"{sum(each > 1 for each in every)} of {len(every)}", max(every)]
        for (title, name), every in goals.items()
        if max(every) > 1
    ]
    return "\n\n".join(
        [
            markdown(
                {
                    "title": "Who is faster",
                    "columns": ["at", "beside", "it is faster in", "our time / its, from", "to"],
                    "rows": faster,
                    "note": "",
                }
            ),
            markdown(
                {
                    "title": "Goals that were missed",
                    "columns": ["at", "beside", "missed in", "at worst, ratio / goal"],
                    "rows": missed,
                    "note": "",
                }
            ),
        ]
    )


def rendered(page: str) -> str:
    """Return the page with every section made anew."""

    def made(match: re.Match[str]) -> str:
        topic = match[1]
        text = summary() if topic == SUMMARY else section(topic)
        return f"<!-- results: {topic} -->\n{text}\n<!-- end -->"

    return re.sub(r"<!-- results: (\w+) -->\n.*?<!-- end -->", made, page, flags=re.DOTALL)


def draw(plot: dict[str, Any], folder: Path) -> Path:
    """Draw one plot as SVG whose text stays text."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": plot["name"], "font.size": 9}):
        figure, axes = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
        for name, points in plot["lines"].items():
            ours = name == "PSR" or "one peer" in name
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=2.2 if ours else 1.2, label=name)
        axes.set(xscale="log", yscale="log", xlabel=plot["x"], ylabel=plot["y"], title=plot["title"])
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(frameon=False)
        folder.mkdir(exist_ok=True)
        path = folder / f"{plot['name']}.svg"
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text("utf-8").splitlines()) + "\n", "utf-8")
    return path


def main() -> None:
    PAGE.write_text(rendered(PAGE.read_text("utf-8")), "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
    if not has("matplotlib"):
        print("matplotlib is not installed: the plots stay as they are (pip install 'sklearn-symfed[plot]')")
        return
    for path in sorted(RESULTS.glob("*.json")):
        for plot in json.loads(path.read_text("utf-8"))["plots"]:
            print(f"drew {draw(plot, PLOTS).relative_to(ROOT)}")


if __name__ == "__main__":
    main()

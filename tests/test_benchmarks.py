"""Benchmarks run, so that they never rot; how fast they are is not judged here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("bench_*.py"))
RESULTS = sorted((FOLDER / "results").glob("*.json"))


@pytest.fixture
def load(monkeypatch):
    """Import a script as it imports others of its folder."""
    monkeypatch.syspath_prepend(FOLDER)

    def module_of(name: str):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return module_of


def test_there_are_benchmarks():
    """The next test has something to run."""
    assert len(SCRIPTS) >= 9


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_benchmark_runs(script, load, capsys):
    """Each benchmark prints its table when everything is as small as can be."""
    load(script.stem).main(["--tiny"])
    assert capsys.readouterr().out.count("\n") > 1


@pytest.mark.slow
def test_averaging_runs_in_flowers_simulation():
    """The end-to-end benchmark drives Flower's simulation, where Flower and Ray are installed."""
    pytest.importorskip("flwr")
    pytest.importorskip("ray")
    command = [sys.executable, FOLDER / "bench_end_to_end.py", "--tiny", "--simulate"]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    assert "Flower, FedAvg in simulation" in out


def test_ratios_are_of_the_same_round(load):
    """A ratio is the median over rounds of ours by theirs; a goal that it exceeds is marked."""
    harness = load("_harness")
    cell = harness.ratio([1.0, 20.0, 3.0], [1.0, 10.0, 1.0], 1.5)
    assert cell == {"ratio": 2.0, "low": 1.5, "high": 2.5, "goal": 1.5}
    assert harness.text_of(cell) == "2 / 1.5 !"
    assert harness.text_of({"ratio": 1.5, "goal": 1.5}) == "1.5 / 1.5"


def test_sides_take_turns(load):
    """Every side runs once in every round, after a round that does not count."""
    ran: list[str] = []
    timed = load("_harness").in_turns({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 3)
    assert ran == ["a", "b"] * 4
    assert {name: len(each) for name, each in timed.items()} == {"a": 3, "b": 3}


def test_the_page_is_made_of_the_results(load):
    """The figures on the page are those of the newest results, and every result is on the page."""
    page = load("page")
    text = page.PAGE.read_text("utf-8")
    assert page.rendered(text) == text, "run: python benchmarks/page.py"
    for result in RESULTS:
        assert f"<!-- results: {result.stem} -->" in text


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.stem)
def test_results_say_what_they_were_measured_with(result):
    """Results name processor, cores, BLAS and versions, and hold as many cells as columns in each row."""
    found = json.loads(result.read_text("utf-8"))
    assert found["topic"] == result.stem
    assert {"date", "processor", "cores", "blas", "packages", "python"} <= set(found["environment"])
    assert all(len(row) == len(table["columns"]) for table in found["tables"] for row in table["rows"])
    assert found["tables"]


def test_plots_are_drawn(load, tmp_path):
    """A plot becomes an SVG that names its lines and holds no date."""
    pytest.importorskip("matplotlib")
    plot = {"name": "rows", "title": "t", "x": "rows", "y": "seconds", "lines": {"PSR": [(1, 0.1), (10, 0.2)]}}
    drawn = load("page").draw(plot, tmp_path).read_text("utf-8")
    assert ">PSR<" in drawn
    assert "<dc:date>" not in drawn

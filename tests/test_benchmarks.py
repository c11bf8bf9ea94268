"""Benchmarks run, so that they never rot; how fast they are is not judged here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("bench_*.py"))


def test_there_are_benchmarks():
    """The next test has something to run."""
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_benchmark_runs(script, capsys, monkeypatch):
    """Each benchmark prints its table when everything is as small as can be."""
    monkeypatch.syspath_prepend(script.parent)  # what scripts see of one another
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, script.stem, module)
    spec.loader.exec_module(module)
    module.main(["--tiny"])
    assert capsys.readouterr().out.count("\n") > 1

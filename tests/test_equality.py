"""The proof by trial: its script runs, and its page lists every estimator."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pandas as pd
import pytest

from sklearn_symfed import FederatedRidge
from sklearn_symfed.testing import assert_same_fit_by_name
from tests.family import FAMILY

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "equality.md"


@pytest.fixture
def equality(monkeypatch):
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("equality", ROOT / "benchmarks" / "equality.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "equality", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", FAMILY, ids=str)
def test_the_page_lists_every_estimator(case):
    """Each estimator has its line, with as many equal bits as there were trials."""
    (line,) = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{case}` |")]
    equal, _, total = line.split(" | ")[3].partition(" of ")
    assert int(equal) == int(total) >= 100
    assert line.count(f"{len(case.exempt)} exempt") == 1


def test_the_script_runs(equality, monkeypatch, capsys):
    """A few trials of one estimator come out equal, and its difference to scikit-learn is tiny."""
    monkeypatch.setenv("SYMFED_TRIPS", "")
    text = equality.main(["--trials", "2", "--jobs", "1", "--only", "FederatedBernoulliNB"])
    assert "2 of 2" in text
    assert "e-16 (" in text or "e-15 (" in text
    assert text in capsys.readouterr().out


def test_other_fits_are_told_apart_by_name():
    """Two fits that differ in the numbers of a feature are not the same in any order."""
    frame = pd.DataFrame({"a": [0.1, 0.2, 0.4], "b": [1.0, 0.0, 3.0]})
    one, other = FederatedRidge().fit(frame, [1.0, 2.0, 3.0]), FederatedRidge().fit(frame[["b", "a"]], [1.0, 2.0, 4.0])
    with pytest.raises(AssertionError, match=r"differ by name: \['coef_', 'intercept_', 'psr_'"):
        assert_same_fit_by_name(one, other)
    swapped = frame.rename(columns={"a": "b", "b": "a"})
    with pytest.raises(AssertionError, match=r"differ by name: \['coef_', 'psr_'\]"):
        assert_same_fit_by_name(one, FederatedRidge().fit(swapped, [1.0, 2.0, 3.0]))
    with pytest.raises(AssertionError, match="features that differ"):
        assert_same_fit_by_name(one, FederatedRidge().fit(frame.rename(columns={"a": "c"}), [1.0, 2.0, 3.0]))

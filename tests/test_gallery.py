"""The gallery runs: each example does what it says, without a screen, and is listed."""

from __future__ import annotations

import re
import runpy
import warnings
from pathlib import Path

import pytest

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_EXAMPLES = sorted((_DOCS / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, monkeypatch, capsys):
    """An example runs from top to bottom, its assertions hold, and it prints what it found."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "FigureCanvasAgg")  # which shows nothing
        runpy.run_path(str(path), run_name="__main__")
    assert "R²" in capsys.readouterr().out


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_in_the_form_of_a_gallery(path):
    """It begins with a title, is short, has cells, and docs/index.md leads to it."""
    text = path.read_text(encoding="utf-8")
    title, line = text.splitlines()[1:3]
    assert line == "=" * len(title)
    assert re.search(r"^# %%$", text, flags=re.MULTILINE)
    assert len(text.splitlines()) < 100
    assert f"(examples/{path.name})" in (_DOCS / "index.md").read_text(encoding="utf-8")


def test_there_are_examples():
    """The folder is found."""
    assert len(_EXAMPLES) >= 2

"""Pages for users do what they say: their Python blocks run in order."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pandas as pd
import pytest
from sklearn.datasets import load_diabetes

_DOCS = Path(__file__).resolve().parents[1] / "docs"


def _python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (_DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def _run(page: str, blocks: list[str], names: dict[str, object]) -> None:
    for number, block in enumerate(blocks):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(block, f"{page}, block {number}", "exec"), names)


_PAGES = [("guide.md", 7), ("data.md", 7), ("exactness.md", 6), ("models.md", 2), ("own_estimator.md", 2)]


@pytest.mark.parametrize(("page", "at_least"), _PAGES)
def test_a_page_runs_from_top_to_bottom(page, at_least, capsys):
    """Every Python block of a page runs after the ones before it, and its assertions hold."""
    blocks = _python_blocks(page)
    assert len(blocks) >= at_least
    _run(page, blocks, {"__name__": page.removesuffix(".md")})
    assert capsys.readouterr().out.strip()


def test_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    """The README's quick start federates, as printed, two tables that stand for the flights of two airports."""
    monkeypatch.chdir(tmp_path)
    frame: pd.DataFrame = load_diabetes(as_frame=True).frame.rename(columns={"target": "arr_delay"})
    frame["late"] = frame.arr_delay > 150
    blocks = [block.replace("/mnt/share", str(tmp_path)) for block in _python_blocks("../README.md")]
    assert len(blocks) == 5
    names: dict[str, object] = {"flights_of_north": frame[:200], "flights_of_south": frame[200:]}
    _run("README.md", blocks, names)
    assert "published" in capsys.readouterr().out
    for node in ("north", "south"):
        names[node].close()

"""Pages for users do what they say: their Python blocks run in order."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

_DOCS = Path(__file__).resolve().parents[1] / "docs"


def _python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (_DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(("page", "at_least"), [("guide.md", 7), ("exactness.md", 6)])
def test_a_page_runs_from_top_to_bottom(page, at_least, capsys):
    """Every Python block of a page runs after the ones before it, and its assertions hold."""
    blocks = _python_blocks(page)
    assert len(blocks) >= at_least
    names: dict[str, object] = {"__name__": page.removesuffix(".md")}
    for number, block in enumerate(blocks):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(block, f"{page}, block {number}", "exec"), names)
    assert capsys.readouterr().out.strip()

"""The guide does what it says: its Python blocks run in order."""

from __future__ import annotations

import re
import warnings
from pathlib import Path


_DOCS = Path(__file__).resolve().parents[1] / "docs"


def _python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (_DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_guide_runs_from_top_to_bottom(capsys):
    """Every Python block of the guide runs after the ones before it, and its assertions hold."""
    blocks = _python_blocks("guide.md")
    assert len(blocks) > 6
    names: dict[str, object] = {"__name__": "guide"}
    for number, block in enumerate(blocks):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(block, f"guide.md, block {number}", "exec"), names)  # noqa: S102
    assert "published" in capsys.readouterr().out

"""The tutorial does what it says: each line of it runs in two shells, as pasted into two terminals."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.datasets import load_diabetes

from sklearn_symfed import PSR

ROOT = Path(__file__).resolve().parent.parent
FORKED = Path(__file__).with_name("forked_cli.py")
PAGE = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
BLOCK = re.compile(r"\*\*(First|Second) terminal\b|\*\*(first|second) terminal\*\*|```bash\n(.*?)```", re.DOTALL)
DONE = "--- done with"


class Terminal:
    """A shell that is given one block after the other, and keeps its folder, variables and background processes."""

    def __init__(self, folder, environment):
        self.shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def paste(self, block):
        """Run a block; return what it printed and the exit code of its last line."""
        self.shell.stdin.write(f"{block}\necho '{DONE}' $?\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith(DONE):
                return "".join(lines), int(line.removeprefix(DONE))
            lines.append(line)
        raise AssertionError("".join(lines))

    def close(self):
        """End the shell, and what still runs in its background."""
        self.shell.communicate("kill $(jobs -p) 2> /dev/null\nexit\n", timeout=60)


def blocks():
    """Yield the blocks of the page, each with the terminal that it goes into."""
    terminal = None
    for match in BLOCK.finditer(PAGE):
        if match[3] is None:
            terminal = (match[1] or match[2]).lower()
        else:
            yield terminal, match[3]


@pytest.fixture
def environment(tmp_path):
    """Yield variables with which a shell finds `symfed` and `python` of this checkout.

    Both have no pandas, as where only the extra ``cli`` is installed.
    """
    tools, hidden, door = tmp_path / "bin", tmp_path / "hidden", tmp_path / "door"
    tools.mkdir()
    hidden.mkdir()
    (hidden / "pandas.py").write_text("raise ImportError\n")
    for name, arguments in {"python": "", "symfed": f'-S -E "{FORKED}" "{door}" '}.items():
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n')
        script.chmod(0o755)
    paths = [str(hidden), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(paths)}
    found = {name: value for name, value in found.items() if not name.startswith("SYMFED_")}
    serve = [sys.executable, str(FORKED), "serve", str(door)]
    alone = {**found, "OPENBLAS_NUM_THREADS": "1"}  # no thread is there when it forks
    with subprocess.Popen(serve, env=alone, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        yield found
        server.kill()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="the tutorial is for bash")
def test_the_tutorial_runs_line_by_line_until_both_nodes_show_the_same_digest(tmp_path, environment):
    """Every block succeeds; both nodes print the digest on the page, which is that of all rows in one place."""
    terminals = {name: Terminal(tmp_path, environment) for name in ("first", "second")}
    printed = []
    try:
        for terminal, block in blocks():
            output, code = terminals[terminal].paste(block)
            assert code == 0, f"{block}\n{output}"
            assert "symfed:" not in output, output
            printed.append((terminal, block, output))
    finally:
        for terminal in terminals.values():
            terminal.close()
    assert len(printed) == 10
    digests = {terminal: output.split()[0] for terminal, block, output in printed if block.startswith("symfed digest")}
    data = load_diabetes(scaled=False)
    rows = dict(zip(data.feature_names, data.data.T, strict=True))
    whole = PSR.from_rows(pa.table({**rows, "progression": data.target}))
    assert digests == {"first": whole.digest, "second": whole.digest}
    assert f"`{whole.digest}`" in PAGE
    folder = tmp_path / "tutorial"
    assert (folder / "north.log").read_text().splitlines()[-1] == "Stopped."
    assert len(pyarrow.csv.read_csv(folder / "predictions.csv")) == 242

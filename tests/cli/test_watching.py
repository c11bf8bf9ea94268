"""`symfed pulse` and `status`: on and on, until a signal says to stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from cli_shell import ROOT, answered, as_csv, digest, statistics, symfed, table

from sklearn_symfed import FederatedPSR
from sklearn_symfed.cli import _tables


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM that can be handled")
def test_a_process_that_pulses_lets_others_use_its_home_and_ends_on_sigterm(pair, tmp_path):
    """While `pulse --every` runs, another command gets its turn at the home; SIGTERM ends it with 0."""
    north, _ = pair
    command = [sys.executable, "-m", "sklearn_symfed.cli", "pulse", "--every", "20s", "--home", str(north)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        try:
            assert " version 1 " in process.stderr.readline()
            symfed("learn", as_csv(table(500, 600), tmp_path / "more.csv"), "--home", north)
            assert answered("status", "--home", north)["rows"] == 220
            process.send_signal(signal.SIGTERM)
            assert process.stderr.read().splitlines()[-1] == "Stopped."
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert digest(north) == statistics(table(0, 120), table(500, 600)).digest


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM that can be handled")
def test_a_pulse_under_way_is_finished_before_a_signal_is_heeded(pair, tmp_path, monkeypatch):
    """SIGTERM in the middle of a pulse: its version is on disk and sent when the process ends."""
    north, south = pair
    symfed("learn", as_csv(table(500, 600), tmp_path / "more.csv"), "--home", north)
    symfed("pulse", "--home", south)
    pulse = FederatedPSR.pulse

    def pulse_under_fire(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return pulse(self)

    with monkeypatch.context() as patch:
        patch.setattr(FederatedPSR, "pulse", pulse_under_fire)
        assert "Stopped." in symfed("pulse", "--every", "1h", "--home", north).stderr
    symfed("pulse", "--home", south)
    assert digest(south) == statistics(table(0, 120), table(500, 600)).digest


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM that can be handled")
def test_a_home_that_was_put_back_is_pulsed_on(pair, monkeypatch):
    """A home that disappears under a process that pulses is an error, and no more once it is there again."""
    north, _ = pair
    pulse, away = FederatedPSR.pulse, north.with_name("away")
    seen = []

    def pulse_while_it_moves(self):
        seen.append(self)
        if len(seen) == 1:
            shutil.copytree(north, away)
            shutil.rmtree(north)
            try:
                return pulse(self)
            finally:
                away.rename(north)
        os.kill(os.getpid(), signal.SIGTERM)
        return pulse(self)

    with monkeypatch.context() as patch:
        patch.setattr(FederatedPSR, "pulse", pulse_while_it_moves)
        said = symfed("pulse", "--every", "0.01s", "--home", north).stderr
    assert "was deleted, moved or replaced" in said
    assert said.endswith("Stopped.\n")
    assert seen[0] is not seen[1]


def test_pulse_waits_until_all_hold_the_same(pair):
    """`pulse --wait` gives up with 3 where a member keeps silent, and with 0 as soon as it has spoken."""
    north, south = pair
    symfed("promote", "south", "--home", north)
    assert not answered("pulse", "--wait", "0.2s", "--home", north, code=3)["converged"]
    for _ in range(3):
        symfed("pulse", "--home", south)
        symfed("pulse", "--home", north)
    symfed("pulse", "--home", south)
    assert answered("pulse", "--wait", "5s", "--home", north)["converged"]


def test_the_live_table_shows_members_until_it_is_interrupted(pair, monkeypatch):
    """`status --watch` draws the table again and again; Ctrl-C ends it with 0; a home in use keeps the last table."""
    north, _ = pair
    looks = []

    def pause(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(_tables.time, "sleep", pause)
    shown = symfed("status", "--watch", "--interval", "5s", "--home", north).stdout
    assert looks == [5.0, 5.0, 5.0]
    for word in ("member", "rows", "version", "digest", "age", "lag", "refusal", "south", "every 5 s"):
        assert word in shown


def test_the_live_table_is_not_drawn_of_a_home_that_there_is_not(tmp_path):
    """`status --watch` on the wrong folder says so and ends, as `status` does, and so it is with a wrong interval."""
    assert "no home is" in symfed("status", "--watch", "--home", tmp_path / "nowhere", code=1).stderr
    wrong = symfed("status", "--watch", "--interval", "0s", "--home", tmp_path / "nowhere", code=1)
    assert "interval='0s'" in wrong.stderr


def test_a_long_note_leaves_room_for_the_table(pair):
    """A broken contract is told below the table; names, rows and digests stay readable in 80 columns."""
    north, _ = pair
    symfed("contract", "count() >= 1000", "--flag", "north", "--home", north)
    symfed("pulse", "--home", north)
    shown = symfed("status", "--home", north, env={"COLUMNS": "80"}).stdout
    (row,) = [line for line in shown.splitlines() if line.startswith("  north *")]
    assert row.split()[2:5] == ["admin", "120", "1"]
    assert "flagged" in row
    assert "north: flagged: count() >= 1000 does not hold: count() is 120" in shown


def test_what_the_carrier_set_aside_is_counted(pair):
    """The status says how many messages of the inbox nobody could take in, from the pulse on that saw them."""
    north, _ = pair
    assert answered("status", "--home", north)["dead_letters"] == 0
    (inbox,) = north.parent.rglob("inbox-north")
    (inbox / f"{0:020d}-{0:016x}-{0:032x}.msg").write_bytes(b"torn")
    symfed("pulse", "--home", north)
    assert answered("status", "--home", north)["dead_letters"] == 1
    assert "dead letters: 1" in symfed("status", "--home", north).output

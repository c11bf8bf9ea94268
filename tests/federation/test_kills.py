"""A federation whose processes are killed, wherever they are, ends as one that nobody disturbed.

``pytest -n 0 -rP tests/federation/test_kills.py`` shows where; ``SYMFED_KILLS=3000`` asks for more runs.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

RUNS = int(os.environ.get("SYMFED_KILLS", "300")) // 5  # a test
SEED = os.environ.get("SYMFED_KILLS_SEED", "0" if os.environ.get("CI") else str(random.randrange(10**6)))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.thorough,
    pytest.mark.timeout(60 + 6 * RUNS),  # a run takes less than half a second on a core of its own
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked"),
]


@pytest.fixture
def memory(tmp_path):
    """Return a folder that no disk slows down, where there is one: the kernel keeps what a killed process wrote."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(prefix="symfed-kills-", dir=place) as folder:
        yield Path(folder)


def play(folder: Path, seed: str, *names: str) -> list[dict]:
    """Return what came of the three stories that nobody interrupted, and of the runs with a kill."""
    script = Path(__file__).with_name("kill_runs.py")
    command = [sys.executable, str(script), str(folder), str(RUNS), seed, *names]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # threads do not live on in a forked process
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            output, errors = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0, errors[-5000:]
    return [json.loads(line) for line in output.splitlines()]


def show(runs: list[dict], seed: str) -> Counter[str]:
    """Print how often each transaction was killed, before how many lines, and each kill; return how often."""
    kills = Counter((run["killed"] or "never").split()[0] for run in runs)
    lines = Counter(point.split()[0] for point in {run["killed"] or "never" for run in runs})
    table = [f"{len(runs)} runs with one SIGKILL each, seed {seed}", "", "killed in    times  lines"]
    table += [
        f"{name:<12} {times:>5}  {lines[name] if name != 'elsewhere' else '':>5}" for name, times in kills.most_common()
    ]
    table += ["", *(f"{run['killed'] or 'never':<32} {run['story']:<9} {run['plan']}" for run in runs)]
    sys.stdout.write("\n".join(table))
    return kills


def check(results: list[dict], seed: str) -> Counter[str]:
    """Require that each run ended as the uninterrupted one, in the central state; return the kills."""
    references = {result["story"]: result for result in results[:3]}
    killed = results[3:]
    kills = show(killed, seed)
    assert len(killed) == RUNS
    assert not [run for run in results if "failed" in run]
    for story, reference in references.items():
        assert {state["digest"] for state in reference["states"].values()} == {reference["central"]}, story
    for run in killed:
        expected = references[run["story"]]["states"]
        assert run["states"].keys() == expected.keys()
        for name, state in run["states"].items():
            assert state["digest"] == expected[name]["digest"], run
            assert state["local"] == expected[name]["local"], run
            assert state["notes"] == [], run
            assert state["recoverable"], run
    return kills


@pytest.mark.parametrize(
    "names",
    [("learn", "forget", "publish"), ("receive", "ack", "open"), ("create", "invite", "join", "rotate")],
    ids="-".join,
)
def test_kills_inside_transactions_change_no_digest(memory, names):
    """Killed before any line of a transaction, nodes come back, repeat themselves, and end where all others do."""
    kills = check(play(memory, SEED, *names), SEED)
    assert kills.keys() == set(names)
    assert min(kills.values()) >= RUNS // 6


@pytest.mark.parametrize("part", ["1", "2"])
def test_kills_at_any_time_change_no_digest(tmp_path, part):
    """Killed from outside after a random time, nodes come back, repeat themselves, and end where all others do."""
    seed = f"{SEED}-{part}"
    check(play(tmp_path, seed), seed)

"""How much memory learning takes at most, over ten million rows that come from a generator.

    python benchmarks/bench_memory.py

Each learner runs in a process of its own.  What counts is how far the peak of resident memory rises above what the
process held before the first batch was made: the batch itself, scratch space, and the state.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _harness import Options, Table, has, seconds, significant

N_ROWS, N_COLUMNS, BATCH = 10_000_000, 30, 65_536
ALLOWANCE = 64 * 2**20
LEARNERS = ("PSR", "plain float64", "StandardScaler", "IncrementalPCA", "intelex LinearRegression")
STATUS = Path("/proc/self/status")


def batches(n_rows: int) -> Iterator[np.ndarray]:
    """Yield rows in one buffer that is used again, so that no learner pays for a second batch."""
    rng = np.random.default_rng(0)
    buffer = np.empty((BATCH, N_COLUMNS))
    for start in range(0, n_rows, BATCH):
        rng.standard_normal(out=buffer)
        yield buffer[: n_rows - start]


def resident(key: str) -> int:
    """Return resident memory now (VmRSS) or at most since the process began or was cleared (VmHWM), in bytes."""
    line = next(line for line in STATUS.read_text("utf-8").splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def learn(learner: str, n_rows: int) -> int:
    """Learn all rows; return the bytes of what was learned, where they are known."""
    if learner == "PSR":
        from sklearn_symfed import PSR

        total = PSR.zero(PSR.from_rows(np.zeros((1, N_COLUMNS))).schema)
        for batch in batches(n_rows):
            total += PSR.from_rows(batch)
        return len(total.to_bytes())
    if learner == "plain float64":
        gram = np.zeros((N_COLUMNS, N_COLUMNS))
        for batch in batches(n_rows):
            gram += batch.T @ batch
        return gram.nbytes
    for batch in batches(n_rows):
        estimator = locals().get("estimator") or peer(learner)
        estimator.partial_fit(batch, *([batch[:, 0]] if learner.endswith("LinearRegression") else []))
    return 0


def peer(learner: str) -> object:
    if learner == "StandardScaler":
        from sklearn.preprocessing import StandardScaler

        return StandardScaler()
    if learner == "IncrementalPCA":
        from sklearn.decomposition import IncrementalPCA

        return IncrementalPCA()
    from sklearnex.linear_model import IncrementalLinearRegression

    return IncrementalLinearRegression()


def alone(learner: str, n_rows: int) -> dict[str, float]:
    """Measure one learner; to be called in a process that does nothing else."""
    if learner in LEARNERS[2:]:
        peer(learner)
    learn("PSR" if learner == "PSR" else "plain float64", 64)  # whatever is loaded at first use is not the rows'
    before, state = resident("VmRSS"), 0

    def run() -> None:
        nonlocal state
        state = learn(learner, n_rows)

    took = seconds(run)
    return {"rise": resident("VmHWM") - before, "state": state, "seconds": took}


def measured(learner: str, n_rows: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--learner", learner, "--rows", str(n_rows)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peaks(options: Options) -> Table:
    n_rows = 1000 if options.tiny else N_ROWS
    table = Table(
        f"Peak memory while {n_rows:,} generated rows (d = {N_COLUMNS}) are learned in batches of {BATCH:,}",
        ["learner", "rise, MiB / goal", "state, KiB", "seconds, generator included"],
        note=f"The goal is the batch ({BATCH * N_COLUMNS * 8 / 2**20:.1f} MiB), 64 MiB, and the state.",
    )
    for learner in LEARNERS[:1] if options.tiny else LEARNERS:
        if learner.startswith("intelex") and not has("sklearnex"):
            continue
        found = measured(learner, n_rows)
        goal = (BATCH * N_COLUMNS * 8 + ALLOWANCE + found["state"]) / 2**20
        rise = {"ratio": significant(found["rise"] / 2**20)} | ({"goal": goal} if learner == "PSR" else {})
        state = significant(found["state"] / 1024) or None
        table.rows.append([learner, rise, state, significant(found["seconds"])])
    return table


def main(arguments: list[str] | None = None) -> None:
    if arguments is None and "--learner" in sys.argv:
        _, _, learner, _, n_rows = sys.argv
        print(json.dumps(alone(learner, int(n_rows))))
        return
    options = Options.read(__doc__, arguments)
    if not STATUS.exists():
        print("\nPeak memory is read from /proc/self/status, which this system has not: skipped.")
        return
    options.finish("memory", [peaks(options)])


if __name__ == "__main__":
    main()

"""Learns rows in a process of its own: ``python -m sklearn_symfed.testing._learner rows.npz columns.json out.psr``.

Started by `assert_federated_equals_central`, so that BLAS kernel and threads, which a process fixes when it starts,
differ between the parties.  Rows come as ``.npz`` and names as JSON: no pickle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from sklearn_symfed.psr import PSR, NamedColumns

__all__ = ["main"]


def main(rows: str, columns: str, out: str) -> None:
    """Learn the rows of a file and write their PSR."""
    names = json.loads(Path(columns).read_text(encoding="utf-8"))
    with np.load(rows, allow_pickle=False) as arrays:
        table = NamedColumns({name: arrays[f"column{i}"] for i, name in enumerate(names["columns"])})
        labels = arrays["labels"] if names["classes"] else None
        weight = arrays.get("weight", None)
    PSR.from_rows(table, labels, classes=names["classes"], sample_weight=weight, n_jobs=names["n_jobs"]).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])

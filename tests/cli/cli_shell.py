"""`symfed` as tests call it, in this process, and tables that it learns."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from typer.testing import CliRunner

from sklearn_symfed import PSR
from sklearn_symfed.cli._app import app

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["distance", "fare", "late"]
RUNNER = CliRunner()


def table(start, stop, kind="str"):
    """Return rows of a numeric column, one of cents, and one of labels."""
    numbers = np.arange(start, stop)
    labels = {"str": np.where(numbers % 3 == 0, "yes", "no"), "bool": numbers % 3 == 0, "int": numbers % 3}[kind]
    return pa.table({"distance": np.sqrt(numbers), "fare": (numbers * 37 % 1000) / 100, "late": labels})


def as_csv(rows, path):
    """Write a table as CSV, and return where."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows.column_names)
        writer.writerows(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))
    return path


def statistics(*tables, **kwargs):
    """Return the PSR of tables."""
    return PSR.from_rows(pa.concat_tables(tables), classes="late", **kwargs)


def symfed(*arguments, code=0, **kwargs):
    """Run a command in this process; return its result, whose exit code is as expected."""
    result = RUNNER.invoke(app, [str(each) for each in arguments], **kwargs)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def answered(*arguments, **kwargs):
    """Run a reading command with ``--json``, and return the document."""
    return json.loads(symfed(*arguments, "--json", **kwargs).stdout)


def digest(home):
    """Return the digest of all that a node knows."""
    return answered("digest", "--home", home)["digest"]


def founded(folder):
    """Found a federation in a folder; return the founder's home."""
    where = folder / "north"
    symfed(
        "create", "flights", f"dir://{folder}/carrier", "--home", where, "--recovery-key-to", folder / "recovery.key"
    )
    return where


def pulse_both(pair, times=3):
    """Let both nodes pulse in turns."""
    for _ in range(times):
        for home in pair:
            symfed("pulse", "--home", home)

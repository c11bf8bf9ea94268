"""Make docs/plots/symfed_status.svg: what `symfed status` prints of a federation of three clinics, in a real run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from rich.console import Console
from rich.text import Text
from sklearn.datasets import load_diabetes

PICTURE = Path(__file__).resolve().parents[1] / "plots" / "symfed_status.svg"
WIDTH = 90


def symfed(folder: Path, *arguments: str) -> str:
    """Run a command in a folder, and return what it prints."""
    command = [sys.executable, "-m", "sklearn_symfed.cli", *arguments]
    variables = {**os.environ, "COLUMNS": str(WIDTH), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    return subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout


def federate(folder: Path) -> None:
    """Let three nodes learn, publish, and hear of one another, the third of them not of everything yet."""
    data = load_diabetes(scaled=False)
    table = pa.table({**dict(zip(data.feature_names, data.data.T, strict=True)), "progression": data.target})
    names = ("north", "south", "west")
    for name, rows in zip(names, np.array_split(np.arange(len(table)), 3), strict=True):
        pyarrow.parquet.write_table(table.take(rows), folder / f"{name}.parquet")
    symfed(folder, "create", "patients", f"dir://{folder}/patients", "--home", "north", "--recovery-key-to", "key")
    symfed(folder, "learn", "north.parquet", "--home", "north")
    for name in names[1:]:
        symfed(folder, "invite", name, "--home", "north", "--to", f"{name}.invite", "--code-to", f"{name}.code")
        join = [sys.executable, "-m", "sklearn_symfed.cli", "join", f"{name}.invite", "--code-file", f"{name}.code"]
        with subprocess.Popen([*join, "--wait", "1m", "--home", name], cwd=folder) as joining:
            while joining.poll() is None:
                symfed(folder, "pulse", "--home", "north")
        symfed(folder, "learn", f"{name}.parquet", "--home", name)
    for name in (*names, "south", "north"):
        symfed(folder, "pulse", "--home", name)


def main() -> None:
    """Draw the table without fonts from elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        federate(Path(folder))
        shown = symfed(Path(folder), "status", "--home", "north").replace(folder, "/mnt/share")
    console = Console(record=True, width=WIDTH, file=Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    console.print(Text("$ symfed status --home north"))
    console.print(Text.from_ansi(shown.rstrip()))
    picture = console.export_svg(title="symfed status", unique_id="symfed")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    PICTURE.write_text("\n".join(line.rstrip() for line in picture.splitlines() if line.strip()) + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""Homes to begin with: a founder alone, and a pair that has joined."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for cli_shell

from cli_shell import as_csv, founded, symfed, table


@pytest.fixture
def home(tmp_path):
    """Return the home of a founder that has learned nothing yet."""
    return founded(tmp_path)


@pytest.fixture(scope="session")
def saved_pair(tmp_path_factory):
    """Return a folder with two homes and their carrier, and a copy of it: what codes are derived by takes its time."""
    live, saved = tmp_path_factory.mktemp("pair") / "live", tmp_path_factory.mktemp("pair") / "saved"
    live.mkdir()
    north, south = founded(live), live / "south"
    symfed("learn", as_csv(table(0, 120), live / "north.csv"), "--classes", "late", "--home", north)
    symfed("invite", "south", "--home", north, "--to", live / "invite", "--code-to", live / "code")
    symfed("join", live / "invite", "--code-file", live / "code", "--home", south, code=3)
    symfed("pulse", "--home", north)
    symfed("pulse", "--home", south)
    shutil.copytree(live, saved)
    return live, saved


@pytest.fixture
def pair(saved_pair):
    """Return the homes of a founder with rows, and of a member that has joined and knows the columns."""
    live, saved = saved_pair
    shutil.rmtree(live)
    shutil.copytree(saved, live)
    return live / "north", live / "south"

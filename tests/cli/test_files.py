"""`symfed learn` and `forget`: files of rows, each learned exactly once, as a whole or not at all."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet
import pytest
from cli_shell import answered, as_csv, digest, statistics, symfed, table

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.cli import _files


def test_a_file_is_learned_once_whatever_it_is_called(home, tmp_path, monkeypatch):
    """The same bytes are the same batches, also under another name; other bytes under that name are others."""
    monkeypatch.setattr(_files, "ROWS", 50)
    path = as_csv(table(0, 130), tmp_path / "a.csv")
    once = answered("learn", path, "--classes", "late", "--home", home)
    assert once["files"] == [
        {"file": str(path), "rows": 130, "dropped": 0, "outside": 0, "incomplete": 0, "batches": 3, "known_batches": 0}
    ]
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


def test_a_release_with_larger_batches_learns_no_file_again(home, tmp_path, monkeypatch):
    """A file that was begun in batches of one size is completed and forgotten in these, whatever others are read in."""
    path = as_csv(table(0, 130), tmp_path / "a.csv")
    monkeypatch.setattr(_files, "ROWS", 50)
    symfed("learn", path, "--classes", "late", "--home", home)
    monkeypatch.setattr(_files, "ROWS", 1000)
    assert answered("learn", path, "--home", home)["rows"] == 0
    assert digest(home) == statistics(table(0, 130)).digest
    assert answered("forget", path, "--home", home)["rows"] == 130


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


def test_columns_that_are_known_may_be_named_in_any_order_and_no_others(home, tmp_path):
    """`--columns` of a later file says the same columns, in whatever order; fewer or others are refused in words."""
    symfed("learn", as_csv(table(0, 50), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    more = as_csv(table(50, 90), tmp_path / "more.csv")
    for wrong in ("fare", "fare,distance,other", "fare,fare"):
        said = symfed("learn", more, "--columns", wrong, "--home", home, code=1).stderr
        assert "but expected those that are learned here, ['distance', 'fare']" in said
    symfed("learn", more, "--columns", "late,fare,distance", "--home", home)
    assert digest(home) == statistics(table(0, 90)).digest


def test_a_file_without_rows_is_not_said_to_be_known(home, tmp_path):
    """Where nothing was learned as there is nothing, or as all rows lack a value, that is said."""
    symfed("learn", as_csv(table(0, 50), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    header = as_csv(table(0, 0), tmp_path / "header.csv")
    assert symfed("learn", header, "--home", home).stdout == f"{header}: 0 rows learned\n"
    gaps = tmp_path / "gaps.csv"
    gaps.write_text("distance,fare,late\n1,,yes\n")
    said = symfed("learn", gaps, "--drop-missing", "--home", home).stdout
    assert said == f"{gaps}: 0 rows learned, 1 dropped, which lack a value\n"


def test_a_joiner_that_was_not_answered_yet_is_told_to_wait(home, tmp_path):
    """Its columns come with the answer, so a file is not read before: 3, and whose answer is missing."""
    south, invite, code = tmp_path / "south", tmp_path / "invite", tmp_path / "code"
    symfed("invite", "south", "--home", home, "--to", invite, "--code-to", code)
    symfed("join", invite, "--code-file", code, "--home", south, code=3)
    rows = as_csv(table(0, 50), tmp_path / "a.csv")
    assert "has not answered the request to join" in symfed("learn", rows, "--home", south, code=3).stderr
    symfed("pulse", "--home", home)
    symfed("pulse", "--home", south)
    assert "the first rows of an admin fix them" in symfed("learn", rows, "--home", south, code=3).stderr


@pytest.mark.parametrize(("columns", "expected"), [("", "got no columns"), ("fare,fare", "['fare'] more than once")])
def test_columns_are_some_and_each_once(home, tmp_path, columns, expected):
    """`--columns` that names none, or one twice, is refused in words."""
    path = as_csv(table(0, 9), tmp_path / "a.csv")
    assert expected in symfed("learn", path, "--columns", columns, "--home", home, code=1).stderr


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


def test_rows_outside_of_a_range_are_refused_or_dropped_and_counted(home, tmp_path, monkeypatch):
    """`--range` refuses a file, `--outside drop` leaves such rows out and says how many; `forget` counts them off."""
    monkeypatch.setattr(_files, "ROWS", 20)
    rows = table(0, 90).to_pydict()
    rows["fare"][70], rows["fare"][71], rows["distance"][5] = 600.25, -3.0, None
    path = as_csv(pa.table(rows), tmp_path / "wild.csv")
    options = ("--classes", "late", "--decimals", "fare=2", "--range", "fare=0:500", "--drop-missing", "--home", home)
    refused = symfed("learn", path, *options, code=1).stderr
    assert "2 of 20 rows" in refused
    assert "row 10 (counted from 0), but expected 0 to 500 in column 'fare'" in refused
    assert "counted from row 61 of the file" in refused
    assert "600" not in refused
    assert answered("digest", "--home", home)["rows"] == 0
    symfed("forget", path, "--home", home, code=1)
    other = tmp_path / "other"
    options = (*options[:-1], other, "--outside", "drop")
    with FederatedPSR(home=other) as node:
        node._node()
    learned = answered("learn", path, *options)
    assert (learned["rows"], learned["dropped"], learned["outside"]) == (87, 1, 2)
    assert learned["files"][0]["outside"] == 2
    assert [each["range"] for each in answered("describe", "--home", other)["columns"]] == [None, [0.0, 500.0]]
    assert "had been learned before" in symfed("learn", path, "--home", other, "--drop-missing").stdout
    whole = pa.concat_tables([table(0, 5), table(6, 70), table(72, 90)])
    want = statistics(whole, decimals={"fare": 2}, ranges={"fare": (0, 500)}, outside="drop")
    assert digest(other) == want.digest
    more = as_csv(table(90, 120).set_column(1, "fare", [[-1.0] * 30]), tmp_path / "more.csv")
    assert (
        "0 rows learned, 30 dropped, which are outside of their range" in symfed("learn", more, "--home", other).stdout
    )
    with FederatedPSR.open(other) as node:
        assert node.n_rows_dropped_ == 32
    assert answered("forget", path, "--home", other)["rows"] == 87
    with FederatedPSR.open(other) as node:
        assert (node.n_rows_dropped_, node.psr_.n_rows) == (30, 0)


@pytest.mark.parametrize("text", ["fare", "fare=", "fare=5", "fare=a:b", "fare=0:5:9"])
def test_a_range_that_is_none_is_wrong_usage(home, tmp_path, text):
    """A range is two numbers, of which one may lack."""
    path = as_csv(table(0, 9), tmp_path / "a.csv")
    symfed("learn", path, "--classes", "late", "--range", text, "--home", home, code=2)
    assert (
        "no float64"
        in symfed("learn", path, "--classes", "late", "--range", "fare=nan:", "--home", home, code=1).stderr
    )


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

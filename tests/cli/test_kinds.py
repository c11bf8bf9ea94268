"""`symfed learn` of columns that are no plain numbers: categories, dates, and values that are missing."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from cli_shell import answered, digest, symfed

from sklearn_symfed import PSR, FederatedRidge
from sklearn_symfed.cli import _files

ROWS = {
    "carrier": ["AA", "UA", "DL", None, "AA", "UA"] * 20,
    "origin": ["JFK", "LGA", "EWR", "JFK", "LGA", "07"] * 20,
    "age": [30.5, None, 41.0, 50.0, None, 12.25] * 20,
    "pickup": [f"2013-01-0{day} 05:15:00" for day in (1, 2, 3, 4, 5, 6)] * 20,
    "late": ["yes", "no", "yes", "no", "no", "yes"] * 20,
}
SAID = {
    "categories": {"carrier": ["AA", "UA", "other"], "origin": None},
    "missing": {"carrier": "listwise", "age": "pairwise"},
    "units": {"pickup": "s"},
}
OPTIONS = [
    *("--classes", "late", "--categories", "carrier,origin", "--levels", "carrier=AA,UA,other"),
    *("--missing", "carrier=listwise", "--missing", "age=pairwise", "--unit", "pickup=s"),
]


def frame(**changed):
    return pd.DataFrame({**ROWS, **changed})


def learned(rows, **said):
    rows = rows.assign(pickup=pd.to_datetime(rows.pickup))
    return PSR.from_rows(rows, **{"classes": "late", **SAID, **said})


def csv(rows, path):
    rows.to_csv(path, index=False)
    return path


def parquet(rows, path):
    types = {"carrier": pa.dictionary(pa.int32(), pa.string()), "pickup": pa.timestamp("us")}
    rows = rows.assign(pickup=pd.to_datetime(rows.pickup))
    fields = [pa.field(name, types.get(name, pa.float64() if name == "age" else pa.string())) for name in rows]
    pyarrow.parquet.write_table(pa.Table.from_pandas(rows, pa.schema(fields), preserve_index=False), path)
    return path


@pytest.mark.parametrize("write", [csv, parquet])
def test_what_is_said_once_is_learned(home, tmp_path, monkeypatch, write):
    """Text is learned as categories, dates in their unit, and missing values as was said; later files go by that."""
    monkeypatch.setattr(_files, "ROWS", 50)
    first = answered("learn", write(frame(), tmp_path / "a"), *OPTIONS, "--home", home)
    assert (first["rows"], first["incomplete"], first["dropped"], first["outside"]) == (100, 20, 0, 0)
    one = learned(frame())
    assert digest(home) == one.digest
    more = frame(origin=["SFO", "JFK"] * 60)
    symfed("learn", write(more, tmp_path / "b"), "--home", home)
    assert digest(home) == (one + learned(more)).digest
    forgotten = answered("forget", tmp_path / "a", "--home", home)
    assert forgotten["rows"] == 100
    assert digest(home) == learned(more).digest


def test_what_was_declared_is_told(home, tmp_path):
    """`describe` and `status` show categories with their levels, missing values and units."""
    symfed("learn", csv(frame(), tmp_path / "a.csv"), *OPTIONS, "--home", home)
    facts = {
        "categories": {"carrier": ["AA", "UA", "other"], "origin": ["07", "EWR", "JFK", "LGA"]},
        "missing": {"carrier": "listwise", "age": "pairwise"},
        "units": {"pickup": "s"},
    }
    for command in ("describe", "status"):
        found = answered(command, "--home", home)
        assert {key: found[key] for key in facts} == facts
    assert answered("describe", "--home", home)["incomplete"] == 20
    text = symfed("describe", "--home", home).stdout
    assert "left out as incomplete: 20 rows" in text
    assert "missing of age: pairwise" in text
    assert (
        "100 rows learned, 20 left out as incomplete"
        in symfed("learn", csv(frame(origin="X"), tmp_path / "b.csv"), "--home", home).stdout
    )


@pytest.mark.parametrize("mode", ["listwise", "pairwise", "indicator"])
def test_one_mode_for_all_columns(home, tmp_path, mode):
    """A mode without a name is that of every column; labels are no such column."""
    rows = frame()[["carrier", "age", "late"]]
    symfed("learn", csv(rows, tmp_path / "a.csv"), "--categories", "carrier", "--missing", mode, "--home", home,
           "--classes", "late")  # fmt: skip
    assert digest(home) == PSR.from_rows(rows, classes="late", categories=["carrier"], missing=mode).digest
    rows.loc[3, "late"] = None
    path = csv(rows, tmp_path / "b.csv")
    assert "column 'late' lacks a value in row 4" in symfed("learn", path, "--home", home, code=1).stderr
    assert answered("learn", path, "--drop-missing", "--home", home)["dropped"] == 1


@pytest.mark.parametrize("write", [csv, parquet])
def test_text_and_dates_of_which_nothing_is_said_are_refused(home, tmp_path, write):
    """The message names the options, and no value; missing values are refused, or dropped, as ever."""
    path = write(frame(), tmp_path / "a")
    error = symfed("learn", path, "--classes", "late", "--home", home, code=1).stderr
    assert "column 'carrier'" in error
    assert "--categories NAME" in error
    assert "UA" not in error
    said = ["--classes", "late", "--categories", "carrier,origin", "--columns", "carrier,origin,age", "--home", home]
    error = symfed("learn", path, *said, code=1).stderr
    assert "say with --missing what becomes of them" in error
    assert answered("learn", path, *said, "--drop-missing")["dropped"] == 60


def test_dates_of_parquet_need_a_unit(home, tmp_path):
    """A column of dates is no column of numbers unless a unit says so."""
    table = pa.table({"day": [dt.date(2013, 1, 1), dt.date(2013, 1, 2)], "x": [1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "a")
    assert "--unit NAME=s" in symfed("learn", tmp_path / "a", "--home", home, code=1).stderr
    symfed("learn", tmp_path / "a", "--unit", "day=D", "--home", home)
    assert digest(home) == PSR.from_rows(table, units={"day": "D"}).digest


def test_what_is_no_date_is_refused(home, tmp_path):
    """The first cell that is no date is named, offsets are taken into account, and so are nanoseconds."""
    path = tmp_path / "a.csv"
    path.write_text("t\n2013-01-01T00:00:00\nsecret\n")
    error = symfed("learn", path, "--unit", "t=s", "--home", home, code=1).stderr
    assert "column 't', row 2 (counted from 1, without the header) holds no date" in error
    assert "secret" not in error
    path.write_text("t\n2013-01-01T00:00:00.5\n")
    assert "no whole numbers of 's'" in symfed("learn", path, "--unit", "t=s", "--home", home, code=1).stderr
    path.write_text("t\n1970-01-01T01:00:00+01:00\n1970-01-01T00:00:05Z\n")
    symfed("learn", path, "--unit", "t=s", "--home", home)
    assert digest(home) == PSR.from_rows(pd.to_datetime(pd.DataFrame({"t": [0, 5]}).t, unit="s").to_frame(),
                                         units={"t": "s"}).digest  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--levels", "carrier"], "NAME=LEVELS"),
        (["--levels", "carrier="], "NAME=LEVELS"),
        (["--missing", "sometimes"], "one of listwise, pairwise, indicator"),
        (["--missing", "age=sometimes"], "one of listwise, pairwise, indicator"),
        (["--missing", "listwise", "--missing", "age=pairwise"], "each as NAME=MODE"),
        (["--unit", "pickup"], "NAME=UNIT"),
    ],
)
def test_wrong_options_are_wrong_usage(home, tmp_path, options, said):
    """What is no option is told before a file is opened."""
    result = symfed("learn", csv(frame(), tmp_path / "a.csv"), *options, "--home", home, code=2)
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_contradictions_are_refused(home, tmp_path):
    """What is said otherwise later, or of columns that there are not, is refused and nothing is learned."""
    symfed("learn", csv(frame(), tmp_path / "a.csv"), *OPTIONS, "--home", home)
    before = digest(home)
    more = csv(frame(origin="SFO"), tmp_path / "b.csv")
    for options in (["--levels", "carrier=AA,other"], ["--missing", "age=indicator"], ["--unit", "pickup=ms"],
                    ["--categories", "age"], ["--unit", "pickup=years"], ["--categories", "none"]):  # fmt: skip
        symfed("learn", more, *options, "--home", home, code=1)
        assert digest(home) == before


def test_levels_may_hold_what_separates_them(home, tmp_path):
    """Levels are separated as cells of CSV are."""
    rows = pd.DataFrame({"c": ["a,b", "x=y", "z"] * 10, "x": range(30)})
    symfed("learn", csv(rows, tmp_path / "a.csv"), "--levels", 'c="a,b", x=y,other', "--home", home)
    assert digest(home) == PSR.from_rows(rows, categories={"c": ["a,b", "x=y", "other"]}).digest


def test_a_model_of_categories_predicts_for_files_of_them(home, tmp_path):
    """A file needs the columns that were learned, not their indicators; a level that is not known has zeros."""
    rows = frame()[["carrier", "age", "late"]].assign(delay=range(120))
    symfed("learn", csv(rows, tmp_path / "a.csv"), "--categories", "carrier", "--missing", "carrier=indicator",
           "--missing", "age=indicator", "--classes", "late", "--home", home)  # fmt: skip
    symfed("fit", "ridge", "--target", "delay", "--out", tmp_path / "m.skops", "--home", home)
    file = csv(rows.assign(carrier=rows.carrier.replace("DL", "ZZ"))[["age", "carrier"]], tmp_path / "b.csv")
    symfed("predict", tmp_path / "m.skops", file, "--out", tmp_path / "out.csv")
    missing = {"carrier": "indicator", "age": "indicator"}
    psr = PSR.from_rows(rows, classes="late", categories=["carrier"], missing=missing)
    model = FederatedRidge().fit(psr.drop("late"), "delay").to_sklearn()
    features = pd.DataFrame({"age": rows.age.fillna(0.0), "missingindicator_age": rows.age.isna() * 1.0})
    for level in ("AA", "DL", "UA"):
        features[f"carrier={level}"] = (rows.carrier == level) * (level != "DL") * 1.0
    features["missingindicator_carrier"] = rows.carrier.isna() * 1.0
    expected = model.predict(features[model.feature_names_in_])
    assert pd.read_csv(tmp_path / "out.csv").prediction.to_numpy() == pytest.approx(expected, rel=1e-12)
    lacking = csv(rows[["age"]], tmp_path / "c.csv")
    error = symfed("predict", tmp_path / "m.skops", lacking, "--out", tmp_path / "out.csv", code=1).stderr
    assert "got no columns ['carrier=AA', 'carrier=DL', 'carrier=UA', 'missingindicator_carrier'" in error

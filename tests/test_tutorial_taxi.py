"""The taxi tutorial and its script: rules that count, errors that say what is wrong, and pages that stay true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

DOCS = Path(__file__).resolve().parents[1] / "docs"
SCRIPT = DOCS / "examples" / "taxi.py"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MONTHS = ("2019-02", "2019-03")

GOOD = {
    "tpep_pickup_datetime": "2019-02-07 15:48:06",
    "tpep_dropoff_datetime": "2019-02-07 16:00:40",
    "Passenger_Count": 2,
    "trip_distance": 1.5,
    "payment_type": 1,
    "fare_amount": 9.0,
    "tip_amount": 2.5,
    "VendorID": 1,
}
BAD = {
    "a value is missing or unreadable": [
        {"trip_distance": None},
        {"fare_amount": float("inf")},
        {"tpep_dropoff_datetime": None},
        {"payment_type": None},
    ],
    "paid neither by card nor in cash": [{"payment_type": 3}],
    "fare zero or negative": [{"fare_amount": 0.0}, {"fare_amount": -4.5, "trip_distance": -1.0}],
    "fare above 500 dollars": [{"fare_amount": 500.01}, {"fare_amount": 429490.2}],
    "tip negative": [{"tip_amount": -0.01}],
    "distance zero or negative": [{"trip_distance": 0.0}],
    "distance above 100 miles": [{"trip_distance": 259778.0}],
    "shorter than 1 minute": [{"tpep_dropoff_datetime": "2019-02-07 15:49:05"}],
    "longer than 180 minutes": [{"tpep_dropoff_datetime": "2019-02-07 18:48:07"}],
    "passengers not 0 to 9": [{"Passenger_Count": 192}, {"Passenger_Count": -1}],
    "pickup outside the file's month": [
        {"tpep_pickup_datetime": f"{day} 12:00:00", "tpep_dropoff_datetime": f"{day} 12:10:00"}
        for day in ("2008-12-31", "2019-01-30", "2019-03-02")
    ],
}
AT_THE_EDGE = [
    {"fare_amount": 500.0, "trip_distance": 100.0, "tip_amount": 0.0, "Passenger_Count": 9},
    {"fare_amount": 0.01, "trip_distance": 0.01, "payment_type": 2, "Passenger_Count": 0},
    {"tpep_dropoff_datetime": "2019-02-07 15:49:06"},
    {"tpep_dropoff_datetime": "2019-02-07 18:48:06"},
    {"tpep_pickup_datetime": "2019-01-31 00:00:00", "tpep_dropoff_datetime": "2019-01-31 00:10:00"},
    {"tpep_pickup_datetime": "2019-03-01 23:59:59", "tpep_dropoff_datetime": "2019-03-02 00:10:00"},
]


@pytest.fixture
def taxi(monkeypatch: pytest.MonkeyPatch):
    """Import the script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import taxi

    return taxi


@pytest.fixture
def months(shared: Path) -> list[Path]:
    """Two months of real trips, 10,000 each."""
    files = [shared / "data" / "taxi" / f"yellow_tripdata_sample_{month}.csv.gz" for month in MONTHS]
    if not all(file.is_file() for file in files):
        pytest.skip("the taxi samples do not lie beside this checkout")
    return files


def write(path: Path, trips: pd.DataFrame) -> Path:
    """Write trips as what the name says."""
    if path.suffix == ".parquet":
        trips.to_parquet(path)
    else:
        trips.to_csv(path, index=False)
    return path


def dirty() -> pd.DataFrame:
    """Trips of which each breaks the rule that it is listed under, and some that just do not."""
    return pd.DataFrame([GOOD | change for change in [*(row for rows in BAD.values() for row in rows), *AT_THE_EDGE]])


def many(month: str, prefix: str = "tpep_") -> pd.DataFrame:
    """Good trips of a month that determine all models, and enough of each class to be published."""
    number = pd.Series(range(120))
    pickup = pd.Timestamp(f"{month}-03 05:00:00") + pd.to_timedelta(number * 53, unit="min")
    return pd.DataFrame(
        {
            f"{prefix}pickup_datetime": pickup,
            f"{prefix}dropoff_datetime": pickup + pd.to_timedelta(120 + number * 37 % 1100, unit="s"),
            "passenger_count": number % 4 + 1,
            "trip_distance": 0.3 + number * 29 % 71 / 10,
            "payment_type": number % 3 % 2 + 1,
            "fare_amount": 2.5 + number * 31 % 67 / 2,
            "tip_amount": (number % 3 % 2 == 0) * (number * 7 % 11) / 4,
        }
    )


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script as a user does, with warnings as errors."""
    env = os.environ | {"PYTHONPATH": str(DOCS.parent), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-W", "error", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=env, timeout=120, check=False)


def stable(text: str) -> str:
    """Leave out what may differ between machines and formats: digests, keys, sizes, rounding of other libraries."""
    text = re.sub(r"\b([0-9A-Z]{4}-){4,12}[0-9A-Z]{4}\b", "<key>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "<digest>", text)
    return re.sub(r"\d\.\de-\d\d|[\d,]+ bytes", "<figure>", text).strip()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_each_rule_counts_what_breaks_it(taxi, tmp_path: Path, kind: str) -> None:
    """Each rule drops exactly the trips that break it first, and a trip at the edge of all rules stays."""
    path = write(tmp_path / f"yellow_tripdata_2019-02.{kind}", dirty())
    kept, dropped = taxi.clean(taxi.read_trips(path))
    assert dropped == {rule: len(rows) for rule, rows in BAD.items()}
    assert list(dropped) == list(taxi.RULES)
    assert len(kept) == len(AT_THE_EDGE)
    assert kept["duration"].tolist()[2:4] == [1.0, 180.0]
    assert kept["paid_by"].tolist()[:2] == ["card", "cash"]


def test_load_adds_up(taxi, tmp_path: Path) -> None:
    """Of the rows that a node reads, each is kept or counted at one rule, over all of its files and up to its limit."""
    files = [write(tmp_path / f"yellow_tripdata_2019-02.{kind}", dirty()) for kind in ("csv", "parquet")]
    for rows, read in ((None, 2 * len(dirty())), (len(dirty()) + 3, len(dirty()) + 3), (2, 2)):
        if read == 2:
            with pytest.raises(taxi.InputError, match="no trip is left"):
                taxi.load(files, rows)
            continue
        kept, counts = taxi.load(files, rows)
        assert counts["rows read"] == read
        assert counts["trips kept"] == sum(map(len, kept.values()))
        assert 2 * counts["rows read"] == sum(counts.values())


@pytest.mark.parametrize(
    "rename",
    [
        {},
        {"tpep_pickup_datetime": "lpep_pickup_datetime", "tpep_dropoff_datetime": "Lpep_dropoff_datetime"},
        {"tpep_pickup_datetime": " pickup_datetime", "tpep_dropoff_datetime": " dropoff_datetime"},
        {
            "tpep_pickup_datetime": "Trip_Pickup_DateTime",
            "tpep_dropoff_datetime": "Trip_Dropoff_DateTime",
            "trip_distance": "Trip_Distance",
            "fare_amount": "Fare_Amt",
            "tip_amount": "Tip_Amt",
            "payment_type": "Payment_Type",
        },
    ],
    ids=["yellow", "green", "2014", "2009"],
)
def test_names_of_all_years_are_read(taxi, tmp_path: Path, rename: dict[str, str]) -> None:
    """The columns are found under the names of either service and of any year, and read alike."""
    plain = taxi.read_trips(write(tmp_path / "plain-2019-02.csv", dirty()))
    renamed = taxi.read_trips(write(tmp_path / "renamed-2019-02.csv", dirty().rename(columns=rename)))
    pd.testing.assert_frame_equal(plain, renamed)


@pytest.mark.parametrize(("code", "paid_by"), [("CRD", "card"), ("Credit", "card"), ("CASH", "cash"), ("No", "other")])
def test_words_for_payment_are_read(taxi, tmp_path: Path, code: str, paid_by: str) -> None:
    """Payments are read as numbers and as the words that early years had."""
    path = write(tmp_path / "words.csv", pd.DataFrame([GOOD | {"payment_type": code}]))
    assert taxi.read_trips(path)["paid_by"].tolist() == [paid_by]


def test_times_of_the_portal_and_surplus_fields_are_read(taxi, tmp_path: Path) -> None:
    """Twelve-hour times are read, and fields beyond the names of a row move no value into another column."""
    path = tmp_path / "green.csv"
    path.write_text(
        "lpep_pickup_datetime,Lpep_dropoff_datetime,Passenger_count,Trip_distance,Fare_amount,Tip_amount,Payment_type\n"
        "02/07/2019 11:48:00 PM,02/08/2019 12:03:30 AM,1,2.5,12,0,2\n"
    )
    assert taxi.read_trips(path)[["duration", "pickup_hour", "fare_amount"]].to_numpy().tolist() == [[15.5, 23.0, 12.0]]


def test_files_of_both_kinds_federate(tmp_path: Path) -> None:
    """Three nodes, of yellow csv, green parquet and both, pass every check of the script."""
    files = [
        write(tmp_path / "yellow_tripdata_2019-02.csv", many("2019-02")),
        write(tmp_path / "green_tripdata_2019-02.parquet", many("2019-02", "lpep_")),
        write(tmp_path / "yellow_tripdata_2019-03.csv.gz", many("2019-03")),
        write(tmp_path / "green_tripdata_2019-03.parquet", many("2019-03", "lpep_")),
    ]
    done = run(*files, "--nodes", 3, "--rows", 110, "--url", f"dir://{(tmp_path / 'share').as_posix()}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("330 trips in ") == 3
    assert "12 of 12 statements hold." in done.stdout
    assert (tmp_path / "share").is_dir()


def test_a_trip_withheld_is_noticed(taxi, tmp_path: Path, monkeypatch, capsys) -> None:
    """If one node does not learn one of its trips, the script says what does not hold and its exit code is 1."""
    learn = taxi.days
    withheld = []

    def without_one(trips: pd.DataFrame) -> dict[str, pd.DataFrame]:
        batches = learn(trips)
        if not withheld:
            first = next(iter(batches))
            withheld.append(first)
            batches[first] = batches[first].iloc[1:]
        return batches

    monkeypatch.setattr(taxi, "days", without_one)
    files = [write(tmp_path / f"yellow_tripdata_{month}.csv", many(month)) for month in MONTHS]
    assert taxi.main([str(file) for file in files]) == 1
    out = capsys.readouterr().out
    assert "FAILED: it is the digest of all rows" in out
    assert "FAILED: ridge: every fitted attribute is equal on all nodes and centrally" in out


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        (["none.csv", "good.csv"], [], "there is no such file"),
        (["good.csv"], [], r"Got 1 file\(s\) for 2 nodes"),
        (["good.csv", "good.csv"], [], "good.csv more than once"),
        (["good.csv", "notes.txt"], [], "expected a name that ends with"),
        (["good.csv", "other.csv"], [], "other.csv, which lacks: .*fare_amount or fare_amt.*its columns are a, b"),
        (["good.csv", "torn.parquet"], [], "torn.parquet, which cannot be read"),
        (["good.csv", "few.csv"], ["--rows", "3"], "expected at least 30"),
        (["good.csv", "few.csv"], ["--nodes", "1"], "expected at least 2"),
        (["good.csv", "few.csv"], ["--url", "pigeon://loft"], "transport URL"),
    ],
)
def test_bad_input_is_named(taxi, tmp_path: Path, capsys, files, arguments, message: str) -> None:
    """Input that cannot be used ends with exit code 2 and one line that says what we got and what was expected."""
    write(tmp_path / "good.csv", many("2019-02"))
    write(tmp_path / "few.csv", many("2019-02"))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "notes.txt").write_text("a,b\n1,2\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    assert taxi.main([*(str(tmp_path / file) for file in files), *arguments]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"taxi\.py: Got .+\n", said), said
    assert re.search(message, said), said


def test_script_prints_what_the_tutorial_shows(months: list[Path]) -> None:
    """On two months of real trips every check holds, and the output is the one in the tutorial."""
    done = run(*months)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [text for kind, text in BLOCK.findall((DOCS / "tutorial_taxi.md").read_text("utf-8")) if kind == "text"]
    assert stable(done.stdout) in [stable(text) for text in shown]


def test_tutorial_runs_as_it_is_pasted(taxi, months: list[Path], tmp_path: Path, monkeypatch, capsys) -> None:
    """The Python blocks of the tutorial run in order, and each prints what the page shows below it."""
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "tutorial_taxi.md").read_text("utf-8")
    for month, file in zip(MONTHS, months, strict=True):
        assert f"yellow_tripdata_{month}.parquet" in page
        page = page.replace(f"yellow_tripdata_{month}.parquet", file.as_posix())
    blocks, names, ran = BLOCK.findall(page), {"__name__": "tutorial"}, 0
    for number, (kind, code) in enumerate(blocks):
        if kind != "python":
            continue
        exec(compile(code, f"tutorial_taxi.md, block {number}", "exec"), names)
        printed, (following, shown) = capsys.readouterr().out, (*blocks, ("", ""))[number + 1]
        if printed:
            assert following == "text", printed
            assert stable(printed) == stable(shown)
        ran += 1
    assert ran >= 6

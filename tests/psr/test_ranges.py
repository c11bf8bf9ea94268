"""Rows outside of the ranges of their columns are refused, or left out as if they had never been."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed import FederatedGaussianNB, FederatedPCA, FederatedRidge, fitted_digests
from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.psr import PSR, Schema, learn_rows
from sklearn_symfed.psr._ranges import outside_of
from sklearn_symfed.testing import class_labels, weights

_X0 = {"x0": (-1.5, 2)}
_DROP = {"ranges": _X0, "outside": "drop"}


# -- schemas ---------------------------------------------------------------------------------------------------------


def test_ranges_are_part_of_a_schema():
    """They make schemas differ, in words; their order and the type of a bound do not count."""
    one = Schema(["a", "b"], "late", {"a": 2}, {"a": (0, 500), "b": (None, 1.5)}, "drop")
    same = Schema(["b", "a"], "late", {"a": 2}, {"b": [-np.inf, np.float32(1.5)], "a": (-0.0, Fraction(500))}, "drop")
    assert (one, hash(one)) == (same, hash(same))
    assert one == Schema(["a", "b"], "late", {"a": 2}, one.ranges, "drop")
    assert one.ranges == {"a": (0.0, 500.0), "b": (-np.inf, 1.5)}
    assert pickle.loads(pickle.dumps(one)) == one
    assert repr(one).endswith("ranges={'a': (0.0, 500.0), 'b': (-inf, 1.5)}, outside='drop')")
    assert one.differences(Schema(["a", "c"], "late", {"a": 2}, {"a": (0, 400)})) == [
        "missing columns: ['b']",
        "unexpected columns: ['c']",
        "range of column 'a': 0 to 400 instead of 0 to 500",
        "outside='error' instead of 'drop'",
    ]
    assert one.differences(one.without_ranges()) == [
        "range of column 'a': none instead of 0 to 500",
        "range of column 'b': none instead of at most 1.5",
    ]
    assert one != Schema(one.names, "late", {"a": 2}, one.ranges, "error")


def test_ranges_follow_their_columns():
    """Chosen columns keep theirs; where none has one, what is outside means nothing."""
    schema = Schema(["a", "b"], "late", ranges={"b": (0, 1)}, outside="drop")
    assert schema.select(["b"]) == Schema(["b"], ranges={"b": (0, 1)}, outside="drop")
    assert schema.select(["a"], "late") == Schema(["a"], "late") == Schema(["a"], "late", outside="drop")
    psr = PSR.from_rows([[1.0, 2.0], [3.0, 4.0]], **_DROP)
    assert psr.select(["x1", "x0"]).schema == Schema(["x0", "x1"], **_DROP)
    assert psr.drop("x0") == PSR.from_rows([[1.0, 2.0]]).drop("x0")
    assert psr.without_ranges() == PSR.from_rows([[1.0, 2.0]])
    with pytest.raises(SchemaError, match=r"range of column 'x0': none instead of -1\.5 to 2"):
        psr + PSR.from_rows([[1.0, 2.0]])


BAD = {
    "no mapping": ([("a", (0, 1))], {}, "ranges of type list"),
    "an unknown column": ({"c": (0, 1)}, {}, "ranges of unknown columns ['c']"),
    "the class column": ({"late": (0, 1)}, {}, "ranges of unknown columns ['late']"),
    "a name twice": ({"é": (0, 1), "e\u0301": (0, 1)}, {}, "ranges of column 'é' twice"),
    "one number": ({"a": 5}, {}, "a range of type int"),
    "a string": ({"a": "01"}, {}, "a range of type str"),
    "three bounds": ({"a": (0, 1, 2)}, {}, "a range of 3 bounds"),
    "bounds that are True": ({"a": (0, True)}, {}, "a bound of type bool"),
    "bounds that are text": ({"a": ("0", "1")}, {}, "a bound of type str"),
    "a bound that is NaN": ({"a": (float("nan"), 1)}, {}, "no float64"),
    "a bound that float64 rounds": ({"a": (0, 2**53 + 1)}, {}, "no float64"),
    "a fraction that float64 rounds": ({"a": (Fraction(1, 3), None)}, {}, "no float64"),
    "a bound beyond float64": ({"a": (0, 10**400)}, {}, "no float64"),
    "infinities at the wrong ends": ({"a": (float("inf"), None)}, {}, "no float64"),
    "no bound": ({"a": (None, float("inf"))}, {}, "without a finite bound"),
    "an empty range": ({"a": (1, 0)}, {}, "low <= high"),
    "another word": ({"a": (0, 1)}, {"outside": "clip"}, "outside='clip', but expected 'error' or 'drop'"),
    "no word": ({"a": (0, 1)}, {"outside": None}, "outside=None"),
    "a bound that is no such decimal": ({"a": (0, 0.125)}, {"decimals": {"a": 2}}, "no decimal of 2 digits"),
    "a bound that is too large": ({"a": (0, 2.0**60)}, {"decimals": {"a": 2}}, "no decimal of 2 digits"),
}


@pytest.mark.parametrize(("ranges", "more", "message"), BAD.values(), ids=BAD)
def test_bad_ranges_are_refused(ranges, more, message):
    """Each misuse is a SchemaError that says what was got."""
    with pytest.raises(SchemaError) as caught:
        Schema(["a", "é"], "late", ranges=ranges, **more)
    assert message in str(caught.value)


def test_no_ranges_leave_bytes_and_digests_as_they_were():
    """An empty declaration is none, and its bytes are those of rows without any."""
    plain = PSR.from_rows([[1.0, 2.0]])
    assert PSR.from_rows([[1.0, 2.0]], ranges={}, outside="drop").to_bytes() == plain.to_bytes()
    assert PSR.from_rows([[1.0, 2.0]], ranges=_X0).digest != plain.digest
    assert PSR.from_rows([[1.0, 2.0]], ranges=_X0) != PSR.from_rows([[1.0, 2.0]], **_DROP)


# -- dropping --------------------------------------------------------------------------------------------------------


def _inside(x, low=-1.5, high=2):
    return np.array([low <= value <= high for value in x[:, 0].tolist()], dtype=bool)


@st.composite
def _tables(draw):
    """Draw rows of three columns of one dtype, many of them at a bound or outside, labels, and weights."""
    n_rows = draw(st.integers(1, 12))
    value = st.sampled_from([-2.0, -1.5, np.nextafter(-1.5, -9), -0.0, 1.0, 2.0, np.nextafter(2, 9), 3.0, 1e300])
    rows = draw(st.lists(st.tuples(value, value, value), min_size=n_rows, max_size=n_rows))
    dtype = draw(st.sampled_from(["f8", "f4", "i8", "u1", "i2"]))
    with np.errstate(over="ignore", invalid="ignore"):
        x = np.array(rows) if dtype == "f8" else np.clip(rows, 0 if dtype == "u1" else -2, 3).astype(dtype)
    return x, draw(class_labels(n_rows)), draw(weights(n_rows))


@settings(deadline=None, max_examples=40)
@given(table=_tables(), data=st.data())
def test_dropping_is_learning_the_rows_that_are_left(table, data):
    """Frames, arrays, weights, classes, batches, rows one by one: all have the digest of the rows inside."""
    x, labels, weight = table
    keys, inside = np.array(labels, dtype=object), _inside(x)
    frame = pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "x2": x[:, 2].astype(float)})
    plain = PSR.from_rows(x[inside], **_DROP)
    assert plain == PSR.from_rows(x[inside], ranges=_X0, outside="drop")
    assert plain.n_rows == inside.sum()
    for held in (x, np.asfortranarray(x), x.tolist(), frame, pl.DataFrame(frame), pa.Table.from_pandas(frame)):
        assert learn_rows(held, **_DROP) == (plain, (~inside).sum())
    assert learn_rows(iter(x), **_DROP) == (plain, (~inside).sum())
    cut = data.draw(st.integers(0, len(x)))
    parts = [learn_rows(part, **_DROP) for part in (x[:cut], x[cut:])]
    assert (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]) == (plain, (~inside).sum())
    by_class = {"classes": "y", **_DROP}
    want = PSR.from_rows(x[inside], keys[inside], sample_weight=weight[inside], **by_class)
    count = weight[~inside].sum() if weight.dtype.kind == "i" else np.count_nonzero(weight[~inside])
    assert learn_rows(x, keys, weight, **by_class) == (want, count)
    triples = ((x[i : i + 5], keys[i : i + 5], weight[i : i + 5]) for i in range(0, len(x), 5))
    assert learn_rows(triples, **by_class) == (want, count)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u8", "?"])
@pytest.mark.parametrize("shape", [(1, 1), (5_000, 1), (5_000, 3), (700, 40), (3, 2_000)])
def test_what_is_outside_is_found_wherever_it_lies(dtype, shape):
    """Blocks of any form and type are compared as each number would be, by Python."""
    rng = np.random.default_rng(0)
    block = rng.integers(0, 2 if dtype == "?" else 20, shape).astype(dtype)
    if dtype[0] == "f":
        block += np.array(rng.normal(size=shape), dtype) / 4
        block[0, -1] = np.nan
    for layout in (block, np.asfortranarray(block), block[::-1]):
        for columns in (range(shape[1]), [shape[1] - 1]):
            ranges = {column: (0.5 * (column % 3), 18.25 if column % 2 else np.inf) for column in columns}
            found = outside_of(layout, ranges, {})
            want = {
                column: [value < low or value > high for value in layout[:, column].tolist()]
                for column, (low, high) in ranges.items()
            }
            assert {column: marked.tolist() for column, marked in found.items()} == {
                column: marked for column, marked in want.items() if any(marked)
            }


def test_numbers_are_compared_as_they_are():
    """No integer is rounded to be compared, and no float to that of a shorter type."""
    large = np.array([2**53, 2**53 + 1, -(2**63), 2**63 - 1])[:, None]
    assert PSR.from_rows(large, ranges={"x0": (2.0**53, 2.0**63)}, outside="drop").n_rows == 3
    assert PSR.from_rows(large, ranges={"x0": (None, 2.0**53)}, outside="drop").n_rows == 2
    assert PSR.from_rows(large, ranges={"x0": (-1e300, 1e300)}).n_rows == 4
    assert PSR.from_rows(large, ranges={"x0": (1e300, None)}, outside="drop").n_rows == 0
    assert PSR.from_rows(large.astype("u8"), ranges={"x0": (-5, 2**60)}, outside="drop").n_rows == 2
    tenth = np.array([[0.1]], dtype=np.float32)
    assert PSR.from_rows(tenth, ranges={"x0": (None, 0.1)}, outside="drop").n_rows == 0
    assert PSR.from_rows(tenth, ranges={"x0": (0.1, None)}).n_rows == 1


@pytest.mark.parametrize("dtype", ["f8", "f4", "object"])
def test_decimals_are_compared_as_decimals(dtype):
    """A tenth is within a bound of a tenth, whatever type holds it; what is no such decimal may lie outside."""
    texts = ["-0.1", "0.1", "0.3", "0.7", "0.8"]
    values = [Decimal(text) if dtype == "object" else float(text) for text in texts]
    frame = pd.DataFrame({"fare": np.array(values, dtype=dtype)})
    declared = {"decimals": {"fare": 1}, "ranges": {"fare": (0.1, 0.7)}, "outside": "drop"}
    assert learn_rows(frame, **declared) == (PSR.from_rows(frame[1:4], **declared), 2)
    if dtype != "object":
        wild = pd.concat([frame, pd.DataFrame({"fare": np.array([-0.123, 1e30], dtype=dtype)})])
        assert learn_rows(wild, **declared) == (PSR.from_rows(frame[1:4], **declared), 4)
    whole = pd.DataFrame({"fare": [0, 1, 2]})
    assert PSR.from_rows(whole, **{**declared, "ranges": {"fare": (0.1, 1.9)}}).moments().mean == [1.0]


def test_bytes_hold_the_ranges():
    """They come back as they went, and what no writer writes is refused elsewhere."""
    rows = pd.DataFrame({"b": [1.0, 2.0], "a": [3.0, -4.0], "c": [0.5, 0.25], "late": [True, False]})
    ranges = {"c": (0, None), "b": (None, 1.5)}
    for outside in ("error", "drop"):
        psr = PSR.from_rows(rows[:1], classes="late", decimals={"a": 0}, ranges=ranges, outside=outside)
        again = PSR.from_bytes(psr.to_bytes())
        assert (again, again.schema, again.names, again.to_bytes()) == (psr, psr.schema, psr.names, psr.to_bytes())
        assert psr.select(["a", "c", "b", "late"]).digest == psr.digest
    assert "b: at most 1.5, c: at least 0" in psr._repr_html_()


# -- refusing --------------------------------------------------------------------------------------------------------

_ROWS = pd.DataFrame({"fare": [1.0, 600.25, 3.0, -1.0, 5.0], "tip": [0.0, 0.0, 99.0, 0.0, 0.0]})
_RANGES = {"fare": (0, 500), "tip": (None, 50.5)}


def test_a_row_outside_is_refused_by_column_position_and_bounds():
    """How many, the first of them, its column and its range are told, and no value."""
    with pytest.raises(DataError, match=r"^Got 3 of 5 rows outside .* row 1 .* 0 to 500 in column 'fare'") as caught:
        PSR.from_rows(_ROWS, ranges=_RANGES)
    assert "600" not in str(caught.value)
    with pytest.raises(DataError, match=r"1 of 1 rows .* row 0 .* at most 50\.5 in column 'tip'.* row 2 of the"):
        PSR.from_rows((_ROWS[i : i + 1] for i in (0, 4, 2)), ranges=_RANGES)
    with pytest.raises(DataError, match="0 to 1 in column 'y'"):
        PSR.from_rows([[1.0]], [2.0], ranges={"y": (0, 1)})


def test_rows_of_weight_zero_are_not_looked_at():
    """They are neither refused nor counted, as they are not learned."""
    weight = [1, 0, 0, 0, 2]
    assert PSR.from_rows(_ROWS, ranges=_RANGES, sample_weight=weight).n_rows == 3
    weight = [1, 2, 0, 3, 2]
    psr, n_dropped = learn_rows(_ROWS, sample_weight=weight, ranges=_RANGES, outside="drop")
    assert (psr.n_rows, n_dropped) == (3, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["fare", "tip"])
def test_what_is_not_finite_is_never_dropped(value, column):
    """It stays an error that names the column, and the row as it was passed in, also in a row that is outside."""
    for row in (1, 4):
        rows = _ROWS.copy()
        rows.loc[row, column] = value
        with pytest.raises(DataError, match=f"column '{column}', row {row} "):
            PSR.from_rows(rows, ranges=_RANGES, outside="drop")
        stream = (rows[i : i + 1] for i in range(5))
        with pytest.raises(DataError, match=f"column '{column}', row {row} "):
            PSR.from_rows(stream, ranges=_RANGES, outside="drop")


def test_positions_are_those_of_the_rows_as_they_were_passed_in():
    """So they are for decimals, after rows that were left out, in one piece and in a later piece of a stream."""
    frame = pd.DataFrame({"fare": np.tile([1.25, 900.0], 40_000)})
    frame.loc[70_000, "fare"] = 0.125
    declared = {"decimals": {"fare": 2}, "ranges": {"fare": (0, 500)}, "outside": "drop"}
    with pytest.raises(DataError, match=r"column 'fare', row 70000 .* no decimal"):
        PSR.from_rows(frame, **declared)
    with pytest.raises(DataError, match=r"column 'fare', row 4464 .* from row 65536 of the stream"):
        PSR.from_rows((frame[i : i + 256] for i in range(0, 80_000, 256)), **declared)


def test_rows_may_all_be_outside():
    """Nothing is learned then but the columns."""
    assert PSR.from_rows([[9.0]], **_DROP) == PSR.zero(Schema(["x0"], **_DROP))
    assert PSR.from_rows(iter([[9.0], [8.0]]), **_DROP).n_rows == 0
    assert PSR.from_rows(np.empty((0, 1)), **_DROP).n_rows == 0


# -- estimators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [FederatedRidge, FederatedGaussianNB, FederatedPCA])
@pytest.mark.parametrize("outside", ["error", "drop"])
def test_an_estimator_holds_rows_to_the_ranges_of_its_prior(estimator, outside):
    """Rows are read as the prior says, features and targets; a refusal leaves the fit as it was."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(80, 3)), columns=["a", "b", "c"])
    labels = None if estimator is FederatedPCA else pd.Series(rng.integers(0, 3, 80), name="y")
    classes = "y" if estimator is FederatedGaussianNB else None
    ranges = {"a": (-1, 1), "b": (-2.5, np.inf), **({"y": (-np.inf, 1)} if estimator is FederatedRidge else {})}
    names = ["a", "b", "c", *(["y"] if estimator is FederatedRidge else [])]
    prior = PSR.zero(Schema([*names, "other"], classes, ranges={**ranges, "other": (0, 1)}, outside=outside))
    inside = rows.a.between(-1, 1) & (rows.b >= -2.5) & ((labels <= 1) if estimator is FederatedRidge else True)
    some = (rows[inside], None if labels is None else labels[inside])
    plain = estimator().fit(*some)
    held = estimator(prior=prior)
    if outside == "error":
        held.fit(*some)
        before = fitted_digests(held)
        with pytest.raises(DataError, match=r"rows outside of the declared ranges"):
            held.partial_fit(rows, labels)
        assert fitted_digests(held) == before
    else:
        held.fit(rows[:40], None if labels is None else labels[:40])
        held.partial_fit(rows[40:], None if labels is None else labels[40:])
    assert held.psr_.schema.ranges == ranges
    assert held.psr_.without_ranges() == plain.psr_
    assert {**fitted_digests(held), "psr_": ""} == {**fitted_digests(plain), "psr_": ""}

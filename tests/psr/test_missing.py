"""Missing values, dates and durations: what was declared becomes of them, as of pooled rows in pandas."""

from __future__ import annotations

import datetime as dt
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import DataError, DataTypeError, PairwiseWarning, SchemaError
from sklearn_symfed.linear_model import FederatedRidge
from sklearn_symfed.psr import PSR, Schema

numbers = st.one_of(st.none(), st.integers(-8, 8).map(float), st.floats(-1e6, 1e6))
rows = st.lists(st.tuples(numbers, numbers, numbers, st.sampled_from(["a", "b", None])), max_size=14)
frames = rows.map(
    lambda found: pd.DataFrame(found, columns=["x", "y", "z", "c"]).astype(dict.fromkeys("xyz", float) | {"c": object})
)
modes = st.sampled_from(["listwise", "pairwise", "indicator"])


def learned(frame: pd.DataFrame, mode: str) -> PSR:
    return PSR.from_rows(frame, categories=["c"], missing=mode)


@settings(max_examples=30)
@given(frames, frames, modes)
def test_parts_are_the_whole(one, other, mode):
    """Learning is adding and forgetting is subtracting, whatever becomes of what is missing."""
    a, b, both = learned(one, mode), learned(other, mode), learned(pd.concat([one, other]), mode)
    assert a + b == b + a == both
    assert both - b == a
    assert (both - b).n_incomplete == a.n_incomplete
    again = PSR.from_bytes(both.to_bytes())
    assert again == both
    assert again.schema == both.schema
    assert again.n_incomplete == both.n_incomplete


@settings(max_examples=30)
@given(frames)
def test_listwise_is_dropna(frame):
    """The statistics are those of the complete rows, and the others are counted."""
    psr, complete = learned(frame, "listwise"), frame.dropna()
    assert psr.n_rows == len(complete)
    assert psr.n_incomplete == len(frame) - len(complete)
    assert psr.as_stored() == PSR.from_rows(complete, categories=["c"]).as_stored()


@settings(max_examples=30)
@given(frames)
def test_indicator_is_fillna_beside_isna(frame):
    """Numbers are filled with zeros, levels with none, and a column says where."""
    psr = learned(frame, "indicator")
    filled = frame[list("xyz")].fillna(0.0)
    for name in "xyzc":
        filled[f"missingindicator_{name}"] = frame[name].isna().astype(int)
    for level in psr.schema.categories["c"]:
        filled[f"c={level}"] = (frame.c == level).astype(int)
    assert psr.as_stored() == PSR.from_rows(filled[list(psr.names)])


@settings(max_examples=30)
@given(frames)
def test_pairwise_is_that_of_pandas(frame):
    """Counts, sums and products are exact, and so are the figures that pandas rounds on the way."""
    numeric = frame[list("xyz")]
    moments = PSR.from_rows(numeric, missing="pairwise").moments()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, cov = numeric.mean(), numeric.cov()
    there = numeric.notna().to_numpy()
    assert moments.counts.tolist() == (there.T.astype(float) @ there).tolist()
    exact = [[Fraction(value) for value in column] for column in numeric.fillna(0.0).to_numpy().T.tolist()]
    for i in range(3):
        assert moments.sums[i] == float(sum(exact[i]))
        for j in range(3):
            both = [k for k in range(len(frame)) if there[k, i] and there[k, j]]
            u, v = [exact[i][k] for k in both], [exact[j][k] for k in both]
            assert moments.gram[i, j] == float(sum(a * b for a, b in zip(u, v, strict=True)))
            if len(both) > 1:
                products = sum(a * b for a, b in zip(u, v, strict=True)) - sum(u) * sum(v) / len(both)
                assert moments.covariance(ddof=1)[i, j] == float(products / (len(both) - 1))
            else:
                assert np.isnan(moments.covariance(ddof=1)[i, j])
    # pandas works with rounded means
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(moments.covariance(ddof=1), cov, rtol=1e-6, atol=1e-2)


def test_complete_pairs_are_complete_rows():
    """Where nothing is missing, an estimator gets the same numbers, whatever was declared."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abt"))
    plain = FederatedRidge().fit(PSR.from_rows(frame), "t")
    for mode in ("listwise", "pairwise"):
        model = FederatedRidge().fit(PSR.from_rows(frame, missing=mode), "t")
        assert np.array_equal(model.coef_, plain.coef_)
        assert model.intercept_ == plain.intercept_


def test_what_no_rows_have_is_said():
    """Covariances of pairs that no rows can have are shrunk, with a warning that tells by how much."""
    nan = np.nan
    frame = pd.DataFrame(
        [[1, 1, nan], [-1, -1, nan], [nan, 1, 1], [nan, -1, -1], [1, nan, -1], [-1, nan, 1]],
        columns=list("abt"),
        dtype=float,
    )
    psr = PSR.from_rows(frame, missing="pairwise")
    assert psr.moments().correlation()[0].round(12).tolist() == [1.0, 1.0, -1.0]
    with pytest.warns(PairwiseWarning, match=r"multiplied by 0\.5"):
        FederatedRidge().fit(psr, "t")


def test_classes_by_pairs_go_with_all_rows():
    """All rows are the complete rows of each class together: what is between classes is that of their means."""
    frame = pd.DataFrame(
        {"a": [1.0, np.nan, 9.0, 7.0, np.nan], "b": [1.0, 2.0, np.nan, 4.0, 6.0], "c": [0, 0, 1, 1, 1]}
    )
    psr = PSR.from_rows(frame, classes="c", missing="pairwise")
    parts = [part.moments() for part in psr.by_class().values()]
    total = psr.moments().select(["b", "a"]).of_classes([part.select(["b", "a"]) for part in parts])
    means = [(Fraction(3, 2), Fraction(1)), (Fraction(5), Fraction(8))]
    weights, overall = (2, 3), [(2 * one + 3 * other) / 5 for one, other in zip(*means, strict=True)]
    assert total.n_rows == total.sum_weights == 5
    assert total.mean.tolist() == [float(mean) for mean in overall]
    between = sum(weight * (mean[0] - overall[0]) ** 2 for weight, mean in zip(weights, means, strict=True))
    within = sum(part.scatter[1, 1] for part in parts)
    assert total.scatter[0, 0] == float(between) + within
    assert PSR.from_rows(frame.fillna(0.0), classes="c").moments().of_classes(parts).n_rows == 5


def test_zeros_are_no_target():
    """A target whose missing values were filled with zeros is refused: a model would take these for values."""
    psr = PSR.from_rows(pd.DataFrame({"a": [1.0, 2.0, 4.0], "t": [2.0, np.nan, 8.0]}), missing="indicator")
    with pytest.raises(SchemaError, match=r"targets \['t'\] whose missing values are zeros"):
        FederatedRidge().fit(psr, "t")


def test_no_pair_at_all():
    """Two columns without a common row have no covariance: an estimator says which they are."""
    psr = PSR.from_rows(pd.DataFrame({"a": [1.0, np.nan], "t": [np.nan, 2.0]}), missing="pairwise")
    with pytest.raises(SchemaError, match="no row that has both 'a' and 't'"):
        FederatedRidge().fit(psr, "t")


def test_integers_stay_integers():
    """A missing value beside integers beyond 2**53 rounds none of them, whatever holds the column."""
    big = 2**60 + 1
    expected = PSR.from_rows(pd.DataFrame({"n": [big, 3]})).moments().matrix.tolist()
    columns = [
        pd.DataFrame({"n": pd.array([big, None, 3], dtype="Int64")}),
        pd.DataFrame({"n": pd.array([big, None, 3], dtype="int64[pyarrow]")}),
        pd.DataFrame({"n": pd.Series([big, None, 3], dtype=object)}),
        pl.DataFrame({"n": [big, None, 3]}),
        pa.table({"n": [big, None, 3]}),
    ]
    for frame in columns:
        psr = PSR.from_rows(frame, missing="listwise")
        assert psr.moments().matrix.tolist() == expected
        assert psr.n_incomplete == 1


def test_arrays_and_decimals():
    """Arrays and declared decimals may have missing values, too; a zero that stands for one is in every range."""
    psr = PSR.from_rows(np.array([[0.1, 5.0], [np.nan, 7.0]]), missing={"x0": "pairwise"}, decimals={"x0": 1})
    assert psr.moments().sums.tolist() == [0.1, 12.0]
    ranged = PSR.from_rows([[np.nan], [5.0]], missing="indicator", ranges={"x0": (4, 6)})
    assert ranged.n_rows == 2
    with pytest.raises(DataError, match="outside of the declared ranges"):
        PSR.from_rows([[np.nan], [3.0]], missing="pairwise", ranges={"x0": (4, 6)})


def test_labels_that_are_missing():
    """A row without its class, or without its target, is left out where that is declared."""
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0], "late": [True, None, False]})
    psr = PSR.from_rows(frame, classes="late", missing="listwise")
    assert psr == PSR.from_rows(
        frame.dropna().astype({"late": bool}), classes="late", missing="listwise"
    ) + PSR.from_rows(frame[1:2], classes="late", missing="listwise")
    assert (psr.n_rows, psr.n_incomplete) == (2, 1)
    with pytest.raises(DataError, match="missing label"):
        PSR.from_rows(frame, classes="late")


def test_nothing_declared_is_an_error():
    """A missing value is refused unless the schema says what becomes of it; data never decide."""
    for frame in (pd.DataFrame({"x": [1.0, np.nan]}), pd.DataFrame({"x": ["a", None]})):
        with pytest.raises(DataError, match="column 'x', row 1"):
            PSR.from_rows(frame)
    with pytest.raises(SchemaError, match="missing='drop', but expected one of"):
        Schema(["x"], missing="drop")
    with pytest.raises(SchemaError, match=r"unknown columns \['q'\]"):
        Schema(["x"], missing={"q": "listwise"})
    with pytest.raises(SchemaError, match="holds numbers instead of numbers, missing='pairwise'"):
        PSR.from_rows([[1.0]], missing="pairwise") + PSR.from_rows([[1.0]])


def test_rows_without_a_label():
    """They are left out where all columns are listwise, whoever reads them by the schema, and checks say so before."""
    frame = pd.DataFrame(
        {"x": [1.0, 2.0, 3.0], "c": ["a", "b", "a"], "late": pd.Series([True, None, False], dtype=object)}
    )
    psr = PSR.from_rows(frame, classes="late", missing="listwise")
    assert (psr.n_rows, psr.n_incomplete) == (2, 1)
    assert PSR.from_rows(frame, classes="late", **psr.schema.declared) == psr
    (misfit,) = psr.schema.validate(frame).misfits
    assert (misfit.column, misfit.outcome) == ("late", "left out")
    partly = PSR.from_rows(frame[:1], classes="late", missing={"x": "listwise"}).schema
    assert [misfit.outcome for misfit in partly.validate(frame).misfits if misfit.column == "late"] == ["refused"]
    with pytest.raises(DataError, match="missing label"):
        PSR.from_rows(frame, classes="late", **partly.declared)


# -- dates and durations -----------------------------------------------------------------------------------------------

MOMENTS = ["2024-01-01T00:00:00", "2024-02-29T12:30:00"]
SECONDS = [1704067200.0, 1709209800.0]


@pytest.mark.parametrize(
    "column",
    [
        np.array(MOMENTS, dtype="M8[ns]"),
        pd.Series(pd.to_datetime(MOMENTS)),
        pd.Series(pd.to_datetime(MOMENTS)).dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
        pl.Series(MOMENTS).str.to_datetime(),
        pa.array([dt.datetime.fromisoformat(text) for text in MOMENTS]),
        pd.Series([dt.datetime.fromisoformat(text) for text in MOMENTS], dtype=object),
    ],
    ids=["numpy", "pandas", "time zone", "polars", "pyarrow", "objects"],
)
def test_dates_in_a_unit_are_numbers(column):
    """A date with a declared unit is the whole number of units since 1970, in UTC."""
    kinds = {pl.Series: pl.DataFrame, pa.TimestampArray: pa.table}
    frame = kinds.get(type(column), pd.DataFrame)({"t": column})
    psr = PSR.from_rows(frame, units={"t": "s"})
    assert psr.as_stored() == PSR.from_rows(pd.DataFrame({"t": SECONDS}))
    with pytest.raises(DataError, match="no whole numbers of 'D', the first in row 1"):
        PSR.from_rows(frame, units={"t": "D"})


def test_durations_and_missing_dates():
    """Durations count likewise, and a date may be missing where that is declared."""
    psr = PSR.from_rows(
        pd.DataFrame({"t": pd.to_timedelta(["1h", None, "90min"])}), units={"t": "m"}, missing="listwise"
    )
    assert psr.moments().sums.tolist() == [150.0]
    assert psr.n_incomplete == 1


def test_dates_are_refused_without_a_unit():
    """The message names the conversion, and the declaration."""
    with pytest.raises(DataTypeError, match=r"convert dates first.*units="):
        PSR.from_rows(pd.DataFrame({"t": pd.to_datetime(MOMENTS)}))
    with pytest.raises(DataTypeError, match="expected dates or durations"):
        PSR.from_rows(pd.DataFrame({"t": [1.0]}), units={"t": "s"})
    with pytest.raises(SchemaError, match="the unit 'week'"):
        Schema(["t"], units={"t": "week"})


@pytest.mark.parametrize("columns", [["c", "x", "d", "y"], ["x", "c", "d", "y"], ["y", "x", "d", "c"], ["d", "c"]])
@pytest.mark.parametrize("missing", ["pairwise", {"c": "pairwise", "x": "pairwise"}, {"d": "pairwise"}, "indicator"])
def test_columns_without_levels_are_read_where_they_stood(columns, missing):
    """Of categories that nobody has there is nothing but what says so, in the order of the columns."""
    missing = missing if isinstance(missing, str) else {name: each for name, each in missing.items() if name in columns}
    zero = PSR.zero(Schema(columns, categories=["c", "d"], missing=missing))
    again = PSR.from_bytes(zero.to_bytes())
    assert again.schema == zero.schema
    assert again.schema.stored == zero.schema.stored
    frame = pd.DataFrame({name: ["a", None] if name == "c" else [None, None] for name in columns})
    numeric = dict.fromkeys(set(columns) & {"x", "y"}, float)
    psr = PSR.from_rows(frame.astype(numeric), categories=["c", "d"], missing="pairwise")
    assert PSR.from_bytes(psr.to_bytes()) == psr

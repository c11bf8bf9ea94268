"""Categories: indicators keyed by level, whatever the vocabulary, the order and the type at each site."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import DataError, DataTypeError, ForgetError, FormatError, SchemaError
from sklearn_symfed.psr import PSR, Schema

levels = st.sampled_from(["AA", "UA", "DL", "é", "a=b", "0", ""])
tables = st.lists(st.tuples(levels, levels, st.integers(-50, 50), st.booleans()), max_size=12).map(
    lambda rows: pd.DataFrame(rows, columns=["carrier", "origin", "delay", "late"]).astype(
        {"carrier": object, "origin": object, "delay": float, "late": bool}
    )
)
NAMES = ["carrier", "origin"]


def learned(frame: pd.DataFrame, **declared: object) -> PSR:
    return PSR.from_rows(frame, classes="late", categories=NAMES, **declared)


def dummies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what pandas makes of the same columns."""
    return pd.get_dummies(frame.drop(columns="late"), columns=NAMES, prefix_sep="=", dtype=int)


@settings(max_examples=30)
@given(tables)
def test_indicators_are_those_of_pandas(frame):
    """The statistics of categories are those of pandas' indicators, to the last bit."""
    psr, plain = learned(frame), dummies(frame)
    columns = psr.schema.names if len(frame) else ["delay"]
    expected = PSR.from_rows(plain[list(columns)], frame.late.to_numpy(), classes="late")
    assert psr.as_stored() == expected


@settings(max_examples=30)
@given(tables, tables)
def test_vocabularies_merge_by_name(one, other):
    """Two sites with other levels, in another order, add up to all rows, and forgetting takes levels away."""
    a, b, both = learned(one), learned(other[["delay", "late", *NAMES[::-1]]]), learned(pd.concat([one, other]))
    assert a + b == b + a == both
    assert (a + b).digest == both.digest
    assert both - b == a
    assert set((both - b).names) == set(a.names)
    assert hash(both - a) == hash(b)


@settings(max_examples=30)
@given(tables)
def test_bytes_keep_levels(frame):
    """What was written is read: levels, what is declared, and the digest."""
    psr = learned(frame)
    again = PSR.from_bytes(psr.to_bytes())
    assert again == psr
    assert again.schema == psr.schema
    assert again.names == psr.names
    assert again + psr == psr + psr


@settings(max_examples=30)
@given(tables)
def test_classes_have_the_levels_that_occur_in_them(frame):
    """The statistics of a class are those of its rows."""
    for label, part in learned(frame).by_class().items():
        rows = frame[frame.late == label].drop(columns="late")
        assert part == PSR.from_rows(rows, categories=NAMES)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["b", "a", "b"]),
        pd.Series(["b", "a", "b"], dtype="category"),
        pd.Series(pd.Categorical(["b", "a", "b"], categories=["unused", "b", "a"], ordered=True)),
        pd.Series(["b", "a", "b"], dtype="string"),
        pd.Series(["b", "a", "b"], dtype="string[pyarrow]"),
        pd.Series(["b", "a", "b"], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_strings_are_categories_whatever_holds_them(column):
    """Pandas has six ways to hold strings; polars and pyarrow two each."""
    expected = PSR.from_rows(pd.DataFrame({"a": [0.0, 1.0, 0.0]}))
    psr = PSR.from_rows(pd.DataFrame({"x": column}))
    assert psr.names == ("x=a", "x=b")
    assert psr.select(["x=a"]).affine(["x=a"], [[1.0]], names=["a"]) == expected
    frames = [
        pl.DataFrame({"x": ["b", "a", "b"]}),
        pl.DataFrame({"x": ["b", "a", "b"]}, schema={"x": pl.Categorical}),
        pa.table({"x": ["b", "a", "b"]}),
        pa.table({"x": pa.array(["b", "a", "b"]).dictionary_encode()}),
    ]
    assert all(PSR.from_rows(frame) == psr for frame in frames)


def test_a_level_is_its_text():
    """A site may hold levels as integers, floats, booleans or strings: they are one vocabulary."""
    kinds = [[1, 2, 1], [1.0, 2.0, 1.0], ["1", "2", "1"], np.array([1, 2, 1], dtype="int8")]
    psrs = [PSR.from_rows(pd.DataFrame({"zip": kind}), categories=["zip"]) for kind in kinds]
    assert len(set(psrs)) == 1
    assert psrs[0].names == ("zip=1", "zip=2")
    flags = PSR.from_rows(pd.DataFrame({"flag": [True, False]}), categories=["flag"])
    assert flags == PSR.from_rows(pd.DataFrame({"flag": ["True", "False"]}))
    mixed = PSR.from_rows(pd.DataFrame({"x": [True, 1, "1"]}, dtype=object), categories=["x"])
    assert mixed.names == ("x=1", "x=True")
    numbered = PSR.from_rows(pd.DataFrame({"x": ["10", "9", "-1", "b"]}))
    assert numbered.names == ("x=-1", "x=9", "x=10", "x=b")


def test_declared_levels():
    """Levels that are declared are all there are, with or without rows; "other" stands for every other."""
    declared = {"carrier": ["UA", "AA", "other"]}
    frame = pd.DataFrame({"carrier": ["UA", "ZZ", "YY"]})
    psr = PSR.from_rows(frame, categories=declared)
    assert psr.names == ("carrier=AA", "carrier=UA", "carrier=other")
    assert psr.moments().sums.tolist() == [0.0, 1.0, 2.0]
    assert PSR.zero(Schema(["carrier"], categories=declared)).names == psr.names
    with pytest.raises(DataError, match=r"Got 2 values in column 'carrier' that are none of its 2 levels.*row 1"):
        PSR.from_rows(frame, categories={"carrier": ["UA", "AA"]})


def test_what_does_not_match_is_named():
    """Categories and numbers of one name, and other declared levels, do not add up."""
    categories = PSR.from_rows(pd.DataFrame({"x": ["a", "b"]}))
    with pytest.raises(SchemaError, match="column 'x' holds numbers instead of categories"):
        categories + PSR.from_rows(pd.DataFrame({"x": [1.0]}))
    with pytest.raises(SchemaError, match=r"categories of the levels \['a'\] instead of categories"):
        categories + PSR.from_rows(pd.DataFrame({"x": ["a"]}), categories={"x": ["a"]})
    with pytest.raises(ForgetError):
        categories - PSR.from_rows(pd.DataFrame({"x": ["c"]}))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"categories": "carrier"}, "categories='carrier'"),
        ({"categories": 3}, "categories=type int"),
        ({"categories": ["other"]}, r"unknown columns \['other'\]"),
        ({"categories": {"carrier": []}}, "0 levels"),
        ({"categories": {"carrier": "AA"}}, "levels of type str"),
        ({"categories": {"carrier": ["a", "a"]}}, "2 levels for column 'carrier', 1 of them distinct"),
        ({"categories": ["carrier"], "decimals": {"carrier": 2}}, "decimals of columns of categories"),
        ({"categories": ["carrier"], "ranges": {"carrier": (0, 1)}}, "ranges of columns of categories"),
        ({"categories": ["carrier"], "units": {"carrier": "s"}}, "categories and units"),
    ],
)
def test_what_cannot_be_declared(declared, message):
    """A wrong declaration is refused with what was got and what was expected."""
    with pytest.raises(SchemaError, match=message):
        Schema(["carrier", "delay"], **declared)


def test_names_must_stay_distinct():
    """An indicator may not be called as another column."""
    with pytest.raises(SchemaError, match=r"more than once: \['x=a'\]"):
        PSR.from_rows(pd.DataFrame({"x": ["a"], "x=a": [1.0]}))


def test_too_many_levels():
    """Text that is no category is found out, and the message says what to do."""
    frame = pd.DataFrame({"name": [f"n{i}" for i in range(1001)]})
    with pytest.raises(SchemaError, match=r"Got 1001 levels in column 'name'.*with 'other' for the rest"):
        PSR.from_rows(frame)
    assert PSR.from_rows(frame, categories={"name": ["n0", "other"]}).moments().sums.tolist() == [1.0, 1000.0]


def test_lists_are_no_levels():
    """What no level can be is refused by its type, in the row where it stands."""
    with pytest.raises(DataTypeError, match=r"type list in row 1 \(counted from 0\)"):
        PSR.from_rows(pd.DataFrame({"x": ["a", ["b"]]}), categories=["x"])


def test_selecting():
    """A column of categories is selected and dropped as a whole; an indicator alone is a plain column."""
    frame = pd.DataFrame({"c": ["a", "b", "a"], "x": [1.0, 2.0, 4.0]})
    psr = PSR.from_rows(frame)
    assert psr.select(["x", "c"]).names == ("x", "c=a", "c=b")
    assert psr.select(["c"]) == psr.drop("x") == PSR.from_rows(frame[["c"]])
    assert psr.drop("c") == psr.select(["x"]) == PSR.from_rows(frame[["x"]])
    assert psr.select(["c=b", "x"]) == psr.drop("c=a") == PSR.from_rows(pd.DataFrame({"x": frame.x, "c=b": [0, 1, 0]}))
    with pytest.raises(SchemaError, match="unknown columns"):
        psr.select(["c=z"])


def test_levels_that_no_row_has_are_not_canonical():
    """Bytes with a level of zeros that is not declared are refused: they would give another digest."""
    psr = PSR.from_rows(pd.DataFrame({"c": ["a", "b"]}))
    forged = object.__new__(PSR)
    one, _ = PSR.from_rows(pd.DataFrame({"c": ["a"]})).aligned(psr)
    forged.__dict__.update(_schema=one.schema, _cells=one._cells, n_incomplete=0)
    with pytest.raises(FormatError, match="levels that no row has"):
        PSR.from_bytes(forged.to_bytes())

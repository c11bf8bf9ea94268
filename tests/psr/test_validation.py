"""Checks before learning: every fault of a table, by column, with rows and their number, and no value."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.psr import PSR, Schema

SCHEMA = Schema(["age", "fare", "carrier", "origin", "pickup"], "late",
    decimals={"fare": 2},
    ranges={"fare": (0, 100)},
    categories={"carrier": ["AA", "UA"], "origin": None},
    missing={"age": "pairwise", "origin": "listwise"},
    units={"pickup": "s"},
)  # fmt: skip
GOOD = pd.DataFrame(
    {
        "age": [30.0, np.nan, 50.0, 41.0],
        "fare": [1.25, 0.5, 7.0, 99.99],
        "carrier": ["AA", "UA", "UA", "AA"],
        "origin": ["JFK", None, "LGA", "EWR"],
        "pickup": pd.to_datetime(["2013-01-01"] * 4),
        "late": [True, False, True, True],
    }
)


def found(schema, *rows):
    """Return what of each column does not fit, where, and what becomes of it."""
    return [(each.column, each.what, each.rows, each.first, each.outcome) for each in schema.validate(*rows).misfits]


def changed(name, row, value, dtype=object):
    column = GOOD[name].astype(dtype)
    column[row] = value
    return GOOD.assign(**{name: column})


def test_what_fits_is_true():
    """Values that may be missing are told, and keep nothing from being learned."""
    validation = SCHEMA.validate(GOOD)
    assert validation
    assert [(each.column, each.share, each.outcome) for each in validation.misfits] == [
        ("age", 0.25, "learned"),
        ("origin", 0.25, "left out"),
    ]
    psr = PSR.from_rows(GOOD, classes="late", **SCHEMA.declared)
    assert (psr.n_rows, psr.n_incomplete) == (3, 1)
    assert not Schema(["x0"]).validate([[1.0], [2.0]]).misfits


CASES = {
    "missing column": (GOOD.drop(columns="age"), ("age", "missing column", 0, None)),
    "no labels": (GOOD.drop(columns="late"), ("late", "missing column", 0, None)),
    "unexpected column": (GOOD.assign(tip=1.0), ("tip", "unexpected column", 0, None)),
    "twice": (pd.concat([GOOD, GOOD[["fare"]]], axis=1), ("fare", "duplicate column", 0, None)),
    "text": (changed("age", 2, "secret"), ("age", "type", 1, 2)),
    "all text": (GOOD.assign(age=["a", "b", "c", "d"]), ("age", "type", 4, 0)),
    "complex": (GOOD.assign(age=1j), ("age", "type", 4, 0)),
    "dates in a column of numbers": (GOOD.assign(age=GOOD.pickup), ("age", "dates", 4, 0)),
    "infinite": (changed("age", 3, np.inf, float), ("age", "infinite", 1, 3)),
    "no decimal": (changed("fare", 2, 0.125, float), ("fare", "decimals", 1, 2)),
    "no such decimal": (changed("fare", 1, Decimal("0.125")), ("fare", "decimals", 1, 1)),
    "outside": (changed("fare", 3, 100.01, float), ("fare", "range", 1, 3)),
    "missing": (changed("fare", 2, np.nan, float), ("fare", "missing", 1, 2)),
    "unknown level": (changed("carrier", 1, "secret"), ("carrier", "level", 1, 1)),
    "no level": (changed("carrier", 1, 0.5), ("carrier", "type", 1, 1)),
    "no hash": (changed("carrier", 1, [1]), ("carrier", "type", 1, 1)),
    "missing level": (changed("carrier", 0, None), ("carrier", "missing", 1, 0)),
    "too fine a date": (changed("pickup", 2, pd.Timestamp("2013-01-01 00:00:00.5")), ("pickup", "dates", 1, 2)),
    "all too fine": (GOOD.assign(pickup=GOOD.pickup + pd.Timedelta("1ms")), ("pickup", "dates", 4, 0)),
    "no date": (GOOD.assign(pickup=1.0), ("pickup", "type", 4, 0)),
    "text for a date": (changed("pickup", 2, "secret"), ("pickup", "type", 1, 2)),
    "no label": (changed("late", 2, 0.5), ("late", "label", 1, 2)),
    "two kinds of labels": (changed("late", 2, 1), ("late", "label", 4, 0)),
    "missing label": (changed("late", 2, None), ("late", "missing", 1, 2)),
    "integers beyond floats": (GOOD.assign(age=pd.Series([2**60, 1.5, 2.0, 3.0], dtype=object)), ("age", "type", 4, 0)),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_named(case):
    """One fault is one line; learning refuses the same table, and neither says a value."""
    frame, fault = CASES[case]
    validation = SCHEMA.validate(frame)
    assert not validation
    refused = [each for each in validation.misfits if each.outcome == "refused"]
    assert [(each.column, each.what, each.rows, each.first) for each in refused] == [fault]
    assert "secret" not in repr(validation) + validation._repr_html_() + str(validation.to_pandas())
    if case not in {"missing column", "unexpected column"}:  # which a node refuses
        with pytest.raises((DataError, SchemaError, TypeError)):
            PSR.from_rows(frame, classes="late", **SCHEMA.declared)


def test_all_faults_are_found_at_once():
    """Several faults of several columns are listed, in the order of the schema."""
    frame = changed("fare", 0, 1000.0, float).assign(age=[1.0, 2.0, np.inf, np.inf]).drop(columns="pickup")
    frame.loc[1, "fare"], frame.loc[2, "fare"] = 0.001, np.nan
    assert found(SCHEMA, frame) == [
        ("age", "infinite", 2, 2, "refused"),
        ("fare", "missing", 1, 2, "refused"),
        ("fare", "decimals", 1, 1, "refused"),
        ("fare", "range", 1, 0, "refused"),
        ("origin", "missing", 1, 1, "left out"),
        ("pickup", "missing column", 0, None, "refused"),
    ]
    table = SCHEMA.validate(frame).to_pandas()
    assert table.columns.tolist() == ["column", "what", "rows", "share", "first", "outcome"]
    assert table["share"].tolist() == [0.5, 0.25, 0.25, 0.25, 0.25, 0.0]


def test_what_is_dropped_is_no_obstacle():
    """Rows outside of a range that are to be dropped are told, and the rest can be learned."""
    schema = Schema(["x0"], ranges={"x0": (0, 5)}, outside="drop", missing="indicator")
    validation = schema.validate([[1.0], [7.0], [np.nan], [-1.0]])
    assert validation
    assert [(each.what, each.rows, each.outcome) for each in validation.misfits] == [
        ("missing", 1, "learned"),
        ("range", 2, "left out"),
    ]
    assert "can be learned" in repr(validation)


def test_levels_that_nobody_declared_are_limited():
    """A column of names is no column of categories, unless the rest is 'other'."""
    names = pd.DataFrame({"c": [f"n{i}" for i in range(1001)]})
    assert found(Schema(["c"], categories=["c"]), names) == [("c", "levels", 1001, 0, "refused")]
    assert not found(Schema(["c"], categories={"c": ["n1", "other"]}), names)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_of_all_kinds_are_checked(make):
    """pandas, polars and pyarrow tables say the same; so do labels that come apart."""
    columns = {"x": [1.0, None, 9.0], "c": ["a", None, "b"], "t": [dt.datetime(2013, 1, 1, tzinfo=dt.UTC)] * 3}
    schema = Schema(["x", "c", "t"], "y", categories={"c": ["a"]}, ranges={"x": (0, 5)}, units={"t": "D"})
    assert found(schema, make(columns), [1, 2, 3]) == [
        ("x", "missing", 1, 1, "refused"),
        ("x", "range", 1, 2, "refused"),
        ("c", "missing", 1, 1, "refused"),
        ("c", "level", 1, 2, "refused"),
    ]


def test_an_empty_table_fits():
    """No rows have no faults, but columns can be missing."""
    assert not found(SCHEMA, GOOD[:0])
    assert found(Schema(["x0", "x1"]), np.zeros((0, 1))) == [("x1", "missing column", 0, None, "refused")]


cells = st.sampled_from([None, 0.5, 0.25, 7, 1e9, np.inf, "a", "zz", True, Decimal("0.5"), Decimal("0.125"), 2**60, 1j])


@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=5),
    st.sampled_from([None, {"x": 2}]),
    st.sampled_from([None, {"x": (0, 8)}]),
    st.sampled_from(["error", "drop"]),
    st.sampled_from([["c"], {"c": ["a", "7"]}, {"c": ["a", "other"]}, None]),
    st.sampled_from(["error", "listwise", "pairwise", "indicator"]),
)
def test_what_is_called_learnable_is_learned(rows, decimals, ranges, outside, categories, missing):
    """Learning refuses nothing that was called learnable, whatever is in the cells, and leaves out what was said."""
    frame = pd.DataFrame(rows, columns=["x", "c"], dtype=object)
    said = {"decimals": decimals, "ranges": ranges, "outside": outside, "missing": missing}
    schema = Schema(["x", "c"], categories=categories, **said)
    if schema.validate(frame):
        psr = PSR.from_rows(frame, categories=categories or [], **said)
        left_out = schema.validate(frame).misfits
        assert psr.n_rows <= len(frame) - max((each.rows for each in left_out if each.outcome == "left out"), default=0)

"""What cannot be learned is refused: one table of bad inputs; then names and weights."""

from __future__ import annotations

import decimal
import fractions
import unicodedata

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError, SymfedError
from sklearn_symfed.psr import PSR, frame_names
from sklearn_symfed.psr._labels import MAX_LABELS
from sklearn_symfed.psr._reading import read_rows

CANARY = 987654.321
_SECRET = "987654"  # no message may hold it
_MANY = 70_000  # three chunks


def _array(value, row=1, n_rows=3, dtype=np.float64):
    x = np.full((n_rows, 2), CANARY, dtype=dtype)
    x[row, 1] = value
    return x


def _frame(value, row=1, n_rows=3):
    return pd.DataFrame(_array(value, row, n_rows), columns=["age", "dose"])


def _objects(value):
    return np.array([[CANARY, CANARY], [CANARY, value]], dtype=object)


class Partitions:
    """A frame as of dask."""

    columns = ("a",)

    def compute(self):
        """Not called."""


_OK = np.full((3, 2), CANARY)
_LABELS = [0, 1, 1]

# case: (arguments of PSR.from_rows, keyword arguments, the error, a part of its message)
BAD = {
    "NaN in the first chunk": ((_array(np.nan),), {}, DataError, "NaN: column 'x1', row 1 "),
    "NaN in the last chunk": ((_array(np.nan, 69_998, _MANY),), {}, DataError, "NaN: column 'x1', row 69998 "),
    "inf in the first chunk": ((_array(np.inf),), {}, DataError, "infinity: column 'x1', row 1 "),
    "-inf in the last chunk": ((_array(-np.inf, 69_998, _MANY),), {}, DataError, "infinity: column 'x1', row 69998 "),
    "threads that are no number": ((_OK,), {"n_jobs": "two"}, DataTypeError, "Got n_jobs='two', but "),
    "no threads": ((_OK,), {"n_jobs": 0}, DataTypeError, "Got n_jobs=0"),
    "NaN on two threads": ((_array(np.nan, 40_000, _MANY),), {"n_jobs": 2}, DataError, "column 'x1', row 40000 "),
    "NaN in float32": ((_array(np.nan, dtype=np.float32),), {}, DataError, "NaN: column 'x1', row 1 "),
    "inf in float16": ((np.array([[1, np.inf]], dtype=np.float16),), {}, DataError, "infinity: column 'x1', row 0 "),
    "NaN beside 1e308 and subnormals": (
        (np.array([[1e308, 5e-324], [np.nan, CANARY]]),),
        {},
        DataError,
        "NaN: column 'x0', row 1 ",
    ),
    "NaN in a column of a frame": ((_frame(np.nan, 2),), {}, DataError, "NaN: column 'dose', row 2 "),
    "inf in the last chunk of a frame": (
        (_frame(np.inf, 69_000, _MANY),),
        {},
        DataError,
        "infinity: column 'dose', row 69000 ",
    ),
    "NaN in one class": (
        (_array(np.nan, 69_000, _MANY), np.arange(_MANY) % 2),
        {"classes": True},
        DataError,
        "column 'x1', row 69000 ",
    ),
    "NaN with weights": (
        (np.array([[np.nan], [CANARY], [np.nan]]),),
        {"sample_weight": [0, 1, 2]},
        DataError,
        "column 'x0', row 2 ",
    ),
    "NaN with float weights": (
        (np.array([[np.nan], [CANARY], [np.nan]]),),
        {"sample_weight": [0, 0.5, 2]},
        DataError,
        "column 'x0', row 2 ",
    ),
    "NaN in y": ((_OK, [CANARY, np.nan, 1.0]), {}, DataError, "NaN: column 'y', row 1 "),
    "NaN in a named y": ((_OK, pd.Series([1.0, 2.0, np.nan], name="cost")), {}, DataError, "column 'cost', row 2 "),
    "NaN in one of two y": ((_OK, _array(np.nan, 2)), {}, DataError, "column 'y1', row 2 "),
    "NaN in weights": ((_OK,), {"sample_weight": [1, np.nan, CANARY]}, DataError, "sample_weight in row 1 "),
    "inf in weights": ((_OK,), {"sample_weight": [1, 2, np.inf]}, DataError, "sample_weight in row 2 "),
    "a negative weight": ((_OK,), {"sample_weight": [-CANARY, 1, 1]}, DataError, "sample_weight in row 0 "),
    "a negative count": ((_OK,), {"sample_weight": [1, -987654, 1]}, DataError, "sample_weight in row 1 "),
    "a weight of 2**63": ((_OK,), {"sample_weight": np.full(3, 2**63, np.uint64)}, DataError, "sample_weight in row 0"),
    "too few weights": ((_OK,), {"sample_weight": [CANARY]}, DataError, r"shape (1,), but expected one weight"),
    "weights of two columns": ((_OK,), {"sample_weight": _OK}, DataError, "shape (3, 2), but expected one weight"),
    "weights as strings": (
        (_OK,),
        {"sample_weight": ["987654", "1", "1"]},
        DataTypeError,
        "sample_weight of dtype <U6",
    ),
    "a missing weight": (
        (_OK,),
        {"sample_weight": [1, None, CANARY]},
        DataError,
        "missing value): column 'sample_weight', row 1 ",
    ),
    "complex weights": ((_OK,), {"sample_weight": [1j, 1, 1]}, DataTypeError, "sample_weight of dtype complex128"),
    "too few y": ((_OK, [CANARY]), {}, DataError, "3 rows in X and 1 in y"),
    "too many y": ((_OK, _array(1.0, 1, 4)), {}, DataError, "3 rows in X and 4 in y"),
    "too few labels": ((_OK, [1]), {"classes": True}, DataError, "3 rows in X and 1 in the labels"),
    "one-dimensional X": ((np.array([CANARY, 1.0]),), {}, DataError, "Expected 2D array, got 1D array instead"),
    "a list of numbers": (([CANARY, 1.0],), {}, DataError, "Reshape your data"),
    "a Series": ((pd.Series([CANARY, 1.0]),), {}, DataError, "Expected 2D array, got 1D array"),
    "three-dimensional X": ((np.full((2, 2, 2), CANARY),), {}, DataError, "Expected 2D array, got 3D array"),
    "a scalar": ((CANARY,), {}, DataError, "Expected 2D array, got 0D array"),
    "nothing": ((None,), {}, DataError, "Expected 2D array, got 0D array"),
    "a string": (("987654.321",), {}, DataError, "Expected 2D array, got 0D array"),
    "a dict": (({"a": [CANARY]},), {}, DataError, "Expected 2D array, got 0D array"),
    "an empty list": (([],), {}, DataError, "Expected 2D array, got 1D array"),
    "rows of unequal width": (([[CANARY, 1.0], [2.0]],), {}, DataError, "expected rows of equal length"),
    "no columns": ((np.empty((3, 0)),), {}, DataError, "0 feature(s) (shape=(3, 0)) while a minimum of 1"),
    "a frame without columns": ((pd.DataFrame(index=range(3)),), {}, DataError, "0 feature(s)"),
    "strings": ((np.array([["987654.321", "b"]]),), {}, DataTypeError, "strings are no numbers"),
    "strings in a list": (([["987654.321", 1.0]],), {}, DataTypeError, "strings are no numbers"),
    "strings as objects": ((_objects("987654.321"),), {}, DataTypeError, "column 'x1' of dtype <U6"),
    "numpy's strings": ((np.array([["987654"]], dtype=np.dtypes.StringDType()),), {}, DataTypeError, "are no numbers"),
    "a column of strings": ((pd.DataFrame({"b": ["987654"]}),), {"categories": ()}, DataTypeError, "column 'b'"),
    "a category of strings": (
        (pd.DataFrame({"a": pd.Categorical(["987654", "x"])}),),
        {"categories": ()},
        DataTypeError,
        "strings are no numbers",
    ),
    "None": ((_objects(None),), {}, DataError, "NaN (a missing value): column 'x1', row 1 "),
    "None in a list": (([[CANARY, None]],), {}, DataError, "a missing value): column 'x1', row 0 "),
    "pd.NA": ((_objects(pd.NA),), {}, DataError, "a missing value): column 'x1', row 1 "),
    "pd.NaT": ((_objects(pd.NaT),), {}, DataError, "a missing value): column 'x1', row 1 "),
    "NaN as an object": ((_objects(np.nan),), {}, DataError, "NaN: column 'x1', row 1 "),
    "a nullable column": (
        (pd.DataFrame({"a": [1, 2], "b": pd.array([987654, None], dtype="Int64")}),),
        {},
        DataError,
        "column 'b', row 1 ",
    ),
    "a nullable bool": ((pd.DataFrame({"b": pd.array([None, True], dtype="boolean")}),), {}, DataError, "'b', row 0 "),
    "a masked array": ((np.ma.array(_OK, mask=_OK > 0),), {}, DataError, "masked values in X"),
    "sparse labels": ((_OK, sparse.csr_array(_OK)), {"classes": True}, DataTypeError, "dense data is required"),
    "sparse weights": ((_OK,), {"sample_weight": sparse.csr_array(_OK)}, DataTypeError, "dense data is required"),
    "np.matrix": ((np.asmatrix(_OK),), {}, DataTypeError, "np.asarray()"),
    "NaN in a pyarrow table": ((pa.table({"a": [CANARY, None]}),), {}, DataError, "NaN: column 'a', row 1 "),
    "a lazy frame": ((pl.LazyFrame({"a": [CANARY]}),), {}, DataTypeError, "polars LazyFrame, whose rows are not there"),
    "a lazy y": ((_OK, pl.LazyFrame({"a": [CANARY]})), {}, DataTypeError, "call collect(), or pass an iterator"),
    "a frame of partitions": ((Partitions(),), {}, DataTypeError, "call compute()"),
    "complex": ((_OK.astype(complex),), {}, DataTypeError, "Complex data not supported"),
    "complex as objects": ((_objects(1j * CANARY),), {}, DataTypeError, "Complex data not supported"),
    "longdouble": ((_OK.astype(np.longdouble),), {}, DataTypeError, "extended precision would be rounded"),
    "longdouble as objects": ((_objects(np.longdouble(CANARY)),), {}, DataTypeError, "extended precision"),
    "dates": ((np.array([["2013-01-01"]], dtype="M8[D]"),), {}, DataTypeError, "convert dates first"),
    "a column of dates": ((pd.DataFrame({"t": pd.to_datetime(["2013-01-01"])}),), {}, DataTypeError, "column 't'"),
    "dates with zones": (
        (pd.DataFrame({"t": pd.to_datetime(["2013-01-01"], utc=True)}),),
        {},
        DataTypeError,
        "not 'Timestamp'",
    ),
    "durations": ((np.array([[987654]], dtype="m8[s]"),), {}, DataTypeError, "convert durations first"),
    "durations as objects": ((_objects(np.timedelta64(987654, "s")),), {}, DataTypeError, "'timedelta64'"),
    "bytes": ((np.array([[b"987654"]]),), {}, DataTypeError, "bytes are no numbers"),
    "bytes as objects": ((_objects(b"987654"),), {}, DataTypeError, "column 'x1'"),
    "dicts": ((_objects({"a": CANARY}),), {}, DataTypeError, "must be a string or a real number, not 'dict'"),
    "lists in cells": ((_objects([CANARY]),), {}, DataTypeError, "not 'list'"),
    "decimals": ((_objects(decimal.Decimal("987654.321")),), {}, DataTypeError, "decimals={'x1'"),
    "fractions": ((_objects(fractions.Fraction(987654, 7)),), {}, DataTypeError, "not 'Fraction'"),
    "a structured array": ((np.zeros((3, 1), dtype=[("a", float)]),), {}, DataTypeError, "expected numbers"),
    "records": ((np.zeros(3, dtype=[("a", float)]),), {}, DataError, "Expected 2D array"),
    "integers beyond 64 bits": ((_objects(10**20),), {}, DataTypeError, "integers beyond 2**53 among floats"),
    "integers beyond 64 bits alone": (
        (np.array([[2**64 + 987654]], dtype=object),),
        {},
        DataTypeError,
        "beyond 64 bits in column 'x0'",
    ),
    "integers beyond int64 beside negative ones": (
        (np.array([[2**63], [-1]], dtype=object),),
        {},
        DataTypeError,
        "beyond 64 bits in column 'x0'",
    ),
    "huge integers among floats": ((_objects(2**53 + 1),), {}, DataTypeError, "they would be rounded"),
    "huge integers among floats in a list": (([[2**53 + 1], [0.5]],), {}, DataTypeError, "they would be rounded"),
    "huge integers among floats in y": ((np.ones((2, 1)), [2**53 + 1, 0.5]), {}, DataTypeError, "column 'y'"),
    "names that occur twice": ((pd.DataFrame(_OK, columns=["a", "a"]),), {}, SchemaError, "more than once: ['a']"),
    "names that look the same": (
        (pd.DataFrame(_OK, columns=["é", "e\u0301"]),),
        {},
        SchemaError,
        "more than once: ['é']",
    ),
    "names of mixed types": ((pd.DataFrame(_OK, columns=["a", 1]),), {}, SchemaError, "types ['int', 'str']"),
    "an empty name": ((pd.DataFrame(_OK, columns=["a", ""]),), {}, SchemaError, "name of 0 bytes"),
    "a name beyond the limit": ((pd.DataFrame(_OK, columns=["a", "b" * 5000]),), {}, SchemaError, "5000 bytes"),
    "a name that is no Unicode": (
        (pd.DataFrame([[CANARY]], columns=pd.Index(["\ud800"], dtype=object)),),
        {},
        SchemaError,
        "lone surrogates",
    ),
    "y called as a column": ((_frame(1.0), pd.Series([1, 2, 3], name="age")), {}, SchemaError, "['age']"),
    "y called as an unnamed column": ((_OK, pd.Series([1, 2, 3], name="x0")), {}, SchemaError, "['x0']"),
    "labels called as a column": (
        (pd.DataFrame({"y": [1.0, 2, 3]}), _LABELS),
        {"classes": True},
        SchemaError,
        "more than once: ['y']",
    ),
    "two class columns": (
        (pd.DataFrame({"a": [1], "late": [0]})[["a", "late", "late"]],),
        {"classes": "late"},
        SchemaError,
        "2 columns 'late'",
    ),
    "no class column": ((_frame(1.0),), {"classes": "late"}, SchemaError, "neither y nor a column 'late'"),
    "classes without y": ((_OK,), {"classes": True}, SchemaError, "classes=True and no y"),
    "classes of another type": ((_OK, _LABELS), {"classes": 3}, SchemaError, "classes of type int"),
    "classes as a list": ((_OK, _LABELS), {"classes": ["late"]}, SchemaError, "classes of type list"),
    "a class column without name": ((_OK, _LABELS), {"classes": ""}, SchemaError, "name of 0 bytes"),
    "a NaN label": ((_OK, [1.0, np.nan, 2.0]), {"classes": True}, DataError, "NaN (a missing label) in row 1 "),
    "a NaN label among strings": ((_OK, ["a", np.nan, "b"]), {"classes": True}, DataError, "missing label) in row 1 "),
    "None as a label": ((_OK, ["a", "b", None]), {"classes": True}, DataError, "missing label) in row 2 "),
    "pd.NA as a label": (
        (_OK, pd.Series([1, None, 2], dtype="Int64")),
        {"classes": True},
        DataError,
        "label) in row 1 ",
    ),
    "an infinite label": ((_OK, [1.0, 2.0, np.inf]), {"classes": True}, DataError, "no integer in row 2 "),
    "a label of a half": ((_OK, [1.0, 2.0, 987654.5]), {"classes": True}, DataError, "no integer in row 2 "),
    "a half as an object": ((_OK, [1, "a", 987654.5]), {"classes": True}, DataError, "no integer in row 2 "),
    "bool and int labels": ((_OK, [True, 1, 0]), {"classes": True}, SchemaError, "kinds ['bool', 'int']"),
    "True beside 1": ((_OK[:2], np.array([True, 1], object)), {"classes": True}, SchemaError, "kinds ['bool', 'int']"),
    "int and str labels": ((_OK, [1, "1", 1]), {"classes": True}, SchemaError, "kinds ['int', 'str']"),
    "a label beyond int64": ((_OK, [1, 2**63, 1]), {"classes": True}, DataError, "beyond int64 in row 1 "),
    "a label beyond uint64": ((_OK, [1, 2**64, 1]), {"classes": True}, DataError, "beyond int64 in row 1 "),
    "a float label beyond int64": ((_OK, [1.0, 2.0**63, 1]), {"classes": True}, DataError, "no integer in row 1 "),
    "a label of 5000 bytes": ((_OK, ["a", "b", "c" * 5000]), {"classes": True}, DataError, "4096 bytes in row 2 "),
    "a label that is no Unicode": ((_OK, ["a", "\ud800", "a"]), {"classes": True}, DataError, "surrogates in row 1 "),
    "bytes as labels": ((_OK, [b"987654", b"b", b"c"]), {"classes": True}, DataTypeError, "labels of dtype |S6"),
    "dates as labels": ((_OK, np.array(["2013"] * 3, "M8[D]")), {"classes": True}, DataTypeError, "labels of dtype"),
    "tuples as labels": (
        (_OK[:1], pd.Series([(987654, 1)])),
        {"classes": True},
        DataTypeError,
        "of type tuple in row 0",
    ),
    "complex labels": ((_OK, [1j, 1j, 1j]), {"classes": True}, DataTypeError, "labels of dtype complex128"),
    "labels of two columns": ((_OK, _OK), {"classes": True}, DataError, "labels of shape (3, 2)"),
    "one label": ((_OK, 987654), {"classes": True}, DataError, "labels of shape ()"),
    "masked labels": (
        (_OK, np.ma.array(_LABELS, mask=[0, 1, 0])),
        {"classes": True},
        DataError,
        "masked values in labels",
    ),
    "too many labels": (
        (np.zeros((MAX_LABELS + 1, 1)), np.arange(MAX_LABELS + 1)),
        {"classes": True},
        SchemaError,
        "at most 100000",
    ),
}


@pytest.mark.parametrize(("arguments", "keywords", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_refused(arguments, keywords, error, message):
    """The error names column and row, holds no value, and what was learned before stays as it was."""
    before = PSR.from_rows([[1.0, CANARY]], [0], classes=True)
    digest, data = before.digest, before.to_bytes()
    with pytest.raises(error) as caught:
        before + PSR.from_rows(*arguments, **keywords)
    assert message in str(caught.value)
    assert type(caught.value) is error
    assert isinstance(caught.value, SymfedError)
    assert isinstance(caught.value, ValueError)
    assert _SECRET not in str(caught.value)
    assert caught.value.__cause__ is None or "n_jobs" in keywords
    assert (before.digest, before.to_bytes()) == (digest, data)


def test_weight_zero_leaves_a_row_out_whatever_it_holds():
    """A row of weight zero is not read: neither its NaN nor its class is learned."""
    x = np.array([[np.nan], [2.0], [np.inf]])
    psr = PSR.from_rows(x, ["a", "b", "c"], classes=True, sample_weight=[0, 1, 0])
    assert psr == PSR.from_rows([[2.0]], ["b"], classes=True)
    assert psr.labels == ("b",)


def test_names_come_from_where_they_stand():
    """Columns are called by the frame, by y, or by their number; the class column is taken from X before y."""
    frame = pd.DataFrame({"late": ["no", "yes"], "age": [1, 2]})
    assert (
        PSR.from_rows(frame, classes="late").schema == PSR.from_rows(frame[["age"]], frame["late"], classes=True).schema
    )
    assert PSR.from_rows(frame, [5.0, 6.0], classes="late").names == ("age", "y")
    assert PSR.from_rows(frame[["age"]], frame["late"].to_numpy(), classes="late").schema.classes == "late"
    assert PSR.from_rows(frame[["age"]], frame[["late"]], classes=True).schema.classes == "late"
    assert PSR.from_rows([[1, 2]], [3]).names == ("x0", "x1", "y")
    assert PSR.from_rows([[1, 2]], [[3, 4]]).names == ("x0", "x1", "y0", "y1")
    assert PSR.from_rows([[1, 2]], pd.DataFrame({"b": [1], "a": [2]})).names == ("x0", "x1", "b", "a")
    assert PSR.from_rows(pd.DataFrame([[1, 2]])).names == ("x0", "x1")
    assert PSR.from_rows([[1, 2]], [3], classes=False).names == ("x0", "x1", "y")


def test_names_are_matched_in_composed_form():
    """A name in decomposed Unicode is the column of the composed name, as class column and as y too."""
    composed, decomposed = "é", unicodedata.normalize("NFD", "é")
    frames = [pd.DataFrame({"a": [1.0, 2.0], name: [0, 1]}) for name in (composed, decomposed)]
    assert PSR.from_rows(frames[0]) == PSR.from_rows(frames[1])
    assert PSR.from_rows(frames[0], classes=decomposed) == PSR.from_rows(frames[1], classes=composed)
    assert (PSR.from_rows(frames[0]) + PSR.from_rows(frames[1])).names == ("a", composed)


def test_only_strings_are_names():
    """Frames whose names are no strings are numbered, anything else has no names."""
    assert frame_names(pd.DataFrame({"b": [1], "a": [1]})) == ["b", "a"]
    assert frame_names(pd.DataFrame([[1, 2]])) is None
    assert frame_names(np.eye(2)) is None
    assert frame_names(pd.Series([1], name="a")) is None


def test_reading_copies_no_float_array():
    """A float64 array is read in place, however large."""
    x = np.zeros((5, 2))
    assert np.shares_memory(read_rows(x).blocks[0], x)


def test_rows_are_not_changed():
    """What is passed in is as it was."""
    rng = np.random.default_rng(0)
    x, y, weight = rng.normal(size=(700, 3)), rng.integers(0, 2, 700), rng.random(700)
    copies = x.copy(), y.copy(), weight.copy()
    PSR.from_rows(x, y, classes=True, sample_weight=weight)
    assert all(np.array_equal(*pair) for pair in zip((x, y, weight), copies, strict=True))


class _Text(str):
    __slots__ = ()


def test_subclasses_of_str_are_plain_strings():
    """Labels and names that are numpy strings or other subclasses leave only their text behind."""
    x = pd.DataFrame([[1.0], [2.0]], columns=pd.Index([_Text("a")], dtype=object))
    psr = PSR.from_rows(x, [np.str_("u"), _Text("v")], classes=_Text("late"))
    again = PSR.from_bytes(psr.to_bytes())
    assert again == psr
    assert {type(text) for each in (psr, again) for text in (*each.labels, *each.names, each.schema.classes)} == {str}


def test_weights_of_any_storage():
    """Lists of mixed numbers, objects and nullable columns weigh as the numbers they hold."""
    x = [[1.0], [2.0], [3.0]]
    want = PSR.from_rows(x, sample_weight=np.array([2, 0, 2**60]))
    for weight in (
        [2, 0, 2**60],
        np.array([2, 0, 2**60], dtype=object),
        pd.Series([2, 0, 2**60], dtype="Int64"),
        pd.Series([2, 0, 2**60], dtype="UInt64"),
    ):
        assert PSR.from_rows(x, sample_weight=weight) == want
    assert PSR.from_rows(x, sample_weight=[1, 0.5, True]) == PSR.from_rows(x, sample_weight=np.array([1.0, 0.5, 1.0]))

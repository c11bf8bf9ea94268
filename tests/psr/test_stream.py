"""Rows come in any form and in streams of any granularity; the state is that of all rows in one table."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from sklearn_symfed import FederatedPSR
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr import PSR
from sklearn_symfed.psr._stream import rows_of_a_piece

N = 70_000  # of three columns: more than two pieces
_RNG = np.random.default_rng(0)
_X = _RNG.normal(size=(N, 3))
_Y = _RNG.integers(0, 3, N)
_FRAME = pd.DataFrame(_X, columns=["a", "b", "c"])
_PSR = PSR.from_rows(_X)
_NAMED = PSR.from_rows(_FRAME)
_CLASSES = PSR.from_rows(_X, _Y, classes=True)


def _parts(table, *sizes):
    """Cut a table at sizes that repeat."""
    start = 0
    while start < len(table):
        for size in sizes:
            yield table[start : start + size]
            start += size


class Row(NamedTuple):
    """A row with names."""

    a: float
    b: float
    c: float


STREAMS = {
    "one batch": lambda: iter([_X]),
    "batches of any size": lambda: _parts(_X, 1, 0, 40_000, 7, 300),
    "tiny batches": lambda: _parts(_X, 50),
    "Fortran order": lambda: _parts(np.asfortranarray(_X), 9_000),
    "lists of lists": lambda: (part.tolist() for part in _parts(_X, 9_000)),
    "rows": lambda: iter(_X),
    "rows of lists": lambda: iter(_X.tolist()),
    "rows of tuples": lambda: map(tuple, _X.tolist()),
    "rows of several types": lambda: (row.astype(object) if i % 9 else row for i, row in enumerate(_X)),
    "rows, then batches": lambda: iter([*_X[: rows_of_a_piece(3)], _X[rows_of_a_piece(3) :]]),
}
NAMED = {
    "pandas": lambda: _parts(_FRAME, 9_000, 1),
    "polars": lambda: _parts(pl.from_pandas(_FRAME), 9_000),
    "record batches": lambda: iter(pa.table(_FRAME).to_batches(max_chunksize=9_000)),
    "a record batch reader": lambda: pa.table(_FRAME).to_reader(max_chunksize=9_000),
    "arrow tables": lambda: iter([pa.table(_FRAME)]),
    "columns in any order": lambda: (
        part[list(order)] for part, order in zip(_parts(_FRAME, 35_000), ("abc", "cab"), strict=True)
    ),
    "dicts": lambda: iter(_FRAME.to_dict("records")),
    "named tuples": lambda: map(Row._make, _X.tolist()),
    "frames of any kind": lambda: iter([_FRAME[:9], pl.from_pandas(_FRAME[9:50_000]), pa.table(_FRAME[50_000:])]),
}
PAIRS = {
    "pairs of batches": lambda: zip(_parts(_X, 9_000), _parts(_Y, 9_000), strict=True),
    "pairs of rows": lambda: zip(_X, _Y, strict=True),
    "pairs of lists": lambda: zip(_X.tolist(), _Y.tolist(), strict=True),
    "triples": lambda: ((_X[part], _Y[part], None) for part in np.array_split(np.arange(N), 7)),
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_a_stream_of_arrays_is_its_rows(stream):
    """Batches, rows, and both in turn give the state of all rows."""
    assert PSR.from_rows(stream()) == _PSR


@pytest.mark.parametrize("stream", NAMED.values(), ids=NAMED)
def test_a_stream_of_named_columns_is_its_rows(stream):
    """So do tables of pandas, polars and pyarrow, and rows with names."""
    psr = PSR.from_rows(stream(), n_jobs=2)
    assert psr == _NAMED
    assert psr.names == ("a", "b", "c")


_INTEGERS = pd.DataFrame(_RNG.integers(-9, 9, (N, 3)), columns=["a", "b", "c"])
_SPARSE = sparse.csr_array(_INTEGERS.to_numpy())
MIXED = {
    "types of pandas": lambda: iter(
        [
            _INTEGERS[:9],
            _INTEGERS[9:900].astype("f4"),
            _INTEGERS[900:8000].convert_dtypes(),
            _INTEGERS[8000:].astype("i1"),
        ]
    ),
    "types of a column": lambda: iter([_INTEGERS[:9], _INTEGERS[9:900].astype({"b": "f8"}), _INTEGERS[900:]]),
    "types of polars": lambda: iter(
        [pl.from_pandas(_INTEGERS[:99]).cast(pl.Float32), pl.from_pandas(_INTEGERS[99:]).cast(pl.Int8)]
    ),
    "types of arrow": lambda: iter(
        [*pa.table(_INTEGERS[:99].astype("f8")).to_batches(), *pa.table(_INTEGERS[99:]).to_batches(max_chunksize=9_000)]
    ),
    "tables of three libraries": lambda: iter(
        [_INTEGERS[:99], pl.from_pandas(_INTEGERS[99:200]), pa.table(_INTEGERS[200:].reset_index(drop=True))]
    ),
}
UNNAMED = {
    "types of numpy": lambda: iter([_INTEGERS.to_numpy()[:99], _INTEGERS.to_numpy(np.float16)[99:]]),
    "types of scipy": lambda: iter([_SPARSE[:99].astype("f4"), _SPARSE[99:5000].tocoo(), _SPARSE[5000:].astype("i1")]),
    "sparse and dense": lambda: iter([_SPARSE[:99], _INTEGERS.to_numpy()[99:700].tolist(), _SPARSE[700:].tocsc()]),
}


@pytest.mark.parametrize("stream", [*MIXED, *UNNAMED])
def test_batches_of_mixed_types(stream):
    """Batches may have any types and libraries, one beside the other."""
    rows = _INTEGERS if stream in MIXED else _INTEGERS.to_numpy()
    assert PSR.from_rows({**MIXED, **UNNAMED}[stream]()) == PSR.from_rows(rows)


@pytest.mark.parametrize("stream", PAIRS.values(), ids=PAIRS)
def test_a_stream_of_pairs_has_labels(stream):
    """Pairs hold labels, or targets, of batches and of rows."""
    assert PSR.from_rows(stream(), classes=True) == _CLASSES
    assert PSR.from_rows(stream()) == PSR.from_rows(_X, _Y)


def test_weights_and_decimals_of_streams():
    """Triples hold weights; decimals are read as declared; labels may be a column, and classes come as they come."""
    x, weight = np.rint(_X[:3_000] * 100) / 100, _RNG.integers(0, 4, 3_000)
    want = PSR.from_rows(x, decimals={"x1": 2}, sample_weight=weight)
    assert (
        PSR.from_rows(((x[i : i + 500], None, weight[i : i + 500]) for i in range(0, 3_000, 500)), decimals={"x1": 2})
        == want
    )
    assert PSR.from_rows(((x[i], 1.0, weight[i]) for i in range(3_000)), decimals={"x1": 2}).drop("y") == want
    half = [(x[:9], None, None), (x[9:20], None, np.full(11, 0.5)), (x[20:], None, np.full(2_980, 3))]
    parts = [PSR.from_rows(*each[:2], sample_weight=each[2]) for each in half]
    assert PSR.from_rows(iter(half)) == sum(parts)
    objects = ([Decimal(int(m)).scaleb(-2) for m in np.rint(row * 100)] for row in x)
    digits = dict.fromkeys(["x0", "x1", "x2"], 2)
    assert PSR.from_rows(objects, decimals=digits) == PSR.from_rows(x, decimals=digits)
    labelled = _FRAME[:900].assign(kind=np.repeat(["x", "y", "z"], 300))
    assert PSR.from_rows(_parts(labelled, 200), classes="kind") == PSR.from_rows(labelled, classes="kind")
    rows = iter(labelled.to_dict("records"))
    assert PSR.from_rows(rows, classes="kind") == PSR.from_rows(labelled, classes="kind")


def test_tables_of_arrow_are_read_as_they_are():
    """Tables, batches, booleans, integers, strings as labels, decimals; nulls are refused."""
    frame = _FRAME[:50].assign(n=range(50), flag=_X[:50, 0] > 0, late=np.where(_X[:50, 1] > 0, "yes", "no"))
    table = pa.table(frame)
    for same in (table, table.to_batches()[0], pa.concat_tables([table[:20], table[20:]])):
        assert PSR.from_rows(same, classes="late") == PSR.from_rows(frame, classes="late")
        node = FederatedPSR(classes="late").fit(same)
        assert node.psr_ == PSR.from_rows(frame, classes="late")
        assert node.partial_fit(same).feature_names_in_.tolist() == ["a", "b", "c", "n", "flag"]
        assert np.array_equal(node.transform(table), node.transform(frame))
        with pytest.raises(ValueError, match=r"[Ff]eature names"):
            node.partial_fit(table.rename_columns(["a", "b", "c", "n", "other", "late"]))
    money = pa.table({"fee": pa.array([Decimal("1.25"), Decimal("2.50")], pa.decimal128(9, 2))})
    want = PSR.from_rows([[1.25], [2.5]], decimals={"x0": 2}).moments()
    assert PSR.from_rows(money, decimals={"fee": 2}).moments().matrix.tolist() == want.matrix.tolist()
    for kind in (pa.float64(), pa.int64(), pa.bool_()):
        with pytest.raises(DataError, match=r"NaN.*'x'.*row 1"):
            PSR.from_rows(pa.table({"x": pa.array([1, None, 0], pa.int64()).cast(kind)}))


BAD = {
    "no batches": (lambda: iter(()), DataError, "at least one batch"),
    "NaN in a later batch": (
        lambda: iter([_X, _X * np.where(np.arange(3) == 1, np.nan, 1)]),
        DataError,
        f"'x1', row 0 .* from row {N}",
    ),
    "NaN in a later row": (
        lambda: iter([*_X, np.array([0.0, np.inf, 0.0])]),
        DataError,
        r"infinity: column 'x1', row \d+ .* from row",
    ),
    "other columns": (
        lambda: iter([_FRAME[:9], _FRAME[["a", "b"]]]),
        SchemaError,
        r"missing columns: \['c'\].* from row 9",
    ),
    "another width": (lambda: iter([_X, _X[:, :2]]), SchemaError, "missing columns"),
    "rows of other lengths": (lambda: iter([_X[0], _X[1, :2]]), DataError, "different lengths"),
    "dicts of other columns": (lambda: iter([{"a": 1.0}, {"b": 1.0}]), SchemaError, r"expected \['a'\]"),
    "rows of other types": (lambda: iter([_X[0], [1.0, 2.0, 3.0]]), DataTypeError, r"\['list', 'ndarray'\]"),
    "rows with and without y": (lambda: iter([(_X[0], 1), _X[1]]), DataTypeError, "with and without y"),
    "numbers": (lambda: iter([1.0, 2.0]), DataTypeError, "a float in a stream"),
    "strings": (lambda: iter(["abc"]), DataTypeError, r"\['str'\]"),
    "series": (lambda: iter([_FRAME.a, _FRAME.b]), DataTypeError, r"\['Series'\]"),
    "empty dicts": (lambda: iter([{}, {}]), DataError, "0 feature"),
    "rows of strings": (lambda: iter([["1", "2"]]), DataTypeError, "column 'x0'"),
    "three dimensions": (lambda: iter([np.ones((2, 2, 2))]), DataError, "2D"),
}


@pytest.mark.parametrize(("stream", "error", "message"), BAD.values(), ids=BAD)
def test_bad_streams_are_refused(stream, error, message):
    """What cannot be learned raises, and says where in the stream; a node stays as it was."""
    with pytest.raises(error, match=message):
        PSR.from_rows(stream())
    node = FederatedPSR().fit(_X[:5])
    before = vars(node).copy(), node.psr_
    with pytest.raises((ValueError, TypeError, UserWarning)):
        node.partial_fit(stream())
    assert node.psr_ == before[1]
    assert repr(vars(node)) == repr(before[0])


def test_streams_hold_y_themselves():
    """Labels or weights beside a stream are refused: the items of a stream are pairs."""
    for keywords in ({"y": _Y}, {"sample_weight": _Y}):
        with pytest.raises(DataError, match="pairs"):
            PSR.from_rows(iter(_X), **keywords)


def test_a_node_learns_streams_all_or_nothing(tmp_path):
    """A stream is one batch to a node, also under a batch_id; one that fails in the middle leaves no trace."""
    with FederatedPSR(home=tmp_path / "home") as node:
        node.create_federation("streams", "memory://streams", guard="off")
        node.partial_fit(_parts(_FRAME, 9_000), batch_id="one")
        assert node.psr_ == _NAMED
        assert node.partial_fit(_parts(_FRAME, 800), batch_id="one").psr_ == _NAMED

        def failing():
            yield _FRAME
            raise ConnectionError("the line is down")

        with pytest.raises(ConnectionError):
            node.partial_fit(failing(), batch_id="two")
        assert node.psr_ == _NAMED
        with pytest.raises(ValueError, match=r"[Ff]eature names"):
            node.partial_fit(iter([_FRAME, _FRAME.rename(columns={"c": "d"})]))
        with pytest.raises(SchemaError, match="without column names"):
            node.partial_fit(iter([_FRAME, _X]))
        assert node.forget(_parts(_FRAME, 10_000), batch_id="one").psr_ == PSR.zero(_NAMED.schema)
    fresh = FederatedPSR(classes=True).fit(zip(_X, _Y, strict=True))
    assert fresh.psr_ == _CLASSES
    assert fresh.n_features_in_ == 3
    assert not hasattr(fresh, "feature_names_in_")
    named = FederatedPSR().partial_fit(iter(_FRAME.to_dict("records")))
    assert named.feature_names_in_.tolist() == ["a", "b", "c"]
    assert FederatedPSR().fit(pa.table(_FRAME).to_reader()).psr_ == _NAMED


# -- memory ----------------------------------------------------------------------------------------------------------


def _peak(function):
    function()  # once before, so that what is cached is not counted
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


_BIG = np.random.default_rng(1).normal(size=(250_000, 20))  # 38 MB
_BIG_FRAME = pd.DataFrame(_BIG)

FORMS = {
    "float64": _BIG,
    "Fortran order": np.asfortranarray(_BIG),
    "float32": _BIG.astype(np.float32),
    "float16": _BIG.astype(np.float16),
    "bool": _BIG > 0,
    "integers": (_BIG * 1000).astype(np.int32),
    "pandas": _BIG_FRAME,
    "pandas, columns of several types": pd.concat(
        [_BIG_FRAME.iloc[:, :7], _BIG_FRAME.iloc[:, 7:13] > 0, _BIG_FRAME.iloc[:, 13:].astype("f4")], axis=1
    ),
    "polars": pl.DataFrame(_BIG),
    "arrow": pa.table(dict(zip("abcdefghijklmnopqrst", _BIG.T, strict=True))),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_form_is_copied_whole(form):
    """Learning needs room for a chunk or two, not for another table, whatever its type and layout."""
    assert _peak(lambda: PSR.from_rows(form)) < 25


@pytest.mark.parametrize("form", ["float64", "integers"])
def test_memory_maps_are_read_a_chunk_at_a_time(form, tmp_path):
    """Rows in a file are learned from there."""
    np.save(tmp_path / "rows.npy", FORMS[form])
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    node = FederatedPSR()
    assert _peak(lambda: node.fit(mapped)) < 25
    assert node.psr_ == PSR.from_rows(FORMS[form])


def test_decimals_are_not_copied_whole():
    """Neither are columns of decimals."""
    rounded = np.rint(_BIG * 100) / 100
    assert _peak(lambda: PSR.from_rows(rounded, decimals={f"x{i}": 2 for i in range(20)})) < 30


@pytest.mark.parametrize("n_rows", [100, 20_000, 120_000])
def test_a_generator_is_not_gathered(n_rows):
    """Of a stream, one batch is in memory, and what it takes to learn it."""

    def generated(count):
        rng = np.random.default_rng(2)
        for _ in range(count):
            yield rng.random((n_rows, 20))

    count = 2_000_000 // n_rows // 4
    assert count * n_rows * 20 * 8 / 2**20 > 57
    batch = n_rows * 20 * 8 / 2**20
    assert _peak(lambda: PSR.from_rows(generated(count))) < batch + 25
    assert _peak(lambda: FederatedPSR().partial_fit(generated(count))) < batch + 25

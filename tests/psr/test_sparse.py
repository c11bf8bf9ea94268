"""Sparse rows are the rows that `toarray` gives, bit for bit, and their zeros are never written down."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from sklearn_symfed import FederatedPSR
from sklearn_symfed.exceptions import DataError, DataTypeError
from sklearn_symfed.psr import PSR, _rows, _sparse

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]
_RNG = np.random.default_rng(0)
_SOME = np.where(_RNG.random((400, 30)) < 0.05, _RNG.normal(size=(400, 30)), 0.0)
_CSR = sparse.csr_array(_SOME)


@pytest.fixture(autouse=True)
def without_zeros(monkeypatch):
    """Let no table be dense enough to be read with its zeros."""
    monkeypatch.setattr(_rows, "_DENSE", 1.0)


def _assert_dense(matrix, *rows, **keywords):
    psr = PSR.from_rows(matrix, *rows, **keywords)
    assert psr.digest == PSR.from_rows(matrix.toarray(), *rows, **keywords).digest
    return psr


_FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.5e-308, 1e300, -1e300, 1.7976931348623157e308, 0.1, 2.0**53]),
    st.floats(allow_nan=False, allow_infinity=False),
)
_DTYPES = {
    np.float64: _FLOATS,
    np.float32: st.floats(width=32, allow_nan=False, allow_infinity=False),
    np.int64: st.integers(-(2**63), 2**63 - 1),
    np.uint64: st.integers(0, 2**64 - 1),
    np.int8: st.integers(-128, 127),
    np.bool_: st.booleans(),
}


@st.composite
def _stored(draw):
    """Draw a COO array: places may be stored twice, zeros may be stored, rows and columns may be empty."""
    dtype = draw(st.sampled_from(list(_DTYPES)))
    n_rows, n_columns, size = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(0, 12))
    rows = draw(hnp.arrays(np.intp, size, elements=st.integers(0, n_rows - 1)))
    columns = draw(hnp.arrays(np.intp, size, elements=st.integers(0, n_columns - 1)))
    values = draw(hnp.arrays(dtype, size, elements=_DTYPES[dtype]))
    return sparse.coo_array((values, (rows, columns)), shape=(n_rows, n_columns))


_WEIGHTS = [st.none(), *(st.lists(each, min_size=6, max_size=6) for each in (st.integers(0, 99), st.floats(0, 99)))]


@settings(max_examples=60, deadline=None)
@given(_stored(), st.sampled_from(["csr", "csc", "coo"]), st.one_of(_WEIGHTS), st.booleans())
def test_sparse_rows_are_the_dense_ones(matrix, form, weights, classes):
    """Whatever is stored, wherever, in whatever type and format, the digest is that of the dense rows."""
    keywords = {"sample_weight": None if weights is None else weights[: matrix.shape[0]]}
    if classes:
        keywords |= {"y": np.arange(matrix.shape[0]) % 2, "classes": True}
    with np.errstate(all="ignore"):
        dense = matrix.toarray()
    if not np.isfinite(dense).all():  # what is stored twice was too large in all
        with pytest.raises(DataError, match=r"infinity|NaN"), np.errstate(all="ignore"):
            PSR.from_rows(matrix.asformat(form))
        return
    assert PSR.from_rows(matrix.asformat(form), **keywords).digest == PSR.from_rows(dense, **keywords).digest


def test_what_is_stored_several_times_is_added_in_order():
    """Sums of floats depend on their order: it is that of `toarray`, in matrices of any format."""
    rows, columns = np.zeros(9, int), np.array([1, 1, 0, 1, 1, 0, 1, 1, 1])
    values = np.array([1e16, 1.0, 5.0, 1.0, -1e16, 0.1, 0.7, 3e-9, -0.3])
    matrix = sparse.coo_array((values, (rows, columns)), shape=(1, 2))
    _assert_dense(matrix)
    _assert_dense(sparse.csr_array((values, columns, [0, 9]), shape=(1, 2)))
    _assert_dense(sparse.csc_array((values, rows, [0, 2, 9]), shape=(1, 2)))


@pytest.mark.filterwarnings("ignore:Constructing a DIA matrix")
@pytest.mark.parametrize("form", FORMATS)
def test_any_format(form):
    """Matrices and arrays of all formats are read, and stay as they were."""
    for matrix in (_CSR.asformat(form), sparse.csr_matrix(_SOME).asformat(form)):
        assert _assert_dense(matrix) == PSR.from_rows(_SOME)
        assert np.array_equal(matrix.toarray(), _SOME)
        assert matrix.format == form


@pytest.mark.parametrize("exponents", [[0], range(-20, 20), range(-300, 300), [-1060, -1000, 0, 1000]], ids=str)
def test_exponents_of_any_spread(exponents):
    """Columns of far exponents take more digits."""
    matrix = _CSR.copy()
    matrix.data = np.ldexp(_RNG.normal(size=matrix.nnz), _RNG.choice(list(exponents), matrix.nnz))
    _assert_dense(matrix)


def test_long_columns_cannot_overflow(monkeypatch):
    """Rows are halved until sums of products are sure to stay below 2**62."""
    matrix = sparse.csr_array(np.full((3000, 2), np.nextafter(2.0**40, 0)))
    assert _sparse._MOST_TERMS * 2 ** (2 * _sparse._DIGIT_BITS) <= 2**62
    want = _assert_dense(matrix)
    monkeypatch.setattr(_sparse, "_MOST_TERMS", 50)
    assert PSR.from_rows(matrix) == want


def test_dense_enough_rows_are_read_with_their_zeros(monkeypatch):
    """The way of learning changes no bit."""
    monkeypatch.setattr(_rows, "_DENSE", 0.0)
    integers = sparse.csr_array((_RNG.random((50, 3)) < 0.5) * (2**62 + 12345))
    assert [_assert_dense(each).digest for each in (_CSR, integers)] == [
        PSR.from_rows(each.toarray()).digest for each in (_CSR, integers)
    ]


def test_targets_of_any_kind():
    """Dense columns stand beside sparse ones; sparse ones may be targets, too."""
    y, labels = _RNG.normal(size=400), _RNG.integers(0, 5, 400)
    _assert_dense(_CSR, y)
    _assert_dense(_CSR, y.astype(np.float16))
    _assert_dense(_CSR, labels, classes=True, sample_weight=_RNG.integers(0, 9, 400) / 4, n_jobs=2)
    _assert_dense(_CSR, [[2**60 + 1, -3]] * 400)
    assert PSR.from_rows(_CSR[:, :9], _CSR[:, 9:12]) == PSR.from_rows(_SOME[:, :9], _SOME[:, 9:12])
    assert PSR.from_rows(y[:, None], _CSR) == PSR.from_rows(y[:, None], _SOME)


@pytest.mark.parametrize("missing", ["listwise", "indicator", "pairwise"])
def test_what_is_declared_counts(missing):
    """Decimals, ranges, in which zeros count, categories and missing values are those of dense rows."""
    cents = sparse.csr_array(np.rint(_SOME * 100) / 100)
    digits = {"x1": 2, "x7": 3}
    psr = _assert_dense(cents, decimals=digits, ranges={"x7": (0, 0.5), "x9": (-1, 0)}, outside="drop")
    assert 0 < psr.n_rows < 400
    assert _assert_dense(cents, ranges={"x2": (0.25, 3)}, outside="drop").n_rows < 30
    with pytest.raises(DataError, match=r"400 of 400 rows outside .* first of them row 0 .* column 'x3'"):
        PSR.from_rows(sparse.csr_array((400, 5)), ranges={"x3": (1, 3)})
    _assert_dense(sparse.csr_array((_SOME > 0) * 7), decimals={"x0": 3})
    gaps = _CSR.copy()
    gaps.data[::5] = np.nan
    _assert_dense(gaps, missing=missing)
    _assert_dense(sparse.csr_array((_SOME > 0).astype(np.int8)), categories=["x1"], missing={"x2": missing})


def _with(value, row=333):
    matrix = _CSR.tolil()
    matrix[row, 7] = value
    return matrix.tocsr()


@pytest.mark.parametrize(
    ("matrix", "keywords", "error", "message"),
    [
        (_with(np.nan), {}, DataError, "NaN: column 'x7', row 333 "),
        (_with(-np.inf), {}, DataError, "infinity: column 'x7', row 333 "),
        (_with(np.inf), {"y": np.arange(400) % 3, "classes": True}, DataError, "infinity: column 'x7', row 333 "),
        (_with(np.nan), {"ranges": {"x7": (0, 1)}, "outside": "drop"}, DataError, "NaN: column 'x7', row 333 "),
        (_with(0.125), {"decimals": {"x7": 2}}, DataError, "column 'x7', row .* no decimal of 2 digits"),
        (sparse.csr_array([[0, 2**62]]), {"decimals": {"x1": 2}}, DataError, "column 'x1', row 0 .* too large"),
        (_CSR * 1j, {}, DataTypeError, "Complex data not supported"),
        (_CSR.astype(np.longdouble), {}, DataTypeError, "extended precision"),
        (sparse.coo_array([1.0, 0.0]), {}, DataError, "Expected 2D array, got 1D array"),
        (_CSR, {"y": [1.0]}, DataError, "400 rows in X and 1 in y"),
        (_CSR, {"y": _CSR, "classes": True}, DataTypeError, "dense data is required"),
        (sparse.csr_array((3, 0)), {}, DataError, "0 feature"),
    ],
)
def test_bad_numbers_are_refused(matrix, keywords, error, message):
    """Messages name column and row, as for dense rows."""
    with pytest.raises(error, match=message):
        PSR.from_rows(matrix, **keywords)


def test_rows_of_weight_zero_may_hold_anything():
    """As dense ones, they are not looked at."""
    weights = np.where(np.arange(400) == 333, 0, 2)
    rest = np.delete(_SOME, 333, axis=0)
    assert PSR.from_rows(_with(np.nan), sample_weight=weights) == PSR.from_rows(np.vstack([rest, rest]))


def test_streams_and_nodes():
    """Streams may mix sparse and dense batches, and a node learns, drops and forgets sparse rows."""
    want = PSR.from_rows(_SOME)
    parts = [_CSR[:50], _CSR[50:60].tocoo(), _SOME[60:200], _CSR[200:201], sparse.csr_matrix(_SOME[201:])]
    assert PSR.from_rows(iter(parts)) == want
    node = FederatedPSR()
    for part in parts:
        node.partial_fit(part)
    assert node.psr_ == want
    assert node.n_features_in_ == 30
    assert node.forget(_CSR[:50]).psr_ == PSR.from_rows(_SOME[50:])
    with pytest.raises(ValueError, match="X has 29 features"):
        node.partial_fit(_CSR[:, 1:])
    pairs = ((_CSR[part], np.arange(400)[part] % 2, None) for part in (slice(9), slice(9, 400)))
    assert FederatedPSR(classes=True).fit(pairs).psr_ == PSR.from_rows(_SOME, np.arange(400) % 2, classes=True)


def test_a_node_standardises_sparse_rows_as_they_are():
    """Without a mean to subtract, zeros stay zeros; else rows would be full, which is refused."""
    node = FederatedPSR(with_mean=False).fit(_CSR)
    scaled = node.transform(_CSR)
    assert sparse.issparse(scaled)
    assert np.array_equal(scaled.toarray(), node.transform(_SOME))
    assert np.allclose(node.inverse_transform(scaled).toarray(), _SOME)
    with pytest.raises(DataTypeError, match=r"[Ss]parse.*with_mean=False"):
        FederatedPSR().fit(_CSR).transform(_CSR)


def test_zeros_take_no_memory():
    """Learning takes room for what is stored and for the statistics, never for the table, which is 320 MB here."""
    n_rows, n_columns, n_stored = 200_000, 200, 40_000
    rng = np.random.default_rng(3)
    at = (rng.integers(0, n_rows, n_stored), rng.integers(0, n_columns, n_stored))
    matrix = sparse.coo_array((rng.normal(size=n_stored), at), shape=(n_rows, n_columns)).tocsr()
    matrix.sum_duplicates()
    PSR.from_rows(matrix[:10])
    tracemalloc.start()
    PSR.from_rows(matrix)
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak < 40

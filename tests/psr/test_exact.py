"""The kernel: every path gives the sums of Python integers, and every path is taken."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed.psr import PSR, _exact
from sklearn_symfed.psr._digits import MAX_DIGITS, DigitPlan, Splitter
from sklearn_symfed.psr._exact import CHUNK_ROWS, ExactGram
from sklearn_symfed.psr._integers import IntegerProducts
from sklearn_symfed.psr._products import DigitProducts, _Paired, _Whole


@pytest.fixture
def paths(monkeypatch):
    """Count the paths that rows take through the kernel."""
    taken = Counter()

    def count(cls, name, what):
        original = getattr(cls, name)

        def counted(self, *args, **kwargs):
            found = original(self, *args, **kwargs)
            key = what(found, *args)
            if key is not None:
                taken[key] += 1
            return found

        monkeypatch.setattr(cls, name, counted)

    count(IntegerProducts, "add", lambda left, _rows: "integers" if left is None else "no integers")
    count(DigitProducts, "__init__", lambda _, plan, _n_rows: f"{plan.counts.max()} digits")
    count(Splitter, "split", lambda found, _rows, _padded: None if found[1] is None else "deferred")
    for scheme in (_Whole, _Paired):
        count(scheme, "_multiply", lambda found, _stack: "uncertified" if found is None else None)
        count(scheme, "_place", lambda _, _levels, name=scheme.__name__: name)
    count(ExactGram, "_shift", lambda _, _x: "shifted")
    count(ExactGram, "add_split", lambda *_: "split")
    return taken


def _rng(seed=0):
    return np.random.default_rng(seed)


def _bursts(value, n_rows=2048, others=1.0):
    """Rows whose large values fall between the rows that units are guessed from."""
    x = np.full((n_rows, 2), others)
    x[513:640] = value
    x[512::8] = others
    return x


def _mixed(n_rows=600):
    x = _rng().normal(size=(n_rows, 3))
    x[::7, 0], x[3::11, 0], x[5::13, 1] = 5e-324, 1e300, -(2.0**-1060)
    return x


def _columns(n_rows, times):
    """Columns of one digit (integers, eighths), two (float32) and three (float64), side by side in no order."""
    rng = _rng(times)
    blocks = [
        (
            rng.normal(size=n_rows),
            rng.integers(0, 9, n_rows),
            rng.normal(size=n_rows).astype(np.float32),
            rng.integers(-99, 99, n_rows) / 8,
            rng.normal(1e3, 1, n_rows),
        )
        for _ in range(times)
    ]
    return np.column_stack([column for block in blocks for column in block]).astype(np.float64)


PATHS = {
    "integers": (lambda: _rng().integers(-1000, 1000, (900, 3)).astype(float), {"integers"}, {"1 digits", "shifted"}),
    "large integers": (lambda: _rng().integers(-(2**21), 2**21, (900, 3)) * 1.0, {"1 digits"}, {"integers", "shifted"}),
    "quarters": (lambda: _rng().integers(-1000, 1000, (900, 3)) / 4, {"1 digits"}, {"integers", "2 digits", "shifted"}),
    "digits of all numbers": (lambda: _columns(900, 2), {"3 digits", "_Whole"}, {"_Paired", "shifted"}),
    "digits of all numbers, wide": (lambda: _columns(600, 40), {"3 digits", "_Paired"}, {"shifted"}),
    "one-hot": (lambda: np.eye(4)[_rng().integers(0, 4, 900)], {"integers"}, {"1 digits", "shifted"}),
    "float32": (lambda: _rng().normal(size=(900, 3)).astype(np.float32), {"2 digits"}, {"shifted"}),
    "float64": (lambda: _rng().normal(size=(900, 3)), {"3 digits"}, {"shifted"}),
    "far from zero": (lambda: 1e9 + _rng().normal(size=(900, 3)), {"3 digits"}, {"shifted"}),
    "many digits": (
        lambda: np.ldexp(_rng().normal(size=(900, 1)), _rng().integers(-50, 0, (900, 1))),
        {"5 digits"},
        set(),
    ),
    "a few fractions": (
        lambda: np.where(_rng().random((900, 2)) < 0.03, 0.1, _rng().integers(0, 9, (900, 2))),
        {"1 digits", "deferred", "3 digits"},
        {"shifted"},
    ),
    "rare outliers": (lambda: _bursts(2.0**20 + 1), {"1 digits"}, {"shifted"}),
    "a burst of outliers": (lambda: _bursts(2.0**24 - 1), {"uncertified"}, {"shifted"}),
    "a burst of one sign, odd": (lambda: -_bursts(2.0**24 - 1, 4096, 3.0), {"uncertified"}, {"shifted"}),
    "constant next to a power of two": (lambda: np.full((1025, 2), 2.0**40 - 2.0**-12), {"3 digits"}, {"shifted"}),
    "subnormal": (lambda: _rng().integers(-5, 9, (600, 2)) * 5e-324, {"shifted"}, set()),
    "largest": (lambda: _rng().choice([1.7976931348623157e308, -1e308, 3e307], (600, 2)), {"shifted"}, set()),
    "1e308 beside units": (lambda: np.column_stack([np.full(600, 1e308), _rng().normal(size=600)]), {"shifted"}, set()),
    "tiny beside 1e100": (
        lambda: np.where(_rng().random((600, 2)) < 0.02, 5e-324, 2.0**332),
        {"1 digits", "shifted"},
        set(),
    ),
    "everything in one column": (_mixed, {"shifted"}, set()),
    "zeros of both signs": (lambda: np.where(_rng().random((600, 2)) < 0.5, 0.0, -0.0), {"integers"}, {"deferred"}),
}


@pytest.mark.parametrize(("make", "taken", "not_taken"), PATHS.values(), ids=PATHS)
def test_every_path_is_exact(make, taken, not_taken, paths, assert_exact):
    """The sums equal those of Python integers, and the rows took the path that the case is about."""
    x = make()
    assert_exact(PSR.from_rows(x), x)
    assert taken <= set(paths)
    assert not not_taken & set(paths)


@pytest.mark.parametrize("n_rows", [1, 2, 511, 512, 513, 1023, 1025])
@pytest.mark.parametrize("n_columns", [1, 2, 33])
def test_block_edges_are_exact(n_rows, n_columns, assert_exact):
    """A row on either side of a block's edge is counted once."""
    x = np.round(_rng(n_rows).normal(size=(n_rows, n_columns)), 1)
    assert_exact(PSR.from_rows(x), x)


@pytest.mark.parametrize("n_rows", [CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1])
@pytest.mark.parametrize("n_columns", [1, 2])
def test_chunk_edges_are_exact(n_rows, n_columns, assert_exact):
    """A row on either side of a chunk's edge is counted once."""
    x = _rng(n_rows).normal(size=(n_rows, n_columns))
    assert_exact(PSR.from_rows(x), x)


@pytest.mark.parametrize("n_rows", [511, 513])
def test_wide_rows_are_exact(n_rows, paths):
    """Six hundred columns of two digits equal the product in 64-bit integers."""
    integers = _rng().integers(-(2**26), 2**26, (n_rows, 600))
    moments = PSR.from_rows(integers * 2.0**-30).moments()
    assert moments.unit.numerator == 1
    order = [moments.names.index(f"x{i}") + 1 for i in range(600)]
    got = (moments.matrix[np.ix_(order, order)] << 60) // moments.unit.denominator
    assert got.tolist() == (integers.T @ integers).tolist()
    assert paths["2 digits"]


def test_a_large_draw_is_exact(assert_exact):
    """A hundred thousand rows of money, of normal values and of powers equal the sums of Python integers."""
    rng = _rng()
    money = rng.integers(0, 10**6, 100_000) / 100
    x = np.column_stack([money, rng.normal(size=100_000), np.exp(rng.normal(0, 30, 100_000))])
    assert_exact(PSR.from_rows(x), x)


def test_partitions_of_a_hundred_thousand_rows_give_one_digest():
    """Batches of one row to all rows, orders, threads and memory layouts leave the digest as it is."""
    rng = _rng(1)
    x = np.column_stack(
        [rng.integers(0, 10**6, 100_000) / 100, rng.normal(1e6, 1, 100_000), rng.integers(0, 2, 100_000)]
    )
    want = PSR.from_rows(x)
    edges = np.sort(rng.choice(len(x), 40, replace=False))
    assert sum(PSR.from_rows(part) for part in np.split(x, edges)) == want
    assert PSR.from_rows(x[:20]) + sum(PSR.from_rows(x[[i]]) for i in range(20, 60)) == PSR.from_rows(x[:60])
    assert PSR.from_rows(x[rng.permutation(len(x))], n_jobs=2) == want
    assert PSR.from_rows(np.asfortranarray(x)) == want
    labels = rng.integers(0, 7, len(x))
    assert PSR.from_rows(x, labels, classes="group").drop("group") == want


def _plan(units, counts):
    return DigitPlan(np.array(units), np.array(counts))


def _under(plan, x):
    """Return the packed sums of rows that begin with a plan of ours."""
    gram = ExactGram(x.shape[1])
    gram._way = DigitProducts(plan, len(x))
    gram.add(x)
    return gram.packed()


@pytest.mark.parametrize("too_fine", [3, 20, 200, 800])
@pytest.mark.parametrize("n_digits", [1, 3, MAX_DIGITS])
def test_units_without_certificate_are_tried_again(too_fine, n_digits, paths):
    """Units that are far too fine cost passes, and in the end shifts, but not a bit."""
    x = _rng().normal(size=(700, 2))
    want = ExactGram(2)
    want.add(x)
    plan = _plan([-20 - too_fine] * 2, [n_digits] * 2)
    assert _under(plan, x) == want.packed()
    assert paths["uncertified"] or paths["shifted"] or paths["3 digits"]


@pytest.mark.parametrize("too_wide", [3, 40, 500])
def test_digits_that_do_not_suffice_are_tried_again(too_wide):
    """Units that are far too wide leave remainders, which are not lost."""
    x = _rng().normal(size=(700, 2))
    want = ExactGram(2)
    want.add(x)
    assert _under(_plan([too_wide, -20], [1, 2]), x) == want.packed()


def test_passes_are_bounded(paths, monkeypatch):
    """Rows that find no plan in time are shifted, and so are those that no plan suits."""
    x = _rng().normal(size=(600, 2))
    want = ExactGram(2)
    want.add(x)
    monkeypatch.setattr(_exact, "_MAX_PASSES", 0)
    assert _under(_plan([0, 0], [1, 1]), x) == want.packed()
    assert paths["shifted"]
    paths.clear()
    monkeypatch.setattr(_exact, "_choose", lambda *_: None)
    gram = ExactGram(2)
    gram.add(x)
    assert gram.packed() == want.packed()
    assert set(paths) == {"shifted"}


def test_data_that_change_are_exact(assert_exact):
    """A way that suited the first rows gives way to others when the data change: kinds, scales and counts."""
    rng = _rng(3)
    parts = [
        rng.integers(0, 9, (40_000, 2)).astype(float),
        rng.normal(size=(3_000, 2)),
        rng.normal(size=(3_000, 2)) * 2.0**40,
        rng.normal(size=(3_000, 2)) * 2.0**-40,
        np.full((3_000, 2), 1e300),
        rng.integers(0, 2**40, (3_000, 2)).astype(float),
        np.zeros((3_000, 2)),
    ]
    whole = np.concatenate(parts)
    assert_exact(PSR.from_rows(whole), whole)
    gram = ExactGram(2)
    for part in parts:
        for start in range(0, len(part), 777):
            gram.add(part[start : start + 777])
    want = ExactGram(2)
    want.add(whole)
    assert gram.packed() == want.packed()


def test_many_blocks_are_carried_in_time(paths):
    """More blocks than int64 holds sums of are moved onto the grid on the way: the largest digits, 200,000 rows."""
    largest = 2.0**22 - 1
    gram = ExactGram(1)
    for _ in range(7):
        gram.add(np.full((32_768, 1), largest))
    integers, exponent = gram.packed().to_integers()
    n_rows, value = 7 * 32_768, int(largest)
    assert [entry << exponent for entry in integers.tolist()] == [n_rows] * 3 + [n_rows * value, n_rows * value**2]
    assert paths["_Whole"] > 1


@pytest.mark.parametrize("name", PATHS)
def test_shifts_equal_digits(name):
    """The two paths are independent of each other and agree."""
    x = PATHS[name][0]()
    by_digits, by_shifts = ExactGram(x.shape[1]), ExactGram(x.shape[1])
    by_digits.add(x)
    by_shifts._n_rows[0] = len(x)
    by_shifts._shift(x)
    assert by_digits.packed() == by_shifts.packed()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_beyond_float64_are_exact(dtype, paths, assert_exact):
    """64-bit integers are learned to their last bit, the extremes included."""
    info = np.iinfo(dtype)
    edges = [info.min, info.min + 1, info.max, info.max - 1, 2**53, 2**53 + 1, 2**53 - 1, 2**62 + 1, 0, 1]
    edges += [] if info.min == 0 else [-(2**53) - 1, -(2**53), -1, -(2**32), -(2**32) - 1]
    rng = _rng()
    x = np.column_stack([rng.choice(np.array(edges, dtype=dtype), 700), rng.integers(info.min, info.max, 700, dtype)])
    assert_exact(PSR.from_rows(x), x)
    assert paths["split"]
    small = np.column_stack([x[:, 0], x[:, 0] % 7])
    assert_exact(PSR.from_rows(small), small)
    frame = pd.DataFrame({"a": x[:, 0], "b": rng.integers(0, 5, 700), "c": x[:, 1]})
    assert_exact(PSR.from_rows(frame), np.column_stack([frame[name].to_numpy().astype(object) for name in frame]))


@pytest.fixture(
    params=[
        np.float64,
        np.float32,
        np.float16,
        np.int8,
        np.uint8,
        np.int32,
        np.uint32,
        np.int64,
        np.bool_,
        ">f8",
        ">i4",
    ]
)
def numbers(request):
    """Draw rows of each dtype that is learned."""
    dtype = np.dtype(request.param)
    if dtype.kind == "f":
        return _rng().normal(size=(700, 4)).astype(dtype)
    return _rng().integers(0, 2 if dtype.kind == "b" else 100, (700, 4)).astype(dtype)


def test_storage_is_no_meaning(numbers, assert_exact):
    """The same values give the same digest from any dtype and memory layout, as arrays, frames and lists."""
    want = PSR.from_rows(numbers.astype(np.float64))
    assert_exact(want, numbers.astype(np.float64))
    read_only = numbers.copy()
    read_only.flags.writeable = False
    wide = np.zeros((1400, 8), dtype=numbers.dtype)
    wide[::2, ::2] = numbers
    names = [f"x{i}" for i in range(4)]
    layouts = {
        "C": numbers,
        "Fortran": np.asfortranarray(numbers),
        "read-only": read_only,
        "strided": wide[::2, ::2],
        "reversed": numbers[::-1, :][:, ::-1][:, ::-1],
        "objects": numbers.astype(object),
        "list": numbers.tolist(),
        "frame": pd.DataFrame(numbers.astype(numbers.dtype.newbyteorder("=")), columns=names),
    }
    assert {name: PSR.from_rows(x).digest for name, x in layouts.items()} == dict.fromkeys(layouts, want.digest)


def test_frames_of_mixed_dtypes_are_exact(assert_exact):
    """Columns of a frame keep their own dtype, nullable and categorical ones included."""
    rng = _rng()
    whole = rng.integers(0, 9, 700)
    frame = pd.DataFrame(
        {
            "float": rng.normal(size=700),
            "single": rng.normal(size=700).astype(np.float32),
            "half": rng.normal(size=700).astype(np.float16),
            "int": whole,
            "bool": whole > 3,
            "Int64": pd.array(whole, dtype="Int64"),
            "Float64": pd.array(rng.normal(size=700), dtype="Float64"),
            "boolean": pd.array(whole > 4, dtype="boolean"),
            "UInt8": pd.array(whole, dtype="UInt8"),
            "object": pd.Series([1, 2.5, True, np.float32(0.1), np.int8(3), np.True_, 7] * 100, dtype=object),
        }
    )
    psr = PSR.from_rows(frame)
    assert psr.names == tuple(frame.columns)
    assert_exact(psr, np.column_stack([frame[name].astype(np.float64) for name in frame]))


def test_a_missing_value_that_made_a_column_float_is_no_other_column():
    """An integer column that became float because a value was missing has the digest of the integers."""
    holes = pd.DataFrame({"a": [1, 2, None], "b": [3, 4, 5]})
    assert PSR.from_rows(holes.dropna()) == PSR.from_rows(pd.DataFrame({"a": [1, 2], "b": [3, 4]}))


def test_lists_keep_integers_that_numpy_would_round():
    """A list that mixes large integers with floats is learned to the last bit, column by column."""
    sums = PSR.from_rows([[2**53 + 1, 0.5], [2**63, 0.25]]).moments()
    assert sums.matrix[0, 1] * sums.unit == 2**53 + 1 + 2**63
    assert PSR.from_rows([[2**64 - 1, -(2**63)]]).moments().sums.tolist() == [2.0**64, -(2.0**63)]


@pytest.mark.parametrize("exponent", [-1074, -900, -33, -1, 0, 1, 31, 32, 62, 900])
def test_a_shared_weight_is_a_shift(exponent):
    """Rows that share a power of two as weight have shifted sums."""
    x = np.vstack([_mixed(40), _rng().normal(size=(40, 3))])
    plain, weighted = ExactGram(3), ExactGram(3)
    plain.add(x)
    weighted.add(x, exponent)
    integers, base = plain.packed().to_integers()
    shifted, shifted_base = weighted.packed().to_integers()
    low = min(base + exponent, shifted_base)
    assert (integers << (base + exponent - low)).tolist() == (shifted << (shifted_base - low)).tolist()


def test_weights_are_exact():
    """Integer weights repeat rows; float weights, down to subnormal ones, give the sums of fractions."""
    rng = _rng()
    x = rng.normal(size=(60, 2))
    for weight in (
        rng.integers(0, 4, 60),
        rng.integers(0, 4, 60).astype(np.uint8),
        rng.random(60) < 0.5,
        pd.Series(rng.integers(0, 3, 60), index=rng.permutation(60)),
    ):
        psr = PSR.from_rows(x, sample_weight=weight)
        assert psr == PSR.from_rows(np.repeat(x, np.asarray(weight).astype(int), axis=0))
    assert PSR.from_rows(x, sample_weight=np.full(60, 2**62)).n_rows == 60 * 2**62
    for weight in (
        rng.random(60),
        rng.random(60).astype(np.float32),
        np.ldexp(rng.random(60), rng.integers(-1000, 900, 60)),
    ):
        moments = PSR.from_rows(x, sample_weight=weight).moments()
        unit = moments.unit
        fractions = [Fraction(value) for value in weight.tolist()]
        assert moments.matrix[0, 0] * unit == sum(fractions)
        assert moments.sum_w2 * unit == sum(value**2 for value in fractions)
        products = [w * Fraction(a) * Fraction(b) for w, (a, b) in zip(fractions, x.tolist(), strict=True)]
        assert moments.matrix[1, 2] * unit == sum(products)
        assert moments.n_rows == 60


def test_a_scalar_weight_and_weights_of_one():
    """A scalar weighs every row, and weights of one are no weights, whatever their dtype."""
    x = _rng().normal(size=(5, 2))
    assert PSR.from_rows(x, sample_weight=3) == PSR.from_rows(x, sample_weight=[3] * 5)
    assert PSR.from_rows(x, sample_weight=np.ones(5)) == PSR.from_rows(x, sample_weight=1) == PSR.from_rows(x)
    assert PSR.from_rows(x, sample_weight=np.zeros(5)) == PSR.from_rows(x[:0])


def test_columns_are_no_condition_for_counting():
    """A frame of class labels alone is counted by class."""
    psr = PSR.from_rows(pd.DataFrame({"late": ["no", "yes", "no"]}), classes="late")
    assert (psr.n_rows, psr.names) == (3, ())
    assert {label: each.n_rows for label, each in psr.by_class().items()} == {"no": 2, "yes": 1}
    assert PSR.from_bytes(psr.to_bytes()) == psr


def test_floating_point_settings_of_the_caller_do_not_matter():
    """Numpy's error state, even set to raise, changes neither the result nor itself."""
    x = np.vstack([_mixed(), _rng().normal(size=(600, 3))])
    want = PSR.from_rows(x)
    for setting in ("raise", "ignore", "warn"):
        with np.errstate(all=setting):
            before = np.geterr()
            assert PSR.from_rows(x) == want
            assert np.geterr() == before

"""Moments: each float64 view is the exact value, rounded once."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr import PSR, Moments, Schema, quotient
from sklearn_symfed.testing import finite_rows


def _rounded(value):
    """Round a fraction to float64, as `fractions` does: once; beyond the range to infinity."""
    try:
        return float(value) + 0.0
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _same(got, want):
    """Compare floats by their bits: zeros by sign, NaN with NaN."""
    return np.array_equal(np.asarray(got).view(np.int64), np.asarray(want, dtype=np.float64).view(np.int64))


def _oracle(rows, weights, ddof):
    """Return sums, mean, scatter and the divisor of the covariance, by fractions."""
    x = [[Fraction(value) for value in row] for row in rows.tolist()]
    w = [Fraction(value) for value in np.asarray(weights).tolist()]
    total, d = sum(w), rows.shape[1]
    sums = [sum(wi * row[j] for wi, row in zip(w, x, strict=True)) for j in range(d)]
    mean = [each / total for each in sums]
    scatter = [
        [sum(wi * (r[i] - mean[i]) * (r[j] - mean[j]) for wi, r in zip(w, x, strict=True)) for j in range(d)]
        for i in range(d)
    ]
    repeated = np.asarray(weights).dtype.kind == "i"
    divisor = total - Fraction(ddof) * (1 if repeated else sum(wi**2 for wi in w) / total)
    return sums, mean, scatter, divisor


def _check(rows, weights, ddof):
    moments = PSR.from_rows(rows, sample_weight=weights).moments()
    sums, mean, scatter, divisor = _oracle(rows, weights, ddof)
    assert _same(moments.sums, [_rounded(each) for each in sums])
    assert _same(moments.mean, [_rounded(each) for each in mean])
    assert _same(moments.scatter, [[_rounded(each) for each in row] for row in scatter])
    assert moments.sum_weights == _rounded(sum(Fraction(w) for w in weights.tolist()))
    if divisor > 0:
        want = [[_rounded(each / divisor) for each in row] for row in scatter]
        assert _same(moments.covariance(ddof), want)
        assert _same(moments.variance(ddof), np.diagonal(want).copy())
    else:
        assert np.isnan(moments.covariance(ddof)).all()
        assert np.isnan(moments.variance(ddof)).all()


@settings(deadline=None, max_examples=40)
@given(rows=finite_rows(min_rows=1, max_rows=7, max_columns=3), ddof=st.sampled_from([0, 1, 2, 0.5, -1]))
def test_views_are_rounded_once(rows, ddof):
    """Sums, means, scatter, variance and covariance are the fractions, rounded to nearest."""
    _check(rows, np.ones(len(rows), dtype=np.int64), ddof)


@settings(deadline=None, max_examples=12)
@given(data=st.data(), rows=finite_rows(min_rows=2, max_rows=5, max_columns=2), ddof=st.sampled_from([0, 1, 0.5]))
def test_weighted_views_are_rounded_once(data, rows, ddof):
    """The same holds under integer and float weights."""
    whole, real = st.integers(1, 5), st.sampled_from([0.1, 0.5, 1.0, 1e-300, 3e5, 2.0**70])
    kind, elements = data.draw(st.sampled_from([(np.int64, whole), (np.float64, real)]))
    weights = data.draw(st.lists(elements, min_size=len(rows), max_size=len(rows)))
    _check(rows, np.array(weights, dtype=kind), ddof)


def test_weights_mean_what_they_mean_to_numpy():
    """Integer weights are numpy's fweights, float weights its aweights."""
    rng = np.random.default_rng(0)
    x, whole, real = rng.normal(size=(40, 3)), rng.integers(0, 5, 40), rng.random(40)
    for ddof in (0, 1):
        got = PSR.from_rows(x, sample_weight=whole).moments().covariance(ddof)
        assert np.allclose(got, np.cov(x.T, ddof=ddof, fweights=whole), rtol=1e-12)
        got = PSR.from_rows(x, sample_weight=real).moments().covariance(ddof)
        assert np.allclose(got, np.cov(x.T, ddof=ddof, aweights=real), rtol=1e-12)
        got = PSR.from_rows(x).moments()
        assert np.allclose(got.covariance(ddof), np.cov(x.T, ddof=ddof), rtol=1e-12)
        assert np.allclose(got.variance(ddof), x.var(axis=0, ddof=ddof), rtol=1e-12)
    assert np.allclose(got.correlation(), np.corrcoef(x.T), rtol=1e-12)
    assert np.allclose(got.gram, x.T @ x, rtol=1e-12)


def test_an_offset_costs_no_digit():
    """At a mean of 1e12 standard deviations the variance is still rounded once, where float64 has no digit left."""
    rng = np.random.default_rng(0)
    x = 1e12 + rng.normal(size=(20_000, 2))
    got = PSR.from_rows(x).moments().covariance()
    shifted = [[Fraction(value) - 10**12 for value in row] for row in x.tolist()]
    n, sums = len(x), [sum(column) for column in zip(*shifted, strict=True)]
    product = sum(a * b for a, b in shifted)
    assert got[0, 1] == float((product - sums[0] * sums[1] / n) / (n - 1))
    assert abs(np.mean(x[:, 0] ** 2) - np.mean(x[:, 0]) ** 2 - got[0, 0]) > 1e6


@settings(deadline=None, max_examples=40)
@given(rows=finite_rows(min_rows=2, max_rows=6, min_columns=2, max_columns=2))
def test_correlations_are_rounded_once(rows):
    """Correlations equal those of mpmath with more digits than any double needs to be told from its neighbour."""
    moments = PSR.from_rows(rows).moments()
    covariance, first, second = (int(moments.comoments[i, j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    got = moments.correlation()
    assert np.array_equal(got, got.T, equal_nan=True)
    if not first or not second:
        assert math.isnan(got[0, 1])
        return
    with mpmath.workdps(1400):  # subnormal correlations of huge integers
        want = mpmath.mpf(covariance) / mpmath.sqrt(mpmath.mpf(first) * second)
        nearest = got[0, 1]
        for neighbour in (np.nextafter(nearest, -2), np.nextafter(nearest, 2)):
            assert abs(want - nearest) <= abs(want - float(neighbour))
    assert got[0, 0] == got[1, 1] == 1.0
    assert abs(nearest) <= 1.0


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([[1, 2], [2, 4], [5, 10]], 1.0),
        ([[0.1, -0.1], [0.7, -0.7], [1e20, -1e20]], -1.0),
        ([[5e-324, 1e308], [0, 0], [1e-323, 1.7e308]], None),
        ([[0, 0], [1, 0], [0, 1], [1, 1]], 0.0),
        (
            [
                [
                    1,
                    0,
                ],
                [-1, 0],
                [0, 1],
                [0, -1],
            ],
            0.0,
        ),
        ([[1, 1], [-1, 0], [0, -1]], 0.5),
        ([[-1, 1], [1, 0], [0, -1]], -0.5),
    ],
)
def test_correlations_that_are_numbers_are_those_numbers(rows, want):
    """One, a half and zero come out as they are, and zero is positive."""
    got = PSR.from_rows(np.array(rows, dtype=float)).moments().correlation()[0, 1]
    if want is not None:
        assert _same(got, want)
    else:
        assert 0 < got < 1


def test_constant_columns():
    """A constant column has variance zero, and no correlation with any column, itself included."""
    moments = PSR.from_rows([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]]).moments()
    assert _same(moments.variance(), [0.0, moments.variance()[1]])
    assert np.isnan(moments.correlation()).tolist() == [[True, True], [True, False]]
    assert _same(moments.covariance()[0], [0.0, 0.0])


def test_what_is_undefined_is_nan():
    """No rows have no mean, and as many rows as ddof have no variance."""
    empty = PSR.zero(Schema(["a", "b"])).moments()
    assert (empty.n_rows, empty.sum_weights, empty.sums.tolist(), empty.gram.tolist()) == (0, 0.0, [0, 0], [[0, 0]] * 2)
    for view in (
        empty.mean,
        empty.variance(),
        empty.covariance(),
        empty.covariance(0),
        empty.scatter,
        empty.correlation(),
    ):
        assert np.isnan(view).all()
    one = PSR.from_rows([[1.0, 2.0]]).moments()
    assert np.isnan(one.covariance()).all()
    assert _same(one.covariance(0), np.zeros((2, 2)))
    assert np.isnan(one.covariance(2)).all()
    assert np.isnan(PSR.from_rows([[1.0], [2.0]], sample_weight=[1.0, 0.0]).moments().covariance()).all()


def test_overflow_is_infinite_and_underflow_is_positive_zero():
    """Beyond the range of float64 the rounded value is infinite or zero; means stay finite."""
    moments = PSR.from_rows([[1.7e308, -5e-324], [1.7e308, 5e-324], [1.7e308, -5e-324]]).moments()
    assert moments.sums[0] == moments.gram[0, 0] == math.inf
    assert moments.mean[0] == 1.7e308
    assert _same(moments.mean[1], 0.0)
    assert _same(moments.gram[1, 1], 0.0)
    assert PSR.from_rows([[1.7e308, -1.0], [1.7e308, -1.0]]).moments().gram[0, 1] == -math.inf


@given(st.integers(-(2**120), 2**120), st.integers(1, 2**120), st.integers(-1300, 1300), st.sampled_from([1, -1]))
def test_quotients_are_rounded_once(numerator, denominator, exponent, sign):
    """A quotient of integers at any exponent equals the rounded fraction."""
    got = quotient(numerator, sign * denominator, exponent)
    assert _same(got, _rounded(Fraction(numerator, sign * denominator) * Fraction(2) ** exponent))


def test_quotients_at_the_edges():
    """Ties go to even, zero is positive, and a zero denominator gives NaN."""
    assert quotient(2**53 + 1, 1) == 2.0**53
    assert quotient(2**53 + 3, 1) == 2.0**53 + 4
    assert quotient(1, 2, -1074) == 0.0
    assert quotient(3, 2, -1074) == 1e-323
    assert _same(quotient(-1, 1, -2000), 0.0)
    assert _same(quotient(0, -5), 0.0)
    assert math.isnan(quotient(0, 0))
    assert math.isnan(quotient(5, 0))
    assert quotient(1, -1, 1024) == -math.inf
    assert quotient(2**54 - 1, 1, 970) == math.inf
    assert quotient(2**53 - 1, 1, 971) == 1.7976931348623157e308


def test_selected_moments_are_those_of_the_columns():
    """Columns are selected by name, in the order given; unknown names are listed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(9, 3))
    moments, weights = PSR.from_rows(x, sample_weight=rng.random(9)).moments(), rng.random(9)
    moments = PSR.from_rows(x, sample_weight=weights).moments()
    want = PSR.from_rows(x, sample_weight=weights).select(["x2", "x0"]).moments()
    got = moments.select(["x2", "x0"])
    assert isinstance(got, Moments)
    assert (got.names, got.n_rows) == (want.names, want.n_rows)
    assert _same(got.covariance(), want.covariance())
    assert _same(got.covariance(), moments.covariance()[np.ix_([2, 0], [2, 0])])
    with pytest.raises(SchemaError, match=r"unknown columns \['x9'\]"):
        moments.select(["x9"])
    with pytest.raises(SchemaError, match="expected a list of names"):
        moments.select("x0")


def test_integers_of_moments_are_python_integers():
    """The exact matrices hold Python integers, symmetric, and the text holds no value."""
    moments = PSR.from_rows([[987654.321, 2.0], [3.0, 4.0]]).moments()
    for matrix in (moments.matrix, moments.comoments):
        assert {type(value) for value in matrix.ravel().tolist()} == {int}
        assert matrix.tolist() == matrix.T.tolist()
    assert repr(moments) == "<Moments: 2 rows of 2 columns>"

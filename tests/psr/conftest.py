"""An oracle that is slow and plainly right: sums of Python integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest


def _integers(x):
    """Return Python integers and the exponent of two that they share."""
    x = np.asarray(x)
    if x.dtype.kind in "iubO":
        return x.astype(object) * 1, 0
    mantissas, exponents = np.frexp(x.astype(np.float64))
    integers = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
    exponents = exponents.astype(object) - 53
    base = min(exponents.ravel().tolist(), default=0)
    return integers << (exponents - base), base


@pytest.fixture(scope="session")
def exact_sums():
    """Return a function that adds up rows as Python integers, in the form of `Moments.matrix`."""

    def sums(x, unit):
        integers, base = _integers(x)
        ones = np.full((len(integers), 1), 1, dtype=object)
        first, gram = (ones.T @ integers)[0], integers.T @ integers
        size = integers.shape[1] + 1
        out = np.zeros((size, size), dtype=object)
        step = Fraction(2) ** base
        out[0, 0] = _over(len(integers), unit)
        out[0, 1:] = out[1:, 0] = [_over(value, unit / step) for value in first]
        out[1:, 1:] = np.reshape([_over(value, unit / step**2) for value in gram.ravel()], gram.shape)
        return out

    return sums


def _over(value, unit):
    """Return ``value / unit``, which must be an integer."""
    quotient, rest = divmod(value * unit.denominator, unit.numerator)
    assert rest == 0
    return quotient


@pytest.fixture
def assert_exact(exact_sums):
    """Return a function that compares a PSR with the oracle, entry by entry."""

    def check(psr, x):
        moments = psr.moments()
        want = exact_sums(x, moments.unit)
        assert moments.matrix.tolist() == want.tolist()
        assert moments.n_rows == len(x)

    return check

"""An oracle that is slow and plainly right: sums of Python integers."""

from __future__ import annotations

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

    def sums(x, exponent):
        integers, base = _integers(x)
        # over 2**(2 * base) as one augmented matrix
        ones = np.full((len(integers), 1), 1, dtype=object)
        first, gram = (ones.T @ integers)[0], integers.T @ integers
        size = integers.shape[1] + 1
        out = np.zeros((size, size), dtype=object)
        out[0, 0] = _over(len(integers), exponent)
        out[0, 1:] = out[1:, 0] = [_over(value, exponent - base) for value in first]
        out[1:, 1:] = np.reshape([_over(value, exponent - 2 * base) for value in gram.ravel()], gram.shape)
        return out

    return sums


def _over(value, exponent):
    """Return ``value / 2**exponent``, which must be an integer."""
    quotient, rest = divmod(value, 1 << exponent) if exponent > 0 else (value << -exponent, 0)
    assert rest == 0
    return quotient


@pytest.fixture
def assert_exact(exact_sums):
    """Return a function that compares a PSR with the oracle, entry by entry."""

    def check(psr, x):
        moments = psr.moments()
        want = exact_sums(x, moments.exponent)
        assert moments.matrix.tolist() == want.tolist()
        assert moments.n_rows == len(x)

    return check

"""Hypothesis strategies for rows, labels and partitions, as hard as float64 allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

__all__ = ["class_labels", "finite_rows", "partitions", "weights"]

Array = np.ndarray[Any, Any]

_FINITE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-300, 1e100, 1.7976931348623157e308, 1e-8]),
    st.integers(-(2**53), 2**53).map(float),
    st.integers(-(10**7), 10**7).map(lambda cents: cents / 100),
    st.builds(np.ldexp, st.floats(-1, 1, allow_subnormal=False), st.integers(-1000, 1000)).map(float),
)


def finite_rows(
    min_rows: int = 0, max_rows: int = 12, min_columns: int = 1, max_columns: int = 4
) -> st.SearchStrategy[Array]:
    """Draw float64 arrays: subnormals, signed zeros, 1e308, mixed exponents, integers, cents.

    Parameters
    ----------
    min_rows, max_rows, min_columns, max_columns : int
        Bounds of the shape, inclusive.
    """
    shapes = st.tuples(st.integers(min_rows, max_rows), st.integers(min_columns, max_columns))
    return hnp.arrays(np.float64, shapes, elements=_FINITE)


def class_labels(n_rows: int, max_classes: int = 3) -> st.SearchStrategy[list[Any]]:
    """Draw labels of one kind (bool, int or str), one for each row."""
    alphabets: list[list[Any]] = [[True, False], list(range(-1, max_classes - 1)), ["a", "é", "ß"][:max_classes]]
    kinds = st.sampled_from(alphabets)
    return kinds.flatmap(lambda kind: st.lists(st.sampled_from(kind), min_size=n_rows, max_size=n_rows))


def weights(n_rows: int) -> st.SearchStrategy[Array]:
    """Draw weights: small integers (repetitions), or floats from 0 to 1e6."""
    whole = hnp.arrays(np.int64, n_rows, elements=st.integers(0, 5))
    real = hnp.arrays(np.float64, n_rows, elements=st.floats(0, 1e6, allow_subnormal=False))
    return st.one_of(whole, real)


def partitions(n_rows: int, max_parts: int = 4) -> st.SearchStrategy[list[Array]]:
    """Draw a way to deal rows to parties: arrays of row positions, some perhaps empty, in any order."""
    owners = st.lists(st.integers(0, max_parts - 1), min_size=n_rows, max_size=n_rows)
    orders = st.permutations(range(n_rows))
    return st.builds(
        lambda owner, order: [
            np.array([row for row in order if owner[row] == part], dtype=np.intp) for part in range(max_parts)
        ],
        owners,
        orders,
    )

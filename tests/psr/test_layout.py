"""Packed states: what rows can have, told by floats where they are sure and by integers where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.psr._layout import _doubtful, impossibility, rows_of
from sklearn_symfed.psr._limbs import Limbs

_COLUMN = st.tuples(
    st.integers(-(2**70), 2**70),
    st.sampled_from([-(2**200), -2, -1, 0, 1, 2, 2**60, 2**200]),
    st.integers(-300, 300),
)


@given(n_rows=st.integers(1, 2**40), columns=st.lists(_COLUMN, max_size=4), padding=st.integers(0, 2**300))
def test_what_floats_cannot_tell_integers_do(n_rows, columns, padding):
    """The verdict is that of the inequality, however near, whatever the scales, and whether carries wait or not."""
    unit = 1 << 700
    sums = [total * unit >> 300 - scale for total, _, scale in columns]
    least = [-(-value * value // (n_rows * unit)) for value in sums]
    squares = [low + more for low, (_, more, _) in zip(least, columns, strict=True)]
    upper = []
    for i, square in enumerate(squares):
        upper += [square, *[0] * (len(squares) - i - 1)]
    entries = [n_rows * unit] * 3 + sums + upper
    possible = all(q >= 0 and s * s <= q * n_rows * unit for s, q in zip(sums, squares, strict=True))
    state = Limbs.from_integers(entries, -700)
    waiting = Limbs.from_integers([value + padding for value in entries], -700) - Limbs.from_integers(
        [padding] * len(entries), -700
    )
    for each in (state, waiting):
        assert (impossibility(each, len(columns)) is None) == possible
        assert rows_of(each) == n_rows


def test_integers_are_asked_of_few_columns():
    """Columns whose values differ are settled by floats; a constant column has no room for an error."""
    x = np.array([[1, 5, -3], [2, 5, 4], [9, 5, 0]])
    gram = np.column_stack([np.ones(3, int), x]).T @ np.column_stack([np.ones(3, int), x])
    state = Limbs.from_integers([3, 3, *gram[np.triu_indices(4)].tolist()])
    assert _doubtful(state, 3).tolist() == [1]
    assert impossibility(state, 3) is None


@pytest.mark.parametrize("exponent", [0, -400, 300])
def test_no_rows_have_nothing(exponent):
    """Zeros are no rows, also where they are a difference that nobody has looked at."""
    one = Limbs.from_integers([1, 1, 1, 2, 4], exponent)
    assert impossibility(one - one, 1) is None
    assert rows_of(one - one) == 0
    assert impossibility(Limbs.from_integers([0, 0, 0, 0, 4], exponent), 1) == "sums without rows"

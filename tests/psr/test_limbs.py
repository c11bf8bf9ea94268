"""Vectors of exact numbers: one representation for each value, and Python integers as the oracle."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.psr import _limbs
from sklearn_symfed.psr._limbs import Accumulator, Limbs

_NUMBERS = st.one_of(
    st.integers(-(2**200), 2**200),
    st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32, -(2**32), 2**63, -(2**63), 2**95]),
)
_VECTORS = st.lists(_NUMBERS, min_size=1, max_size=5)
_EXPONENTS = st.integers(-3300, 3300)


def _values(limbs):
    integers, exponent = limbs.to_integers()
    return [value << (exponent + 4000) for value in integers.tolist()]


@given(values=_VECTORS, exponent=_EXPONENTS)
def test_integers_go_in_and_come_out(values, exponent):
    """Any integers times any power of two are stored exactly."""
    assert _values(Limbs.from_integers(values, exponent)) == [value << (exponent + 4000) for value in values]


@given(values=_VECTORS, exponent=_EXPONENTS, shift=st.integers(0, 100))
def test_a_value_has_one_representation(values, exponent, shift):
    """The same numbers, however scaled when they came in, are the same planes, and none of them is zero."""
    one = Limbs.from_integers(values, exponent)
    other = Limbs.from_integers([value << shift for value in values], exponent - shift)
    assert one == other
    assert (one.keys, one.planes.tobytes(), hash(one)) == (other.keys, other.planes.tobytes(), hash(other))
    assert one.planes.any(axis=1).all()
    assert list(one.keys) == sorted(set(one.keys))
    assert bool(one) == any(values)


@given(pairs=st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=5), first=_EXPONENTS, second=_EXPONENTS)
def test_sums_and_differences_are_exact(pairs, first, second):
    """Addition and subtraction are those of integers, and undo each other to the same planes."""
    a = Limbs.from_integers([pair[0] for pair in pairs], first)
    b = Limbs.from_integers([pair[1] for pair in pairs], second)
    assert _values(a + b) == [x + y for x, y in zip(_values(a), _values(b), strict=True)]
    assert _values(a - b) == [x - y for x, y in zip(_values(a), _values(b), strict=True)]
    assert a + b == b + a
    assert (a + b) - b == a
    assert not a - a


@given(values=_VECTORS, data=st.data())
def test_a_selection_is_canonical(values, data):
    """Entries that are taken are what they were, and planes that only others needed are gone."""
    index = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=6))
    taken = Limbs.from_integers(values).take(np.array(index, dtype=np.intp))
    assert taken == Limbs.from_integers([values[i] for i in index])


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), _EXPONENTS), min_size=1, max_size=8))
def test_an_accumulator_loses_nothing(terms):
    """Sums of 64-bit integers at any exponents, scalar or by entry, are exact."""
    whole, by_entry = Accumulator((2,)), Accumulator((2,))
    for value, exponent in terms:
        whole.add(np.array([value, 1], dtype=np.int64), exponent)
        by_entry.add(np.array([value, 1], dtype=np.int64), np.array([exponent, -exponent]))
    wanted = sum(value << (exponent + 4000) for value, exponent in terms)
    ones = [sum(1 << (sign * exponent + 4000) for _, exponent in terms) for sign in (1, -1)]
    assert _values(whole.limbs()) == [wanted, ones[0]]
    assert _values(by_entry.limbs()) == [wanted, ones[1]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_postponed_carries_are_bounded(limit, monkeypatch):
    """A carry after any number of additions and merges changes no sum."""
    monkeypatch.setattr(_limbs, "_ADDS_BEFORE_CARRY", limit)
    carries = []
    original = Accumulator._carry
    monkeypatch.setattr(Accumulator, "_carry", lambda self: (carries.append(1), original(self)))
    total = Accumulator((2, 2))
    values = np.array([[2**63 - 1, -(2**63)], [-1, 2**32 - 1]], dtype=np.int64)
    for exponent in range(20):
        part = Accumulator((2, 2))
        part.add(values, exponent)
        total.add(values, exponent)
        total.merge(part)
    assert _values(total.limbs()) == [2 * value * (2**20 - 1) << 4000 for value in values.ravel().tolist()]
    assert carries


@given(value=st.integers(-(2**63), 2**63 - 1), exponent=st.integers(-40, 40))
def test_one_addition_stays_in_its_bound(value, exponent):
    """What an addition puts on a limb is below the 2**34 on which the bound on carries rests."""
    total = Accumulator((1,))
    total.add(np.array([value], dtype=np.int64), exponent)
    assert all(abs(int(lane[0])) < 2**34 for lane in total.lanes.values())


def test_vectors_of_other_lengths_do_not_mix():
    """Adding vectors of different lengths is an error, comparing them is not."""
    one, two = Limbs.from_integers([1]), Limbs.from_integers([1, 2])
    with pytest.raises(ValueError, match="of 1 and 2 entries"):
        one + two
    assert one != two
    assert one != 1


def test_planes_cannot_be_written():
    """A vector is a value."""
    limbs = Limbs.from_integers([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        limbs.planes[0, 0] = 5


@given(st.lists(st.integers(-(2**300), 2**300), max_size=6), st.integers(-40, 40))
def test_octets_are_the_shortest_and_come_back(integers, exponent):
    """Planes of bytes hold every entry, none is superfluous, and reading them gives the vector again."""
    limbs = Limbs.from_integers(integers, exponent)
    octets, first = limbs.to_octets()
    values = [int.from_bytes(bytes(entry), "little", signed=True) for entry in octets.T]
    assert [Fraction(value) * Fraction(256) ** first for value in values] == [
        Fraction(value) * Fraction(2) ** exponent for value in integers
    ]
    assert Limbs.from_octets(octets, first) == limbs
    if any(integers):
        assert octets[0].any()
        bits = max((value if value >= 0 else ~value).bit_length() for value in values) + 1
        assert len(octets) == -(-bits // 8)
    else:
        assert len(octets) == 0

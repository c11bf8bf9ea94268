"""Vectors of exact numbers: one representation for each value, and Python integers as the oracle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
    """The same numbers, however scaled when they came in, are one vector with one hash."""
    one = Limbs.from_integers(values, exponent)
    other = Limbs.from_integers([value << shift for value in values], exponent - shift)
    assert one == other
    assert hash(one) == hash(other)
    assert bool(one) == any(values)


@given(pairs=st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=5), first=_EXPONENTS, second=_EXPONENTS)
def test_sums_and_differences_are_exact(pairs, first, second):
    """Addition and subtraction are those of integers, and undo each other to the same vector."""
    a = Limbs.from_integers([pair[0] for pair in pairs], first)
    b = Limbs.from_integers([pair[1] for pair in pairs], second)
    assert _values(a + b) == [x + y for x, y in zip(_values(a), _values(b), strict=True)]
    assert _values(a - b) == [x - y for x, y in zip(_values(a), _values(b), strict=True)]
    assert a + b == b + a
    assert (a + b) - b == a
    assert not a - a


@given(values=_VECTORS, data=st.data())
def test_a_selection_is_canonical(values, data):
    """Entries that are taken are what they were, and nothing is left of the others."""
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


def test_zeros_are_neutral():
    """Adding and taking away zeros changes nothing, on either side; there are no planes to look at."""
    one, zeros = Limbs.from_integers([3, -4], 900), Limbs.zeros(2)
    assert one + zeros == zeros + one == one - zeros == one
    assert _values(zeros - one) == [-value for value in _values(one)]
    assert not zeros + zeros
    assert zeros.some_integers(slice(1)) == ([0], 0)


@pytest.mark.parametrize("room", [2, 3, 5, 1 << 14])
def test_digits_keep_their_room(room, monkeypatch):
    """However many vectors are added before somebody looks, digits stay below 2**48 for each that there is room for."""
    monkeypatch.setattr(_limbs, "_MOST_TERMS", room)
    part = Limbs.from_integers([2**143 - 1, -(2**143), 1, -1], -48)
    total = Limbs.zeros(4)
    for step in range(1, 60):
        total = total + part if step % 3 else part - (Limbs.zeros(4) - total)
        (_, planes, terms) = total._form
        assert np.abs(planes).max() <= terms << 48 <= room << 48
        if step % 20 == 0:
            assert _values(total) == [step * value for value in _values(part)]


def test_a_sum_of_very_many_overflows_nothing():
    """Doubling the largest digits uses up all the room there is, and then carries."""
    total = part = Limbs.from_integers([2**96 - 1, -(2**96)])
    for _ in range(40):
        total = total + total
    assert _values(total) == [value << 40 for value in _values(part)]


@given(values=_VECTORS, exponent=_EXPONENTS, data=st.data())
def test_a_few_entries_are_told_without_the_others(values, exponent, data):
    """Integers and floats of some entries are those of the vector, carried or not; floats within their bounds."""
    one = Limbs.from_integers(values, exponent)
    total = one + one + one
    index = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=6)), dtype=np.intp)
    wanted = [3 * _values(one)[i] for i in index]
    integers, unit = total.some_integers(index)
    assert [value << (unit + 4000) for value in integers] == wanted
    floats, errors = total.some_floats(index)
    (low, n_planes, _), _, _ = total._form
    for value, error, want in zip(floats.tolist(), errors.tolist(), wanted, strict=True):
        true = Fraction(want, 1 << 4000) / Fraction(2) ** (48 * (low + n_planes - 1))
        assert error == np.inf if n_planes > 8 else abs(Fraction(value) - true) <= Fraction(error)


def test_threads_may_look_at_once():
    """Threads that add to a vector while others make it carry find the same numbers."""
    part = Limbs.from_integers(range(-50_000, 50_000), 30)
    wanted = (part + part + part).to_octets()[0].tobytes()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            total = part + part
            sums = [pool.submit(lambda total=total: (bool(total), total + part)[1]) for _ in range(8)]
            assert all(each.result().to_octets()[0].tobytes() == wanted for each in sums)


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

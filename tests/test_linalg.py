"""Solves are correctly rounded; ranks and signs follow their rules."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed._definite import (
    Definite,
    _factorise,
    _smallest_eigenvalue,
    independent_columns,
    is_well_conditioned,
)
from sklearn_symfed._linalg import Balls, evaluate, highest, solve
from sklearn_symfed._rounding import as_integers, integer_ratio, precision, to_float

LARGEST = Fraction(2) ** 1024 - Fraction(2) ** 970  # midpoint between the largest float and where infinity begins


def is_nearest(value: float, exact: Fraction) -> bool:
    """Whether a float is the one nearest to a rational, ties to even; asks neighbours, not a division."""
    if math.isinf(value):
        return abs(exact) >= LARGEST and (value > 0) == (exact > 0)
    error = abs(Fraction(value) - exact)
    for neighbour in (math.nextafter(value, math.inf), math.nextafter(value, -math.inf)):
        beyond = Fraction(2) ** 1024 * (1 if neighbour > 0 else -1) if math.isinf(neighbour) else Fraction(neighbour)
        other = abs(beyond - exact)
        if other < error or (other == error and not is_even(value)):
            return False
    return not (value == 0 and math.copysign(1, value) < 0)


def is_even(value: float) -> bool:
    return np.float64(value).view(np.int64) % 2 == 0


def fraction_solve(a, b):
    """Gaussian elimination over fractions: the oracle."""
    n = len(a)
    rows = [[Fraction(int(x)) for x in (*a[i], *b[i])] for i in range(n)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i and rows[k][i]:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


def integers(values):
    out = np.empty(np.shape(values), dtype=object)
    out[...] = np.vectorize(int, otypes=[object])(np.array(values, dtype=object))
    return out


def gram(x):
    return x.T @ x


mantissas = st.integers(-(2**200), 2**200)


@given(mantissas, st.integers(-1400, 1100))
def test_to_float_rounds_exact_balls_to_nearest(mantissa, exponent):
    """A ball without radius rounds to the nearest float, ties to even, through subnormals and overflow."""
    value = to_float(arb((mantissa, exponent)))
    assert value is not None
    assert is_nearest(value, mantissa * Fraction(2) ** exponent)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(60, 400))
def test_to_float_tells_whether_a_ball_rounds_to_one_float(value, bits):
    """A small ball around a float rounds to it; one around a midpoint does not round."""
    half = math.frexp(math.ulp(value))[1] - 2  # half a unit in the last place is 2**half
    with precision(2000):
        radius = arb((1, half - bits))
        assert to_float(arb(arb(value), radius)) == value
        outwards = arb((1 if value >= 0 else -1, half))
        assert to_float(arb(arb(value) + outwards, radius)) is None


@pytest.mark.parametrize("ball", [arb("nan"), arb("inf"), arb(0, 1)], ids=str)
def test_to_float_refuses_balls_that_say_nothing(ball):
    """What is not finite, or holds many floats, does not round."""
    assert to_float(ball) is None


def test_zero_is_positive():
    """Zero, and what underflows to it from below, is +0.0."""
    for ball in (arb(0), -arb((1, -3000)), arb(0, arb((1, -2000)))):
        assert math.copysign(1.0, to_float(ball)) == 1.0
        assert to_float(ball) == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 300), st.data())
def test_solve_equals_fractions(n, k, bits, data):
    """Every component is the float nearest to the rational solution."""
    entries = st.lists(st.integers(-(2**bits), 2**bits), min_size=n * n, max_size=n * n)
    x = integers(np.array(data.draw(entries), dtype=object).reshape(n, n))
    a = gram(x) + np.diag(integers([1] * n))
    b = integers(np.array(data.draw(st.lists(st.integers(-5, 5), min_size=n * k, max_size=n * k)), dtype=object))
    b = b.reshape(n, k)
    got, _ = solve(a, b)
    for i, row in enumerate(fraction_solve(a, b)):
        for j, exact in enumerate(row):
            assert is_nearest(got[i, j], exact)


@pytest.mark.parametrize("n", [6, 10, 14])
def test_solve_hilbert(n):
    """A condition number of 1e20 costs no digit."""
    common = math.lcm(*range(1, 2 * n))
    a = integers([[common // (i + j + 1) for j in range(n)] for i in range(n)])
    b = integers([[common]] * n)
    exact = fraction_solve(a, b)
    got, rung = solve(a, b)
    assert all(is_nearest(got[i, 0], exact[i][0]) for i in range(n))
    assert rung == ("cholesky" if n < 10 else "balls")


def test_solve_scales():
    """Columns 600 binary orders apart, and solutions beyond the range of floats, are no matter."""
    a = integers([[2**1300, 3 * 2**640, 0], [3 * 2**640, 20, 1], [0, 1, 3]])
    b = integers([[2**2500, 1], [3, 0], [7, 1]])
    exact = fraction_solve(a, b)
    got, _ = solve(a, b)
    assert np.isinf(got).any()
    assert all(is_nearest(got[i, j], exact[i][j]) for i in range(3) for j in range(2))


@pytest.mark.parametrize("condition", [1e0, 1e4, 1e8, 1e11, 1e14])
@pytest.mark.parametrize("n", [1, 3, 20])
def test_refinement_and_balls_agree(n, condition):
    """Refined float64 is certified or declined: its bits are those of balls, whatever the condition and the scales."""
    rng = np.random.default_rng(n)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(n, n)))
    floats = orthogonal * np.geomspace(1, condition**0.5, n) * np.ldexp(1.0, rng.integers(-20, 20, n))[:, None]
    x = integers([[Fraction(v) * 2**120 for v in row] for row in floats.T.tolist()])
    a, b = gram(x), integers(rng.integers(-(2**60), 2**60, size=(n, 3)))
    b[:, 2] = 0
    got, rung = solve(a, b, 7)
    with precision(400):
        balls = [to_float(x / 7) for x in Balls(400).solve(Definite(a), b).entries()]
    assert got.ravel().tolist() == balls
    assert rung == "cholesky" or condition > 1e7


def test_smallest_eigenvalue_is_a_lower_bound():
    """The bound on which refinement stands holds, is of use, and is declined near singularity."""
    rng = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    for power in range(18):
        for turn in (np.eye(6), orthogonal):
            factors = _factorise(turn @ np.diag(np.geomspace(1.0, 10.0**-power, 6)) @ turn.T)
            bound = 0.0 if factors is None else _smallest_eigenvalue(*factors)
            assert bound < 10.0**-power
            assert bound > 10.0**-power / 50 if power < 10 else bound >= 0
    assert bound == 0.0


def test_factors_are_those_of_lapack():
    """Elementwise elimination is Cholesky's algorithm, and inverts its factor on the way."""
    x = np.random.default_rng(0).normal(size=(30, 20))
    lower, inverse = _factorise(x.T @ x)
    np.testing.assert_allclose(lower, np.linalg.cholesky(x.T @ x), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(inverse @ lower, np.eye(20), atol=1e-12)
    assert _factorise(np.array([[1.0, 2.0], [2.0, 1.0]])) is None


@pytest.mark.parametrize("power", [0, 2, 6, 10, 14, 22, 40])
def test_condition(power):
    """The condition number is right to a factor of two, whatever the scales, by float64 or by balls."""
    rng = np.random.default_rng(1)
    n = 6
    x = integers(rng.integers(-999, 999, size=(n, n)))
    x[:, 0] = x[:, 1] * 10**power + x[:, 0]
    a = gram(x)
    scale = integers([10, 1, 10**9, 1, 3, 10**30])
    with mpmath.workdps(200):
        unit = [1 / mpmath.sqrt(mpmath.mpf(int(a[i, i]))) for i in range(n)]
        scaled = mpmath.matrix(n, n)
        for i in range(n):
            for j in range(n):
                scaled[i, j] = mpmath.mpf(int(a[i, j])) * unit[i] * unit[j]
        want = float(mpmath.mnorm(scaled, 1) * mpmath.mnorm(scaled**-1, 1))
    got = Definite(a * np.multiply.outer(scale, scale)).condition
    assert want / 2 < got < want * 1.06
    assert got == float(f"{got:.1e}")


def test_condition_of_singular_matrices():
    """What has no inverse has no finite condition number; nothing at all has a good one."""
    assert Definite(integers([[1, 1], [1, 1]])).condition == math.inf
    assert Definite(integers([[1, 0], [0, 0]])).condition == math.inf
    assert Definite(np.empty((0, 0), dtype=object)).condition == 1.0
    assert Definite(integers([[4, 0], [0, 9]])).condition == 1.0


def test_highest_rung():
    """Of several solves the highest rung counts."""
    assert highest(["cholesky", "rationals", "balls"]) == "rationals"
    assert highest([]) == "cholesky"


def test_well_conditioned():
    """Eigenvalues of the matrix scaled to unit diagonal are compared, not its own."""
    matrix = integers([[10**12, 999 * 10**3], [999 * 10**3, 1]])  # correlation 0.999
    assert is_well_conditioned(matrix, 0.9e-3)
    assert not is_well_conditioned(matrix, 1.1e-3)
    assert not is_well_conditioned(integers([[1, 0], [0, 0]]), 1e-8)


def test_large_solutions():
    """A solution far beyond the integers of its system is no matter."""
    a, b = integers([[2, 1], [1, 2]]), integers([[3 * 2**900 + 1], [2**1200]])
    exact = fraction_solve(a, b)
    assert all(is_nearest(solve(a, b)[0][i, 0], exact[i][0]) for i in range(2))


def test_solve_settles_zeros_and_midpoints():
    """What balls can never tell, an exact zero or a midpoint between two floats, rationals do."""
    a = integers([[1, 1, 0], [1, 3, 1], [0, 1, 5]])
    x = [Fraction(2**53 + 1), Fraction(0), Fraction(-(2**54) - 2)]
    b = integers([[sum(int(v) * t for v, t in zip(row, x, strict=True))] for row in a])
    got, rung = solve(a, b)
    assert got[:, 0].tolist() == [2.0**53, 0.0, -(2.0**54)]
    assert math.copysign(1.0, got[1, 0]) == 1.0
    assert rung == "rationals"


def test_solve_refuses_singular_matrices():
    """A singular matrix has no solution."""
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        solve(integers([[1, 2], [2, 4]]), integers([[1], [1]]))


def test_logarithms_have_no_exact_rung():
    """Logarithms round correctly; what only balls can know comes from the middle of the last one."""
    values = [Fraction(1), Fraction(2), Fraction(1, 3)]
    (logs,), rung = evaluate(lambda field: [field.column([field.log(value) for value in values])])
    assert logs[:, 0].tolist() == [0.0, math.log(2), -1.0986122886681098]
    assert rung == "cholesky"

    def nothing(field):
        two, three, six = (field.log(Fraction(n)) for n in (2, 3, 6))
        return [field.column([two + three - six])]

    assert evaluate(nothing)[0][0].tolist() == [[0.0]]

    def midpoint(field):
        two, three, six = (field.log(Fraction(n)) for n in (2, 3, 6))
        return [field.column([field.scalar(1 + Fraction(1, 2**53)) + two + three - six])]

    assert evaluate(midpoint)[0][0][0, 0] == 1.0

    def mixed(field):
        return [field.column([field.scalar(Fraction(1, 3)), field.log(Fraction(2)) - field.log(Fraction(2))])]

    assert evaluate(mixed)[0][0].tolist() == [[1 / 3], [0.0]]


def test_roots_are_correctly_rounded():
    """Square roots of rationals are rounded once, also of those that only rationals settle."""
    values = [
        Fraction(2),
        Fraction(9, 4),
        Fraction(0),
        Fraction(2**53 + 1) ** 2,
        Fraction(1, 3) ** 40,
        Fraction(10) ** 300,
    ]

    def formula(field):
        return [field.column([field.scalar(v / 7) * field.scalar(Fraction(7)) for v in values])]

    (roots,), rung = evaluate(formula, roots=True)
    assert rung == "rationals"
    with mpmath.workdps(100):
        want = [float(mpmath.sqrt(mpmath.mpf(v.numerator) / v.denominator)) for v in values]
    assert roots[:, 0].tolist() == want
    assert want[3] == 2.0**53


def test_evaluate_leaves_flint_as_it_was():
    """The precision of python-flint is global, and other people's."""
    before = ctx.prec
    solve(integers([[2, 1], [1, 2]]), integers([[1], [0]]))
    with pytest.raises(np.linalg.LinAlgError):
        solve(integers([[0]]), integers([[1]]))
    assert ctx.prec == before


def test_as_integers_is_exact():
    """Rationals become integers over one denominator."""
    values, denominator = as_integers(np.array([[Fraction(1, 6), 0.5], [3, Fraction(-1, 4)]], dtype=object))
    assert values.tolist() == [[2, 6], [36, -3]]
    assert denominator == 12
    assert integer_ratio(np.float32(0.5)) == (1, 2)
    assert integer_ratio(Fraction(1, 3)) == (1, 3)


def rank_case(name):
    rng = np.random.default_rng(0)
    x = rng.integers(-1000, 1000, size=(40, 4)).astype(object)
    if name == "duplicate":
        return gram(np.column_stack([x, x[:, 1]])), 4
    if name == "sum":
        return gram(np.column_stack([x, x @ np.array([1, 2, 3, 4], dtype=object)])), 4
    if name == "constant zero":
        return gram(np.column_stack([x, 0 * x[:, 0]])), 4
    if name == "few rows":
        return gram(x[:3]), 3
    if name == "badly scaled":
        return gram(x * np.array([1, 10**30, 10**60, 1], dtype=object)), 4
    return gram(x), 4


@pytest.mark.parametrize("tol", [0, 1e-9, 1e-6])
@pytest.mark.parametrize("name", ["duplicate", "sum", "constant zero", "few rows", "badly scaled", "full"])
def test_rank(name, tol):
    """Independent columns are found whatever their scale, exactly and numerically."""
    matrix, rank = rank_case(name)
    chosen = independent_columns(matrix, tol)
    assert len(chosen) == rank
    assert chosen == sorted(set(chosen))
    assert len(independent_columns(matrix[np.ix_(chosen, chosen)], 0)) == rank


def test_rank_rule_is_relative_to_unexplained_variance():
    """A column whose unexplained share of variance is 1e-8 counts at tol=9e-5 and not at tol=1.1e-4."""
    matrix = integers([[10**16, 10**16], [10**16, 10**16 + 10**8]])
    assert len(independent_columns(matrix, 9e-5)) == 2
    assert len(independent_columns(matrix, 1.1e-4)) == 1


def test_money_columns_and_their_float_total():
    """Float rounding of a total is no information, unless tol=0 says that it is."""
    rng = np.random.default_rng(3)
    x = np.round(rng.uniform(1, 100, size=(50, 3)), 2)
    total = np.column_stack([x, x.sum(axis=1)])
    exact = integers([[Fraction(v) * 2**60 for v in row] for row in total.tolist()])
    assert len(independent_columns(gram(exact), 1e-6)) == 3
    assert len(independent_columns(gram(exact), 0)) == 4


def test_the_exact_rank_is_proven():
    """The prime that finds independent columns may divide what matters: what it misses is found all the same."""
    prime = 2**61 - 1
    matrix = np.array([[prime, 0, 0], [0, 4, 2], [0, 2, 1]], dtype=object)
    assert independent_columns(matrix, 0) == [0, 1]
    assert not Definite(matrix[:2, :2]).is_regular
    assert Definite(np.array([[2, 1], [1, 2]], dtype=object)).is_regular

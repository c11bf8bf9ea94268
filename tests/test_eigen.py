"""Eigenpairs are right to the last bit, whatever LAPACK begins with; equal eigenvalues follow the convention."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import scipy.linalg
from flint import arb_mat

from sklearn_symfed import _eigen
from sklearn_symfed._eigen import Eigenproblem, evaluate_pairs, flip_signs, roots_of_eigenvalues
from sklearn_symfed._rounding import precision


def integers(values):
    out = np.empty(np.shape(values), dtype=object)
    out[...] = np.vectorize(int, otypes=[object])(np.array(values, dtype=object))
    return out


def gram(x):
    x = integers(x)
    return x.T @ x


def solve(a, count=None, b=None, rank=None):
    """Return eigenvalues, eigenvectors as rows, and the bits of the levels that were tried."""
    problem, count, levels = Eigenproblem(a, b, rank), len(a) if count is None else count, []

    def attempt(level):
        levels.append(level.bits)
        pairs = problem.pairs(level, count)
        return None if pairs is None else [arb_mat(count, 1, pairs.values), pairs.vectors]

    values, vectors = evaluate_pairs(attempt, problem.levels)
    return values[:, 0], flip_signs(vectors), levels


def oracle(a, b=None, digits=120):
    """Return the same, rounded from mpmath's eigenpairs."""
    n = len(a)
    with mpmath.workdps(digits):
        a = mpmath.matrix(n, n) + mpmath.matrix([[mpmath.mpf(int(v)) for v in row] for row in a.tolist()])
        back = mpmath.eye(n)
        if b is not None:
            lower = mpmath.cholesky(mpmath.matrix([[mpmath.mpf(int(v)) for v in row] for row in b.tolist()]))
            back = lower**-1
            a = back * a * back.T
        values, vectors = mpmath.eigsy(a)
        vectors = back.T * vectors
        order = range(n - 1, -1, -1)
        floats = np.array([[float(vectors[j, i]) for j in range(n)] for i in order])
        return np.array([float(values[i]) for i in order]), flip_signs(floats)


def random_gram(n, seed=0, rows=None):
    return gram(np.random.default_rng(seed).integers(-(2**30), 2**30, size=(rows or 3 * n, n)))


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_eigenpairs_are_correctly_rounded(n):
    """Every eigenvalue and every entry of every eigenvector is the nearest float, as 120 digits say."""
    a = random_gram(n)
    values, vectors, levels = solve(a)
    want, wanted = oracle(a)
    assert values.tolist() == want.tolist()
    assert vectors.tolist() == wanted.tolist()
    assert levels == [224]


def test_generalised_eigenpairs_are_correctly_rounded():
    """So are those in the metric of a second matrix, which may be badly scaled."""
    scale = integers([1, 10**6, 10**15, 3, 1])
    a, b = random_gram(5, 1) - random_gram(5, 2), random_gram(5, 3)
    grid = np.multiply.outer(scale, scale)
    values, vectors, _ = solve(a * grid, b=b * grid)
    want, wanted = oracle(a * grid, b * grid)
    assert values.tolist() == want.tolist()
    assert vectors.tolist() == wanted.tolist()


def test_scales_far_apart():
    """Eigenvalues over 40 decimal orders, which look like one to float64 at first, are told apart and rounded once."""
    x = np.random.default_rng(0).integers(-1000, 1000, size=(20, 5)).astype(object)
    a = gram(x * np.array([1, 10**5, 10**10, 10**20, 10**20], dtype=object))
    values, vectors, levels = solve(a)
    want, wanted = oracle(a, digits=200)
    assert values.tolist() == want.tolist()
    assert vectors.tolist() == wanted.tolist()
    assert levels == [224, 640]


@pytest.mark.parametrize("orders", [[0, 500], [0, 900, 300], [0, 0, 0, 1400, 700]])
def test_scales_beyond_any_fixed_precision(orders):
    """Columns a thousand binary orders apart have eigenpairs that are right to the last bit, too."""
    x = np.random.default_rng(5).integers(-(2**20), 2**20, size=(12, len(orders)))
    a = gram(integers(x) * integers([2**order for order in orders]))
    values, vectors, _ = solve(a)
    want, wanted = oracle(a, digits=2000)
    assert values.tolist() == want.tolist()
    assert vectors.tolist() == wanted.tolist()


def test_nearly_equal_eigenvalues():
    """A gap of 1e-30 separates: the eigenvectors are those of the exact matrix."""
    q = [[1, 2, 2], [2, 1, -2], [2, -2, 1]]  # three times an orthogonal matrix
    eigenvalues = integers([10**30, 10**30 + 1, 10**29])
    a = integers(q) @ np.diag(eigenvalues) @ integers(q).T
    values, vectors, _ = solve(a)
    assert values.tolist() == [9e30, 9e30, 9e29]
    third, two = 1 / 3, 2 / 3
    assert vectors.tolist() == [[two, third, -two], [third, two, two], [two, -two, third]]


@pytest.mark.parametrize(
    ("matrix", "want"),
    [
        (np.eye(3), np.eye(3)),
        (np.zeros((2, 2)), np.eye(2)),
        ([[2, 1, 1], [1, 2, 1], [1, 1, 2]], [[1, 1, 1], [2, -1, -1], [0, 1, -1]]),
        (
            [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]],
            [[1, 1, 0, 0], [0, 0, 1, 1], [1, -1, 0, 0], [0, 0, 1, -1]],
        ),
        ([[5, 0, 0], [0, 7, 0], [0, 0, 5]], [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    ],
)
def test_ties(matrix, want):
    """In a space of equal eigenvalues the projection of the unit vector of lowest position comes first."""
    want = np.array(want, dtype=float)
    _, vectors, _ = solve(integers(matrix))
    exact = want / np.sqrt((want**2).sum(axis=1))[:, None]
    np.testing.assert_array_max_ulp(vectors, exact, 1)
    assert np.array_equal(vectors == 0, want == 0)
    assert not np.signbit(vectors[vectors == 0]).any()


def test_null_space():
    """With fewer rows than columns zero eigenvalues are +0.0, and their vectors are the convention's."""
    a = random_gram(8, rows=3)
    values, vectors, _ = solve(a, 5, rank=3)
    assert values[3:].tolist() == [0.0, 0.0]
    assert not np.signbit(values).any()
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(5), atol=1e-15)
    _, range_ = np.linalg.eigh(a.astype(float))
    first = np.eye(8)[0] - range_[:, -3:] @ range_[0, -3:]
    np.testing.assert_allclose(vectors[3], first / np.linalg.norm(first), atol=1e-13)
    assert roots_of_eigenvalues(a, 5, 1)[3:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("seed", range(4))
def test_a_null_space_beside_a_nearly_null_one(seed):
    """A duplicated column beside a total that is rounded: an exact zero, and an eigenvalue 2**-100 of the largest."""
    x = np.random.default_rng(seed).normal(size=(60, 5))
    x = np.column_stack([x, x[:, 0], x[:, 1] + x[:, 2]])
    a = gram(np.rint(np.ldexp(x, 53)))
    values, vectors, _ = solve(a, count=6, rank=6)
    want, wanted = oracle(a)
    assert values.tolist() == want[:6].tolist()
    assert vectors.tolist() == wanted[:6].tolist()
    assert 0 < values[5] < 1e-25 * values[0]


def turned(start):
    """Return a stand-in for scipy's eigh whose result is off by rounding errors, and in another order of ties."""

    def eigh(*matrices):
        values, vectors = start(*matrices)
        noise = np.random.default_rng(1).normal(size=vectors.shape)
        for k in range(len(values) - 1):
            if values[k + 1] - values[k] < 1e-9:
                vectors[:, [k, k + 1]] = vectors[:, [k, k + 1]] @ np.array([[0.6, 0.8], [-0.8, 0.6]])
        return values, vectors * (1 + 1e-9 * noise) * np.where(noise[0] < 0, -1, 1)

    return eigh


@pytest.mark.parametrize("name", ["separated", "scales", "ties", "few rows"])
def test_bits_do_not_depend_on_the_start(name, monkeypatch):
    """A start that is wrong in half of its digits, of other signs, and turned among ties ends in the same bits."""
    rank = None
    if name == "separated":
        a = random_gram(9)
    elif name == "scales":
        a = gram(
            np.random.default_rng(0).integers(-99, 99, size=(20, 4)).astype(object) * np.array([1, 10**9, 10**18, 1])
        )
    elif name == "ties":
        a = integers(np.full((6, 6), 3) + 4 * np.eye(6))
    else:
        a, rank = random_gram(7, rows=3), 3
    before = solve(a, rank=rank)
    monkeypatch.setattr(scipy.linalg, "eigh", turned(scipy.linalg.eigh))
    after = solve(a, rank=rank)
    assert before[0].tolist() == after[0].tolist()
    assert before[1].tolist() == after[1].tolist()


def test_errors_are_bounded(monkeypatch):
    """The balls hold the eigenpairs of a far higher precision, after each number of sweeps."""
    a = random_gram(6)
    count = len(a)
    with precision(2000):
        fine = Eigenproblem(a).pairs(_eigen.LEVELS[-1], count)
        for sweeps in range(1, 5):
            monkeypatch.setattr(_eigen, "_MOST_SWEEPS", sweeps)
            monkeypatch.setattr(_eigen, "LEVELS", (_eigen.LEVELS[-1],))
            coarse = Eigenproblem(a).pairs(_eigen.LEVELS[-1], count)
            for one, other in zip(fine.values, coarse.values, strict=True):
                assert other.contains(one.mid())
            for i in range(count):
                mine, theirs = ([m[i, j] for j in range(count)] for m in (fine.vectors, coarse.vectors))
                sign = 1 if (mine[0] * theirs[0]).mid() > 0 else -1
                assert all((sign * t).contains(m.mid()) for m, t in zip(mine, theirs, strict=True))


def test_signs():
    """The entry of largest magnitude of each row is positive; ties go to the lowest position."""
    vectors = np.array([[1.0, -2.0], [-1.0, 1.0], [1.0, -1.0], [0.0, 3.0]])
    assert flip_signs(vectors).tolist() == [[-1.0, 2.0], [1.0, -1.0], [1.0, -1.0], [0.0, 3.0]]
    assert flip_signs(np.zeros((0, 2))).shape == (0, 2)


def test_nothing():
    """No columns, or none wanted, are no error."""
    assert roots_of_eigenvalues(np.empty((0, 0), dtype=object), 0, 1).shape == (0,)
    assert solve(random_gram(3), 0)[1].shape == (0, 3)

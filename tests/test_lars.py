"""Least angle regression and the Lasso's path: exact against fractions, near scikit-learn, right where features tie."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import nnls
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lars, LassoLars

from sklearn_symfed import PSR, FederatedLars, FederatedLassoLars, FederatedLinearRegression

X, Y = load_diabetes(return_X_y=True)
TARGETS = np.column_stack([Y, np.sqrt(Y), np.cos(9 * Y)])
SIGNS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


def correlated(seed, n=60, d=10):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    x[:, 1:] += 1.2 * x[:, :-1]
    return x, x @ rng.normal(size=d) + 3 * rng.normal(size=n)


def small(seed, n=9, d=3):
    """Return small integers, among which exact ties and dependencies are frequent."""
    rng = np.random.default_rng(seed)
    return rng.integers(-1, 2, size=(n, d)).astype(float), rng.integers(-2, 3, size=n).astype(float)


def exact_statistics(x, y, weights=None):
    """Return the centred Gram matrix and products with the target over the sum of weights, as fractions."""
    w = [Fraction(v) for v in (np.ones(len(x)) if weights is None else weights)]
    columns = [[Fraction(float(v)) for v in column] for column in [*x.T, y]]
    means = [sum(a * b for a, b in zip(w, column, strict=True)) / sum(w) for column in columns]
    centred = [[v - mean for v in column] for column, mean in zip(columns, means, strict=True)]
    gram = [[sum(a * b * c for a, b, c in zip(w, u, v, strict=True)) / sum(w) for v in centred] for u in centred]
    return [row[:-1] for row in gram[:-1]], [row[-1] for row in gram[:-1]]


def eliminate(a, b):
    """Solve over fractions; None where the matrix is singular."""
    rows = [[*row, value] for row, value in zip(a, b, strict=True)]
    for i in range(len(rows)):
        pivot = next((k for k in range(i, len(rows)) if rows[k][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(len(rows)):
            if k != i and rows[k][i]:
                rows[k] = [u - rows[k][i] * v for u, v in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def solutions(gram, right, alpha, *, positive=False):
    """Return all solutions of the Lasso on independent columns, by trying every support with every sign."""
    d, found = len(gram), []
    for signs in itertools.product((0, 1) if positive else (0, 1, -1), repeat=d):
        active = [j for j in range(d) if signs[j]]
        coef = eliminate([[gram[i][j] for j in active] for i in active], [right[i] - alpha * signs[i] for i in active])
        if coef is None or any(b * signs[j] <= 0 for b, j in zip(coef, active, strict=True)):
            continue
        left = [right[i] - sum(gram[i][j] * b for b, j in zip(coef, active, strict=True)) for i in range(d)]
        if all((r if positive else abs(r)) <= alpha for r in left):
            found.append([float(coef[active.index(j)]) if j in active else 0.0 for j in range(d)])
    return found


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("target", [Y, TARGETS, TARGETS[:, :1]], ids=["one", "three", "a column"])
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (FederatedLars(), Lars()),
        (FederatedLars(n_nonzero_coefs=4), Lars(n_nonzero_coefs=4)),
        (FederatedLassoLars(0.05), LassoLars(0.05)),
        (FederatedLassoLars(), LassoLars()),
        (FederatedLassoLars(0, max_iter=11), LassoLars(0, max_iter=11)),
        (FederatedLassoLars(0.5, positive=True), LassoLars(0.5, positive=True)),
    ],
    ids=str,
)
def test_near_scikit_learn(mine, theirs, target, fit_intercept):
    """The path on diabetes is scikit-learn's: the same steps, attributes and shapes, and numbers to 1e-11."""
    for model in (mine, theirs):
        model.set_params(fit_intercept=fit_intercept).fit(X, target)
    assert mine.active_ == theirs.active_
    assert mine.n_iter_ == theirs.n_iter_
    for name in ("alphas_", "coef_", "coef_path_", "intercept_"):
        one, other = getattr(mine, name), getattr(theirs, name)
        assert isinstance(one, list) == isinstance(other, list)
        for a, b in zip(*([one, other] if isinstance(one, list) else [[one], [other]]), strict=True):
            assert np.shape(a) == np.shape(b), name
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * max(1.0, np.abs(b).max()), err_msg=name)


@pytest.mark.filterwarnings("ignore:Got features that depend:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("positive", [False, True])
def test_the_lasso_equals_fractions(seed, positive):
    """At any penalty the solution is the rational one, rounded once, also where features tie, depend or drop."""
    x, y = small(seed)
    gram, right = exact_statistics(x, y)
    for alpha in (0.5, 0.125, 0.03125, 2.0**-30):
        model = FederatedLassoLars(alpha, positive=positive).fit(x, y)
        assert model.coef_.tolist() in solutions(gram, right, Fraction(alpha), positive=positive)
        assert model.alphas_[-1] == alpha
        assert (np.diff(model.alphas_) < 0).all()


@pytest.mark.filterwarnings("ignore:Got features that depend:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", [FederatedLars(), FederatedLassoLars(0)], ids=str)
@pytest.mark.parametrize("data", [*(correlated(seed) for seed in range(8)), *(small(seed, 12, 5) for seed in range(8))])
def test_correlations_along_the_path(model, data):
    """At each knot active features have the penalty for correlation, up to sign, and no other feature has a larger."""
    x, y = data
    model.fit(x, y)
    residuals = (y - y.mean())[:, None] - (x - x.mean(axis=0)) @ model.coef_path_
    size = np.abs((x - x.mean(axis=0)).T @ residuals) / len(x)
    np.testing.assert_allclose(size.max(axis=0), model.alphas_, rtol=1e-12, atol=1e-12)
    rows, columns = np.nonzero(model.coef_path_)
    np.testing.assert_allclose(size[rows, columns], model.alphas_[columns], rtol=1e-10, atol=1e-12)
    assert model.alphas_[-1] == 0


@pytest.mark.parametrize("seed", range(4))
def test_paths_end_at_least_squares(seed):
    """Down at zero the coefficients are those of least squares, to the last bit, whatever changed its sign before."""
    x, y = correlated(seed)
    least = FederatedLinearRegression(tol=0).fit(x, y)
    for model in (FederatedLars(), FederatedLassoLars(0)):
        model.fit(x, y)
        assert model.coef_.tolist() == least.coef_.tolist()
        assert model.intercept_ == least.intercept_
    positive = FederatedLassoLars(0, positive=True).fit(x, y)
    np.testing.assert_allclose(positive.coef_, nnls(x - x.mean(axis=0), y - y.mean())[0], rtol=1e-9, atol=1e-12)


def test_features_that_tie():
    """Least angle regression lets tied features enter by name at one penalty; in the Lasso that is one knot."""
    frame = pd.DataFrame(SIGNS, columns=["b", "c", "a"])
    y = SIGNS @ [3.0, 1.0, 3.0]
    lars, lasso = FederatedLars().fit(frame, y), FederatedLassoLars(0).fit(frame, y)
    assert lars.active_ == lasso.active_ == [2, 0, 1]
    assert lars.alphas_.tolist() == [3.0, 3.0, 1.0, 0.0]
    assert lars.coef_path_.T.tolist() == [[0, 0, 0], [0, 0, 0], [2, 0, 2], [3, 1, 3]]
    assert lasso.alphas_.tolist() == [3.0, 1.0, 0.0]
    assert lasso.coef_path_.T.tolist() == [[0, 0, 0], [2, 0, 2], [3, 1, 3]]
    first = FederatedLars(n_nonzero_coefs=1).fit(frame, y)
    assert (first.active_, first.n_iter_, first.coef_.tolist()) == ([2], 1, [0.0, 0.0, 0.0])


def test_features_that_depend():
    """Of equal features the first by name enters, with a warning; of a one-hot code some are not needed, without."""
    x, y = correlated(3, d=3)
    frame = pd.DataFrame(x, columns=["a", "c", "d"]).assign(b=x[:, 1])[["d", "c", "b", "a"]]
    alone = FederatedLars().fit(frame[["d", "b", "a"]], y)
    for model in (FederatedLars(), FederatedLassoLars(0)):
        with pytest.warns(ConvergenceWarning, match=r"depend on others .*: \['c'\]"):
            model.fit(frame, y)
        assert model.coef_.tolist() == [alone.coef_[0], 0.0, *alone.coef_[1:]]
        assert len(model.active_) == 3
    codes = np.eye(3)[np.arange(60) % 3]
    model = FederatedLars().fit(codes, y)
    assert (model.coef_ == 0).sum() == 1
    np.testing.assert_allclose(model.predict(codes), [y[i % 3 :: 3].mean() for i in range(60)], rtol=1e-12)


def test_few_rows():
    """With fewer rows than features the path ends where all rows are met."""
    x, y = correlated(0, 5, 9)
    for model in (FederatedLars(), FederatedLassoLars(0)):
        model.fit(x, y)
        assert np.count_nonzero(model.coef_) == 4
        np.testing.assert_allclose(model.predict(x), y, rtol=1e-10)
        assert model.score(PSR.from_rows(x, y), "y") == pytest.approx(1.0, abs=1e-15)


def test_nothing_to_explain():
    """Constant features never enter; a constant target, or a penalty above all correlations, leaves a path of one."""
    x, y = correlated(1, d=3)
    padded = np.column_stack([x[:, :1], np.full(60, 7.0), x[:, 1:]])
    model = FederatedLars().fit(padded, y)
    assert model.coef_[[0, 2, 3]].tolist() == FederatedLars().fit(x, y).coef_.tolist()
    assert model.coef_[1] == 0
    for model, alpha in ((FederatedLars(), 0.0), (FederatedLassoLars(0.5), 0.5)):
        model.fit(x, np.full(60, 4.0))
        assert (model.alphas_.tolist(), model.active_, model.n_iter_, model.intercept_) == ([alpha], [], 0, 4.0)
    model = FederatedLassoLars(1e6).fit(x, y)
    assert (model.alphas_.tolist(), model.coef_path_.shape, np.count_nonzero(model.coef_)) == ([1e6], (3, 1), 0)
    model = FederatedLassoLars(0, max_iter=0).fit(x, y)
    assert (len(model.alphas_), model.n_iter_) == (1, 0)
    assert FederatedLassoLars(0, positive=True).fit(x[:, :1], -x[:, 0]).alphas_.tolist() == [0.0]


@pytest.mark.parametrize(("mine"), [FederatedLars(n_nonzero_coefs=5), FederatedLassoLars(0.1)], ids=str)
def test_without_the_path(mine):
    """`fit_path=False` keeps the last point of each path, to the last bit."""
    whole = {name: getattr(mine.fit(X, TARGETS), name) for name in ("alphas_", "coef_", "intercept_", "n_iter_")}
    last = mine.set_params(fit_path=False).fit(X, TARGETS)
    assert not hasattr(last, "coef_path_")
    assert not hasattr(last, "active_")
    assert [alphas.tolist() for alphas in last.alphas_] == [alphas[-1:].tolist() for alphas in whole["alphas_"]]
    assert last.coef_.tolist() == whole["coef_"].tolist()
    assert last.intercept_.tolist() == whole["intercept_"].tolist()
    assert last.n_iter_ == whole["n_iter_"]


def test_weights():
    """The penalty stands beside the mean of weighted squares, whatever the weights sum to."""
    x, y = small(5)
    weights = np.arange(1.0, len(x) + 1) / 8
    gram, right = exact_statistics(x, y, weights)
    model = FederatedLassoLars(0.125).fit(x, y, weights)
    assert model.coef_.tolist() in solutions(gram, right, Fraction(1, 8))
    assert model.coef_.tolist() == FederatedLassoLars(0.125).fit(x, y, 1024 * weights).coef_.tolist()

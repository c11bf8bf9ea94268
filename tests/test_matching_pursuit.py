"""Orthogonal matching pursuit: exact against fractions, near scikit-learn, honest about what ends it."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import OrthogonalMatchingPursuit

from sklearn_symfed import PSR, FederatedLinearRegression, FederatedOrthogonalMatchingPursuit

X, Y = load_diabetes(return_X_y=True)
TARGETS = np.column_stack([Y, np.sqrt(Y), np.cos(9 * Y)])
SIGNS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


@pytest.mark.filterwarnings("ignore:Orthogonal matching pursuit ended prematurely:RuntimeWarning")
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("target", [Y, TARGETS, TARGETS[:, :1]], ids=["one", "three", "a column"])
@pytest.mark.parametrize("options", [{}, {"n_nonzero_coefs": 4}, {"tol": 1.4e6}, {"n_nonzero_coefs": 10}], ids=str)
def test_near_scikit_learn(options, target, fit_intercept):
    """On diabetes the same features are chosen, and numbers agree to 1e-11."""
    mine = FederatedOrthogonalMatchingPursuit(**options, fit_intercept=fit_intercept).fit(X, target)
    theirs = OrthogonalMatchingPursuit(**options, fit_intercept=fit_intercept).fit(X, target)
    assert mine.n_iter_ == theirs.n_iter_
    assert mine.n_nonzero_coefs_ == theirs.n_nonzero_coefs_
    assert np.array_equal(mine.coef_ != 0, np.reshape(theirs.coef_ != 0, np.shape(mine.coef_)))
    np.testing.assert_allclose(mine.coef_, np.reshape(theirs.coef_, np.shape(mine.coef_)), rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=1e-12)


def chosen(x, y, count):
    """Choose features by trying each, over fractions; return the support in order."""
    columns = [[Fraction(float(v)) for v in column] for column in [*x.T, y]]
    *columns, left = [[v - sum(column) / len(column) for v in column] for column in columns]
    basis, support = [], []
    for _ in range(count):
        sizes = [abs(sum(a * b for a, b in zip(column, left, strict=True))) for column in columns]
        best = sizes.index(max(sizes))
        if not sizes[best]:
            break
        axis = columns[best]
        for other in basis:  # Gram and Schmidt
            share = dot(axis, other) / dot(other, other)
            axis = [a - share * b for a, b in zip(axis, other, strict=True)]
        share = dot(left, axis) / dot(axis, axis)
        left = [a - share * b for a, b in zip(left, axis, strict=True)]
        basis.append(axis)
        support.append(best)
    return support, dot(left, left)


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore:Got a target that fewer features meet:RuntimeWarning")
@pytest.mark.parametrize("seed", range(12))
def test_choices_equal_fractions(seed):
    """Which features are chosen is decided exactly, also where they tie or depend; coefficients are least squares'."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(-1, 2, size=(8, 4)).astype(float), rng.integers(-2, 3, size=8).astype(float)
    for count in (1, 2, 3, 4):
        support, left = chosen(x, y, count)
        model = FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=count).fit(x, y)
        assert model.n_iter_ == len(support)
        least = FederatedLinearRegression(tol=0).fit(x[:, support], y)
        assert model.coef_[support].tolist() == least.coef_.tolist()
        assert model.intercept_ == least.intercept_
        assert np.count_nonzero(np.delete(model.coef_, support)) == 0
        enough = float(left) * (1 + 2.0**-52)
        within = FederatedOrthogonalMatchingPursuit(tol=enough).fit(x, y)
        assert within.n_iter_ <= max(len(support), 1)
        assert chosen(x, y, within.n_iter_)[1] <= Fraction(enough)


def test_ties_go_to_the_first_name():
    """Of features with equal products the first by name is chosen, wherever it stands."""
    y = SIGNS @ [1.0, 1.0, 1.0]
    for names in itertools.permutations("abc"):
        model = FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=2).fit(pd.DataFrame(SIGNS, columns=names), y)
        assert dict(zip(names, model.coef_, strict=True)) == {"a": 1.0, "b": 1.0, "c": 0.0}


def test_ends_before_enough_are_chosen():
    """A target that few features meet says so; what depends on the features chosen is never chosen."""
    x = np.column_stack([X[:, 0], X[:, 2], X[:, 0] * 2, np.full(len(X), 3.0)])
    y = 4 * x[:, 0]  # exactly
    for target, count in ((y, 1), (np.ones(len(X)), 0)):
        with pytest.warns(RuntimeWarning, match="fewer features"):
            model = FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=3).fit(x, target)
        assert model.n_iter_ == np.count_nonzero(model.coef_) == count
        assert model.predict(x) == pytest.approx(target, abs=1e-15)
    with pytest.warns(RuntimeWarning, match="fewer features"):
        model = FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=4).fit(x, Y)
    assert (model.n_iter_, np.count_nonzero(model.coef_)) == (2, 2)


def test_tolerance_zero_is_exact():
    """`tol=0` stops where the target is met exactly, and only there."""
    x = np.arange(24.0).reshape(8, 3) ** 3
    model = FederatedOrthogonalMatchingPursuit(tol=0).fit(x, 3 * x[:, 2] + 1)
    assert (model.coef_.tolist(), model.intercept_, model.n_iter_) == ([0.0, 0.0, 3.0], 1.0, 1)
    y = 3 * x[:, 2] + 1
    y[0] = np.nextafter(y[0], 9.0)
    assert FederatedOrthogonalMatchingPursuit(tol=0).fit(x, y).n_iter_ == 3


def test_weights_and_scores():
    """Weights count in products and in `tol`; R² of the statistics is that of the rows."""
    weights = np.arange(len(X)) % 3
    repeated = np.repeat(X, weights, axis=0), np.repeat(Y, weights)
    model = FederatedOrthogonalMatchingPursuit(tol=1.5e6).fit(X, Y, weights)
    assert model.coef_.tolist() == FederatedOrthogonalMatchingPursuit(tol=1.5e6).fit(*repeated).coef_.tolist()
    assert model.score(PSR.from_rows(*repeated), "y") == pytest.approx(model.score(*repeated), rel=1e-13)


def test_more_than_there_are():
    """More features than there are cannot be chosen."""
    with pytest.raises(ValueError, match="n_nonzero_coefs=11, but expected at most the 10 features"):
        FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=11).fit(X, Y)

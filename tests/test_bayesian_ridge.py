"""Bayesian ridge regression: scikit-learn's iteration without its rounding, which mpmath repeats."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import BayesianRidge

from sklearn_symfed import PSR, FederatedBayesianRidge
from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.linear_model._evidence import Priors, evidence

X, Y = load_diabetes(return_X_y=True)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, len(Y))
MILLIONTH = Fraction(1e-6)


def few(seed=0, n=8, d=3):
    rng = np.random.default_rng(seed)
    x = rng.integers(-3, 4, size=(n, d)).astype(float)
    return x, x @ np.arange(1.0, d + 1) + rng.integers(-2, 3, size=n)


def assert_near(mine, theirs, rtol):
    for name in ("coef_", "intercept_", "alpha_", "lambda_", "sigma_", "scores_", "X_offset_", "X_scale_"):
        one, other = getattr(mine, name), getattr(theirs, name)
        assert np.shape(one) == np.shape(other), name
        assert isinstance(one, list) == isinstance(other, list), name
        if name == "scores_":  # scikit-learn's last one has the coefficients before the last
            np.testing.assert_allclose(one[-1:], other[-1:], rtol=1e-6)
            one, other = one[:-1], other[:-1]
        size = np.abs(other).max(initial=1e-5)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * size, err_msg=name)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compute_score": True},
        {"fit_intercept": False, "compute_score": True},
        {"alpha_1": 1.0, "alpha_2": 2.0, "lambda_1": 3.0, "lambda_2": 0.5},
        {"alpha_init": 0.5, "lambda_init": 2.0, "max_iter": 3},
        {"tol": 1e-8},
    ],
    ids=str,
)
def test_near_scikit_learn(options, weights):
    """On diabetes it takes scikit-learn's steps, as many, and differs from its numbers by their rounding."""
    mine, theirs = (kind(**options).fit(X, Y, weights) for kind in (FederatedBayesianRidge, BayesianRidge))
    assert mine.n_iter_ == theirs.n_iter_
    assert_near(mine, theirs, 1e-10)
    one, other = (model.predict(X[:9], return_std=True) for model in (mine, theirs))
    np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 9), (9, 9), (30, 4)])
def test_any_shape(shape):
    """Fewer rows than features, constant and equal features: the evidence asks for no full rank."""
    x, y = few(1, *shape)
    x[:, 1], x[:, 2] = 3.0, x[:, 0]
    mine, theirs = (kind(compute_score=True).fit(x, y) for kind in (FederatedBayesianRidge, BayesianRidge))
    assert mine.n_iter_ == theirs.n_iter_
    assert_near(mine, theirs, 1e-9)
    assert mine.coef_[1] == 0
    assert mine.coef_[0] == mine.coef_[2]
    assert mine.sigma_[1, 1] == pytest.approx(1 / mine.lambda_, rel=1e-15)
    assert np.array_equal(mine.sigma_, mine.sigma_.T)


def by_mpmath(x, y, *, tol, priors=(1e-6,) * 4, steps=300):
    """Repeat the iteration with 60 digits on the rows, by inverses in place of eigenvalues."""
    mp = mpmath.mp
    n, d = x.shape
    rows = mp.matrix(x.tolist())
    means = [sum(rows[:, j]) / n for j in range(d)]
    centred = mp.matrix(n, d)
    for i in range(n):
        for j in range(d):
            centred[i, j] = rows[i, j] - means[j]
    target = mp.matrix([mp.mpf(v) for v in y])
    mean = sum(target) / n
    target -= mp.matrix([mean] * n)
    gram, right = centred.T * centred, centred.T * target
    a1, a2, l1, l2 = (mp.mpf(v) for v in priors)
    alpha, lam = 1 / (sum(v * v for v in target) / n + mp.mpf(2) ** -52), mp.mpf(1)
    before = None
    step, moves = 0, True
    while moves and step < steps:
        step += 1
        covariance = (lam * mp.eye(d) + alpha * gram) ** -1
        coef = alpha * (covariance * right)
        left = target - centred * coef
        gamma = d - lam * sum(covariance[i, i] for i in range(d))
        lam = (gamma + 2 * l1) / (sum(v * v for v in coef) + 2 * l2)
        alpha = (n - gamma + 2 * a1) / (sum(v * v for v in left) + 2 * a2)
        moves = before is None or sum(abs(a - b) for a, b in zip(before, coef, strict=True)) >= tol
        before = coef
    covariance = (lam * mp.eye(d) + alpha * gram) ** -1
    coef = alpha * (covariance * right)
    intercept = mean - sum(m * b for m, b in zip(means, coef, strict=True))
    return step, alpha, lam, coef, covariance, intercept


@pytest.mark.parametrize("tol", [1e-3, 1e-20])
@pytest.mark.parametrize("seed", range(3))
def test_every_digit(seed, tol):
    """All parameters are those of the iteration in 60 digits, rounded once."""
    x, y = few(seed)
    model = FederatedBayesianRidge(tol=tol).fit(x, y)
    with mpmath.workdps(60):
        steps, alpha, lam, coef, covariance, intercept = by_mpmath(x, y, tol=tol)
        assert (model.n_iter_, model.alpha_, model.lambda_) == (steps, float(alpha), float(lam))
        assert model.coef_.tolist() == [float(v) for v in coef]
        assert model.intercept_ == float(intercept)
        assert model.sigma_.tolist() == [[float(covariance[i, j]) for j in range(3)] for i in range(3)]


def test_the_fixed_point():
    """With a tolerance that float64 could not reach, a further step moves neither precision."""
    moments = PSR.from_rows(X, Y).moments()
    found = evidence(moments, Priors(*[MILLIONTH] * 4), tol=1e-25)
    start = found.alpha, found.lambda_
    again = evidence(moments, Priors(*[MILLIONTH] * 4), start=start, max_iter=1)
    assert float(abs(again.alpha / found.alpha - 1)) < 1e-27
    assert float(abs(again.lambda_ / found.lambda_ - 1)) < 1e-24
    model, default = FederatedBayesianRidge(tol=1e-25).fit(X, Y), FederatedBayesianRidge().fit(X, Y)
    assert 0 < np.abs(model.coef_ - default.coef_).max() < 1e-6


def test_starting_at_zero():
    """One of the precisions may begin at zero, where the evidence has no logarithm."""
    for options in ({"alpha_init": 0.0, "lambda_init": 1.0}, {"alpha_init": 1.0, "lambda_init": 0.0}):
        model = FederatedBayesianRidge(**options, compute_score=True).fit(X, Y)
        assert np.isnan(model.scores_).tolist() == [True] + [False] * model.n_iter_
        np.testing.assert_allclose(model.coef_, FederatedBayesianRidge().fit(X, Y).coef_, rtol=1e-4)
    with pytest.raises(ValueError, match="alpha_init=0 and lambda_init=0"):
        FederatedBayesianRidge(alpha_init=0, lambda_init=0).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "target", "weights"),
    [
        ({"alpha_2": 0.0}, np.ones(8), None),
        ({"lambda_2": 0.0}, np.ones(8), None),
        ({"alpha_init": 1e6}, few()[1], np.full(8, 2.0**-4)),
    ],
    ids=["no noise", "no coefficients", "less than a row"],
)
def test_no_evidence(options, target, weights):
    """A precision that is no positive number is an error, and leaves nothing behind."""
    model = FederatedBayesianRidge(**options)
    with pytest.raises(DataError, match="a precision is not a positive number"):
        model.fit(few()[0], target, weights)
    assert not hasattr(model, "coef_")
    constant = FederatedBayesianRidge().fit(few()[0], np.ones(8))
    assert (constant.coef_.tolist(), constant.intercept_) == ([0.0, 0.0, 0.0], 1.0)


def test_one_target():
    """There is one target: a column is taken with a warning, more are refused."""
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(10)])
    alone = FederatedBayesianRidge().fit(frame, Y)
    for column in (Y[:, None], pd.DataFrame({"t": Y})):
        with pytest.warns(DataConversionWarning, match="column-vector"):
            model = FederatedBayesianRidge().fit(frame, column)
        assert model.coef_.tolist() == alone.coef_.tolist()
        assert np.ndim(model.intercept_) == 0
    with pytest.raises(DataError, match="1d array"):
        FederatedBayesianRidge().fit(frame, np.column_stack([Y, Y]))
    psr = PSR.from_rows(frame.assign(t=Y, u=-Y))
    assert FederatedBayesianRidge().fit(psr.drop("u"), ["t"]).coef_.tolist() == alone.coef_.tolist()
    with pytest.raises(SchemaError, match="2 targets"):
        FederatedBayesianRidge().fit(psr, ["t", "u"])

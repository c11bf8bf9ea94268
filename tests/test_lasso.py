"""Lasso, elastic net and non-negative least squares: minima by exact conditions, near scikit-learn, one of several."""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.datasets import load_diabetes, load_linnerud
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge

from sklearn_symfed import (
    PSR,
    FederatedElasticNet,
    FederatedLasso,
    FederatedLinearRegression,
    FederatedRidge,
    fitted_digests,
)
from sklearn_symfed.linear_model import _active_set
from sklearn_symfed.linear_model._elastic_net import elastic_net
from tests.test_linear_model import fraction_solve

PRECISELY = {"tol": 1e-12, "max_iter": 1_000_000}


def dot(one, other, weights):
    return sum(w * a * b for w, a, b in zip(weights, one, other, strict=True))


def normal_equations(x, y, weights, *, fit_intercept):
    """Return Gram matrix and right side of (centred) rows, and means, as fractions."""
    w = [Fraction(float(v)) for v in weights]
    columns = [[Fraction(float(v)) for v in column] for column in [*x.T, y]]
    means = [sum(a * v for a, v in zip(w, column, strict=True)) / sum(w) * fit_intercept for column in columns]
    *features, target = [[v - m for v in column] for column, m in zip(columns, means, strict=True)]
    return [[dot(a, b, w) for b in features] for a in features], [dot(a, target, w) for a in features], means


def residual(gram, right, coef):
    return [c - sum(g * b for g, b in zip(row, coef, strict=True)) for row, c in zip(gram, right, strict=True)]


def enumerated(gram, right, level, penalty, *, positive):
    """Try all active sets and signs, over fractions; without a penalty on squares, near the limit of a small one."""
    size, added = len(right), penalty or Fraction(1, 10**40)
    gram = [[gram[i][j] + added * (i == j) for j in range(size)] for i in range(size)]
    for sides in itertools.product((0, 1) if positive else (0, 1, -1), repeat=size):
        active = [j for j in range(size) if sides[j]]
        system = [[gram[i][j] for j in active] for i in active]
        some = fraction_solve(system, [right[j] - level * sides[j] for j in active])
        if any(b * sides[j] <= 0 for b, j in zip(some, active, strict=True)):
            continue
        coef = [some[active.index(j)] if sides[j] else Fraction(0) for j in range(size)]
        left = [r if positive else abs(r) for r in residual(gram, right, coef)]
        if all(left[j] <= level for j in range(size) if not sides[j]):
            return [b.limit_denominator(10**15) for b in coef] if penalty == 0 else coef
    raise AssertionError


def small_problem(seed):
    """Return small integers, many of them tied, doubled or constant."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=(rng.integers(2, 7), rng.integers(2, 5)))
    if seed % 3 == 0:
        x[:, 1] = x[:, 0] * rng.choice([1, -1, 2])
    if seed % 5 == 0:
        x[:, -1] = 1
    return x, rng.integers(-3, 4, size=len(x)), rng.integers(1, 4, size=len(x)) / 2


def assert_is_minimum(seed):
    """Assert that the solution of a small problem is that of the right active set, rounded once."""
    x, y, weights = small_problem(seed)
    alpha, ratio = ((0.25, 1.0), (0.0625, 1.0), (0.5, 0.5), (1.0, 0.75), (0.0, 1.0))[seed % 5]
    fit_intercept, positive = seed % 2 == 0, alpha == 0 or seed % 4 == 0
    gram, right, means = normal_equations(x, y, weights, fit_intercept=fit_intercept)
    total = Fraction(alpha) * Fraction(float(weights.sum()))
    level, penalty = total * Fraction(ratio), total * (1 - Fraction(ratio))
    expected = enumerated(gram, right, level, penalty, positive=positive)
    found = elastic_net(
        PSR.from_rows(x, y, sample_weight=weights).moments(),
        alpha,
        ratio,
        fit_intercept=fit_intercept,
        positive=positive,
    )
    assert found.coef[0].tolist() == [float(b) for b in expected], seed
    assert found.intercept[0] == float(means[-1] - sum(b * m for b, m in zip(expected, means, strict=False))), seed


def test_the_active_set_is_the_right_one_among_all():
    """On small integers with ties, coefficients are those that an enumeration of all active sets finds, to the bit."""
    for seed in range(60):
        assert_is_minimum(seed)


def test_a_wrong_guess_does_not_matter(monkeypatch):
    """Whatever float64 guesses, and however little of it is put right at once, the minimum is the same."""
    rng = np.random.default_rng(0)

    def guess(problem):
        values = rng.normal(size=len(problem.right)) * rng.integers(0, 2, size=len(problem.right))
        return abs(values) if problem.positive else values

    monkeypatch.setattr(_active_set, "_guess", guess)
    monkeypatch.setattr(_active_set, "_FLIPS", 1)
    for seed in range(30):
        assert_is_minimum(seed)


@pytest.mark.parametrize(
    ("ratio", "positive", "fit_intercept", "weighted"),
    [
        (1.0, False, True, False),
        (1.0, False, True, True),
        (1.0, True, True, True),
        (1.0, True, False, False),
        (0.3, False, False, True),
        (0.3, True, True, False),
    ],
)
def test_near_scikit_learn(ratio, positive, fit_intercept, weighted):
    """Coefficients and intercept are those of scikit-learn, as far as coordinate descent goes."""
    x, y = load_diabetes(return_X_y=True)
    weights = np.where(y > 150, 2.5, 0.1) if weighted else None
    for alpha in (0.5, 0.003):
        ours = FederatedElasticNet(alpha, l1_ratio=ratio, fit_intercept=fit_intercept, positive=positive)
        theirs = ElasticNet(alpha, l1_ratio=ratio, fit_intercept=fit_intercept, positive=positive, **PRECISELY)
        ours.fit(x, y, weights)
        theirs.fit(x, y, weights)
        assert np.allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-8)
        assert np.isclose(ours.intercept_, theirs.intercept_, rtol=1e-11)
        assert np.array_equal(ours.coef_ == 0, theirs.coef_ == 0)


def test_attributes_and_shapes_are_those_of_scikit_learn():
    """Of no, one and several axes of targets, each solved for itself."""
    x, targets = load_linnerud(return_X_y=True)
    for y in (targets, targets[:, :1], targets[:, 0]):
        ours, theirs = FederatedLasso(0.5).fit(x, y), Lasso(0.5, **PRECISELY).fit(x, y)
        for name in ("coef_", "intercept_", "dual_gap_", "n_iter_"):
            assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name)), name
        assert np.allclose(ours.coef_, theirs.coef_, rtol=1e-11)
        assert (ours.sparse_coef_ != theirs.sparse_coef_.sign().multiply(abs(ours.sparse_coef_))).nnz == 0
        assert np.array_equal(ours.predict(x), ours.to_sklearn().predict(x))
        assert ours.predict(x).shape == theirs.predict(x).shape
        assert np.isclose(ours.score(PSR.from_rows(x, y), ours._target), theirs.score(x, y))
    assert type(ours.to_sklearn()) is Lasso
    assert type(FederatedElasticNet().fit(x, y).to_sklearn()) is ElasticNet


@pytest.mark.parametrize("rows", [8, 40])
def test_exact_conditions_on_real_rows(rows):
    """With fewer rows than columns, too, the rounded minimum meets its exact conditions up to the rounding."""
    x, y = load_diabetes(return_X_y=True)
    x, y = x[:rows], y[:rows]
    coef = FederatedLasso(0.05).fit(x, y).coef_
    gram, right, _ = normal_equations(x, y, np.ones(rows), fit_intercept=True)
    left = residual(gram, right, [Fraction(float(b)) for b in coef])
    level = Fraction(0.05) * rows
    assert 0 < np.count_nonzero(coef) < min(rows, 10)
    for b, r in zip(coef, left, strict=True):
        assert abs(r - level * int(np.sign(b))) < 1e-12 if b else abs(r) < level


def test_of_several_minima_the_smallest():
    """Equal columns share a coefficient, whatever their order and the partition of rows; with a warning."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4))
    y = x @ [2.0, -1.0, 0.0, 0.5] + rng.normal(size=40)
    x = np.column_stack([x, x[:, :2], np.full(40, 3.0), x[:, 0]])
    names = [f"c{i}" for i in range(8)]
    frame = pd.DataFrame(x, columns=names).assign(t=y)
    with pytest.warns(LinAlgWarning, match="8 features have rank 5 or less"):
        model = FederatedLasso(0.1).fit(PSR.from_rows(frame), "t")
    assert len(set(model.coef_[[0, 4, 7]])) == len(set(model.coef_[[1, 5]])) == 1
    assert model.coef_[6] == 0.0
    alone = FederatedLasso(0.1).fit(x[:, :4], y)
    assert np.allclose(model.predict(frame[names]), alone.predict(x[:, :4]), rtol=1e-13)
    assert np.isclose(abs(model.coef_).sum(), abs(alone.coef_).sum(), rtol=1e-14)
    order = rng.permutation(8)
    frame = frame[["t", *(names[i] for i in order)]]
    with pytest.warns(LinAlgWarning):
        other = FederatedLasso(0.1).fit(PSR.from_rows(frame[:9]) + PSR.from_rows(frame[9:]), "t")
    assert other.coef_.tolist() == [model.coef_[i] for i in order]
    assert (other.intercept_, other.condition_, other.solver_) == (
        model.intercept_,
        model.condition_,
        model.solver_,
    )


def test_without_absolute_values_it_is_ridge_or_least_squares():
    """Elsewhere than scikit-learn, whose coordinate descent gets there slowly, these are other models' bits."""
    x, y = load_diabetes(return_X_y=True)
    ridge, net = FederatedRidge(0.25 * len(y)).fit(x, y), FederatedElasticNet(0.25, l1_ratio=0.0).fit(x, y)
    least, none = FederatedLinearRegression().fit(x, y), FederatedLasso(0.0).fit(x, y)
    for one, other in ((ridge, net), (least, none)):
        assert one.coef_.tolist() == other.coef_.tolist()
        assert one.intercept_ == other.intercept_
    with pytest.warns(LinAlgWarning, match="11 features have rank 10:"):
        FederatedLasso(0.0).fit(np.column_stack([x, x[:, 0]]), y)


def test_only_proportions_of_weights_count():
    """Integers repeat rows; weights that are all twice as large fit the same coefficients."""
    x, y = load_diabetes(return_X_y=True)
    weights = np.random.default_rng(0).integers(0, 4, size=len(y))
    model = FederatedLasso(0.1).fit(x, y, weights)
    repeated = FederatedLasso(0.1).fit(np.repeat(x, weights, axis=0), np.repeat(y, weights))
    assert fitted_digests(model) == fitted_digests(repeated)
    assert FederatedLasso(0.1).fit(x, y, 2.0 * weights).coef_.tolist() == model.coef_.tolist()


def test_targets_and_features_that_do_not_vary():
    """A constant target has coefficients zero, and so has a constant feature, without a warning."""
    x, y = load_diabetes(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FederatedLasso(0.1).fit(x, np.full(len(y), 7.0))
        assert not model.coef_.any()
        assert model.intercept_ == 7.0
        model = FederatedLasso(0.1).fit(np.column_stack([np.ones(len(y)), x]), y)
        assert model.coef_[0] == 0.0
        assert model.coef_[1:].tolist() == FederatedLasso(0.1).fit(x, y).coef_.tolist()


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_non_negative_least_squares(fit_intercept):
    """Near scikit-learn, whose active set it is; what it has no standard errors for, it does not make up."""
    x, targets = load_diabetes(return_X_y=True)
    targets = np.column_stack([targets, -targets, x[:, 2] ** 2])
    for y in (targets[:, 0], targets):
        ours = FederatedLinearRegression(fit_intercept=fit_intercept, positive=True).fit(x, y)
        theirs = LinearRegression(fit_intercept=fit_intercept, positive=True).fit(x, y)
        assert np.allclose(ours.coef_, theirs.coef_, rtol=1e-11, atol=1e-13)
        assert np.allclose(ours.intercept_, theirs.intercept_, rtol=1e-11)
        assert (ours.coef_ >= 0).all()
        assert np.isnan(ours.coef_stderr_).all()
        assert np.isnan(ours.residual_std_).all()
        assert not hasattr(ours, "rank_")
        assert not hasattr(ours, "dof_residual_")
        assert np.array_equal(ours.to_sklearn().predict(x), ours.predict(x))


def test_non_negative_ridge():
    """A penalty for each target, as scikit-learn's, whose solver stops a little earlier."""
    x, y = load_diabetes(return_X_y=True)
    targets = np.column_stack([y, -y])
    alpha = np.array([0.1, 3.0])
    ours = FederatedRidge(alpha, positive=True).fit(x, targets)
    for t in range(2):
        theirs = Ridge(alpha[t], positive=True, tol=1e-12).fit(x, targets[:, t])
        assert np.allclose(ours.coef_[t], theirs.coef_, rtol=1e-6, atol=1e-3)
    assert ours.coef_[0].tolist() == FederatedRidge(0.1, positive=True).fit(x, y).coef_.tolist()
    assert FederatedRidge(0.0, positive=True).fit(x, y).coef_.tolist() == (
        FederatedLinearRegression(positive=True).fit(x, y).coef_.tolist()
    )


def test_an_ill_conditioned_problem_is_solved_all_the_same():
    """Powers of one number, where coordinate descent takes for ever, have the minimum that the conditions ask for."""
    x = np.array([[t**k for k in range(1, 11)] for t in np.linspace(1.0, 3.0, 30)])
    y = np.random.default_rng(0).normal(size=30)
    gram, right, _ = normal_equations(x, y, np.ones(30), fit_intercept=True)
    moments = PSR.from_rows(x, y).moments()
    for alpha in (1e-2, 1e-8):
        found = elastic_net(moments, alpha, 1.0)
        sides = np.sign(found.coef[0]).astype(int)
        level, active = Fraction(alpha) * 30, np.flatnonzero(sides).tolist()
        some = fraction_solve(
            [[gram[i][j] for j in active] for i in active], [right[j] - level * int(sides[j]) for j in active]
        )
        coef = [some[active.index(j)] if sides[j] else Fraction(0) for j in range(10)]
        assert found.coef[0].tolist() == [float(b) for b in coef]
        assert all(abs(r) <= level for r in residual(gram, right, coef))

"""Factor analysis: scikit-learn's iteration in exact arithmetic, what it converges to, and its corner cases."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from flint import arb
from scipy.stats import multivariate_normal
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import FactorAnalysis
from sklearn.exceptions import ConvergenceWarning

from sklearn_symfed._eigen import LEVELS
from sklearn_symfed._rounding import precision
from sklearn_symfed.decomposition import FederatedFactorAnalysis
from sklearn_symfed.decomposition._pencil import Pencil
from sklearn_symfed.psr import PSR

X = load_iris().data
SUGAR = load_diabetes().data[:, [0, 2, 3, 5, 9]] * 20
RNG = np.random.default_rng(0)
ONE_FACTOR = RNG.normal(size=(200, 1)) * [1.0, 0.8, -0.6, 1.5, 0.4, 1.2] + RNG.normal(size=(200, 6)) * 0.7


def assert_near(mine, theirs, rtol):
    """Assert that two models are equal up to the signs of factors."""
    signs = np.sign((mine.components_ * theirs.components_).sum(axis=1))
    scale = abs(theirs.components_).max()
    np.testing.assert_allclose(mine.components_, theirs.components_ * signs[:, None], rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(mine.noise_variance_, theirs.noise_variance_, rtol=10 * rtol)
    np.testing.assert_allclose(mine.get_covariance(), theirs.get_covariance(), rtol=0, atol=rtol * scale**2)
    np.testing.assert_allclose(mine.mean_, theirs.mean_, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("rotation", [None, "varimax", "quartimax"])
@pytest.mark.parametrize(("rows", "n_components"), [(X, 1), (X, 2), (SUGAR, 2), (SUGAR, 3)])
def test_is_near_scikit_learn(rows, n_components, rotation):
    """scikit-learn stops at the same step, with what differs by its 1e-12 beside each root of a noise variance."""
    mine = FederatedFactorAnalysis(n_components, rotation=rotation).fit(rows)
    theirs = FactorAnalysis(n_components, rotation=rotation, svd_method="lapack").fit(rows)
    assert mine.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(mine.loglike_[1:], theirs.loglike_[1:], rtol=1e-9)
    assert_near(mine, theirs, 1e-9)
    signs = np.sign((mine.components_ * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(mine.transform(rows), theirs.transform(rows) * signs, rtol=1e-8, atol=1e-8)


def test_the_maximum_is_near_scikit_learns():
    """With low tolerances both come to the maximum of the likelihood."""
    mine = FederatedFactorAnalysis(1, tol=1e-10).fit(ONE_FACTOR)
    assert_near(mine, FactorAnalysis(1, tol=1e-10, max_iter=5000, svd_method="lapack").fit(ONE_FACTOR), 1e-6)


def test_the_maximum_is_stationary():
    """Without tolerance it ends where no bit moves: there the equations of maximum likelihood hold."""
    model = FederatedFactorAnalysis(1, tol=0).fit(ONE_FACTOR)
    implied, precision = model.get_covariance(), model.get_precision()
    left = np.cov(ONE_FACTOR.T, ddof=0) - implied
    assert abs(np.diagonal(left)).max() < 1e-15
    np.testing.assert_allclose(left @ precision @ model.components_.T, 0, atol=1e-14)
    assert np.all(np.diff(model.loglike_) >= -1e-12)
    again = FederatedFactorAnalysis(1, tol=0, noise_variance_init=[0.1, 2.0, 0.3, 0.4, 5.0, 0.6]).fit(ONE_FACTOR)
    assert again.components_.tolist() == model.components_.tolist()
    assert again.noise_variance_.tolist() == model.noise_variance_.tolist()


@pytest.mark.parametrize("n_components", [0, 1, 3, None])
def test_log_likelihood_is_that_of_the_model(n_components):
    """The last likelihood is the sum of the rows' log-densities, which is the score of rows and statistics."""
    model = FederatedFactorAnalysis(n_components).fit(X)
    density = multivariate_normal(X.mean(axis=0), model.get_covariance())
    assert model.loglike_[-1] == pytest.approx(density.logpdf(X).sum(), rel=1e-10)
    assert model.score(X) == pytest.approx(model.loglike_[-1] / len(X), rel=1e-10)
    assert model.score(PSR.from_rows(X)) == pytest.approx(model.score(X), rel=1e-10)


def test_factors_to_spare():
    """With as many factors as features scikit-learn stops short, for what it takes for the likelihood is none."""
    mine, theirs = FederatedFactorAnalysis().fit(X), FactorAnalysis(svd_method="lapack").fit(X)
    assert theirs.score(X) < theirs.loglike_[-1] / len(X) - 0.9
    assert mine.score(X) > theirs.score(X) + 0.9


def test_heywood_case():
    """A feature that the factors explain whole keeps the least noise, as in scikit-learn."""
    rows = np.column_stack([ONE_FACTOR[:, :3], ONE_FACTOR[:, 0]])
    model = FederatedFactorAnalysis(1, tol=1e-3).fit(rows)
    assert np.isfinite(model.components_).all()
    assert model.noise_variance_[0] == model.noise_variance_[3] < 1e-2
    constant = FederatedFactorAnalysis(1).fit(np.column_stack([ONE_FACTOR[:, :3], np.ones(200)]))
    assert constant.noise_variance_[3] == 1e-12
    assert constant.components_[0, 3] == 0.0


def test_few_rows():
    """There are at most as many factors as rows, and one row has no variance."""
    assert FederatedFactorAnalysis(4).fit(X[:3]).components_.shape == (3, 4)
    with pytest.raises(ValueError, match="1 sample"):
        FederatedFactorAnalysis(1).fit(X[:1])


def test_weights():
    """Integer weights repeat rows; float weights count as in numpy's weighted covariance."""
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = FederatedFactorAnalysis(2).fit(np.repeat(X, weights, axis=0))
    weighted = FederatedFactorAnalysis(2).fit(X, sample_weight=weights)
    assert repeated.components_.tolist() == weighted.components_.tolist()
    assert repeated.loglike_ == weighted.loglike_
    floats = np.random.default_rng(0).uniform(0.5, 3, len(X))
    model = FederatedFactorAnalysis(1, tol=1e-9).fit(ONE_FACTOR[:150], sample_weight=floats)
    variances = np.diagonal(np.cov(ONE_FACTOR[:150].T, aweights=floats, ddof=0))
    np.testing.assert_allclose(np.diagonal(model.get_covariance()), variances, rtol=1e-5)


def test_rotation_keeps_what_is_explained():
    """A rotation changes loadings, not the covariance that they imply; a single factor, and none, stay."""
    plain = FederatedFactorAnalysis(3).fit(SUGAR)
    for rotation in "varimax", "quartimax":
        rotated = FederatedFactorAnalysis(3, rotation=rotation).fit(SUGAR)
        np.testing.assert_allclose(rotated.get_covariance(), plain.get_covariance(), rtol=1e-13)
        assert abs(rotated.components_ - plain.components_).max() > 0.01
        one = FederatedFactorAnalysis(1, rotation=rotation).fit(SUGAR)
        assert one.components_.tolist() == FederatedFactorAnalysis(1).fit(SUGAR).components_.tolist()
        assert not FederatedFactorAnalysis(2, rotation=rotation).fit(np.ones((3, 2))).components_.any()


def test_the_order_of_columns_moves_no_bit():
    """Features that are alike to the last bit are told apart by their names."""
    cube = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * 2.0
    for rows in ONE_FACTOR, cube:
        psr = PSR.from_rows(rows)
        one = FederatedFactorAnalysis(2, rotation="varimax", max_iter=2000, tol=0.1).fit(psr)
        other = FederatedFactorAnalysis(2, rotation="varimax", max_iter=2000, tol=0.1).fit(psr.select(psr.names[::-1]))
        assert other.components_[:, ::-1].tolist() == one.components_.tolist()
        assert other.noise_variance_[::-1].tolist() == one.noise_variance_.tolist()
        assert other.loglike_ == one.loglike_


def test_transforming_is_affine():
    """The matrix and the offset do what `transform` does, with and without factors."""
    for n_components in 0, 2:
        model = FederatedFactorAnalysis(n_components, rotation="varimax").fit(X)
        matrix, offset = model._affine()
        np.testing.assert_allclose(X @ matrix + np.array(offset, dtype=float), model.transform(X), atol=1e-12)


def test_refusals():
    """What to start from has one positive number for each feature; iterations that do not end are told."""
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        FederatedFactorAnalysis(noise_variance_init=[1.0, 1.0]).fit(X)
    with pytest.raises(ValueError, match="not positive"):
        FederatedFactorAnalysis(noise_variance_init=[1.0, 1.0, 0.0, 1.0]).fit(X)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations"):
        assert FederatedFactorAnalysis(1, max_iter=3).fit(X).n_iter_ == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FederatedFactorAnalysis(1).fit(X)


# -- the eigenpairs of its steps -------------------------------------------------------------------------------------


def pencil(size, seed=0):
    """Return a covariance and noise variances on an integer grid, of scales far apart."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(3 * size, size)) @ rng.normal(size=(size, size)) * 10.0 ** rng.integers(-4, 5, size)
    integers = np.array([[int(entry) for entry in row] for row in np.rint(rows * 2.0**40)], dtype=object)
    return integers.T @ integers, [int(value) for value in 2.0**100 * rng.uniform(1e-12, 1, size)]


@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_few_eigenpairs_are_those_of_all(size):
    """A few eigenpairs, refined alone, lie in balls good to 130 bits that hold what all of them give at 320 bits."""
    a, b = pencil(size)
    count = min(size, 3)
    with precision(800):
        one, all_ = Pencil(a, b, size), Pencil(a, b, size)
        values, vectors = one._refined(LEVELS[0], count)
        truth = all_._problem.pairs(LEVELS[1], count)
        for k, (value, vector) in enumerate(zip(values, vectors, strict=True)):
            assert value.overlaps(truth.values[k])
            assert value.rad() < values[0].mid() * arb((1, -130))
            other = truth.vectors.tolist()[k]
            sign = 1 if (vector[0] * other[0]).mid() > 0 else -1
            assert all(entry.overlaps(sign * theirs) for entry, theirs in zip(vector, other, strict=True))
            assert max(entry.rel_accuracy_bits() for entry in vector) > 130


def test_equal_eigenvalues_are_left_to_all():
    """Where float64 shows no gap the few are taken from all, whose convention holds."""
    a = np.diag(np.array([4, 4, 1], dtype=object))
    with precision(800):
        assert Pencil(a, [1, 1, 1], 3).pairs(LEVELS[0], 1) is None
        values, vectors = Pencil(a, [1, 1, 1], 3).pairs(LEVELS[1], 1)
        assert values[0].overlaps(4)
        assert [round(float(entry.mid()), 12) for entry in vectors[0]] == [1.0, 0.0, 0.0]
        assert Pencil(a, [1, 1, 1], 3).pairs(LEVELS[0], 0) == ([], [])

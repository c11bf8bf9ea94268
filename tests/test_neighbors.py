"""Nearest centroids: exact against fractions, near scikit-learn."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.neighbors import NearestCentroid

from sklearn_symfed.neighbors import FederatedNearestCentroid

X, Y = load_iris(return_X_y=True)
NAMES = ("centroids_", "deviations_", "within_class_std_dev_", "class_prior_")


@pytest.mark.parametrize("priors", ["uniform", "empirical", "declared"])
@pytest.mark.parametrize("threshold", [None, 0.5, 3.0, 1e3])
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_is_near_scikit_learn(load, threshold, priors):
    """scikit-learn agrees to 1e-10, shrunken or not; predictions are its own."""
    x, y = load(return_X_y=True)
    if priors == "declared":
        priors = (np.arange(1, 1 + len(set(y))) / sum(range(1 + len(set(y))))).tolist()
    mine = FederatedNearestCentroid(shrink_threshold=threshold, priors=priors).fit(x, y)
    theirs = NearestCentroid(shrink_threshold=threshold, priors=priors).fit(x, y)
    for name in NAMES:
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(mine.decision_function(x), theirs.decision_function(x), rtol=1e-9, atol=1e-8)
    assert np.mean(mine.predict(x) == theirs.predict(x)) > (0.99 if threshold != 1e3 else 0)  # where all are one, ties
    assert np.array_equal(mine.to_sklearn().predict(x), mine.predict(x))


@pytest.mark.parametrize("threshold", [None, 2.5])
def test_numbers_are_rounded_once(threshold):
    """Means are rational, all else has roots: each number is the float nearest to the true one."""
    x, y = np.rint(10 * X)[::7, :3], Y[::7]
    model = FederatedNearestCentroid(shrink_threshold=threshold).fit(x, y)
    rows = [[Fraction(v) for v in row] for row in x.tolist()]
    n, groups = len(rows), [[r for r, k in zip(rows, y, strict=True) if k == c] for c in range(3)]
    overall = [sum(column) / n for column in zip(*rows, strict=True)]
    means = [[sum(column) / len(group) for column in zip(*group, strict=True)] for group in groups]
    squares = [sum((r[j] - m[j]) ** 2 for g, m in zip(groups, means, strict=True) for r in g) for j in range(3)]
    with mpmath.workdps(60):
        real = lambda value: mpmath.mpf(value.numerator) / value.denominator  # noqa: E731
        within = [mpmath.sqrt(real(square) / (n - 3)) for square in squares]
        assert model.within_class_std_dev_.tolist() == [float(v) for v in within]
        for k, group in enumerate(groups):
            for j in range(3):
                scale = mpmath.sqrt(real(Fraction(1, len(group)) - Fraction(1, n))) * (within[j] + sorted(within)[1])
                moved = real(means[k][j] - overall[j])
                left = mpmath.sign(moved) * max(abs(moved) - (threshold or 0) * scale, 0)
                assert model.deviations_[k, j] == float(left / scale)
                assert model.centroids_[k, j] == float(real(overall[j]) + left)


def test_median_of_an_even_number():
    """The median of two deviations is their mean, the root of no rational number."""
    x = np.array([[0, 0], [2, 1], [5, 4], [9, 5]])
    model = FederatedNearestCentroid().fit(x, [0, 0, 1, 1])
    first, second = math.sqrt(5), math.sqrt(0.5)
    assert model.within_class_std_dev_.tolist() == [first, second]
    scale = np.array([first, second]) + (first + second) / 2
    np.testing.assert_allclose(model.deviations_, [[-3 / 0.5, -2 / 0.5], [3 / 0.5, 2 / 0.5]] / scale, rtol=1e-15)


def test_a_deviation_that_the_threshold_just_meets():
    """What lies exactly at the threshold is shrunk to an exact zero: no rounding lets a feature survive."""
    square = [[0], [2], [0], [2], [1], [1], [1], [1], [1], [7], [9], [7], [9], [8], [8], [8], [8], [8]]
    same = FederatedNearestCentroid().fit(square, [0] * 9 + [1] * 9)  # 8 / 16 within: sqrt(1/2) * sqrt(1/18) = 1/6
    assert same.deviations_.ravel().tolist() == [-10.5, 10.5]
    gone = FederatedNearestCentroid(shrink_threshold=10.5).fit(square, [0] * 9 + [1] * 9)
    assert gone.deviations_.ravel().tolist() == [0.0, 0.0]
    assert gone.centroids_.ravel().tolist() == [4.5, 4.5]


def test_weights():
    """Weights that repeat rows are rows; a common factor of all weights changes nothing."""
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    repeated = FederatedNearestCentroid(shrink_threshold=1.0).fit(X.repeat(weights, axis=0), Y.repeat(weights))
    weighted = FederatedNearestCentroid(shrink_threshold=1.0).fit(X, Y, weights)
    plain = FederatedNearestCentroid(shrink_threshold=1.0).fit(X, Y)
    quarters = FederatedNearestCentroid(shrink_threshold=1.0).fit(X, Y, np.full(len(X), 0.25))
    for name in NAMES:
        assert np.array_equal(getattr(weighted, name), getattr(repeated, name))
        assert np.array_equal(getattr(quarters, name), getattr(plain, name))


def test_features_that_do_not_vary():
    """Undefined deviations are NaN, those without error are infinite, and centroids are defined in any case."""
    x = np.column_stack([X, np.ones(150), Y])
    model = FederatedNearestCentroid(shrink_threshold=0.5).fit(x, Y)
    theirs = NearestCentroid(shrink_threshold=0.5)
    with pytest.warns(UserWarning, match="zero standard deviation"):
        theirs.fit(x, Y)
    for name in NAMES:
        np.testing.assert_allclose(getattr(model, name), getattr(theirs, name), rtol=1e-10, atol=1e-12, err_msg=name)
    model = FederatedNearestCentroid(shrink_threshold=0.5).fit(np.column_stack([np.ones(150), Y]), Y)
    assert model.centroids_.tolist() == [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]
    assert np.isnan(model.deviations_[:, 0]).all()
    assert model.deviations_[[0, 2], 1].tolist() == [-np.inf, np.inf]
    with pytest.raises(ValueError, match="zero variance"):
        FederatedNearestCentroid().fit(np.ones((150, 2)), Y)


def test_as_many_classes_as_rows():
    """One row in each class has a centroid and no deviation; shrinking it is refused."""
    x, y = X[[0, 60, 120]], Y[[0, 60, 120]]
    model = FederatedNearestCentroid().fit(x, y)
    assert np.array_equal(model.centroids_, x)
    assert np.isnan(model.within_class_std_dev_).all()
    assert np.isnan(model.deviations_).all()
    assert model.predict(x).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="one row in each class"):
        FederatedNearestCentroid(shrink_threshold=0.1).fit(x, y)


def test_what_is_refused():
    """Medians, one class, and priors that are none."""
    with pytest.raises(ValueError, match="medians are no function of the statistics"):
        FederatedNearestCentroid(metric="manhattan").fit(X, Y)
    with pytest.raises(ValueError, match="number of classes has to be greater than one"):
        FederatedNearestCentroid().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="priors"):
        FederatedNearestCentroid(priors=[1.5, -0.5, 0.0]).fit(X, Y)
    with pytest.warns(UserWarning, match="do not sum to 1"):
        assert FederatedNearestCentroid(priors=[1, 1, 2]).fit(X, Y).class_prior_.tolist() == [0.25, 0.25, 0.5]

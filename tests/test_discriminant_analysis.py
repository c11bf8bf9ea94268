"""Linear discriminant analysis: exact against fractions, near scikit-learn."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from sklearn.base import clone
from sklearn.covariance import OAS
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sklearn_symfed.discriminant_analysis import FederatedLinearDiscriminantAnalysis

X, Y = load_iris(return_X_y=True)


def fraction_solve(a, b):
    """Gaussian elimination over fractions: the oracle."""
    n = len(a)
    rows = [[*a[i], b[i]] for i in range(n)]
    for i in range(n):
        pivot = next(k for k in range(i, n) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i and rows[k][i]:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[n] for row in rows]


def fraction_lda(x, y, shrinkage=None):
    """Return exact means and covariance within classes, from rows."""
    means, within = [], [[Fraction(0)] * x.shape[1] for _ in range(x.shape[1])]
    for label in np.unique(y):
        rows = [[Fraction(v) for v in row] for row in x[y == label].tolist()]
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        means.append(mean)
        for i in range(x.shape[1]):
            for j in range(x.shape[1]):
                within[i][j] += sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in rows) / len(x)
    if shrinkage is not None:
        s = Fraction(shrinkage)
        trace = sum(within[i][i] for i in range(len(within))) / len(within)
        within = [[(1 - s) * v + (s * trace if i == j else 0) for j, v in enumerate(r)] for i, r in enumerate(within)]
    return means, within


@pytest.mark.parametrize("shrinkage", [None, 0.25])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_parameters_equal_fractions(shrinkage, n_classes):
    """Coefficients are rounded once, intercepts to an ulp of the logarithm and a rational number."""
    chosen = n_classes > Y
    x, y = X[chosen][::4], Y[chosen][::4]
    model = FederatedLinearDiscriminantAnalysis(shrinkage=shrinkage).fit(x, y)
    means, within = fraction_lda(x, y, shrinkage)
    shares = [Fraction(int(np.sum(y == k)), len(y)) for k in range(n_classes)]
    centre = [sum(p * m[j] for p, m in zip(shares, means, strict=True)) for j in range(4)]
    centre = centre if shrinkage is None else [Fraction(0)] * 4
    if n_classes == 2:
        pairs = [(means[1], means[0], shares[1] / shares[0])]
    else:
        pairs = [(m, centre, p) for m, p in zip(means, shares, strict=True)]
    for k, (upper, lower, odds) in enumerate(pairs):
        coef = fraction_solve(within, [u - v for u, v in zip(upper, lower, strict=True)])
        assert model.coef_[k].tolist() == [float(b) for b in coef]
        rational = -sum((u + v) * b for u, v, b in zip(upper, lower, coef, strict=True)) / 2
        assert model.intercept_[k] == pytest.approx(float(rational) + math.log(odds), rel=4e-16)
    assert model.means_.tolist() == [[float(v) for v in mean] for mean in means]


@pytest.mark.parametrize("weights", [None, [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shrinkage", [None, 0.0, 0.3, 1.0])
def test_is_near_scikit_learn(shrinkage, n_classes, weights):
    """scikit-learn's svd or eigen solver agrees to 1e-10, signs of scalings aside."""
    x, y = X[n_classes > Y], Y[n_classes > Y]
    priors = None if weights is None else (np.array(weights[:n_classes]) / sum(weights[:n_classes])).tolist()
    mine = FederatedLinearDiscriminantAnalysis(shrinkage=shrinkage, priors=priors, store_covariance=True).fit(x, y)
    theirs = LinearDiscriminantAnalysis(solver=mine.solver, shrinkage=shrinkage, priors=priors, store_covariance=True)
    theirs.fit(x, y)
    names = ["coef_", "intercept_", "means_", "priors_", "covariance_", "explained_variance_ratio_"]
    for name in [*names, *(["xbar_"] if shrinkage is None else [])]:
        assert getattr(mine, name).shape == getattr(theirs, name).shape
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-10, atol=1e-12, err_msg=name)
    kept = mine.scalings_.shape[1]
    assert kept == n_classes - 1
    if shrinkage != 1:  # then every direction is as good, and theirs is any one
        np.testing.assert_allclose(abs(mine.scalings_), abs(theirs.scalings_[:, :kept]), rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(abs(mine.transform(x)), abs(theirs.transform(x)), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mine.predict_proba(x), theirs.predict_proba(x), rtol=1e-9, atol=1e-12)
    plain = mine.to_sklearn()
    assert plain.get_params()["solver"] == mine.solver
    assert np.array_equal(plain.transform(x), mine.transform(x))


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_oas_is_near_scikit_learn(load):
    """`shrinkage="oas"` is scikit-learn's `covariance_estimator=OAS()`: a share for each class, one for all rows."""
    x, y = load(return_X_y=True)
    mine = FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(x, y)
    theirs = LinearDiscriminantAnalysis(solver="eigen", covariance_estimator=OAS()).fit(x, y)
    for name in ["coef_", "intercept_", "means_", "priors_", "covariance_"]:
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-9, atol=1e-11, err_msg=name)
    kept = mine.scalings_.shape[1]
    np.testing.assert_allclose(abs(mine.scalings_), abs(theirs.scalings_[:, :kept]), rtol=1e-8, atol=1e-10)
    values = scipy.linalg.eigvalsh(OAS().fit(x).covariance_ - theirs.covariance_, theirs.covariance_)
    shares = values[::-1][:kept] / values.sum()  # theirs are in another order if the sum is negative
    np.testing.assert_allclose(mine.explained_variance_ratio_, shares, rtol=1e-7)
    least_squares = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=OAS()).fit(x, y)
    np.testing.assert_allclose(mine.predict_proba(x), least_squares.predict_proba(x), rtol=1e-7, atol=1e-12)
    plain = mine.to_sklearn()
    assert np.array_equal(plain.predict_proba(x), mine.predict_proba(x))
    np.testing.assert_allclose(clone(plain).fit(x, y).coef_, mine.coef_, rtol=1e-9, atol=1e-11)


def test_oas_equals_fractions():
    """The covariance within classes is rational under OAS, too, and rounded once; a class of one row has none."""
    x, y = np.rint(10 * X[::12]), np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3])
    within = [[Fraction(0)] * 4 for _ in range(4)]
    for label in np.unique(y):
        rows = [[Fraction(v) for v in row] for row in x[y == label].tolist()]
        n = len(rows)
        mean = [sum(column) / n for column in zip(*rows, strict=True)]
        own = [[sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in rows) / n for j in range(4)] for i in range(4)]
        squares, trace = sum(v * v for row in own for v in row), sum(own[i][i] for i in range(4))
        below = (n + 1) * (squares - trace**2 / 4)
        share = min(Fraction(1), (squares + trace**2) / below) if below else Fraction(1)
        for i in range(4):
            for j in range(4):
                within[i][j] += Fraction(n, len(x)) * ((1 - share) * own[i][j] + (i == j) * share * trace / 4)
    model = FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(x, y)
    assert model.covariance_.tolist() == [[float(v) for v in row] for row in within]


def test_oas_counts_weights_that_repeat_rows():
    """OAS asks for the number of rows, also where weights repeat them; a common factor changes nothing."""
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    model = FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(X, Y, weights)
    again = FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(X.repeat(weights, axis=0), Y.repeat(weights))
    assert model.coef_.tolist() == again.coef_.tolist()
    halves = FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(X, Y, np.full(len(X), 0.5))
    assert halves.coef_.tolist() == FederatedLinearDiscriminantAnalysis(shrinkage="oas").fit(X, Y).coef_.tolist()


@pytest.mark.parametrize("name", ["collinear", "constant", "constant within classes", "few rows"])
def test_collinear_features(name):
    """Without an inverse the pseudo-inverse in scaled features is taken, as by scikit-learn."""
    x, y = X, Y
    if name == "collinear":
        x = np.column_stack([X, X[:, 0] - X[:, 1]])
    elif name == "constant":
        x = np.column_stack([X[:, :2], np.ones(150), X[:, 2:]])
    elif name == "constant within classes":
        x = np.column_stack([X, Y])
    else:
        x, y = np.column_stack([X, X**2])[::20], Y[::20]
    mine = FederatedLinearDiscriminantAnalysis().fit(x, y)
    theirs = LinearDiscriminantAnalysis().fit(x, y)
    np.testing.assert_allclose(mine.coef_, theirs.coef_, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(abs(mine.transform(x)), abs(theirs.transform(x)), rtol=1e-7, atol=1e-8)


def test_equal_directions_follow_the_convention():
    """With all covariance shrunk away every direction is as good: the first features are taken, in order."""
    scalings = FederatedLinearDiscriminantAnalysis(shrinkage=1.0).fit(X, Y).scalings_
    assert np.array_equal(scalings != 0, np.eye(4, 2, dtype=bool))
    turned = pd.DataFrame(X, columns=list("dcba"))  # the first by name
    scalings = FederatedLinearDiscriminantAnalysis(shrinkage=1.0).fit(turned, Y).scalings_
    assert np.array_equal(scalings != 0, np.eye(4, 2, dtype=bool)[::-1])


def test_which_rung_answered():
    """`solver_` and `condition_` are fitted, also where a pseudo-inverse is taken."""
    model = FederatedLinearDiscriminantAnalysis().fit(X, Y)
    assert model.solver_ == "cholesky"
    assert 10 < model.condition_ < 100
    collinear = FederatedLinearDiscriminantAnalysis().fit(np.column_stack([X, X[:, 0] - X[:, 1]]), Y)
    assert collinear.solver_ == "balls"
    assert 10 < collinear.condition_ < 100
    assert not hasattr(model.to_sklearn(), "solver_")


def test_singular_covariance_needs_shrinkage():
    """The eigen solver has no pseudo-inverse: collinear features without shrinkage are refused."""
    x = np.column_stack([X, X[:, 0] - X[:, 1]])
    with pytest.raises(np.linalg.LinAlgError, match=r"singular|collinear"):
        FederatedLinearDiscriminantAnalysis(shrinkage=0.0).fit(x, Y)
    assert FederatedLinearDiscriminantAnalysis(shrinkage=0.1).fit(x, Y).scalings_.shape == (5, 2)


def test_features_far_from_zero():
    """An offset of 1e9 standard deviations costs no digit: coefficients are those of the shifted rows."""
    x = np.rint(X * 1000)
    far = FederatedLinearDiscriminantAnalysis().fit(x + 2.0**40, Y)
    near = FederatedLinearDiscriminantAnalysis().fit(x, Y)
    assert far.coef_.tolist() == near.coef_.tolist()


def test_priors_that_exclude_a_class():
    """A class of probability zero is never predicted."""
    model = FederatedLinearDiscriminantAnalysis(priors=[0.0, 0.5, 0.5]).fit(X, Y)
    assert model.intercept_[0] == -np.inf
    assert set(model.predict(X)) == {1, 2}
    binary = FederatedLinearDiscriminantAnalysis(priors=[0.0, 1.0]).fit(X[Y < 2], Y[Y < 2])
    assert binary.intercept_.tolist() == [np.inf]


def test_priors_are_checked():
    """Priors are as many as classes and not negative; those that do not sum to one are scaled, with a warning."""
    for priors in ([0.5, 0.5], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5], [0.0, 0.0, 0.0]):
        with pytest.raises(ValueError, match="priors"):
            FederatedLinearDiscriminantAnalysis(priors=priors).fit(X, Y)
    with pytest.warns(UserWarning, match="do not sum to 1"):
        model = FederatedLinearDiscriminantAnalysis(priors=[1, 1, 2]).fit(X, Y)
    assert model.priors_.tolist() == [0.25, 0.25, 0.5]


def test_automatic_shrinkage_names_the_way():
    """Ledoit-Wolf needs fourth moments, which a PSR does not hold."""
    with pytest.raises(ValueError, match="OAS"):
        FederatedLinearDiscriminantAnalysis(shrinkage="auto").fit(X, Y)


def test_one_class_and_too_few_rows():
    """One class is fitted and always predicted, as by scikit-learn; as many rows as classes are refused."""
    model = FederatedLinearDiscriminantAnalysis().fit(X, np.full(150, "only"))
    assert set(model.predict(X)) == {"only"}
    assert model.transform(X).shape == (150, 0)
    with pytest.raises(ValueError, match="number of samples must be more than the number of classes"):
        FederatedLinearDiscriminantAnalysis().fit(X[[0, 60]], Y[[0, 60]])
    with pytest.raises(ValueError, match="n_components cannot be larger"):
        FederatedLinearDiscriminantAnalysis(n_components=3).fit(X, Y)


@pytest.mark.parametrize("shrinkage", [None, 0.5])
def test_components(shrinkage):
    """`n_components` only truncates what `transform` returns."""
    one = FederatedLinearDiscriminantAnalysis(n_components=1, shrinkage=shrinkage).fit(X, Y)
    two = FederatedLinearDiscriminantAnalysis(shrinkage=shrinkage).fit(X, Y)
    assert one.coef_.tolist() == two.coef_.tolist()
    np.testing.assert_allclose(one.transform(X)[:, 0], two.transform(X)[:, 0], rtol=1e-12)
    assert one.explained_variance_ratio_.shape == (1,)
    assert one.get_feature_names_out().tolist() == ["federatedlineardiscriminantanalysis0"]

"""Covariances and their inverses: exact against fractions, near scikit-learn."""

from __future__ import annotations

import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from sklearn.covariance import OAS, EmpiricalCovariance, GraphicalLasso, ShrunkCovariance
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_symfed import (
    PSR,
    FederatedEmpiricalCovariance,
    FederatedGaussianEnvelope,
    FederatedGraphicalLasso,
    FederatedOAS,
    FederatedShrunkCovariance,
    fitted_digests,
)
from sklearn_symfed.covariance import _sparse_precision
from sklearn_symfed.covariance._quantile import chi_square_quantile

X = load_iris().data
WINE = load_wine().data / load_wine().data.std(axis=0)
PAIRS = [
    (FederatedEmpiricalCovariance, EmpiricalCovariance, {}),
    (FederatedShrunkCovariance, ShrunkCovariance, {}),
    (FederatedShrunkCovariance, ShrunkCovariance, {"shrinkage": 0.7}),
    (FederatedOAS, OAS, {}),
]


def fractions(matrix):
    return [[Fraction(v) for v in row] for row in np.asarray(matrix).tolist()]


def fraction_inverse(a):
    """Gaussian elimination over fractions: the oracle."""
    n = len(a)
    rows = [[*a[i], *(Fraction(i == j) for j in range(n))] for i in range(n)]
    for i in range(n):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(n):
            if k != i and rows[k][i]:
                rows[k] = [v - rows[k][i] * u for v, u in zip(rows[k], rows[i], strict=True)]
    return [row[n:] for row in rows]


def fraction_moments(x, *, assume_centered=False):
    rows, n = fractions(x), len(x)
    mean = [Fraction(0) if assume_centered else sum(column) / n for column in zip(*rows, strict=True)]
    d = len(mean)
    return [[sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in rows) / n for j in range(d)] for i in range(d)]


def floats(matrix):
    return [[float(v) for v in row] for row in matrix]


# -- empirical and shrunk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("mine", "theirs", "params"), PAIRS)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_is_near_scikit_learn(load, mine, theirs, params, centred):
    """scikit-learn agrees to 1e-9: attributes, distances, norms of errors, and likelihoods of rows and statistics."""
    x = load().data
    x = x / x.std(axis=0)
    one, two = (kind(assume_centered=centred, **params).fit(x[::2]) for kind in (mine, theirs))
    for name in ["location_", "covariance_", "precision_", *(["shrinkage_"] if mine is FederatedOAS else [])]:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-8, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(one.mahalanobis(x), two.mahalanobis(x), rtol=1e-8)
    assert one.error_norm(np.eye(x.shape[1])) == pytest.approx(two.error_norm(np.eye(x.shape[1])), rel=1e-12)
    assert one.score(x) == pytest.approx(two.score(x), rel=1e-9)
    assert one.score(PSR.from_rows(x)) == pytest.approx(two.score(x), rel=1e-9)
    plain = one.to_sklearn()
    assert np.array_equal(plain.mahalanobis(x), one.mahalanobis(x))


@pytest.mark.parametrize("centred", [False, True])
def test_numbers_equal_fractions(centred):
    """Covariance, precision and the shrinkage of OAS are rational functions of the rows, rounded once."""
    x = np.rint(10 * X)[::9]
    own = fraction_moments(x, assume_centered=centred)
    trace, n = sum(own[i][i] for i in range(4)), len(x)
    squares = sum(v * v for row in own for v in row)
    oas = min(Fraction(1), (squares + trace**2) / ((n + 1) * (squares - trace**2 / 4)))
    cases = {
        FederatedEmpiricalCovariance(assume_centered=centred): Fraction(0),
        FederatedShrunkCovariance(assume_centered=centred, shrinkage=0.3): Fraction(0.3),
        FederatedOAS(assume_centered=centred): oas,
    }
    for estimator, share in cases.items():
        want = [[(1 - share) * v + (i == j) * share * trace / 4 for j, v in enumerate(r)] for i, r in enumerate(own)]
        estimator.fit(x)
        assert estimator.covariance_.tolist() == floats(want)
        assert estimator.precision_.tolist() == floats(fraction_inverse(want))
        assert getattr(estimator, "shrinkage_", float(oas)) == float(oas)


@pytest.mark.parametrize("case", ["collinear", "constant", "few rows", "one row", "nothing varies"])
def test_collinear_features_have_a_pseudo_inverse(case):
    """Where the covariance is singular the pseudo-inverse is taken, as by scikit-learn, and rows have no density."""
    x = {
        "collinear": np.column_stack([X, X[:, 0] - X[:, 1]]),
        "constant": np.column_stack([X, np.full(150, 0.1)]),
        "few rows": np.column_stack([X, X**2])[::30],
        "one row": X[:1],
        "nothing varies": np.ones((5, 2)),
    }[case]
    model = FederatedEmpiricalCovariance().fit(x)
    np.testing.assert_allclose(model.precision_, scipy.linalg.pinvh(model.covariance_), rtol=1e-7, atol=1e-7)
    assert np.array_equal(model.precision_, model.precision_.T)
    assert model.score(X[:, :1].repeat(x.shape[1], axis=1)) == model.score(PSR.from_rows(x)) == -np.inf
    if case not in {"one row", "nothing varies"}:
        assert FederatedOAS().fit(x).score(PSR.from_rows(x)) > -np.inf


def test_scales_of_features_do_not_make_it_singular():
    """A feature in other units counts as before: scikit-learn's pseudo-inverse drops what is 1e-8 of the others."""
    powers = np.array([1.0, 2.0**-40, 2.0**30, 1.0])
    plain, scaled = (FederatedEmpiricalCovariance().fit(x) for x in (X, X * powers))
    assert np.array_equal(scaled.precision_, plain.precision_ / powers / powers[:, None])
    assert np.abs(EmpiricalCovariance().fit(X * powers).precision_[1]).max() < 1e-30


def test_precision_that_is_not_stored():
    """Without `store_precision` there is no attribute, and the same precision when asked for."""
    stored, lazy = (FederatedEmpiricalCovariance(store_precision=s).fit(X[:, [2, 0, 3, 1]]) for s in (True, False))
    assert lazy.precision_ is None
    assert np.array_equal(lazy.get_precision(), stored.precision_)
    assert np.array_equal(lazy.mahalanobis(X), stored.mahalanobis(X))


def test_weights():
    """Weights that repeat rows are rows, also for the shrinkage of OAS; a common factor of all changes nothing."""
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    weighted, repeated = FederatedOAS().fit(X, sample_weight=weights), FederatedOAS().fit(X.repeat(weights, axis=0))
    assert weighted.shrinkage_ == repeated.shrinkage_
    assert np.array_equal(weighted.covariance_, repeated.covariance_)
    assert FederatedOAS().fit(X, sample_weight=np.full(len(X), 0.5)).shrinkage_ == FederatedOAS().fit(X).shrinkage_


# -- graphical lasso -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.02, 0.3])
@pytest.mark.parametrize("x", [X, WINE], ids=["iris", "wine"])
def test_graphical_lasso_is_near_scikit_learn(x, alpha):
    """scikit-learn's solver comes as near as its tolerance lets it, with the same zeros."""
    mine = FederatedGraphicalLasso(alpha).fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = GraphicalLasso(alpha, tol=1e-9, enet_tol=1e-7, max_iter=300).fit(x)
    np.testing.assert_allclose(mine.precision_, theirs.precision_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mine.covariance_, theirs.covariance_, rtol=1e-5, atol=1e-6)
    assert np.array_equal(mine.precision_ == 0, theirs.precision_ == 0)
    np.testing.assert_allclose(mine.location_, theirs.location_, rtol=1e-12)
    assert mine.score(PSR.from_rows(x)) == pytest.approx(theirs.score(x), rel=1e-5)
    assert np.array_equal(mine.to_sklearn().mahalanobis(x), mine.mahalanobis(x))


def assert_is_minimiser(model, x, alpha, error=1e-12):
    """Assert the conditions that only the minimiser has, to float64."""
    s, w, p = np.cov(x.T, bias=True), model.covariance_, model.precision_
    scale = np.sqrt(np.outer(s.diagonal(), s.diagonal()))
    off = ~np.eye(len(s), dtype=bool)
    assert (np.abs(w - s - alpha * np.sign(p) * off) / scale)[(p != 0)].max() < error
    assert (np.abs(w - s)[p == 0] <= alpha * (1 + error)).all()
    assert np.array_equal(p, p.T)
    assert (scipy.linalg.eigvalsh(p * scale) > 0).all()
    np.testing.assert_allclose(p @ w, np.eye(len(s)), atol=1e-7)


@pytest.mark.parametrize("case", ["cancer", "few rows", "dense"])
def test_graphical_lasso_where_scikit_learn_gives_up(case):
    """Nearly collinear features, fewer rows than features, a tiny penalty: the minimiser is found and certified."""
    x, alpha = {
        "cancer": (load_breast_cancer().data[:, :12], 0.01),
        "few rows": (load_wine().data[::22], 0.01),
        "dense": (X[::19], 1e-4),
    }[case]
    assert_is_minimiser(FederatedGraphicalLasso(alpha).fit(x), x, alpha)


def test_graphical_lasso_of_two_features_equals_fractions():
    """Two features have a rational solution: the covariance between them shrinks by alpha."""
    x = np.rint(10 * X[::9, [0, 2]])
    own = fraction_moments(x)
    for alpha in (0.3, 7.0):
        between = own[0][1] - Fraction(alpha)
        want = [[own[0][0], between], [between, own[1][1]]]
        model = FederatedGraphicalLasso(alpha).fit(x)
        assert model.covariance_.tolist() == floats(want)
        assert model.precision_.tolist() == floats(fraction_inverse(want))


def test_graphical_lasso_at_the_ends():
    """Without penalty it is the inverse covariance; from the largest covariance on, up to infinity, it is diagonal."""
    free, plain = FederatedGraphicalLasso(0.0).fit(X), FederatedEmpiricalCovariance().fit(X)
    assert np.array_equal(free.precision_, plain.precision_)
    assert np.array_equal(free.covariance_, plain.covariance_)
    most = np.abs(plain.covariance_ - np.diag(plain.covariance_.diagonal())).max()
    for alpha in (np.nextafter(most, 9), 100.0, np.inf):
        model = FederatedGraphicalLasso(alpha).fit(X)
        assert np.array_equal(model.covariance_, np.diag(plain.covariance_.diagonal()))
        assert np.count_nonzero(model.precision_) == 4
    assert np.count_nonzero(FederatedGraphicalLasso(np.nextafter(most, 0) * (1 - 1e-12)).fit(X).precision_) == 6


def fails(*args, **kwargs):
    raise FloatingPointError("Non SPD result")


STARTS = {
    "interior point": lambda block: fails(),
    "diagonal": lambda block: np.diag(1 / np.array([[float(v) for v in row] for row in block._s]).diagonal()),
    "dense": lambda block: np.linalg.inv(np.array([[float(v) for v in row] for row in block._s])),
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("alpha", [0.02, 0.3])
def test_graphical_lasso_does_not_depend_on_its_start(start, alpha, monkeypatch):
    """Whatever finds the zeros, and however wrong it is about them, every bit is the same in the end."""
    x = WINE[:, :9]
    usual = FederatedGraphicalLasso(alpha).fit(x)
    monkeypatch.setattr(_sparse_precision._Block, "_block_coordinates", STARTS[start])
    other = FederatedGraphicalLasso(alpha).fit(x)
    assert fitted_digests(other) == fitted_digests(usual)


def test_an_entry_that_is_zero_where_its_bound_is_met():
    """An entry may be zero with its bound just met: it is an exact zero, whether it is held for one or not."""
    precision = [[2, 1, 0], [1, 2, 1], [0, 1, 2]]
    covariance = np.array([[6, -5, 1], [-5, 8, -5], [1, -5, 6]], dtype=object)  # of 8, less alpha = 1 / 8 by sign
    found = _sparse_precision.sparse_precision((covariance, 8), Fraction(1, 8))
    assert found[1].tolist() == floats(precision)
    assert found[0].tolist() == floats(fraction_inverse(fractions(precision)))


def test_graphical_lasso_refuses_what_has_no_solution():
    """A feature without variance has no precision; nor has one feature, or one row, anything between."""
    with pytest.raises(ValueError, match="without variance"):
        FederatedGraphicalLasso().fit(np.column_stack([X, np.ones(150)]))
    with pytest.raises(ValueError, match="minimum of 2"):
        FederatedGraphicalLasso().fit(X[:, :1])
    with pytest.raises(ValueError, match="minimum of 2"):
        FederatedGraphicalLasso().fit(X[:1])
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        FederatedGraphicalLasso(0.0).fit(np.column_stack([X, X[:, 0]]))


def test_order_of_features_does_not_matter():
    """Features in another order have the same covariances and precisions, by name."""
    frame = pd.DataFrame(WINE[:, :6], columns=list("dbafce"))
    for estimator in (FederatedEmpiricalCovariance(), FederatedOAS(), FederatedGraphicalLasso(0.2)):
        whole = estimator.fit(frame)
        covariance, precision = whole.covariance_, whole.precision_
        order = np.random.default_rng(1).permutation(6)
        turned = estimator.fit(frame.iloc[:, order])
        assert np.array_equal(turned.covariance_, covariance[np.ix_(order, order)])
        assert np.array_equal(turned.precision_, precision[np.ix_(order, order)])


# -- outliers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 100, 1000])
def test_quantiles_of_chi_square(freedom):
    """A quantile is rounded once, also where the float next to SciPy's is nearer."""
    assert chi_square_quantile(1e-300, 1) == 0.0
    for probability in (1e-9, 0.025, 0.5, 0.975, 1 - 2.0**-40):
        found = chi_square_quantile(probability, freedom)
        with mpmath.workdps(40):
            ends = [(mpmath.mpf(found) + mpmath.mpf(float(np.nextafter(found, to)))) / 4 for to in (0, np.inf)]
            below, above = (mpmath.gammainc(freedom / 2, 0, end, regularized=True) for end in ends)
            assert below <= probability <= above


def test_outliers():
    """About its share of Gaussian rows lies within the quantile; scikit-learn's detector predicts alike."""
    rows = np.random.default_rng(0).normal(size=(20_000, 3)) @ np.array([[2.0, 0, 0], [1, 1, 0], [0, 1, 3]])
    model = FederatedGaussianEnvelope(0.9).fit(PSR.from_rows(rows))
    assert np.mean(model.predict(rows) == 1) == pytest.approx(0.9, abs=0.01)
    assert model.offset_ == -chi_square_quantile(0.9, 3)
    assert np.array_equal(model.decision_function(rows), model.score_samples(rows) - model.offset_)
    assert np.array_equal(model.score_samples(rows), -model.mahalanobis(rows))
    empirical = FederatedEmpiricalCovariance().fit(rows)
    assert np.array_equal(model.precision_, empirical.precision_)
    assert model.score(PSR.from_rows(rows)) == empirical.score(PSR.from_rows(rows))
    assert np.array_equal(model.to_sklearn().predict(rows), model.predict(rows))
    assert model.fit_predict(rows).tolist() == model.predict(rows).tolist()
    assert not hasattr(model, "reweight_covariance")


def test_outliers_among_collinear_features():
    """Distances in a pseudo-inverse have as many degrees of freedom as it has rank."""
    model = FederatedGaussianEnvelope().fit(np.column_stack([X, X[:, 0] + X[:, 1], np.ones(150)]))
    assert model.offset_ == FederatedGaussianEnvelope().fit(X).offset_ == -chi_square_quantile(0.975, 4)
    with pytest.raises(ValueError, match="without variance"):
        FederatedGaussianEnvelope().fit(np.ones((5, 2)))
    with pytest.raises(ValueError, match="quantile"):
        FederatedGaussianEnvelope(quantile=1.0).fit(X)

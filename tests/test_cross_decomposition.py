"""Partial least squares and canonical correlation: what scikit-learn's iteration converges to, exact in small cases."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb, arb_mat
from sklearn.cross_decomposition import CCA, PLSRegression
from sklearn.datasets import load_diabetes, load_iris, load_linnerud
from sklearn.pipeline import make_pipeline

from sklearn_symfed._eigen import LEVELS, Eigenproblem
from sklearn_symfed._rounding import precision
from sklearn_symfed.cross_decomposition import FederatedCCA, FederatedPLSRegression
from sklearn_symfed.cross_decomposition._eigenvectors import leading_eigenvectors
from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.linear_model import FederatedLinearRegression
from sklearn_symfed.psr import PSR

IRIS, SUGAR = load_iris().data, load_diabetes()
ROWS = {
    "linnerud": load_linnerud(return_X_y=True),
    "iris": (IRIS[:, :2], IRIS[:, 2:]),
    "more targets": (IRIS[:, :1], IRIS[:, 1:]),
    "diabetes": (SUGAR.data[:, :5], SUGAR.data[:, 5:8]),
    "one target": (SUGAR.data, SUGAR.target),
}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5))
Y = X[:, :3] @ RNG.normal(size=(3, 3)) + RNG.normal(size=(40, 3))
CUBE = np.array([[a, b, c] for a in (-1.0, 1.0) for b in (-1.0, 1.0) for c in (-1.0, 1.0)])
NAMES = ["x_weights_", "y_weights_", "x_loadings_", "y_loadings_", "x_rotations_", "y_rotations_", "coef_"]
PLS, CANONICAL = (FederatedPLSRegression, PLSRegression), (FederatedCCA, CCA)
both = pytest.mark.parametrize(("mine", "theirs"), [PLS, CANONICAL], ids=["pls", "cca"])
few = pytest.mark.filterwarnings("ignore:Features and targets have")


def assert_near(mine, theirs, rtol=1e-11):
    """Assert that two models are equal, signs included, each attribute relative to its largest entry."""
    for name in NAMES:
        a, b = getattr(mine, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max(), err_msg=name)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=1e-13, atol=1e-14)


@both
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("data", ROWS)
def test_is_near_scikit_learn(data, scale, mine, theirs):
    """With a tolerance far below its own, scikit-learn agrees to 1e-11, signs included, in rows' scores as well."""
    x, y = ROWS[data]
    most = min(x.shape[1], 4 if mine is FederatedPLSRegression else np.size(y[0]))
    for count in range(1, most + 1):
        a = mine(count, scale=scale).fit(x, y)
        b = theirs(count, scale=scale, tol=1e-28, max_iter=100_000).fit(x, y)
        assert_near(a, b)
        for one, other in zip(a.transform(x, y), b.transform(x, y), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9 * abs(other).max())
        np.testing.assert_allclose(a.predict(x), b.predict(x), rtol=1e-11)
        assert a.predict(x).shape == b.predict(x).shape
        assert a.get_feature_names_out().tolist() == [f"{mine.__name__.lower()}{i}" for i in range(count)]


def test_one_component_is_rational():
    """With one target the first coefficients are a rational function of the rows, and rounded once."""
    x, y = np.array([[0, 1], [2, 5], [4, 4], [7, 3]]), np.array([1, 2, 4, 9])
    centred, target = x - Fraction(1, 4) * x.sum(axis=0), y - Fraction(1, 4) * y.sum()
    across, gram = centred.T @ target, centred.T @ centred
    expected = across * (across @ across) / (across @ gram @ across)
    model = FederatedPLSRegression(1, scale=False).fit(x, y)
    assert model.coef_.tolist() == [[float(value) for value in expected]]


def centred(columns):
    """Return an mpmath matrix of columns less their means, over their standard deviations."""
    out = mpmath.matrix(columns.tolist())
    for j in range(out.cols):
        mean = mpmath.fsum(out[:, j]) / out.rows
        out[:, j] = out[:, j] - mpmath.matrix([mean] * out.rows)
        out[:, j] = out[:, j] / mpmath.sqrt(mpmath.fsum(v * v for v in out[:, j]) / (out.rows - 1))
    return out


@pytest.mark.parametrize("mine", [FederatedPLSRegression, FederatedCCA])
def test_every_number_is_rounded_once(mine):
    """The power method of the references, with 60 digits and on the rows, gives every number to the last bit."""
    with mpmath.workdps(60):
        x, y, found = centred(X[:9, :3]), centred(Y[:9, :2]), []
        for _ in range(2 if mine is FederatedPLSRegression else 1):
            u, last = y[:, 0], None
            x_inverse, y_inverse = (x.T * x) ** -1 if mine is FederatedCCA else 1, (y.T * y) ** -1
            while last is None or mpmath.norm(u - last) > mpmath.mpf(10) ** -40:
                w = x_inverse * (x.T * u)
                w /= mpmath.norm(w)
                t = x * w
                v = y.T * t / (t.T * t)[0]
                if mine is FederatedCCA:
                    v = y_inverse * (y.T * t)
                    v /= mpmath.norm(v)
                last, u = u, y * v / (v.T * v)[0]
            sign = mpmath.sign(max(w, key=abs))
            w, v, t = w * sign, v * sign, t * sign
            s = t if mine is FederatedPLSRegression else u * sign
            p, q = x.T * t / (t.T * t)[0], y.T * s / (s.T * s)[0]
            x, y = x - t * p.T, y - s * q.T
            found.append([w, v, p, q])
        model = mine(len(found)).fit(X[:9, :3], Y[:9, :2])
        for k, component in enumerate(found):
            for name, vector in zip(NAMES, component, strict=False):
                assert getattr(model, name)[:, k].tolist() == [float(value) for value in vector], name


@pytest.mark.parametrize("scale", [True, False])
def test_all_components_are_least_squares(scale):
    """With as many components as features coefficients are those of least squares, to the last bit."""
    expected = FederatedLinearRegression().fit(X, Y)
    model = FederatedPLSRegression(5, scale=scale).fit(X, Y)
    assert model.coef_.tolist() == expected.coef_.tolist()
    assert model.score(PSR.from_rows(X, Y), ["y0", "y1", "y2"]) == pytest.approx(expected.score(X, Y), rel=1e-14)


def test_canonical_correlations():
    """Scores are uncorrelated but in pairs, whose correlations are the singular values of whitened products."""
    model = FederatedCCA(3).fit(X, Y)
    together = np.corrcoef(np.hstack(model.transform(X, Y)).T)
    q, r = (np.linalg.qr(part - part.mean(axis=0))[0] for part in (X, Y))
    values = np.linalg.svd(q.T @ r, compute_uv=False)
    expected = np.eye(6) + np.diag(values, 3) + np.diag(values, -3)
    np.testing.assert_allclose(together, expected, atol=1e-13)


@both
def test_scores_of_statistics(mine, theirs):
    """R² of a PSR is that of its rows, exact also where rows are far from zero."""
    model = mine(2).fit(X, Y)
    other_x, other_y = X[::2] + 0.1, Y[::2] * 1.1
    psr = PSR.from_rows(other_x, other_y)
    assert model.score(psr, ["y0", "y1", "y2"]) == pytest.approx(model.score(other_x, other_y), rel=1e-11)
    assert model.score(psr) == model.score(psr, ["y0", "y1", "y2"])
    with pytest.raises(SchemaError, match="'y0'"):
        model.score(psr, "y0")
    x, y = np.rint(X * 2**20), np.rint(Y * 2**20)
    far = mine(2).fit(x + 2.0**40, y)
    assert far.coef_.tolist() == mine(2).fit(x, y).coef_.tolist()
    assert far.score(PSR.from_rows(x + 2.0**40, y)) == mine(2).fit(x, y).score(PSR.from_rows(x, y))


@both
def test_weights(mine, theirs):
    """Integer weights repeat rows; with float weights columns are scaled as by numpy's weighted covariance."""
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = mine(2).fit(np.repeat(X, weights, axis=0), np.repeat(Y, weights, axis=0))
    weighted = mine(2).fit(X, Y, sample_weight=weights)
    assert all(getattr(repeated, name).tolist() == getattr(weighted, name).tolist() for name in NAMES)
    floats = np.random.default_rng(0).uniform(0.5, 3, len(X))
    model = mine(2).fit(X, Y, sample_weight=floats)
    np.testing.assert_allclose(model._x_std**2, np.diagonal(np.cov(X.T, aweights=floats)), rtol=1e-12)
    scaled = [np.sqrt(floats)[:, None] * (part - np.average(part, axis=0, weights=floats)) for part in (X, Y)]
    parts = [part / np.sqrt((part**2).sum(axis=0)) for part in scaled]
    x, y = (np.vstack([part, -part]) for part in parts)  # centred, so that scikit-learn leaves them as they are
    plain = theirs(2, scale=False, tol=1e-28, max_iter=100_000).fit(x, y)
    np.testing.assert_allclose(model.x_weights_, plain.x_weights_, atol=1e-11)
    np.testing.assert_allclose(model.x_rotations_, plain.x_rotations_, atol=1e-11)


@both
@pytest.mark.parametrize("case", ["constant columns", "dependent features", "dependent targets"])
def test_columns_without_information(case, mine, theirs):
    """Columns that are constant, or depend on others, are treated as scikit-learn's pseudo-inverse does."""
    ones = np.ones((40, 1))
    x, y = {
        "constant columns": (np.hstack([X, ones]), np.hstack([ones, Y])),
        "dependent features": (np.hstack([X, X[:, :1] - X[:, 1:2]]), Y),
        "dependent targets": (X, np.hstack([Y, Y[:, :1] - Y[:, 1:2]])),
    }[case]
    assert_near(mine(3).fit(x, y), theirs(3, tol=1e-28, max_iter=100_000).fit(x, y))


@both
def test_components_run_out(mine, theirs):
    """Where nothing is left in common the remaining components are zero, and a warning says how many there are."""
    x, uncorrelated = CUBE, CUBE[:, 0] * CUBE[:, 1]
    y = np.column_stack([CUBE[:, 0] + CUBE[:, 2], uncorrelated])
    with pytest.warns(UserWarning, match="have 1 components in common, not 2"):
        model = mine(2).fit(x, y)
    assert not model.x_weights_[:, 1].any()
    assert not model.coef_[1].any()
    np.testing.assert_allclose(model.coef_[0], [1, 0, 1], atol=1e-15)
    for rows, targets in (np.ones((5, 2)), y[:5]), (x, np.ones((8, 2))):
        with pytest.warns(UserWarning, match="have 0 components"):
            assert not mine(2).fit(rows, targets).coef_.any()


@few
def test_few_rows():
    """There are at most as many components as rows, of which one serves to centre them."""
    model = FederatedPLSRegression(4).fit(X[:4], Y[:4])
    assert not model.x_weights_[:, 3].any()
    np.testing.assert_allclose(model.predict(X[:4]), Y[:4], rtol=1e-12)
    with pytest.raises(ValueError, match="1 sample"):
        FederatedPLSRegression(1).fit(X[:1], Y[:1])


@both
def test_limits(mine, theirs):
    """No more components may be asked for than scikit-learn takes."""
    most = 5 if mine is FederatedPLSRegression else 3
    assert theirs(most).fit(X, Y).x_weights_.shape == mine(most).fit(X, Y).x_weights_.shape
    for model in mine(most + 1), theirs(most + 1):
        with pytest.raises(ValueError, match=str(most)):
            model.fit(X, Y)


@both
def test_the_order_of_columns_moves_no_bit(mine, theirs):
    """Of features that are alike to the last bit, and of equal eigenvalues, names decide."""
    for x, y in (X, Y), (CUBE, CUBE @ [[1, 1, 0], [1, -1, 0], [0, 0, 1]]):
        psr, targets = PSR.from_rows(x, y), ["y0", "y1", "y2"]
        one = mine(3).fit(psr, targets)
        other = mine(3).fit(psr.select(psr.names[::-1]), targets[::-1])
        assert other.coef_[::-1, ::-1].tolist() == one.coef_.tolist()
        for name in NAMES[:-1]:
            assert getattr(other, name)[::-1].tolist() == getattr(one, name).tolist(), name


def test_pipeline_of_statistics():
    """Scores are an affine image of the features: a pipeline goes on from the statistics alone."""
    psr = PSR.from_rows(X, Y[:, 0])
    model = make_pipeline(FederatedPLSRegression(2), FederatedLinearRegression()).fit(psr, "y")
    np.testing.assert_allclose(model.predict(X), FederatedPLSRegression(2).fit(psr, "y").predict(X), rtol=1e-11)


@both
def test_plain_estimators(mine, theirs):
    """The plain scikit-learn estimator predicts, transforms and inverts alike; pairs come from pairs."""
    model = mine(2).fit(X, Y)
    plain = model.to_sklearn()
    assert type(plain) is theirs
    assert np.array_equal(plain.predict(X), model.predict(X))
    pair = mine(2).fit_transform(X, Y)
    for one, other in zip(pair, plain.transform(X, Y), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(model.inverse_transform(pair[0]), plain.inverse_transform(pair[0]))
    with pytest.raises(ValueError, match="y"):
        model.transform(X, np.full_like(Y, "a", dtype=object))


def test_scales_far_apart():
    """Without dividing by scales they may share no digit: coefficients follow them to the last bit."""
    scales = np.array([1.0, 2.0**-400, 2.0**300, 1.0, 2.0**-50])
    near, far = (FederatedPLSRegression(5, scale=False).fit(X * by, Y) for by in (1.0, scales))
    assert far.coef_.tolist() == (near.coef_ / scales).tolist()
    assert np.isfinite(far.y_rotations_).all()


# -- eigenvectors of balls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.5, 1e-10])
def test_eigenvectors_of_balls(gap):
    """The eigenvectors of every matrix within the radii lie in the balls returned, also where gaps are small."""
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    integers = np.array([[int(e) for e in row] for row in np.rint(q * 2.0**60)], dtype=object)
    values = np.array([int(2**60 * value) for value in (1.0, 1.0 - gap, 0.3, 0.2, 0.1)], dtype=object)
    middle = (integers * values) @ integers.T
    with precision(800):
        radius = 2**50
        balls = arb_mat([[arb(int(entry), radius) for entry in row] for row in middle])
        for seed in range(3):
            moves = np.random.default_rng(seed).integers(-radius, radius, size=(5, 5)).astype(object)
            moved = middle + np.tril(moves) + np.tril(moves, -1).T
            truth = Eigenproblem(moved).pairs(LEVELS[0], 2)
            found, vectors = leading_eigenvectors(balls, 2, LEVELS[0])
            for k in range(2):
                other = truth.vectors.tolist()[k]
                sign = 1 if (vectors[k][0] * other[0]).mid() > 0 else -1
                assert found[k].overlaps(truth.values[k])
                assert all(entry.overlaps(sign * theirs) for entry, theirs in zip(vectors[k], other, strict=True))
                assert max(entry.rad() for entry in vectors[k]) < 2.0**-70 / gap


def test_equal_eigenvalues_of_balls():
    """Equal eigenvalues are separated at no level but the last, which takes the first unit vectors of their space."""
    with precision(1700):
        balls = arb_mat([[2, 0, 0], [0, 2, 0], [0, 0, 1]])
        assert leading_eigenvectors(balls, 1, LEVELS[0]) is None
        _, (vector,) = leading_eigenvectors(balls, 1, LEVELS[1])
        assert [round(float(entry.mid()), 12) for entry in vector] == [1.0, 0.0, 0.0]

"""Principal and singular components: near scikit-learn, exact in small cases, and what is a function of statistics."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, TruncatedSVD

from sklearn_symfed.decomposition import FederatedPCA, FederatedTruncatedSVD
from sklearn_symfed.psr import PSR

X = load_iris().data
SKEWED = X**2 + np.arange(4)
NAMES = [
    "components_",
    "explained_variance_",
    "explained_variance_ratio_",
    "singular_values_",
    "mean_",
    "noise_variance_",
    "n_components_",
    "n_samples_",
]


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [None, 1, 3, 0.9, 0.999999])
def test_is_near_scikit_learn(n_components, whiten):
    """scikit-learn's SVD of the rows agrees to 1e-10, signs included."""
    mine = FederatedPCA(n_components, whiten=whiten).fit(X)
    theirs = PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    for name in NAMES:
        a, b = getattr(mine, name), getattr(theirs, name)
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(mine.transform(X), theirs.transform(X), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(mine.fit_transform(X), theirs.transform(X), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(mine.inverse_transform(mine.transform(X)), theirs.inverse_transform(theirs.transform(X)))
    assert mine.get_feature_names_out().tolist() == [f"federatedpca{i}" for i in range(mine.n_components_)]


def test_fewer_rows_than_features():
    """There are at most as many components as rows."""
    rows = SKEWED[:3]
    mine, theirs = FederatedPCA().fit(rows), PCA().fit(rows)
    assert mine.components_.shape == theirs.components_.shape == (3, 4)
    np.testing.assert_allclose(mine.explained_variance_[:2], theirs.explained_variance_[:2], rtol=1e-10)
    np.testing.assert_allclose(mine.components_[:2], theirs.components_[:2], rtol=1e-9, atol=1e-13)


def test_rows_far_from_zero():
    """An offset of 1e9 standard deviations changes nothing but the mean."""
    x = np.rint(X * 1000)
    far, near = FederatedPCA().fit(x + 2.0**40), FederatedPCA().fit(x)
    assert far.components_.tolist() == near.components_.tolist()
    assert far.explained_variance_.tolist() == near.explained_variance_.tolist()


def test_weights():
    """Integer weights repeat rows; float weights count as in numpy's weighted covariance."""
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = FederatedPCA().fit(np.repeat(X, weights, axis=0))
    weighted = FederatedPCA().fit(X, sample_weight=weights)
    for name in NAMES:
        assert np.array_equal(getattr(repeated, name), getattr(weighted, name)), name
    floats = np.random.default_rng(0).uniform(0.5, 3, len(X))
    model = FederatedPCA().fit(X, sample_weight=floats)
    values = np.linalg.eigvalsh(np.cov(X.T, aweights=floats))[::-1]
    np.testing.assert_allclose(model.explained_variance_, values, rtol=1e-10)


@pytest.mark.parametrize("n_components", [1, 3, None])
def test_score_of_statistics(n_components):
    """The average log-likelihood of a PSR is that of its rows, and near scikit-learn's."""
    model = FederatedPCA(n_components).fit(X)
    other = X[::3] + 0.1
    assert model.score(PSR.from_rows(other)) == pytest.approx(model.score(other), rel=1e-10)
    theirs = PCA(n_components, svd_solver="full").fit(X)
    assert model.score(PSR.from_rows(other)) == pytest.approx(theirs.score(other), rel=1e-9)


def test_a_target_is_no_feature():
    """With a PSR, y names columns to leave out, so that a pipeline can pass its target on."""
    psr = PSR.from_rows(X)
    without = FederatedPCA().fit(psr.drop("x3"))
    assert np.array_equal(FederatedPCA().fit(psr, "x3").components_, without.components_)
    assert np.array_equal(FederatedPCA().fit(psr, ["x3"]).components_, without.components_)


def test_refusals():
    """One row has no variance, and there are no more components than features."""
    with pytest.raises(ValueError, match="1 sample"):
        FederatedPCA().fit(X[:1])
    with pytest.raises(ValueError, match=r"n_components=5 must be between 0 and"):
        FederatedPCA(5).fit(X)
    with pytest.raises(ValueError, match=r"n_components"):
        FederatedPCA("mle").fit(X)


def test_equal_variances_follow_the_convention():
    """Where variances are equal, components are the projections of the first features, whatever LAPACK would say."""
    cube = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    assert FederatedPCA().fit(cube).components_.tolist() == np.eye(3).tolist()
    assert FederatedPCA().fit(cube[:, ::-1] * [1, 2, 1]).components_.tolist() == np.eye(3)[[1, 0, 2]].tolist()
    assert FederatedPCA().fit(np.ones((5, 2))).components_.tolist() == np.eye(2).tolist()


def test_scales_far_apart():
    """A column 1e-15 times another keeps all digits of its variance."""
    model = FederatedPCA().fit(X * [1.0, 2.0**-50, 2.0**-100, 1.0])
    pair = FederatedPCA().fit(X[:, [0, 3]])
    np.testing.assert_allclose(model.explained_variance_[:2], pair.explained_variance_, rtol=1e-15)
    left = np.linalg.inv(np.linalg.inv(np.cov(X.T))[np.ix_([1, 2], [1, 2])])  # what the two large columns leave
    np.testing.assert_allclose(model.explained_variance_[2] * 2.0**100, left[0, 0], rtol=1e-12)
    assert np.log2(model.explained_variance_[3]) == pytest.approx(np.log2(np.linalg.det(left) / left[0, 0]) - 200)


def test_noise_is_what_is_left_out():
    """The noise variance is the mean of the variances left out, to the last digit or so."""
    whole, two = FederatedPCA().fit(X), FederatedPCA(2).fit(X)
    assert two.noise_variance_ == pytest.approx(whole.explained_variance_[2:].mean(), rel=4e-16)
    assert two.components_.tolist() == whole.components_[:2].tolist()
    assert FederatedPCA(0.9999999).fit(X).noise_variance_ == 0.0


def test_no_variance_has_no_shares():
    """Shares of no variance are undefined: NaN, not zero."""
    model = FederatedPCA().fit(np.ones((5, 2)))
    assert np.isnan(model.explained_variance_ratio_).all()
    assert model.explained_variance_.tolist() == [0.0, 0.0]


def test_scales_that_share_no_digit():
    """A column 1e-100 of another has its own variance, component and singular value, where float64 has them."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=8), 1e-100 * rng.normal(size=8)])
    mine, theirs = FederatedPCA().fit(X), PCA().fit(X)
    # scikit-learn's own singular values and vectors carry its rounding
    np.testing.assert_allclose(mine.singular_values_, theirs.singular_values_, rtol=1e-12)
    np.testing.assert_allclose(mine.components_, theirs.components_, rtol=1e-10)
    assert 0 < mine.explained_variance_[1] < 1e-198


# -- truncated singular value decomposition --------------------------------------------------------------------------

SINGULAR = ["components_", "explained_variance_", "explained_variance_ratio_", "singular_values_"]


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_singular_components_are_near_scikit_learn(n_components):
    """scikit-learn's ARPACK agrees to 1e-12 with what is correctly rounded here, signs included."""
    mine = FederatedTruncatedSVD(n_components).fit(X)
    theirs = TruncatedSVD(n_components, algorithm="arpack").fit(X)
    for name in SINGULAR:
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(mine.transform(X), theirs.transform(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(mine.inverse_transform(mine.transform(X)), theirs.inverse_transform(theirs.transform(X)))
    assert mine.get_feature_names_out().tolist() == [f"federatedtruncatedsvd{i}" for i in range(n_components)]


def test_singular_components_are_those_of_the_rows():
    """With all features, LAPACK's singular values are met, and variances along components add up to all variance."""
    mine = FederatedTruncatedSVD(4).fit(SKEWED)
    np.testing.assert_allclose(mine.singular_values_, np.linalg.svd(SKEWED, compute_uv=False), rtol=1e-12)
    np.testing.assert_allclose(mine.explained_variance_, mine.transform(SKEWED).var(axis=0), rtol=1e-9)
    assert mine.explained_variance_ratio_.sum() == pytest.approx(1.0, abs=1e-15)


def test_singular_components_by_hand():
    """Of rows along one line every number is known."""
    mine = FederatedTruncatedSVD(2).fit([[3.0, -4.0], [6.0, -8.0], [0.0, 0.0]])
    assert mine.components_.tolist() == [[-0.6, 0.8], [0.8, 0.6]]
    assert mine.singular_values_.tolist() == [np.sqrt(125.0), 0.0]
    assert mine.explained_variance_.tolist() == [50 / 3, 0.0]
    assert mine.explained_variance_ratio_.tolist() == [1.0, 0.0]


def test_singular_components_are_rounded_once():
    """Eigenvectors of the Gram matrix with 60 digits are met to the last bit, and so are their variances."""
    rows = SKEWED[::10, :3]
    mine = FederatedTruncatedSVD(3).fit(rows)
    with mpmath.workdps(60):
        x = mpmath.matrix(rows.tolist())
        values, vectors = mpmath.eigsy(x.T * x)
        total = mpmath.mpf(0)
        for k in range(3):
            vector = vectors[:, 2 - k] * mpmath.sign(max(vectors[:, 2 - k], key=abs))
            scores = x * vector
            variance = mpmath.fsum(s * s for s in scores) / x.rows - (mpmath.fsum(scores) / x.rows) ** 2
            assert mine.components_[k].tolist() == [float(value) for value in vector]
            assert mine.singular_values_[k] == float(mpmath.sqrt(values[2 - k]))
            assert mine.explained_variance_[k] == float(variance)
            total += variance
        shares = [float(mpmath.mpf(float(v)) / total) for v in mine.explained_variance_]
    np.testing.assert_allclose(mine.explained_variance_ratio_, shares, rtol=3e-16)


def test_singular_components_with_weights():
    """Integer weights repeat rows, float weights multiply them by their roots."""
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = FederatedTruncatedSVD().fit(np.repeat(X, weights, axis=0))
    weighted = FederatedTruncatedSVD().fit(X, sample_weight=weights)
    assert all(np.array_equal(getattr(repeated, name), getattr(weighted, name)) for name in SINGULAR)
    floats = np.random.default_rng(0).uniform(0.5, 3, len(X))
    values = np.linalg.svd(np.sqrt(floats)[:, None] * X, compute_uv=False)
    np.testing.assert_allclose(FederatedTruncatedSVD(4).fit(X, sample_weight=floats).singular_values_, values)


def test_limits_of_singular_components():
    """There are at most as many as rows, no more may be asked for than features, and no variance has no shares."""
    assert FederatedTruncatedSVD(3).fit(X[:2]).components_.shape == (2, 4)
    with pytest.raises(ValueError, match=r"n_components=5.*n_features=4"):
        FederatedTruncatedSVD(5).fit(X)
    constant = FederatedTruncatedSVD().fit(np.ones((3, 2)))
    assert constant.explained_variance_.tolist() == [0.0, 0.0]
    assert np.isnan(constant.explained_variance_ratio_).all()
    assert constant.singular_values_.tolist() == [np.sqrt(6.0), 0.0]


# -- what both share -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [FederatedPCA(), FederatedTruncatedSVD(3)], ids=str)
def test_ties_go_by_name(estimator):
    """Where eigenvalues and entries are equal, names decide: the order of columns moves nothing else."""
    cube = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    psr = PSR.from_rows(cube @ np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]]))
    one = estimator.fit(psr).components_
    for order in ["x2", "x1", "x0"], ["x1", "x2", "x0"]:
        other = estimator.fit(psr.select(order)).components_
        assert np.array_equal(other, one[:, [int(name[1]) for name in order]])


@pytest.mark.parametrize("whiten", [False, True])
def test_transforming_is_affine(whiten):
    """The matrix and the offset do what `transform` does."""
    for estimator in FederatedPCA(3, whiten=whiten).fit(X), FederatedTruncatedSVD(3).fit(X):
        matrix, offset = estimator._affine()
        np.testing.assert_allclose(
            X @ matrix + np.array(offset, dtype=float), estimator.transform(X), rtol=1e-12, atol=1e-12
        )

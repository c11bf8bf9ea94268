"""Quadratic discriminant analysis: exact against fractions, near scikit-learn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.covariance import OAS
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from sklearn_symfed import PSR, FederatedQuadraticDiscriminantAnalysis, fitted_digests

X, Y = load_iris(return_X_y=True)
SHRUNK = [{}, {"reg_param": 0.1}, {"shrinkage": 0.0}, {"shrinkage": 0.3}, {"shrinkage": "oas"}]


def fraction_covariance(rows):
    """Return the exact mean and biased covariance of rows: the oracle."""
    rows = [[Fraction(v) for v in row] for row in rows.tolist()]
    n, d = len(rows), len(rows[0])
    mean = [sum(column) / n for column in zip(*rows, strict=True)]
    return mean, [[sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in rows) / n for j in range(d)] for i in range(d)]


@pytest.mark.parametrize("params", [{"reg_param": 0.25}, {"shrinkage": 0.25}])
def test_parameters_equal_fractions(params):
    """Means and covariances are rounded once, and the principal axes diagonalise the covariance."""
    model = FederatedQuadraticDiscriminantAnalysis(**params, store_covariance=True).fit(X, Y)
    for k in range(3):
        mean, own = fraction_covariance(X[k == Y])
        added = Fraction(1) if "reg_param" in params else sum(own[i][i] for i in range(4)) / 4
        want = [[Fraction(3, 4) * v + (i == j) * added / 4 for j, v in enumerate(row)] for i, row in enumerate(own)]
        assert model.means_[k].tolist() == [float(v) for v in mean]
        assert model.covariance_[k].tolist() == [[float(v) for v in row] for row in want]
        turned = model.rotations_[k].T @ model.covariance_[k] @ model.rotations_[k]
        np.testing.assert_allclose(turned, np.diag(model.scalings_[k]), atol=1e-15)
        assert (np.diff(model.scalings_[k]) < 0).all()


def test_rational_variances():
    """Where the principal axes are the coordinates, variances are rational, and rounded once."""
    x = np.array([[1, 0], [-1, 0], [0, 3], [0, -3], [0, 0], [7, 1], [9, 1], [8, 0], [8, 2], [8, 1]])
    model = FederatedQuadraticDiscriminantAnalysis().fit(x, np.arange(10) // 5)
    assert model.scalings_[0].tolist() == [18 / 5, 2 / 5]
    assert model.rotations_[0].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert model.scalings_[1].tolist() == [2 / 5, 2 / 5]
    assert model.rotations_[1].tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("priors", [None, [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("params", SHRUNK, ids=str)
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
def test_is_near_scikit_learn(load, params, priors):
    """scikit-learn's svd or eigen solver agrees to 1e-9, signs of axes aside."""
    x, y = load(return_X_y=True)
    x = x / x.std(axis=0)
    priors = priors and (np.array(priors[: len(set(y))]) / sum(priors[: len(set(y))])).tolist()
    shared = {"priors": priors, "store_covariance": True, "tol": 1e-6}
    mine = FederatedQuadraticDiscriminantAnalysis(**params, **shared).fit(x, y)
    estimated = {"shrinkage": None, "covariance_estimator": OAS()} if params.get("shrinkage") == "oas" else {}
    theirs = QuadraticDiscriminantAnalysis(solver=mine.solver, **{**params, **estimated}, **shared).fit(x, y)
    np.testing.assert_allclose(mine.means_, theirs.means_, rtol=1e-12)
    np.testing.assert_allclose(mine.priors_, theirs.priors_, rtol=1e-15)
    for k in range(len(mine.classes_)):
        np.testing.assert_allclose(mine.covariance_[k], theirs.covariance_[k], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(mine.scalings_[k], theirs.scalings_[k], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(abs(mine.rotations_[k]), abs(theirs.rotations_[k]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(mine.decision_function(x), theirs.decision_function(x), rtol=1e-9, atol=1e-9)
    plain = mine.to_sklearn()
    assert np.array_equal(plain.predict_proba(x), mine.predict_proba(x))
    np.testing.assert_allclose(clone(plain).fit(x, y).decision_function(x), mine.decision_function(x), rtol=1e-8)


@pytest.mark.parametrize("case", ["collinear", "constant", "few rows", "small"])
def test_singular_covariance_is_refused(case):
    """A class that does not vary along every axis is refused, as by scikit-learn, with the way out."""
    x = {
        "collinear": np.column_stack([X, X[:, 0] - X[:, 1]]),
        "constant": np.column_stack([X, np.ones(150)]),
        "few rows": np.column_stack([X, X**2, X**3])[::15],
        "small": X * 1e-3,
    }[case]
    y = Y[:: 150 // len(x)]
    for estimator in (FederatedQuadraticDiscriminantAnalysis(), QuadraticDiscriminantAnalysis()):
        with pytest.raises(np.linalg.LinAlgError, match="not full rank"):
            estimator.fit(x, y)
    with pytest.raises(np.linalg.LinAlgError, match="Increase reg_param"):
        FederatedQuadraticDiscriminantAnalysis().fit(x, y)
    assert FederatedQuadraticDiscriminantAnalysis(reg_param=0.1).fit(x, y).score(x, y) > 0.8
    with pytest.raises(np.linalg.LinAlgError, match="Increase shrinkage"):
        FederatedQuadraticDiscriminantAnalysis(shrinkage=0.0).fit(x, y)
    assert FederatedQuadraticDiscriminantAnalysis(shrinkage=0.1, tol=1e-9).fit(x, y).score(x, y) > 0.8


def test_rank_is_exact():
    """With `tol=0` any exact variance above zero counts, and a sum of columns has none: no digit of noise decides."""
    far = np.rint(X * 10) + 2.0**30
    model = FederatedQuadraticDiscriminantAnalysis(tol=0.0).fit(far, Y)
    near = FederatedQuadraticDiscriminantAnalysis(tol=0.0).fit(far - 2.0**30, Y)
    assert [v.tolist() for v in model.scalings_] == [v.tolist() for v in near.scalings_]
    with pytest.raises(np.linalg.LinAlgError, match="along 4 axes, but expected 5"):
        FederatedQuadraticDiscriminantAnalysis(tol=0.0).fit(np.column_stack([far, far.sum(axis=1)]), Y)


def test_what_is_refused():
    """One class, a class of one row, Ledoit-Wolf, two kinds of regularisation and priors of another number."""
    with pytest.raises(ValueError, match="number of classes has to be greater than one"):
        FederatedQuadraticDiscriminantAnalysis().fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="only 1 sample in a class"):
        FederatedQuadraticDiscriminantAnalysis().fit(X[:51], Y[:51])
    with pytest.raises(ValueError, match="OAS"):
        FederatedQuadraticDiscriminantAnalysis(shrinkage="auto").fit(X, Y)
    with pytest.raises(ValueError, match="one of the two"):
        FederatedQuadraticDiscriminantAnalysis(shrinkage=0.1, reg_param=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="priors"):
        FederatedQuadraticDiscriminantAnalysis(priors=[0.5, 0.5]).fit(X, Y)


def test_ties_go_by_name():
    """Equal variances, and equal entries of an axis, are told apart by the names of features, not by their order."""
    frame = pd.DataFrame({"b": [1.0, -1, 0, 0, 3, 5, 4.5, 3.5], "a": [0.0, 0, 1, -1, 4, 2, 3.5, 2.5]})
    y = [0] * 4 + [1] * 4
    model, turned = (FederatedQuadraticDiscriminantAnalysis().fit(frame[list(order)], y) for order in ("ba", "ab"))
    for one, other in zip(model.rotations_, turned.rotations_, strict=True):
        assert np.array_equal(one, other[::-1])


def test_partitions_and_orders_of_columns():
    """Neither which node has which rows nor the order of columns moves a bit."""
    names = ["d", "b", "a", "c"]
    whole = PSR.from_rows(pd.DataFrame(X, columns=names).assign(kind=Y), classes="kind")
    model = FederatedQuadraticDiscriminantAnalysis().fit(whole, "kind")
    rng = np.random.default_rng(0)
    for _ in range(5):
        order, rows = rng.permutation(4), np.array_split(rng.permutation(150), 3)
        frames = [pd.DataFrame(X[part], columns=names)[[names[i] for i in order]].assign(kind=Y[part]) for part in rows]
        merged = sum(PSR.from_rows(frame, classes="kind") for frame in frames)
        straight = FederatedQuadraticDiscriminantAnalysis().fit(merged.select([*names, "kind"]), "kind")
        assert fitted_digests(straight) == fitted_digests(model)
        turned = FederatedQuadraticDiscriminantAnalysis().fit(merged, "kind")
        back = np.argsort(order)
        assert all(np.array_equal(a, b[back]) for a, b in zip(model.rotations_, turned.rotations_, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(model.scalings_, turned.scalings_, strict=True))

"""Ridge and least squares: exact against fractions, near scikit-learn, honest about rank."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.linear_model import FederatedLinearRegression, FederatedRidge
from sklearn_symfed.psr import PSR


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


def fraction_fit(x, y, *, alpha=0.0, weights=None, fit_intercept=True):
    """Return coefficients and intercept as correctly rounded floats, from the rows, over fractions."""
    weights = np.ones(len(x)) if weights is None else weights
    w = [Fraction(float(v)) for v in weights]
    rows = [[Fraction(1), *(Fraction(float(v)) for v in row)][0 if fit_intercept else 1 :] for row in x]
    target = [Fraction(float(v)) for v in y]
    size = len(rows[0])
    a = [[sum(wi * r[i] * r[j] for wi, r in zip(w, rows, strict=True)) for j in range(size)] for i in range(size)]
    for i in range(1 if fit_intercept else 0, size):
        a[i][i] += Fraction(float(alpha))
    b = [sum(wi * r[i] * t for wi, r, t in zip(w, rows, target, strict=True)) for i in range(size)]
    solution = [float(v) for v in fraction_solve(a, b)]
    return (solution[1:], solution[0]) if fit_intercept else (solution, 0.0)


def data(n=30, d=3, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) + offset
    return x, x @ rng.normal(size=d) + rng.normal(size=n) + 1


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1.0, 0.1, 1e-300, 1e10, 0.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_equals_fractions(alpha, fit_intercept, weighted):
    """Coefficients and intercept are the rational solution, rounded once; a float alpha is taken at its word."""
    x, y = data()
    weights = np.random.default_rng(1).uniform(size=len(x)) if weighted else None
    model = FederatedRidge(alpha=alpha, fit_intercept=fit_intercept).fit(x, y, weights)
    coef, intercept = fraction_fit(x, y, alpha=alpha, weights=weights, fit_intercept=fit_intercept)
    assert model.coef_.tolist() == coef
    assert model.intercept_ == intercept


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e10])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_least_squares_equals_fractions(offset, fit_intercept):
    """No offset of the features costs a digit."""
    x, y = data(offset=offset)
    model = FederatedLinearRegression(fit_intercept=fit_intercept, tol=0).fit(x, y)
    coef, intercept = fraction_fit(x, y, fit_intercept=fit_intercept)
    assert model.coef_.tolist() == coef
    assert model.intercept_ == intercept
    assert model.rank_ == 3


def test_polynomial_of_degree_ten():
    """A design with a condition number of 1e15 (Wampler's, longer) is solved to the last digit."""
    t = np.arange(21.0)
    x, y = np.vander(t, 11, increasing=True)[:, 1:], np.vander(t, 11).sum(axis=1) + np.cos(t)
    model = FederatedLinearRegression(tol=0).fit(x, y)
    coef, intercept = fraction_fit(x, y)
    assert model.coef_.tolist() == coef
    assert model.intercept_ == intercept


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1.0, np.array([0.5, 20.0, 0.0])])
def test_ridge_is_near_scikit_learn(alpha, fit_intercept):
    """scikit-learn on the rows agrees to 1e-10: its Cholesky loses digits with the condition number, here 10."""
    x, _ = data(200, 5, 2.0)
    y = np.column_stack([data(200, 5, 2.0, seed=s)[1] for s in range(3)])
    mine = FederatedRidge(alpha=alpha, fit_intercept=fit_intercept).fit(x, y)
    theirs = Ridge(alpha=alpha, fit_intercept=fit_intercept).fit(x, y)
    assert mine.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(mine.coef_, theirs.coef_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(mine.predict(x), theirs.predict(x), rtol=1e-10)


def deficient(name):
    x, _ = data(60, 4, 1.0)
    rng = np.random.default_rng(5)
    if name == "sum":
        return np.column_stack([x, x[:, 0] + x[:, 1]])
    if name == "duplicate":
        return np.column_stack([x, x[:, 2], x[:, 2]])
    if name == "constant":
        return np.column_stack([x[:, :2], np.full(60, 3.0), x[:, 2:]])
    if name == "one-hot":
        return np.column_stack([np.eye(3)[rng.integers(0, 3, 60)], x])
    if name == "few rows":
        return x[:3]
    return np.full((60, 2), 7.0)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("name", ["sum", "duplicate", "constant", "one-hot", "few rows", "all constant"])
def test_deficient_rank_is_minimum_norm(name, fit_intercept):
    """As scikit-learn's solution of smallest norm, to the accuracy of an SVD of the rows; with a warning."""
    x = deficient(name)
    y = np.random.default_rng(0).normal(size=(len(x), 2)) + 1
    theirs = LinearRegression(fit_intercept=fit_intercept).fit(x, y)
    model = FederatedLinearRegression(fit_intercept=fit_intercept)
    if theirs.rank_ < x.shape[1]:
        with pytest.warns(LinAlgWarning, match=f"{x.shape[1]} features have rank {theirs.rank_}"):
            model.fit(x, y)
        with pytest.warns(LinAlgWarning, match="rank"):
            ridge = FederatedRidge(alpha=0, fit_intercept=fit_intercept).fit(x, y)
        assert ridge.coef_.tolist() == model.coef_.tolist()
    else:
        model.fit(x, y)
    assert model.rank_ == theirs.rank_
    assert model.singular_.shape == theirs.singular_.shape
    np.testing.assert_allclose(model.coef_, theirs.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.intercept_, theirs.intercept_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(model.singular_, theirs.singular_, rtol=1e-9, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .* features have rank:scipy.linalg.LinAlgWarning")
def test_minimum_norm_equals_fractions():
    """Two equal columns share, exactly, the coefficient of one."""
    x, y = data(20, 2)
    model = FederatedLinearRegression().fit(np.column_stack([x, x[:, 0]]), y)
    coef, intercept = fraction_fit(x, y)
    assert model.coef_.tolist() == [coef[0] / 2, coef[1], coef[0] / 2]
    assert model.intercept_ == intercept


def test_money_columns_beside_their_total():
    """A total rounded to floats is a dependency by default; tol=0 takes its rounding for information."""
    rng = np.random.default_rng(3)
    x = np.round(rng.uniform(1, 100, size=(200, 3)), 2)
    x = np.column_stack([x, x.sum(axis=1)])
    y = 0.02 * x[:, 3] + rng.normal(size=200)
    with pytest.warns(LinAlgWarning, match="4 features have rank 3"):
        model = FederatedLinearRegression().fit(x, y)
    np.testing.assert_allclose(model.coef_, LinearRegression().fit(x, y).coef_, rtol=1e-6)
    assert FederatedLinearRegression(tol=0).fit(x, y).rank_ == 4
    assert np.abs(FederatedLinearRegression(tol=0).fit(x, y).coef_).max() > 1e9


@pytest.mark.filterwarnings("ignore:The .* features have rank:scipy.linalg.LinAlgWarning")
def test_which_of_nearly_dependent_columns_count_does_not_depend_on_their_order():
    """The choice goes by name, so that coefficients are the same bits whatever stands first."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(np.round(rng.uniform(1, 100, size=(50, 3)), 2), columns=["a", "b", "c"])
    frame["d"], y = frame.a + frame.b + frame.c, pd.Series(rng.normal(size=50), name="t")
    model = FederatedLinearRegression().fit(frame, y)
    other = FederatedLinearRegression().fit(frame[["d", "c", "a", "b"]], y)
    assert model.rank_ == 3
    assert other.coef_.tolist() == model.coef_[[3, 2, 0, 1]].tolist()
    assert (other.condition_, other.solver_) == (model.condition_, model.solver_)


def test_what_does_not_vary():
    """A constant feature or target has coefficient +0.0 and the right intercept."""
    x, y = data(20, 2)
    model = FederatedRidge().fit(
        np.column_stack([x[:, 0], np.full(20, 0.1), x[:, 1]]), np.column_stack([y, [0.1] * 20])
    )
    assert model.coef_[0].tolist() == [
        *FederatedRidge().fit(x, y).coef_[:1],
        0.0,
        *FederatedRidge().fit(x, y).coef_[1:],
    ]
    assert model.coef_[1].tolist() == [0.0, 0.0, 0.0]
    assert model.intercept_[1] == 0.1
    assert not np.signbit(model.coef_[1]).any()


def test_shapes_follow_the_target():
    """A 1-d target or a name gives 1-d coefficients, a 2-d one or a list of names 2-d ones."""
    x, y = data(20, 2)
    psr = PSR.from_rows(x, y)
    assert FederatedRidge().fit(x, y).coef_.shape == FederatedRidge().fit(psr, "y").coef_.shape == (2,)
    assert FederatedRidge().fit(x, y[:, None]).coef_.shape == FederatedRidge().fit(psr, ["y"]).coef_.shape == (1, 2)
    assert isinstance(FederatedRidge().fit(psr, "y").intercept_, float)
    assert FederatedRidge().fit(psr, ["y"]).intercept_.shape == (1,)
    assert FederatedRidge(fit_intercept=False).fit(psr, ["y"]).intercept_ == 0.0


def test_integers_beyond_two_to_53():
    """Columns of a DataFrame are read one by one: no common dtype rounds a large integer."""
    big = 2**60
    frame = pd.DataFrame({"a": np.array([big + 1, big + 2, big + 4]), "b": [0.5, 0.25, 1.0]})
    model = FederatedLinearRegression(tol=0).fit(frame[["a"]], frame["b"])
    shifted = FederatedLinearRegression(tol=0).fit(frame[["a"]] - big, frame["b"])
    assert model.coef_.tolist() == shifted.coef_.tolist()


@pytest.mark.parametrize("model", [FederatedRidge(alpha=3.0), FederatedLinearRegression()], ids=str)
def test_score_of_statistics(model):
    """R² of a PSR is that of its rows; predictions of rows round, hence 1e-12."""
    x, y = data(50, 3)
    other, target = data(40, 3, seed=1)
    target = np.column_stack([target, target + other[:, 0] ** 2, np.full(40, 2.0)])
    model.fit(x, np.column_stack([y, y**2, y]))
    psr = PSR.from_rows(other, target)
    assert model.score(psr) == model.score(psr, ["y0", "y1", "y2"])
    assert model.score(psr) == pytest.approx(r2_score(target, model.predict(other)), rel=1e-12)
    assert model.score(psr) == pytest.approx(model.score(other, target), rel=1e-12)
    with pytest.raises(SchemaError, match="target"):
        model.score(psr, ["y0", "y1"])


def test_score_is_exact():
    """R² is rounded once: equal to the fraction computed from rows."""
    x, y = data(12, 2)
    model = FederatedRidge().fit(x, y)
    b = [Fraction(v) for v in model.coef_.tolist()]
    target = [Fraction(v) for v in y.tolist()]
    residuals = [
        t - Fraction(float(model.intercept_)) - sum(c * Fraction(v) for c, v in zip(b, row, strict=True))
        for t, row in zip(target, x.tolist(), strict=True)
    ]
    mean = sum(target) / len(target)
    exact = 1 - sum(r * r for r in residuals) / sum((t - mean) ** 2 for t in target)
    assert model.score(PSR.from_rows(x, y), "y") == float(exact)


@pytest.mark.parametrize(
    ("alpha", "message"),
    [
        (np.array([1.0, 2.0]), "1 != 2"),
        (np.array([-1.0]), "negative"),
        (float("inf"), "alpha"),
        (np.array([np.nan]), "NaN"),
    ],
)
def test_bad_penalties(alpha, message):
    """Penalties are finite, not negative, and one for each target."""
    with pytest.raises(ValueError, match=message):
        FederatedRidge(alpha=alpha).fit(*data())


def float_errors(x, y, weights, *, intercept):
    """Return standard errors of coefficients, of the intercept, and the residuals' deviation, from an inverse."""
    design = np.column_stack([np.ones(len(x)), x])[:, 0 if intercept else 1 :]
    inverse = np.linalg.inv(design.T @ (design * weights[:, None]))
    coef = inverse @ (design.T @ (weights[:, None] * y))
    variance = np.sum(weights[:, None] * (y - design @ coef) ** 2, axis=0) / (len(x) - design.shape[1])
    errors = np.sqrt(variance[:, None] * inverse.diagonal())
    return errors[:, intercept:], errors[:, 0] if intercept else 0 * variance, np.sqrt(variance)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_standard_errors(fit_intercept, weighted):
    """They are those of the textbook, for each target, in the shapes of what they belong to."""
    x, y = data(40, 3, 2.0)
    y = np.column_stack([y, y**2])
    weights = np.random.default_rng(2).uniform(0.5, 2, 40) if weighted else np.ones(40)
    model = FederatedLinearRegression(fit_intercept=fit_intercept).fit(x, y, weights if weighted else None)
    coef, intercept, residual = float_errors(x, y, weights, intercept=fit_intercept)
    np.testing.assert_allclose(model.coef_stderr_, coef, rtol=1e-10)
    np.testing.assert_allclose(model.intercept_stderr_, intercept, rtol=1e-10)
    np.testing.assert_allclose(model.residual_std_, residual, rtol=1e-10)
    assert model.dof_residual_ == 37 - fit_intercept
    one = FederatedLinearRegression(fit_intercept=fit_intercept).fit(x, y[:, 1], weights if weighted else None)
    assert one.coef_stderr_.tolist() == model.coef_stderr_[1].tolist()
    assert one.intercept_stderr_ == model.intercept_stderr_[1]
    assert one.residual_std_ == model.residual_std_[1]
    assert np.ndim(one.intercept_stderr_) == np.ndim(one.residual_std_) == 0


def test_standard_errors_of_a_perfect_fit():
    """What is met to the last digit has errors of exactly zero; another target beside it has its own."""
    x = np.arange(12.0).reshape(6, 2) ** 2
    y = np.column_stack([x @ [2.0, -1.0] + 3, [1.0, 0.0, 2.0, 5.0, 1.0, 1.0]])
    model = FederatedLinearRegression(tol=0).fit(x, y)
    assert model.coef_stderr_[0].tolist() == [0.0, 0.0]
    assert model.intercept_stderr_[0] == model.residual_std_[0] == 0.0
    alone = FederatedLinearRegression(tol=0).fit(x, y[:, 1])
    assert model.coef_stderr_[1].tolist() == alone.coef_stderr_.tolist()


@pytest.mark.filterwarnings("ignore:The .* features have rank:scipy.linalg.LinAlgWarning")
def test_standard_errors_need_rank_and_rows():
    """Dependent features, or no more rows than parameters, leave errors undefined."""
    x, y = data(20, 2)
    for model in (
        FederatedLinearRegression().fit(np.column_stack([x, x[:, 0]]), y),
        FederatedLinearRegression().fit(x[:3], y[:3]),
    ):
        assert np.isnan(model.coef_stderr_).all()
        assert np.isnan([model.intercept_stderr_, model.residual_std_]).all()


def test_later_attributes_follow_a_new_fit():
    """What is computed when asked for belongs to the fit at hand, and unfitted estimators have none."""
    x, y = data(30, 2)
    model = FederatedLinearRegression().fit(x[:20], y[:20])
    before = model.coef_stderr_, model.singular_
    model.partial_fit(x[20:], y[20:])
    whole = FederatedLinearRegression().fit(x, y)
    assert model.coef_stderr_.tolist() == whole.coef_stderr_.tolist() != before[0].tolist()
    assert model.singular_.tolist() == whole.singular_.tolist() != before[1].tolist()
    assert not hasattr(FederatedLinearRegression(), "rank_")
    with pytest.raises(NotFittedError):
        _ = FederatedLinearRegression().residual_std_


def test_which_rung_answered():
    """`solver_` climbs with the condition, and plain scikit-learn estimators get what is theirs."""
    t = np.arange(1.0, 16.0)
    x = np.vander(t, 12, increasing=True)[:, 1:]
    easy, hard = FederatedRidge().fit(x[:, :2], np.cos(t)), FederatedRidge(1e-6).fit(x, np.cos(t))
    met = FederatedLinearRegression().fit(x[:, :2], 3 * x[:, 1])
    assert (easy.solver_, hard.solver_, met.solver_) == ("cholesky", "balls", "rationals")
    assert 1 < easy.condition_ < 1e4
    assert 1e9 < hard.condition_ < 1e25
    assert met.coef_.tolist() == [0.0, 3.0]
    several = FederatedRidge(np.array([1.0, 1e-6])).fit(x, np.column_stack([np.cos(t)] * 2))
    assert (several.solver_, several.condition_) == ("balls", hard.condition_)
    assert hard.to_sklearn().solver_ == "cholesky"
    assert not hasattr(hard.to_sklearn(), "condition_")
    plain = met.to_sklearn()
    assert plain.singular_.tolist() == met.singular_.tolist()
    assert plain.rank_ == 2
    assert not hasattr(plain, "solver_")


def test_money_columns_are_exact_without_tolerance():
    """With `tol=0` the rounding of a float total is information: the solution is the rational one."""
    x = np.round(np.random.default_rng(3).uniform(1, 100, size=(30, 3)), 2)
    x = np.column_stack([x, x.sum(axis=1)])
    y = np.random.default_rng(4).normal(size=30)
    model = FederatedLinearRegression(tol=0).fit(x, y)
    coef, intercept = fraction_fit(x, y)
    assert model.coef_.tolist() == coef
    assert model.intercept_ == intercept
    assert model.condition_ > 1e20

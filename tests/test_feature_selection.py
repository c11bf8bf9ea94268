"""Feature selection from statistics: exact scores, p-values beyond float64, scikit-learn's selections."""

from __future__ import annotations

import warnings
from fractions import Fraction
from functools import partial

import mpmath
import numpy as np
import pandas as pd
import pytest
from sklearn import feature_selection
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline

from sklearn_symfed import PSR, FederatedRidge, fitted_digests
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.feature_selection import (
    FederatedSelectFdr,
    FederatedSelectFpr,
    FederatedSelectFwe,
    FederatedSelectKBest,
    FederatedVarianceThreshold,
    chi2,
    f_classif,
    f_regression,
)

IRIS, CANCER, DIGITS, DIABETES = (
    load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_digits, load_diabetes)
)
SMALL = np.array([[1, 5, 0], [2, 4, 0], [4, 5, 0], [4, 7, 0], [3, 5, 0], [9, 0, 0]])
KIND = np.array(list("aabbba"))
VALUE = np.array([1, 3, 2, 5, 7, 1])
SELECTORS = [
    (FederatedSelectKBest, {"k": 5}),
    (FederatedSelectFdr, {"alpha": 1e-60}),
    (FederatedSelectFpr, {"alpha": 1e-60}),
    (FederatedSelectFwe, {"alpha": 1e-60}),
]


def real(value):
    return mpmath.mpf(value.numerator) / value.denominator


def of_classes(x, y):
    return PSR.from_rows(x, y, classes="kind")


# -- scores ----------------------------------------------------------------------------------------------------------


def centred_squares(values):
    mean = Fraction(int(sum(values)), len(values))
    return sum((int(v) - mean) ** 2 for v in values)


def f_tail(f, between, within):
    with mpmath.workdps(60):
        x = real(within / (within + between * f))
        return float(mpmath.betainc(mpmath.mpf(within) / 2, mpmath.mpf(between) / 2, 0, x, regularized=True))


def test_analysis_of_variance_equals_fractions():
    """F is a quotient of sums of squares, rounded once, and so is the probability to exceed it."""
    with pytest.warns(UserWarning, match=r"Features \['x2'\] are constant"):
        scores, pvalues = f_classif(of_classes(SMALL, KIND), "kind")
    for j in range(2):
        inner = sum(centred_squares(SMALL[kind == KIND, j]) for kind in "ab")
        f = (centred_squares(SMALL[:, j]) - inner) * 4 / inner
        assert scores[j] == float(f)
        assert pvalues[j] == f_tail(f, 1, 4)
    assert np.isnan([scores[2], pvalues[2]]).all()


@pytest.mark.parametrize("center", [True, False])
def test_regression_equals_fractions(center):
    """F follows from the exact squared correlation; a constant feature has none, or the least, if it must be finite."""
    psr = PSR.from_rows(SMALL, VALUE)
    scores, pvalues = f_regression(psr, "y", center=center)
    shift = [Fraction(int(sum(column)), 6) * center for column in [*SMALL.T, VALUE]]
    columns = [[int(v) - m for v in column] for column, m in zip([*SMALL.T, VALUE], shift, strict=True)]
    for j in range(2):
        xy, xx, yy = (
            sum(a * b for a, b in zip(columns[i], columns[k], strict=True)) for i, k in ((j, 3), (j, j), (3, 3))
        )
        f = Fraction(xy) ** 2 * (5 - center) / (xx * yy - xy**2)
        assert scores[j] == float(f)
        assert pvalues[j] == f_tail(f, 1, 5 - center)
    assert (scores[2], pvalues[2]) == (0.0, 1.0)
    assert np.isnan(f_regression(psr, "y", center=center, force_finite=False)).any(axis=0).tolist() == [0, 0, 1]


def test_chi_square_equals_fractions():
    """Chi-square is a sum of quotients of counts, rounded once; a feature of zeros has none."""
    scores, pvalues = chi2(of_classes(SMALL, KIND), "kind")
    for j in range(2):
        total = Fraction(int(SMALL[:, j].sum()))
        observed = [Fraction(int(SMALL[kind == KIND, j].sum())) for kind in "ab"]
        statistic = sum((o - total / 2) ** 2 / (total / 2) for o in observed)
        assert scores[j] == float(statistic)
        with mpmath.workdps(60):
            assert pvalues[j] == float(mpmath.gammainc(mpmath.mpf(1) / 2, real(statistic) / 2, regularized=True))
    assert np.isnan([scores[2], pvalues[2]]).all()


@pytest.mark.filterwarnings("ignore:Features:UserWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("data", [IRIS, CANCER, DIGITS], ids=["iris", "cancer", "digits"])
def test_scores_are_near_scikit_learn(data):
    """scikit-learn agrees to 1e-10: it cancels in float64 what is exact here, and its tails lose digits."""
    x, y = data
    psr = PSR.from_rows(x, y)
    pairs = [
        (f_classif(of_classes(x, y), "kind"), feature_selection.f_classif(x, y)),
        (chi2(of_classes(x, y), "kind"), feature_selection.chi2(x, y)),
        (f_regression(psr, "y"), feature_selection.f_regression(x, y)),
        (f_regression(psr, "y", center=False), feature_selection.f_regression(x, y, center=False)),
    ]
    for mine, theirs in pairs:
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-306)


def test_tails_far_out():
    """p-values keep all their digits far out, where there are many rows, and near one."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 5000)
    x = np.column_stack([rng.normal(size=5000) + shift * y for shift in (0, 0.2, 1, 3)])
    psr = of_classes(x, y)
    scores, pvalues = f_classif(psr, "kind")
    np.testing.assert_allclose(scores, feature_selection.f_classif(x, y)[0], rtol=1e-11)
    for f, p in zip(scores.tolist(), pvalues.tolist(), strict=True):
        # the score is rounded, which a p-value of 1e-300 feels a thousandfold
        np.testing.assert_allclose(p, f_tail(Fraction(f), 1, 4998), rtol=1e-12, atol=5e-324)
    assert 0 < pvalues[0] <= 1
    assert pvalues[3] == 0.0


def test_weights_repeat_rows():
    """Integer weights repeat rows; a common factor of float weights moves no score."""
    weights = np.array([1, 2, 3, 1, 2, 4])
    x = SMALL[:, :2]
    repeated = of_classes(np.repeat(x, weights, axis=0), np.repeat(KIND, weights))
    weighted = PSR.from_rows(x, KIND, classes="kind", sample_weight=weights)
    halves, ones = (PSR.from_rows(x, KIND, classes="kind", sample_weight=w) for w in (weights / 2, weights / 1.0))
    assert np.array_equal(f_classif(weighted, "kind"), f_classif(repeated, "kind"))
    assert np.array_equal(chi2(weighted, "kind"), chi2(repeated, "kind"))
    assert np.array_equal(f_classif(halves, "kind"), f_classif(ones, "kind"))


def test_what_is_undefined():
    """One class, a class for each row and two rows have no F, a perfect fit an infinite one."""
    x = SMALL[:, :2]
    assert np.isnan(f_classif(of_classes(x, ["a"] * 6), "kind")).all()
    assert np.isnan(f_classif(of_classes(x, list("abcdef")), "kind")).all()
    assert np.isnan(chi2(of_classes(x, ["a"] * 6), "kind")).all()
    assert np.isnan(f_regression(PSR.from_rows(x[:2], VALUE[:2]), "y", force_finite=False)).all()
    exact = PSR.from_rows(x, 2 * x[:, 0] + 1)
    assert f_regression(exact, "y")[0][0] == np.finfo(np.float64).max
    assert f_regression(exact, "y")[1][0] == 0.0
    assert f_regression(exact, "y", force_finite=False)[0][0] == np.inf
    assert f_classif(of_classes((KIND == "a")[:, None], KIND), "kind")[0].tolist() == [np.inf]


def test_scores_ask_for_their_kind_of_target():
    """Classes for f_classif and chi2, counts for chi2, a column for f_regression."""
    with pytest.raises(SchemaError, match="expected the class column of the PSR, 'kind'"):
        f_classif(of_classes(SMALL, KIND), "x0")
    with pytest.raises(SchemaError, match="expected the class column of the PSR, None"):
        chi2(PSR.from_rows(SMALL), "x0")
    with pytest.raises(SchemaError, match="unknown columns"):
        f_regression(PSR.from_rows(SMALL), "y")
    with pytest.raises(DataError, match=r"\['x1'\] with a negative sum"):
        chi2(of_classes(SMALL * [1, -1, 1], KIND), "kind")


# -- selections ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Features:UserWarning")
@pytest.mark.parametrize(("selector", "params"), SELECTORS)
@pytest.mark.parametrize("score", [chi2, f_classif, f_regression])
def test_selections_are_those_of_scikit_learn(selector, params, score):
    """The features that scikit-learn keeps are kept."""
    x, y = CANCER
    mine = selector(score, **params).fit(x, y)
    plain = mine.to_sklearn()
    theirs = type(plain)(getattr(feature_selection, score.__name__), **params).fit(x, y)
    assert 0 < theirs.get_support().sum() < 30
    assert np.array_equal(mine.get_support(), theirs.get_support())
    assert np.array_equal(mine.transform(x), theirs.transform(x))
    assert np.array_equal(mine.inverse_transform(mine.transform(x)), theirs.inverse_transform(theirs.transform(x)))
    assert plain.score_func is theirs.score_func


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (feature_selection.f_regression, feature_selection.f_regression),
        (partial(f_regression, center=False), partial(feature_selection.f_regression, center=False)),
        (partial(feature_selection.f_regression, center=False), partial(feature_selection.f_regression, center=False)),
    ],
)
def test_scores_of_scikit_learn_stand_for_ours(given, plain):
    """scikit-learn's scores are taken for those of their name, with their settings, and given back."""
    x, y = DIABETES
    mine, theirs = FederatedSelectKBest(given, k=4).fit(x, y), feature_selection.SelectKBest(plain, k=4).fit(x, y)
    np.testing.assert_allclose(mine.scores_, theirs.scores_, rtol=1e-10)
    back = mine.to_sklearn().score_func
    assert getattr(back, "func", back) is feature_selection.f_regression
    assert getattr(back, "keywords", {}) == getattr(plain, "keywords", {})


@pytest.mark.parametrize("score", [feature_selection.mutual_info_classif, partial(f_regression, None), print])
def test_other_scores_are_refused(score):
    """What is no function of the statistics is refused by its name."""
    with pytest.raises(DataTypeError, match="no functions of the statistics"):
        FederatedSelectKBest(score).fit(SMALL, KIND)


def test_ties_go_by_name():
    """Of equal scores the names that come first are kept, in any order of columns, and by the plain selector, too."""
    frame = pd.DataFrame({"d": SMALL[:, 0], "b": -SMALL[:, 0], "c": SMALL[:, 1], "a": 2 * SMALL[:, 0]})
    for order in (list("abcd"), list("dcba"), list("cdab")):
        for k, kept in ((1, "c"), (2, "ac"), (3, "abc"), (4, "abcd")):
            model = FederatedSelectKBest(f_regression, k=k).fit(frame[order], VALUE)
            assert sorted(model.get_feature_names_out()) == sorted(kept)
            plain = model.to_sklearn()
            assert np.array_equal(plain.get_support(), model.get_support())
            np.testing.assert_allclose(plain.scores_, model.scores_, rtol=1e-15)
    nothing = FederatedSelectKBest(partial(f_regression, force_finite=False), k=1).fit(np.ones((6, 3)), VALUE)
    assert nothing.get_support().tolist() == nothing.to_sklearn().get_support().tolist() == [True, False, False]


def test_how_many_to_keep():
    """All, none, or more than there are, with a warning."""
    x = SMALL[:, :2]
    assert FederatedSelectKBest(k="all").fit(x, KIND).get_support().all()
    with pytest.warns(UserWarning, match="k=10 is greater than n_features=2"):
        model = FederatedSelectKBest().fit(x, KIND)
    assert model.get_support().all()
    none = FederatedSelectKBest(k=0).fit(x, KIND)
    with pytest.warns(UserWarning, match="No features were selected"):
        assert none.transform(x).shape == (6, 0)


def test_one_target_only():
    """A feature is scored for one target."""
    with pytest.raises(SchemaError, match="expected one"):
        FederatedSelectKBest(f_regression, k=1).fit(SMALL, np.column_stack([VALUE, VALUE]))


def test_negative_counts_are_refused():
    """chi2 takes counts; of rows each number is looked at."""
    x = SMALL.copy()
    x[0, 1] = -1
    with pytest.raises(ValueError, match=r"Negative values in data passed to chi2 \(Input X must be non-negative\)"):
        FederatedSelectKBest(chi2, k=1).fit(x, KIND)
    FederatedSelectKBest(chi2, k=1).fit(of_classes(x, KIND), "kind")


@pytest.mark.parametrize("target", ["t", "kind"])
def test_selection_acts_on_statistics(target):
    """Statistics of the features that are kept, with the target beside them, are those of the selected rows."""
    frame = pd.DataFrame(CANCER[0][:, :6], columns=list("abcdef")).assign(t=CANCER[0][:, 7], kind=CANCER[1])
    columns = [*"abcdef", target]
    psr = PSR.from_rows(frame[columns], classes="kind" if target == "kind" else None)
    model = FederatedSelectKBest(f_regression if target == "t" else f_classif, k=2).set_output(transform="pandas")
    out = model.fit(psr, target).transform(psr)
    assert out == psr.select([*model.get_feature_names_out(), target])
    assert out == model.fit(frame[list("abcdef")], frame[target]).transform(psr)


def test_pipelines_fit_from_statistics():
    """A regression on the features that vary and say most fits without a row, as from rows."""
    x, y = CANCER[0][:, :10], CANCER[0][:, 12]
    steps = FederatedVarianceThreshold(0.01), FederatedSelectKBest(f_regression, k=3), FederatedRidge()
    pipeline = make_pipeline(*steps).fit(PSR.from_rows(x, y), "y")
    central = make_pipeline(*steps).fit(x, y)
    assert np.array_equal(pipeline.predict(x), central.predict(x))
    assert pipeline[0].get_support().sum() < 10


# -- variances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.0, 0.1, 30.0])
def test_variance_threshold_is_that_of_scikit_learn(threshold):
    """The features that scikit-learn keeps are kept; without threshold it tells ranges instead of variances."""
    x = DIGITS[0]
    mine, theirs = (each(threshold).fit(x) for each in (FederatedVarianceThreshold, VarianceThreshold))
    assert np.array_equal(mine.get_support(), theirs.get_support())
    np.testing.assert_allclose(mine.variances_, x.var(axis=0), rtol=1e-12, atol=0)
    if threshold:
        np.testing.assert_allclose(mine.variances_, theirs.variances_, rtol=1e-12, atol=0)


def test_constants_have_no_variance():
    """A constant that float64 cannot sum without error has a variance of zero, and one step beside it has not."""
    x = np.full((1000, 2), 0.1)
    x[0, 1] = np.nextafter(0.1, 1)
    assert x[:, 0].var() > 0
    model = FederatedVarianceThreshold().fit(x)
    assert model.variances_[0] == 0.0
    assert 0 < model.variances_[1] < 1e-30
    assert model.get_support().tolist() == [False, True]


def test_nothing_varies():
    """Where no feature is left the fit is refused, in scikit-learn's words, and nothing changed."""
    model = FederatedVarianceThreshold(2.0).fit(SMALL)
    before = fitted_digests(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"No feature in X meets the variance threshold 2.00000 \(X contains only"):
            model.fit(SMALL[:1])
    assert fitted_digests(model) == before

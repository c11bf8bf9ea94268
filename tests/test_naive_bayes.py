"""Naive Bayes: exact against fractions, near scikit-learn, batches no matter."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB

from sklearn_symfed import PSR, fitted_digests
from sklearn_symfed.exceptions import DataError, ForgetError, SchemaError
from sklearn_symfed.naive_bayes import (
    FederatedBernoulliNB,
    FederatedCategoricalNB,
    FederatedComplementNB,
    FederatedGaussianNB,
    FederatedMultinomialNB,
)

X, Y = load_iris(return_X_y=True)


def test_parameters_equal_fractions():
    """Means, variances and epsilon are rational functions of the rows, rounded once."""
    x, y = X[::5], Y[::5]
    model = FederatedGaussianNB(var_smoothing=0.01).fit(x, y)

    def mean_and_variance(values):
        values = [Fraction(v) for v in values.tolist()]
        mean = sum(values) / len(values)
        return mean, sum((v - mean) ** 2 for v in values) / len(values)

    epsilon = Fraction(0.01) * max(mean_and_variance(x[:, j])[1] for j in range(4))
    assert model.epsilon_ == float(epsilon)
    for k in range(3):
        for j in range(4):
            mean, variance = mean_and_variance(x[y == k, j])
            assert model.theta_[k, j] == float(mean)
            assert model.var_[k, j] == float(variance + epsilon)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("priors", [None, [0.2, 0.3, 0.5]])
def test_is_near_scikit_learn(weighted, priors):
    """scikit-learn agrees to 1e-12 without weights; with them its epsilon ignores the weights, hence no smoothing."""
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    smoothing = 0.0 if weighted else 1e-9
    mine = FederatedGaussianNB(priors=priors, var_smoothing=smoothing).fit(X, Y, weights)
    theirs = GaussianNB(priors=priors, var_smoothing=smoothing).fit(X, Y, weights)
    for name in ("theta_", "var_", "class_prior_", "class_count_", "epsilon_"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), rtol=1e-9, atol=1e-300)


def test_smoothing_knows_all_batches():
    """Epsilon follows from all rows, not from the last batch."""
    model = FederatedGaussianNB(var_smoothing=0.1)
    for start in range(0, 150, 25):
        model.partial_fit(X[start : start + 25], Y[start : start + 25], classes=[0, 1, 2])
    whole = FederatedGaussianNB(var_smoothing=0.1).fit(X, Y)
    assert model.epsilon_ == whole.epsilon_
    assert model.var_.tolist() == whole.var_.tolist()


@pytest.mark.parametrize(
    ("priors", "message"), [([0.5, 0.5], "Number of priors"), ([1, 1, 1], "sum"), ([1.5, -0.5, 0.0], "non-negative")]
)
def test_bad_priors(priors, message):
    """Priors are as many as classes, not negative, and sum to one."""
    with pytest.raises(ValueError, match=message):
        FederatedGaussianNB(priors=priors).fit(X, Y)


# -- counts ----------------------------------------------------------------------------------------------------------

DIGITS, DIGIT = load_digits(return_X_y=True)
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2, len(DIGIT))
SMALL = np.array([[3, 0, 1], [2, 1, 0], [0, 4, 0], [1, 1, 0], [0, 2, 0]])
KIND = np.array(["a", "a", "b", "c", "b"])
FRACTIONS = [Fraction(1, 2), Fraction(1), Fraction(1, 4)]


def log(numerator, denominator):
    """Return the float64 nearest to the logarithm of a fraction."""
    ratio = numerator / denominator
    with mpmath.workdps(60):
        return float(mpmath.log(mpmath.mpf(ratio.numerator) / ratio.denominator)) + 0.0


def counts():
    return [[sum(map(Fraction, SMALL[kind == KIND, j].tolist())) for j in range(3)] for kind in "abc"]


def test_multinomial_equals_fractions():
    """Probabilities are logarithms of quotients of counts, rounded once."""
    model = FederatedMultinomialNB(alpha=FRACTIONS).fit(SMALL, KIND)
    for k, row in enumerate(counts()):
        smoothed = [n + a for n, a in zip(row, FRACTIONS, strict=True)]
        assert model.feature_log_prob_[k].tolist() == [log(n, sum(smoothed)) for n in smoothed]
    assert model.class_log_prior_.tolist() == [log(Fraction(n), 5) for n in (2, 2, 1)]
    assert model.feature_count_.tolist() == [[float(n) for n in row] for row in counts()]


def test_complement_equals_fractions():
    """Weights are logarithms of what the other classes have, over their sum with `norm`."""
    every = [sum(column) for column in zip(*counts(), strict=True)]
    models = [FederatedComplementNB(alpha=FRACTIONS, norm=norm).fit(SMALL, KIND) for norm in (False, True)]
    for k, row in enumerate(counts()):
        others = [n + a - own for n, a, own in zip(every, FRACTIONS, row, strict=True)]
        logs = [log(n, sum(others)) for n in others]
        assert models[0].feature_log_prob_[k].tolist() == [-each for each in logs]
        np.testing.assert_allclose(models[1].feature_log_prob_[k], np.array(logs) / sum(logs), rtol=1e-15)
    assert models[0].feature_all_.tolist() == [float(n) for n in every]


def test_bernoulli_equals_fractions():
    """Probabilities are logarithms of shares of rows, rounded once; each feature has its own `alpha`."""
    model = FederatedBernoulliNB(alpha=FRACTIONS, fit_prior=False).fit(SMALL, KIND)
    for k, kind in enumerate("abc"):
        rows = (SMALL[kind == KIND] > 0).tolist()
        for j, alpha in enumerate(FRACTIONS):
            assert model.feature_log_prob_[k, j] == log(sum(row[j] for row in rows) + alpha, len(rows) + 2 * alpha)
    assert model.class_log_prior_.tolist() == [log(Fraction(1), 3)] * 3


ORACLES = [
    (FederatedMultinomialNB, MultinomialNB, {}),
    (FederatedMultinomialNB, MultinomialNB, {"alpha": np.linspace(0.1, 2, 64), "fit_prior": False}),
    (FederatedComplementNB, ComplementNB, {"alpha": 0.3}),
    (FederatedComplementNB, ComplementNB, {"norm": True, "class_prior": np.full(10, 0.1)}),
    (FederatedBernoulliNB, BernoulliNB, {}),
    (FederatedBernoulliNB, BernoulliNB, {"binarize": 5.0, "alpha": 0.5}),
]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["counted", "weighted"])
@pytest.mark.parametrize(("mine", "theirs", "params"), ORACLES)
def test_counts_are_near_scikit_learn(mine, theirs, params, weights):
    """scikit-learn agrees to 1e-12: it subtracts logarithms where we take that of the quotient."""
    one, other = mine(**params).fit(DIGITS, DIGIT, weights), theirs(**params).fit(DIGITS, DIGIT, weights)
    fitted = [name for name in vars(other) if name.endswith("_")]
    assert {"feature_count_", "feature_log_prob_", "class_count_", "class_log_prior_"} <= set(fitted)
    for name in fitted:
        assert getattr(one, name).dtype == getattr(other, name).dtype if name != "n_features_in_" else True
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, err_msg=name)
    assert np.array_equal(one.predict(DIGITS), other.predict(DIGITS))


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("mine", "theirs", "params"),
    [
        (FederatedMultinomialNB, MultinomialNB, {}),
        (FederatedComplementNB, ComplementNB, {}),
        (FederatedComplementNB, ComplementNB, {"norm": True}),
        (FederatedBernoulliNB, BernoulliNB, {}),
    ],
)
def test_without_smoothing_logarithms_may_be_infinite(mine, theirs, params):
    """A count of zero has the logarithm of zero, and what that leaves undefined is NaN: as in scikit-learn."""
    x = np.column_stack([SMALL, np.zeros(5, dtype=int)])
    one, other = mine(alpha=0, **params).fit(x, KIND), theirs(alpha=0, **params).fit(x, KIND)
    assert np.isinf(one.feature_log_prob_).any() or "norm" in params
    np.testing.assert_allclose(one.feature_log_prob_, other.feature_log_prob_, rtol=1e-14)
    empty = mine(alpha=0, **params).fit(np.zeros((5, 2)), KIND).feature_log_prob_
    np.testing.assert_array_equal(
        empty, theirs(alpha=0, **params).fit(np.zeros((5, 2)), KIND).feature_log_prob_, strict=True
    )


def test_one_feature_and_one_class():
    """Where there is nothing to tell apart, shares are one; scikit-learn's normalised weights are undefined, too."""
    assert FederatedMultinomialNB().fit(SMALL[:, :1], KIND).feature_log_prob_.tolist() == [[0.0]] * 3
    assert FederatedMultinomialNB().fit(SMALL, ["a"] * 5).class_log_prior_.tolist() == [0.0]
    assert np.isnan(FederatedComplementNB(norm=True).fit(SMALL[:, :1], KIND).feature_log_prob_).all()
    alone = FederatedComplementNB().fit(SMALL, ["a"] * 5)
    np.testing.assert_allclose(alone.feature_log_prob_, ComplementNB().fit(SMALL, ["a"] * 5).feature_log_prob_)


def test_small_alpha():
    """An `alpha` below 1e-10 is raised to it with a warning, unless forced."""
    with pytest.warns(UserWarning, match="alpha too small"):
        raised = FederatedMultinomialNB(alpha=0.0, force_alpha=False).fit(SMALL, KIND)
    same = FederatedMultinomialNB(alpha=1e-10).fit(SMALL, KIND)
    assert raised.feature_log_prob_.tolist() == same.feature_log_prob_.tolist()
    forced = FederatedMultinomialNB(alpha=1e-11).fit(SMALL, KIND)
    assert forced.feature_log_prob_[0, 0] != same.feature_log_prob_[0, 0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": [1.0, 2.0]}, r"Got shape \(2,\), but expected \(3,\)"),
        ({"alpha": [1.0, -2.0, 1.0]}, "in alpha"),
        ({"alpha": [1.0, np.nan, 1.0]}, "in alpha"),
        ({"class_prior": [0.5, 0.5]}, "Number of priors must match"),
        ({"class_prior": [0.5, 0.7, -0.2]}, "in class_prior"),
    ],
)
def test_bad_parameters_of_counts(params, message):
    """What smooths is as long as the features, what is declared as the classes; neither is negative."""
    with pytest.raises(ValueError, match=message):
        FederatedMultinomialNB(**params).fit(SMALL, KIND)


@pytest.mark.parametrize("model", [FederatedMultinomialNB(), FederatedComplementNB()], ids=str)
def test_negative_counts(model):
    """Of rows every negative count is refused; of a PSR those that a sum betrays."""
    x = SMALL.copy()
    x[0, 1] = -1
    with pytest.raises(ValueError, match="Negative values in data"):
        model.fit(x, KIND)
    hidden = PSR.from_rows(x, KIND, classes="kind")
    model.fit(hidden, "kind")
    x[0, 1] = -2
    with pytest.raises(DataError, match=r"Negative values in data.*\['x1'\]"):
        model.fit(PSR.from_rows(x, KIND, classes="kind"), "kind")


def test_binarised_rows_have_the_statistics_of_zeros_and_ones():
    """`binarize` is applied to rows before they are learned, so that their PSR is one of zeros and ones."""
    ones = DIGITS > 7
    expected = FederatedBernoulliNB(binarize=None).fit(ones, DIGIT)
    binarised = FederatedBernoulliNB(binarize=7).fit(DIGITS, DIGIT)
    assert fitted_digests(binarised) == fitted_digests(expected)
    psr = PSR.from_rows(ones[:900], DIGIT[:900], classes="y")
    parts = FederatedBernoulliNB(binarize=7, prior=psr).fit(DIGITS[900:], DIGIT[900:])
    assert fitted_digests(parts) == fitted_digests(expected)
    assert fitted_digests(FederatedBernoulliNB(binarize=7).fit(expected.psr_, "y")) == fitted_digests(expected)


def test_what_is_no_zero_or_one_is_refused():
    """Rows that are not binarised, and statistics, must be of zeros and ones; missing values stay missing."""
    with pytest.raises(DataError, match=r"columns \['x0', 'x1'\] that hold other numbers"):
        FederatedBernoulliNB(binarize=None).fit(SMALL, KIND)
    with pytest.raises(DataError, match=r"columns \['x0', 'x1'\] that hold other numbers"):
        FederatedBernoulliNB().fit(PSR.from_rows(SMALL, KIND, classes="kind"), "kind")
    with pytest.raises(DataError, match="NaN: column 'x2', row 1"):
        FederatedBernoulliNB().fit(np.where(SMALL == [[2, 1, 0]], [0, 0, np.nan], SMALL)[[0, 1]], KIND[:2])


@pytest.mark.parametrize("model", [FederatedBernoulliNB(), FederatedCategoricalNB()], ids=str)
def test_names_that_are_one_are_refused(model):
    """Columns whose names look alike are not taken for one."""
    with pytest.raises(SchemaError, match="more than once"):
        model.fit(pd.DataFrame(SMALL[:, :2], columns=["\u00e9", "e\u0301"]), KIND)


def test_declared_integers_and_decimals_are_counted_alike():
    """Declared digits are another schema, and the same numbers: zeros and ones are found in any unit."""
    ones = (SMALL > 0).astype(float)
    expected = FederatedBernoulliNB().fit(ones, KIND)
    for decimals in ({"x0": 0, "x1": 0, "x2": 0}, {"x0": 3, "x2": 1}):
        psr = PSR.from_rows(ones, KIND, classes="y", decimals=decimals)
        model = FederatedBernoulliNB().fit(psr, "y")
        assert model.feature_log_prob_.tolist() == expected.feature_log_prob_.tolist()
        counts = FederatedMultinomialNB().fit(PSR.from_rows(SMALL, KIND, classes="y", decimals=decimals), "y")
        assert counts.feature_count_.tolist() == FederatedMultinomialNB().fit(SMALL, KIND).feature_count_.tolist()


# -- categories ------------------------------------------------------------------------------------------------------

LEVELS = (DIGITS // 4).astype(int)
TABLE = np.array([[0, 1], [2, 1], [2, 0], [0, 0]])
NAMES = ("x0=0", "x0=2", "x1=0", "x1=1")


def test_categorical_equals_fractions():
    """Probabilities are logarithms of shares of rows, rounded once; a level between others counts, too."""
    model = FederatedCategoricalNB(alpha=0.25, min_categories=[1, 3]).fit(TABLE, ["a", "b", "b", "b"])
    alpha = Fraction(1, 4)
    expected = [[[1, 0, 0], [1, 0, 2]], [[0, 1, 0], [2, 1, 0]]]
    for j in range(2):
        assert model.category_count_[j].tolist() == expected[j]
        for k, rows in enumerate((1, 3)):
            assert model.feature_log_prob_[j][k].tolist() == [log(n + alpha, rows + 3 * alpha) for n in expected[j][k]]
    assert model.n_categories_.tolist() == [3, 3]
    assert model.psr_.names == NAMES


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["counted", "weighted"])
@pytest.mark.parametrize("params", [{}, {"alpha": 0.5, "min_categories": 7, "fit_prior": False}])
def test_categories_are_near_scikit_learn(params, weights):
    """scikit-learn agrees to 1e-12."""
    x = LEVELS[:, 18:48]
    mine = FederatedCategoricalNB(**params).fit(x, DIGIT, weights)
    theirs = CategoricalNB(**params).fit(x, DIGIT, weights)
    for name in ("category_count_", "feature_log_prob_"):
        for one, other in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=name)
    for name in ("class_count_", "class_log_prior_", "n_categories_"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-14, err_msg=name)
    assert np.array_equal(mine.predict(x), theirs.predict(x))


def test_levels_that_one_part_lacks():
    """Each part holds the levels that it has seen; their sum, in whatever way, is the fit to all rows."""
    x, y = LEVELS[:, 18:30], DIGIT
    cuts = [slice(0, 5), slice(5, 30), slice(30, None)]
    whole = FederatedCategoricalNB().fit(x, y)
    parts = [FederatedCategoricalNB().fit(x[cut], y[cut]).psr_ for cut in cuts]
    assert len(parts[0].names) < len(parts[1].names) < len(parts[2].names) == len(whole.psr_.names)
    model = FederatedCategoricalNB(prior=parts[2]).fit(x[cuts[0]], y[cuts[0]])
    assert fitted_digests(model.partial_fit(parts[1], "y")) == fitted_digests(whole)
    rest = FederatedCategoricalNB().fit(x[:30], y[:30])
    assert fitted_digests(model.forget(x[30:], y[30:])) == fitted_digests(rest)
    with pytest.raises(ForgetError):
        model.forget(parts[2], "y")
    assert fitted_digests(model) == fitted_digests(rest)


def test_levels_without_weight_or_rows_are_not_learned():
    """A level of rows of weight zero, or a declared column of zeros, is no level."""
    labels = ["a", "b", "b", "b"]
    model = FederatedCategoricalNB().fit(TABLE, labels, [1, 0, 0, 1])
    assert model.psr_.names == ("x0=0", "x1=0", "x1=1")
    declared = FederatedCategoricalNB().fit(model.psr_.with_zeros(["x0=8"]), "y")
    assert fitted_digests(declared) == fitted_digests(model)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([[0.0, 1.5], [1.0, 1.0]], DataError, "integers 0 to 65534 in column 'x1'"),
        ([[0, 70_000], [1, 1]], DataError, "integers 0 to 65534 in column 'x1'"),
        ([[0, -1], [1, 1]], ValueError, "Negative values in data"),
        ([[0.0, 1.0], [1.0, np.nan]], DataError, "NaN: column 'x1', row 1"),
    ],
)
def test_rows_that_hold_no_levels(rows, error, message):
    """Levels are 0, 1, ...; anything else is refused by the name of its column, and never its value."""
    with pytest.raises(error, match=message):
        FederatedCategoricalNB().fit(rows, ["a", "b"])


INDICATORS = {
    "two at once": ([[1, 1], [0, 0]], "that are not zeros and ones, one of them"),
    "none": ([[1, 0], [0, 0]], "that are not zeros and ones, one of them"),
    "neither zero nor one": ([[2, -1], [0, 1]], "that are not zeros and ones, one of them"),
}


@pytest.mark.parametrize("case", INDICATORS)
def test_statistics_that_are_not_those_of_indicators(case):
    """Exactly one indicator of a feature is one in each row; sums and products of a class tell."""
    rows, message = INDICATORS[case]
    psr = PSR.from_rows(pd.DataFrame(rows, columns=["f=0", "f=1"]), ["a", "a"], classes="kind")
    with pytest.raises(DataError, match=message):
        FederatedCategoricalNB().fit(psr, "kind")


def test_dummies_of_pandas_are_indicators():
    """What pandas makes of a column of levels is named as this model expects it."""
    frame = pd.DataFrame(TABLE, columns=["p", "q"])
    dummies = pd.get_dummies(frame, columns=["p", "q"], prefix_sep="=")
    model = FederatedCategoricalNB().fit(PSR.from_rows(dummies, list("abba"), classes="y"), "y")
    assert fitted_digests(model) == fitted_digests(FederatedCategoricalNB().fit(frame, list("abba")))


def test_features_of_categories_are_matched_by_name():
    """A PSR of indicators fits the features that their names tell, and no others."""
    model = FederatedCategoricalNB().fit(pd.DataFrame(TABLE, columns=["p", "q"]), ["a", "b", "b", "a"])
    assert model.feature_names_in_.tolist() == ["p", "q"]
    psr = model.psr_
    with pytest.raises(SchemaError, match="got levels of \\['p'\\], but expected \\['p', 'q'\\]"):
        model.partial_fit(psr.drop(["q=0", "q=1"]), "y")
    with pytest.raises(SchemaError, match="expected indicators called column=level"):
        FederatedCategoricalNB().fit(psr.with_zeros(["age"]), "y")
    turned = FederatedCategoricalNB().fit(psr.select(["q=1", "p=2", "q=0", "p=0", "y"]), "y")
    assert turned.feature_names_in_.tolist() == ["q", "p"]
    assert turned.psr_ == psr


@pytest.mark.parametrize(
    ("least", "message"), [([1.5, 2.0], "integral type"), ([1, 2, 3], r"should have shape \(2,\)")]
)
def test_bad_min_categories(least, message):
    """`min_categories` is an integer, or one for each feature."""
    with pytest.raises(ValueError, match=message):
        FederatedCategoricalNB(min_categories=least).fit(TABLE, list("abba"))

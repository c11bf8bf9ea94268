"""The contract of every estimator: scikit-learn's own checks, and what this package promises on top."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sklearn_symfed import PSR, FederatedGaussianNB, FederatedLinearDiscriminantAnalysis, FederatedPSR, FederatedRidge
from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.testing import assert_same_fit_by_name
from tests.family import FAMILY, FEATURES, FRAME, Case

EXEMPT = {str(case.estimator): case.exempt for case in FAMILY}
CHECKED = [*(case.estimator for case in FAMILY), FederatedPSR()]
LEAST_CHECKS = 45
"""For each estimator; scikit-learn 1.9 has 50 for a transformer and more for others."""


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return checks that an estimator cannot pass, each with its reason."""
    return EXEMPT.get(str(estimator), {})


FIRST = list({type(estimator): estimator for estimator in reversed(CHECKED)}.values())
unworried = pytest.mark.filterwarnings(
    "ignore:The .* features have rank:scipy.linalg.LinAlgWarning",
    "ignore:Features and targets have . components in common",
)


@unworried
@parametrize_with_checks(FIRST, expected_failed_checks=expected_failures)
def test_estimator_check(estimator: Any, check: Any) -> None:
    """An estimator keeps scikit-learn's contract."""
    check(estimator)


@pytest.mark.thorough
@unworried
@parametrize_with_checks(
    [estimator for estimator in CHECKED if estimator not in FIRST], expected_failed_checks=expected_failures
)
def test_estimator_check_of_other_parameters(estimator: Any, check: Any) -> None:
    """It keeps it with other parameters, too."""
    check(estimator)


@pytest.mark.parametrize("estimator", CHECKED, ids=str)
def test_number_of_checks(estimator: Any) -> None:
    """scikit-learn has many checks for each estimator: an empty suite would pass in silence."""
    checks = [
        name for _, check in estimator_checks_generator(estimator) for name in [getattr(check, "func", check).__name__]
    ]
    assert len(checks) >= LEAST_CHECKS
    assert "check_estimators_nan_inf" in checks
    assert set(expected_failures(estimator)) <= set(checks)
    assert all(len(reason.split()) > 3 for reason in expected_failures(estimator).values())


# -- what this package adds to the contract --------------------------------------------------------------------------

each = pytest.mark.parametrize("case", FAMILY, ids=str)
RIDGE, BAYES = Case(FederatedRidge(), "t"), Case(FederatedGaussianNB(), "late")


def assert_same(one: Any, other: Any) -> None:
    """Assert that every attribute is equal to the last bit."""
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        assert_equal(value, getattr(other, name), name)


def assert_equal(value: Any, other: Any, name: str) -> None:
    if isinstance(value, list):
        assert len(value) == len(other), name
        for one, another in zip(value, other, strict=True):
            assert_equal(one, another, name)
    elif isinstance(value, np.ndarray):
        assert value.dtype == other.dtype, name
        assert np.array_equal(value, other), name
    else:
        assert value == other, name


@each
def test_rows_and_their_statistics_fit_alike(case: Case) -> None:
    """A fit from rows and one from their PSR end with the same attributes."""
    whole = clone(case.estimator).fit(*case.rows())
    assert_same(whole, clone(case.estimator).fit(case.statistics(), case.target))
    assert whole.feature_names_in_.tolist() == FEATURES
    assert whole.psr_ == case.statistics()
    x, y = (None if part is None else part.to_numpy() for part in case.rows())
    from_arrays = clone(case.estimator).fit(x, y)
    psr = PSR.from_rows(case.encode(pd.DataFrame(x, columns=["x0", "x1", "x2"])), y, classes=case.classes and "y")
    assert_same(from_arrays, clone(case.estimator).fit(psr, None if y is None else "y"))
    assert not hasattr(from_arrays, "feature_names_in_")
    assert np.array_equal(from_arrays.n_features_in_, whole.n_features_in_)


@each
def test_parts_fit_as_the_whole(case: Case) -> None:
    """Neither the partition of rows, nor their order, nor the order of columns in what is merged moves a bit."""
    whole = clone(case.estimator).fit(*case.rows())
    parts = [case.frame[:7], case.frame[60:], case.frame[7:60]]
    merged = sum(case.statistics(part) for part in parts)
    assert_same(clone(case.estimator).fit(merged, case.target), whole)
    permuted = case.statistics(parts[0])
    for part in parts[1:]:
        psr = case.statistics(part)
        permuted = permuted + psr.select([*reversed(psr.names), *([] if case.classes is None else [case.classes])])
    assert_same(clone(case.estimator).fit(permuted, case.target), whole)
    model = clone(case.estimator)
    for part in parts:
        model.partial_fit(*case.rows(part))
    assert_same(model, whole)
    model = clone(case.estimator).partial_fit(case.statistics(parts[0]), case.target)
    model.partial_fit(case.statistics(parts[1])).partial_fit(*case.rows(parts[2]))
    assert_same(model, whole)


@each
def test_order_of_features(case: Case) -> None:
    """Whatever order the features stand in, each of them gets the same numbers."""
    x, y = case.rows()
    whole = clone(case.estimator).fit(x, y)
    for order in itertools.permutations(FEATURES):
        assert_same_fit_by_name(whole, clone(case.estimator).fit(x[list(order)], y))


@each
def test_forgetting(case: Case) -> None:
    """Forgetting rows, or their PSR, is never having learned them; `fit` forgets everything."""
    kept = clone(case.estimator).fit(*case.rows(case.frame[30:]))
    model = clone(case.estimator).fit(*case.rows()).forget(*case.rows(case.frame[:30]))
    assert_same(model, kept)
    model = clone(case.estimator).fit(*case.rows())
    assert_same(model.forget(case.statistics(case.frame[:30]), case.target), kept)
    assert_same(clone(case.estimator).fit(*case.rows()).fit(*case.rows(case.frame[30:])), kept)
    with pytest.raises(NotFittedError):
        clone(case.estimator).forget(*case.rows())


@each
def test_prior(case: Case) -> None:
    """A prior is added to what is learned, matched by name; its other columns do not matter."""
    whole = clone(case.estimator).fit(*case.rows())
    extra = case.frame[40:].assign(extra=1.5)
    kept = [*FEATURES, "extra", *([] if case.target is None else [case.target])]
    prior = PSR.from_rows(case.encode(extra[kept[::-1]]), classes=case.classes)
    x, y = case.rows(case.frame[:40])
    fitted = {name: value for name, value in vars(whole).items() if name != "prior"}
    for learned in [(x, y), (case.statistics(case.frame[:40]), case.target)]:
        model = clone(case.estimator).set_params(prior=prior).fit(*learned)
        assert_same(model.set_params(prior=None), whole)
        assert fitted.keys() == vars(model).keys() - {"prior"}
    if y is not None:
        lonely = prior.drop("extra")
        model = clone(case.estimator).set_params(prior=lonely).fit(x, y.to_numpy())
        assert_same(model.set_params(prior=None), whole)
    model = clone(case.estimator).set_params(prior=prior).partial_fit(*case.rows(case.frame[:10]))
    model.partial_fit(*case.rows(case.frame[10:40]))
    assert_same(model.set_params(prior=None), whole)


@each
@pytest.mark.parametrize("method", ["fit", "partial_fit", "forget"])
def test_all_or_nothing(case: Case, method: str) -> None:
    """A call that fails leaves every attribute as it was."""
    model = clone(case.estimator).fit(*case.rows())
    before = dict(vars(model))
    x, y = case.rows()
    missing = x.copy()
    missing.iloc[5, 1] = np.nan
    failures = [
        (missing, y),
        (x[:0], y if y is None else y[:0]),
        (case.statistics(), "nothing"),
    ]
    failures += [] if method == "fit" else [(x.rename(columns={"a": "z"}), y), (x[["a", "b"]], y)]
    failures += [(x * 3, y)] if method == "forget" else []
    for arguments in failures:
        with pytest.raises(ValueError):
            getattr(model, method)(*arguments)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())


@each
def test_nothing_is_left(case: Case) -> None:
    """Forgetting every row leaves nothing to fit, and is refused."""
    model = clone(case.estimator).fit(*case.rows())
    with pytest.raises(DataError, match="no rows are left"):
        model.forget(*case.rows())
    assert model.psr_.n_rows == len(case.frame)


@each
def test_to_sklearn(case: Case) -> None:
    """The plain scikit-learn estimator predicts and transforms the same, and knows no PSR."""
    model = clone(case.estimator).fit(*case.rows())
    plain = model.to_sklearn()
    assert type(plain).__module__.startswith("sklearn.")
    assert isinstance(model, type(plain))
    assert not any(isinstance(value, PSR) for value in vars(plain).values())
    x, _ = case.rows()
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, method):
            assert np.array_equal(getattr(plain, method)(x), getattr(model, method)(x)), method
    clone(plain).fit(*case.rows())


@each
@pytest.mark.parametrize("library", [pickle, joblib], ids=["pickle", "joblib"])
def test_copies(case: Case, library: Any, tmp_path: Any) -> None:
    """A fitted estimator survives pickle and joblib, and goes on learning."""
    model = clone(case.estimator).fit(*case.rows(case.frame[:50]))
    with (tmp_path / "model").open("wb") as file:
        library.dump(model, file)
    with (tmp_path / "model").open("rb") as file:
        again = library.load(file)
    assert_same(again, model)
    again.partial_fit(*case.rows(case.frame[50:]))
    assert_same(again, clone(case.estimator).fit(*case.rows()))


@each
def test_weights(case: Case) -> None:
    """Integer weights repeat rows; a PSR has weights of its own and takes none."""
    weights = np.random.default_rng(0).integers(0, 3, len(case.frame))
    x, y = case.rows()
    repeated = clone(case.estimator).fit(*case.rows(case.frame.loc[case.frame.index.repeat(weights)]))
    assert_same(clone(case.estimator).fit(x, y, sample_weight=weights), repeated)
    with pytest.raises(SchemaError, match="sample_weight"):
        clone(case.estimator).fit(case.statistics(), case.target, sample_weight=weights)


@each
def test_pipeline_from_statistics(case: Case) -> None:
    """A pipeline passes a PSR and the name of its target on."""
    pipeline = make_pipeline(clone(case.estimator)).fit(case.statistics(), case.target)
    assert_same(pipeline[-1], clone(case.estimator).fit(*case.rows()))


@pytest.mark.parametrize("case", [case for case in FAMILY if hasattr(case.estimator, "transform")], ids=str)
def test_set_output(case: Case) -> None:
    """`set_output` is obeyed, also after a fit from statistics."""
    model = clone(case.estimator).set_output(transform="pandas").fit(case.statistics(), case.target)
    out = model.transform(case.rows()[0])
    assert isinstance(out, pd.DataFrame)
    assert out.columns.tolist() == model.get_feature_names_out().tolist()


def test_grid_search_with_a_prior() -> None:
    """A search tunes on own rows while every candidate also stands on the peers' statistics."""
    prior = PSR.from_rows(FRAME[45:][[*FEATURES, "t"]])
    search = GridSearchCV(FederatedRidge(prior=prior), {"alpha": [0.1, 10.0]}, cv=3).fit(
        FRAME[:45][FEATURES], FRAME[:45].t
    )
    best = FederatedRidge(**search.best_params_).fit(FRAME[FEATURES], FRAME.t)
    assert np.array_equal(search.best_estimator_.coef_, best.coef_)
    assert search.best_estimator_.psr_ == best.psr_


@pytest.mark.parametrize("estimator", [FederatedGaussianNB(), FederatedLinearDiscriminantAnalysis()], ids=str)
def test_classes(estimator: Any) -> None:
    """Classes may appear at any time; those declared bound what rows may hold; labels keep their type."""
    x = FRAME[FEATURES]
    labels = np.array(["one", "two", "six"])[np.arange(len(x)) % 3]
    whole = clone(estimator).fit(x, labels)
    assert whole.classes_.tolist() == ["one", "six", "two"]
    model = clone(estimator).partial_fit(x[labels == "two"], labels[labels == "two"], classes=["one", "two", "six"])
    assert model.classes_.tolist() == ["two"]
    assert_same(model.partial_fit(x[labels != "two"], labels[labels != "two"]), whole)
    with pytest.raises(SchemaError, match="Got 1 labels in y that are not among the 2"):
        clone(estimator).partial_fit(x, labels, classes=["one", "two"])
    assert clone(estimator).fit(x, FRAME.late).classes_.dtype == bool
    assert clone(estimator).fit(x, np.arange(len(x)) % 2 + 1.0).classes_.tolist() == [1, 2]
    with pytest.raises(TypeError, match="accuracy is not a function of the statistics"):
        model.score(BAYES.statistics(), "late")
    assert 0 < whole.score(x, labels) <= 1


NAMING_ERRORS = {
    "no y": (FederatedRidge(), RIDGE.statistics(), None, "requires y to be passed"),
    "no such column": (FederatedRidge(), RIDGE.statistics(), "fare", "fare"),
    "no name": (FederatedRidge(), RIDGE.statistics(), 3, "name of a column"),
    "no feature": (FederatedRidge(), RIDGE.statistics(), [*FEATURES, "t"], "0 feature"),
    "no class column": (FederatedGaussianNB(), RIDGE.statistics(), "t", "without class column"),
    "not the class column": (FederatedGaussianNB(), BAYES.statistics(), "a", "class column 'late'"),
    "prior lacks a feature": (
        FederatedRidge(prior=RIDGE.statistics().drop("a")),
        FRAME[FEATURES],
        FRAME.t,
        "'a'",
    ),
    "prior lacks the target": (FederatedRidge(prior=PSR.from_rows(FRAME[FEATURES])), FRAME[FEATURES], FRAME.t, "prior"),
    "prior lacks classes": (
        FederatedGaussianNB(prior=RIDGE.statistics()),
        FRAME[FEATURES],
        FRAME.late,
        "prior",
    ),
}


@pytest.mark.parametrize("case", NAMING_ERRORS)
def test_naming_errors(case: str) -> None:
    """What does not fit by name is refused with the names in question."""
    estimator, x, y, message = NAMING_ERRORS[case]
    with pytest.raises(SchemaError, match=message):
        clone(estimator).fit(x, y)


def test_later_targets_carry_the_same_name() -> None:
    """A later target may be nameless, but not have another name."""
    model = FederatedRidge().fit(RIDGE.statistics(), "t")
    model.partial_fit(FRAME[FEATURES], FRAME.t.to_numpy())
    with pytest.raises(SchemaError, match="'fare'"):
        model.partial_fit(FRAME[FEATURES], FRAME.t.rename("fare"))
    with pytest.raises(SchemaError, match="'a'"):
        model.partial_fit(RIDGE.statistics(), "a")
    with pytest.raises(SchemaError, match="targets"):
        model.partial_fit(FRAME[FEATURES], FRAME[["t", "a"]])

"""The contract of every estimator: scikit-learn's own checks, and what this package promises on top."""

from __future__ import annotations

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

from sklearn_symfed import FederatedPSR
from sklearn_symfed.decomposition import FederatedPCA
from sklearn_symfed.discriminant_analysis import FederatedLinearDiscriminantAnalysis
from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.linear_model import FederatedLinearRegression, FederatedRidge
from sklearn_symfed.naive_bayes import FederatedGaussianNB
from sklearn_symfed.psr import PSR

ESTIMATORS = [
    FederatedGaussianNB(),
    FederatedLinearDiscriminantAnalysis(),
    FederatedLinearDiscriminantAnalysis(shrinkage=0.5),
    FederatedLinearRegression(),
    FederatedPCA(),
    FederatedRidge(),
]
CHECKED = [*ESTIMATORS, FederatedPSR()]
LEAST_CHECKS = 45
"""For each estimator; scikit-learn 1.9 has 50 for a transformer and more for others."""


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return checks that an estimator cannot pass, each with its reason."""
    return {}


@pytest.mark.filterwarnings("ignore:The .* features have rank:scipy.linalg.LinAlgWarning")
@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_estimator_check(estimator: Any, check: Any) -> None:
    """An estimator keeps scikit-learn's contract."""
    check(estimator)


@pytest.mark.parametrize("estimator", CHECKED, ids=str)
def test_number_of_checks(estimator: Any) -> None:
    """scikit-learn has many checks for each estimator: an empty suite would pass in silence."""
    checks = [
        name for _, check in estimator_checks_generator(estimator) for name in [getattr(check, "func", check).__name__]
    ]
    assert len(checks) >= LEAST_CHECKS
    assert "check_estimators_nan_inf" in checks
    assert len(expected_failures(estimator)) == 0


# -- what this package adds to the contract --------------------------------------------------------------------------

CLASSIFIERS = (FederatedGaussianNB, FederatedLinearDiscriminantAnalysis)
INTEGERS = np.random.default_rng(0).integers(-50, 50, size=(90, 3))
FRAME = pd.DataFrame(INTEGERS + np.random.default_rng(1).normal(size=(90, 3)), columns=["b", "a", "c"]).assign(
    t=lambda f: f.a - 2 * f.b + INTEGERS[:, 0], late=lambda f: f.t > 3
)
FEATURES = ["b", "a", "c"]
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)


def target_of(estimator: Any) -> str | None:
    return "late" if isinstance(estimator, CLASSIFIERS) else None if isinstance(estimator, FederatedPCA) else "t"


def rows_of(estimator: Any, frame: pd.DataFrame = FRAME) -> tuple[Any, Any]:
    target = target_of(estimator)
    return frame[FEATURES], None if target is None else frame[target]


def statistics_of(estimator: Any, frame: pd.DataFrame = FRAME) -> PSR:
    target = target_of(estimator)
    columns = [*FEATURES, *([] if target is None else [target])]
    return PSR.from_rows(frame[columns], classes="late" if target == "late" else None)


def assert_same(one: Any, other: Any) -> None:
    """Assert that every attribute is equal to the last bit."""
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            assert value.dtype == getattr(other, name).dtype, name
            assert np.array_equal(value, getattr(other, name)), name
        else:
            assert value == getattr(other, name), name


@each
def test_rows_and_their_statistics_fit_alike(estimator: Any) -> None:
    """A fit from rows and one from their PSR end with the same attributes."""
    whole = clone(estimator).fit(*rows_of(estimator))
    assert_same(whole, clone(estimator).fit(statistics_of(estimator), target_of(estimator)))
    assert whole.feature_names_in_.tolist() == FEATURES
    assert whole.psr_ == statistics_of(estimator)
    x, y = (None if part is None else part.to_numpy() for part in rows_of(estimator))
    classes = True if isinstance(estimator, CLASSIFIERS) else None
    from_arrays = clone(estimator).fit(x, y)
    assert_same(from_arrays, clone(estimator).fit(PSR.from_rows(x, y, classes=classes), None if y is None else "y"))
    assert not hasattr(from_arrays, "feature_names_in_")
    assert np.array_equal(from_arrays.n_features_in_, whole.n_features_in_)


@each
def test_parts_fit_as_the_whole(estimator: Any) -> None:
    """Neither the partition of rows, nor their order, nor the order of columns in what is merged moves a bit."""
    whole = clone(estimator).fit(*rows_of(estimator))
    parts = [FRAME[:7], FRAME[60:], FRAME[7:60]]
    merged = sum(statistics_of(estimator, part) for part in parts)
    assert_same(clone(estimator).fit(merged, target_of(estimator)), whole)
    permuted = statistics_of(estimator, parts[0])
    for part in parts[1:]:
        psr = statistics_of(estimator, part)
        permuted = permuted + psr.select(
            [target_of(estimator) or "a", *(set(FEATURES) - {target_of(estimator) or "a"})]
        )
    assert_same(clone(estimator).fit(permuted, target_of(estimator)), whole)
    model = clone(estimator)
    for part in parts:
        model.partial_fit(*rows_of(estimator, part))
    assert_same(model, whole)
    model = clone(estimator).partial_fit(statistics_of(estimator, parts[0]), target_of(estimator))
    model.partial_fit(statistics_of(estimator, parts[1])).partial_fit(*rows_of(estimator, parts[2]))
    assert_same(model, whole)


@each
def test_forgetting(estimator: Any) -> None:
    """Forgetting rows, or their PSR, is never having learned them; `fit` forgets everything."""
    kept = clone(estimator).fit(*rows_of(estimator, FRAME[30:]))
    model = clone(estimator).fit(*rows_of(estimator)).forget(*rows_of(estimator, FRAME[:30]))
    assert_same(model, kept)
    model = clone(estimator).fit(*rows_of(estimator))
    assert_same(model.forget(statistics_of(estimator, FRAME[:30]), target_of(estimator)), kept)
    assert_same(clone(estimator).fit(*rows_of(estimator)).fit(*rows_of(estimator, FRAME[30:])), kept)
    with pytest.raises(NotFittedError):
        clone(estimator).forget(*rows_of(estimator))


@each
def test_prior(estimator: Any) -> None:
    """A prior is added to what is learned, matched by name; its other columns do not matter."""
    whole = clone(estimator).fit(*rows_of(estimator))
    classes = "late" if isinstance(estimator, CLASSIFIERS) else None
    extra = FRAME[40:].assign(extra=1.5)
    kept = [*FEATURES, "extra", *([] if target_of(estimator) is None else [target_of(estimator)])]
    prior = PSR.from_rows(extra[kept[::-1]], classes=classes)
    x, y = rows_of(estimator, FRAME[:40])
    fitted = {name: value for name, value in vars(whole).items() if name != "prior"}
    for learned in [(x, y), (statistics_of(estimator, FRAME[:40]), target_of(estimator))]:
        model = clone(estimator).set_params(prior=prior).fit(*learned)
        assert_same(model.set_params(prior=None), whole)
        assert fitted.keys() == vars(model).keys() - {"prior"}
    if y is not None:
        lonely = prior.drop("extra")
        model = clone(estimator).set_params(prior=lonely).fit(x, y.to_numpy())
        assert_same(model.set_params(prior=None), whole)
    model = clone(estimator).set_params(prior=prior).partial_fit(*rows_of(estimator, FRAME[:10]))
    model.partial_fit(*rows_of(estimator, FRAME[10:40]))
    assert_same(model.set_params(prior=None), whole)


@each
@pytest.mark.parametrize("method", ["fit", "partial_fit", "forget"])
def test_all_or_nothing(estimator: Any, method: str) -> None:
    """A call that fails leaves every attribute as it was."""
    model = clone(estimator).fit(*rows_of(estimator))
    before = dict(vars(model))
    x, y = rows_of(estimator)
    missing = x.copy()
    missing.iloc[5, 1] = np.nan
    failures = [
        (missing, y),
        (x[:0], y if y is None else y[:0]),
        (statistics_of(estimator).drop("a"), "nothing"),
    ]
    failures += [] if method == "fit" else [(x.rename(columns={"a": "z"}), y), (x[["a", "b"]], y)]
    failures += [(x * 3, y)] if method == "forget" else []
    for arguments in failures:
        with pytest.raises(ValueError):
            getattr(model, method)(*arguments)
        assert vars(model).keys() == before.keys()
        assert all(vars(model)[name] is value for name, value in before.items())


@each
def test_nothing_is_left(estimator: Any) -> None:
    """Forgetting every row leaves nothing to fit, and is refused."""
    model = clone(estimator).fit(*rows_of(estimator))
    with pytest.raises(DataError, match="no rows are left"):
        model.forget(*rows_of(estimator))
    assert model.psr_.n_rows == len(FRAME)


@each
def test_to_sklearn(estimator: Any) -> None:
    """The plain scikit-learn estimator predicts and transforms the same, and knows no PSR."""
    model = clone(estimator).fit(*rows_of(estimator))
    plain = model.to_sklearn()
    assert type(plain).__module__.startswith("sklearn.")
    assert isinstance(model, type(plain))
    assert not any(isinstance(value, PSR) for value in vars(plain).values())
    x, _ = rows_of(estimator)
    for method in ("predict", "predict_proba", "decision_function", "transform"):
        if hasattr(model, method):
            assert np.array_equal(getattr(plain, method)(x), getattr(model, method)(x)), method
    clone(plain).fit(*rows_of(estimator))


@each
@pytest.mark.parametrize("library", [pickle, joblib], ids=["pickle", "joblib"])
def test_copies(estimator: Any, library: Any, tmp_path: Any) -> None:
    """A fitted estimator survives pickle and joblib, and goes on learning."""
    model = clone(estimator).fit(*rows_of(estimator, FRAME[:50]))
    with (tmp_path / "model").open("wb") as file:
        library.dump(model, file)
    with (tmp_path / "model").open("rb") as file:
        again = library.load(file)
    assert_same(again, model)
    again.partial_fit(*rows_of(estimator, FRAME[50:]))
    assert_same(again, clone(estimator).fit(*rows_of(estimator)))


@each
def test_weights(estimator: Any) -> None:
    """Integer weights repeat rows; a PSR has weights of its own and takes none."""
    weights = np.random.default_rng(0).integers(0, 3, len(FRAME))
    x, y = rows_of(estimator)
    repeated = clone(estimator).fit(*rows_of(estimator, FRAME.loc[FRAME.index.repeat(weights)]))
    assert_same(clone(estimator).fit(x, y, sample_weight=weights), repeated)
    with pytest.raises(SchemaError, match="sample_weight"):
        clone(estimator).fit(statistics_of(estimator), target_of(estimator), sample_weight=weights)


@each
def test_pipeline_from_statistics(estimator: Any) -> None:
    """A pipeline passes a PSR and the name of its target on."""
    pipeline = make_pipeline(clone(estimator)).fit(statistics_of(estimator), target_of(estimator))
    assert_same(pipeline[-1], clone(estimator).fit(*rows_of(estimator)))


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if hasattr(e, "transform")], ids=str)
def test_set_output(estimator: Any) -> None:
    """`set_output` is obeyed, also after a fit from statistics."""
    model = clone(estimator).set_output(transform="pandas").fit(statistics_of(estimator), target_of(estimator))
    out = model.transform(FRAME[FEATURES])
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
        model.score(statistics_of(estimator), "late")
    assert 0 < whole.score(x, labels) <= 1


NAMING_ERRORS = {
    "no y": (FederatedRidge(), statistics_of(FederatedRidge()), None, "requires y to be passed"),
    "no such column": (FederatedRidge(), statistics_of(FederatedRidge()), "fare", "fare"),
    "no name": (FederatedRidge(), statistics_of(FederatedRidge()), 3, "name of a column"),
    "no feature": (FederatedRidge(), statistics_of(FederatedRidge()), [*FEATURES, "t"], "0 feature"),
    "no class column": (FederatedGaussianNB(), statistics_of(FederatedRidge()), "t", "without class column"),
    "not the class column": (FederatedGaussianNB(), statistics_of(FederatedGaussianNB()), "a", "class column 'late'"),
    "prior lacks a feature": (
        FederatedRidge(prior=statistics_of(FederatedRidge()).drop("a")),
        FRAME[FEATURES],
        FRAME.t,
        "'a'",
    ),
    "prior lacks the target": (FederatedRidge(prior=PSR.from_rows(FRAME[FEATURES])), FRAME[FEATURES], FRAME.t, "prior"),
    "prior lacks classes": (
        FederatedGaussianNB(prior=statistics_of(FederatedRidge())),
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
    model = FederatedRidge().fit(statistics_of(FederatedRidge()), "t")
    model.partial_fit(FRAME[FEATURES], FRAME.t.to_numpy())
    with pytest.raises(SchemaError, match="'fare'"):
        model.partial_fit(FRAME[FEATURES], FRAME.t.rename("fare"))
    with pytest.raises(SchemaError, match="'a'"):
        model.partial_fit(statistics_of(FederatedRidge()), "a")
    with pytest.raises(SchemaError, match="targets"):
        model.partial_fit(FRAME[FEATURES], FRAME[["t", "a"]])

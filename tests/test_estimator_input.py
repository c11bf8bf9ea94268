"""Rows as estimators read them: names and labels mean what they mean in a PSR, and no message quotes a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.utils.validation import DataConversionWarning

from sklearn_symfed import (
    PSR,
    FederatedGaussianNB,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedPCA,
    FederatedPSR,
    FederatedRidge,
)
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
Y = X @ [1.0, 2.0, 3.0] + RNG.normal(size=30)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
CANARY = 4711.25  # a value that no message may show
CLASSIFIERS = [FederatedGaussianNB(), FederatedLinearDiscriminantAnalysis()]
ESTIMATORS = [*CLASSIFIERS, FederatedLinearRegression(), FederatedPCA(), FederatedRidge()]
classifiers = pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)


def target_for(estimator: Any) -> Any:
    return Y > 0 if isinstance(estimator, tuple(map(type, CLASSIFIERS))) else Y


def message_of(call: Any) -> str:
    """Return the message of the error that a call raises."""
    with pytest.raises(ValueError) as caught:
        call()
    return str(caught.value)


# -- labels ----------------------------------------------------------------------------------------------------------

KINDS = {
    "bool": lambda y: y,
    "objects": lambda y: y.astype(object),
    "nullable": lambda y: pd.Series(y).astype("boolean"),
    "category": lambda y: pd.Series(y).astype("category"),
    "arrow": lambda y: pd.Series(y).astype("bool[pyarrow]"),
    "list": lambda y: y.tolist(),
    "integral floats": lambda y: y.astype(float),
    "nullable integers": lambda y: pd.Series(y.astype(int)).astype("Int8"),
    "strings": lambda y: pd.Series(np.where(y, "late", "early")),
    "categories of strings": lambda y: pd.Series(np.where(y, "late", "early")).astype("category"),
}


@classifiers
@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_those_of_the_psr(estimator: Any, kind: str) -> None:
    """Whatever holds the labels, rows and their PSR agree on what and of which kind they are."""
    labels = KINDS[kind](Y > 0)
    model = clone(estimator).fit(X, labels)
    psr = PSR.from_rows(X, labels, classes="y")
    assert model.psr_ == psr
    assert [type(label) for label in model.classes_.tolist()] == [type(label) for label in psr.labels]
    assert model.score(X, labels) == model.score(X, model.classes_[(Y > 0).astype(int)])
    halves = clone(estimator).partial_fit(X[:15], labels[:15], classes=psr.labels).partial_fit(X[15:], labels[15:])
    assert halves.psr_ == psr


@classifiers
def test_labels_of_two_kinds(estimator: Any) -> None:
    """True, 1 and "1" are three labels: they meet neither in a list, nor in what was declared, nor in a score."""
    with pytest.raises(SchemaError, match="one kind"):
        clone(estimator).fit(X[:4], [1, "1", 1, "1"])
    with pytest.raises(SchemaError, match="one kind"):
        clone(estimator).partial_fit(X, Y > 0, classes=[0, 1])
    with pytest.raises(SchemaError, match="one kind"):
        clone(estimator).fit(X, Y > 0).score(X, np.where(Y > 0, "late", "early"))


@classifiers
def test_a_column_of_labels(estimator: Any) -> None:
    """Labels as a single column are taken, with scikit-learn's warning."""
    for column in ((Y > 0)[:, None], pd.DataFrame({"late": Y > 0})):
        with pytest.warns(DataConversionWarning, match="column-vector"):
            model = clone(estimator).fit(X, column)
        assert model.classes_.dtype == bool


@each
def test_polars(estimator: Any) -> None:
    """Frames and series of polars are read as those of pandas."""
    pl = pytest.importorskip("polars", reason="polars is not among the extras; it is read where it is installed")
    y = target_for(estimator)
    frame = pl.DataFrame({name: FRAME[name].to_numpy() for name in FRAME})
    model = clone(estimator).fit(frame, pl.Series(y))
    plain = clone(estimator).fit(FRAME, y)
    assert model.psr_ == plain.psr_
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert clone(estimator).fit(X, pl.Series("target", y)).psr_.n_rows == 30
    for method in ("predict", "transform"):
        if hasattr(model, method):
            assert np.array_equal(getattr(model, method)(frame), getattr(plain, method)(FRAME))
    assert model.score(frame, pl.Series(y)) == plain.score(FRAME, y)


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [None, "b"])
@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if not isinstance(e, FederatedPCA)], ids=str)
def test_a_feature_with_the_name_of_the_target(estimator: Any, name: str | None) -> None:
    """The target gives way: it is called as the feature, and an underscore or more, in every later batch too."""
    frame = FRAME.rename(columns={"a": "y", "c": "y_"})
    target = pd.Series(target_for(estimator), name=name)
    called = "y__" if name is None else "b_"
    model = clone(estimator).fit(frame, target)
    classes = called if isinstance(estimator, tuple(map(type, CLASSIFIERS))) else None
    psr = PSR.from_rows(frame.assign(**{called: target}), classes=classes)
    assert model.psr_ == psr
    assert model.feature_names_in_.tolist() == ["y", "b", "y_"]
    same = clone(estimator).fit(psr, called)
    assert np.array_equal(model.predict(frame), same.predict(frame))
    batches = clone(estimator).partial_fit(frame[:10], target[:10]).partial_fit(frame[10:], target[10:])
    assert batches.psr_ == psr
    assert batches.forget(frame[:10], target[:10]).psr_ == clone(estimator).fit(frame[10:], target[10:]).psr_
    same.partial_fit(frame, target.to_numpy())
    assert same.psr_ == psr + psr
    prior = clone(estimator).set_params(prior=psr).fit(frame, target)
    assert prior.psr_ == psr + psr


def test_several_targets_with_names_of_features() -> None:
    """Each of several targets gives way by itself; so does one that is called as a column of an array."""
    targets = pd.DataFrame({"b": Y, "t": 2 * Y, "b_": -Y})
    assert FederatedRidge().fit(FRAME, targets).psr_.names == ("a", "b", "c", "b__", "t", "b_")
    assert FederatedRidge().fit(X, pd.Series(Y, name="x1")).psr_.names == ("x0", "x1", "x2", "x1_")


def test_targets_that_are_none_or_one_twice() -> None:
    """Two targets of one name stay an error, and so does a table without columns."""
    with pytest.raises(SchemaError, match=r"more than once: \['a'\]"):
        FederatedRidge().fit(FRAME, pd.DataFrame(np.column_stack([Y, Y]), columns=["a", "a"]))
    with pytest.raises(DataError, match="y has 0 columns"):
        FederatedRidge().fit(X, np.zeros((30, 0)))


@pytest.mark.filterwarnings("error:The .* features have rank")
def test_names_that_look_equal() -> None:
    """A name in decomposed Unicode is the composed one, in rows as in a PSR."""
    target, name = pd.Series(Y, name="e\u0301"), "\u00e9"
    model = FederatedRidge().fit(FRAME, target)
    assert model.psr_.names == ("a", "b", "c", name)
    psr = PSR.from_rows(FRAME, target)
    for spelling in (name, "e\u0301"):
        assert np.array_equal(FederatedRidge().fit(psr, spelling).coef_, model.coef_)
        assert model.score(psr, spelling) == model.score(psr)
    assert FederatedRidge().fit(FRAME.rename(columns={"a": name}), target).psr_.names == (name, "b", "c", f"{name}_")
    labels = (target > 0).rename("e\u0301")
    psr = PSR.from_rows(FRAME, labels, classes=name)
    model = FederatedGaussianNB().partial_fit(FRAME, labels).partial_fit(psr, name)
    assert model.fit(model.psr_, "e\u0301").psr_.schema.classes == name


def test_a_prior_whose_classes_are_a_feature() -> None:
    """Labels are never read from the features because a prior has a class column of that name."""
    prior = PSR.from_rows(FRAME.assign(b=Y > 0), classes="b")
    with pytest.raises(SchemaError, match="'b'"):
        FederatedGaussianNB(prior=prior).fit(FRAME, Y > 0)


# -- what messages show ----------------------------------------------------------------------------------------------


@each
def test_no_value_in_messages(estimator: Any) -> None:
    """What cannot be read is refused without quoting it: by `fit`, and by what predicts."""
    y = target_for(estimator)
    model = clone(estimator).fit(X, y)
    strings = np.full(X.shape, "secret4711")
    wrong = [
        np.full(30, CANARY),
        strings,
        strings.astype(object),
        pd.DataFrame(strings),
        pd.DataFrame(strings).astype(object),
    ]
    wrong += [np.float64(CANARY), [[CANARY], [1.0, 2.0]], np.array([[CANARY, "4711.25", None]] * 30, dtype=object)]
    methods = ["predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples"]
    methods += ["predict_joint_log_proba", "inverse_transform"]
    for rows in wrong:
        assert "4711" not in message_of(lambda rows=rows: clone(estimator).fit(rows, y))
        assert "4711" not in message_of(lambda rows=rows: clone(estimator).partial_fit(rows, y))
        assert "4711" not in message_of(lambda rows=rows: model.score(rows, y))
        for method in methods:
            if hasattr(model, method):
                assert "4711" not in message_of(lambda rows=rows, method=method: getattr(model, method)(rows))


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if not isinstance(e, FederatedPCA)], ids=str)
def test_no_target_in_messages(estimator: Any) -> None:
    """Targets and labels that cannot be read are refused without quoting them, by `fit` and `score`."""
    model = clone(estimator).fit(X, target_for(estimator))
    for y in (np.full(30, CANARY) + 0j, np.full(30, "secret4711"), [CANARY] * 29, np.full((30, 2, 2), CANARY)):
        if model.__class__ is not FederatedGaussianNB or not np.array_equal(y, ["secret4711"] * 30):
            assert "4711" not in message_of(lambda y=y: model.score(X, y))
    for y in (np.full(30, CANARY) + 0j, [CANARY] * 29, np.full((30, 2, 2), CANARY)):
        assert "4711" not in message_of(lambda y=y: clone(estimator).fit(X, y))


@classifiers
def test_undeclared_labels_are_counted(estimator: Any) -> None:
    """How many labels were not declared is said, not which."""
    labels = np.where(Y > 1, 4711, np.where(Y > 0, 47110, 1))
    message = message_of(lambda: clone(estimator).partial_fit(X, labels, classes=[0, 1, 2]))
    assert message.startswith("Got 2 labels in y that are not among")
    assert "4711" not in message


@each
def test_masked_rows(estimator: Any) -> None:
    """Values that a mask hides are never learned, nor predicted from."""
    y = target_for(estimator)
    masked = np.ma.masked_array(X, mask=np.arange(90).reshape(30, 3) == 4)
    model = clone(estimator).fit(np.ma.masked_array(X), y)
    assert model.psr_ == clone(estimator).fit(X, y).psr_
    with pytest.raises(DataError, match="masked"):
        clone(estimator).fit(masked, y)
    for method in ("predict", "transform"):
        if hasattr(model, method):
            with pytest.raises(DataError, match="masked"):
                getattr(model, method)(masked)
    if not isinstance(estimator, FederatedPCA):
        with pytest.raises(DataError, match="masked"):
            clone(estimator).fit(X, np.ma.masked_array(y, mask=np.arange(30) == 3))


# -- nodes and statistics where they do not belong ---------------------------------------------------------------------


@each
def test_a_node_is_no_psr(estimator: Any) -> None:
    """A node, fitted or not, is refused with the name of what holds its statistics."""
    for node in (FederatedPSR(), FederatedPSR().fit(X)):
        for method in ("fit", "partial_fit"):
            with pytest.raises(DataTypeError, match=r"a FederatedPSR, but expected .* pass its psr_"):
                getattr(clone(estimator), method)(node, "t")


@each
def test_statistics_are_not_predicted_from(estimator: Any) -> None:
    """What predicts asks for rows, and what transforms does not take a node for its statistics."""
    model = clone(estimator).fit(X, target_for(estimator))
    for method in ("predict", "predict_proba", "transform"):
        if hasattr(model, method):
            if method != "transform":
                with pytest.raises(DataTypeError, match=rf"{method} needs rows, but got a PSR"):
                    getattr(model, method)(model.psr_)
            with pytest.raises(DataTypeError, match=rf"{method} needs rows, but got a FederatedPSR"):
                getattr(model, method)(FederatedPSR().fit(X))


@pytest.mark.parametrize("shrinkage", [-1, 1.5, "auto"])
def test_shrinkage_that_cannot_be(shrinkage: Any) -> None:
    """What is listed as valid is valid; "auto" is told what to pass instead."""
    message = message_of(lambda: FederatedLinearDiscriminantAnalysis(shrinkage=shrinkage).fit(X, Y > 0))
    if shrinkage == "auto":
        assert all(word in message for word in ("OAS", "fourth moments", "a float"))
    else:
        assert "auto" not in message
        assert "None" in message


# -- scales ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2.0**996, 2.0**-996])
def test_extreme_scales(scale: float) -> None:
    """Squares beyond float64 do not matter where the result is within: a power of two moves the exponent only."""
    plain, model = FederatedLinearRegression().fit(X, Y), FederatedLinearRegression().fit(X * scale, Y)
    assert np.array_equal(model.coef_ * scale, plain.coef_)
    assert model.intercept_ == plain.intercept_
    assert np.array_equal(model.singular_ / scale, plain.singular_)
    assert np.array_equal(model.coef_stderr_ * scale, plain.coef_stderr_)
    assert LinearRegression().fit(X, Y).coef_ == pytest.approx(plain.coef_)
    for estimator in CLASSIFIERS[1:]:
        one, other = clone(estimator).fit(X, Y > 0), clone(estimator).fit(X * scale, Y > 0)
        assert np.array_equal(other.coef_ * scale, one.coef_)


@pytest.mark.parametrize("scale", [2.0**660, 2.0**-660])
def test_components_at_extreme_scales(scale: float) -> None:
    """Components, shares and singular values exist where variances overflow float64 to infinity or zero."""
    plain, model = FederatedPCA().fit(X), FederatedPCA().fit(X * scale)
    assert np.array_equal(model.components_, plain.components_)
    assert np.array_equal(model.explained_variance_ratio_, plain.explained_variance_ratio_)
    assert np.array_equal(model.singular_values_ / scale, plain.singular_values_)
    assert np.array_equal(model.explained_variance_, np.full(3, np.inf if scale > 1 else 0.0))

"""Encoders against scikit-learn's on pooled rows, and where the two differ."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from sklearn_symfed import (
    PSR,
    FederatedOneHotEncoder,
    FederatedOrdinalEncoder,
    FederatedRidge,
    FederatedTargetEncoder,
)
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.preprocessing import shrunk_mean

_random = np.random.default_rng(1)
TEXTS = pd.DataFrame(
    {
        "carrier": _random.choice(["AA", "UA", "DL", "B6"], 80, p=[0.5, 0.3, 0.15, 0.05]),
        "origin": _random.choice(["JFK", "EWR"], 80),
    }
).astype("category")
NUMBERS = pd.Series(_random.normal(size=80), name="delay")
LATER = pd.DataFrame({"carrier": ["AA", "ZZ", "B6"], "origin": ["JFK", "EWR", "LGA"]})


def merged(frame: pd.DataFrame, **declared: object) -> PSR:
    """Return the statistics of three sites."""
    parts = [frame[:10], frame[10:11], frame[11:]]
    return sum(PSR.from_rows(part, **declared) for part in parts)


# -- one-hot ---------------------------------------------------------------------------------------------------------

OF_ONE_HOT = [
    {},
    {"drop": "first"},
    {"drop": "if_binary"},
    {"min_frequency": 20},
    {"min_frequency": 0.2, "drop": "first"},
    {"max_categories": 1},
    {"max_categories": 2},
    {"max_categories": 3, "min_frequency": 2},
]


@pytest.mark.filterwarnings("ignore:Found unknown categories in columns")
@pytest.mark.parametrize("unknown", ["error", "ignore", "infrequent_if_exist"])
@pytest.mark.parametrize("params", OF_ONE_HOT, ids=str)
def test_one_hot_is_that_of_scikit_learn(params, unknown):
    """Columns, their names but for the sign between, rows with unknown levels and the way back are scikit-learn's."""
    ours = FederatedOneHotEncoder(**params, handle_unknown=unknown).fit(merged(TEXTS))
    theirs = OneHotEncoder(**params, handle_unknown=unknown, sparse_output=False).fit(TEXTS)
    assert ours.transform(TEXTS).tolist() == theirs.transform(TEXTS).tolist()
    assert ours.get_feature_names_out().tolist() == [
        name.replace("_", "=", 1) for name in theirs.get_feature_names_out()
    ]
    assert [levels.tolist() for levels in ours.categories_] == [levels.tolist() for levels in theirs.categories_]
    few = [None if levels is None else levels.tolist() for levels in ours.infrequent_categories_]
    if "min_frequency" in params or "max_categories" in params:
        assert few == [None if levels is None else levels.tolist() for levels in theirs.infrequent_categories_]
    encoded = theirs.transform(TEXTS)
    assert ours.inverse_transform(encoded).tolist() == theirs.inverse_transform(encoded).tolist()
    if unknown == "error":
        with pytest.raises(DataError, match="none of its"):
            ours.transform(LATER)
        return
    encoded = theirs.transform(LATER)
    assert ours.transform(LATER).tolist() == encoded.tolist()
    assert ours.transform(PSR.from_rows(LATER)).moments().sums.tolist() == encoded.sum(axis=0).tolist()
    assert ours.inverse_transform(encoded).tolist() == theirs.inverse_transform(encoded).tolist()


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=20),
    st.one_of(st.none(), st.integers(1, 6), st.floats(0.01, 0.6)),
    st.one_of(st.none(), st.integers(1, 6)),
)
def test_infrequent_levels_are_those_of_scikit_learn(column, least, most):
    """Which levels share a column does not depend on who counted them."""
    frame = pd.DataFrame({"c": column})
    params = {"min_frequency": least, "max_categories": most}
    expected = OneHotEncoder(**params, sparse_output=False).fit_transform(frame)
    psr = PSR.from_rows(frame[::-2]) + PSR.from_rows(frame[-2::-2])
    assert FederatedOneHotEncoder(**params).fit(psr).transform(frame).tolist() == expected.tolist()


def test_indicators_go_through():
    """With all levels, what comes out of statistics is what went in, with the target beside."""
    frame = TEXTS.assign(delay=NUMBERS, fare=NUMBERS**2)
    psr = merged(frame)
    out = FederatedOneHotEncoder().set_output(transform="pandas").fit_transform(psr, "fare")
    assert out == psr.as_stored()
    model = make_pipeline(FederatedOneHotEncoder(), FederatedRidge()).fit(psr, "fare")
    assert np.array_equal(model[-1].coef_, FederatedRidge().fit(psr, "fare").coef_)
    with pytest.raises(DataError, match="sparse_output"):
        FederatedOneHotEncoder(sparse_output=True).fit(frame)


def test_levels_that_others_have():
    """Statistics with fewer levels than were learned have zeros there; with more, what handle_unknown says."""
    encoder = FederatedOneHotEncoder().fit(merged(TEXTS))
    few = TEXTS[TEXTS.carrier == "AA"]
    sums = encoder.transform(PSR.from_rows(few)).moments().sums
    assert sums.tolist() == encoder.transform(few).sum(axis=0).tolist()
    with pytest.raises(DataError, match="1 levels of column 'carrier' that were not learned"):
        encoder.transform(PSR.from_rows(LATER))


# -- which columns ---------------------------------------------------------------------------------------------------


def test_columns_that_hold_categories():
    """Strings are encoded and numbers pass, in frames, arrays and lists; `categories` says otherwise, and declares."""
    rows = [["a", 1], ["b", 2], ["a", 2]]
    expected = [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 0.0, 2.0]]
    for table in (rows, np.array(rows, dtype=object), pd.DataFrame(rows, columns=["x0", "x1"])):
        encoder = FederatedOneHotEncoder().fit(table)
        assert encoder.transform(table).tolist() == expected
        assert encoder.columns_ == ["x0"]
    encoder = FederatedOneHotEncoder(categories=["x1"]).fit([[1.5, 7], [2.5, 10], [2.5, 9]])
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1=7", "x1=9", "x1=10"]
    assert encoder.get_feature_names_out(["a", "b"]).tolist() == ["a", "b=7", "b=9", "b=10"]
    declared = FederatedOneHotEncoder(categories={"x0": ["b", "other"]}).fit(rows)
    assert declared.transform([["b", 0.5], ["z", 1.5]]).tolist() == [[1.0, 0.0, 0.5], [0.0, 1.0, 1.5]]
    assert FederatedOneHotEncoder().fit_transform(np.array([["a", "1"], ["b", "2"]])).shape == (2, 4)
    with pytest.raises(SchemaError, match="unknown columns"):
        FederatedOneHotEncoder(categories=["z"]).fit(rows)
    with pytest.raises(SchemaError, match="no names of columns"):
        FederatedOneHotEncoder(categories=[["a", "b"]]).fit(rows)


def test_missing_values():
    """A missing category has zeros, and a column that says so; where that was not declared, it is refused."""
    frame = pd.DataFrame({"c": ["a", None, "b"], "x": [1.0, 2.0, np.nan]})
    psr = PSR.from_rows(frame, missing="indicator")
    encoder = FederatedOneHotEncoder().fit(psr)
    assert encoder.get_feature_names_out().tolist() == ["c=a", "c=b", "missingindicator_c", "x", "missingindicator_x"]
    expected = [[1.0, 0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 2.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    assert encoder.transform(frame).tolist() == expected
    assert encoder.transform(psr).moments().gram.tolist() == (np.transpose(expected) @ expected).tolist()
    back = encoder.inverse_transform(expected)
    assert back[:, 0].tolist() == ["a", None, "b"]
    assert np.isnan(back[2, 1])
    dropped = FederatedOneHotEncoder().fit(psr.drop("x"))
    assert dropped.transform(frame[["c"]]).tolist() == [row[:3] for row in expected]
    again = FederatedOneHotEncoder().fit(PSR.from_rows(frame.assign(t=1.0), missing="indicator").drop("t"))
    assert again.transform(frame).tolist() == expected
    with pytest.raises(DataError, match="NaN"):
        FederatedOneHotEncoder().fit(frame)
    with pytest.raises(DataError, match="NaN"):
        FederatedOneHotEncoder().fit(frame[:1]).transform(frame)
    paired = PSR.from_rows(frame, missing="pairwise")
    with pytest.raises(SchemaError, match="no value in some rows"):
        FederatedOneHotEncoder().fit(paired).transform(paired)


# -- ordinal ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, np.nan])
def test_ordinal_is_that_of_scikit_learn(value):
    """Codes, unknown levels and the way back are scikit-learn's."""
    params = {"handle_unknown": "use_encoded_value", "unknown_value": value}
    ours, theirs = FederatedOrdinalEncoder(**params).fit(merged(TEXTS)), OrdinalEncoder(**params).fit(TEXTS)
    for rows in (TEXTS, LATER):
        encoded = theirs.transform(rows)
        np.testing.assert_array_equal(ours.transform(rows), encoded)
        assert ours.inverse_transform(encoded).tolist() == theirs.inverse_transform(encoded).tolist()
    if value == -1:
        assert ours.transform(PSR.from_rows(LATER)).moments().sums.tolist() == [-1.0 + 0.0 + 1.0, 0.0]


def test_what_ordinal_refuses():
    """A value for unknown levels goes with their handling, and is no code; other numbers are no codes either."""
    wrong = [
        ({"handle_unknown": "use_encoded_value"}, "expected a number with 'use_encoded_value'"),
        ({"unknown_value": 7}, "None with 'error'"),
        ({"handle_unknown": "use_encoded_value", "unknown_value": 1}, "no code of a level"),
    ]
    for params, message in wrong:
        with pytest.raises(DataError, match=message):
            FederatedOrdinalEncoder(**params).fit(TEXTS)
    encoder = FederatedOrdinalEncoder().fit(TEXTS)
    with pytest.raises(DataError, match="none of its"):
        encoder.transform(LATER)
    with pytest.raises(DataError, match="1 numbers that are no codes of 'origin'"):
        encoder.inverse_transform([[0, 2.0]])
    with pytest.raises(DataError, match="Got 3 columns, but expected 2"):
        encoder.inverse_transform([[0, 1, 2]])


# -- target ----------------------------------------------------------------------------------------------------------

TARGETS = {
    "continuous": NUMBERS,
    "binary": pd.Series(_random.choice(["no", "yes"], 80), name="late"),
    "multiclass": pd.Series(_random.integers(0, 3, 80), name="kind"),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("smooth", [0.0, 2.5, "auto"])
def test_target_is_that_of_scikit_learn(kind, smooth):
    """Encodings are scikit-learn's without cross-fitting, but rounded once."""
    y, params = TARGETS[kind], {"smooth": smooth, "target_type": kind}
    if (kind, smooth) == ("continuous", "auto"):
        with pytest.raises(DataTypeError, match="smooth='auto' with a numeric target"):
            FederatedTargetEncoder(smooth="auto").fit(TEXTS, y)
        return
    ours, theirs = FederatedTargetEncoder(**params).fit(TEXTS, y), TargetEncoder(**params).fit(TEXTS, y)
    for one, other in zip(ours.encodings_, theirs.encodings_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(ours.target_mean_, theirs.target_mean_, rtol=1e-14)
    assert ours.target_type_ == theirs.target_type_ == kind
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    for rows in (TEXTS, LATER):
        np.testing.assert_allclose(ours.transform(rows), theirs.transform(rows), rtol=1e-13, atol=1e-15)
    means = ours.transform(PSR.from_rows(LATER)).moments().mean
    np.testing.assert_allclose(means, theirs.transform(LATER).mean(axis=0), rtol=1e-13)
    classes = None if kind == "continuous" else y.name
    psr = merged(TEXTS.assign(**{y.name: y}), classes=classes)
    again = FederatedTargetEncoder(smooth=smooth).fit(psr, y.name)
    assert [levels.tolist() for levels in again.encodings_] == [levels.tolist() for levels in ours.encodings_]


def test_target_means_are_exact():
    """Sums that cancel leave the right mean, rounded once, with weights as well."""
    frame = pd.DataFrame({"c": list("aaab"), "t": [1e16, 1.0, -1e16, 0.1]})
    encoder = FederatedTargetEncoder(smooth=0.0).fit(frame[["c"]], frame.t)
    assert encoder.encodings_[0].tolist() == [1 / 3, 0.1]
    weighted = FederatedTargetEncoder(smooth=0.5).fit(frame[["c"]], frame.t, sample_weight=[1, 2, 1, 3])
    mean = (2 + 3 * Fraction(0.1)) / 7
    half = Fraction(1, 2)
    expected = [float((2 + mean * half) / (4 + half)), float((3 * Fraction(0.1) + mean * half) / (3 + half))]
    assert weighted.encodings_[0].tolist() == expected
    assert weighted.target_mean_ == float(mean)
    assert shrunk_mean(Fraction(0), Fraction(0), mean, Fraction(0)) == mean
    assert shrunk_mean(Fraction(0), Fraction(0), mean, None) == mean
    assert shrunk_mean(Fraction(1), Fraction(1), Fraction(1), None) == 1


def test_what_a_target_is():
    """Strings and booleans are classes, numbers are numbers unless the parameter says so; a PSR says it itself."""
    kinds = {
        "binary": [list("abab"), [True, False, True, True], np.array(["a", "b", "a", "b"])],
        "continuous": [[0, 1, 0, 1], np.array([0.5, 1, 2, 3])],
        "multiclass": [list("abca")],
    }
    rows = [["u"], ["v"], ["v"], ["u"]]
    for kind, targets in kinds.items():
        for target in targets:
            assert FederatedTargetEncoder().fit(rows, target).target_type_ == kind
    one = FederatedTargetEncoder(target_type="binary").fit(rows, [7, 7, 7, 7])
    assert (one.classes_.tolist(), one.encodings_[0].tolist()) == ([7], [0.0, 0.0])
    frame = TEXTS.assign(t=NUMBERS, u=NUMBERS)
    for wrong, message in [(None, "requires y"), (["t", "u"], "expected one"), ("carrier", "unknown columns")]:
        with pytest.raises(SchemaError, match=message):
            FederatedTargetEncoder().fit(PSR.from_rows(frame), wrong)
    with pytest.raises(SchemaError, match="expected one"):
        FederatedTargetEncoder().fit(TEXTS, frame[["t", "u"]])
    with pytest.raises(SchemaError, match="zeros are no values"):
        FederatedTargetEncoder().fit(PSR.from_rows(frame, missing={"t": "indicator"}), "t")
    gaps = PSR.from_rows(frame[["carrier", "t"]].assign(t=NUMBERS.where(NUMBERS > 0)), missing={"t": "pairwise"})
    there = frame[NUMBERS > 0]
    whole = FederatedTargetEncoder().fit(there[["carrier"]], there.t)
    assert FederatedTargetEncoder().fit(gaps, "t").encodings_[0].tolist() == whole.encodings_[0].tolist()


def test_a_search_over_steps():
    """Parameters of a step and its clone are scikit-learn's business as always."""
    pipeline = make_pipeline(FederatedTargetEncoder(), FederatedRidge()).set_params(federatedtargetencoder__smooth=7.0)
    assert clone(pipeline)[0].smooth == 7.0
    assert pipeline.fit(TEXTS, NUMBERS).predict(TEXTS).shape == (80,)

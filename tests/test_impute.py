"""Imputation against scikit-learn's on pooled rows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

from sklearn_symfed import PSR, FederatedSimpleImputer
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError

_random = np.random.default_rng(2)
NUMBERS = pd.DataFrame(_random.normal(size=(50, 3)), columns=["a", "b", "c"]).mask(_random.random((50, 3)) < 0.3)
TEXTS = pd.DataFrame(_random.choice(["u", "v", "w"], (50, 2)), columns=["p", "q"], dtype=object).mask(
    _random.random((50, 2)) < 0.3, None
)


def test_means_are_those_of_scikit_learn():
    """Means of what is there are scikit-learn's, rounded once; rows are filled as there."""
    psr = PSR.from_rows(NUMBERS[:7], missing="pairwise") + PSR.from_rows(NUMBERS[7:], missing="pairwise")
    ours, theirs = FederatedSimpleImputer().fit(psr), SimpleImputer().fit(NUMBERS)
    np.testing.assert_allclose(ours.statistics_, theirs.statistics_, rtol=1e-14)
    exact = [sum(map(Fraction, column.dropna())) / column.count() for _, column in NUMBERS.items()]
    assert ours.statistics_.tolist() == [float(value) for value in exact]
    np.testing.assert_allclose(ours.transform(NUMBERS), theirs.transform(NUMBERS), rtol=1e-14)
    assert ours.transform(NUMBERS).dtype == np.float64


def test_most_frequent_levels_are_those_of_scikit_learn():
    """Levels by their counts, the first of equal ones; rows are filled as there."""
    ours, theirs = (
        FederatedSimpleImputer(strategy="most_frequent"),
        SimpleImputer(strategy="most_frequent", missing_values=None),
    )
    for texts in (TEXTS, pd.DataFrame({"p": ["w", "u", None, "w", "u"]}, dtype=object)):
        theirs.fit(texts)
        for learned in (texts, PSR.from_rows(texts, missing="indicator"), PSR.from_rows(texts, missing="pairwise")):
            assert ours.fit(learned).statistics_.tolist() == theirs.statistics_.tolist()
        assert ours.transform(texts).tolist() == theirs.transform(texts).tolist()


@pytest.mark.parametrize("mode", ["indicator", "pairwise", "listwise", "error"])
def test_whatever_became_of_missing_values(mode):
    """The same imputer comes of statistics by pairs or with indicators, and of complete rows that of these."""
    frame = NUMBERS.join(TEXTS)
    complete = frame.dropna()
    learned = complete if mode == "error" else frame
    imputer = FederatedSimpleImputer().fit(PSR.from_rows(learned, missing=mode))
    expected = FederatedSimpleImputer().fit(frame if mode in {"indicator", "pairwise"} else complete)
    assert imputer.statistics_.tolist() == expected.statistics_.tolist()
    assert imputer.transform(frame).tolist() == expected.transform(frame).tolist()
    psr = PSR.from_rows(complete)
    assert imputer.transform(psr).schema.categories.keys() == {"x3", "x4"}
    if mode == "pairwise":
        with pytest.raises(SchemaError, match="learned with missing='pairwise', but expected missing='indicator'"):
            imputer.transform(PSR.from_rows(frame, missing="pairwise"))


def test_statistics_of_decimals_and_of_what_stands_beside():
    """Filled statistics are exact for decimals, of however many digits; the target and the classes stay."""
    frame = pd.DataFrame(
        {
            "t": [0.5, 1.5, 2.5],
            "price": [0.1, np.nan, 0.3],
            "kg": [1.125, 2.5, np.nan],
            "n": [1.0, 2.0, 3.0],
            "kind": ["u", "v", "u"],
        }
    )
    gaps = dict.fromkeys(["price", "kg"], "indicator")
    psr = PSR.from_rows(frame, classes="kind", decimals={"price": 1, "kg": 3, "t": 1}, missing=gaps)
    out = FederatedSimpleImputer().set_output(transform="pandas").fit_transform(psr, ["t", "kind"])
    assert out.names == ("price", "kg", "n", "t")
    assert out.labels == ("u", "v")
    mean = Fraction(0.2)  # statistics_ are float64, and exactly that is filled in
    moments = out.drop("kind").moments()
    weight = Fraction(moments.matrix[0, 1] * moments.unit)
    assert weight == Fraction(4, 10) + mean
    assert Fraction(moments.matrix[1, 1] * moments.unit) == Fraction(10, 100) + mean**2
    assert Fraction(moments.matrix[0, 4] * moments.unit) == Fraction(9, 2)
    assert out.drop("kind").moments().mean[1] == pytest.approx(1.8125)


def test_constants():
    """A constant for all, or for each column; a level that no row has becomes one."""
    frame = NUMBERS.join(TEXTS)
    imputer = FederatedSimpleImputer(strategy="constant").fit(frame)
    assert imputer.statistics_.tolist() == [0.0, 0.0, 0.0, "missing_value", "missing_value"]
    psr = imputer.transform(PSR.from_rows(frame, missing="indicator"))
    assert psr.schema.categories["x3"] == ("missing_value", "u", "v", "w")
    chosen = FederatedSimpleImputer(strategy="constant", fill_value={"a": 1, "q": 7}).fit(frame)
    assert chosen.statistics_.tolist() == [1.0, 0.0, 0.0, "missing_value", "7"]
    with pytest.raises(DataTypeError, match="fill_value for column 'a'"):
        FederatedSimpleImputer(strategy="constant", fill_value="w").fit(frame)
    closed = PSR.from_rows(TEXTS, categories={name: ["u", "v", "w"] for name in "pq"}, missing="indicator")
    assert imputer.fit(closed).transform(closed).schema.encodings["x0"].declared


@pytest.mark.parametrize(
    ("frame", "params", "error", "message"),
    [
        (NUMBERS, {"strategy": "most_frequent"}, DataTypeError, "no function of the statistics"),
        (NUMBERS.assign(b=np.nan), {}, DataError, "Got no value in column 'b'"),
        (TEXTS.assign(q=pd.Series([None] * 50, dtype="string")), {}, DataError, "Got no value in column 'q'"),
        (NUMBERS.fillna(np.inf), {}, DataError, "infinity"),
    ],
)
def test_what_cannot_be_filled(frame, params, error, message):
    """What has no mean and no most frequent level is named."""
    with pytest.raises(error, match=message):
        FederatedSimpleImputer(**params).fit(frame)


def test_infinity_is_not_missing():
    """Rows to fill may miss values, and hold no infinity."""
    imputer = FederatedSimpleImputer().fit(NUMBERS)
    with pytest.raises(DataError, match="infinity: column 'a'"):
        imputer.transform(NUMBERS.fillna(np.inf))
    assert imputer.transform(PSR.from_rows(NUMBERS, missing="indicator")).n_rows == 50

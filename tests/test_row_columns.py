"""What encodes or fills columns keeps the laws of the family: rows or statistics, in whatever parts and frame."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_symfed import (
    PSR,
    FederatedGaussianNB,
    FederatedOneHotEncoder,
    FederatedOrdinalEncoder,
    FederatedRidge,
    FederatedSimpleImputer,
    FederatedTargetEncoder,
)
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError

FEATURES = ["carrier", "x", "size"]
_random = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "carrier": np.sort(_random.choice(["AA", "UA", "é", "B=6"], 60, p=[0.5, 0.3, 0.1, 0.1])).astype(object),
        "x": _random.normal(size=60),
        "size": _random.choice(["9", "10"], 60).astype(object),
        "t": _random.normal(size=60),
        "late": _random.random(60) > 0.5,
        "kind": _random.choice(["u", "v", "w"], 60).astype(object),
    }
)
GAPS = FRAME.copy()
GAPS.loc[GAPS.index % 7 == 2, "x"] = np.nan
GAPS.loc[GAPS.index % 5 == 3, ["carrier", "size"]] = None


@dataclass(frozen=True)
class Case:
    """An estimator, its target, and whether values are missing in its rows."""

    estimator: Any
    target: str | None = None
    gaps: bool = False

    def __str__(self) -> str:
        return f"{''.join(str(self.estimator).split())}-{self.target}"

    @property
    def frame(self) -> pd.DataFrame:
        return GAPS if self.gaps else FRAME

    def rows(self, frame: pd.DataFrame | None = None) -> tuple[Any, Any]:
        frame = self.frame if frame is None else frame
        return frame[FEATURES], None if self.target is None else frame[self.target]

    def statistics(self, frame: Any = None, columns: list[str] | None = None) -> PSR:
        frame = self.frame if frame is None else frame
        columns = (columns or FEATURES) + ([] if self.target is None else [self.target])
        missing = dict.fromkeys(FEATURES, "indicator") if self.gaps else "error"
        classes = self.target if self.target in {"late", "kind"} else None
        return PSR.from_rows(frame[columns], classes=classes, missing=missing)


CASES = [
    Case(FederatedOneHotEncoder()),
    Case(FederatedOneHotEncoder(drop="first", handle_unknown="ignore")),
    Case(FederatedOneHotEncoder(drop="if_binary", min_frequency=10, handle_unknown="infrequent_if_exist")),
    Case(FederatedOneHotEncoder(max_categories=2)),
    Case(FederatedOrdinalEncoder()),
    Case(FederatedOrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
    Case(FederatedTargetEncoder(), "t"),
    Case(FederatedTargetEncoder(smooth=0.3), "late"),
    Case(FederatedTargetEncoder(smooth="auto"), "kind"),
    Case(FederatedSimpleImputer(), gaps=True),
    Case(FederatedSimpleImputer(strategy="constant", fill_value={"x": 2.5}), gaps=True),
]
each = pytest.mark.parametrize("case", CASES, ids=str)


def assert_same(one: Any, other: Any) -> None:
    """Assert that every attribute is equal to the last bit."""
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        assert_equal(value, getattr(other, name))


def assert_equal(value: Any, other: Any) -> None:
    if isinstance(value, list):
        assert len(value) == len(other)
        for one, another in zip(value, other, strict=True):
            assert_equal(one, another)
    elif isinstance(value, np.ndarray):
        assert value.dtype == other.dtype
        assert value.tolist() == other.tolist()
    else:
        assert value == other


@parametrize_with_checks(
    [FederatedOneHotEncoder(), FederatedOrdinalEncoder(), FederatedTargetEncoder(), FederatedSimpleImputer()]
)
def test_estimator_check(estimator, check):
    """What encodes or fills keeps scikit-learn's contract, without exemption; numbers of its checks pass."""
    check(estimator)


@each
def test_rows_and_their_statistics_fit_alike(case):
    """A fit from rows and one from their PSR end with the same attributes."""
    whole = clone(case.estimator).fit(*case.rows())
    assert_same(whole, clone(case.estimator).fit(case.statistics(), case.target))
    assert whole.feature_names_in_.tolist() == FEATURES
    assert whole.n_features_in_ == 3


@each
def test_parts_fit_as_the_whole(case):
    """Sites with other vocabularies, in another order, add up to all rows."""
    whole = clone(case.estimator).fit(*case.rows())
    frame = case.frame
    parts = [frame[50:], frame[:20], frame[20:50]]
    assert len({case.statistics(part).names for part in parts}) > 1
    merged = case.statistics(parts[0])
    for part in parts[1:]:
        merged = merged + case.statistics(part, FEATURES[::-1])
    assert_same(clone(case.estimator).fit(merged, case.target), whole)
    model = clone(case.estimator)
    for part in parts:
        model.partial_fit(*case.rows(part))
    assert_same(model, whole)
    model = clone(case.estimator).partial_fit(case.statistics(parts[0]), case.target)
    model.partial_fit(*case.rows(parts[1])).partial_fit(case.statistics(parts[2]), case.target)
    assert_same(model, whole)


@each
def test_forgetting(case):
    """Forgetting rows, or their PSR, takes their levels away; nothing is left of nothing."""
    kept = clone(case.estimator).fit(*case.rows(case.frame[:40]))
    assert_same(clone(case.estimator).fit(*case.rows()).forget(*case.rows(case.frame[40:])), kept)
    model = clone(case.estimator).fit(case.statistics(), case.target)
    assert_same(model.forget(case.statistics(case.frame[40:]), case.target), kept)
    with pytest.raises(DataError, match="no rows are left"):
        model.forget(*case.rows(case.frame[:40]))
    assert_same(model, kept)


@each
def test_prior(case):
    """A prior is added, matched by name, its levels among the others; its other columns do not matter."""
    whole = clone(case.estimator).fit(*case.rows())
    prior = case.statistics(case.frame[30:].assign(extra=1.5), ["extra", *FEATURES[::-1]])
    for learned in [case.rows(case.frame[:30]), (case.statistics(case.frame[:30]), case.target)]:
        model = clone(case.estimator).set_params(prior=prior).fit(*learned)
        assert_same(model.set_params(prior=None), whole)


@each
def test_frames_and_copies(case):
    """Pandas in all its ways to hold strings, polars, pyarrow and pickle: the same model and the same numbers."""
    whole = clone(case.estimator).fit(*case.rows())
    expected = whole.transform(case.rows()[0]).tolist()
    x, y = case.rows()
    texts = ["carrier", "size"]
    frames = [
        x.astype(dict.fromkeys(texts, "category")),
        x.astype(dict.fromkeys(texts, "string")),
        pl.from_pandas(x),
        pl.from_pandas(x).cast(dict.fromkeys(texts, pl.Categorical)),
        pa.Table.from_pandas(x),
    ]
    if case.gaps:
        frames[2:4] = [frame.with_columns(pl.col("x").fill_nan(None)) for frame in frames[2:4]]
    for frame in frames:
        model = clone(case.estimator).fit(frame, y)
        assert_same(model, whole)
        assert model.transform(frame).tolist() == expected
    again = pickle.loads(pickle.dumps(whole))
    assert_same(again, whole)
    assert again.transform(x).tolist() == expected


@each
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_statistics_are_transformed_as_rows_are(case, output):
    """The PSR that comes out is that of the rows that come out, to the last bit, under the same names."""
    step = clone(case.estimator).set_output(transform=output).fit(*case.rows())
    rows = step.transform(case.rows()[0])
    psr = step.transform(case.statistics())
    if output == "pandas":
        assert rows.columns.tolist() == step.get_feature_names_out().tolist()
        learned = PSR.from_rows(rows)
    else:
        frame = pd.DataFrame(rows, columns=[f"x{i}" for i in range(rows.shape[1])])
        learned = PSR.from_rows(frame.astype({"x1": float}) if case.gaps else frame)
    free = psr if psr.schema.classes is None else psr.drop(psr.schema.classes)
    features = [name for name in free.names if name != case.target]
    assert features == list(learned.names)
    assert free.select(features) == learned.select(learned.names)


@each
def test_pipelines_need_no_rows(case):
    """Steps fitted from a PSR end with the model that rows give, bit for bit, and predict rows."""
    steps = [clone(case.estimator)]
    steps += [FederatedOneHotEncoder()] if case.gaps else []
    steps += [FederatedGaussianNB() if case.target in {"late", "kind"} else FederatedRidge()]
    target = case.target or "t"
    case = Case(case.estimator, target, case.gaps)
    federated = make_pipeline(*map(clone, steps)).fit(case.statistics(), target)
    central = make_pipeline(*map(clone, steps)).fit(*case.rows())
    for name in ("coef_", "intercept_", "theta_", "var_"):
        assert np.array_equal(getattr(federated[-1], name, None), getattr(central[-1], name, None))
    x, y = case.rows()
    assert np.array_equal(federated.predict(x), central.predict(x))
    if target == "t":
        assert federated.score(case.statistics(), "t") == pytest.approx(central.score(x, y), abs=1e-12)


@each
def test_what_does_not_fit_is_named(case):
    """Columns that are missing, too many, or numbers instead of categories, and what is no table, change nothing."""
    model = clone(case.estimator).fit(*case.rows())
    before = dict(vars(model))
    x, y = case.rows()
    for method in ("partial_fit", "forget"):
        for wrong in (x[["carrier", "x"]], x.rename(columns={"x": "z"}), x.assign(x="a")):
            with pytest.raises(ValueError):
                getattr(model, method)(wrong, y)
    assert all(vars(model)[name] is value for name, value in before.items())
    with pytest.raises(SchemaError, match="'extra'"):
        model.transform(case.statistics(case.frame.assign(extra=1.0), [*FEATURES, "extra"]))
    with pytest.raises(SchemaError, match=r"without columns \['x'\]"):
        model.transform(PSR.from_rows(FRAME[["size", "carrier"]]))
    with pytest.raises(SchemaError, match=r"\['carrier'\] of numbers in one place"):
        model.transform(PSR.from_rows(FRAME[FEATURES].assign(carrier=1.0)))
    with pytest.raises(DataTypeError, match="needs rows"):
        model.transform(model)
    with pytest.raises(SchemaError, match="unknown columns"):
        clone(case.estimator).fit(case.statistics(), "nothing")
    with pytest.raises(DataTypeError, match="extends an estimator of scikit-learn"):
        model.to_sklearn()

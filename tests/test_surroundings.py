"""Every estimator in scikit-learn's own surroundings, on rows, with and without what peers have learned."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline

from sklearn_symfed import FederatedPSR, FederatedRidge, fitted_digests
from tests.family import FAMILY, FEATURES, Case

OWN, PEERS = slice(0, 60), slice(60, 90)
each = pytest.mark.parametrize("case", FAMILY, ids=str)
# scikit-learn's ColumnTransformer has no use for the pair that fit_transform(X, y) of PLS and CCA returns
STEPS = [
    case for case in FAMILY if hasattr(case.estimator, "transform") and "check_transformer_general" not in case.exempt
]
transforming = pytest.mark.parametrize("case", STEPS, ids=str)
with_or_without = pytest.mark.parametrize("standing", [False, True], ids=["alone", "with a prior"])


def rows(case: Case) -> tuple[pd.DataFrame, pd.Series]:
    """Return own rows, and a target for whatever comes last."""
    frame = case.frame[OWN]
    return frame[FEATURES], frame[case.target or "t"]


def estimator_of(case: Case, *, standing: bool) -> Any:
    """Return an estimator that stands on its peers' statistics, or alone."""
    prior = case.statistics(case.frame[PEERS]) if standing else None
    return clone(case.estimator).set_params(prior=prior)


def pipeline_of(case: Case, *, standing: bool) -> Pipeline:
    """Return a pipeline with the estimator in it that predicts."""
    estimator = estimator_of(case, standing=standing)
    return make_pipeline(estimator, FederatedRidge()) if is_a_step(estimator) else make_pipeline(estimator)


def is_a_step(estimator: Any) -> bool:
    """Tell whether something has to come after an estimator that predicts."""
    return hasattr(estimator, "transform") and not (is_classifier(estimator) or is_regressor(estimator))


@each
@with_or_without
def test_cross_validation(case: Case, standing: bool) -> None:
    """Every fold is learned with the prior and with nothing else."""
    x, y = rows(case)
    found = cross_validate(
        pipeline_of(case, standing=standing),
        x,
        y,
        cv=3,
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    assert np.isfinite(found["test_score"]).all()
    for pipeline, index in zip(found["estimator"], found["indices"]["train"], strict=True):
        model = estimator_of(case, standing=standing).fit(x.iloc[index], None if case.target is None else y.iloc[index])
        assert fitted_digests(pipeline[0]) == fitted_digests(model)


@each
def test_grid_search(case: Case) -> None:
    """A search may ask whether the peers' statistics help."""
    x, y = rows(case)
    pipeline = pipeline_of(case, standing=True)
    name = f"{pipeline.steps[0][0]}__prior"
    grid = {name: [None, pipeline[0].prior]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_[name] in grid[name]


@each
@with_or_without
def test_behind_a_column_transformer(case: Case, standing: bool) -> None:
    """What other steps make of the columns is what is learned; names go along where frames do."""
    x, y = rows(case)
    chosen = make_column_transformer(("passthrough", FEATURES), verbose_feature_names_out=False)
    pipeline = make_pipeline(chosen.set_output(transform="pandas"), *pipeline_of(case, standing=standing))
    pipeline.fit(x.assign(other="text"), y)
    model = estimator_of(case, standing=standing).fit(x, None if case.target is None else y)
    assert fitted_digests(pipeline[1]) == fitted_digests(model)


@transforming
@with_or_without
@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_in_a_column_transformer(case: Case, standing: bool, container: str) -> None:
    """A transformer works on its columns, and what comes out is of the kind that was asked for."""
    x, y = rows(case)
    step = estimator_of(case, standing=standing)
    columns = ColumnTransformer([("own", step, FEATURES)]).set_output(transform=container)
    out = columns.fit_transform(x.assign(other="text"), y)
    assert isinstance(out, pd.DataFrame if container == "pandas" else pl.DataFrame)
    assert list(out.columns) == [f"own__{name}" for name in columns.named_transformers_["own"].get_feature_names_out()]
    plain = clone(step).fit(x, None if case.target is None else y).transform(x)
    assert np.array_equal(out.to_numpy(), np.asarray(plain))


@pytest.mark.slow
def test_workers_fit_the_same() -> None:
    """A fit in another process is the fit here, to the last bit."""

    def fitted(case: Case) -> Any:
        x, y = rows(case)
        return pipeline_of(case, standing=True).fit(x, y)[0]

    here = [fitted_digests(fitted(case)) for case in FAMILY]
    there = joblib.Parallel(n_jobs=2)(
        joblib.delayed(fit_pipeline)(pipeline_of(c, standing=True), *rows(c)) for c in FAMILY
    )
    assert [fitted_digests(pipeline[0]) for pipeline in there] == here


def fit_pipeline(pipeline: Pipeline, x: Any, y: Any) -> Pipeline:
    return pipeline.fit(x, y)


def test_nothing_of_this_publishes(request: pytest.FixtureRequest) -> None:
    """Searches, folds and pipelines on a member's statistics send nothing to its peers."""
    url = f"memory://{request.node.name}"
    case = next(case for case in FAMILY if isinstance(case.estimator, FederatedRidge))
    x, y = rows(case)
    with FederatedPSR() as a, FederatedPSR() as b:
        a.create_federation("surroundings", url, member="a", guard="off", on_recovery_key=lambda _: None)
        b.join(*a.invite("b"))
        a.pulse(), b.pulse(), a.pulse()
        a.partial_fit(case.frame[[*FEATURES, "t"]])
        b.pulse()
        pipeline = make_pipeline(FederatedPSR(), FederatedRidge(prior=None)).fit(a.psr_, "t")
        pipeline.score(a.psr_, "t")
        cross_val_score(FederatedRidge(prior=a.psr_), x, y, cv=3)
        GridSearchCV(FederatedRidge(prior=a.psr_), {"alpha": [0.1, 1.0]}, cv=3).fit(x, y)
        assert b.pulse().received == 0
        a.pulse()
        assert b.pulse().received
        assert b.psr_ == a.psr_

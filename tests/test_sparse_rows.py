"""Estimators take sparse rows, and names from every kind of table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone

from sklearn_symfed import (
    PSR,
    FederatedBayesianRidge,
    FederatedBernoulliNB,
    FederatedCategoricalNB,
    FederatedFactorAnalysis,
    FederatedGaussianNB,
    FederatedPSR,
    FederatedRidge,
)
from sklearn_symfed import _input as reading
from sklearn_symfed._input import READ_ROWS
from sklearn_symfed.exceptions import DataError, DataTypeError
from tests.family import FAMILY, FEATURES, FRAME, Case

TAKE_SPARSE = [case for case in FAMILY if case.estimator.__sklearn_tags__().input_tags.sparse]


@pytest.mark.parametrize("case", TAKE_SPARSE, ids=str)
def test_sparse_rows_are_rows(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit and what it predicts, a few rows at a time where scikit-learn takes none that are sparse, are the same."""
    X, y = case.rows()
    X, weight = X.to_numpy(), np.arange(90) % 3
    ours = clone(case.estimator).fit(sparse.csc_array(X), y, weight)
    dense = clone(case.estimator).fit(X, y, weight)
    assert ours.psr_ == dense.psr_
    monkeypatch.setattr(reading, "_FEW", 31 * 3)
    for name in READ_ROWS:
        if hasattr(dense, name) and name != "inverse_transform":
            got, want = (getattr(dense, name)(rows) for rows in (sparse.csr_matrix(X), X))
            got = got.toarray() if sparse.issparse(got) else got
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9, err_msg=name)


def test_who_takes_none_says_so() -> None:
    """Levels are no numbers whose zeros could be left out."""
    levels = sparse.csr_array([[0, 1], [2, 0]])
    with pytest.raises(DataTypeError, match="sparse rows"):
        FederatedCategoricalNB().fit(levels, [0, 1])
    with pytest.raises(DataTypeError, match="sparse rows"):
        FederatedCategoricalNB().fit(levels.toarray(), [0, 1]).predict(levels)
    assert {str(case.estimator) for case in FAMILY if case not in TAKE_SPARSE} == {"FederatedCategoricalNB()"}


def test_predictions_of_several_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs come in pairs; frames of sparse rows come in one part only."""
    monkeypatch.setattr(reading, "_FEW", 7)
    X, rows = FRAME[FEATURES].to_numpy(), sparse.csr_array(FRAME[FEATURES].to_numpy())
    bayes = FederatedBayesianRidge().fit(rows, FRAME.t)
    for got, want in zip(bayes.predict(rows, return_std=True), bayes.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(got, want)
    assert FederatedGaussianNB().fit(rows, FRAME.late).predict_proba(rows).shape == (90, 2)
    factors = FederatedFactorAnalysis(1).fit(rows).set_output(transform="pandas")
    assert isinstance(factors.transform(rows[:2]), pd.DataFrame)
    with pytest.raises(DataTypeError, match="as frames"):
        factors.transform(rows)


def test_binarize_of_sparse_rows() -> None:
    """Zeros stay zeros; other numbers than zero and one are, too."""
    rows, y = sparse.csr_array([[0.0, 0.3], [0.7, 0.0], [0.0, -1.0]]), [0, 1, 1]
    assert FederatedBernoulliNB(binarize=0.5).fit(rows, y).psr_ == (
        FederatedBernoulliNB(binarize=0.5).fit(rows.toarray(), y).psr_
    )
    with pytest.raises(DataError, match=r"columns \['x1'\] that hold other numbers"):
        FederatedBernoulliNB(binarize=None).fit(sparse.csr_array([[0, 3], [1, 0]]), [0, 1])
    with pytest.raises(DataError, match="NaN: column 'x1', row 0 "):
        FederatedBernoulliNB().fit(sparse.csr_array([[0, np.nan], [1, 0]]), [0, 1])


# -- names -----------------------------------------------------------------------------------------------------------

_FRAME = FRAME[FEATURES]
NAMED = {
    "pandas": _FRAME,
    "pandas with nullable columns": _FRAME.convert_dtypes(),
    "pandas with columns of pyarrow": _FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "pandas with another index": _FRAME.set_index(np.arange(90) * 7 + 1),
    "pandas with sparse columns": _FRAME.astype(pd.SparseDtype("float64", 0.0)),
    "polars": pl.from_pandas(_FRAME),
    "pyarrow": pa.table(_FRAME),
    "a record batch": pa.table(_FRAME).to_batches()[0],
    "a stream of pandas": lambda: iter([_FRAME[:50], _FRAME[50:]]),
    "a stream of polars": lambda: iter([pl.from_pandas(_FRAME)]),
    "a record batch reader": lambda: pa.table(_FRAME).to_reader(max_chunksize=20),
    "dicts": lambda: iter(_FRAME.to_dict("records")),
    "frames of any kind": lambda: iter([_FRAME[:9], pl.from_pandas(_FRAME[9:50]), pa.table(_FRAME[50:])]),
}
UNNAMED = {
    "numpy": _FRAME.to_numpy(),
    "a list": _FRAME.to_numpy().tolist(),
    "sparse": sparse.coo_array(_FRAME.to_numpy()),
    "pandas with numbers as names": _FRAME.set_axis([0, 1, 2], axis=1),
    "a stream of arrays and sparse matrices": lambda: iter(
        [_FRAME.to_numpy()[:9], sparse.csr_matrix(_FRAME.to_numpy()[9:])]
    ),
}


def _made(rows: Any) -> Any:
    return rows() if callable(rows) else rows


@pytest.mark.parametrize("rows", [*NAMED, *UNNAMED])
def test_names_of_features(rows: str) -> None:
    """Nodes and estimators carry the names of a table's columns, or have none where the table has none."""
    table = {**NAMED, **UNNAMED}[rows]
    names = FEATURES if rows in NAMED else ["x0", "x1", "x2"]
    want = PSR.from_rows(_FRAME.set_axis(names, axis=1))
    fitted = [FederatedPSR().fit(_made(table))]
    if not callable(table):
        fitted += [FederatedRidge().fit(table, FRAME.t), FederatedGaussianNB().fit(table, FRAME.late)]
    for one in fitted:
        assert list(getattr(one, "feature_names_in_", ())) == (FEATURES if rows in NAMED else [])
        assert one.n_features_in_ == 3
        assert one.psr_.select(names) == want
    if callable(table) or rows not in NAMED or "sparse" in rows:  # scikit-learn reads such frames as sparse matrices
        return
    for one, method in zip(fitted, ["transform", "predict", "predict_proba"], strict=True):
        np.testing.assert_allclose(getattr(one, method)(table), getattr(one, method)(_FRAME))

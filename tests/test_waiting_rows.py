"""Single rows wait to be learned together, and nobody can tell: not by a bit, and not by a loss."""

from __future__ import annotations

import copy
import pickle
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed import PSR, FederatedPSR
from sklearn_symfed.exceptions import DataError, DataTypeError, FederationError, ForgetError, SchemaError
from sklearn_symfed.psr import _buffer

N = 300
_X = np.random.default_rng(0).normal(size=(N, 4))
_Y = np.where(_X[:, 0] > 0, "yes", "no")
_MONEY = np.rint(_X * 100) / 100
_FRAME = pd.DataFrame(_X, columns=list("abcd"))


@pytest.fixture
def learned(monkeypatch):
    """Count how many rows each learning of waiting rows takes."""
    counts = []
    monkeypatch.setattr(
        _buffer, "learn", lambda rows, n_jobs, real=_buffer.learn: counts.append(rows.n_rows) or real(rows, n_jobs)
    )
    return counts


def _one_by_one(node, X, y=None):
    for i in range(len(X)):
        node.partial_fit(X[i : i + 1], None if y is None else y[i : i + 1])
    return node


CASES = {
    "float64": (FederatedPSR, _X, None),
    "float32": (FederatedPSR, _X.astype(np.float32), None),
    "Fortran order": (FederatedPSR, np.asfortranarray(_X), None),
    "float16": (FederatedPSR, _X.astype(np.float16), None),
    "integers": (FederatedPSR, (_X * 2.0**61).astype(np.int64), None),
    "lists": (FederatedPSR, _X.tolist(), None),
    "labels": (lambda: FederatedPSR(classes=True), _X, _Y),
    "targets": (FederatedPSR, _X, _X[:, 1]),
    "named labels": (lambda: FederatedPSR(classes="kind"), _FRAME.assign(kind=_Y), None),
    "pandas": (FederatedPSR, _FRAME, None),
    "polars": (FederatedPSR, pl.from_pandas(_FRAME), None),
    "decimals": (lambda: FederatedPSR(decimals={"x1": 2}), _MONEY, None),
    "objects": (
        lambda: FederatedPSR(decimals=dict.fromkeys(["x0", "x1", "x2", "x3"], 2)),
        [[Decimal(f"{value:.2f}") for value in row] for row in _MONEY.tolist()],
        None,
    ),
}


@pytest.mark.parametrize(("make", "X", "y"), CASES.values(), ids=CASES)
def test_one_by_one_is_all_at_once(make, X, y, learned):
    """Rows of every kind that come one by one are learned together, and give the state of one batch."""
    want, node = make().partial_fit(X, y), _one_by_one(make(), X, y)
    assert not learned
    assert node.psr_ == want.psr_
    assert learned == [N - 1]  # the first one tells the columns
    for name in ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_"):
        assert np.array_equal(getattr(node, name), getattr(want, name))


@pytest.mark.parametrize(("make", "X", "y"), CASES.values(), ids=CASES)
def test_small_batches_wait_as_rows_do(make, X, y, learned):
    """Batches of a few rows of every kind are learned together, and give the state of one batch."""
    want, node = make().partial_fit(X, y), make()
    for start in range(0, N, 7):
        node.partial_fit(X[start : start + 7], None if y is None else y[start : start + 7])
    assert not learned
    assert node.psr_ == want.psr_
    assert learned == [N - 7]


@pytest.mark.parametrize(
    "look",
    [
        lambda node: node.psr_,
        lambda node: node.local_psr_,
        lambda node: pickle.loads(pickle.dumps(node)).psr_,
        lambda node: copy.deepcopy(node).psr_,
        lambda node: PSR.zero(node.psr_.schema) + node.psr_,
        lambda node: node.partial_fit(_X[:7]).forget(_X[:7]).psr_,
        lambda node: node.forget(_X[:7]).partial_fit(_X[:7], batch_id="seven").psr_,
        lambda node: node.partial_fit(_X[:2], sample_weight=[1, 1]).forget(_X[:2]).psr_,
        lambda node: node.partial_fit(iter(_X[:2])).forget(_X[:2]).psr_,
        lambda node: node.partial_fit(PSR.from_rows(_X[:2])).forget(_X[:2]).psr_,
        lambda node: node.create_federation("waiting", "memory://waiting-rows", member="one", guard="off").psr_,
    ],
)
def test_whoever_looks_sees_all_rows(look):
    """Whatever asks for the state sees the rows that waited."""
    assert look(_one_by_one(FederatedPSR(), _X)) == PSR.from_rows(_X)


def test_fitted_attributes_know_of_all_rows(learned):
    """They are set when they are asked for, by name or by what needs them."""
    node, want = _one_by_one(FederatedPSR(), _X), FederatedPSR().fit(_X)
    check_is_fitted(node)
    assert np.array_equal(node.transform(_X), want.transform(_X))
    assert len(learned) == 1
    _one_by_one(node, _X)
    assert (node.n_samples_seen_, node.psr_.n_rows) == (2 * N, 2 * N)
    assert vars(clone(node)).keys() == vars(FederatedPSR()).keys()
    assert not hasattr(clone(node), "mean_")
    assert node.set_params(with_std=False).partial_fit(_X[:1]).partial_fit(_X[:1]).var_ is None
    with pytest.raises(AttributeError, match="no attribute 'median_'"):
        node.median_  # noqa: B018
    closed = _one_by_one(FederatedPSR(), _X)
    closed.close()
    assert closed.n_samples_seen_ == N
    with pytest.raises(FederationError, match="closed"):
        closed.partial_fit(_X[:1])


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (np.array([[0.0, np.nan, 0.0, 0.0]]), DataError, "NaN: column 'x1', row 0 "),
        (np.array([[0.0, 0.0, -np.inf, 0.0]]), DataError, "infinity: column 'x2', row 0 "),
        (np.array([[0.0, 0.0, np.nan, 0.0]], np.float32), DataError, "NaN: column 'x2'"),
        ([[0.0, 0.0, 0.0, float("nan")]], DataError, "NaN: column 'x3'"),
        (np.zeros((1, 3)), ValueError, "3 features"),
        (np.zeros(4), DataError, "2D array"),
        ([["1", "2", "3", "4"]], DataTypeError, "column 'x0'"),
        (np.zeros((1, 4), np.complex128), DataTypeError, "[Cc]omplex"),
        (np.zeros((0, 4)), DataError, "0 sample"),
        (None, DataError, "no array|2D"),
    ],
)
def test_bad_rows_are_refused_when_they_come(row, error, message):
    """A row that cannot be learned never waits, and those that do go on waiting."""
    node = _one_by_one(FederatedPSR(), _X)
    with pytest.raises(error, match=message):
        node.partial_fit(row)
    assert node.partial_fit(_X[:1]).psr_ == PSR.from_rows(np.vstack([_X, _X[:1]]))


@pytest.mark.parametrize("n_columns", [2, 100])
def test_narrow_and_wide_rows(n_columns, learned):
    """Rows of any width are checked when they come; extreme but finite ones are learned."""
    rows = np.full((5, n_columns), 1e308)
    node = _one_by_one(FederatedPSR(), rows)
    for value in (np.nan, np.inf, -np.inf):
        bad = rows[:1].copy()
        bad[0, 1] = value
        with pytest.raises(DataError, match="column 'x1', row 0"):
            node.partial_fit(bad)
    assert node.psr_ == PSR.from_rows(rows)
    assert learned


def test_rows_that_do_not_fit_are_refused_when_they_come():
    """So are decimals, labels and names that do not fit what was learned."""
    node = _one_by_one(FederatedPSR(decimals={"x1": 2}), _MONEY)
    with pytest.raises(DataError, match=r"column 'x1', row 0 .* no decimal"):
        node.partial_fit(_MONEY[:1] + 0.001)
    node = _one_by_one(FederatedPSR(classes=True), _X, _Y)
    for label, error in ((True, SchemaError), (np.nan, DataError), (None, SchemaError)):
        with pytest.raises(error):
            node.partial_fit(_X[:1], None if label is None else [label])
    assert node.psr_ == PSR.from_rows(_X, _Y, classes=True)
    node = _one_by_one(FederatedPSR(), _FRAME)
    with pytest.raises(SchemaError, match="without column names"):
        node.partial_fit(_X[:1])
    with pytest.raises(ValueError, match="feature names"):
        node.partial_fit(_FRAME[:1].rename(columns={"a": "z"}))
    with pytest.raises(ForgetError):
        node.forget(_FRAME + 1.0)
    assert node.psr_ == PSR.from_rows(_FRAME)


def test_rows_wait_as_they_were():
    """What a caller does to an array afterwards changes nothing; a fit or a reset forgets what waits."""
    node, row, labels = FederatedPSR(classes="y"), np.ones((1, 2)), np.array([1])
    for i in range(5):
        row[:], labels[:] = i, i
        node.partial_fit(row, labels)
    assert node.psr_ == PSR.from_rows(np.repeat(np.arange(5.0), 2).reshape(5, 2), range(5), classes=True)
    plain = FederatedPSR()
    for i in range(5):
        row[:] = i
        plain.partial_fit(row)
    assert plain.psr_ == node.psr_.drop("y")
    assert _one_by_one(plain, _X[:, :2]).fit(_X).psr_ == PSR.from_rows(_X)
    assert _one_by_one(plain, _X).reset().partial_fit(_X[:, :1]).psr_ == PSR.from_rows(_X[:, :1])
    named = _one_by_one(FederatedPSR(), _X[:5])
    assert named.fit(_FRAME).partial_fit(_FRAME[:1]).psr_.names == ("a", "b", "c", "d")


def test_many_rows_do_not_wait_for_ever(monkeypatch, learned):
    """When there are enough, they are learned, and more may wait."""
    monkeypatch.setattr(_buffer, "rows_of_a_piece", lambda _: 50)
    node = _one_by_one(FederatedPSR(), _X)
    assert learned == [50] * 5
    assert node.psr_ == PSR.from_rows(_X)
    node.partial_fit(_X[:60]).partial_fit(_X[:30]).partial_fit(_X[30:60])
    assert node.psr_ == PSR.from_rows(np.vstack([_X, _X[:60], _X[:60]]))
    node.partial_fit(_X[:1]).partial_fit(_X[:1].astype(np.float32)).partial_fit(_X[:1].tolist())
    assert node.psr_.n_rows == N + 123


def test_a_failure_to_learn_loses_nothing(monkeypatch):
    """If learning is interrupted, the rows go on waiting."""
    node = _one_by_one(FederatedPSR(), _X)

    def interrupted(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(_buffer, "learn", interrupted)
        with pytest.raises(MemoryError):
            node.psr_  # noqa: B018
    assert node.psr_ == PSR.from_rows(_X)


def test_threads_may_bring_rows():
    """Rows of several threads are all learned, once."""
    node = FederatedPSR().partial_fit(_X[:1])

    def bring(rows):
        for i in range(len(rows)):
            node.partial_fit(rows[i : i + 1] if i % 5 else rows[i : i + 1].tolist())
            if i % 40 == 0:
                assert node.psr_.n_rows > 0

    threads = [threading.Thread(target=bring, args=(_X,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert node.psr_ == PSR.from_rows(np.vstack([_X[:1], *[_X] * 4]))


def test_homes_and_members_commit_each_batch(tmp_path, learned):
    """With a home, or in a federation, nothing waits."""
    with FederatedPSR(home=tmp_path / "home") as node:
        _one_by_one(node, _X[:5])
        assert node._store.local.n_rows == 5
    member = FederatedPSR().create_federation("commit", "memory://commit-each", member="one", guard="off")
    assert _one_by_one(member, _X[:5])._store.local.n_rows == 5
    assert not learned

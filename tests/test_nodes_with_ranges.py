"""Nodes refuse single rows outside of the declared ranges, or leave them out and count them, exactly once."""

from __future__ import annotations

import pickle
import sqlite3

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed import PSR, FederatedPSR, Schema
from sklearn_symfed.exceptions import DataError, SchemaError, StoreError
from sklearn_symfed.federation import Store

_RANGES = {"fare": (0, 500)}
_DROP = {"ranges": _RANGES, "outside": "drop"}


def _trips(start=0, stop=60):
    """Return trips of which each seventh has an impossible fare."""
    numbers = np.arange(start, stop)
    fares = np.where(numbers % 7 == 0, -1.0 - numbers, numbers * 7.25 % 90)
    return pd.DataFrame({"fare": fares, "distance": np.sqrt(numbers), "late": numbers % 3 == 0})


def _inside(trips):
    return trips[trips.fare >= 0]


def _state(node):
    return node.local_psr_.digest, node.n_rows_dropped_, node.batches_, node._store.get("n_dropped")


@pytest.fixture
def node(tmp_path):
    """Make a node with a home that has learned a batch, of which it dropped nine rows."""
    with FederatedPSR(classes="late", home=tmp_path / "home", **_DROP) as made:
        yield made.partial_fit(_trips(), batch_id="january")


def test_rows_outside_are_left_out_and_counted():
    """A node that drops them holds what it holds of the others; `forget` counts them off, `fit` and `reset` anew."""
    rows, whole = _trips(), PSR.from_rows(_inside(_trips()), classes="late", **_DROP)
    node = FederatedPSR(classes="late", **_DROP)
    assert node.n_rows_dropped_ == 0
    assert node.fit(rows).psr_ == whole
    assert node.n_rows_dropped_ == 9
    node.partial_fit(rows[i : i + 20] for i in range(0, 60, 20))
    assert (node.psr_, node.n_rows_dropped_) == (whole + whole, 18)
    node.forget(rows)
    assert (node.psr_, node.n_rows_dropped_) == (whole, 9)
    again = pickle.loads(pickle.dumps(node))
    assert (again.psr_, again.n_rows_dropped_) == (whole, 9)
    assert again.fit(rows[1:7]).n_rows_dropped_ == 0
    assert node.partial_fit(rows[:1]).psr_ == whole
    assert node.n_rows_dropped_ == 10
    node.forget(_inside(rows))
    assert (node.psr_.n_rows, node.n_rows_dropped_) == (0, 10)
    assert node.reset().n_rows_dropped_ == 0


def test_the_first_rows_may_all_be_outside():
    """The node knows its columns then, and how many rows it dropped."""
    node = FederatedPSR(**_DROP).partial_fit(_trips(0, 1).drop(columns="late"))
    assert (node.psr_, node.n_rows_dropped_) == (PSR.zero(Schema(["fare", "distance"], **_DROP)), 1)
    assert node.partial_fit(_trips(1, 9).drop(columns="late")).n_samples_seen_ == 7


@pytest.mark.parametrize("size", [1, 4])
def test_rows_that_wait_are_checked_when_they_come(size):
    """Single rows and small batches are dropped and counted as they come, or refused before they wait."""
    rows = np.column_stack([_trips().fare, np.arange(60.0)])
    for outside in ("drop", "error"):
        node = FederatedPSR(ranges={"x0": (0, 500)}, outside=outside)
        for start in range(0, 60, size):
            some = rows[start : start + size]
            if outside == "error" and (some < 0).any():
                with pytest.raises(DataError, match="column 'x0'"):
                    node.partial_fit(some)
                some = some[some[:, 0] >= 0]
            if len(some):
                node.partial_fit(some)
        declared = {"ranges": {"x0": (0, 500)}, "outside": outside}
        assert node.psr_ == PSR.from_rows(rows[rows[:, 0] >= 0], **declared)
        assert node.n_rows_dropped_ == (9 if outside == "drop" else 0)
    with pytest.raises(SchemaError, match="outside='drop' instead of 'error'"):
        node.set_params(ranges=None, outside="drop").partial_fit(rows[1:2])
    assert node.set_params(outside="error").partial_fit(rows[1:2]).psr_.n_rows == 52


def test_a_refused_row_leaves_a_node_as_it_was(tmp_path):
    """Column and bounds are told; nothing of the batch is learned, and it may be learned once it is corrected."""
    with FederatedPSR(classes="late", home=tmp_path / "home", ranges=_RANGES) as node:
        node.partial_fit(_inside(_trips()), batch_id="one")
        before = _state(node)
        with pytest.raises(DataError, match=r"Got 1 of 10 rows .* row 3 .* 0 to 500 in column 'fare'"):
            node.partial_fit(_trips(60, 70), batch_id="two")
        with pytest.raises(DataError, match="from row 10 of the stream"):
            node.partial_fit(iter([_inside(_trips(0, 12)), _trips(60, 70)]), batch_id="two")
        with pytest.raises(SchemaError, match="range of column 'fare': none instead of 0 to 500"):
            node.partial_fit(PSR.from_rows(_trips(), classes="late"))
        assert _state(node) == before
        node.partial_fit(_inside(_trips(60, 70)), batch_id="two")


def test_a_home_counts_a_batch_once(node):
    """Learning it again changes nothing, forgetting it by name counts it off once, and a home keeps the count."""
    assert node.partial_fit(_trips(), batch_id="january").n_rows_dropped_ == 9
    node.partial_fit(_trips(60, 90), batch_id="february").close()
    with FederatedPSR.open(node.home) as again:
        assert again.n_rows_dropped_ == 13
        again.partial_fit(_trips(90, 91))
        again.partial_fit(_trips(91, 92))
        assert again.n_rows_dropped_ == 14
        for _ in range(2):
            assert again.forget(_trips(), batch_id="january").n_rows_dropped_ == 5
        assert again.local_psr_ == PSR.from_rows(_inside(_trips(60, 92)), classes="late", **_DROP)
        again.forget(again.local_psr_)
        assert again.n_rows_dropped_ == 5


def test_a_failed_write_counts_nothing(node, monkeypatch):
    """The count is committed with its batch."""
    before = _state(node)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write_dropped", full)
        with pytest.raises(StoreError, match="full"):
            node.partial_fit(_trips(60, 90), batch_id="february")
    assert _state(node) == before
    assert node.partial_fit(_trips(60, 90), batch_id="february").n_rows_dropped_ == 13


@pytest.mark.parametrize("outside", ["error", "drop"])
def test_ranges_travel_to_whoever_joins(outside):
    """A joiner that declares none goes by the federation's before it learns anything, and says what it dropped."""
    schema = Schema(["fare", "distance"], "late", ranges=_RANGES, outside=outside)
    north = FederatedPSR().create_federation(
        "ranges", f"memory://ranges-{outside}", member="north", schema=schema, guard="off", on_recovery_key=str
    )
    south = FederatedPSR().join(*north.invite("south"))
    north.pulse(), south.pulse()
    if outside == "error":
        with pytest.raises(DataError, match="0 to 500 in column 'fare'"):
            south.partial_fit(_trips(30, 60), batch_id="may")
        assert not hasattr(south, "local_psr_")
        south.partial_fit(_inside(_trips(30, 60)), batch_id="may")
    else:
        south.partial_fit(_trips(30, 60), batch_id="may")
    with pytest.raises(SchemaError, match="range of column 'fare': 0 to 400 instead of 0 to 500"):
        south.set_params(ranges={"fare": (0, 400)}, outside=outside).partial_fit(_trips(31, 34))
    north.partial_fit(_inside(_trips(0, 30)))
    for _ in range(3):
        north.pulse(), south.pulse()
    declared = {"classes": "late", "ranges": _RANGES, "outside": outside}
    assert north.psr_ == south.psr_ == PSR.from_rows(_inside(_trips()), **declared)
    dropped = 4 if outside == "drop" else 0
    assert (south.n_rows_dropped_, south.status().dropped, north.status().dropped) == (dropped, dropped, 0)
    assert ("dropped: 4 rows outside of their ranges" in str(south.status())) == bool(dropped)


def test_who_learned_rows_without_the_ranges_is_told_and_not_admitted():
    """Nobody can look whether such rows are within them."""
    north = FederatedPSR(classes="late", **_DROP)
    north.create_federation("strict", "memory://strict", member="north", on_recovery_key=str).partial_fit(_trips())
    south = FederatedPSR(classes="late").partial_fit(_trips()).join(*north.invite("south"))
    north.pulse(), south.pulse()
    assert "range of column 'fare': none instead of 0 to 500" in south.status().pending
    assert not south.is_member


def test_the_guard_compares_releases_whatever_ranges_they_had():
    """A row that another bound leaves out could be found by subtraction, in another federation, too."""
    rows = _inside(_trips(0, 200)).drop_duplicates("fare")
    node = FederatedPSR(classes="late", outside="drop")
    for name, high in (("one", 90), ("two", rows.fare.max() - 0.01)):
        node.set_params(ranges={"fare": (0, high)})
        node.create_federation(name, f"memory://guarded-{name}", member="a", on_recovery_key=str).partial_fit(rows)
        report = node.pulse()
        if name == "one":
            assert report.status == "published"
            node.leave(forget=True).reset()
    assert report.status.startswith("pending")
    assert "release 1" in node.status().pending

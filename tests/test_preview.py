"""`preview`: what would be learned and what would hold it back, by a node that stays as it is."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed import FederatedPSR, Guard
from sklearn_symfed.exceptions import DataError, NothingLearnedError


def flights(n_rows: int, seed: int = 0, **changed: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {"carrier": ["AA", "UA"] * (n_rows // 2), "delay": rng.normal(5.0, 1.0, n_rows)}
    return pd.DataFrame({**columns, **changed})


def member(**settings: object) -> FederatedPSR:
    said = {"missing": {"delay": "listwise"}, "ranges": {"delay": (-100, 100)}, "outside": "drop"}
    return FederatedPSR(**said).create_federation(
        "f", f"memory://{uuid.uuid4()}", member="a", on_recovery_key=lambda _: None, **settings
    )


def test_a_preview_says_what_learning_does():
    """Rows, those that are left out and why, columns and new levels are those of learning, which it does not do."""
    node = FederatedPSR(missing={"delay": "listwise"}, ranges={"delay": (-100, 100)}, outside="drop")
    node.partial_fit(flights(40))
    more = flights(20, 1, carrier=["AA", "ZZ"] * 10)
    more.loc[:2, "delay"] = [np.nan, 500.0, np.nan]
    before = node.local_psr_
    preview = node.preview(more)
    assert node.local_psr_ == before
    assert (preview.n_rows, preview.n_dropped, preview.n_incomplete) == (17, 1, 2)
    assert preview.new_levels == {"carrier": ("ZZ",)}
    assert preview.columns == ("carrier=AA", "carrier=ZZ", "delay")
    assert preview
    node.partial_fit(more)
    assert (node.local_psr_.n_rows, node.n_rows_dropped_, node.local_psr_.n_incomplete) == (57, 3, 2)
    assert not node.preview(more).new_levels


def test_a_preview_of_a_member_is_what_its_pulse_says():
    """Contract and guard, differences from earlier releases among it, say beforehand what the pulse says then."""
    node = member(contract=["count() >= 30"])
    few = node.preview(flights(20))
    assert [reason.split(":")[0] for reason in few.reasons] == ["what would be learned here breaks the contract"]
    with pytest.raises(NothingLearnedError):
        node.psr_  # noqa: B018
    assert node.preview(flights(40))
    node.partial_fit(flights(40)).pulse()
    more = flights(10, 1, carrier=["AA"] * 9 + ["ZZ"])
    preview = node.preview(more)
    assert not preview
    assert any(reason.startswith("since release 1: ") for reason in preview.reasons)
    assert "would wait: since release 1: " in repr(preview)
    assert "since release 1: " in preview._repr_html_()
    assert node.pulse().status == "unchanged"
    node.partial_fit(more)
    assert node.pulse().status == f"pending: {'; '.join(preview.reasons)}"


def test_a_preview_without_federation_asks_the_guard():
    """A node that is no member asks its own guard, by default that of most federations."""
    assert FederatedPSR().preview(flights(10)[:9]).reasons[0].startswith("9 of 10 rows")
    assert FederatedPSR(guard="off").preview(flights(2))
    assert FederatedPSR(guard=Guard(rows=100)).preview(flights(40)).reasons == ("40 of 100 rows (wait for more rows)",)


def test_a_preview_makes_no_home(tmp_path):
    """Looking creates nothing, and what cannot be learned is refused as by learning."""
    node = FederatedPSR(home=tmp_path / "home")
    assert node.preview(flights(40), sample_weight=[2] * 40).n_rows == 80
    assert not (tmp_path / "home").exists()
    with pytest.raises(DataError, match="delay"):
        node.preview(flights(4, delay=[1.0, np.nan, 2.0, 3.0]))
    node = member(guard="off").partial_fit(flights(40))
    with pytest.raises(ValueError, match="tip"):
        node.preview(flights(4).assign(tip=1.0))

"""A member that heard its peers before it learned anything."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sklearn_symfed import PSR, FederatedPSR


def test_a_late_joiner_may_keep_its_own_order_of_columns(tmp_path):
    """Peers' columns that were heard before the first batch are matched by name, and bind no order."""
    rows = pd.DataFrame(np.arange(60.0).reshape(20, 3) ** 0.5, columns=["a", "b", "c"])
    url = (tmp_path / "federation").as_uri().replace("file:", "dir:", 1)
    early = (
        FederatedPSR(home=tmp_path / "early")
        .create_federation("rows", url, guard="off", on_recovery_key=print)
        .partial_fit(rows[:12])
    )
    late = FederatedPSR(home=tmp_path / "late").join(*early.invite("late"))
    for node in (early, late, early, late):
        node.pulse()
    assert late.psr_.n_rows == 12

    late.partial_fit(rows[12:][["c", "a", "b"]])
    for node in (late, early, late, early):
        node.pulse()

    assert early.psr_ == late.psr_ == PSR.from_rows(rows)
    assert early.psr_.names == late.psr_.names == ("a", "b", "c")
    assert list(late.feature_names_in_) == ["c", "a", "b"]
    for node in (early, late):
        node.close()

"""The laws hold for the PSR, and the suite that states them can fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import PSRLaws, finite_rows


class TestLaws(PSRLaws):
    """All laws, for `PSR` as it is."""


class _LossyMerge(PSRLaws):
    """A merge that loses the second party where both have more than one row."""

    def merge(self, first: PSR, second: PSR) -> PSR:
        return first if first.n_rows > 1 and second.n_rows > 1 else first + second


class _RoundedLearning(PSRLaws):
    """Learning that goes through float32."""

    def learn(self, X: Any, *args: Any, **kwargs: Any) -> PSR:
        with np.errstate(all="ignore"):
            return PSR.from_rows(np.nan_to_num(np.asarray(X).astype(np.float32)), *args, **kwargs)


def _try(law, suite: PSRLaws, **drawn) -> None:
    """Put a suite to one of its laws, without Hypothesis' long search for a smaller example."""
    settings(deadline=None, database=None, phases=[Phase.generate])(given(**drawn)(law.hypothesis.inner_test))(suite)


def test_a_merge_that_loses_rows_breaks_a_law():
    """The suite notices a merge that drops a party."""
    law = PSRLaws.test_any_partition_order_and_tree_gives_the_state_of_all_rows
    _try(law, PSRLaws(), data=st.data(), rows=finite_rows())
    with pytest.raises(AssertionError):
        _try(law, _LossyMerge(), data=st.data(), rows=finite_rows())


def test_learning_that_rounds_breaks_a_law():
    """The suite notices learning that loses digits."""
    law = PSRLaws.test_the_state_is_the_exact_sum
    _try(law, PSRLaws(), rows=finite_rows(max_rows=8, max_columns=3))
    with pytest.raises(AssertionError):
        _try(law, _RoundedLearning(), rows=finite_rows(max_rows=8, max_columns=3))

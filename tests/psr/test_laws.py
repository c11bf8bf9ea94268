"""The laws hold for the PSR, and the suite that states them can fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sklearn_symfed.psr import PSR
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.testing import PSRLaws


class TestLaws(PSRLaws):
    """All laws, for `PSR` as it is."""


class _RoundedMerge(PSRLaws):
    """A merge that loses the lowest plane where both sides have one."""

    def merge(self, first: PSR, second: PSR) -> PSR:
        merged = first + second
        cells = {
            label: Limbs(state.length, state.keys[1:], state.planes[1:].copy()) if len(state.keys) > 2 else state
            for label, state in merged._cells.items()
        }
        return PSR(merged.schema, cells)


class _RoundedLearning(PSRLaws):
    """Learning that goes through float32."""

    def learn(self, X: Any, *args: Any, **kwargs: Any) -> PSR:
        with np.errstate(all="ignore"):
            return PSR.from_rows(np.nan_to_num(np.asarray(X).astype(np.float32)), *args, **kwargs)


def test_a_merge_that_rounds_breaks_a_law():
    """The suite notices a merge that drops low digits."""
    with pytest.raises(AssertionError):
        _RoundedMerge().test_any_partition_order_and_tree_gives_the_state_of_all_rows()


def test_learning_that_rounds_breaks_a_law():
    """The suite notices learning that loses digits."""
    with pytest.raises(AssertionError):
        _RoundedLearning().test_the_state_is_the_exact_sum()

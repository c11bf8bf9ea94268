"""Indicators of levels: what they are called, and columns of zeros for those that nobody has."""

from __future__ import annotations

import numpy as np
import pytest

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr import MOST_LEVELS, PSR, Schema, level_name, levels_by_column

ROWS = np.random.default_rng(0).normal(size=(9, 3))
KIND = list("abbaaccba")


def test_names_of_indicators_tell_column_and_level():
    """Grouping reads what naming wrote; a column's own name may hold the sign."""
    names = [level_name("a=b", 11), level_name("c", 0), level_name("a=b", 2)]
    assert levels_by_column(names) == {"a=b": {2: "a=b=2", 11: "a=b=11"}, "c": {0: "c=0"}}
    assert list(levels_by_column(names)["a=b"]) == [2, 11]


@pytest.mark.parametrize("name", ["a", "a=", "=1", "a=01", "a=-1", "a=1.5", "a=red", "a=²", f"a={MOST_LEVELS}"])
def test_other_names_are_refused(name):
    """What is no indicator of a level is named, and nothing is guessed."""
    with pytest.raises(SchemaError, match="expected indicators called column=level"):
        levels_by_column(["a=0", name])


@pytest.mark.parametrize("kind", [None, "kind"])
def test_columns_of_zeros_are_those_of_rows_with_zeros(kind):
    """Statistics with further columns of zeros equal those of rows that have them."""
    labels = None if kind is None else KIND
    psr = PSR.from_rows(ROWS, labels, classes=kind)
    wider = PSR.from_rows(np.column_stack([ROWS, np.zeros((9, 2))]), labels, classes=kind)
    assert psr.with_zeros(["x3", "x4"]) == wider
    assert psr.with_zeros(["x3", "x4"]).select([*psr.names, *filter(None, [kind])]) == psr
    assert psr.with_zeros([]) == psr
    assert PSR.zero(psr.schema).with_zeros(["x3"]).n_rows == 0
    with pytest.raises(SchemaError, match="more than once"):
        psr.with_zeros(["x1"])


def test_columns_of_zeros_may_hold_decimals():
    """Digits of old columns stay, those of new ones are declared; ranges are dropped, as zero may lie outside."""
    schema = PSR.from_rows(np.round(ROWS, 2), decimals={"x0": 2}).with_zeros(["z"], {"z": 1}).schema
    assert schema == Schema(["x0", "x1", "x2", "z"], decimals={"x0": 2, "z": 1})

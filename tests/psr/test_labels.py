"""Labels are bool, int or str, whatever held them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed.psr import PSR, encode_labels

LABELS = {
    "bool": ([True, False, True], (False, True)),
    "numpy bool": (np.array([True, False, True]), (False, True)),
    "bool objects": (np.array([np.True_, False, True], dtype=object), (False, True)),
    "nullable bool": (pd.Series([True, False, True], dtype="boolean"), (False, True)),
    "int": ([3, -1, 3], (-1, 3)),
    "uint8": (np.array([3, 1, 3], dtype=np.uint8), (1, 3)),
    "ints of many types": ([np.int8(3), -1, np.int64(3)], (-1, 3)),
    "integral floats": ([3.0, -1.0, 3.0], (-1, 3)),
    "float32": (np.array([3, -1, 3], dtype=np.float32), (-1, 3)),
    "ints and integral floats": (np.array([3.0, -1, np.float32(3)], dtype=object), (-1, 3)),
    "nullable int": (pd.Series([3, -1, 3], dtype="Int64"), (-1, 3)),
    "str": (["b", "a", "b"], ("a", "b")),
    "numpy str": (np.array(["b", "a", "b"]), ("a", "b")),
    "numpy variable str": (np.array(["b", "a", "b"], dtype=np.dtypes.StringDType()), ("a", "b")),
    "str of many types": ([np.str_("b"), "a", "b"], ("a", "b")),
    "pandas str": (pd.Series(["b", "a", "b"], dtype="string"), ("a", "b")),
    "category": (pd.Series(["b", "a", "b"], dtype="category"), ("a", "b")),
    "categorical": (pd.Categorical(["b", "a", "b"]), ("a", "b")),
    "two spellings": (["é", "z", "e\u0301"], ("z", "é")),
    "a column": (np.array([[3], [-1], [3]]), (-1, 3)),
    "a frame": (pd.DataFrame({"late": [3, -1, 3]}), (-1, 3)),
    "a list of lists": ([["b"], ["a"], ["b"]], ("a", "b")),
    "extremes": ([2**63 - 1, -(2**63), 2**63 - 1], (-(2**63), 2**63 - 1)),
}


@pytest.mark.parametrize(("labels", "found"), LABELS.values(), ids=LABELS)
def test_labels_are_bool_int_or_str(labels, found):
    """Labels of any storage become one of three kinds, sorted, and each row keeps its own."""
    got, codes = encode_labels(labels)
    assert got == found
    assert [type(label) for label in got] == [type(label) for label in found]
    assert codes.tolist() in ([1, 0, 1], [0, 1, 0])
    psr = PSR.from_rows([[1.0], [2.0], [4.0]], labels, classes=True)
    assert sorted(each.moments().sums[0] for each in psr.by_class().values()) == [2.0, 5.0]
    assert PSR.from_bytes(psr.to_bytes()).labels == found


def test_no_rows_have_no_labels():
    """Empty input of any dtype is the empty state."""
    for y in ([], np.array([], dtype=int), np.array([], dtype=str), pd.Series([], dtype=object)):
        psr = PSR.from_rows(np.empty((0, 2)), y, classes=True)
        assert (psr.n_rows, psr.labels) == (0, ())
        assert psr == PSR.zero(psr.schema)

"""Schemas: names are distinct, composed and bounded, and are matched without their order."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr import Schema
from sklearn_symfed.psr._schema import MAX_COLUMNS, MAX_NAME_BYTES


def test_order_is_kept_and_does_not_count():
    """Schemas of the same columns are equal and hash alike; each keeps its order."""
    one, other = Schema(["a", "b"], "late"), Schema(iter(["b", "a"]), classes="late")
    assert (one, hash(one)) == (other, hash(other))
    assert (one.names, other.names, one.classes) == (("a", "b"), ("b", "a"), "late")
    assert one != Schema(["a", "b"])
    assert one != Schema(["a", "b"], "Late")
    assert one != Schema(["a", "c"], "late")
    assert one != ("a", "b")
    assert pickle.loads(pickle.dumps(one)).names == one.names
    assert repr(one) == "Schema(['a', 'b'], classes='late')"
    assert repr(Schema(["a"])) == "Schema(['a'])"


def test_names_are_composed():
    """Two spellings of one name are one name."""
    assert Schema(["e\u0301"]) == Schema(["é"])
    assert Schema(["a"], "e\u0301").classes == "é"
    assert Schema(["é"]).positions(["e\u0301"]) == [0]


BAD = {
    "a string": ("abc", None, "expected a list of names"),
    "a number as a name": (["a", 1], None, "type int"),
    "no name": ([None], None, "type NoneType"),
    "bytes": ([b"a"], None, "type bytes"),
    "an empty name": ([""], None, "0 bytes"),
    "an empty class column": (["a"], "", "0 bytes"),
    "a class column that is a number": (["a"], 1, "type int"),
    "a class column that is True": (["a"], True, "type bool"),
    "a name that is too long": (["a" * (MAX_NAME_BYTES + 1)], None, "4097 bytes"),
    "a name of too many bytes": (["é" * MAX_NAME_BYTES], None, "8192 bytes"),
    "a lone surrogate": (["\udfff"], None, "lone surrogates"),
    "a name twice": (["a", "b", "a"], None, "['a']"),
    "a name in two spellings": (["é", "e\u0301"], None, "['é']"),
    "a class column among the names": (["a", "b"], "b", "['b']"),
    "too many columns": ([f"c{i}" for i in range(MAX_COLUMNS + 1)], None, "65536 columns"),
    "the last of many names twice": ([*(f"c{i}" for i in range(2000)), "c1999"], None, "['c1999']"),
}


@pytest.mark.parametrize(("columns", "classes", "message"), BAD.values(), ids=BAD)
def test_bad_names_are_refused(columns, classes, message):
    """Each misuse is a SchemaError that says what was got."""
    with pytest.raises(SchemaError) as caught:
        Schema(columns, classes)
    assert message in str(caught.value)


def test_bounds_are_inclusive():
    """The longest name and the widest schema are taken."""
    assert Schema(["a" * MAX_NAME_BYTES]).names == ("a" * MAX_NAME_BYTES,)
    assert len(Schema([f"c{i}" for i in range(MAX_COLUMNS)]).names) == MAX_COLUMNS
    assert Schema([]).names == ()


def test_a_schema_cannot_be_changed():
    """A schema is a value."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Schema(["a"]).names = ("b",)


def test_differences_are_listed():
    """Every difference is named, from the side of the one that is asked."""
    one, other = Schema(["a", "b", "c"], "late"), Schema(["c", "d"])
    assert one.differences(other) == [
        "missing columns: ['a', 'b']",
        "unexpected columns: ['d']",
        "class column None instead of 'late'",
    ]
    assert one.differences(Schema(["c", "b", "a"], "late")) == []
    one.require_match(Schema(["c", "b", "a"], "late"))
    with pytest.raises(SchemaError, match="The columns do not match: missing"):
        one.require_match(other)


def test_positions():
    """Names are looked up in the order asked; all unknown ones are listed."""
    schema = Schema(["a", "b", "c"], "late")
    assert schema.positions(["c", "a"]) == [2, 0]
    with pytest.raises(SchemaError, match=r"unknown columns \['x', 'late'\], but expected some of \['a', 'b', 'c'\]"):
        schema.positions(["x", "a", "late"])

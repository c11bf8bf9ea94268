"""The PSR as a value: algebra, matching by name, selections, classes, summaries."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_symfed.exceptions import DataError, ForgetError, SchemaError
from sklearn_symfed.psr import PSR, Schema

CANARY = 987654.321


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["age", "dose", "cost"])
    return frame.assign(late=rng.choice(["no", "yes", "maybe"], 40))


@pytest.fixture
def psr(rows):
    return PSR.from_rows(rows, classes="late")


def test_what_it_is(psr, rows):
    """Names, rows and labels are those of what was learned."""
    assert psr.names == psr.schema.names == ("age", "dose", "cost")
    assert psr.schema == Schema(["age", "dose", "cost"], "late")
    assert psr.n_rows == 40
    assert psr.labels == ("maybe", "no", "yes")
    assert psr.moments().n_rows == 40
    assert psr.moments().mean.tolist() == pytest.approx(rows[list(psr.names)].mean().tolist())
    assert len(psr.digest) == 64


def test_it_is_a_value(psr):
    """It equals its copies and what was learned alike, hashes alike, and copying returns itself."""
    other = PSR.from_bytes(psr.to_bytes())
    assert copy.copy(psr) is copy.deepcopy(psr) is psr
    assert copy.deepcopy({"a": [psr]})["a"][0] is psr
    assert psr == other == pickle.loads(pickle.dumps(psr))
    assert len({psr, other, psr + psr}) == 2
    assert psr != psr + psr
    assert psr != "psr"
    assert psr != 0
    for name in ("digest", "n_rows"):
        assert getattr(psr, name) == getattr(other, name)
    for name in ("schema", "names", "labels"):
        with pytest.raises(AttributeError):
            setattr(psr, name, None)


def test_parts_add_up(psr, rows):
    """`+`, `sum` with and without start, and `-` are those of the rows."""
    parts = [PSR.from_rows(rows[i::3], classes="late") for i in range(3)]
    assert sum(parts) == sum(parts[1:], parts[0]) == parts[2] + (parts[1] + parts[0]) == psr
    assert psr - parts[0] == parts[1] + parts[2]
    assert psr - psr == PSR.zero(psr.schema) == PSR.from_rows(rows[:0], classes="late")
    assert (psr - psr).labels == ()
    assert psr + 0 is psr
    assert sum([psr]) is psr


def test_arithmetic_leaves_its_operands(psr, rows):
    """Adding and subtracting make new values."""
    part = PSR.from_rows(rows[:5], classes="late")
    before = psr.to_bytes(), part.to_bytes()
    assert (psr + part).n_rows == 45
    assert (psr - part).n_rows == 35
    with pytest.raises(ForgetError):
        part - psr
    assert (psr.to_bytes(), part.to_bytes()) == before


@pytest.mark.parametrize("other", [1, 0.0, None, "psr", np.eye(2), [1]])
def test_only_statistics_add(psr, other):
    """Adding anything but a PSR, or the zero that `sum` starts with, is a TypeError."""
    for operate in (lambda: psr + other, lambda: other + psr, lambda: psr - other):
        with pytest.raises(TypeError):
            operate()


def test_columns_are_matched_by_name(psr, rows):
    """A merge takes the left order, whatever the order on the right, and lists what does not match."""
    turned = PSR.from_rows(rows[["late", "cost", "age", "dose"]], classes="late")
    assert turned.names == ("cost", "age", "dose")
    assert turned == psr
    assert (turned.digest, hash(turned)) == (psr.digest, hash(psr))
    assert (psr + turned).names == psr.names
    assert (turned + psr).names == turned.names
    assert turned + psr == psr + turned == psr + psr
    assert (psr + turned) - turned == psr
    other = PSR.from_rows(rows.rename(columns={"dose": "Dose"}), classes="late")
    for operate in (lambda: psr + other, lambda: psr - other):
        with pytest.raises(SchemaError, match=r"missing columns: \['dose'\]; unexpected columns: \['Dose'\]"):
            operate()
    with pytest.raises(SchemaError, match="class column None instead of 'late'"):
        psr + psr.drop("late")


def test_more_than_ten_columns_keep_their_order():
    """Names sort as text and columns stand as numbers: neither mixes up the other."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 13))
    psr = PSR.from_rows(x)
    assert psr.names == tuple(f"x{i}" for i in range(13))
    assert PSR.from_bytes(psr.to_bytes()).moments().sums.tolist() == psr.moments().sums.tolist()
    assert psr.moments().gram[11, 2] == pytest.approx(x[:, 11] @ x[:, 2])


def test_selecting(psr, rows):
    """Columns are selected in the order given; the class column stays only where it is named."""
    assert psr.select(["cost", "age"]) == PSR.from_rows(rows[["age", "cost"]])
    assert psr.select(["cost", "age"]).names == ("cost", "age")
    assert psr.select(["late", "cost"]) == PSR.from_rows(rows[["cost", "late"]], classes="late")
    assert psr.select(psr.names) == PSR.from_rows(rows.drop(columns="late"))
    assert psr.select("age") == psr.select(["age"])
    assert psr.select(name for name in ["age"]).names == ("age",)
    assert psr.select([]).n_rows == 40
    assert psr.select(["late"]).names == ()
    assert {label: each.n_rows for label, each in psr.select(["late"]).by_class().items()} == dict(
        sorted(rows["late"].value_counts().items())
    )
    with pytest.raises(SchemaError, match=r"unknown columns \['Age'\], but expected some of \['age', 'dose', 'cost'"):
        psr.select(["Age"])
    with pytest.raises(SchemaError, match="more than once"):
        psr.select(["age", "age"])
    with pytest.raises(SchemaError, match="type int"):
        psr.select([0])


def test_dropping(psr):
    """Dropping is selecting the rest; without the class column the classes are added up."""
    assert psr.drop("dose") == psr.select(["age", "cost", "late"])
    assert psr.drop("dose").names == ("age", "cost")
    assert psr.drop(["dose", "late"]) == psr.select(["age", "cost"])
    assert psr.drop([]) == psr
    assert psr.drop("late").schema.classes is None
    with pytest.raises(SchemaError, match=r"unknown columns \['nope'\]"):
        psr.drop(["age", "nope"])


def test_selections_commute_with_sums(psr, rows):
    """Selecting from a sum is summing selections."""
    part = PSR.from_rows(rows[:7], classes="late")
    assert (psr - part).select(["cost"]) == psr.select(["cost"]) - part.select(["cost"])
    assert (psr + part).drop("late") == psr.drop("late") + part.drop("late")


def test_by_class(psr, rows):
    """Each class is a PSR of its rows, by ascending label, without class column."""
    parts = psr.by_class()
    assert list(parts) == ["maybe", "no", "yes"]
    for label, part in parts.items():
        assert part == PSR.from_rows(rows[rows["late"] == label].drop(columns="late"))
    assert sum(parts.values()) == psr.drop("late")
    with pytest.raises(SchemaError, match="without class column"):
        psr.drop("late").by_class()


def test_classes_come_and_go(psr, rows):
    """A class may appear in any batch, and is gone when its last row is forgotten."""
    one, rest = rows[rows["late"] == "yes"], rows[rows["late"] != "yes"]
    assert PSR.from_rows(rest, classes="late") + PSR.from_rows(one, classes="late") == psr
    assert (psr - PSR.from_rows(one, classes="late")).labels == ("maybe", "no")


KINDS = {"bool": [True, False], "int": [1, 0], "str": ["1", "0"]}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_kinds_of_labels_do_not_mix(first, second):
    """True, 1 and "1" are three labels: across kinds nothing is merged or forgotten."""
    x = [[1.0], [2.0]]
    a, b = (PSR.from_rows(x, KINDS[kind], classes=True) for kind in (first, second))
    if first == second:
        assert (a + b).n_rows == 4
        assert a - b == PSR.zero(a.schema)
        return
    assert a != b
    assert a.digest != b.digest
    for operate in (lambda: a + b, lambda: a - b):
        with pytest.raises(SchemaError, match="one kind in a class column"):
            operate()
    assert a + PSR.zero(b.schema) == a


def test_forgetting_what_was_never_learned_is_refused():
    """The error says what would remain, and holds no value."""
    x = np.array([[CANARY, 1.0], [2.0, 3.0], [4.0, 4.5]])
    psr = PSR.from_rows(x)
    cases = {
        "a negative number of rows": PSR.from_rows(np.vstack([x, x])),
        "sums without rows": PSR.from_rows(x + 1),
        "a negative sum of squares": PSR.from_rows([[1e7, 1.0]]),
        "a sum that is larger than its squares allow": PSR.from_rows([[2.0, 3.0], [4.0, -4.5]]),
        "a sum of weights that does not fit": PSR.from_rows(x[1:], sample_weight=[0.5, 0.25]),
    }
    for reason, other in cases.items():
        with pytest.raises(ForgetError, match=reason) as caught:
            psr - other
        assert isinstance(caught.value, DataError)
        assert "987654" not in str(caught.value)
    labelled = PSR.from_rows(x, [0, 0, 1], classes=True)
    with pytest.raises(ForgetError, match="rows of one class"):
        labelled - PSR.from_rows(x[:1], [2], classes=True)
    with pytest.raises(ForgetError, match="rows of one class"):
        labelled - PSR.from_rows(x[:2], [1, 1], classes=True)


def test_weighted_rows_are_forgotten():
    """Rows learned with a weight are forgotten with it."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(30, 2)), rng.random(30)
    whole = PSR.from_rows(x, sample_weight=weight)
    assert whole - PSR.from_rows(x[:10], sample_weight=weight[:10]) == PSR.from_rows(x[10:], sample_weight=weight[10:])
    assert whole.n_rows == 30
    counts = rng.integers(1, 5, 30)
    assert PSR.from_rows(x, sample_weight=counts) - PSR.from_rows(x) == PSR.from_rows(x, sample_weight=counts - 1)


def test_summaries_hold_no_value():
    """The texts name columns and counts, escape what is markup, and hold no value of a row."""
    frame = pd.DataFrame({"<b>": [CANARY, 2.0], "late": ["<script>", "b"]})
    psr = PSR.from_rows(frame, classes="late")
    for text in (repr(psr), str(psr), psr._repr_html_()):
        assert "987654" not in text
        assert psr.digest[:12] in text
        assert "2" in text
    assert repr(psr) == f"<PSR {psr.digest[:12]}: 2 rows of 1 columns, 2 classes of 'late'>"
    html = psr._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<script>" not in html
    assert "class" not in repr(psr.drop("late"))
    assert "none" in psr.drop("late")._repr_html_()


def test_no_rows():
    """The PSR of no rows has no labels, zero sums, and bytes."""
    zero = PSR.zero(Schema(["a", "b"], "late"))
    assert (zero.n_rows, zero.labels, zero.by_class()) == (0, (), {})
    assert zero == PSR.zero(Schema(["b", "a"], "late")) != PSR.zero(Schema(["a", "b"]))
    assert zero + zero == zero - zero == zero
    assert zero.drop("late") == PSR.zero(Schema(["a", "b"]))
    assert PSR.from_bytes(zero.to_bytes()) == zero


def test_digests_tell_states_apart():
    """Names, classes, labels, rows and weights all enter the digest."""
    x = [[1.0, 2.0], [3.0, 5.0]]
    states = [
        PSR.from_rows(x),
        PSR.from_rows(x[:1]),
        PSR.from_rows(x, sample_weight=[2, 1]),
        PSR.from_rows(x, sample_weight=[2.0, 1.0]),
        PSR.from_rows(np.array(x)[:, ::-1]),
        PSR.from_rows(pd.DataFrame(x, columns=["x0", "x2"])),
        PSR.from_rows(x, [0, 1], classes=True),
        PSR.from_rows(x, [1, 0], classes=True),
        PSR.from_rows(x, [False, True], classes=True),
        PSR.from_rows(x, ["0", "1"], classes=True),
        PSR.from_rows(x, [0, 1], classes="late"),
        PSR.from_rows(x, [0, 1]),
    ]
    assert len({state.digest for state in states}) == len(states)
    assert len(set(states)) == len(states)


def test_a_psr_is_frozen():
    """Attributes can be neither set nor deleted."""
    psr = PSR.from_rows([[1.0]])
    for change in (lambda: setattr(psr, "n_rows", 3), lambda: setattr(psr, "extra", 1), lambda: delattr(psr, "_cells")):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    assert psr.n_rows == 1

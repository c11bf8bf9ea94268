"""Other names and other units: exactly what learning the renamed rows, or the products as decimals, would give."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr import PSR, Schema

FRAME = pd.DataFrame(
    {
        "carrier": ["AA", "UA", None, "AA"],
        "age": [30.0, np.nan, 50.0, 41.0],
        "fare": [1.25, 0.5, 7.0, -2.75],
        "late": [True, False, True, True],
    }
)
SAID = {
    "classes": "late",
    "categories": ["carrier"],
    "missing": {"carrier": "indicator", "age": "pairwise"},
    "decimals": {"fare": 2},
    "ranges": {"fare": (-5, 10), "age": (0, 100)},
}
NEW = {"carrier": "airline", "age": "years", "fare": "price", "late": "delayed"}


def renamed(said):
    return {
        key: [NEW[name] for name in value]
        if isinstance(value, list)
        else NEW[value]
        if isinstance(value, str)
        else {NEW[name]: each for name, each in value.items()}
        for key, value in said.items()
    }


def test_renaming_is_learning_under_other_names():
    """Indicators, masks, decimals, ranges and the class column go with their column."""
    psr = PSR.from_rows(FRAME, **SAID).rename(NEW)
    learned = PSR.from_rows(FRAME.rename(columns=NEW), **renamed(SAID))
    assert psr == learned
    assert psr.schema == learned.schema
    assert psr.names == learned.names
    assert PSR.from_bytes(psr.to_bytes()) == learned
    assert psr.rename({new: old for old, new in NEW.items()}) == PSR.from_rows(FRAME, **SAID)


def test_columns_may_change_places():
    """Two columns can swap their names; some can keep theirs."""
    psr = PSR.from_rows([[1.0, 2.0, 3.0]]).rename({"x0": "x1", "x1": "x0"})
    assert psr == PSR.from_rows(pd.DataFrame({"x1": [1.0], "x0": [2.0], "x2": [3.0]}))
    assert psr.names == ("x1", "x0", "x2")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"age": "fare"}, "'fare'"),
        ({"age": "late"}, "'late'"),
        ({"late": "age"}, "'age'"),
        ({"age": "new", "fare": "new"}, "'new'"),
        ({"none": "new"}, "unknown columns"),
        ({"fare": "carrier=AA"}, "more than once"),
        ({"fare": "observed(age)"}, "more than once"),
        ({"age": ""}, "0 bytes"),
        (["age"], "type list"),
    ],
)
def test_collisions_are_refused(names, said):
    """No two columns, indicators and masks among them, can have one name."""
    psr = PSR.from_rows(FRAME, **SAID)
    with pytest.raises(SchemaError, match=said.replace("(", r"\(").replace(")", r"\)")):
        psr.rename(names)


factors = st.builds(
    lambda over, twos, fives: Fraction(over, 2**twos * 5**fives),
    st.integers(-2000, 2000).filter(bool),
    st.integers(0, 4),
    st.integers(0, 4),
)


@given(st.lists(st.tuples(st.integers(-999, 999), st.integers(-99, 99)), min_size=1, max_size=6), factors)
def test_rescaling_is_learning_the_products_as_decimals(rows, factor):
    """A column of decimals times a decimal has the statistics of the decimals that the products are."""
    frame = pd.DataFrame([(m / 100, y) for m, y in rows], columns=["x", "y"])
    psr = PSR.from_rows(frame, decimals={"x": 2}).rescale({"x": factor})
    digits = psr.schema.decimals["x"]
    products = [Fraction(m, 100) * factor for m, _ in rows]
    exact = [Decimal(each.numerator) / Decimal(each.denominator) for each in products]
    assert exact == products
    assert psr == PSR.from_rows(pd.DataFrame({"x": exact, "y": frame.y}), decimals={"x": digits})
    assert psr.rescale({"x": 10**digits}).schema.decimals == {"x": 0}
    assert PSR.from_bytes(psr.to_bytes()) == psr


@pytest.mark.parametrize("factor", ["1.609344", Decimal("1.609344"), Fraction("1.609344"), "+1.6093440"])
def test_whole_numbers_become_decimals(factor):
    """Miles are kilometres of six digits, whatever type the factor has."""
    miles = PSR.from_rows(pd.DataFrame({"distance": [1400, 17, 2586]}))
    kilometres = pd.DataFrame({"distance": [Decimal("1.609344") * each for each in (1400, 17, 2586)]})
    assert miles.rescale({"distance": factor}) == PSR.from_rows(kilometres, decimals={"distance": 6})


@pytest.mark.parametrize("factor", [0.5, 3.0, -0.375, 2.0**-60])
def test_floats_times_binary_factors_stay_floats(factor):
    """Halves need no decimals: every bit stays, and none is added."""
    rows = np.array([[0.375, 3.0], [7.5, -1.0], [2.0**-30, 0.0]])
    scaled = rows * [factor, 1.0]
    psr = PSR.from_rows(rows).rescale({"x0": Decimal(factor)})
    assert not psr.schema.decimals
    assert psr == PSR.from_rows(scaled)


def test_digits_are_as_few_as_the_products_need():
    """Cents of dollars are whole again, and weights, classes, masks and other columns stay."""
    dollars = PSR.from_rows(FRAME, **SAID | {"ranges": None}, sample_weight=[1, 2, 0.5, 3])
    cents = FRAME.assign(fare=FRAME.fare * 100, age=FRAME.age * 12)
    learned = PSR.from_rows(cents, **SAID | {"ranges": None, "decimals": {"fare": 0}}, sample_weight=[1, 2, 0.5, 3])
    assert dollars.rescale({"fare": 100, "age": 12}) == learned
    assert dollars.rescale({}) == dollars
    assert dollars.rescale({"fare": "0.001"}).schema.decimals == {"fare": 5}


def test_ranges_are_rescaled():
    """Bounds are multiplied exactly, change places where the sign does, and no bound stays none."""
    psr = PSR.from_rows([[0.5, 2.0, 3.0]], decimals={"x0": 1, "x1": 0}, ranges={"x0": (0.1, None), "x1": (1, 4)})
    scaled = psr.rescale({"x0": "-0.3", "x1": "2.5", "x2": "0.1"})
    assert scaled.schema.ranges == {"x0": (-np.inf, -0.03), "x1": (2.5, 10.0)}
    assert scaled.schema.decimals == {"x0": 2, "x1": 1, "x2": 1}
    for bound, factor in ((0.1, "0.1"), (1e308, 4), (2.0**-1074, "0.5")):
        narrow = PSR.zero(Schema(["x"], ranges={"x": (None, bound)}))
        with pytest.raises(SchemaError, match="without_ranges"):
            narrow.rescale({"x": factor})
        assert narrow.without_ranges().rescale({"x": factor}).n_rows == 0


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"x0": 1.5}, "type float"),
        ({"x0": np.float64(2.0)}, "expected an int, a fraction, a Decimal or a str"),
        ({"x0": True}, "type bool"),
        ({"x0": "1e3"}, "'1e3'"),
        ({"x0": "nan"}, "'nan'"),
        ({"x0": "1/3"}, "'1/3'"),
        ({"x0": Decimal("inf")}, "not finite"),
        ({"x0": Decimal("1e999999999")}, "far from one"),
        ({"x0": Fraction(1, 3)}, "1/3"),
        ({"x0": 0}, "other than zero"),
        ({"x0": 2**300}, "256 bits"),
        ({"x0": "0.0000000000000001"}, "more than 15 digits"),
        ({"x9": 2}, "unknown columns"),
        ({"c": 2}, "holds categories"),
        ({"t": 2}, "counted in 's'"),
        (["x0"], "type list"),
    ],
)
def test_what_is_no_factor_is_refused(factors, said):
    """A float is asked for as text, and what no decimal is is refused."""
    psr = PSR.zero(Schema(["x0", "c", "t"], categories=["c"], units={"t": "s"}))
    with pytest.raises(SchemaError, match=said):
        psr.rescale(factors)


def test_what_was_left_out_stays_counted():
    """Rows that were left out as incomplete are counted under other names, in other units, and without ranges."""
    psr = PSR.from_rows([[1.0], [np.nan]], missing="listwise", ranges={"x0": (0, 5)})
    for other in (psr.rename({"x0": "a"}), psr.rescale({"x0": 2}), psr.without_ranges()):
        assert other.n_incomplete == 1

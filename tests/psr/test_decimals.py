"""Decimals are learned as the decimals that they are, and what is none is refused."""

from __future__ import annotations

import decimal
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_symfed import (
    FederatedGaussianNB,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedPCA,
    FederatedPSR,
    FederatedRidge,
    fitted_digests,
)
from sklearn_symfed.exceptions import DataError, DataTypeError, FormatError, SchemaError
from sklearn_symfed.psr import PSR, Schema
from sklearn_symfed.psr._decimals import scale_and_mark, scale_floats
from sklearn_symfed.testing import exact_moments

MANY = 40_000  # two chunks


@st.composite
def _decimal_columns(draw):
    """Draw columns as integers, their digits after the point, and one dtype for all of them or one for each."""
    n_rows, digits = draw(st.integers(1, 8)), draw(st.lists(st.integers(0, 15), min_size=1, max_size=3))
    columns = []
    for k in digits:
        kind = draw(st.sampled_from(["f8", "f4", "i8", "object"]))
        bound = {"f8": 2**51 - 1, "f4": 2**23 - 1, "i8": (2**63 - 1) // 10**k, "object": 2**51 - 1}[kind]
        columns.append((kind, k, draw(st.lists(st.integers(-bound, bound), min_size=n_rows, max_size=n_rows))))
    return columns


def _stored(kind, digits, integers):
    if kind == "i8":
        return np.array(integers, dtype=np.int64)
    if kind == "object":
        with decimal.localcontext(prec=40):
            return np.array([Decimal(m).scaleb(-digits) for m in integers], dtype=object)
    exact = np.array([m / 10**digits for m in integers])  # Python rounds the quotient of integers correctly
    return exact.astype(np.float32) if kind == "f4" else exact


@settings(deadline=None, max_examples=150)
@given(columns=_decimal_columns())
def test_moments_are_those_of_the_decimals(columns):
    """Whatever type holds them, sums and products are those of the decimals, as fractions."""
    names = [f"c{i}" for i in range(len(columns))]
    frame = pd.DataFrame({name: _stored(*column) for name, column in zip(names, columns, strict=True)})
    psr = PSR.from_rows(frame, decimals={name: k for name, (_, k, _) in zip(names, columns, strict=True)})
    true = [[Fraction(m) if kind == "i8" else Fraction(m, 10**k) for m in integers] for kind, k, integers in columns]
    rows = np.array(list(zip(*true, strict=True)), dtype=object)
    moments = psr.moments()
    want = exact_moments(rows)
    assert [[value * moments.unit for value in row] for row in moments.matrix.tolist()] == want
    assert moments.sum_w2 * moments.unit == moments.n_rows == len(rows)
    means = [float(sum(column) / len(rows)) for column in true]
    assert moments.mean.tolist() == means
    assert moments.gram.tolist() == [[float(value) + 0.0 for value in row[1:]] for row in want[1:]]


def test_money_adds_up():
    """A dime and two dimes are three dimes; the floats nearest to them are not."""
    dimes = pd.DataFrame({"coins": [0.1, 0.2], "sum": [0.3, 0.0]})
    read, meant = PSR.from_rows(dimes).moments(), PSR.from_rows(dimes, decimals={"coins": 1, "sum": 1}).moments()
    assert read.matrix[0, 1] != read.matrix[0, 2]
    assert meant.matrix[0, 1] == meant.matrix[0, 2]
    assert meant.variance()[0] == 0.0025
    assert read.variance()[0] != 0.0025


def test_any_type_and_layout_gives_one_digest():
    """float64, float32, Decimal, C and Fortran order, pandas and polars, weights and classes agree."""
    rng = np.random.default_rng(0)
    cents = rng.integers(-(10**5), 10**5, (MANY, 3))
    x, names = cents / 100, ["a", "b", "c"]
    digits, labels = dict.fromkeys(names, 2), rng.integers(0, 3, MANY)
    frame = pd.DataFrame(x, columns=names)
    psr = PSR.from_rows(frame, decimals=digits)
    objects = pd.DataFrame(
        {name: [Decimal(m).scaleb(-2) for m in cents[:, i].tolist()] for i, name in enumerate(names)}
    )
    for same in (
        pd.DataFrame(np.asfortranarray(x), columns=names),
        frame[["c", "a", "b"]],
        pl.from_pandas(frame),
        frame.astype(np.float32),
        objects,
        frame.assign(b=objects.b),
    ):
        assert PSR.from_rows(same, decimals=digits) == psr
    by_class = PSR.from_rows(frame, labels, classes="label", decimals=digits, n_jobs=2)
    assert by_class.drop("label") == psr
    assert by_class.by_class()[1] == PSR.from_rows(frame[labels == 1], decimals=digits)
    repeated = PSR.from_rows(frame[:9], decimals=digits, sample_weight=np.arange(9))
    assert repeated == PSR.from_rows(frame.iloc[np.repeat(np.arange(9), np.arange(9))], decimals=digits)
    halves = PSR.from_rows(frame, decimals=digits, sample_weight=np.full(MANY, 0.5)).moments()
    assert halves.sum_w2 * halves.unit == MANY / 4
    assert np.array_equal(halves.covariance(0), psr.moments().covariance(0))
    arrays = PSR.from_rows(x, cents[:, 0] / 100, decimals={"x0": 2, "y": 2})
    assert arrays.moments().covariance()[0, 3] == arrays.select(["y", "x0"]).moments().variance(1)[0]


def test_integers_are_scaled_exactly():
    """Integers beyond what float64 holds are learned once scaled, up to 64 bits."""
    for dtype in (np.int64, np.uint64):
        values = np.array([[2**53 + 1], [(2**63 - 1) // 1000]], dtype=dtype)
        moments = PSR.from_rows(values, decimals={"x0": 3}).moments()
        assert moments.matrix[0, 1] * moments.unit == sum(values[:, 0].tolist())
        with pytest.raises(DataError, match=r"int64 in column 'x0', row 1 .* less than 2\*\*63 / 10\*\*4:"):
            PSR.from_rows(values // np.array([[10], [1]], dtype), decimals={"x0": 4})
    assert PSR.from_rows([[True], [False]], decimals={"x0": 2}).moments().mean[0] == 0.5


SECRET = 987654.321
# case: (a column of floats, digits, a part of the message)
NO_DECIMALS = {
    "a third digit": ([1.25, SECRET], 2, "float64 in column 'fare', row 1 .* no decimal of 2 digits"),
    "half": ([2.0, 0.5], 0, "row 1 .* no decimal of 0 digits"),
    "the next float": ([0.1, 0.1 + 2**-56], 1, "row 1 "),
    "the float before": ([0.1, 0.1 - 2**-56], 1, "row 1 "),
    "a sum that rounded": ([0.3, 0.1 + 0.2], 1, "row 1 "),
    "a float32 in float64": ([0.5, float(np.float32(0.1))], 1, "row 1 "),
    "beyond the digits of float64": ([1.0, 2.0**51 / 100], 2, r"row 1 .* less than 2\*\*51 / 10\*\*2"),
    "an integer beyond float64": ([1.0, 2.0**53], 0, r"less than 2\*\*53 / 10\*\*0"),
    "a negative one": ([1.0, -1e300], 15, "row 1 .* too large"),
    "NaN": ([1.0, np.nan, 987654.32], 2, "NaN: column 'fare', row 1 "),
    "infinity": ([1.0, -np.inf, 987654.32], 2, "infinity: column 'fare', row 1 "),
    "a float32": (np.array([0.5, 0.123], np.float32), 2, "float32 in column 'fare', row 1 "),
    "beyond the digits of float32": (
        np.array([0.5, 2**23 / 100], np.float32),
        2,
        r"less than 2\*\*23 / 10\*\*2.*pass float64",
    ),
    "the last of many": ([0.01] * MANY + [SECRET], 2, f"row {MANY} "),
    "a Decimal of more digits": ([Decimal("1.20"), Decimal("1.201")], 2, "Decimal in column 'fare', row 1 "),
    "a Decimal of many digits": ([Decimal("1e-40"), Decimal(1)], 2, "row 0 "),
    "a Decimal too small": ([Decimal("1e-99999999"), Decimal(1)], 2, "row 0 .* no decimal"),
    "a Decimal too large": ([Decimal("1e99999999"), Decimal(1)], 2, "row 0 .* too large"),
    "a Decimal of seventeen digits": ([Decimal("123456789012345.67")], 2, "row 0 .* too large"),
    "a missing Decimal": ([Decimal("1.2"), Decimal("NaN")], 2, "NaN: column 'fare', row 1 "),
    "a signalling Decimal": ([Decimal("1.2"), Decimal("sNaN")], 2, "NaN: column 'fare', row 1 "),
    "an infinite Decimal": ([Decimal("1.2"), Decimal("-Infinity")], 2, "infinity: column 'fare', row 1 "),
}


@pytest.mark.parametrize(("values", "digits", "message"), NO_DECIMALS.values(), ids=NO_DECIMALS)
def test_what_is_no_decimal_is_refused(values, digits, message):
    """Column and row are named, the value is not, and what is expected is."""
    frame = pd.DataFrame({"tip": 0.1, "fare": values})
    for labels in (None, np.arange(len(frame)) % 2):
        with pytest.raises(DataError, match=message) as caught:
            PSR.from_rows(frame, labels, classes=None if labels is None else True, decimals={"fare": digits})
        assert "98765" not in str(caught.value)


def test_rows_of_weight_zero_may_hold_anything():
    """A row that is not learned need not hold decimals."""
    frame = pd.DataFrame({"fare": [0.1, 0.123, np.nan, 0.3]})
    psr = PSR.from_rows(frame, decimals={"fare": 1}, sample_weight=[1, 0, 0, 1])
    assert psr == PSR.from_rows(frame.iloc[[0, 3]], decimals={"fare": 1})
    with pytest.raises(DataError, match="row 1 "):
        PSR.from_rows(frame, decimals={"fare": 1}, sample_weight=[1, 0.5, 0, 1])


def test_decimal_objects_need_a_declaration():
    """Elsewhere they are refused, with what to do."""
    frame = pd.DataFrame({"fare": [Decimal("1.20")]})
    with pytest.raises(DataTypeError, match=r"decimals=\{'fare'.*or convert the column to float64"):
        PSR.from_rows(frame)
    assert PSR.from_rows(frame, decimals={"fare": 2}).moments().mean.tolist() == [1.2]
    assert PSR.from_rows(pl.from_pandas(frame), decimals={"fare": 2}) == PSR.from_rows(frame, decimals={"fare": 2})


@given(
    st.integers(-(2**51) + 1, 2**51 - 1), st.integers(1, 15), st.sampled_from([-2, -1, 0, 1, 2]), st.sampled_from("df")
)
def test_a_float_means_the_decimal_nearest_to_it(integer, digits, steps, kind):
    """The float nearest to a decimal is read as that decimal, and its neighbours as others or as none."""
    single = kind == "f"
    integer = integer >> 28 if single else integer
    value = np.array([[integer / 10**digits]]).astype(kind)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.array([np.copysign(np.inf, steps)], dtype=kind))
    out = np.empty((1, 1))
    wrong = scale_and_mark(value, digits, out)
    nearest = round(Fraction(value.item()) * 10**digits)
    meant = np.array([nearest / 10**digits]).astype(kind) == value and abs(nearest) < 2 ** (23 if single else 51)
    assert (wrong is None) == meant
    assert not meant or out[0, 0] == nearest
    assert steps or out[0, 0] == integer
    in_place = value.astype(np.float64)
    for values, fast in ((value, np.empty((1, 1))), (in_place, in_place)):
        if scale_floats(values, digits, fast, single=single):  # only what is plain is done fast
            assert meant
            assert fast[0, 0] == nearest


# -- schemas ---------------------------------------------------------------------------------------------------------


def test_decimals_are_part_of_the_schema():
    """They are kept by name, count for equality, and are listed where they differ."""
    schema = Schema(["tip", "fare"], "late", decimals={"fare": 2})
    assert schema == Schema(["fare", "tip"], "late", {"fare": np.int64(2)})
    assert hash(schema) == hash(Schema(["fare", "tip"], "late", {"fare": 2}))
    assert repr(schema) == "Schema(['tip', 'fare'], classes='late', decimals={'fare': 2})"
    assert pickle.loads(pickle.dumps(schema)).decimals == {"fare": 2}
    for other in (None, {"fare": 3}, {"fare": 2, "tip": 2}, {"fare": 2, "tip": 0}):
        assert schema != Schema(["tip", "fare"], "late", other)
    with pytest.raises(SchemaError, match="decimals of column 'fare': 3 instead of 2; "):
        Schema(["a", "fare", "tip"], decimals={"fare": 2}).require_match(
            Schema(["a", "fare", "tip"], decimals={"fare": 3, "tip": 1})
        )
    assert Schema(["e\u0301"], decimals={"é": 1}).decimals == {"é": 1}


BAD_DECIMALS = {
    "an unknown column": ({"x9": 2}, r"unknown columns \['x9'\]"),
    "a negative number": ({"x0": -1}, "from 0 to 15"),
    "too many": ({"x0": 16}, "decimals of 16"),
    "a float": ({"x0": 2.0}, "type float"),
    "True": ({"x0": True}, "from 0 to 15"),
    "a string": ({"x0": "2"}, "type str"),
    "no mapping": (2, "type int"),
    "a name that is none": ({0: 2}, "type int"),
    "a name in two spellings": ({"é": 2, "e\u0301": 2}, "twice"),
    "the class column": ({"y": 0}, r"unknown columns \['y'\]"),
}


@pytest.mark.parametrize(("decimals", "message"), BAD_DECIMALS.values(), ids=BAD_DECIMALS)
def test_bad_declarations_are_refused(decimals, message):
    """Each misuse is a SchemaError that says what was got."""
    with pytest.raises(SchemaError, match=message):
        PSR.from_rows([[1.0]], [1], classes=True, decimals=decimals)


def test_the_algebra_carries_decimals():
    """Selected, split, added, forgotten, saved: the decimals stay, and others do not match."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"fare": rng.integers(0, 999, 60) / 10, "km": rng.normal(size=60), "n": rng.integers(0, 9, 60)}
    )
    frame["late"] = rng.random(60) < 0.5
    digits = {"fare": 1, "n": 0}
    psr = PSR.from_rows(frame, classes="late", decimals=digits)
    first, second = (PSR.from_rows(part, classes="late", decimals=digits) for part in (frame[:20], frame[20:]))
    assert first + second == psr
    assert psr - first == second
    again = PSR.from_bytes(psr.to_bytes())
    assert (again, again.schema, again.schema.decimals) == (psr, psr.schema, digits)
    assert psr.select(["n", "fare"]).schema.decimals == {"n": 0, "fare": 1}
    assert psr.drop("fare").schema.decimals == {"n": 0}
    assert psr.by_class()[True].schema.decimals == digits
    assert psr.moments().select(["fare"]).mean[0] == psr.select(["fare"]).moments().mean[0]
    assert "fare: 1" in psr._repr_html_()
    plain, other = PSR.from_rows(frame, classes="late"), PSR.from_rows(frame, classes="late", decimals={"fare": 2})
    assert len({psr.digest, plain.digest, other.digest}) == 3
    for wrong in (plain, other):
        with pytest.raises(SchemaError, match="decimals of column 'fare'"):
            psr + wrong
        with pytest.raises(SchemaError, match="decimals of column 'fare'"):
            psr - wrong
    assert PSR.from_rows(frame[["n"]], decimals={"n": 0}) != PSR.from_rows(frame[["n"]])


def test_a_state_of_no_schema_is_refused():
    """Headers with impossible decimals are no PSR."""
    data = PSR.from_rows([[0.1]], decimals={"x0": 7}).to_bytes()
    at = data.index(b"\xa2x0\x91\x07") + 4
    for bad in (b"\x10", b"\xff", b"\xc3", b"\xc0"):
        with pytest.raises(FormatError):
            PSR.from_bytes(data[:at] + bad + data[at + 1 :])
    assert PSR.from_bytes(data[:at] + b"\x06" + data[at + 1 :]).moments().mean.tolist() == [1.0]


# -- models ----------------------------------------------------------------------------------------------------------


def _taxi(n=300):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"fare": rng.integers(250, 9_000, n) / 100, "km": rng.integers(1, 300, n) / 10})
    frame["tip"] = np.rint(frame.fare * 15 + frame.km * 10 + rng.normal(size=n)) / 100
    return frame.assign(late=rng.random(n) < frame.km / 30)


_DIGITS = {"fare": 2, "km": 1, "tip": 2}


def _of_rationals(frame):
    """Return the PSR of the same columns as integers: fares in cents."""
    scaled = {name: np.rint(frame[name] * 10**k).astype(int) for name, k in _DIGITS.items()}
    return PSR.from_rows(pd.DataFrame(scaled).assign(late=frame.late), classes="late")


def test_models_are_those_of_the_decimals():
    """Coefficients, scores, errors and components are rational functions of the decimals, rounded once."""
    frame = _taxi()
    psr, cents = PSR.from_rows(frame, classes="late", decimals=_DIGITS).drop("late"), _of_rationals(frame).drop("late")
    units = {"fare": 100, "km": 10}
    got, want = FederatedLinearRegression().fit(psr, "tip"), FederatedLinearRegression().fit(cents, "tip")
    for i, factor in enumerate(units.values()):
        assert got.coef_[i] == pytest.approx(want.coef_[i] * factor / 100, rel=1e-15)
    assert got.intercept_ == pytest.approx(want.intercept_ / 100, rel=1e-15)
    assert got.score(psr, "tip") == pytest.approx(want.score(cents, "tip"), rel=1e-14)
    assert got.residual_std_ == pytest.approx(want.residual_std_ / 100, rel=1e-15)
    assert got.coef_stderr_[1] == pytest.approx(want.coef_stderr_[1] / 10, rel=1e-15)
    assert got.singular_ == pytest.approx(np.linalg.svd((frame - frame.mean())[["fare", "km"]], compute_uv=False))
    rows = frame[["fare", "km"]].to_numpy()
    assert FederatedRidge(alpha=3.0).fit(psr, "tip").coef_ == pytest.approx(
        FederatedRidge(alpha=3.0).fit(rows, frame.tip).coef_, rel=1e-12
    )
    pca, plain = FederatedPCA().fit(psr), FederatedPCA().fit(frame[["fare", "km", "tip"]])
    assert pca.explained_variance_ == pytest.approx(plain.explained_variance_, rel=1e-12)
    assert pca.singular_values_ == pytest.approx(plain.singular_values_, rel=1e-12)
    classes = PSR.from_rows(frame, classes="late", decimals=_DIGITS)
    for model in (FederatedLinearDiscriminantAnalysis(), FederatedGaussianNB()):
        decimals, floats = model.fit(classes, "late"), type(model)().fit(frame.drop(columns="late"), frame.late)
        x = frame.drop(columns="late")
        assert decimals.predict_proba(x) == pytest.approx(floats.predict_proba(x), rel=1e-9)


@pytest.mark.parametrize("model", [FederatedRidge(), FederatedLinearRegression(), FederatedPCA()])
def test_a_prior_says_how_rows_are_read(model):
    """Rows are read as the decimals of the prior; parts and the whole give equal bits."""
    frame = _taxi().drop(columns="late")
    psr = PSR.from_rows(frame, decimals=_DIGITS)
    part = PSR.from_rows(frame[:100], decimals=_DIGITS)
    y = None if isinstance(model, FederatedPCA) else "tip"
    X = frame if y is None else frame.drop(columns="tip")
    want = fitted_digests(model.fit(psr, y))
    model.set_params(prior=part).fit(X[100:], y and frame.tip[100:])
    assert model.psr_.schema.decimals == _DIGITS
    assert fitted_digests(model) == want
    model.set_params(prior=PSR.zero(psr.schema)).fit(X[:50], y and frame.tip[:50])
    model.partial_fit(X[50:], y and frame.tip[50:])
    assert fitted_digests(model) == want
    assert np.isfinite((model.transform if y is None else model.predict)(X + 0.001)).all()
    with pytest.raises(DataError, match="column 'fare', row 0"):
        model.partial_fit(X + 0.001, y and frame.tip)


@pytest.mark.parametrize("model", [FederatedLinearDiscriminantAnalysis(), FederatedGaussianNB()])
def test_classifiers_read_rows_as_their_prior(model):
    """The same holds by class."""
    frame = _taxi()
    X, y = frame.drop(columns="late"), frame.late
    want = fitted_digests(model.fit(PSR.from_rows(frame, classes="late", decimals=_DIGITS), "late"))
    model.set_params(prior=PSR.from_rows(frame[:90], classes="late", decimals=_DIGITS)).fit(X[90:], y[90:])
    assert fitted_digests(model) == want


def test_a_federation_of_decimals_equals_all_rows_in_one_place():
    """Members that declare them, or learn of them by a pulse, hold the state of all decimals."""
    frame = _taxi()
    first = FederatedPSR(classes="late", decimals=_DIGITS)
    first.create_federation("decimals", "memory://decimals", member="first", guard="off")
    first.partial_fit(frame[:100]).pulse()
    second = FederatedPSR().join(*first.invite("second"))
    for _ in range(2):
        first.pulse()
        second.pulse()
    with pytest.raises(DataError, match="column 'fare', row "):
        second.partial_fit(frame[100:].assign(fare=frame.fare[100:] + 0.001))
    second.partial_fit(frame[100:])
    for _ in range(2):
        first.pulse()
        second.pulse()
    assert first.psr_ == second.psr_ == PSR.from_rows(frame, classes="late", decimals=_DIGITS)
    third = FederatedPSR(classes="late", decimals={**_DIGITS, "fare": 1}).join(*first.invite("third"))
    for _ in range(2):
        first.pulse()
        third.pulse()
    with pytest.raises(SchemaError, match="decimals of column 'fare': 1 instead of 2"):
        third.partial_fit(frame.assign(fare=1.0))


def test_a_local_node_learns_decimals():
    """Means are those of the decimals; what was learned says how more is read, and fit begins anew."""
    node = FederatedPSR(decimals={"x0": 1}).partial_fit([[0.1], [0.2]])
    assert node.mean_[0] == 0.15
    assert pickle.loads(pickle.dumps(node)).partial_fit([[0.3]]).mean_[0] == 0.2
    with pytest.raises(DataError, match="row 0 "):
        node.partial_fit([[0.123]])
    assert node.forget([[0.1]]).psr_ == PSR.from_rows([[0.2]], decimals={"x0": 1})
    taken = FederatedPSR().partial_fit(node.psr_)
    assert taken.partial_fit([[0.1]]).mean_[0] == 0.15
    assert taken.fit([[0.123]]).psr_ == PSR.from_rows([[0.123]])

"""Affine steps act on statistics as they do on rows, and what needs rows says so by its name."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sklearn_symfed import PSR, FederatedGaussianNB, FederatedPCA, FederatedPSR, FederatedRidge, Schema
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from tests.family import FAMILY, FEATURES, FRAME

STEPS = [case for case in FAMILY if hasattr(case.estimator, "transform") and hasattr(case.estimator, "_affine")]
TARGETED = PSR.from_rows(FRAME[[*FEATURES, "t"]])
numbers = st.integers(-(2**20), 2**20).map(lambda n: n / 2**8)


def through(psr: PSR, *steps: object) -> PSR:
    """Pass statistics through fitted steps."""
    for step in steps:
        psr = step.transform(psr)
    return psr


# -- the map ---------------------------------------------------------------------------------------------------------


@given(st.data())
def test_the_image_of_statistics_is_that_of_rows(data):
    """Where no product and no sum of rows is rounded, learning images is mapping what was learned."""
    n, d, m = (data.draw(st.integers(1, 4)) for _ in range(3))
    grid = st.integers(-64, 64).map(lambda n: n / 8)
    rows = np.array(data.draw(st.lists(st.lists(grid, min_size=d + 1, max_size=d + 1), min_size=n, max_size=n)))
    matrix = np.array(data.draw(st.lists(st.lists(grid, min_size=m, max_size=m), min_size=d, max_size=d)))
    offset = np.array(data.draw(st.lists(grid, min_size=m, max_size=m)))
    labels = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    frame = pd.DataFrame(rows, columns=[*(f"x{i}" for i in range(d)), "kept"])
    new = [f"z{i}" for i in range(m)]
    image = pd.DataFrame(rows[:, :d] @ matrix + offset, columns=new).assign(kept=frame.kept)
    expected = PSR.from_rows(image, labels, classes="label")
    psr = PSR.from_rows(frame, labels, classes="label")
    assert psr.affine(list(frame.columns[:d]), matrix, offset, new) == expected


def test_images_of_decimals_are_exact():
    """The image of a tenth is that of a tenth, not that of the float beside it."""
    psr = PSR.from_rows(pd.DataFrame({"price": [0.1, 0.7], "tax": [0.25, 0.5]}), decimals={"price": 1, "tax": 2})
    moments = psr.affine(["price", "tax"], [[0.5], [-2.0]], [0.25], ["z"]).moments()
    rows = [Fraction(1, 10) / 2 - Fraction(1, 2) + Fraction(1, 4), Fraction(7, 10) / 2 - 1 + Fraction(1, 4)]
    assert moments.matrix[0, 1] * moments.unit == sum(rows)
    assert moments.matrix[1, 1] * moments.unit == sum(row * row for row in rows)


def test_weights_stay():
    """Weights are those of the rows."""
    psr = PSR.from_rows([[1.0], [3.0]], sample_weight=[0.5, 2.5])
    assert psr.affine(["x0"], [[2.0]], [1.0]) == PSR.from_rows([[3.0], [7.0]], sample_weight=[0.5, 2.5])
    assert PSR.zero(Schema(["x0"])).affine(["x0"], [[2.0]]) == PSR.zero(Schema(["x0"]))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["x0", "q"], np.eye(2)), SchemaError, "unknown columns \\['q'\\]"),
        ((["x0"], np.eye(2)), DataError, "shape \\(2, 2\\), but expected \\(1, 1\\)"),
        ((["x0"], [[np.nan]]), DataError, "not finite"),
        ((["x0"], [[1.0]], [np.inf]), DataError, "not finite"),
        ((["x0"], [[1.0]], None, ["x1"]), SchemaError, "\\['x1'\\] beside those that are transformed"),
        ((["x0"], [[1.0, 2.0]], None, ["z", "z"]), SchemaError, "more than once"),
    ],
)
def test_a_wrong_map_is_refused(arguments, error, message):
    """What does not fit is named."""
    with pytest.raises(error, match=message):
        PSR.from_rows([[1.0, 2.0]]).affine(*arguments)


# -- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", STEPS, ids=str)
@pytest.mark.parametrize("output", ["default", "pandas"])
def test_a_step_transforms_statistics_as_it_does_rows(case, output):
    """Names are equal; means and covariances are those of the transformed rows, which were rounded one by one."""
    step = clone(case.estimator).set_output(transform=output).fit(*case.rows())
    psr = step.transform(case.statistics().select([*step._features(), *([case.classes] if case.classes else [])]))
    rows = PSR.from_rows(step.transform(case.rows()[0]))
    assert psr.names == rows.names
    ours, theirs = psr.moments(), rows.moments()
    scale = np.abs(theirs.gram).max()
    # each transformed value is a sum of three products: it is off by a few units in the last place of the largest one
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=0, atol=8 * np.spacing(np.sqrt(scale)) * len(FEATURES))
    np.testing.assert_allclose(ours.gram, theirs.gram, rtol=0, atol=16 * np.spacing(scale) * len(FEATURES))


def test_principal_component_regression_without_rows():
    """A pipeline is fitted from statistics alone, scores on statistics, and predicts rows."""
    pipeline = make_pipeline(FederatedPSR(), FederatedPCA(2), FederatedRidge())
    federated, central = clone(pipeline).fit(TARGETED, "t"), clone(pipeline).fit(FRAME[FEATURES], FRAME.t)
    # coefficients of order ten, from rows that the central one rounds twice
    np.testing.assert_allclose(federated[-1].coef_, central[-1].coef_, rtol=0, atol=64 * np.spacing(10.0))
    assert federated.predict(FRAME[FEATURES]).shape == (90,)
    assert federated.score(TARGETED, "t") == pytest.approx(central.score(FRAME[FEATURES], FRAME.t), rel=1e-14)
    assert not hasattr(federated[-1], "feature_names_in_")
    again = clone(pipeline).fit(
        PSR.from_rows(FRAME[:40][[*FEATURES, "t"]]) + PSR.from_rows(FRAME[40:][["t", *FEATURES]]), "t"
    )
    assert np.array_equal(again[-1].coef_, federated[-1].coef_)


def test_the_last_step_is_right_to_the_last_bit():
    """Given the float64 numbers of earlier steps, coefficients are the exact ones of the exact images, rounded once."""
    pipeline = make_pipeline(FederatedPSR(), FederatedRidge(alpha=2.0)).fit(TARGETED, "t")
    scaler, ridge = pipeline
    columns = [[Fraction(value) for value in FRAME[name].tolist()] for name in FEATURES]
    images = [
        [(value - Fraction(mean)) * Fraction(1 / scale) for value in column]
        for column, mean, scale in zip(columns, scaler.mean_.tolist(), scaler.scale_.tolist(), strict=True)
    ]
    target = [Fraction(value) for value in FRAME.t.tolist()]
    centre = lambda column: [value - sum(column) / len(column) for value in column]  # noqa: E731
    x, y = [centre(column) for column in images], centre(target)
    gram = [[sum(a * b for a, b in zip(p, q, strict=True)) + (2 if p is q else 0) for q in x] for p in x]
    right = [sum(a * b for a, b in zip(p, y, strict=True)) for p in x]
    assert ridge.coef_.tolist() == [float(value) for value in solve(gram, right)]


def solve(a: list[list[Fraction]], b: list[Fraction]) -> list[Fraction]:
    """Solve a system of fractions by elimination."""
    rows = [[*row, value] for row, value in zip(a, b, strict=True)]
    for i in range(len(rows)):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(len(rows)):
            if k != i:
                rows[k] = [u - rows[k][i] * v for u, v in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]


def test_classes_pass_a_step():
    """The statistics of each class are transformed alike."""
    psr = PSR.from_rows(FRAME[[*FEATURES, "late"]], classes="late")
    pipeline = make_pipeline(FederatedPSR(), FederatedGaussianNB()).fit(psr, "late")
    central = make_pipeline(FederatedPSR(), FederatedGaussianNB()).fit(FRAME[FEATURES], FRAME.late)
    assert pipeline[-1].classes_.tolist() == central[-1].classes_.tolist()
    assert np.array_equal(pipeline.predict(FRAME[FEATURES]), central.predict(FRAME[FEATURES]))


def test_set_output_leaves_statistics_alone():
    """Frames are made of rows only; a PSR takes the names that the frame would have."""
    scaler = FederatedPSR().set_output(transform="pandas")
    psr = scaler.fit_transform(TARGETED, "t")
    assert isinstance(psr, PSR)
    assert psr.names == (*FEATURES, "t")
    assert FederatedPSR().fit(TARGETED, "t").transform(TARGETED).names == ("x0", "x1", "x2", "t")
    pca = FederatedPCA(2).set_output(transform="pandas").fit(TARGETED, "t")
    assert pca.transform(TARGETED).names == (*pca.get_feature_names_out(), "t")
    assert FederatedPCA(2).fit_transform(TARGETED, "t").names == ("x0", "x1", "t")


@pytest.mark.parametrize(
    "step", [StandardScaler(), MinMaxScaler(), make_column_transformer((MinMaxScaler(), ["a"]))], ids=str
)
def test_a_step_that_needs_rows_says_so_by_its_name(step):
    """scikit-learn's own steps have no use for a PSR."""
    with pytest.raises(DataTypeError, match=f"{type(step).__name__} needs rows, but got a PSR"):
        make_pipeline(step, FederatedRidge()).fit(TARGETED, "t")


def test_columns_that_a_step_does_not_know():
    """What was neither a feature nor named as y is not passed on in silence."""
    pca = FederatedPCA(2).fit(TARGETED.drop("t"))
    with pytest.raises(SchemaError, match="columns \\['t'\\] that FederatedPCA was not fitted to"):
        pca.transform(TARGETED)
    with pytest.raises(SchemaError, match="unknown columns \\['a'\\]"):
        pca.transform(TARGETED.drop(["a", "t"]))
    with pytest.raises(SchemaError, match="unknown columns"):
        FederatedPSR().fit(TARGETED, "q")

"""Edge cases end as docs/edge_cases.md says: right, in a named warning, or in a named error."""

from __future__ import annotations

import contextlib
import functools
import operator
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.base import clone

from sklearn_symfed import (
    PSR,
    FederatedCategoricalNB,
    FederatedGaussianNB,
    FederatedGraphicalLasso,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedNearestCentroid,
    FederatedPCA,
    FederatedPSR,
    FederatedQuadraticDiscriminantAnalysis,
    FederatedRidge,
    fitted_digests,
)
from sklearn_symfed.exceptions import DataError, PairwiseWarning, SchemaError
from tests.family import FAMILY, FEATURES

_DOCS = Path(__file__).resolve().parents[1] / "docs" / "edge_cases.md"
_RIGHT = "right"
_BAYES = (FederatedGaussianNB(), "late")
_LDA = (FederatedLinearDiscriminantAnalysis(), "late")
_QDA = (FederatedQuadraticDiscriminantAnalysis(), "late")
_CENTROID = (FederatedNearestCentroid(), "late")
_RIDGE = (FederatedRidge(), "dose")
_LEAST_SQUARES = (FederatedLinearRegression(), "dose")
_PCA = (FederatedPCA(1), None)
_STANDARDISED = (FederatedPSR(), None)

Frames = list[pd.DataFrame]
_DECLARED = {"classes": "late"}


class Case(NamedTuple):
    """What is learned at the sites, what is fitted from it, and how it ends; `act` does something else instead."""

    sites: Callable[[], Frames]
    outcome: Any = _RIGHT
    message: str = ""
    models: tuple[tuple[Any, str | None], ...] = ()
    declared: dict[str, Any] = _DECLARED
    federated: bool = False
    act: Callable[[Frames], object] | None = None


def _rows(n: int, seed: int, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"age": rng.integers(20, 80, n), "dose": rng.normal(size=n)})
    return frame.assign(late=frame.age + 9 * frame.dose > 50).assign(**columns)


def _two(**columns: Any) -> Frames:
    """Return the rows of two sites, the second with other columns."""
    return [_rows(40, 1), _rows(30, 2, **columns)]


def _both(**columns: Any) -> Frames:
    return [_rows(40, 1, **columns), _rows(30, 2, **columns)]


def _numeric() -> Frames:
    return [frame.drop(columns="late") for frame in _both(k=3.0)]


def _with_ports(*ports: Any) -> Frames:
    return [_rows(len(each), seed, port=each) for seed, each in enumerate(ports)]


def _wide(n: int) -> Frames:
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame(rng.normal(size=(n, 9)), columns=["dose", *"bcdefghi"]) for _ in "ab"]
    return [frame.assign(late=np.arange(n) % 2 > 0) for frame in frames]


def _some_missing(column: str) -> Frames:
    frames = _both()
    for frame in frames:
        frame[column] = frame[column].astype(object if column == "late" else float)
        frame.loc[::4, column] = None if column == "late" else np.nan
    return frames


def _empty() -> Frames:
    return [_rows(40, 1, port="A"), _rows(30, 2, port="B")[:0]]


def _missing(mode: str, **more: Any) -> dict[str, Any]:
    return {"missing": mode, **_DECLARED, **more}


def _many_levels() -> Frames:
    return _with_ports([f"port {i}" for i in range(10_000)], ["port 1", "port 10001"])


def _indices() -> Frames:
    one, other = _with_ports(["A", "B"] * 20, ["B", "C"] * 15)
    one.index = pd.Index([7, "q"] * 20)
    other.index = pd.MultiIndex.from_product([range(3), range(10)])
    return [one, other]


def _unicode() -> Frames:
    one, other = _with_ports(["東京", "Malmo\u0308"] * 20, ["東京", "Malmö"] * 15)
    return [one.rename(columns={"age": "A\u0308lter"}), other.rename(columns={"age": "Älter"})]


_ONCE = functools.partial(_with_ports, ["A"] * 40, ["once", *["B"] * 29])
_NO_DOSE = functools.partial(_two, dose=np.nan)
_NO_VALUE = functools.partial(_two, dose=None)
_ONE_CLASS = functools.partial(_both, late=True)
_KINDS = functools.partial(_two, late=[1, 0] * 15)
_MIXED = functools.partial(_both, late=pd.Series([True, 0] * 20, dtype=object))
_OBJECT_LEVELS = functools.partial(_with_ports, [True, 1, "1", "x"], [1, True, 0, 0])
_TARGET, _LABEL = (functools.partial(_some_missing, column) for column in ("dose", "late"))
_TWICE = [pd.DataFrame([[1.0, 2.0], [3.0, 5.0]], columns=["age", "age"])]
_COMPOSED = [pd.DataFrame([[1.0, 2.0]], columns=["é", "e\u0301"])]
_PORTS = {"categories": {"port": ["port 1", "port 2", "other"]}, **_DECLARED}


def _node(frames: Frames) -> object:
    return FederatedPSR(classes="late").partial_fit(frames[1])


def _estimator(frames: Frames) -> object:
    return FederatedPCA().fit(frames[-1])


def _forget_the_level(frames: Frames) -> object:
    whole = PSR.from_rows(pd.concat(frames), **_DECLARED)
    rest = whole - PSR.from_rows(frames[1][:1], **_DECLARED)
    assert rest == PSR.from_rows(pd.concat([frames[0], frames[1][1:]]), **_DECLARED)
    assert "port=once" in whole.names
    assert "port=once" not in rest.names
    return rest


_CASES: dict[tuple[str, str], Case] = {
    ("a site with one class only", "merged, federated; naive Bayes, LDA, QDA, nearest centroid"): Case(
        functools.partial(_two, late=True), models=(_BAYES, _LDA, _QDA, _CENTROID), federated=True
    ),
    ("one class only at all sites", "merged; naive Bayes, LDA: each row is of that class"): Case(
        _ONE_CLASS, models=(_BAYES, _LDA)
    ),
    ("one class only at all sites", "QDA"): Case(_ONE_CLASS, DataError, "greater than one. Got 1 class", (_QDA,)),
    ("one class only at all sites", "nearest centroid"): Case(_ONE_CLASS, DataError, "got 1 class", (_CENTROID,)),
    ("a class unseen elsewhere", "merged; naive Bayes, LDA, QDA"): Case(
        lambda: [
            _rows(40, 1, late=["no", "yes"] * 20),
            _rows(30, 2, late=["no", "yes", "cancelled"] * 10),
        ],
        models=(_BAYES, _LDA, _QDA),
    ),
    ("a constant column", "merged; ridge, PCA, standardised: it tells nothing"): Case(
        _numeric, models=(_RIDGE, _PCA, _STANDARDISED), declared={}
    ),
    ("a constant column", "naive Bayes, LDA"): Case(functools.partial(_both, k=3.0), models=(_BAYES, _LDA)),
    ("a constant column", "least squares"): Case(
        _numeric, LinAlgWarning, "have rank 1", (_LEAST_SQUARES,), declared={}
    ),
    ("a constant column", "QDA"): Case(
        functools.partial(_both, k=3.0), np.linalg.LinAlgError, "not full rank", (_QDA,)
    ),
    ("a constant column", "graphical lasso"): Case(
        _numeric, DataError, "without variance", ((FederatedGraphicalLasso(), None),), declared={}
    ),
    ("fewer rows than columns", "merged; naive Bayes, LDA, nearest centroid"): Case(
        lambda: _wide(4), models=(_BAYES, _LDA, _CENTROID)
    ),
    ("fewer rows than columns", "ridge, PCA"): Case(
        lambda: [frame.drop(columns="late") for frame in _wide(3)], models=(_RIDGE, _PCA), declared={}
    ),
    ("fewer rows than columns", "least squares"): Case(
        lambda: [frame.drop(columns="late") for frame in _wide(3)],
        LinAlgWarning,
        "smallest norm",
        (_LEAST_SQUARES,),
        declared={},
    ),
    ("fewer rows than columns", "QDA"): Case(lambda: _wide(4), np.linalg.LinAlgError, "not full rank", (_QDA,)),
    ("an empty batch", "merged; naive Bayes, LDA"): Case(_empty, models=(_BAYES, _LDA)),
    ("an empty batch", "learned by a node"): Case(_empty, DataError, "0 sample", act=_node),
    ("an empty batch", "fitted"): Case(lambda: [_numeric()[0][:0]], DataError, "0 sample", act=_estimator),
    ("an all-missing column at one site", "merged"): Case(_NO_DOSE, DataError, "NaN: column 'dose', row 0"),
    ("an all-missing column at one site", 'merged, `"listwise"`: its rows are left out'): Case(
        _NO_DOSE, models=(_BAYES, _LDA), declared=_missing("listwise")
    ),
    ("an all-missing column at one site", 'merged, federated, `"pairwise"`; ridge, LDA'): Case(
        _NO_DOSE, models=(_RIDGE, _LDA), declared=_missing("pairwise"), federated=True
    ),
    ("an all-missing column at one site", 'merged, `"indicator"`; naive Bayes'): Case(
        _NO_DOSE, models=(_BAYES,), declared=_missing("indicator")
    ),
    ("an all-missing column of objects at one site", "merged, undeclared: objects may be levels"): Case(
        _NO_VALUE, SchemaError, "column 'dose' holds", declared=_missing("pairwise")
    ),
    ("an all-missing column of objects at one site", "merged, declared (`categories=[]`); federated"): Case(
        _NO_VALUE, models=(_RIDGE,), declared=_missing("pairwise", categories=[]), federated=True
    ),
    ("an all-missing column at all sites", '`"listwise"`; ridge'): Case(
        functools.partial(_both, dose=np.nan),
        DataError,
        "no rows are left",
        (_RIDGE,),
        _missing("listwise"),
    ),
    ("an all-missing column at all sites", '`"pairwise"`; ridge'): Case(
        functools.partial(_both, dose=np.nan),
        SchemaError,
        r"no value in columns \['dose'\]",
        (_RIDGE,),
        _missing("pairwise"),
    ),
    ("an all-missing column at all sites", '`"indicator"`; naive Bayes: it is a constant'): Case(
        functools.partial(_both, dose=np.nan), models=(_BAYES,), declared=_missing("indicator")
    ),
    ("a level with one row", "merged; ridge, naive Bayes, LDA"): Case(_ONCE, models=(_RIDGE, _BAYES, _LDA)),
    ("a level with one row", "forgotten: its column goes, too"): Case(_ONCE, act=_forget_the_level),
    ("bool labels at one site, int at another", "merged"): Case(_KINDS, SchemaError, r"kinds \['bool', 'int'\]"),
    ("bool and int labels at one site", "learned"): Case(
        lambda: [_rows(40, 1, late=pd.Series([True, 0] * 20, dtype=object))], SchemaError, r"kinds \['bool', 'int'\]"
    ),
    ("bool and int levels of one column", "merged; ridge: `True` and `1` are two levels"): Case(
        _OBJECT_LEVELS, models=(_RIDGE,), declared={"categories": ["port"], **_DECLARED}
    ),
    ("a column of numbers that is bool at one site, int at another", "merged; naive Bayes"): Case(
        lambda: [_rows(40, 1, k=[True, False] * 20), _rows(30, 2, k=[1, 0] * 15)], models=(_BAYES,)
    ),
    ("an integer column turned float at one site", "merged; ridge, naive Bayes, LDA"): Case(
        lambda: [_rows(40, 1), _rows(30, 2).astype({"age": float})], models=(_RIDGE, _BAYES, _LDA)
    ),
    ("integer levels and labels turned float at one site", "merged; naive Bayes"): Case(
        lambda: [_rows(40, 1, port=7, late=[0, 1] * 20), _rows(30, 2, port=7.0, late=[0.0, 1.0] * 15)],
        models=(_BAYES,),
        declared={"categories": ["port"], **_DECLARED},
    ),
    ("duplicate column names", "learned"): Case(lambda: _TWICE, SchemaError, r"more than once: \['age'\]", declared={}),
    ("duplicate column names", "fitted"): Case(
        lambda: _TWICE, SchemaError, r"more than once: \['age'\]", act=_estimator
    ),
    ("column names that are equal once composed", "learned"): Case(
        lambda: _COMPOSED, SchemaError, r"more than once: \['é'\]", declared={}
    ),
    ("10,000 levels", "learned, undeclared"): Case(_many_levels, SchemaError, "10000 levels in column 'port'"),
    ("10,000 levels", 'merged, federated, declared with "other"; ridge, naive Bayes'): Case(
        _many_levels, models=(_RIDGE, _BAYES), declared=_PORTS, federated=True
    ),
    ("unicode names and levels, composed and not", "merged; naive Bayes"): Case(_unicode, models=(_BAYES,)),
    ("an index that is no range", "merged; ridge, naive Bayes"): Case(_indices, models=(_RIDGE, _BAYES)),
    ("a target missing in some rows", "learned"): Case(_TARGET, DataError, "NaN: column 'dose', row 0"),
    ("a target missing in some rows", 'merged, `"listwise"`; ridge: of the others'): Case(
        _TARGET, models=(_RIDGE,), declared=_missing("listwise")
    ),
    ("a target missing in some rows", '`"pairwise"`; ridge, if the pairs are those of some rows'): Case(
        _TARGET, models=(_RIDGE,), declared=_missing("pairwise")
    ),
    ("a target missing in some rows", '`"pairwise"`; ridge, if they are those of none'): Case(
        lambda: [pd.DataFrame({"age": [1.0, 2.0, 9.0], "dose": [1.0, 2.0, np.nan], "k": [1.0, 2.1, 0.0]})],
        PairwiseWarning,
        "multiplied by",
        (_RIDGE,),
        {"missing": "pairwise"},
    ),
    ("a class label missing in some rows", "learned"): Case(_LABEL, DataError, "missing label.*row 0"),
    ("a class label missing in some rows", 'merged, federated, `"listwise"`; naive Bayes, LDA: of the others'): Case(
        _LABEL, models=(_BAYES, _LDA), declared=_missing("listwise"), federated=True
    ),
    ("a class label missing in some rows", '`"pairwise"`: a row is of one class'): Case(
        _LABEL, DataError, "missing label.*row 0", declared=_missing("pairwise")
    ),
}


def _pooled(frames: Frames) -> pd.DataFrame:
    return pd.concat([frame.set_axis(frames[0].columns, axis=1) for frame in frames], ignore_index=True)


def _federated(frames: Frames, declared: dict[str, Any]) -> PSR:
    """Return what the members of a federation hold, which is the same."""
    url, names = f"memory://{uuid.uuid4().hex}", [f"site-{i}" for i in range(len(frames))]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(FederatedPSR(**declared))
        first.create_federation("edge", url, member=names[0], guard="off", on_recovery_key=lambda _: None)
        first.partial_fit(frames[0]).pulse()
        nodes = [first]
        for name, frame in zip(names[1:], frames[1:], strict=True):
            node = stack.enter_context(FederatedPSR(classes=declared.get("classes")).join(*first.invite(name)))
            for each in (first, node):
                each.pulse()
            node.partial_fit(frame)
            nodes.append(node)
        for _ in range(2):
            for node in nodes[::-1]:
                node.pulse()
        assert len({node.psr_ for node in nodes}) == 1
        return first.psr_


def _learn_and_fit(case: Case, frames: Frames) -> None:
    """Assert that the sites together hold what all rows in one place hold, and fit what that fits."""
    sites = [PSR.from_rows(frame, **case.declared) for frame in frames]
    central = PSR.from_rows(_pooled(frames), **case.declared)
    merged = functools.reduce(operator.add, sites)
    assert merged == functools.reduce(operator.add, sites[::-1]) == central
    assert merged.digest == central.digest
    if case.federated:
        assert _federated(frames, case.declared).digest == central.digest
    for model, target in case.models:
        _fit_both(model, target, merged, central, _pooled(frames))


def _fit_both(model: Any, target: str | None, merged: PSR, central: PSR, rows: pd.DataFrame) -> None:
    """Fit from merged statistics, and from the rows where these are numbers, else from their statistics."""
    fitted = fitted_digests(model.fit(merged) if target is None else model.fit(merged, target))
    if merged.schema.encodings:
        assert fitted_digests(model.fit(central, target)) == fitted
        return
    features = rows[[name for name in merged.names if name != target]]
    assert fitted_digests(model.fit(features) if target is None else model.fit(features, rows[target])) == fitted


def _expected(outcome: Any, message: str) -> Any:
    if outcome == _RIGHT:
        return contextlib.nullcontext()
    return (pytest.warns if issubclass(outcome, Warning) else pytest.raises)(outcome, match=message)


@pytest.mark.parametrize("key", _CASES, ids=", ".join)
def test_an_edge_case_ends_as_promised(key):
    """What is right equals all rows in one place, to the last bit; what is not says so by its name."""
    case = _CASES[key]
    frames = case.sites()
    with _expected(case.outcome, case.message):
        _learn_and_fit(case, frames) if case.act is None else case.act(frames)


def test_the_only_class_has_probability_one():
    """A model of one class says so of every row."""
    rows = pd.concat(_ONE_CLASS())
    for model in (FederatedGaussianNB(), FederatedLinearDiscriminantAnalysis()):
        model.fit(rows[["age", "dose"]], rows.late)
        assert model.predict(rows[["age", "dose"]]).all()
        assert model.predict_proba(rows[["age", "dose"]]).tolist() == [[1.0]] * len(rows)


@pytest.mark.filterwarnings("ignore::sklearn_symfed.exceptions.PairwiseWarning")
@pytest.mark.parametrize("case", FAMILY, ids=str)
def test_which_estimators_take_pairs(case):
    """All take pairs that are there, as docs/data.md says, but the one that needs a level in each row."""
    frame = case.encode(case.frame[[*FEATURES, *([] if case.target is None else [case.target])]])
    for row, name in enumerate(name for name in frame if name != case.target):
        frame[name] = frame[name].astype(float)
        frame.loc[row::9, name] = np.nan
    psr = PSR.from_rows(frame, classes=case.classes, missing="pairwise")
    levels = isinstance(case.estimator, FederatedCategoricalNB)
    with pytest.raises(DataError, match="one of them a one in each row") if levels else contextlib.nullcontext():
        fitted = clone(case.estimator).fit(psr) if case.target is None else clone(case.estimator).fit(psr, case.target)
        assert fitted.psr_.n_rows == len(frame)


def _row(key: tuple[str, str], outcome: Any) -> str:
    shown = _RIGHT if outcome == _RIGHT else f"`{outcome.__name__}`"
    return f"| {key[0]} | {key[1]} | {shown} |"


def test_the_docs_list_the_same_cases():
    """docs/edge_cases.md has the same cases with the same outcomes, in the same order, and no others."""
    lines = _DOCS.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")][1:]
    assert rows == [_row(key, case.outcome) for key, case in _CASES.items()]

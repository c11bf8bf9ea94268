"""The claim of the package as one assertion: a federated fit is the central fit, bit for bit, and is right.

The way from rows to a federated model is made as rough as it can be: other processes, BLAS kernels, threads, orders of
columns, and messages that get lost, come twice, late and out of order.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sklearn_symfed._identity import fitted_digests
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation.transports import Transport, open_transport
from sklearn_symfed.psr import PSR, frame_names
from sklearn_symfed.testing._faulty import FaultyTransport

__all__ = ["assert_federated_equals_central", "assert_same_fit", "federated_psrs"]

Array = np.ndarray[Any, Any]
_places = itertools.count()
_ROUNDS = 300
_FAULTS = {"drop": 0.2, "duplicate": 0.2, "reorder": 0.5, "delay": 0.2}


def assert_same_fit(first: Any, second: Any) -> None:
    """Assert that two fitted estimators have the same fitted attributes, to the last bit.

    Raises
    ------
    AssertionError
        Names the attributes that differ.
    """
    one, other = fitted_digests(first), fitted_digests(second)
    differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    assert not differ, f"{type(first).__name__}: fitted attributes that differ: {differ}"


def assert_federated_equals_central(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    n_nodes: int = 3,
    seed: int = 0,
    rtol: float = 1e-6,
    oracle: Any = None,
) -> None:
    """Assert that an estimator fitted on a federation equals one fitted on all rows, and that both are right.

    The rows are dealt to nodes at random.  Each node learns its own in a separate process, with its columns in another
    order, and with another BLAS kernel and number of threads where the machine has them.  The nodes pulse over a
    carrier with faults until they have converged; then each fits a clone of `estimator` from its merged PSR.

    Every fitted attribute must equal that of the central fit, to the last bit.  And the central fit must agree with
    scikit-learn's own estimator on the same rows, which shares no code with it.

    Parameters
    ----------
    estimator : object
        Unfitted, with ``fit(X, y)``, ``fit(psr, y)`` and, unless there is an `oracle`, ``to_sklearn()``.
    X : array-like or DataFrame of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
    sample_weight : array-like of shape (n_samples,), default=None
        Then scikit-learn's estimator is asked only if its ``fit`` takes weights.
    n_nodes : int, default=3
    seed : int, default=0
        Chooses who gets which row, orders of columns, and faults.
    rtol : float, default=1e-6
        How far scikit-learn's own result may be, relative to the largest entry of each attribute, and 1e-12 of the
        largest value in `X` besides.  It works on rounded centred rows with a rounding error of its own, which grows
        with the condition of the problem; this package's does not, so a tolerance is needed for the other side alone.
    oracle : object, default=None
        An unfitted estimator of scikit-learn to agree with; None asks ``estimator.to_sklearn()``.

    Raises
    ------
    AssertionError
        Names the node or the attribute that differs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_symfed import FederatedGaussianNB
    >>> from sklearn_symfed.testing import assert_federated_equals_central
    >>> assert_federated_equals_central(FederatedGaussianNB(), *load_iris(return_X_y=True))
    """
    weight = {} if sample_weight is None else {"sample_weight": sample_weight}
    central = clone(estimator).fit(X, y, **weight)
    columns, labels, target = _columns_of(central, X, y)
    merged = federated_psrs(columns, labels, sample_weight=sample_weight, n_nodes=n_nodes, seed=seed)
    for node, psr in enumerate(merged):
        assert psr == merged[0], f"node {node} holds another state than node 0 although all have converged"
        federated = clone(estimator)
        federated.fit(psr, target)
        try:
            assert_same_fit(federated, central)
        except AssertionError as error:
            raise AssertionError(f"node {node} differs from the central fit: {error}") from None
    _assert_right(central, clone(central.to_sklearn() if oracle is None else oracle), X, y, weight, rtol)


def federated_psrs(
    columns: dict[str, Array],
    labels: tuple[str, Array] | None = None,
    *,
    sample_weight: Any = None,
    n_nodes: int = 3,
    seed: int = 0,
) -> list[PSR]:
    """Return what each node of a federation holds after learning its part of the rows and pulsing over faults.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (n_samples,)
        Numeric columns, in order.
    labels : tuple of (str, ndarray of shape (n_samples,)), default=None
        Name of the class column and its labels.
    sample_weight : array-like of shape (n_samples,), default=None
    n_nodes, seed : int
        As in `assert_federated_equals_central`.

    Returns
    -------
    list of PSR
        The merged PSR of each node, whose columns are in the order given.
    """
    rng = np.random.default_rng(seed)
    n_rows = len(next(iter(columns.values())))
    owner = rng.permutation(np.arange(n_rows) % n_nodes)
    weight = None if sample_weight is None else np.asarray(sample_weight)
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for node in range(n_nodes):
            mine = np.flatnonzero(owner == node)
            names = list(columns) if node == 0 else rng.permutation(list(columns)).tolist()
            arrays = {f"column{i}": columns[name][mine] for i, name in enumerate(names)}
            arrays |= {} if labels is None else {"labels": labels[1][mine]}
            arrays |= {} if weight is None else {"weight": weight[mine]}
            jobs.append(_start(Path(folder) / str(node), names, arrays, None if labels is None else labels[0], node))
        locals_ = [_finish(*job) for job in jobs]
    return _pulse_until_converged(locals_, seed)


def _start(
    place: Path, names: list[str], arrays: dict[str, Array], classes: str | None, node: int
) -> tuple[subprocess.Popen[str], Path]:
    rows, columns, out = (place.with_suffix(suffix) for suffix in (".npz", ".json", ".psr"))
    np.savez(rows, **arrays, allow_pickle=False)
    columns.write_text(json.dumps({"columns": names, "classes": classes, "n_jobs": 1 + node % 2}), encoding="utf-8")
    command = [sys.executable, "-m", "sklearn_symfed.testing._learner", str(rows), str(columns), str(out)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(1 + node % 2)}
    if node % 2 and platform.machine() in {"x86_64", "AMD64"}:
        environment["OPENBLAS_CORETYPE"] = "Prescott"  # the oldest kernel, which every such processor runs
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True), out  # noqa: S603


def _finish(process: subprocess.Popen[str], out: Path) -> PSR:
    _, errors = process.communicate()
    assert process.returncode == 0, f"a node failed to learn its rows: {errors}"
    return PSR.load(out)


def _pulse_until_converged(learned: list[PSR], seed: int) -> list[PSR]:
    url = f"memory://equivalence-{os.getpid()}-{next(_places)}"
    nodes: list[Federation] = []

    def faulty(url: str, member: str, *, create: bool = False) -> Transport:
        return FaultyTransport(open_transport(url, member, create=create), seed + len(nodes), **_FAULTS)

    stores = [Store.open() for _ in learned]
    try:
        for i, (store, psr) in enumerate(zip(stores, learned, strict=True)):
            if i == 0:
                create = Federation.create(
                    store, "equivalence", url, "node-0", guard="off", on_recovery_key=_forget, opener=faulty
                )
                nodes.append(create)
            else:
                nodes.append(Federation.join(store, *nodes[0].invite(f"node-{i}"), opener=faulty))
                _pulse_until_admitted(nodes[0], nodes[i])
            nodes[i].learn(psr)
        for _ in range(_ROUNDS):
            for node in nodes:
                node.pulse()
            if all(node.converged and len(node.members) == len(nodes) for node in nodes):
                break
        else:
            raise AssertionError(f"{len(nodes)} nodes have not converged after {_ROUNDS} rounds")
        return [node.merged for node in nodes if node.merged is not None]
    finally:
        for node in nodes:
            node.close()
        for store in stores:
            store.close()


def _pulse_until_admitted(admin: Federation, joiner: Federation) -> None:
    for _ in range(_ROUNDS):
        if joiner.is_member and joiner.schema is not None:
            return
        admin.pulse()
        joiner.pulse()
    raise AssertionError(f"a node was not admitted after {_ROUNDS} rounds")


def _forget(_: str) -> None:
    """Take no note of the recovery key of a federation that ends with the test."""


def _columns_of(estimator: Any, X: Any, y: Any) -> tuple[dict[str, Array], tuple[str, Array] | None, Any]:
    """Return numeric columns by name, the class column, and what ``fit(psr, y)`` takes as `y`."""
    names = frame_names(X)
    if names is None:
        columns = {f"x{i}": column for i, column in enumerate(np.asarray(X).T)}
    else:
        columns = {name: np.asarray(X[name]) for name in names}
    if y is None or not (
        is_classifier(estimator) or is_regressor(estimator) or get_tags(estimator).target_tags.required
    ):
        return columns, None, None
    name = getattr(y, "name", None) or "y"
    learned = getattr(estimator, "psr_", None)  # tells a transformer's classes from numbers
    if is_classifier(estimator) or (learned is not None and learned.schema.classes is not None):
        labels = np.asarray(y)
        return columns, (name, labels.astype(str) if labels.dtype.kind == "O" else labels), name
    if np.ndim(y) == 1:
        return {**columns, name: np.asarray(y)}, None, name
    targets = frame_names(y) or [f"y{i}" for i in range(np.shape(y)[1])]
    values = np.asarray(y)
    return {**columns, **{target: values[:, i] for i, target in enumerate(targets)}}, None, targets


def _assert_right(central: Any, oracle: Any, X: Any, y: Any, weight: dict[str, Any], rtol: float) -> None:
    """Compare with scikit-learn's own fit, attribute by attribute, where both are numbers."""
    if weight and not has_fit_parameter(oracle, "sample_weight"):
        return
    oracle.fit(X, y, **weight)
    shared = [name for name in vars(oracle) if name.endswith("_") and name[0] != "_" and name in vars(central)]
    assert shared, "nothing to compare with scikit-learn's estimator"
    noise = 1e-12 * float(np.max(np.abs(np.asarray(X, dtype=np.float64)), initial=0.0))
    for name in shared:
        ours, theirs = (np.asarray(getattr(each, name)) for each in (central, oracle))
        if ours.dtype.kind not in "iuf" or theirs.dtype.kind not in "iuf":
            continue
        if name == "scalings_":  # signs are a convention, and directions beyond the discriminant ones have no meaning
            ours, theirs = np.abs(ours), np.abs(theirs[:, : ours.shape[1]])
        assert ours.shape == theirs.shape, f"{name} has shape {ours.shape}, but scikit-learn's has {theirs.shape}"
        scale = np.max(np.abs(theirs), initial=0.0)
        error = np.max(np.abs(ours - theirs), initial=0.0)
        away = error / scale if scale else error
        assert error <= rtol * scale + noise, f"{name} is {away:.1e} away from scikit-learn's"

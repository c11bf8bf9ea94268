"""Use the installed wheel as its first user would: learn, merge, forget, fit every estimator.

Run in an environment that holds the wheel and what it requires, nothing else, from outside of the source tree.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import is_classifier

import sklearn_symfed
from sklearn_symfed import PSR


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make rows with two targets: a number and a label."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) * [1.0, 1e-3, 1e6] + [0.1, 5.0, -3e5]
    y = X @ [1.0, 200.0, -1e-6] + rng.normal(size=len(X))
    return X, y, np.where(y > np.median(y), "late", "in time")


def assert_same_fit(estimator_class: type, X: np.ndarray, target: np.ndarray) -> None:
    """Fit from rows and from the merged statistics of shuffled parts; every fitted array is equal to the last bit."""
    order = np.random.default_rng(1).permutation(len(X))
    classes = True if target.dtype.kind == "U" else None
    merged = sum(PSR.from_rows(X[part], target[part], classes=classes) for part in np.array_split(order, 7))
    central = PSR.from_rows(X, target, classes=classes)
    assert merged == central
    assert merged.digest == central.digest
    assert (merged + merged) - merged == merged
    assert PSR.from_bytes(merged.to_bytes()) == merged
    by_rows, by_psr = estimator_class().fit(X, target), estimator_class().fit(merged, "y")
    fitted = [name for name in vars(by_rows) if name.endswith("_") and isinstance(getattr(by_rows, name), np.ndarray)]
    assert fitted, f"{estimator_class.__name__} has no fitted arrays"
    for name in fitted:
        if name != "feature_names_in_":
            assert np.array_equal(getattr(by_rows, name), getattr(by_psr, name)), f"{estimator_class.__name__}.{name}"


def assert_same_encoding(estimator_class: type, target: np.ndarray) -> None:
    """Encode categories by what was learned from rows and from statistics: the numbers are equal to the last bit."""
    texts = np.random.default_rng(2).choice(["a", "b", "c"], (len(target), 1))
    parts = np.array_split(np.argsort(texts[:, 0]), 3)
    merged = sum(PSR.from_rows(texts[part], target[part], categories=["x0"]) for part in parts)
    by_rows, by_psr = estimator_class().fit(texts, target), estimator_class().fit(merged, "y")
    assert np.array_equal(by_rows.transform(texts), by_psr.transform(texts)), estimator_class.__name__


def main() -> None:
    """Check where the package comes from, then what it does."""
    installed = Path(sklearn_symfed.__file__).resolve()
    assert installed.is_relative_to(Path(sys.prefix).resolve()), f"imported from {installed}, not from the wheel"
    assert (installed.parent / "py.typed").is_file()
    for name in ("pandas", "pytest", "hypothesis"):
        assert importlib.util.find_spec(name) is None, f"the environment is not bare: it has {name}"
    X, y, labels = rows()
    exported = [getattr(sklearn_symfed, name) for name in sklearn_symfed.__all__ if name.startswith("Federated")]
    for estimator_class in exported:
        if estimator_class.__name__ == "FederatedPSR":
            node = estimator_class().partial_fit(X[:100]).partial_fit(X[100:])
            assert node.psr_ == PSR.from_rows(X)
        elif estimator_class.__name__.endswith("Encoder"):
            assert_same_encoding(estimator_class, y)
        else:
            assert_same_fit(estimator_class, X, labels if is_classifier(estimator_class()) else y)
    with tempfile.TemporaryDirectory() as folder:
        psr = PSR.from_rows(X)
        psr.save(Path(folder, "rows.psr"))
        assert PSR.load(Path(folder, "rows.psr")) == psr
    sys.stdout.write(f"sklearn-symfed {sklearn_symfed.__version__}: {len(exported)} estimators from the wheel\n")


if __name__ == "__main__":
    main()

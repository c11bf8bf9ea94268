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
from sklearn_symfed import PSR, fitted_digests

CHOSEN = {"FederatedCCA": {"n_components": 1}, "FederatedSelectKBest": {"k": 2}}
"""Parameters of those whose defaults suit other rows."""


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make rows with two targets: a number and a label."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) * [1.0, 1e-3, 1e6] + [0.1, 5.0, -3e5]
    y = X @ [1.0, 200.0, -1e-6] + rng.normal(size=len(X))
    return X, y, np.where(y > np.median(y), "late", "in time")


def suited(estimator_class: type, X: np.ndarray) -> np.ndarray:
    """Return the rows as an estimator of counts, of what is there, or of levels takes them."""
    name = estimator_class.__name__
    if name in {"FederatedBernoulliNB", "FederatedCategoricalNB"}:
        return (np.median(X, axis=0) < X).astype(int)
    if name in {"FederatedMultinomialNB", "FederatedComplementNB"}:
        return np.rint(np.abs(X / X.std(axis=0)))
    return X / X.std(axis=0) if name in {"FederatedGraphicalLasso", "FederatedQuadraticDiscriminantAnalysis"} else X


def assert_same_fit(estimator_class: type, X: np.ndarray, target: np.ndarray) -> None:
    """Fit from rows and from the merged statistics of shuffled parts; every fitted array is equal to the last bit."""
    order, X = np.random.default_rng(1).permutation(len(X)), suited(estimator_class, X)
    kinds = {"classes": True if target.dtype.kind == "U" else None}
    if estimator_class.__name__ == "FederatedCategoricalNB":
        kinds["categories"] = ["x0", "x1", "x2"]
    merged = sum(PSR.from_rows(X[part], target[part], **kinds) for part in np.array_split(order, 7))
    central = PSR.from_rows(X, target, **kinds)
    assert merged == central
    assert merged.digest == central.digest
    assert (merged + merged) - merged == merged
    assert PSR.from_bytes(merged.to_bytes()) == merged
    chosen = CHOSEN.get(estimator_class.__name__, {})
    by_rows, by_psr = estimator_class(**chosen).fit(X, target), estimator_class(**chosen).fit(merged, "y")
    one, other = fitted_digests(by_rows), fitted_digests(by_psr)
    assert one.keys() - other.keys() <= {"feature_names_in_"}, estimator_class.__name__
    said = {"feature_names_in_", *(["psr_"] if estimator_class.__name__ == "FederatedSimpleImputer" else [])}
    differ = [
        name for name in one if name not in said and one[name] != other[name]
    ]  # the imputer's says what is missing
    assert not differ, f"{estimator_class.__name__}: {differ}"


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
            by_class = is_classifier(estimator_class()) or estimator_class.__name__.startswith("FederatedSelect")
            assert_same_fit(estimator_class, X, labels if by_class else y)
    with tempfile.TemporaryDirectory() as folder:
        psr = PSR.from_rows(X)
        psr.save(Path(folder, "rows.psr"))
        assert PSR.load(Path(folder, "rows.psr")) == psr
    sys.stdout.write(f"sklearn-symfed {sklearn_symfed.__version__}: {len(exported)} estimators from the wheel\n")


if __name__ == "__main__":
    main()

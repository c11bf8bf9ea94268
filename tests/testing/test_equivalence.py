"""Federated equals central, for every estimator; and the assertion that says so can fail."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris, load_linnerud

from sklearn_symfed import (
    PSR,
    FederatedGaussianNB,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedPCA,
    FederatedRidge,
    FederatedSelectKBest,
    linear_model,
)
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.testing import assert_federated_equals_central

_CASES = {
    "ridge": (FederatedRidge(alpha=0.5), load_diabetes),
    "ridge of three targets": (FederatedRidge(alpha=[0.1, 1.0, 10.0]), load_linnerud),
    "least squares": (FederatedLinearRegression(), load_diabetes),
    "LDA": (FederatedLinearDiscriminantAnalysis(), load_iris),
    "LDA with shrinkage": (FederatedLinearDiscriminantAnalysis(shrinkage=0.3), load_iris),
    "naive Bayes": (FederatedGaussianNB(), load_iris),
    "selection by classes": (FederatedSelectKBest(k=2), load_iris),
    "PCA": (FederatedPCA(n_components=4, whiten=True), load_diabetes),
}


_BRIEFLY = {"ridge", "LDA", "selection by classes"}
_MARKED = [case if case in _BRIEFLY else pytest.param(case, marks=pytest.mark.thorough) for case in _CASES]


@pytest.mark.parametrize("case", _MARKED, ids=lambda case: case.replace(" ", "-"))
def test_every_estimator_is_equal_on_all_nodes_and_to_the_central_fit(case):
    """Other processes, kernels, threads, column orders and a faulty carrier do not change a bit of any model."""
    estimator, load = _CASES[case]
    assert_federated_equals_central(estimator, *load(return_X_y=True), n_nodes=3 if case == "ridge" else 2)


def test_frames_and_weights_are_equal_too():
    """The same holds for named columns and weighted rows."""
    data = load_diabetes(as_frame=True)
    weight = np.where(data.target > 150, 2.5, 0.1)
    assert_federated_equals_central(FederatedRidge(), data.data, data.target, sample_weight=weight, n_nodes=2)


def test_a_broken_merge_is_noticed(monkeypatch):
    """A merge that forgets the lowest digits of one party makes the assertion fail."""
    right = PSR.__add__

    def rounded(self: PSR, other: object) -> PSR:
        merged = right(self, other)
        cells = {}
        for label, state in merged._cells.items():
            octets, exponent = state.to_octets()
            cells[label] = Limbs.from_octets(octets[4:], exponent + 4) if len(octets) > 8 else state
        return PSR(merged.schema, cells)

    monkeypatch.setattr(PSR, "__add__", rounded)
    with pytest.raises(AssertionError, match=r"differs from the central fit|another state"):
        assert_federated_equals_central(FederatedRidge(), *load_diabetes(return_X_y=True), n_nodes=2)


def test_a_broken_solve_is_noticed(monkeypatch):
    """A solve that is wrong in the same way everywhere is caught by the independent oracle."""
    right = linear_model.FederatedRidge._solve

    def wrong(self, psr):
        fitted = right(self, psr)
        return {**fitted, "coef_": fitted["coef_"] * (1 + 1e-5)}

    monkeypatch.setattr(linear_model.FederatedRidge, "_solve", wrong)
    with pytest.raises(AssertionError, match=r"coef_ is .* away from scikit-learn"):
        assert_federated_equals_central(FederatedRidge(), *load_diabetes(return_X_y=True), n_nodes=2)

"""The estimators that the tests of the common contract run over: a line for each, beside the rows that it can learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sklearn_symfed import (
    PSR,
    FederatedBayesianRidge,
    FederatedBernoulliNB,
    FederatedCategoricalNB,
    FederatedCCA,
    FederatedComplementNB,
    FederatedElasticNet,
    FederatedEmpiricalCovariance,
    FederatedFactorAnalysis,
    FederatedGaussianEnvelope,
    FederatedGaussianNB,
    FederatedGraphicalLasso,
    FederatedLars,
    FederatedLasso,
    FederatedLassoLars,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedMultinomialNB,
    FederatedNearestCentroid,
    FederatedOAS,
    FederatedOrthogonalMatchingPursuit,
    FederatedPCA,
    FederatedPLSRegression,
    FederatedQuadraticDiscriminantAnalysis,
    FederatedRidge,
    FederatedSelectFdr,
    FederatedSelectFpr,
    FederatedSelectFwe,
    FederatedSelectKBest,
    FederatedShrunkCovariance,
    FederatedTruncatedSVD,
    FederatedVarianceThreshold,
)
from sklearn_symfed.feature_selection import chi2, f_regression

FEATURES = ["b", "a", "c"]
_INTEGERS = np.random.default_rng(0).integers(-50, 50, size=(90, 3))
FRAME = pd.DataFrame(_INTEGERS + np.random.default_rng(1).normal(size=(90, 3)), columns=FEATURES).assign(
    t=lambda f: f.a - 2 * f.b + _INTEGERS[:, 0], late=lambda f: f.t > 3
)
COUNTS = FRAME.assign(**{name: abs(_INTEGERS[:, i]) for i, name in enumerate(FEATURES)})
BINARY = FRAME.assign(**{name: _INTEGERS[:, i] % 2 for i, name in enumerate(FEATURES)})
LEVELS = FRAME.assign(**{name: _INTEGERS[:, i] % 3 for i, name in enumerate(FEATURES)})


def as_they_are(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as the estimator is given them."""
    return frame


def indicators(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `LEVELS` with a column of zeros and ones for each level of each feature."""
    features = [name for name in frame if name in {*FEATURES, "x0", "x1", "x2"}]
    return frame.drop(columns=features).assign(
        **{f"{name}={level}": frame[name] == level for name in features for level in range(3)}
    )


@dataclass(frozen=True)
class Case:
    """An estimator, what it predicts, and rows that it can learn.

    Attributes
    ----------
    estimator : object
    target : str or None
        ``"t"``, a number, or ``"late"``, a class.
    frame : DataFrame of shape (90, 5)
        Columns `FEATURES`, ``t`` and ``late``.
    exempt : dict of str to str
        Checks of scikit-learn that it cannot pass, each with its reason.
    encode : callable
        Makes of rows those whose statistics the estimator takes.
    """

    estimator: Any
    target: str | None = None
    frame: pd.DataFrame = field(default_factory=lambda: FRAME, repr=False)
    exempt: dict[str, str] = field(default_factory=dict)
    encode: Callable[[pd.DataFrame], pd.DataFrame] = as_they_are

    def __str__(self) -> str:
        return "".join(str(self.estimator).split())

    @property
    def classes(self) -> str | None:
        return "late" if self.target == "late" else None

    def rows(self, frame: pd.DataFrame | None = None) -> tuple[Any, Any]:
        """Return features and target of all rows or of those given."""
        frame = self.frame if frame is None else frame
        return frame[FEATURES], None if self.target is None else frame[self.target]

    def statistics(self, frame: pd.DataFrame | None = None) -> PSR:
        """Return the PSR of all rows or of those given, without what is neither feature nor target."""
        columns = [*FEATURES, *([] if self.target is None else [self.target])]
        frame = self.frame if frame is None else frame
        return PSR.from_rows(self.encode(frame[columns]), classes=self.classes)


_PAIRS = dict.fromkeys(
    ["check_transformer_general", "check_transformer_data_not_an_array"],
    "fit_transform(X, y) returns scores of X and of y, as in scikit-learn, whose checks know its own classes by name.",
)

FAMILY = [
    Case(FederatedBayesianRidge(), "t"),
    Case(FederatedBayesianRidge(compute_score=True, fit_intercept=False), "t"),
    Case(FederatedBernoulliNB(), "late", BINARY),
    Case(
        FederatedCategoricalNB(),
        "late",
        LEVELS,
        exempt=dict.fromkeys(
            ["check_sample_weight_equivalence_on_dense_data", "check_classifiers_one_label_sample_weights"],
            "Fits fractions as levels, which scikit-learn cuts off, making one level of two; they are refused here.",
        ),
        encode=indicators,
    ),
    Case(FederatedComplementNB(), "late", COUNTS),
    Case(FederatedElasticNet(0.1), "t"),
    Case(FederatedCCA(n_components=1), "t", exempt=_PAIRS),
    Case(FederatedEmpiricalCovariance()),
    Case(FederatedEmpiricalCovariance(assume_centered=True, store_precision=False)),
    Case(FederatedFactorAnalysis()),
    Case(FederatedGaussianEnvelope(0.8)),  # the checks expect outliers among three balls
    Case(FederatedGraphicalLasso(0.3)),
    Case(FederatedFactorAnalysis(1, rotation="varimax")),
    Case(FederatedGaussianNB(), "late"),
    Case(FederatedLars(), "t"),
    Case(FederatedLasso(), "t"),
    Case(FederatedLasso(0.1, positive=True, fit_intercept=False), "t"),
    Case(FederatedLassoLars(), "t"),
    Case(FederatedLassoLars(0.1, positive=True), "t"),
    Case(FederatedLinearDiscriminantAnalysis(), "late"),
    Case(FederatedLinearDiscriminantAnalysis(shrinkage=0.5), "late"),
    Case(FederatedLinearDiscriminantAnalysis(shrinkage="oas"), "late"),
    Case(FederatedLinearRegression(), "t"),
    Case(FederatedLinearRegression(positive=True), "t"),
    Case(FederatedMultinomialNB(), "late", COUNTS),
    Case(FederatedNearestCentroid(), "late"),
    Case(FederatedNearestCentroid(shrink_threshold=0.5, priors="empirical"), "late"),
    Case(FederatedOrthogonalMatchingPursuit(), "t"),
    Case(FederatedOAS()),
    Case(FederatedPCA()),
    Case(FederatedPLSRegression(), "t", exempt=_PAIRS),
    Case(FederatedQuadraticDiscriminantAnalysis(reg_param=0.1), "late"),
    Case(FederatedRidge(), "t"),
    Case(FederatedRidge(positive=True), "t"),
    Case(FederatedSelectFdr(alpha=1.0), "late"),
    Case(FederatedSelectFpr(f_regression, alpha=1.0), "t"),
    Case(FederatedSelectFwe(alpha=1.0), "late"),
    Case(FederatedShrunkCovariance()),
    Case(FederatedSelectKBest(k=1), "late"),
    Case(FederatedSelectKBest(chi2, k=2), "late", COUNTS),
    Case(FederatedSelectKBest(f_regression, k=2), "t"),
    Case(FederatedTruncatedSVD()),
    Case(FederatedVarianceThreshold()),
]

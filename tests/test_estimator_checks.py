"""scikit-learn's own checks, for every estimator."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from sklearn_symfed.decomposition import FederatedPCA
from sklearn_symfed.discriminant_analysis import FederatedLinearDiscriminantAnalysis
from sklearn_symfed.linear_model import FederatedLinearRegression, FederatedRidge
from sklearn_symfed.naive_bayes import FederatedGaussianNB

ESTIMATORS = [
    FederatedGaussianNB(),
    FederatedLinearDiscriminantAnalysis(),
    FederatedLinearDiscriminantAnalysis(shrinkage=0.5),
    FederatedLinearRegression(),
    FederatedPCA(),
    FederatedRidge(),
]
LEAST_CHECKS = 45
"""For each estimator; scikit-learn 1.9 has 50 for a transformer and more for others."""


def expected_failures(estimator: Any) -> dict[str, str]:
    """Return checks that an estimator cannot pass, each with its reason."""
    return {}


@pytest.mark.filterwarnings("ignore:The .* features have rank:scipy.linalg.LinAlgWarning")
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_estimator_check(estimator: Any, check: Any) -> None:
    """An estimator keeps scikit-learn's contract."""
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_number_of_checks(estimator: Any) -> None:
    """scikit-learn has many checks for each estimator: an empty suite would pass in silence."""
    checks = [
        name for _, check in estimator_checks_generator(estimator) for name in [getattr(check, "func", check).__name__]
    ]
    assert len(checks) >= LEAST_CHECKS
    assert "check_estimators_nan_inf" in checks
    assert len(expected_failures(estimator)) == 0

"""Gaussian naive Bayes: exact against fractions, near scikit-learn, batches no matter."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.naive_bayes import GaussianNB

from sklearn_symfed.naive_bayes import FederatedGaussianNB

X, Y = load_iris(return_X_y=True)


def test_parameters_equal_fractions():
    """Means, variances and epsilon are rational functions of the rows, rounded once."""
    x, y = X[::5], Y[::5]
    model = FederatedGaussianNB(var_smoothing=0.01).fit(x, y)

    def mean_and_variance(values):
        values = [Fraction(v) for v in values.tolist()]
        mean = sum(values) / len(values)
        return mean, sum((v - mean) ** 2 for v in values) / len(values)

    epsilon = Fraction(0.01) * max(mean_and_variance(x[:, j])[1] for j in range(4))
    assert model.epsilon_ == float(epsilon)
    for k in range(3):
        for j in range(4):
            mean, variance = mean_and_variance(x[y == k, j])
            assert model.theta_[k, j] == float(mean)
            assert model.var_[k, j] == float(variance + epsilon)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("priors", [None, [0.2, 0.3, 0.5]])
def test_is_near_scikit_learn(weighted, priors):
    """scikit-learn agrees to 1e-12 without weights; with them its epsilon ignores the weights, hence no smoothing."""
    weights = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    smoothing = 0.0 if weighted else 1e-9
    mine = FederatedGaussianNB(priors=priors, var_smoothing=smoothing).fit(X, Y, weights)
    theirs = GaussianNB(priors=priors, var_smoothing=smoothing).fit(X, Y, weights)
    for name in ("theta_", "var_", "class_prior_", "class_count_", "epsilon_"):
        np.testing.assert_allclose(getattr(mine, name), getattr(theirs, name), rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), rtol=1e-9, atol=1e-300)


def test_smoothing_knows_all_batches():
    """Epsilon follows from all rows, not from the last batch."""
    model = FederatedGaussianNB(var_smoothing=0.1)
    for start in range(0, 150, 25):
        model.partial_fit(X[start : start + 25], Y[start : start + 25], classes=[0, 1, 2])
    whole = FederatedGaussianNB(var_smoothing=0.1).fit(X, Y)
    assert model.epsilon_ == whole.epsilon_
    assert model.var_.tolist() == whole.var_.tolist()


@pytest.mark.parametrize(
    ("priors", "message"), [([0.5, 0.5], "Number of priors"), ([1, 1, 1], "sum"), ([1.5, -0.5, 0.0], "non-negative")]
)
def test_bad_priors(priors, message):
    """Priors are as many as classes, not negative, and sum to one."""
    with pytest.raises(ValueError, match=message):
        FederatedGaussianNB(priors=priors).fit(X, Y)

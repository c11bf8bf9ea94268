"""What the naive Bayes models of counts share: the classes, their probabilities, and the refusal of negative counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_non_negative

from sklearn_symfed._base import ClassifierFromStatistics
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.naive_bayes._counts import ClassCounts, log_prior, rounded, smoothing
from sklearn_symfed.psr import PSR, read_columns

__all__ = ["CountsFromStatistics", "DiscreteFromStatistics"]

Array = np.ndarray[Any, Any]


class DiscreteFromStatistics(ClassifierFromStatistics):
    """Mixin: probabilities of classes as scikit-learn's discrete models have them.

    A subclass says what follows from counts (`_of_counts`).
    """

    alpha: Any
    force_alpha: bool
    fit_prior: bool
    class_prior: Any

    def _solve(self, psr: PSR) -> dict[str, Any]:
        counts = ClassCounts.of(psr)
        return {
            "classes_": np.array(counts.labels),
            "class_count_": rounded(counts.weights),
            "class_log_prior_": log_prior(counts.weights, self.class_prior, fit=self.fit_prior),
            **self._of_counts(counts),
        }

    def _of_counts(self, counts: ClassCounts) -> dict[str, Any]:
        """Return the fitted attributes that describe features."""
        raise NotImplementedError

    def _smoothing(self, n_features: int) -> Array:
        return smoothing(self.alpha, n_features, force=self.force_alpha)


class CountsFromStatistics(DiscreteFromStatistics):
    """Mixin: every column holds counts, none of them negative.

    A subclass says what follows from them (`_log_prob`).
    """

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        learned = super()._learn_rows(X, y, weight)
        for block in read_columns(X, "x", decimals=learned.schema.decimals)[2]:
            check_non_negative(block, f"{type(self).__name__} (input X)")
        return learned

    def _of_counts(self, counts: ClassCounts) -> dict[str, Any]:
        names = counts.moments[0].names
        negative = [name for name, column in zip(names, counts.sums.T, strict=True) if min(column) < 0]
        if negative:
            raise DataError(
                f"Negative values in data passed to {type(self).__name__}: "
                f"Got columns {negative} with a negative sum in some class, but expected counts."
            )
        return {
            "feature_count_": rounded(counts.sums),
            "feature_log_prob_": self._log_prob(counts.sums, self._smoothing(len(names))),
        }

    def _log_prob(self, sums: Array, alpha: Array) -> Array:
        """Return `feature_log_prob_` from the counts of each class and what smooths them."""
        raise NotImplementedError

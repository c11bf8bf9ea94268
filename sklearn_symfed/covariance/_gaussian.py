"""What estimators of a covariance share: location, precision, and the likelihood of rows under the Gaussian."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.covariance import EmpiricalCovariance
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import UnsupervisedFromStatistics
from sklearn_symfed._input import require_rows
from sklearn_symfed._rounding import quotients
from sklearn_symfed._shrinkage import Exact
from sklearn_symfed.covariance._precision import is_regular, precision_of
from sklearn_symfed.decomposition._pca import average_log_likelihood
from sklearn_symfed.psr import PSR, Moments

__all__ = ["CovarianceFromStatistics", "by_name"]

Array = np.ndarray[Any, Any]


class CovarianceFromStatistics(UnsupervisedFromStatistics):
    """Mixin: there is no target, and the score is the average log-likelihood under a Gaussian.

    A subclass says what the covariance is, exactly (`_exact`), or what it and its inverse are, rounded (`_matrices`).
    """

    assume_centered: bool
    store_precision: bool = True
    location_: Array
    precision_: Array | None

    def get_precision(self) -> Array:
        """Return the inverse of the covariance, or its pseudo-inverse where features are collinear.

        Returns
        -------
        ndarray of shape (n_features, n_features)
        """
        check_is_fitted(self)
        return self._found_precision() if self.precision_ is None else self.precision_

    def score(self, X_test: Any, y: Any = None) -> float:  # noqa: ARG002
        """Return the average log-likelihood of rows, or of the rows that a PSR stands for.

        Parameters
        ----------
        X_test : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : None
            Ignored.

        Returns
        -------
        float
            Under a Gaussian with ``location_`` and ``covariance_``; minus infinity where that is singular.
        """
        check_is_fitted(self)
        if isinstance(X_test, PSR):
            moments = X_test.select(self.psr_.names).moments()
            found = average_log_likelihood(moments, self.location_, self.get_precision())
        else:
            require_rows(X_test, "score")
            found = float(EmpiricalCovariance.score(self, X_test))
        return found if self._is_regular() else -np.inf

    def _exact(self, moments: Moments) -> Exact:
        """Return the covariance, exactly."""
        raise NotImplementedError

    def _matrices(self, moments: Moments) -> tuple[Array, Array | None]:
        """Return the covariance, and the precision if it is to be stored; features are in the order of their names."""
        covariance = self._exact(moments)
        return quotients(*covariance), precision_of(covariance)[0] if self.store_precision else None

    def _is_regular(self) -> bool:
        return is_regular(self._exact(by_name(self.psr_)[0]))

    def _found_precision(self) -> Array:
        moments, back = by_name(self.psr_)
        return precision_of(self._exact(moments))[0][back]

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments, back = by_name(psr)
        covariance, precision = self._matrices(moments)
        return {
            "location_": np.zeros(len(covariance)) if self.assume_centered else psr.moments().mean,
            "covariance_": covariance[back],
            "precision_": None if precision is None else precision[back],
        }


def by_name(psr: PSR) -> tuple[Moments, tuple[Array, ...]]:
    """Return moments with features in the order of their names, and what brings a matrix of them back."""
    names = sorted(psr.names)
    back = [names.index(name) for name in psr.names]
    return psr.moments().select(names), np.ix_(back, back)

"""What linear regressors share once they are solved: shapes, a warning of dependent features, R² from statistics."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.linalg import LinAlgWarning

from sklearn_symfed._base import RegressorFromStatistics
from sklearn_symfed._input import readable_target
from sklearn_symfed._rounding import as_integers
from sklearn_symfed.linear_model._normal_equations import LinearSolution
from sklearn_symfed.psr import PSR, Moments, quotient

__all__ = ["LinearFromStatistics", "r2_score"]

Array = np.ndarray[Any, Any]


def r2_score(moments: Moments, coef: Array, intercept: Array) -> float:
    r"""Return the coefficient of determination of a linear model on the rows that moments stand for.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
        Floats or fractions.

    Returns
    -------
    float
        Uniform average over the targets, exact until it is rounded once.  As in scikit-learn, a target that does not
        vary scores 1 if it is met and 0 if not; NaN where there are no rows or coefficients are not finite.

    Notes
    -----
    With :math:`v = (-b_0, -b, 1)` and the augmented Gram matrix :math:`M`, the residual sum of squares is
    :math:`v^T M v`; :math:`R^2 = 1 - v^T M v / \sum_i w_i (y_i - \bar y)^2`.
    """
    total = moments.matrix[0, 0]
    if total == 0 or not (np.isfinite(coef).all() and np.isfinite(np.asarray(intercept, dtype=np.float64)).all()):
        return float("nan")
    n_targets, n_features = coef.shape
    score = Fraction(0)
    for t in range(n_targets):
        column = n_features + t
        vector, scale = as_integers(np.array([-intercept[t], *-coef[t], 1.0]))
        columns = [0, *range(1, 1 + n_features), 1 + column]
        residual = Fraction(int(vector @ moments.matrix[np.ix_(columns, columns)] @ vector), scale * scale)
        varied = moments.comoments[column, column]
        score += (1 - residual * total / varied) if varied else Fraction(int(residual == 0))
    score /= n_targets
    return quotient(score.numerator, score.denominator)


class LinearFromStatistics(RegressorFromStatistics):
    """What the linear regressors share once they are solved."""

    fit_intercept: bool
    coef_: Array
    intercept_: Any

    def _fitted(self, solution: LinearSolution) -> dict[str, Any]:
        how = {"solver_": solution.solver, "condition_": solution.condition}
        return {**self._parameters(solution.coef, solution.intercept), **how}

    def _parameters(self, coef: Array, intercept: Array) -> dict[str, Any]:
        """Return what predicts, of shapes (n_targets, n_features) and (n_targets,), under scikit-learn's names."""
        return {
            "coef_": self._shaped(coef),
            "intercept_": self._shaped(intercept) if self.fit_intercept else 0.0,
        }

    def _shaped(self, values: Array) -> Any:
        """Give parameters scikit-learn's shapes: one target named by a string has no axis of its own."""
        return values[0] if isinstance(self._target, str) else values

    def _n_targets(self) -> int:
        return 1 if isinstance(self._target, str) else len(self._target)

    def _warn_of_rank(self, rank: int, *, or_less: bool = False) -> None:
        n_features = len(self._features())
        if rank < n_features:
            msg = (
                f"The {n_features} features have rank {rank}{' or less' if or_less else ''}: of all optimal solutions "
                "this is the one of smallest norm, and its coefficients are not to be interpreted one by one."
            )
            warnings.warn(msg, LinAlgWarning, stacklevel=6)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R² on rows or, exactly, on the rows that a PSR stands for.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); with a PSR: str or list of str
            With a PSR the names of its target columns; None means those of the fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Not with a PSR.

        Returns
        -------
        float
            Uniform average over the targets.
        """
        if not isinstance(X, PSR):
            return float(super().score(X, readable_target(y), sample_weight))  # type: ignore[misc]
        psr, n_targets = self._columns_to_score(X, y), self._n_targets()
        coef = np.reshape(self.coef_, (n_targets, -1))
        return r2_score(psr.moments(), coef, np.broadcast_to(self.intercept_, n_targets))

"""The solve of quadratic discriminant analysis: one Gaussian for each class, along its principal axes, rounded once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed._eigen import Eigenproblem, Level, evaluate_pairs, flip_signs
from sklearn_symfed._rounding import ball, ball_column, flint_integers, quotients
from sklearn_symfed._shrinkage import Shrinkage, covariance_of, share_of
from sklearn_symfed.psr import Moments

__all__ = ["ClassGaussian"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ClassGaussian:
    r"""Describe the rows of a class by a Gaussian, exactly, and round once.

    Parameters
    ----------
    moments : Moments
        Of the class.
    shrinkage : Fraction, "oas" or None, default=None
        How far its covariance is moved towards its mean variance.
    reg_param : Fraction, default=0
        How far its covariance is moved towards the identity.

    Notes
    -----
    With :math:`S` the (biased) covariance of the class, its covariance is

    .. math:: (1 - s) S + s\,\mathrm{tr}(S) / d \quad\text{or}\quad (1 - r) S + r,

    which has the eigenvectors of :math:`S` whatever the shrinkage or the regularisation [1]_.

    References
    ----------
    .. [1] J. H. Friedman, "Regularized Discriminant Analysis", Journal of the American Statistical Association 84,
       1989.
    """

    moments: Moments
    shrinkage: Shrinkage = None
    reg_param: Fraction = Fraction(0)

    @property
    def _line(self) -> tuple[Fraction, Fraction]:
        """What eigenvalues are multiplied by, and what is added to them."""
        if self.shrinkage is None:
            return 1 - self.reg_param, self.reg_param
        matrix, denominator = covariance_of(self.moments)
        share = share_of(self.moments, self.shrinkage)
        trace = sum(int(value) for value in matrix.diagonal())
        return 1 - share, share * Fraction(trace, denominator * len(matrix))

    @property
    def covariance(self) -> Array:
        """Covariance: ndarray of shape (n_features, n_features)."""
        matrix, denominator = covariance_of(self.moments)
        factor, added = self._line
        common = denominator * factor.denominator * added.denominator
        diagonal = np.zeros(matrix.shape, dtype=object)
        np.fill_diagonal(diagonal, int(added * common))
        return quotients(matrix * int(factor * common / denominator) + diagonal, common)

    def axes(self) -> tuple[Array, Array]:
        """Return the principal axes.

        Returns
        -------
        variances : ndarray of shape (n_features,)
            Descending; those beyond the exact rank are zero without shrinkage.
        rotation : ndarray of shape (n_features, n_features)
            Unit vectors as columns, the entry of largest magnitude of each positive.
        """
        names = sorted(self.moments.names)  # ties go by name, whatever the order of features
        back = [names.index(name) for name in self.moments.names]
        matrix, denominator = covariance_of(self.moments.select(names))
        factor, added = self._line
        problem = Eigenproblem(matrix, rank=flint_integers(matrix).rank())

        def attempt(level: Level) -> list[Any] | None:
            pairs = problem.pairs(level, len(matrix))
            if pairs is None:
                return None
            unit, start = ball(factor / denominator), ball(added)
            return [ball_column([value * unit + start for value in pairs.values]), pairs.vectors]

        variances, vectors = evaluate_pairs(attempt, problem.levels)
        return variances[:, 0], flip_signs(vectors).T[back]

"""What ordinary least squares says of itself beside its coefficients: standard errors and singular values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed._definite import Definite
from sklearn_symfed._eigen import roots_of_eigenvalues
from sklearn_symfed._linalg import Field, evaluate
from sklearn_symfed._rounding import split_columns
from sklearn_symfed.linear_model._normal_equations import NormalEquations
from sklearn_symfed.psr import Moments

__all__ = ["StandardErrors", "singular_values", "standard_errors"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class StandardErrors:
    """Standard errors of ordinary least squares.

    Attributes
    ----------
    coef : ndarray of shape (n_targets, n_features)
    intercept : ndarray of shape (n_targets,)
        Zero without intercept.
    residual : ndarray of shape (n_targets,)
        Standard deviation of the residuals.
    """

    coef: Array
    intercept: Array
    residual: Array


def standard_errors(moments: Moments, rank: int, *, n_targets: int = 1, fit_intercept: bool = True) -> StandardErrors:
    r"""Return standard errors of ordinary least squares, each rounded once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    rank : int
        Number of features that count.
    n_targets : int, default=1
    fit_intercept : bool, default=True

    Returns
    -------
    StandardErrors
        NaN unless the rank is full and rows are more than parameters.

    Notes
    -----
    With the statistics of `ridge`, :math:`p` parameters and the residual degrees of freedom :math:`\nu = n - p`, let
    :math:`q = C_{yy} - C_{yX} C_{XX}^{-1} C_{Xy}`.  Then [1]_

    .. math:: s(b_j) = \sqrt{q (C_{XX}^{-1})_{jj} / \nu}, \quad
              s(b_0) = \sqrt{q (1 + s_X^T C_{XX}^{-1} s_X) / \nu} / W, \quad s = \sqrt{q / (W \nu)},

    square roots of rational numbers.  Weights enter as in weighted least squares, with :math:`n` rows all the same.

    References
    ----------
    .. [1] G. A. F. Seber, A. J. Lee, "Linear Regression Analysis", 2nd ed., 2003, section 3.3.
    """
    n_features = len(moments.names) - n_targets
    problem = NormalEquations(moments, n_features, list(range(n_targets)), fit_intercept)
    freedom = moments.n_rows - n_features - fit_intercept
    out = StandardErrors(*(np.full(shape, np.nan) for shape in ((n_targets, n_features), n_targets, n_targets)))
    if not fit_intercept:
        out.intercept[:] = 0.0
    if rank < n_features or freedom <= 0:
        return out
    features = list(range(n_features))
    system = Definite(problem.block(features, features))
    one = np.identity(n_features, dtype=object)
    weight = moments.matrix[0, 0] if fit_intercept else 1
    sums = moments.matrix[:1, 1 : 1 + n_features]

    def unexplained(field: Field, coef: Any, targets: list[int]) -> list[Any]:
        across = field.matrix(problem.block(targets, features)) * coef
        total = field.matrix(problem.block(targets, targets))
        per_freedom = field.scalar(Fraction(1, freedom))
        return [(total[k, k] - across[k, k]) * per_freedom for k in range(len(targets))]

    def residual(field: Field, targets: list[int]) -> list[Any]:
        coef = field.solve(system, problem.block(features, targets))
        unit = field.scalar(moments.unit / weight)
        return [field.column([q * unit for q in unexplained(field, coef, targets)])]

    every = [n_features + t for t in range(n_targets)]
    out.residual[:] = evaluate(lambda field: residual(field, every), roots=True)[0][0][:, 0]
    met = out.residual == 0  # to the last digit: neither do coefficients err
    out.coef[met], out.intercept[met] = 0.0, 0.0
    targets = [n_features + t for t in np.flatnonzero(~met).tolist()]

    def errors(field: Field) -> list[Any]:
        both = field.solve(system, np.hstack([one, problem.block(features, targets)]))
        inverse, coef = split_columns(both, n_features)
        left = unexplained(field, coef, targets)
        squares = [field.column([q * inverse[j, j] for j in features]) for q in left]
        if not fit_intercept:
            return squares
        row = field.matrix(sums)
        spread = (row * inverse * row.transpose())[0, 0] + field.scalar(Fraction(1))
        return [*squares, field.column([q * spread * field.scalar(Fraction(1, weight**2)) for q in left])]

    if targets:
        values, _ = evaluate(errors, roots=True)
        out.coef[~met] = np.array(values[: len(targets)])[:, :, 0]
        if fit_intercept:
            out.intercept[~met] = values[-1][:, 0]
    return out


def singular_values(moments: Moments, n_features: int, *, fit_intercept: bool = True) -> Array:
    r"""Return the singular values of the features' rows, weighted by square roots.

    Parameters
    ----------
    moments : Moments
        The features come first.
    n_features : int
    fit_intercept : bool, default=True
        Whether rows are centred.

    Returns
    -------
    ndarray of shape (min(n_rows, n_features),)
        Descending, each rounded once; those beyond the exact rank are zero.

    Notes
    -----
    Square roots of the eigenvalues of the centred or plain Gram matrix.
    """
    gram = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
    unit = moments.unit / (moments.matrix[0, 0] if fit_intercept else 1)
    return roots_of_eigenvalues(gram[:n_features, :n_features], min(moments.n_rows, n_features), unit)

"""Truncated singular value decomposition of rows that are not centred, from their exact Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD

from sklearn_symfed._base import TransformerFromStatistics
from sklearn_symfed._eigen import Eigenproblem, Level, evaluate_pairs, flip_signs
from sklearn_symfed._rounding import ball, ball_column, flint_integers
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedTruncatedSVD", "singular_components"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SingularComponents:
    """Right singular vectors of rows by descending singular value.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_features)
        One a row; the entry of largest magnitude is positive, ties go to the first name.
    singular : ndarray of shape (n_components,)
        Singular values.
    variance, ratio : ndarray of shape (n_components,)
        Variances of the rows' projections, and their shares of the variance of all features.
    """

    components: Array
    singular: Array
    variance: Array
    ratio: Array


def singular_components(moments: Moments, count: int) -> SingularComponents:
    r"""Find the first singular values and vectors of rows exactly, and round once.

    Parameters
    ----------
    moments : Moments
    count : int
        Up to ``min(n_rows, n_features)``.

    Returns
    -------
    SingularComponents

    Notes
    -----
    The right singular vectors :math:`v` of :math:`\sqrt W X` are the eigenvectors of the Gram matrix :math:`X^T W X`,
    the singular values the roots of its eigenvalues [1]_: each correctly rounded where eigenvalues are further apart
    than :math:`2^{-250}` of their sum.  The variance along a component is :math:`v^T S v`, with :math:`S` the
    covariance of the features (:math:`n`, or the sum of weights, in its denominator): since rows are not centred it is
    no eigenvalue, and need not descend.  Eigenvectors of equal eigenvalues follow the convention of `Eigenproblem`,
    with features in the order of their names.

    References
    ----------
    .. [1] G. H. Golub, C. F. Van Loan, "Matrix Computations", 4th ed., 2013, section 2.4.
    """
    order = np.argsort(moments.names)
    gram, comoments = (each[np.ix_(order, order)] for each in (moments.matrix[1:, 1:], moments.comoments))
    problem = Eigenproblem(gram, rank=flint_integers(gram).rank())
    weight, total = moments.matrix[0, 0] ** 2, sum(comoments.diagonal().tolist())
    centred = flint_integers(comoments)

    def attempt(level: Level) -> list[Any] | None:
        pairs = problem.pairs(level, count)
        if pairs is None:
            return None
        squares = pairs.vectors * centred * pairs.vectors.transpose()
        along = [squares[k, k] for k in range(count)]
        columns = [
            [(value * ball(moments.unit)).nonnegative_part().sqrt() for value in pairs.values],
            [value / weight for value in along],
            [value / max(total, 1) for value in along],
        ]
        return [pairs.vectors, *(ball_column(each) for each in columns)]

    components, singular, variance, ratio = evaluate_pairs(attempt, problem.levels)
    if not total:
        ratio[:] = np.nan  # shares of no variance are undefined
    components = flip_signs(components)[:, np.argsort(order)]
    return SingularComponents(components, singular[:, 0], variance[:, 0], ratio[:, 0])


class FederatedTruncatedSVD(TransformerFromStatistics, TruncatedSVD):
    """Truncated singular value decomposition from exact statistics.

    Parameters
    ----------
    n_components : int, default=2
        Up to the number of features.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Right singular vectors by descending singular value; the entry of largest magnitude is positive.  At most as
        many as rows.
    explained_variance_, explained_variance_ratio_, singular_values_ : ndarray of shape (n_components,)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.decomposition.TruncatedSVD : The same model from rows.
    FederatedPCA : The same of centred rows.

    Notes
    -----
    All is correctly rounded where singular values differ: see `singular_components` for the formulas.  scikit-learn
    finds the vectors by a randomised method, which is less precise the nearer singular values are to each other.

    Examples
    --------
    >>> from sklearn_symfed import FederatedTruncatedSVD
    >>> svd = FederatedTruncatedSVD(n_components=1).fit([[3.0, 4.0], [6.0, 8.0]])
    >>> svd.components_.tolist(), svd.singular_values_.round(6).tolist()
    ([[0.6, 0.8]], [11.18034])
    """

    def __init__(self, n_components: int = 2, *, prior: PSR | None = None) -> None:
        self.n_components = n_components
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments = psr.moments()
        n_features = len(moments.names)
        if self.n_components > n_features:
            raise ValueError(f"Got n_components={self.n_components}, but expected at most n_features={n_features}.")
        solution = singular_components(moments, min(self.n_components, moments.n_rows))
        return {
            "components_": solution.components,
            "explained_variance_": solution.variance,
            "explained_variance_ratio_": solution.ratio,
            "singular_values_": solution.singular,
        }

    def _affine(self) -> tuple[Array, list[float]]:
        return self.components_.T, [0.0] * len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

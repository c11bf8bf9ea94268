"""Canonical correlations from joint products, in the units and with the loadings of scikit-learn's deflation."""

from __future__ import annotations

import numpy as np
from flint import arb, arb_mat

from sklearn_symfed._definite import independent_columns
from sklearn_symfed._eigen import Level
from sklearn_symfed._rounding import ball
from sklearn_symfed.cross_decomposition._cross_products import (
    NOTHING_LEFT,
    CrossComponents,
    CrossProducts,
    dot,
    orientation,
)
from sklearn_symfed.cross_decomposition._eigenvectors import leading_eigenvectors
from sklearn_symfed.psr import Moments

__all__ = ["canonical_correlation"]

Vector = list[arb]
_RANK_TOL = 1e-6


def canonical_correlation(moments: Moments, n_targets: int, count: int, *, scale: bool = True) -> CrossComponents:
    r"""Find canonical variates exactly, and round once.

    Parameters
    ----------
    moments : Moments
        Of the features and, last, the targets.
    n_targets : int
    count : int
        Number of components.
    scale : bool, default=True
        Whether features and targets are divided by their standard deviations.

    Returns
    -------
    CrossComponents
        Where fewer correlations differ from zero, the other components are zero.

    Warns
    -----
    UserWarning
        If fewer do.

    Notes
    -----
    With :math:`A = X^T X`, :math:`B = X^T Y` and :math:`C = Y^T Y` of centred and scaled columns, canonical vectors
    solve

    .. math:: B C^{-1} B^T a = \rho^2 A a, \quad b = C^{-1} B^T a.

    scikit-learn finds them one by one, deflating :math:`X` and :math:`Y` by their own variates.  What is left of
    :math:`X` has the earlier vectors for its null space, and the pseudo-inverse gives weights that are orthogonal to
    it: so weights are the vectors made orthonormal in their order, rotations are the vectors over what normalising
    took, and loadings those of the columns on the variates :math:`t = X a`, :math:`X^T t / t^T t` [1]_.  Columns that
    depend on others, by the rule of `independent_columns`, share their vectors as the pseudo-inverse does.

    References
    ----------
    .. [1] J. A. Wegelin, "A survey of partial least squares (PLS) methods, with emphasis on the two-block case", 2000.
    """
    products = CrossProducts(moments, n_targets, scale=scale)
    x_side, y_side = _independent(products, products.x), _independent(products, products.y)
    first, second = (x_side, y_side) if len(x_side) < len(y_side) else (y_side, x_side)

    def attempt(level: Level) -> dict[str, list[Vector]] | None:
        pairs = _canonical_vectors(products, first, second, count, level)
        if pairs is None:
            return None
        of_x, of_y = pairs if first is x_side else pairs[::-1]
        x = _side(products, products.x, x_side, of_x)
        signs = [orientation(weight) for weight in x[0]]
        y = _side(products, products.y, y_side, of_y)
        return {
            f"{name}_{kind}": [[entry * sign for entry in vector] for vector, sign in zip(vectors, signs, strict=True)]
            for name, side in (("x", x), ("y", y))
            for kind, vectors in zip(("weights", "rotations", "loadings"), side, strict=True)
        }

    return products.evaluate(count, attempt)


def _independent(products: CrossProducts, columns: list[int]) -> list[int]:
    chosen = independent_columns(products.comoments[np.ix_(columns, columns)], _RANK_TOL)
    return [columns[i] for i in chosen]


def _canonical_vectors(
    products: CrossProducts, first: list[int], second: list[int], count: int, level: Level
) -> tuple[list[Vector], list[Vector]] | None:
    """Return the canonical vectors of two sides, of which the first is not larger; None where they are not separated.

    There are as many as correlations differ from zero.
    """
    across = products.block(second, first)
    solved = products.block(second, second).solve(across)
    root = _cholesky(products.block(first, first)).inv()
    pairs = leading_eigenvectors(root * (across.transpose() * solved) * root.transpose(), min(count, len(first)), level)
    if pairs is None:
        return None
    some = [k for k, value in enumerate(pairs[0]) if value.mid() > ball(NOTHING_LEFT).mid()]
    if not some:
        return [], []
    mine = root.transpose() * arb_mat([pairs[1][k] for k in some]).transpose()
    return mine.transpose().tolist(), (solved * mine).transpose().tolist()


def _cholesky(matrix: arb_mat) -> arb_mat:
    """Return the lower triangular root of a positive definite matrix."""
    size = matrix.nrows()
    out = [[arb(0)] * size for _ in range(size)]
    for j in range(size):
        pivot = (matrix[j, j] - sum((e * e for e in out[j][:j]), arb(0))).sqrt()
        out[j][j] = pivot
        for i in range(j + 1, size):
            done = sum((a * b for a, b in zip(out[i][:j], out[j][:j], strict=True)), arb(0))
            out[i][j] = (matrix[i, j] - done) / pivot
    return arb_mat(out)


def _side(
    products: CrossProducts, columns: list[int], chosen: list[int], vectors: list[Vector]
) -> tuple[list[Vector], list[Vector], list[Vector]]:
    """Return weights, rotations and loadings of the columns of one side."""
    if not vectors:
        return [], [], []
    weights: list[Vector] = []
    rotations: list[Vector] = []
    for vector in _of_least_norm(products, columns, chosen, vectors):
        rest = vector
        for axis in weights:
            part = dot(axis, rest)
            rest = [r - part * a for r, a in zip(rest, axis, strict=True)]
        length = dot(rest, rest).sqrt()
        weights.append([entry / length for entry in rest])
        rotations.append([entry / length for entry in vector])
    gram, loadings = products.block(columns, columns), []
    for rotation in rotations:
        across = (gram * arb_mat(len(columns), 1, rotation)).entries()
        square = dot(across, rotation)
        loadings.append([entry / square for entry in across])
    return weights, rotations, loadings


def _of_least_norm(
    products: CrossProducts, columns: list[int], chosen: list[int], vectors: list[Vector]
) -> list[Vector]:
    """Spread vectors of independent columns over all: the same variates, with the smallest norm."""
    if chosen == columns:
        return vectors
    span = products.block(chosen, chosen).solve(products.block(chosen, columns))
    spread = span.transpose() * (span * span.transpose()).solve(arb_mat(vectors).transpose())
    return spread.transpose().tolist()

"""Partial least squares regression from joint products: what NIPALS converges to, component by component."""

from __future__ import annotations

from flint import arb, arb_mat

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

__all__ = ["partial_least_squares"]

Vector = list[arb]
Products = dict[str, arb_mat]


def partial_least_squares(moments: Moments, n_targets: int, count: int, *, scale: bool = True) -> CrossComponents:
    r"""Find the components of partial least squares regression exactly, and round once.

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
        Where features and targets have fewer components in common, the others are zero.

    Warns
    -----
    UserWarning
        If they have fewer.

    Notes
    -----
    With :math:`A = X^T X`, :math:`B = X^T Y` and :math:`C = Y^T Y` of centred and scaled columns, a component is

    .. math:: B B^T w = \lambda w, \quad \|w\| = 1, \quad p = A w / w^T A w, \quad q = B^T w / w^T A w

    for the largest :math:`\lambda`: weights of features, their loadings, and those of targets, which are their weights
    as well [1]_.  It is deflated, :math:`A \leftarrow A - (w^T A w) p p^T` and likewise :math:`B` and :math:`C`, and
    the next one follows.  Rotations are :math:`W (P^T W)^{-1}` and the transposed pseudo-inverse of :math:`Q`,
    coefficients :math:`W (P^T W)^{-1} Q^T`.  A target of which a share of :math:`5 \cdot 10^{-30}` of its variance is
    left counts as explained, and such a squared correlation as none.

    References
    ----------
    .. [1] J. A. Wegelin, "A survey of partial least squares (PLS) methods, with emphasis on the two-block case", 2000.
    """
    products = CrossProducts(moments, n_targets, scale=scale)

    def attempt(level: Level) -> dict[str, list[Vector]] | None:
        whole = {
            "xx": products.block(products.x, products.x),
            "xy": products.block(products.x, products.y),
            "yy": products.block(products.y, products.y),
        }
        rest = whole
        weights: list[Vector] = []
        x_loadings: list[Vector] = []
        y_loadings: list[Vector] = []
        while len(weights) < count:
            shared = _shared(rest, whole)
            if shared is None:
                break
            weight = _weight(shared, level)
            if weight is None:
                return None
            rest, x_loading, y_loading = _deflated({**rest, "xy": shared}, weight)
            weights.append(weight)
            x_loadings.append(x_loading)
            y_loadings.append(y_loading)
        return {
            "x_weights": weights,
            "y_weights": y_loadings,
            "x_loadings": x_loadings,
            "y_loadings": y_loadings,
            "x_rotations": _rotations(weights, x_loadings),
            "y_rotations": _transposed_pseudo_inverse(y_loadings),
        }

    return products.evaluate(count, attempt)


def _shared(rest: Products, whole: Products) -> arb_mat | None:
    """Return what features and unexplained targets have in common, or None where that is nothing."""
    least, rows = ball(NOTHING_LEFT), rest["xy"].tolist()
    left = [rest["yy"][j, j].mid() > (least * whole["yy"][j, j]).mid() for j in range(rest["yy"].nrows())]
    found = any(
        left[j] and (rows[i][j] ** 2).mid() > (least * whole["xx"][i, i] * whole["yy"][j, j]).mid()
        for i in range(len(rows))
        for j in range(len(left))
    )
    kept = [entry if left[j] else arb(0) for row in rows for j, entry in enumerate(row)]
    return arb_mat(len(rows), len(left), kept) if found else None


def _weight(shared: arb_mat, level: Level) -> Vector | None:
    """Return the first left singular vector, or None where this level does not separate it."""
    across = shared.transpose()
    if shared.ncols() == 1:
        vector = shared.entries()
    elif shared.ncols() <= shared.nrows():
        pairs = leading_eigenvectors(across * shared, 1, level)
        if pairs is None:
            return None
        vector = (shared * arb_mat(len(pairs[1][0]), 1, pairs[1][0])).entries()
    else:
        pairs = leading_eigenvectors(shared * across, 1, level)
        if pairs is None:
            return None
        vector = pairs[1][0]
    length = sum((entry * entry for entry in vector), arb(0)).sqrt() * orientation(vector)
    return [entry / length for entry in vector]


def _deflated(rest: Products, weight: Vector) -> tuple[Products, Vector, Vector]:
    """Return the products less a component, and the loadings of it."""
    column = arb_mat(len(weight), 1, weight)
    row = column.transpose()
    square = (row * rest["xx"] * column)[0, 0]
    p = rest["xx"] * column * (1 / square)
    q = rest["xy"].transpose() * column * (1 / square)
    after = {
        "xx": rest["xx"] - p * p.transpose() * square,
        "xy": rest["xy"] - p * q.transpose() * square,
        "yy": rest["yy"] - q * q.transpose() * square,
    }
    return after, p.entries(), q.entries()


def _rotations(weights: list[Vector], loadings: list[Vector]) -> list[Vector]:
    """Return ``W (P'W)^-1``, where the matrix in brackets has ones on its diagonal and zeros below."""
    out: list[Vector] = []
    for weight in weights:
        parts = [dot(loading, weight) for loading in loadings[: len(out)]]
        out.append([w - sum((p * r[i] for p, r in zip(parts, out, strict=True)), arb(0)) for i, w in enumerate(weight)])
    return out


def _transposed_pseudo_inverse(columns: list[Vector]) -> list[Vector]:
    """Return the transposed pseudo-inverse of a matrix ``F G`` of columns, whose factor F is columns that count."""
    factor: list[Vector] = []
    basis: list[Vector] = []
    for column in columns:
        rest = column
        for axis in basis:
            part = dot(axis, rest)
            rest = [r - part * a for r, a in zip(rest, axis, strict=True)]
        square = dot(rest, rest)
        if square.mid() > (ball(NOTHING_LEFT) * dot(column, column)).mid():
            factor.append(column)
            basis.append([r / square.sqrt() for r in rest])
    if not factor:
        return []
    f, q = arb_mat(factor).transpose(), arb_mat(columns).transpose()
    inner = f.transpose() * f
    g = inner.solve(f.transpose() * q)
    rows: list[Vector] = (f * inner.solve((g * g.transpose()).solve(g))).transpose().tolist()
    return rows

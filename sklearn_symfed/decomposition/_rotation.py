"""Orthogonal rotations of loadings towards simple structure, whose result does not depend on BLAS."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from flint import arb, arb_mat

from sklearn_symfed._rounding import precision, to_float

__all__ = ["Criterion", "rotated_loadings"]

Array = np.ndarray[Any, Any]
Criterion = Literal["varimax", "quartimax"]

_BITS = 512
_TOL = 1e-6
_MOST_TURNS = 100
_MOST_STEPS = 200


def rotated_loadings(loadings: Array, criterion: Criterion) -> Array:
    r"""Rotate loadings until each feature loads on few factors.

    Parameters
    ----------
    loadings : ndarray of shape (n_components, n_features)
        One factor a row; those that are zero stay so.
    criterion : {"varimax", "quartimax"}

    Returns
    -------
    ndarray of shape (n_components, n_features)
        What scikit-learn's iteration ends with in exact arithmetic, each entry rounded once.

    Notes
    -----
    With the loadings as the columns of :math:`L`, and :math:`\Lambda = L R`, each turn takes for :math:`R` the
    orthogonal polar factor of :math:`B = L^T (\Lambda^3 - \Lambda D)` (powers are of entries), where :math:`D` holds
    the mean squares of the columns of :math:`\Lambda` for varimax and nothing for quartimax, until the sum of singular
    values of :math:`B` rises by less than a millionth [1]_.  Newton's iteration finds the polar factor [2]_.

    References
    ----------
    .. [1] H. F. Kaiser, "The varimax criterion for analytic rotation in factor analysis", Psychometrika 23, 1958.
    .. [2] N. J. Higham, "Computing the polar decomposition", SIAM J. Sci. Stat. Comput. 7, 1986.
    """
    active = np.flatnonzero(loadings.any(axis=1))
    out = np.array(loadings)
    if len(active) < 2:
        return out
    with precision(_BITS):
        columns = arb_mat(len(active), loadings.shape[1], [arb(float(e)) for e in loadings[active].ravel()]).transpose()
        turned = _turned(columns, criterion)
        entries = [to_float(entry, settle=True) for entry in turned.transpose().entries()]
    out[active] = np.array(entries, dtype=np.float64).reshape(len(active), -1)
    return out


def _turned(columns: arb_mat, criterion: Criterion) -> arb_mat:
    across, turned, last = columns.transpose(), columns, None
    for _ in range(_MOST_TURNS):
        slope = _middles(across * _slope(turned, criterion))
        turn = _polar_factor(slope)
        if turn is None:
            break
        turned = _middles(columns * turn)
        total = (turn.transpose() * slope).trace()
        if last is not None and total < last * (1 + arb(_TOL)):
            break
        last = total
    return turned


def _slope(turned: arb_mat, criterion: Criterion) -> arb_mat:
    rows, n_features, n_factors = turned.tolist(), turned.nrows(), turned.ncols()
    squares = [arb(0)] * n_factors
    if criterion == "varimax":
        squares = [sum((row[j] * row[j] for row in rows), arb(0)) / n_features for j in range(n_factors)]
    entries = [e * (e * e - square) for row in rows for e, square in zip(row, squares, strict=True)]
    return arb_mat(n_features, n_factors, entries)


def _polar_factor(matrix: arb_mat) -> arb_mat | None:
    """Return the orthogonal polar factor, or None where the matrix is singular."""
    for _ in range(_MOST_STEPS):
        try:
            inverse = matrix.inv()
        except ZeroDivisionError:
            return None
        after = _middles((matrix + inverse.transpose()) * arb(0.5))
        moved = max(abs(entry) for entry in (after - matrix).entries())
        matrix = after
        if moved < arb((1, -_BITS // 2)):
            break
    return matrix


def _middles(matrix: arb_mat) -> arb_mat:
    return arb_mat(matrix.nrows(), matrix.ncols(), [arb(entry.mid()) for entry in matrix.entries()])

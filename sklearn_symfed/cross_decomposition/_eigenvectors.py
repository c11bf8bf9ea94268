"""Eigenvectors of symmetric matrices of balls: those of the middles, with a bound on what the radii can change."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, arb_mat

from sklearn_symfed._eigen import Eigenproblem, Level
from sklearn_symfed._rounding import on_grid, quotients

__all__ = ["leading_eigenvectors"]

Array = np.ndarray[Any, Any]

_CLEAR = 1e-9  # of the largest eigenvalue: float64 eigenvalues prove gaps that wide
_TIED_BITS = 20  # that the basis of equal eigenvalues may lose, see `Eigenproblem`


def leading_eigenvectors(matrix: arb_mat, count: int, level: Level) -> tuple[list[arb], list[list[arb]]] | None:
    r"""Return the largest eigenvalues of a positive semi-definite matrix that is not zero, and their eigenvectors.

    Parameters
    ----------
    matrix : arb_mat of shape (n, n)
    count : int
    level : Level

    Returns
    -------
    values : list of arb
        Descending.
    vectors : list of list of arb
        None in place of both where this level does not separate them.

    Notes
    -----
    A change :math:`E` of a symmetric matrix moves eigenvalues by at most :math:`\|E\|`, and an eigenvector by an angle
    of at most :math:`2 \|E\|` over the gap to the other eigenvalues [1]_.  Equal ones follow the convention of
    `Eigenproblem`.

    References
    ----------
    .. [1] C. Davis, W. M. Kahan, "The rotation of eigenvectors by a perturbation III", SIAM J. Numer. Anal. 7, 1970.
    """
    size = matrix.nrows()
    integers, exponent = on_grid(matrix, level.bits)
    lower = np.tril_indices(size, -1)
    integers[lower] = integers.T[lower]
    unit = arb((1, exponent))
    moved = (max(arb(entry.rad()) for entry in matrix.entries()) + 2 * unit) * size
    problem = Eigenproblem(integers)
    gaps = _clear_gaps(integers, count)
    pairs = problem.pairs(level, size if gaps is None else count)
    if pairs is None:
        return None
    gaps = [_gap(pairs.values, k, level) for k in range(count)] if gaps is None else gaps
    vectors = [
        [entry + arb(0, 4 * moved / (gap * unit)) for entry in row]
        for gap, row in zip(gaps, pairs.vectors.tolist()[:count], strict=True)
    ]
    return [value * unit + arb(0, moved) for value in pairs.values[:count]], vectors


def _clear_gaps(integers: Array, count: int) -> list[arb] | None:
    """Return lower bounds on the gaps around the largest eigenvalues if float64 shows them all."""
    top = max(int(entry).bit_length() for entry in integers.diagonal())
    values = scipy.linalg.eigvalsh(quotients(integers, 1 << top))[::-1]
    away = np.abs(values[:count, None] - values)
    away[np.arange(count), np.arange(count)] = np.inf
    nearest = np.minimum(away.min(axis=1), values[0])
    if nearest.min() < _CLEAR * values[0]:
        return None
    return [arb(float(gap)) * arb((1, top - 1)) for gap in nearest]  # half of it is safe


def _gap(values: list[arb], k: int, level: Level) -> arb:
    """Return a lower bound on the gap between one eigenvalue, or those equal to it, and the others."""
    total = sum(values, arb(0))
    equal = total * arb((1, 1 - level.gap))
    distances = [abs(value - values[k]) for j, value in enumerate(values) if j != k]
    apart = [distance for distance in distances if not distance < equal]
    gap = min([*(arb(distance.lower()) for distance in apart), total])
    return gap if len(apart) == len(distances) else gap * arb((1, -_TIED_BITS))

"""The l1-penalised precision matrix in float64, by an interior-point method: it finds zeros and signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

__all__ = ["hessian", "interior_point"]

Array = np.ndarray[Any, Any]

_MOST_STEPS = 300
_MOST_HALVINGS = 40
_NEAR = 0.5
_CLOSER = 0.1
_GAP = 1e-9


def hessian(inverse: Array, rows: Array, columns: Array) -> Array:
    r"""Return the second derivatives of :math:`-\log\det X` in entries of a symmetric matrix.

    Parameters
    ----------
    inverse : ndarray of shape (d, d)
        Of :math:`X`.
    rows, columns : ndarray of int of shape (m,)
        Positions of the entries, of which each pair off the diagonal is one unknown.

    Returns
    -------
    ndarray of shape (m, m)
        :math:`\mathrm{tr}(X^{-1} E_a X^{-1} E_b)`, where :math:`E_a` is how :math:`X` moves with unknown :math:`a`.
    """
    out = inverse[np.ix_(rows, rows)] * inverse[np.ix_(columns, columns)]
    out += inverse[np.ix_(rows, columns)] * inverse[np.ix_(columns, rows)]
    twice = np.where(rows == columns, 1.0, 2.0)
    out *= twice[:, None]
    out *= twice / 2
    return np.asarray(out)


def interior_point(s: Array, penalty: Array) -> Array:
    r"""Minimise :math:`\mathrm{tr}(S X) - \log\det X + \sum_{i \ne j} \Lambda_{ij} |X_{ij}|` in float64.

    Parameters
    ----------
    s : ndarray of shape (d, d)
        Covariance, with a positive diagonal.
    penalty : ndarray of shape (d, d)
        Symmetric, positive off the diagonal.

    Returns
    -------
    ndarray of shape (d, d)
        Near the minimiser; zero where it is zero in all likelihood.

    Notes
    -----
    The dual problem maximises :math:`\log\det W` with :math:`|W_{ij} - S_{ij}| \le \Lambda_{ij}` and the diagonal of
    :math:`S`; :math:`X = W^{-1}` [1]_.  Newton's method follows the path of minimisers of

    .. math:: -\log\det W - \mu \sum_{i < j} [\log(\Lambda_{ij} - R_{ij}) + \log(\Lambda_{ij} + R_{ij})],
              \quad R = W - S,

    down with :math:`\mu`, in a number of steps that collinear features do not raise.  An entry of :math:`X` is zero
    where its bound is further away than zero is.

    References
    ----------
    .. [1] O. Banerjee, L. El Ghaoui, A. d'Aspremont, "Model Selection Through Sparse Maximum Likelihood Estimation",
       Journal of Machine Learning Research 9, 2008.
    """
    rows, columns = np.triu_indices(len(s), 1)
    bound, own = penalty[rows, columns], np.abs(s[rows, columns])
    inside = 0.5 * np.min(np.divide(bound, own, out=np.ones_like(own), where=own > bound), initial=1.0)
    moved = -inside * s[rows, columns]
    mu, least = 1.0, _GAP / max(len(rows), 1)
    for _ in range(_MOST_STEPS):
        try:
            step, decrement = _newton_step(s, rows, columns, bound, moved, mu)
        except np.linalg.LinAlgError:  # as near as float64 gets
            break
        if decrement < _NEAR:
            if mu <= least:
                break
            mu = max(mu * _CLOSER, least)
            continue
        found = _along(s, rows, columns, bound, moved, step, mu)
        if found is None:
            break
        moved = found
    x = np.linalg.inv(_matrix(s, rows, columns, moved))
    off = x[rows, columns]
    x[rows, columns] = x[columns, rows] = np.where(np.abs(off) > bound - np.abs(moved), off, 0.0)
    return np.asarray(x)


def _matrix(s: Array, rows: Array, columns: Array, moved: Array) -> Array:
    w = s.copy()
    w[rows, columns] = w[columns, rows] = s[rows, columns] + moved
    return w


def _newton_step(s: Array, rows: Array, columns: Array, bound: Array, moved: Array, mu: float) -> tuple[Array, float]:
    """Return the Newton step of the barrier function, and its decrement."""
    x = np.linalg.inv(_matrix(s, rows, columns, moved))
    below, above = 1 / (bound + moved), 1 / (bound - moved)
    slope = -2 * x[rows, columns] + mu * (above - below)
    curvature = hessian(x, rows, columns)
    curvature[np.diag_indices(len(rows))] += mu * (above**2 + below**2)
    scale = 1 / np.sqrt(curvature.diagonal())
    step = -scale * scipy.linalg.solve(curvature * scale[:, None] * scale, scale * slope, assume_a="pos")
    return step, float(np.sqrt(max(-slope @ step, 0.0)) / np.sqrt(mu))


def _along(s: Array, rows: Array, columns: Array, bound: Array, moved: Array, step: Array, mu: float) -> Array | None:
    """Return the point along a step that lowers the barrier function and stays inside of it."""

    def value(point: Array) -> float:
        slack = bound - np.abs(point)
        if not (slack > 0).all():
            return np.inf
        try:
            factor = np.linalg.cholesky(_matrix(s, rows, columns, point))
        except np.linalg.LinAlgError:
            return np.inf
        return float(
            -2 * np.sum(np.log(factor.diagonal())) - mu * np.sum(np.log(bound - point) + np.log(bound + point))
        )

    before = value(moved)
    for k in range(_MOST_HALVINGS):
        found = moved + 0.5**k * step
        if value(found) < before:
            return np.asarray(found)
    return None

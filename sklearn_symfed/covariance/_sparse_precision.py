"""The l1-penalised precision matrix of an exact covariance, certified and rounded once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, arb_mat
from scipy.sparse.csgraph import connected_components
from sklearn.covariance import graphical_lasso
from sklearn.exceptions import ConvergenceWarning

from sklearn_symfed._refined import refined_root
from sklearn_symfed._rounding import as_integers, ball, quotients
from sklearn_symfed.covariance._interior_point import hessian, interior_point

__all__ = ["sparse_precision"]

Array = np.ndarray[Any, Any]

_MOST_SUPPORTS = 30
_MOST_STEPS = 100
_PROVEN_BITS = 100
_ZERO_BITS = 90  # an entry of the scaled precision that is smaller is zero, its bound being met at the same time
_NEAR = 1e-5
_AWAY = 1e-9  # from zero, with the sign that an entry should have


def sparse_precision(covariance: tuple[Array, int], alpha: Fraction) -> tuple[Array, Array]:
    r"""Minimise :math:`\mathrm{tr}(S X) - \log\det X + \alpha \sum_{i \ne j} |X_{ij}|`, and round once.

    Parameters
    ----------
    covariance : ndarray of object of shape (d, d), int
        Python integers and their denominator; the diagonal is positive.
    alpha : Fraction
        Positive.

    Returns
    -------
    covariance : ndarray of float64 of shape (d, d)
        The inverse of the precision.
    precision : ndarray of float64 of shape (d, d)
        The minimiser.

    Raises
    ------
    numpy.linalg.LinAlgError
        If float64 does not lead to the minimiser.

    Notes
    -----
    :math:`X` is the minimiser, and the only one, exactly if it is positive definite and its inverse :math:`W` has
    :math:`W_{ii} = S_{ii}`, :math:`W_{ij} = S_{ij} + \alpha\,\mathrm{sign}(X_{ij})` where :math:`X_{ij} \ne 0`, and
    :math:`|W_{ij} - S_{ij}| \le \alpha` elsewhere [1]_.  Float64 says which entries are zero; the equations of the
    others are solved far beyond float64, and all these conditions are then checked in balls.  What float64 was wrong
    about is put right and tried again, so that what comes out does not depend on how it was found.  Features that no
    chain of covariances above :math:`\alpha` connects are independent of each other, and solved apart [2]_.

    References
    ----------
    .. [1] J. Friedman, T. Hastie, R. Tibshirani, "Sparse inverse covariance estimation with the graphical lasso",
       Biostatistics 9(3), 2008.
    .. [2] D. M. Witten, J. H. Friedman, N. Simon, "New Insights and Faster Computations for the Graphical Lasso",
       Journal of Computational and Graphical Statistics 20(4), 2011.
    """
    matrix, denominator = covariance
    exact = np.array([[Fraction(int(v), denominator) for v in row] for row in matrix.tolist()], dtype=object)
    variances = exact.diagonal()
    whole, precision = (np.diag(quotients(*as_integers(each))) for each in (variances, 1 / variances))
    count, labels = connected_components(np.abs(exact) > alpha, directed=False)
    for members in (np.flatnonzero(labels == k) for k in range(count)):
        if len(members) > 1:
            block = np.ix_(members, members)
            whole[block], precision[block] = _Block(exact[block], alpha).solve()
    return whole, precision


@dataclass(frozen=True)
class _Block:
    """Features that hang together: `exact` is their covariance, an ndarray of Fraction of shape (d, d)."""

    exact: Array
    alpha: Fraction

    @cached_property
    def _half(self) -> list[int]:
        """Powers of two that features are multiplied by for variances near one."""
        sizes = [v.numerator.bit_length() - v.denominator.bit_length() for v in self.exact.diagonal()]
        return [-(size // 2) for size in sizes]

    @cached_property
    def _s(self) -> Array:
        """Exact scaled covariance."""
        return self._scaled(self.exact)

    @cached_property
    def _penalty(self) -> Array:
        """Exact scaled penalty."""
        penalty = np.full(self.exact.shape, self.alpha, dtype=object)
        np.fill_diagonal(penalty, Fraction(0))
        return self._scaled(penalty)

    def _scaled(self, matrix: Array) -> Array:
        powers = np.array([Fraction(2) ** h for h in self._half], dtype=object)
        return np.asarray(matrix * powers[:, None] * powers)

    def solve(self) -> tuple[Array, Array]:
        """Return covariance and precision: ndarrays of float64 of shape (d, d)."""
        s, penalty = (quotients(*as_integers(m)) for m in (self._s, self._penalty))
        problem: Exception | None = None
        for start in (self._block_coordinates, lambda: interior_point(s, penalty)):
            try:
                return self._certified(s, penalty, start())
            except (ArithmeticError, np.linalg.LinAlgError) as error:
                problem = error
        raise np.linalg.LinAlgError(
            f"Got no minimiser for alpha={float(self.alpha)}, but expected float64 to come near to it: {problem} "
            "Use a larger alpha, or leave out features that are nearly collinear."
        )

    def _block_coordinates(self) -> Array:
        """Return scikit-learn's precision: fast, but lost where features are nearly collinear."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            _, x = graphical_lasso(quotients(*as_integers(self.exact)), float(self.alpha), tol=_NEAR, enet_tol=_NEAR)
        return self._unscaled(x, -1)

    def _certified(self, s: Array, penalty: Array, x: Array) -> tuple[Array, Array]:
        for _ in range(_MOST_SUPPORTS):
            signs = np.sign(x)
            x = _newton(s + penalty * signs, x)
            support = _Support(self._s, self._penalty, signs)
            covariance, precision = support.refine(x)
            if not support.wrong:
                return self._unscaled(covariance, -1), self._unscaled(precision, 1)
            for (i, j), sign in support.wrong.items():
                x[i, j] = x[j, i] = sign * _AWAY
        raise ArithmeticError("the zeros of the precision do not settle.")

    def _unscaled(self, matrix: Array, power: int) -> Array:
        half = power * np.array(self._half)
        return np.asarray(np.ldexp(np.ldexp(matrix, half[:, None]), half))


def _newton(target: Array, x: Array) -> Array:
    """Solve for the entries of `x` that are not zero in float64: those of its inverse are to be those of `target`."""
    rows, columns = np.nonzero(np.triu(x))
    twice = np.where(rows == columns, 1.0, 2.0)

    def value(point: Array) -> float:
        try:
            factor = np.linalg.cholesky(point)
        except np.linalg.LinAlgError:
            return np.inf
        return float(np.sum(target * point) - 2 * np.sum(np.log(factor.diagonal())))

    before = value(x)
    for _ in range(_MOST_STEPS):
        w = np.linalg.inv(x)
        slope = (target - w)[rows, columns] * twice
        curvature = hessian(w, rows, columns)
        step = np.zeros_like(x)
        step[rows, columns] = step[columns, rows] = -scipy.linalg.solve(curvature, slope, assume_a="pos")
        found = next((new for k in range(40) if (after := value(new := x + 0.5**k * step)) < before), None)
        if found is None:
            break
        x, before = found, after
    return x


class _Support:
    """A guess at which entries of the precision are not zero, and their signs: refined, and judged."""

    def __init__(self, s: Array, penalty: Array, signs: Array) -> None:
        self._s, self._penalty, self._signs = s, penalty, signs
        self._rows, self._columns = np.nonzero(np.triu(signs))
        self._targets = [
            s[i, j] + penalty[i, j] * int(signs[i, j]) for i, j in zip(self._rows, self._columns, strict=True)
        ]
        self.wrong: dict[tuple[int, int], int] = {}

    def refine(self, x: Array) -> tuple[Array, Array]:
        """Solve the equations of the support from a start; say in `wrong` which entries contradict it.

        Returns
        -------
        covariance, precision : ndarray of float64 of shape (d, d)
        """
        twice = np.where(self._rows == self._columns, 1.0, 2.0)
        factor = scipy.linalg.lu_factor(hessian(np.linalg.inv(x), self._rows, self._columns))
        values = refined_root(
            lambda unknowns: [w - ball(t) for w, t in zip(self._inverse_entries(unknowns), self._targets, strict=True)],
            lambda residual: -scipy.linalg.lu_solve(factor, residual * twice),
            x[self._rows, self._columns],
            read=self._judged,
        )
        count, size = len(self._rows), len(x)
        precision = np.zeros((size, size))
        precision[self._rows, self._columns] = precision[self._columns, self._rows] = values[:count]
        covariance = values[count:].reshape(size, size)
        targets = quotients(*as_integers(np.array(self._targets, dtype=object)))
        covariance[self._rows, self._columns] = covariance[self._columns, self._rows] = targets
        return covariance, precision

    def _matrix(self, unknowns: list[arb]) -> arb_mat:
        size = len(self._signs)
        rows = [[arb(0)] * size for _ in range(size)]
        for i, j, value in zip(self._rows, self._columns, unknowns, strict=True):
            rows[i][j] = rows[j][i] = value
        return arb_mat(rows)

    def _inverse_entries(self, unknowns: list[arb]) -> list[arb]:
        inverse = self._matrix(unknowns).inv()
        return [inverse[int(i), int(j)] for i, j in zip(self._rows, self._columns, strict=True)]

    def _judged(self, unknowns: list[arb]) -> list[arb]:
        """Return precision and covariance at the root, after a look at what makes it the minimiser."""
        matrix = self._matrix(unknowns)
        inverse, size = matrix.inv(), len(self._signs)
        self._require_near(matrix, inverse)
        unknowns = [arb(0) if abs(value) < arb((1, -_ZERO_BITS)) else value for value in unknowns]
        for row, column, value in zip(self._rows.tolist(), self._columns.tolist(), unknowns, strict=True):
            if row != column and value * int(self._signs[row, column]) < 0:
                self.wrong[row, column] = 0
        for i in range(size):
            for j in range(i):
                moved = inverse[i, j] - ball(self._s[i, j])
                if not self._signs[i, j] and abs(moved) > ball(self._penalty[i, j]):
                    self.wrong[i, j] = 1 if moved > 0 else -1
        return [*unknowns, *inverse.entries()]

    def _require_near(self, matrix: arb_mat, inverse: arb_mat) -> None:
        r"""Refuse what is not proven to lie near to the minimiser of the support.

        Notes
        -----
        The objective is self-concordant with second derivatives of at least :math:`1 / \mathrm{tr}(X)^2` in the
        Frobenius norm, so that :math:`\|X - X^*\|_F \le 2 \mathrm{tr}(X)^2 \|W - T\|_F` where :math:`T` are the
        targets and the right-hand side is below :math:`\mathrm{tr}(X)`.
        """
        entries = zip(self._rows, self._columns, self._targets, strict=True)
        squares = sum(((inverse[int(i), int(j)] - ball(t)) ** 2 * (1 + int(i != j)) for i, j, t in entries), arb(0))
        trace = matrix.trace()
        if not (_is_positive_definite(matrix) and 2 * trace * squares.sqrt() < arb((1, -_PROVEN_BITS))):
            raise ArithmeticError("there is no proof that it is one.")


def _is_positive_definite(matrix: arb_mat) -> bool:
    """Tell whether all pivots of a symmetric matrix of balls are positive for sure."""
    rows = matrix.tolist()
    while rows:
        pivot, *first = rows[0]
        if not pivot > 0:
            return False
        ratios = [value / pivot for value in first]
        rows = [
            [value - ratio * other for value, other in zip(row[1:], first, strict=True)]
            for row, ratio in zip(rows[1:], ratios, strict=True)
        ]
    return True

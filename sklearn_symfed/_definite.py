"""Symmetric matrices of integers: their float64 factor, what it proves, exact refinement with it, condition and rank.

All of it is elementwise float64 in a fixed order, or integers: no BLAS, no reduction whose order a processor chooses.
So every bit, and every decision that hangs on one, is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, arb_mat, fmpq_mat, fmpz_mat, nmod_mat

from sklearn_symfed._rounding import flint_integers, precision, two_digits
from sklearn_symfed.psr import quotient

__all__ = ["DeclinedError", "Definite", "Factor", "independent_columns", "is_well_conditioned"]

Array = np.ndarray[Any, Any]

_BALL_BITS = (128, 256, 512)
_EPS = float(np.finfo(np.float64).eps)
_WIDEST_SCALES = 256  # binary orders between columns, beyond which refinement leaves the field to balls
_MOST_STALLS = 2
_LEAST_PIVOT = 1e-13
_PRIME = 2**61 - 1


class DeclinedError(Exception):
    """There is no certificate for refinement."""


class Definite:
    """A symmetric matrix of Python integers to solve with: positive definite, or found not to be.

    Parameters
    ----------
    integers : ndarray of object of shape (n, n)
    """

    def __init__(self, integers: Array) -> None:
        self.integers = integers

    @cached_property
    def flint(self) -> fmpz_mat:
        """The same for python-flint."""
        return flint_integers(self.integers)

    @cached_property
    def half(self) -> list[int]:
        """Powers of two by which rows and columns are divided for a diagonal near one."""
        return _half_lengths(self.integers)

    @cached_property
    def _float_factor(self) -> tuple[Array, Array, Array] | None:
        if not self.half or max(self.half) - min(self.half) > _WIDEST_SCALES:
            return None
        scaled = _scaled(self.integers, self.half)
        factors = _factorise(scaled)
        return None if factors is None else (scaled, *factors)

    @cached_property
    def factor(self) -> Factor | None:
        """Its float64 factor with a bound on the smallest eigenvalue, where there is one."""
        if self._float_factor is None:
            return None
        smallest = _smallest_eigenvalue(*self._float_factor[1:])
        return Factor(self.half, self._float_factor[2], smallest) if smallest else None

    @cached_property
    def is_regular(self) -> bool:
        """Whether it is proven not to be singular, by its rank modulo a prime: regular ones hardly ever fail that."""
        return int(nmod_mat(self.flint, _PRIME).rank()) == len(self.integers)

    @cached_property
    def condition(self) -> float:
        r"""Condition number, to two digits, of the matrix scaled to unit diagonal; infinite where it is singular.

        Notes
        -----
        :math:`\|R\|_1 \|R^{-1}\|_1`, where the second norm is Hager's and Higham's estimate [1]_ from the float64
        factor; from a pivot of 1e-13 on it is taken from the inverse in ball arithmetic.

        References
        ----------
        .. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., algorithm 15.1.
        """
        if not self.half:
            return 1.0
        if self._float_factor is None or self._float_factor[1].diagonal().min() ** 2 < _LEAST_PIVOT:
            return self._condition_by_balls()
        scaled, _, inverse = self._float_factor
        unit = np.sqrt(scaled.diagonal())
        norm = float(np.add.reduce(np.abs(scaled / unit[:, None] / unit), axis=0).max())
        back = np.ascontiguousarray(inverse.T)
        return two_digits(norm * _one_norm(lambda x: unit * _apply(back, inverse, unit * x), len(unit)))

    def _condition_by_balls(self) -> float:
        size = len(self.half)
        for bits in _BALL_BITS:
            with precision(bits):
                unit = [arb(self.flint[i, i]).rsqrt() for i in range(size)]
                if not all(each.is_finite() for each in unit):
                    return math.inf
                scaled = arb_mat(
                    size, size, [self.flint[i, j] * unit[i] * unit[j] for i in range(size) for j in range(size)]
                )
                try:
                    inverse = scaled.inv()
                except ZeroDivisionError:
                    continue
                norms = [
                    max(sum(float(abs(matrix[i, j]).mid()) for j in range(size)) for i in range(size))
                    for matrix in (scaled, inverse)
                ]
                return two_digits(norms[0] * norms[1])
        return math.inf


def _factorise(a: Array) -> tuple[Array, Array] | None:
    """Return the Cholesky factor of a float64 matrix and the factor's inverse; None where it is not positive definite.

    One elimination on ``[a, 1]``, outer product by outer product.
    """
    size = len(a)
    work = np.hstack([a, np.identity(size)])
    update = np.empty((size, size))
    roots = np.empty(size)
    for j in range(size):
        pivot = float(work[j, j])
        if not pivot > 0:
            return None
        roots[j] = root = math.sqrt(pivot)
        row = work[j, j + 1 : size + j + 1]  # the rest of the row, and what its inverse has so far
        row /= root
        below = size - j - 1
        part = np.multiply(row[:below, None], row, out=update[:below])
        rest = work[j + 1 :, j + 1 : size + j + 1]
        np.subtract(rest, part, out=rest)
    lower = np.triu(work[:, :size], 1).T
    np.fill_diagonal(lower, roots)
    return lower, np.tril(work[:, size:])


def _apply(back: Array, inverse: Array, vector: Array) -> Array:
    """Return ``inverse.T @ inverse @ vector``; `back` is ``inverse.T``, contiguous."""
    forward = np.add.reduce(back * vector[:, None], axis=0)
    return np.asarray(np.add.reduce(inverse * forward[:, None], axis=0))


def _squared_norm(a: Array) -> float:
    """Return the square of the Frobenius norm."""
    return math.fsum(np.add.reduce(a * a, axis=0).tolist())


def _smallest_eigenvalue(lower: Array, inverse: Array) -> float:
    r"""Return a proven lower bound on the smallest eigenvalue of a matrix known to half an ulp; 0 where there is none.

    Parameters
    ----------
    lower : ndarray of shape (n, n)
        Computed Cholesky factor :math:`L`.
    inverse : ndarray of shape (n, n)
        Its computed inverse :math:`X`.

    Notes
    -----
    In whatever order sums are taken, :math:`\|A - L L^T\| \le \gamma_{n+1} \|L\|_F^2` and
    :math:`\|L X - 1\| \le \gamma_n \|L\|_F \|X\|_F =: \rho` [1]_, where :math:`\gamma_n = n u / (1 - n u)`, so

    .. math:: \lambda_{\min}(A) \ge ((1 - \rho) / \|X\|_F)^2 - \gamma_{n+1} \|L\|_F^2.

    Twice these :math:`\gamma` are deducted: for the entries of :math:`A`, known to half an ulp, and for the norms.

    References
    ----------
    .. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., theorems 10.3 and 8.5.
    """
    gamma = (len(lower) + 3) * _EPS  # eps is 2 u
    own, inverted = _squared_norm(lower), _squared_norm(inverse)
    if not math.isfinite(inverted):
        return 0.0
    rho, lost = gamma * math.sqrt(own * inverted), gamma * own
    bound = (1 - rho) ** 2 / inverted * 0.999
    return bound - lost if rho < 0.01 and lost < 0.01 * bound else 0.0


def _one_norm(apply: Callable[[Array], Array], size: int) -> float:
    """Estimate the 1-norm of a symmetric operator from a few applications, from below."""
    x, best, at = np.full(size, 1.0 / size), 0.0, -1
    for _ in range(5):
        y = apply(x)
        norm = math.fsum(np.abs(y).tolist())
        if norm <= best:
            break
        best = norm
        z = np.abs(apply(np.where(y < 0, -1.0, 1.0)))
        before, at = at, int(z.argmax())
        if at == before:
            break
        x = np.zeros(size)
        x[at] = 1.0
    return best


@dataclass(frozen=True)
class Factor:
    """The inverse Cholesky factor of a scaled matrix, in float64, and a lower bound on its smallest eigenvalue."""

    half: list[int]
    inverse: Array
    smallest: float

    @cached_property
    def _back(self) -> Array:
        return np.ascontiguousarray(self.inverse.T)

    def refine(self, a: Array, b: Array, bits: int) -> list[arb]:
        r"""Solve for one right-hand side, to a relative error of ``2**-bits`` of the largest scaled unknown.

        Parameters
        ----------
        a : ndarray of object of shape (n, n)
            The matrix, as integers.
        b : ndarray of object of shape (n,)
        bits : int

        Returns
        -------
        list of arb
            Balls that hold the solution.

        Notes
        -----
        Let :math:`A` be the matrix, scaled by powers of two to a diagonal near one.
        :math:`\|x - A^{-1} b\|_2 \le \|b - A x\|_2 / \lambda_{\min}` for *any* :math:`x`; here :math:`x` is an integer
        vector on a fine grid and the residual exact [1]_.

        References
        ----------
        .. [1] S. M. Rump, "Verification methods: rigorous results using floating-point arithmetic", Acta Numerica 19,
           2010, section 10.
        """
        top, size = max(self.half), len(b)
        widen = np.array([1 << (top - h) for h in self.half], dtype=object)
        guard = 16 + math.frexp(2.0 * size * size / self.smallest)[1]  # bits that rounding to the grid may cost
        residual, scale = self._floats(b << top)
        step = _apply(self._back, self.inverse, residual)
        largest = float(np.abs(step).max())
        if largest == 0.0:
            return [arb(0)] * size
        unit = bits + guard - math.frexp(largest)[1] - (scale - top)
        if top + unit < 0:  # a solution so large that the grid is coarser than the system's integers
            raise DeclinedError
        scale += unit
        grid = np.zeros(size, dtype=object)
        last, stalls = math.inf, 0
        while stalls < _MOST_STALLS:
            # the solution is about grid * widen / 2**(top + unit)
            grid = grid + np.array([_on_grid(value, scale - top) for value in step.tolist()], dtype=object)
            residual, scale = self._floats((b << (top + unit)) - a @ (grid * widen))
            norm = math.sqrt(math.fsum((residual * residual).tolist())) * 1.001 + 1e-300  # for rounding and underflow
            error = _on_grid(norm / self.smallest * 1.001, scale - top) + 1
            if error.bit_length() <= guard:
                exponents = [-h - unit for h in self.half]
                return [arb(arb((g, e)), arb((error, e))) for g, e in zip(grid.tolist(), exponents, strict=True)]
            stalls += error > last / 2
            last = error
            step = _apply(self._back, self.inverse, residual)
        raise DeclinedError

    def _floats(self, residual: Array) -> tuple[Array, int]:
        """Return a residual, row by row over ``2**half``, in float64 times a power of two."""
        rows = list(zip(residual.tolist(), self.half, strict=True))
        scale = max(r.bit_length() - h for r, h in rows)
        return np.array([quotient(r, 1, -h - scale) for r, h in rows], dtype=np.float64), scale


def _on_grid(value: float, exponent: int) -> int:
    """Return ``value * 2**exponent`` as an integer, within one of it."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << exponent) // denominator if exponent >= 0 else numerator // (denominator << -exponent)


def _half_lengths(a: Array) -> list[int]:
    return [int(value).bit_length() // 2 for value in a.diagonal().tolist()]


def _scaled(a: Array, half: list[int]) -> Array:
    """Divide rows and columns of a symmetric matrix of integers by powers of two: float64, each entry rounded once."""
    try:
        floats = a.astype(np.float64)
    except OverflowError:  # integers beyond the range of floats, whose quotients are not
        rows = zip(a.tolist(), half, strict=True)
        return np.array([[quotient(v, 1, -h - k) for v, k in zip(row, half, strict=True)] for row, h in rows])
    scale = -np.array(half, dtype=np.int64)
    return np.ldexp(np.ldexp(floats, scale[:, None]), scale)


# -- rank ------------------------------------------------------------------------------------------------------------


def _unit_diagonal(a: Array) -> Array:
    """Scale a matrix of integers to unit diagonal, in float64.

    Columns without variance become zero, their diagonal too.
    """
    scaled = _scaled(a, _half_lengths(a))
    norms = np.sqrt(scaled.diagonal())
    norms[norms == 0] = np.inf
    return np.asarray(scaled / norms[:, None] / norms)


def is_well_conditioned(a: Array, least: float) -> bool:
    """Tell whether a matrix of integers, scaled to unit diagonal, has no eigenvalue below `least`, a float above 1e-10.

    Decided by whether Cholesky's algorithm gets through the matrix less `least`.
    """
    shifted = _unit_diagonal(a) - least * np.identity(len(a))
    return len(a) == 0 or _factorise(shifted) is not None


def independent_columns(comoments: Array, tol: float) -> list[int]:
    """Choose columns that are numerically independent, and on which all others depend.

    Parameters
    ----------
    comoments : ndarray of object of shape (n, n)
        Python integers; a Gram or co-moment matrix, positive semi-definite.
    tol : float
        A column counts when more than ``tol**2`` of its variance is left unexplained by the columns that count already,
        so `tol` is relative to each column's own scale.  0 takes the exact rank.  Below about 1e-7 the resolution of
        the scaled float64 matrix, ``16 * n * eps``, takes the place of ``tol**2``.

    Returns
    -------
    list of int
        Positions, ascending.  Their number is the rank.

    Notes
    -----
    Cholesky with diagonal pivoting on the scaled matrix, ties to the lowest position [1]_, in elementwise operations
    only: the choice is the same under every BLAS.

    References
    ----------
    .. [1] N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., section 10.3.
    """
    size = len(comoments)
    if size == 0:
        return []
    if tol == 0:
        return _exactly_independent_columns(comoments)
    threshold = max(float(tol) ** 2, 16 * size * _EPS)
    rest = _unit_diagonal(comoments)
    update = np.empty_like(rest)
    left = np.ones(size, dtype=bool)
    while left.any():
        unexplained = np.where(left, rest.diagonal(), -np.inf)
        pivot = int(np.argmax(unexplained))
        if not unexplained[pivot] > threshold:
            break
        left[pivot] = False
        np.multiply(rest[:, pivot, None] / rest[pivot, pivot], rest[pivot], out=update)
        np.subtract(rest, update, out=rest)
    return np.flatnonzero(~left).tolist()


def _exactly_independent_columns(comoments: Array) -> list[int]:
    """Take what is independent modulo a prime, which is proven, and prove that the others depend on it."""
    matrix = flint_integers(comoments)
    reduced, rank = nmod_mat(matrix, _PRIME).rref()
    chosen = _pivots(reduced, rank)
    others = [j for j in range(len(comoments)) if j not in chosen]
    if _depend(comoments, chosen, others):
        return chosen
    exact, _, rank = matrix.rref()
    return _pivots(exact, rank)


def _pivots(reduced: Any, rank: int) -> list[int]:
    """Return the column of the first entry of each row of a reduced echelon form."""
    return [next(j for j in range(reduced.ncols()) if int(reduced[i, j])) for i in range(rank)]


def _depend(comoments: Array, chosen: list[int], others: list[int]) -> bool:
    """Tell whether columns leave nothing of the variance of others unexplained."""
    if not (chosen and others):
        return all(comoments[j, j] == 0 for j in others)
    across = fmpq_mat(flint_integers(comoments[np.ix_(chosen, others)]))
    explained = across.transpose() * fmpq_mat(flint_integers(comoments[np.ix_(chosen, chosen)])).solve(across)
    return all(explained[k, k] == int(comoments[j, j]) for k, j in enumerate(others))

"""The few largest eigenpairs of a covariance against noise variances, far faster than all of them.

Where float64 shows gaps around the eigenvalues wanted, their eigenvectors are refined one by one; where it does not,
`Eigenproblem` refines all and knows what to do about equal ones.  Either way a bound says how far they are off.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, fmpz, fmpz_mat

from sklearn_symfed._eigen import Eigenproblem, Level
from sklearn_symfed._rounding import quotients

__all__ = ["Pencil"]

Array = np.ndarray[Any, Any]
Pairs = tuple[list[arb], list[list[arb]]]

_CLEAR = 1e-9  # of the largest eigenvalue: float64 eigenvalues prove gaps that wide
_MOST_STEPS = 60


class Pencil:
    r"""Find the largest eigenpairs ``a v = w diag(b) v`` with ``v' diag(b) v = 1``.

    Parameters
    ----------
    a : ndarray of object of shape (n, n)
        Python integers, positive semi-definite.
    b : list of int of length n
        Positive.
    rank : int
        Of `a`.

    Notes
    -----
    With :math:`x` near an eigenvector, :math:`\lambda = x^T A x / x^T B x` and :math:`r = A x - \lambda B x`, the step
    :math:`x + \sum_i v_i v_i^T r / (\lambda - \lambda_i)` over all other eigenpairs, as float64 has them, leaves of
    the error about a share of :math:`10^{-16} \lambda_1` over the gap.  At the end the angle is at most
    :math:`\|B^{-1/2} r\|` over the gap, the eigenvalue off by :math:`\|B^{-1/2} r\|` [1]_.

    References
    ----------
    .. [1] B. N. Parlett, "The Symmetric Eigenvalue Problem", 1998, sections 11.5 and 11.7.
    """

    def __init__(self, a: Array, b: list[int], rank: int) -> None:
        self._a, self._b, self._rank, self.size = a, b, rank, len(b)
        self._half = [value.bit_length() // 2 for value in b]  # coordinates are divided by 2**half: b is then near 1
        sizes = (int(a[i, i]).bit_length() - 2 * half for i, half in enumerate(self._half))
        self._unit = max(sizes, default=0) + self.size.bit_length()  # eigenvalues are over 2**unit, and below 2

    def pairs(self, level: Level, count: int) -> Pairs | None:
        """Return eigenvalues and eigenvectors as balls, largest first, or None where this level does not do.

        Parameters
        ----------
        level : Level
        count : int
            How many.
        """
        if count == 0:
            return [], []
        found = self._refined(level, count) if self._gaps[:count].min() > _CLEAR * self._floats[0][0] else None
        if found is not None:
            return found
        pairs = self._problem.pairs(level, count)
        return None if pairs is None else (pairs.values, pairs.vectors.tolist())

    @cached_property
    def _problem(self) -> Eigenproblem:
        b = np.zeros_like(self._a)
        for i, value in enumerate(self._b):
            b[i, i] = value
        return Eigenproblem(self._a, b, self._rank)

    @cached_property
    def _floats(self) -> tuple[Array, Array]:
        """Eigenvalues, largest first, and eigenvectors as columns, as LAPACK finds them."""
        matrix, diagonal = self._on_grid(64)
        values, vectors = scipy.linalg.eigh(quotients(matrix, 1 << 64), np.diag(quotients(np.array(diagonal), 1 << 64)))
        return values[::-1], vectors[:, ::-1]

    @cached_property
    def _gaps(self) -> Array:
        """Distance of each eigenvalue to the nearest other one; of a lone one, to zero."""
        values = self._floats[0]
        if self.size == 1:
            return np.abs(values)
        steps = -np.diff(values)
        return np.asarray(np.minimum(np.append(np.inf, steps), np.append(steps, np.inf)))

    def _on_grid(self, bits: int) -> tuple[Array, list[int]]:
        """Write both matrices in scaled coordinates over ``2**bits``."""
        matrix = np.empty_like(self._a)
        for i, row in enumerate(self._a.tolist()):
            shifts = (bits - self._unit - self._half[i] - half for half in self._half)
            matrix[i] = [_shifted(entry, shift) for entry, shift in zip(row, shifts, strict=True)]
        return matrix, [_shifted(value, bits - 2 * half) for value, half in zip(self._b, self._half, strict=True)]

    def _refined(self, level: Level, count: int) -> Pairs | None:
        bits, one, last = level.bits, 1 << level.bits, 1 << level.bits
        gaps = [int(math.ldexp(gap, 60)) for gap in self._gaps[:count].tolist()]
        matrix, diagonal = self._on_grid(bits)
        a = fmpz_mat(self.size, self.size, matrix.ravel().tolist())
        x = _columns(self._floats[1][:, :count], bits)
        for _ in range(_MOST_STEPS):
            now = _Residuals(a, diagonal, x, bits)
            errors = [(8 * now.size(j) << 60) // gaps[j] + 4 * abs(int(now.lengths[j]) - one) for j in range(count)]
            worst = max(errors)
            if worst <= one >> level.wanted:
                return self._balls(now, errors, bits)
            if 2 * worst > last:
                return None
            x, last = self._stepped(now, bits), worst
        return None

    def _stepped(self, now: _Residuals, bits: int) -> list[list[fmpz]]:
        """Return better eigenvectors."""
        values, vectors = self._floats
        count, scale = len(now.x), max(max(now.largest(), 1).bit_length() - 60, 0)
        floats = np.array([[float(int(entry) >> scale) for entry in column] for column in now.residuals]).T
        with np.errstate(divide="ignore"):
            inverse = np.where(np.eye(self.size, count, dtype=bool), 0.0, 1 / (values[:count] - values[:, None]))
        moves = vectors @ ((vectors.T @ floats) * inverse)
        top = max(int(np.ceil(np.log2(np.abs(moves).max() or 1.0))), 0)
        after = []
        for column, move, length in zip(now.x, moves.T.tolist(), now.lengths, strict=True):
            short = length - (1 << bits)
            after.append(
                [
                    entry - (entry * short >> bits + 1) + (fmpz(int(math.ldexp(m, 60 - top))) << (scale + top) >> 60)
                    for entry, m in zip(column, move, strict=True)
                ]
            )
        return after

    def _balls(self, now: _Residuals, errors: list[int], bits: int) -> Pairs:
        unit = self._unit - bits
        values = [_ball(value, 4 * now.size(j), unit) for j, value in enumerate(now.values)]
        vectors = [
            [_ball(entry, error, -bits - half) for entry, half in zip(column, self._half, strict=True)]
            for column, error in zip(now.x, errors, strict=True)
        ]
        return values, vectors


class _Residuals:
    """How far some vectors are from eigenvectors; all are integers over ``2**bits``."""

    def __init__(self, a: fmpz_mat, b: list[int], x: list[list[fmpz]], bits: int) -> None:
        self.x, self._slack = x, 16 * len(b)  # for what was cut off, of products and of the matrices
        images = [[entry >> bits for entry in column] for column in (a * fmpz_mat(x).transpose()).transpose().tolist()]
        weighed = [[entry * value >> bits for entry, value in zip(column, b, strict=True)] for column in x]
        self.lengths = [_dot(column, other) >> bits for column, other in zip(x, weighed, strict=True)]
        self.values = [
            _dot(column, image) // length for column, image, length in zip(x, images, self.lengths, strict=True)
        ]
        self.residuals = [
            [i - (w * value >> bits) for i, w in zip(image, other, strict=True)]
            for image, other, value in zip(images, weighed, self.values, strict=True)
        ]

    def size(self, j: int) -> int:
        """Bound the norm of a residual."""
        return math.isqrt(int(_dot(self.residuals[j], self.residuals[j]))) + self._slack

    def largest(self) -> int:
        return int(max(abs(entry) for column in self.residuals for entry in column))


def _dot(a: list[fmpz], b: list[fmpz]) -> fmpz:
    return sum((x * y for x, y in zip(a, b, strict=True)), fmpz(0))


def _shifted(value: int, shift: int) -> int:
    return value << shift if shift >= 0 else value >> -shift


def _columns(vectors: Array, bits: int) -> list[list[fmpz]]:
    return [[fmpz(int(math.ldexp(entry, 60))) << (bits - 60) for entry in column] for column in vectors.T.tolist()]


def _ball(middle: fmpz, radius: int, exponent: int) -> arb:
    return arb(arb((middle, exponent)), arb((radius, exponent)))

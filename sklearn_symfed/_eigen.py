"""Eigenpairs of exact symmetric matrices, to a precision at which float64 has no say any more.

LAPACK's float64 eigenvectors are where it starts; what it ends with is the same whatever they were.  They are refined
in fixed point, by products of integer matrices, until a residual bound says how far each eigenpair is from the true
one; then each number is rounded once.  Where eigenvalues are equal, eigenvectors are a convention: see `Eigenproblem`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.linalg
from flint import arb, arb_mat, fmpq, fmpz, fmpz_mat

from sklearn_symfed._rounding import flint_integers, precision, to_float

__all__ = ["Eigenpairs", "Eigenproblem", "Level", "evaluate_pairs", "flip_signs", "roots_of_eigenvalues"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Level:
    """How precisely to work: bits of the fixed point, of an eigenvector wanted, and of a gap that separates."""

    bits: int
    wanted: int
    gap: int
    last: bool = False


LEVELS = (Level(224, 140, 40), Level(640, 320, 250, last=True))
_USUAL_RANGE = 200  # bits between the diagonal entries of a matrix that these levels are made for
_MOST_SWEEPS = 24
_NEGLIGIBLE = 40  # bits: a shorter projection of a unit vector is passed over by the convention for ties


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenpairs as balls, largest eigenvalue first.

    Attributes
    ----------
    values : list of arb
    vectors : arb_mat of shape (count, n)
        One a row.
    trace : arb
        Sum of all eigenvalues.
    """

    values: list[arb]
    vectors: arb_mat
    trace: arb


def evaluate_pairs(
    attempt: Callable[[Level], Sequence[arb_mat] | None], levels: Sequence[Level] | None = None
) -> list[Array]:
    """Evaluate a formula of eigenpairs until every entry is known to round to one float64.

    Parameters
    ----------
    attempt : callable
        Takes a level of precision and returns matrices of balls, or None where eigenpairs are not separated at it.
    levels : sequence of Level, default=None
        `Eigenproblem.levels` where scales may be far apart.

    Returns
    -------
    list of ndarray of float64

    Notes
    -----
    What the last level leaves open is settled: a ball that holds zero is zero, and any other is as good as the midpoint
    between two floats that it holds.
    """
    for level in levels or LEVELS:
        last = level.last
        with precision(level.bits + 64):
            matrices = attempt(level)
            if matrices is None:
                continue
            rounded = [[to_float(ball, settle=last) for ball in matrix.entries()] for matrix in matrices]
        if last or not any(None in entries for entries in rounded):
            break
    assert matrices is not None
    return [
        np.array(entries, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())
        for matrix, entries in zip(matrices, rounded, strict=True)
    ]


def flip_signs(vectors: Array) -> Array:
    """Give each row the sign that makes its entry of largest magnitude positive; ties go to the lowest position."""
    largest = (
        vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)] if vectors.size else np.ones(len(vectors))
    )
    return np.asarray(vectors * np.where(largest < 0, -1.0, 1.0)[:, None] + 0.0)  # no negative zeros


def roots_of_eigenvalues(a: Array, count: int, unit: Fraction | int) -> Array:
    """Return the square roots of the largest eigenvalues of a positive semi-definite matrix, times a unit.

    Parameters
    ----------
    a : ndarray of object of shape (n, n)
        Python integers.
    count : int
    unit : Fraction or int
        What an integer stands for; before the root.

    Returns
    -------
    ndarray of float64 of shape (count,)
        Descending, each rounded once; those beyond the exact rank are zero.
    """
    problem = Eigenproblem(a, rank=flint_integers(a).rank())

    def attempt(level: Level) -> list[arb_mat] | None:
        pairs = problem.pairs(level, count)
        if pairs is None:
            return None
        scale = arb(fmpq(unit.numerator, unit.denominator))
        return [arb_mat(count, 1, [(value * scale).nonnegative_part().sqrt() for value in pairs.values])]

    return evaluate_pairs(attempt, problem.levels)[0][:, 0]


class Eigenproblem:
    r"""Find the eigenpairs of a symmetric matrix of integers.

    Parameters
    ----------
    a : ndarray of object of shape (n, n)
        Python integers.
    b : ndarray of object of shape (n, n), default=None
        Positive definite and well-conditioned for float64; solves ``a v = w b v`` with ``v' b v = 1``.
    rank : int, default=None
        Where `a` is known to be positive semi-definite, its rank: all further eigenvalues are exactly zero.

    Notes
    -----
    With :math:`X` the current eigenvectors as columns, :math:`N = X^T B X`, :math:`S = X^T A X`,
    :math:`\lambda_i = S_{ii} / N_{ii}` and :math:`T_{ij} = S_{ij} - \lambda_j N_{ij}`, one sweep takes :math:`X` to
    :math:`X (1 + E)` with :math:`E_{ij} = T_{ij} / (\lambda_j - \lambda_i)`, which squares the error [1]_.  Eigenvalues
    that are not separated yet have :math:`E_{ij} = -N_{ij} / 2`, and their block of :math:`S` less its mean is
    diagonalised in float64, which resolves another fifty bits of it.  An eigenvector is then off by an angle of at most
    :math:`\|T_{\cdot i}\|` over the gap to the other eigenvalues, an eigenvalue by :math:`\|T_{\cdot i}\|` [2]_.

    Eigenvalues closer than :math:`2^{-250}` of the trace count as equal.  The basis of their space is then built by
    projecting onto it the unit vectors in the order of their positions, each less its part along those before it,
    passing over those of which less than :math:`2^{-20}` is left.

    References
    ----------
    .. [1] T. Ogita, K. Aishima, "Iterative refinement for symmetric eigenvalue decomposition", Japan Journal of
       Industrial and Applied Mathematics 35, 2018.
    .. [2] B. N. Parlett, "The Symmetric Eigenvalue Problem", 1998, sections 11.5 and 11.7.
    """

    def __init__(self, a: Array, b: Array | None = None, rank: int | None = None) -> None:
        self.size = len(a)
        self.rank = self.size if rank is None else rank
        self._a, self._b = flint_integers(a), None if b is None else flint_integers(b)
        self._half = [0] * self.size if b is None else [int(b[i, i]).bit_length() // 2 for i in range(self.size)]
        weight = sum(
            (abs(int(a[i, i])) << 2 * (max(self._half) - h) for i, h in enumerate(self._half)), 0 if self.size else 1
        )
        self._unit = weight.bit_length() - 2 * max(self._half, default=0)  # eigenvalues are over 2**unit
        self._x: tuple[fmpz_mat, int] | None = None

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels of precision that its scales ask for."""
        sizes = [int(self._a[i, i]).bit_length() for i in range(self.size) if self._a[i, i]]
        extra = max(sizes, default=0) - min(sizes, default=0)
        if extra <= _USUAL_RANGE:
            return LEVELS
        last = LEVELS[-1]
        return (*LEVELS[:-1], Level(last.bits + 2 * extra, last.wanted + extra, last.gap + extra, last=True))

    def pairs(self, level: Level, count: int) -> Eigenpairs | None:
        """Return the largest eigenpairs as balls, or None where they are not separated at this level.

        Parameters
        ----------
        level : Level
        count : int
            How many.
        """
        if self.size == 0 or count == 0:
            return Eigenpairs([], arb_mat(count, self.size), arb(0))
        sweep = self._refine(level, count)
        if sweep is None:
            return None
        x = sweep.canonical(count)
        order, bits = sweep.order[:count], level.bits
        values = [
            arb(0) if k >= self.rank else _ball(sweep.values[i], sweep.value_error(i), self._unit - bits)
            for k, i in enumerate(order)
        ]
        longest = math.isqrt(int(max(sum(e * e for e in row) for row in x.tolist()))) + 1  # of a row: 1 unless b
        entries = []
        for i in order:
            radius = (int(sweep.error(i)) * longest >> bits) + 4 * self.size
            entries += [_ball(x[j, i], radius, -bits - self._half[j]) for j in range(self.size)]
        trace = _ball(sum(sweep.values), self.size * int(sweep.spread), self._unit - bits)
        return Eigenpairs(values, arb_mat(count, self.size, entries), trace)

    def _refine(self, level: Level, count: int) -> _Sweep | None:
        a, b = self._on_grid(self._a, level.bits, self._unit), self._b and self._on_grid(self._b, level.bits, 0)
        x = self._start(a, b, level.bits)
        for _ in range(_MOST_SWEEPS + level.bits // 20):
            sweep = _Sweep(a, b, x, level, self.rank)
            if sweep.is_diverging():
                raise ArithmeticError("the refinement of eigenvectors diverges")
            if sweep.is_done(count) and (b is None or int(sweep.spread).bit_length() <= level.bits - level.wanted):
                self._x = x, level.bits
                return sweep
            if sweep.is_stuck(count):
                break
            x = sweep.next()
        self._x = x, level.bits
        return sweep if level.last else None

    def _on_grid(self, matrix: fmpz_mat, bits: int, unit: int) -> fmpz_mat:
        """Write a matrix in scaled coordinates over ``2**bits``."""
        shifts = [[bits - unit - h - k for k in self._half] for h in self._half]
        rows = matrix.tolist()
        return fmpz_mat(
            [
                [entry << s if s >= 0 else entry >> -s for entry, s in zip(*each, strict=True)]
                for each in zip(rows, shifts, strict=True)
            ]
        )

    def _start(self, a: fmpz_mat, b: fmpz_mat | None, bits: int) -> fmpz_mat:
        """Begin where the level before ended, or with LAPACK."""
        if self._x is not None:
            x, before = self._x
            if before > bits:
                return fmpz_mat(self.size, self.size, [entry >> (before - bits) for entry in x.entries()])
            return x * (1 << (bits - before))
        floats = [None if matrix is None else _to_floats(matrix, bits) for matrix in (a, b)]
        return _from_floats(scipy.linalg.eigh(*floats)[1], bits)


class _Sweep:
    """Where refinement stands, and one step further; everything is an integer over ``2**bits``."""

    def __init__(self, a: fmpz_mat, b: fmpz_mat | None, x: fmpz_mat, level: Level, rank: int) -> None:
        self.x, self.level, self.rank, self.bits = x, level, rank, level.bits
        self.size = x.nrows()
        across = x.transpose()
        self._s = self._shift(across * self._shift(a * x)).tolist()
        self._n = self._shift(across * (x if b is None else self._shift(b * x))).tolist()
        self.values = [(self._s[i][i] << self.bits) // self._n[i][i] for i in range(self.size)]
        self.order = sorted(range(self.size), key=lambda i: (-self.values[i], i))
        self._t = [
            [s - (v * n >> self.bits) for s, v, n in zip(row, self.values, norms, strict=True)]
            for row, norms in zip(self._s, self._n, strict=True)
        ]
        for i in range(self.size):
            self._t[i][i] = fmpz(0)
        self._slack = 8 * self.size  # of products that were cut off, and of the matrix itself
        columns = list(zip(*self._t, strict=True))
        self._residual = [sum(map(abs, column)) + self._slack for column in columns]
        self.spread = 2 * max(max(sum(map(abs, row)) for row in self._t) + self._slack, *self._residual)
        one = fmpz(1) << self.bits
        self._skew = [sum(map(abs, row)) - abs(row[i]) + abs(one - row[i]) for i, row in enumerate(self._n)]
        self._clusters = self._cluster()

    def _shift(self, matrix: fmpz_mat) -> fmpz_mat:
        return fmpz_mat(matrix.nrows(), matrix.ncols(), [entry >> self.bits for entry in matrix.entries()])

    def _cluster(self) -> list[list[int]]:
        """Group eigenvalues that are not separated; the null space, whose size is known, is a group."""
        least = max(16 * self.spread, 1 << (self.bits - self.level.gap))
        groups: list[list[int]] = []
        for k, i in enumerate(self.order):
            gap = self.values[self.order[k - 1]] - self.values[i] if k else None
            near = gap is not None and gap <= least
            # where the null space begins is known, but not which vectors span it until the gap stands out of the noise
            if k > self.rank or (near and (k != self.rank or gap <= 4 * self.spread)):
                groups[-1].append(i)
            else:
                groups.append([i])
        return groups

    def _wanted(self, count: int) -> list[list[int]]:
        wanted = set(self.order[:count])
        return [group for group in self._clusters if not wanted.isdisjoint(group)]

    def _is_tied(self, group: list[int]) -> bool:
        """Whether a group is one eigenvalue: the null space, or what the last level cannot tell apart."""
        if self.order.index(group[0]) >= self.rank or len(group) == 1:
            return True
        width = self.values[group[0]] - self.values[group[-1]]
        return self.level.last and width <= len(group) << (self.bits - self.level.gap)

    def is_done(self, count: int) -> bool:
        """Whether the eigenpairs wanted are good enough."""
        most = 1 << (self.bits - self.level.wanted)
        return all(self._is_tied(group) and self.error(group[0]) <= most for group in self._wanted(count))

    def is_stuck(self, count: int) -> bool:
        """Whether more sweeps at this level would not separate the eigenpairs wanted."""
        if 16 * self.spread > 1 << (self.bits - self.level.gap):
            return False
        return not all(self._is_tied(group) for group in self._wanted(count))

    def is_diverging(self) -> bool:
        """Whether the vectors are so far from orthonormal that no further sweep would mend it."""
        return bool(max(self._skew) > 1 << (self.bits + 1))

    def value_error(self, i: int) -> int:
        """Bound the error of an eigenvalue."""
        return int(2 * self._residual[i] if len(self._group(i)) == 1 else self.spread)

    def _group(self, i: int) -> list[int]:
        return next(group for group in self._clusters if i in group)

    def error(self, i: int) -> int:
        """Bound the error of an eigenvector, or of the space of its group."""
        group = self._group(i)
        inside = set(group)
        low, high = min(self.values[k] for k in group), max(self.values[k] for k in group)
        outside = [k for k in range(self.size) if k not in inside]
        gaps = [self.values[k] - high if self.values[k] > high else low - self.values[k] for k in outside]
        gap = min(gaps, default=fmpz(1) << self.bits) - 2 * self.spread
        if gap <= 0:
            return 1 << self.bits
        residual, skew = len(group) * self._slack, fmpz(0)
        for j in group:
            residual += self._residual[j] - sum(abs(self._t[k][j]) for k in group)
            skew = max(skew, self._skew[j])
        found = int((2 * residual << self.bits) // gap + 2 * skew + self._slack)
        return found << (_NEGLIGIBLE if len(group) > 1 else 0)

    def next(self) -> fmpz_mat:
        """Return better eigenvectors."""
        where = {i: g for g, group in enumerate(self._clusters) for i in group}
        step = []
        for i in range(self.size):
            own, value = where[i], self.values[i]
            step += [
                -(self._n[i][j] >> 1) if own == where[j] else (self._t[i][j] << self.bits) // (self.values[j] - value)
                for j in range(self.size)
            ]
            step[i * self.size + i] = ((1 << self.bits) - self._n[i][i]) >> 1
        x = self.x + self._shift(self.x * fmpz_mat(self.size, self.size, step))
        for group in self._clusters:
            if len(group) > 1:
                x = self._rotated(x, group)
        return x

    def _rotated(self, x: fmpz_mat, group: list[int]) -> fmpz_mat:
        """Diagonalise what tells the eigenvalues of a group apart."""
        mean = sum(self.values[i] for i in group) // len(group)
        block = [[self._s[i][j] - (mean * self._n[i][j] >> self.bits) for j in group] for i in group]
        largest = max(abs(entry) for row in block for entry in row)
        if largest >> 20 <= self.size:  # noise
            return x
        bits = int(largest).bit_length()
        floats = np.array([[_float(entry, bits) for entry in row] for row in block])
        turn = _from_floats(scipy.linalg.eigh(floats + floats.T)[1][:, ::-1], self.bits)
        one = fmpz_mat(len(group), len(group), [int(i == j) for i in range(len(group)) for j in range(len(group))])
        for _ in range(3):  # orthonormal to more than float64
            turn = self._shift(turn * (one * (3 << self.bits) - self._shift(turn.transpose() * turn)))
            turn = fmpz_mat(len(group), len(group), [entry >> 1 for entry in turn.entries()])
        return _with_columns(x, group, self._shift(_columns(x, group) * turn))

    def canonical(self, count: int) -> fmpz_mat:
        """Return the eigenvectors with the basis of each tied group chosen by convention."""
        x = self.x
        for group in self._wanted(count):
            if len(group) > 1:
                mine = _columns(x, group)
                first = self.order.index(group[0])
                turn = self._first_projections(mine, min(len(group), count - first))
                chosen = self._shift(mine * turn)
                x = _with_columns(x, group[: chosen.ncols()], chosen)
        return x

    def _first_projections(self, space: fmpz_mat, count: int) -> fmpz_mat:
        """Return, in coordinates of a space, its orthonormal basis by projected unit vectors."""
        basis: list[list[fmpz]] = []
        for row in space.tolist():
            rest = row
            for _ in range(2):
                for axis in basis:
                    part = sum(r * e for r, e in zip(rest, axis, strict=True)) >> self.bits
                    rest = [r - (part * e >> self.bits) for r, e in zip(rest, axis, strict=True)]
            square = int(sum(r * r for r in rest))
            if square >> (2 * self.bits - _NEGLIGIBLE):
                root = math.isqrt(square)
                basis.append([(r << self.bits) // root for r in rest])
                if len(basis) == count:
                    break
        return fmpz_mat(basis).transpose()


def _ball(middle: Any, radius: int, exponent: int) -> arb:
    return arb(arb((middle, exponent)), arb((radius, exponent)))


def _float(value: Any, bits: int) -> float:
    return math.ldexp(float(int(value) >> max(bits - 64, 0)), -min(bits, 64))


def _to_floats(matrix: fmpz_mat, bits: int) -> Array:
    entries = [_float(entry, bits) for entry in matrix.entries()]
    return np.array(entries).reshape(matrix.nrows(), matrix.ncols())


def _from_floats(matrix: Array, bits: int) -> fmpz_mat:
    entries = np.rint(np.ldexp(matrix, 60)).ravel().tolist()
    rows, columns = matrix.shape
    return fmpz_mat(rows, columns, [int(entry) << (bits - 60) for entry in entries])


def _columns(matrix: fmpz_mat, columns: list[int]) -> fmpz_mat:
    return fmpz_mat([[row[j] for j in columns] for row in matrix.tolist()])


def _with_columns(matrix: fmpz_mat, columns: list[int], new: fmpz_mat) -> fmpz_mat:
    rows = matrix.tolist()
    for row, entries in zip(rows, new.tolist(), strict=True):
        for j, entry in zip(columns, entries, strict=True):
            row[j] = entry
    return fmpz_mat(rows)

"""Linear algebra on exact integers: solves that are rounded once, and the rank rule.

Every estimator solves here and nowhere else; eigenpairs have their own file, `_eigen`.  A formula is written once
against a `Field` and climbs a ladder until every entry is known to round to one float64: float64 refined with exact
residuals ("cholesky"), ball arithmetic ("balls"), exact rationals ("rationals").  What comes out is the correctly
rounded value of the formula: one number on every machine, whatever its BLAS.  Which rung answers is one, too: what
decides it is computed by elementwise float64 operations in a fixed order, and by integers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat, fmpz_mat

from sklearn_symfed.psr import quotient

__all__ = [
    "Balls",
    "Definite",
    "Field",
    "as_integers",
    "ball",
    "ball_column",
    "enclose",
    "evaluate",
    "flint_integers",
    "highest",
    "independent_columns",
    "integer_ratio",
    "is_well_conditioned",
    "on_grid",
    "precision",
    "quotients",
    "scale_rows",
    "solve",
    "split_columns",
    "to_float",
    "two_digits",
]

Array = np.ndarray[Any, Any]
Matrix = Any
"""A matrix of python-flint: `arb_mat` or `fmpq_mat`."""

RUNGS = ("cholesky", "balls", "rationals")
_REFINED_BITS = (80, 220, 440)
_BALL_BITS = (128, 256, 512)
_LAST_BITS = 4096
_EPS = float(np.finfo(np.float64).eps)
_FAR = 4096  # bits: beyond every float64, far enough for exponents never to be shifted out into memory
_WIDEST_SCALES = 256  # binary orders between columns, beyond which refinement leaves the field to balls
_MOST_STALLS = 2
_LEAST_PIVOT = 1e-13
_PRECISION = threading.RLock()


# -- rounding --------------------------------------------------------------------------------------------------------


def quotients(numerators: Array, denominator: int = 1) -> Array:
    """Divide integers by one integer: ndarray of float64 of the same shape, each entry correctly rounded."""
    flat = [quotient(int(value), denominator) for value in np.ravel(numerators)]
    return np.array(flat, dtype=np.float64).reshape(np.shape(numerators))


def integer_ratio(value: Any) -> tuple[int, int]:
    """Return a hyper-parameter as numerator and denominator: a float is a dyadic rational, and taken at its word."""
    fraction = Fraction(value) if isinstance(value, (int, Fraction)) else Fraction(float(value))
    return fraction.numerator, fraction.denominator


def as_integers(fractions: Array) -> tuple[Array, int]:
    """Bring rationals to one denominator: Python integers in an ndarray of the same shape, and the denominator."""
    values = [Fraction(value) for value in np.ravel(fractions)]
    common = math.lcm(*(value.denominator for value in values))
    scaled = np.empty(len(values), dtype=object)
    scaled[:] = [value.numerator * (common // value.denominator) for value in values]
    return scaled.reshape(np.shape(fractions)), common


def _dyadic(mantissa: int, exponent: int) -> float:
    """Return ``mantissa * 2**exponent``, correctly rounded."""
    if abs(mantissa.bit_length() + exponent) > _FAR:
        return 0.0 if exponent < 0 or mantissa == 0 else math.copysign(math.inf, mantissa)
    return quotient(mantissa, 1, exponent) + 0.0  # a tiny negative number underflows to +0.0, as zero does


def to_float(value: arb, *, settle: bool = False) -> float | None:
    """Return the float64 to which every number in a ball rounds, or None where they do not round to the same.

    Rounding is to nearest, ties to even; zero is ``+0.0``.

    Parameters
    ----------
    value : arb
    settle : bool, default=False
        Whether to answer where the ball does not: with zero if the ball holds it, else with its middle, rounded first
        to 16 bits more than its radius is worth, so that a true midpoint between two floats is found.
    """
    if not value.is_finite():
        return None
    middle, exponent = (int(part) for part in value.mid().man_exp())
    radius, radius_exponent = (int(part) for part in value.rad().man_exp())
    if radius == 0:
        return _dyadic(middle, exponent)
    lowest = min(exponent, radius_exponent) if middle else radius_exponent
    if max(exponent, radius_exponent) - lowest > 4 * _FAR:
        return None
    middle <<= exponent - lowest if middle else 0
    radius <<= radius_exponent - lowest
    below, above = _dyadic(middle - radius, lowest), _dyadic(middle + radius, lowest)
    if below == above:
        return below
    if not settle:
        return None
    if abs(middle) <= radius:
        return 0.0
    coarse = radius.bit_length() + 16
    return _dyadic((middle + (1 << (coarse - 1))) >> coarse, lowest + coarse)


def ball(value: int | Fraction) -> arb:
    """Return a ball that holds a rational number, at the precision of the moment."""
    fraction = Fraction(value)
    return arb(fmpq(fraction.numerator, fraction.denominator))


def ball_column(balls: Sequence[arb]) -> arb_mat:
    """Stack balls into a matrix of shape (n, 1)."""
    return arb_mat(len(balls), 1, list(balls))


def _round(matrix: Matrix, roots: bool, settle: bool) -> Array | None:
    """Round each entry of a matrix, or its square root; None where balls do not tell."""
    entries = matrix.entries()
    if isinstance(matrix, fmpq_mat):
        rounded: list[float | None] = [
            _root(entry) if roots else quotient(int(entry.p), int(entry.q)) + 0.0 for entry in entries
        ]
    else:
        balls = (entry.sqrt() for entry in entries) if roots else entries
        rounded = [to_float(each, settle=settle) for each in balls]
    return None if None in rounded else np.array(rounded, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())


def _root(value: fmpq) -> float:
    """Return the square root of a rational number, correctly rounded; NaN where there is none."""
    over, under = int(value.p), int(value.q)
    if over < 0:
        return math.nan
    shift = max(0, 256 + under.bit_length() - over.bit_length()) // 2 * 2
    root = math.isqrt((over << shift) // under)
    inexact = root * root * under != over << shift
    return quotient(2 * root + inexact, 1, -shift // 2 - 1)  # a sticky last bit keeps it on its side of a midpoint


# -- formulas --------------------------------------------------------------------------------------------------------


class Field(Protocol):
    """What a formula may use, beside ``+``, ``-``, ``*`` and ``transpose()`` of matrices."""

    def matrix(self, integers: Array) -> Matrix:
        """Take over a 2-d ndarray of Python integers, without error."""

    def scalar(self, value: Fraction) -> Any:
        """Take over a rational number."""

    def solve(self, a: Definite, b: Array) -> Matrix:
        """Solve ``a @ x = b`` for a 2-d ndarray `b` of Python integers."""

    def solve_over(self, a: Matrix, b: Matrix) -> Matrix:
        """Solve ``a @ x = b`` for a symmetric positive definite matrix over the field."""

    def log(self, value: Fraction) -> Any:
        """Natural logarithm of a positive rational number."""

    def column(self, entries: Sequence[Any]) -> Matrix:
        """Stack scalars into a matrix of shape (n, 1)."""


@dataclass(frozen=True)
class Balls:
    """The field of balls, at the precision of the moment."""

    bits: int

    rung: ClassVar[str] = "balls"

    def matrix(self, integers: Array) -> Matrix:
        return arb_mat(flint_integers(integers))

    def scalar(self, value: Fraction) -> Any:
        return ball(value)

    def solve(self, a: Definite, b: Array) -> Matrix:
        return self.solve_over(arb_mat(a.flint), self.matrix(b))

    def solve_over(self, a: Matrix, b: Matrix) -> Matrix:
        """Solve after scaling by powers of two to a diagonal near one: widely different columns cost no precision."""
        size = a.nrows()
        scale = [arb((1, -(_magnitude(a[i, i]) // 2))) for i in range(size)]
        scaled = arb_mat(size, size, [a[i, j] * (scale[i] * scale[j]) for i in range(size) for j in range(size)])
        width = b.ncols()
        right = arb_mat(size, width, [b[i, j] * scale[i] for i in range(size) for j in range(width)])
        solution = scaled.solve(right)
        return arb_mat(size, width, [solution[i, j] * scale[i] for i in range(size) for j in range(width)])

    def log(self, value: Fraction) -> Any:
        return self.scalar(value).log()

    def column(self, entries: Sequence[Any]) -> Matrix:
        return ball_column(entries)


class _Refined(Balls):
    """Balls around refined float64 solutions, where a certificate bounds their error."""

    rung = "cholesky"

    def solve(self, a: Definite, b: Array) -> Matrix:
        if a.factor is None:
            raise _DeclinedError
        columns = [a.factor.refine(a.integers, b[:, k], self.bits) for k in range(b.shape[1])]
        rows, width = b.shape
        return arb_mat(rows, width, [columns[k][i] for i in range(rows) for k in range(width)])


class _Rationals:
    rung = "rationals"
    bits = _LAST_BITS  # of logarithms, which are balls even here

    def matrix(self, integers: Array) -> Matrix:
        return fmpq_mat(flint_integers(integers))

    def scalar(self, value: Fraction) -> Any:
        return fmpq(value.numerator, value.denominator)

    def solve(self, a: Definite, b: Array) -> Matrix:
        return self.solve_over(fmpq_mat(a.flint), self.matrix(b))

    def solve_over(self, a: Matrix, b: Matrix) -> Matrix:
        return a.solve(b)

    def log(self, value: Fraction) -> Any:
        return arb(self.scalar(value)).log()

    def column(self, entries: Sequence[Any]) -> Matrix:
        kind = arb_mat if any(isinstance(entry, arb) for entry in entries) else fmpq_mat
        return kind(len(entries), 1, list(entries))


class _DeclinedError(Exception):
    """There is no certificate for refinement."""


def flint_integers(integers: Array) -> fmpz_mat:
    """Hand a 2-d ndarray of Python integers to python-flint."""
    rows, columns = integers.shape
    return fmpz_mat(rows, columns, [int(value) for value in integers.ravel().tolist()])


def split_columns(matrix: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Return the first columns of a matrix of python-flint, and the others."""
    rows, kind, width = matrix.tolist(), type(matrix), matrix.ncols() - count
    first = kind(len(rows), count, [entry for row in rows for entry in row[:count]])
    return first, kind(len(rows), width, [entry for row in rows for entry in row[count:]])


def scale_rows(matrix: arb_mat, factors: Sequence[arb]) -> arb_mat:
    """Multiply each row of a matrix of balls by a factor."""
    rows = zip(matrix.tolist(), factors, strict=True)
    return arb_mat(matrix.nrows(), matrix.ncols(), [entry * factor for row, factor in rows for entry in row])


def on_grid(matrix: arb_mat, bits: int) -> tuple[Array, int]:
    """Return the middles of a matrix of balls as integers times a power of two, the largest of about `bits` bits."""
    exponent = max((_magnitude(entry) for entry in matrix.entries() if entry.mid() != 0), default=0) - bits
    out = np.empty((matrix.nrows(), matrix.ncols()), dtype=object)
    for i, row in enumerate(matrix.tolist()):
        for j, entry in enumerate(row):
            mantissa, own = (int(part) for part in entry.mid().man_exp())
            shift = own - exponent
            out[i, j] = mantissa << shift if shift >= 0 else mantissa >> -shift
    return out, exponent


def _magnitude(value: arb) -> int:
    """Return about the binary logarithm of a ball's middle; 0 for zero."""
    mantissa, exponent = (int(part) for part in value.mid().man_exp())
    return mantissa.bit_length() + exponent if mantissa else 0


def evaluate(formula: Callable[[Field], Sequence[Matrix]], *, roots: bool = False) -> tuple[list[Array], str]:
    """Evaluate a formula exactly enough for every entry to be rounded correctly.

    Parameters
    ----------
    formula : callable
        Takes a `Field` and returns matrices over it.  It must be a pure function: it runs once per precision.
    roots : bool, default=False
        Whether to return square roots of the entries.

    Returns
    -------
    values : list of ndarray of float64
        The matrices, each entry rounded once.  An entry with a logarithm that 4096 bits cannot tell from a midpoint
        between two floats is taken for that midpoint.
    rung : str
        The highest rung that was needed: "cholesky", "balls" or "rationals".

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix to be solved is singular.

    Notes
    -----
    Where refinement has a certificate it goes on to 440 bits, and what is undecided then, an exact zero or midpoint in
    all likelihood, is settled by rationals (at 100 unknowns FLINT solves them by Dixon lifting in a fraction of a
    second).  Where it has none, balls of 128, 256 and 512 bits come before them.
    """
    done: dict[int, Array] = {}
    declined = False
    for field in _ladder():
        if isinstance(field, Balls) and declined is isinstance(field, _Refined):
            continue
        try:
            with precision(field.bits + (64 if isinstance(field, _Refined) else 0)):
                matrices = formula(field)
                for k, matrix in enumerate(matrices):
                    rounded = None if k in done else _round(matrix, roots, settle=isinstance(field, _Rationals))
                    if rounded is not None:
                        done[k] = rounded
        except _DeclinedError:
            declined = True
            continue
        except ZeroDivisionError:  # singular, or not regular for sure at this precision
            continue
        if len(done) == len(matrices):
            return [done[k] for k in range(len(done))], field.rung
    raise np.linalg.LinAlgError("Got a singular matrix, but expected a positive definite one.")


def _ladder() -> list[Any]:
    return [*(_Refined(bits) for bits in _REFINED_BITS), *(Balls(bits) for bits in _BALL_BITS), _Rationals()]


def enclose(formula: Callable[[Field], Matrix], bits: int) -> Matrix:
    """Evaluate a formula in balls that are good to about `bits` bits; the caller sets the precision.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix to be solved is singular.
    """
    try:
        return formula(_Refined(bits))
    except _DeclinedError:
        try:
            return formula(Balls(bits))
        except ZeroDivisionError:
            raise np.linalg.LinAlgError("Got a singular matrix, but expected a positive definite one.") from None


def highest(rungs: Sequence[str]) -> str:
    """Return the highest of some rungs of the ladder."""
    return RUNGS[max((RUNGS.index(rung) for rung in rungs), default=0)]


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Let balls have a precision for a while: it is one global of python-flint, and other people's too."""
    with _PRECISION:
        before, ctx.prec = ctx.prec, bits
        try:
            yield
        finally:
            ctx.prec = before


# -- linear systems --------------------------------------------------------------------------------------------------


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


def solve(a: Definite | Array, b: Array, denominator: int = 1) -> tuple[Array, str]:
    """Solve a symmetric positive definite system of integers; every component is correctly rounded.

    Parameters
    ----------
    a : Definite, or ndarray of object of shape (n, n)
        Python integers.
    b : ndarray of object of shape (n, k)
    denominator : int, default=1
        Positive.  The solution is divided by it before it is rounded.

    Returns
    -------
    x : ndarray of float64 of shape (n, k)
    rung : str
        As from `evaluate`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is singular.
    """
    if 0 in b.shape:
        return np.zeros(b.shape), RUNGS[0]
    system = a if isinstance(a, Definite) else Definite(a)
    scale = Fraction(1, denominator)
    (solution,), rung = evaluate(lambda field: [field.solve(system, b) * field.scalar(scale)])
    return solution, rung


# Everything from here to the rank rule is elementwise float64 in a fixed order, or integers: no BLAS, no reduction
# whose order a processor chooses.  So what it decides is the same everywhere.


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


def two_digits(value: float) -> float:
    return float(f"{value:.1e}")


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
            raise _DeclinedError
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
        raise _DeclinedError

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
    matrix = flint_integers(comoments)
    if matrix.rank() == len(comoments):
        return list(range(len(comoments)))
    reduced, _, rank = matrix.rref()
    return [next(j for j in range(len(comoments)) if reduced[i, j] != 0) for i in range(rank)]

"""Linear algebra on exact integers: solves that are rounded once, the rank rule, eigenpairs and their signs.

Every estimator solves here and nowhere else.  A formula is written once against a `Field` and evaluated in ball
arithmetic of rising precision, until every entry is known to round to one float64; where balls cannot tell (a true
midpoint between two floats), in exact rationals.  What comes out is therefore the correctly rounded value of the
formula: one number on every machine, whatever its BLAS.  Eigenpairs are the exception: float64 LAPACK on correctly
rounded input.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import scipy.linalg
from flint import arb, arb_mat, ctx, fmpq, fmpq_mat, fmpz_mat

from sklearn_symfed.psr import quotient

__all__ = [
    "Field",
    "as_integers",
    "evaluate",
    "flip_signs",
    "independent_columns",
    "integer_ratio",
    "quotients",
    "scaled_correlation",
    "singular_values",
    "solve",
    "symmetric_eigenpairs",
    "to_float",
]

Array = np.ndarray[Any, Any]
Matrix = Any
"""A matrix of python-flint: `arb_mat` or `fmpq_mat`."""

_BALL_BITS = (128, 256, 512)
_LAST_BALL_BITS = (1024, 2048, 4096)
_EPS = float(np.finfo(np.float64).eps)
_FAR = 4096  # bits: beyond every float64, far enough for exponents never to be shifted out into memory
_WIDEST_SCALES = 256  # binary orders between columns, beyond which refinement leaves the field to balls
_GRID_BITS = 140
_MOST_REFINEMENTS = 12
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


def to_float(ball: arb) -> float | None:
    """Return the float64 to which every number in a ball rounds, or None where they do not round to the same.

    Rounding is to nearest, ties to even; zero is ``+0.0``.
    """
    if not ball.is_finite():
        return None
    middle, exponent = (int(part) for part in ball.mid().man_exp())
    radius, radius_exponent = (int(part) for part in ball.rad().man_exp())
    if radius == 0:
        return _dyadic(middle, exponent)
    lowest = min(exponent, radius_exponent) if middle else radius_exponent
    if max(exponent, radius_exponent) - lowest > 4 * _FAR:
        return None
    middle <<= exponent - lowest if middle else 0
    radius <<= radius_exponent - lowest
    below, above = _dyadic(middle - radius, lowest), _dyadic(middle + radius, lowest)
    return below if below == above else None


def _round_balls(matrix: Matrix) -> Array | None:
    rounded = [to_float(entry) for entry in matrix.entries()]
    return None if None in rounded else np.array(rounded, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())


def _round_rationals(matrix: Matrix) -> Array:
    rounded = [quotient(int(entry.p), int(entry.q)) + 0.0 for entry in matrix.entries()]
    return np.array(rounded, dtype=np.float64).reshape(matrix.nrows(), matrix.ncols())


# -- formulas --------------------------------------------------------------------------------------------------------


class Field(Protocol):
    """What a formula may use, beside ``+``, ``-``, ``*`` and ``transpose()`` of matrices."""

    def matrix(self, integers: Array) -> Matrix:
        """Take over a 2-d ndarray of Python integers, without error."""

    def scalar(self, value: Fraction) -> Any:
        """Take over a rational number."""

    def solve(self, a: Matrix, b: Matrix) -> Matrix:
        """Solve ``a @ x = b`` for symmetric positive definite `a`."""

    def log(self, value: Fraction) -> Any:
        """Natural logarithm of a positive rational number."""

    def column(self, entries: Sequence[Any]) -> Matrix:
        """Stack scalars into a matrix of shape (n, 1)."""


class _Balls:
    def matrix(self, integers: Array) -> Matrix:
        return arb_mat(_flint_integers(integers))

    def scalar(self, value: Fraction) -> Any:
        return arb(fmpq(value.numerator, value.denominator))

    def solve(self, a: Matrix, b: Matrix) -> Matrix:
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
        return arb_mat(len(entries), 1, list(entries))


class _Rationals:
    def matrix(self, integers: Array) -> Matrix:
        return fmpq_mat(_flint_integers(integers))

    def scalar(self, value: Fraction) -> Any:
        return fmpq(value.numerator, value.denominator)

    def solve(self, a: Matrix, b: Matrix) -> Matrix:
        return a.solve(b)

    def log(self, _value: Fraction) -> Any:
        raise _NotRationalError

    def column(self, entries: Sequence[Any]) -> Matrix:
        return fmpq_mat(len(entries), 1, list(entries))


class _NotRationalError(Exception):
    """A formula takes a logarithm: there is no exact rung."""


def _flint_integers(integers: Array) -> fmpz_mat:
    rows, columns = integers.shape
    return fmpz_mat(rows, columns, [int(value) for value in integers.ravel()])


def _magnitude(ball: arb) -> int:
    """Return about the binary logarithm of a ball's middle; 0 for zero."""
    mantissa, exponent = (int(part) for part in ball.mid().man_exp())
    return mantissa.bit_length() + exponent if mantissa else 0


def evaluate(formula: Callable[[Field], Sequence[Matrix]]) -> list[Array]:
    """Evaluate a formula exactly enough for every entry to be rounded correctly.

    Parameters
    ----------
    formula : callable
        Takes a `Field` and returns matrices over it.  It must be a pure function: it runs once per precision.

    Returns
    -------
    list of ndarray of float64
        The matrices, each entry rounded once.  A formula with logarithms has no exact rung: an entry that 4096 bits
        cannot tell from a midpoint between two floats is then taken from the middle of its ball.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix to be solved is singular.

    Notes
    -----
    Precision is 128, 256, 512 bits; then rationals.  A value that is exactly zero never separates from zero; rationals
    settle it (at 100 unknowns in the time of two or three rungs: FLINT solves them by Dixon lifting).
    """
    for bits in _BALL_BITS:
        rounded = _try_balls(formula, bits)
        if rounded is not None:
            return rounded
    try:
        return [_round_rationals(matrix) for matrix in formula(_Rationals())]
    except ZeroDivisionError:
        raise np.linalg.LinAlgError("Got a singular matrix, but expected a positive definite one.") from None
    except _NotRationalError:
        return _evaluate_without_rationals(formula)


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    """Let balls have a precision for a while: it is one global of python-flint, and other people's too."""
    with _PRECISION:
        before, ctx.prec = ctx.prec, bits
        try:
            yield
        finally:
            ctx.prec = before


def _try_balls(formula: Callable[[Field], Sequence[Matrix]], bits: int) -> list[Array] | None:
    with _precision(bits):
        try:
            matrices = formula(_Balls())
        except ZeroDivisionError:  # not singular at this precision for sure
            return None
        rounded = [_round_balls(matrix) for matrix in matrices]
    return None if any(each is None for each in rounded) else [each for each in rounded if each is not None]


def _evaluate_without_rationals(formula: Callable[[Field], Sequence[Matrix]]) -> list[Array]:
    for bits in _LAST_BALL_BITS:
        rounded = _try_balls(formula, bits)
        if rounded is not None:
            return rounded
    with _precision(_LAST_BALL_BITS[-1]):
        try:
            matrices = formula(_Balls())
        except ZeroDivisionError:
            raise np.linalg.LinAlgError(
                "Got a matrix that is singular to 4096 bits, but expected a positive definite one."
            ) from None
        middles = [arb_mat(m.nrows(), m.ncols(), [entry.mid() for entry in m.entries()]) for m in matrices]
    return [np.asarray(_round_balls(matrix)) for matrix in middles]


# -- linear systems --------------------------------------------------------------------------------------------------


def solve(a: Array, b: Array, denominator: int = 1) -> Array:
    """Solve a symmetric positive definite system of integers; every component is correctly rounded.

    Parameters
    ----------
    a : ndarray of object of shape (n, n)
        Python integers.
    b : ndarray of object of shape (n, k)
    denominator : int, default=1
        Positive.  The solution is divided by it before it is rounded.

    Returns
    -------
    x : ndarray of float64 of shape (n, k)

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is singular.

    Notes
    -----
    Float64 refined and certified where that is enough, else `evaluate`: the bits are the same.
    """
    if 0 in b.shape:
        return np.zeros(b.shape)
    refined = _solve_by_refinement(a, b, denominator)
    if refined is not None:
        return refined
    scale = Fraction(1, denominator)
    return evaluate(lambda field: [field.solve(field.matrix(a), field.matrix(b)) * field.scalar(scale)])[0]


def _solve_by_refinement(a: Array, b: Array, denominator: int) -> Array | None:
    r"""Solve with a float64 Cholesky factor and exact residuals; None where the certificate does not reach.

    Notes
    -----
    Let :math:`A` be the matrix, scaled by powers of two to a diagonal near one.  Its smallest eigenvalue is bounded
    from below (`_smallest_eigenvalue`), so :math:`\|x - A^{-1} b\|_2 \le \|b - A x\|_2 / \lambda_{\min}` for *any*
    :math:`x`; here :math:`x` is an integer vector on a fine grid and the residual exact.  Refinement goes on until all
    numbers within that bound of a component round to the same float64.
    """
    half = [int(a[i, i]).bit_length() // 2 for i in range(len(a))]
    if max(half) - min(half) > _WIDEST_SCALES:
        return None
    scaled = _scaled(a, half)
    factor, failed = scipy.linalg.lapack.dpotrf(scaled, lower=1)
    smallest = 0.0 if failed else _smallest_eigenvalue(scaled, factor)
    if smallest == 0.0:
        return None
    out = np.empty(b.shape)
    for column in range(b.shape[1]):
        refined = _refine(a, b[:, column], half, factor, smallest, denominator)
        if refined is None:
            return None
        out[:, column] = refined
    return out


def _smallest_eigenvalue(a: Array, factor: Array) -> float:
    r"""Return a proven lower bound on the smallest eigenvalue of a matrix known to half an ulp; 0 where there is none.

    Notes
    -----
    If Cholesky's algorithm, in floating point, gets through :math:`A - \mu I`, the smallest eigenvalue of :math:`A` is
    at least :math:`\mu` minus rounding errors of at most :math:`(n + 2) u\,\mathrm{tr} A`, in whatever order sums are
    taken [1]_.  Four times that, plus the half ulps, is deducted here.

    References
    ----------
    .. [1] S. M. Rump, "Verification of positive definiteness", BIT Numerical Mathematics 46, 2006.
    """
    rcond, _ = scipy.linalg.lapack.dpocon(factor, np.abs(a).sum(axis=0).max(), uplo="L")
    shift = rcond * float(np.abs(a).sum(axis=0).max()) / 4
    deducted = 4 * (len(a) + 2) * _EPS * (float(np.trace(a)) + float(np.linalg.norm(a)))
    if not shift > 2 * deducted:
        return 0.0
    _, failed = scipy.linalg.lapack.dpotrf(a - shift * np.identity(len(a)), lower=1)
    return 0.0 if failed else shift - deducted


def _refine(a: Array, b: Array, half: list[int], factor: Array, smallest: float, denominator: int) -> Array | None:
    """Solve for one right-hand side, in units of ``2**-unit`` of the scaled unknowns."""
    top = max(half)
    grid = np.zeros(len(a), dtype=object)
    widen = np.array([1 << (top - h) for h in half], dtype=object)
    unit: int | None = None
    for _ in range(_MOST_REFINEMENTS):
        # true solution: grid * widen / 2**(top + unit)
        residual = (b << (top + (unit or 0))) - (a @ (grid * widen) if unit is not None else 0)
        size = max(int(r).bit_length() - h for r, h in zip(residual, half, strict=True))
        floats = np.array([quotient(int(r), 1, -h - size) for r, h in zip(residual, half, strict=True)])
        norm = float(np.linalg.norm(floats)) * 1.001 + 1e-300  # generous for rounding, and for underflow
        if unit is not None:
            error = _on_grid(norm / smallest * 1.001, size - top) + 1
            rounded = _round_between(grid - error, grid + error, [h + unit for h in half], denominator)
            if rounded is not None:
                return rounded
        step, _ = scipy.linalg.lapack.dpotrs(factor, floats, lower=1)
        if unit is None:
            largest = float(np.abs(step).max())
            if largest == 0.0:
                return np.zeros(len(a))
            unit = _GRID_BITS - math.frexp(largest)[1] - (size - top)
            if top + unit < 0:  # a solution so large that the grid is coarser than the system's integers
                return None
            size += unit
        grid = grid + np.array([_on_grid(value, size - top) for value in step.tolist()], dtype=object)
    return None


def _on_grid(value: float, exponent: int) -> int:
    """Return ``value * 2**exponent`` as an integer, within one of it."""
    numerator, denominator = value.as_integer_ratio()
    return (numerator << exponent) // denominator if exponent >= 0 else numerator // (denominator << -exponent)


def _round_between(below: Array, above: Array, exponents: list[int], denominator: int) -> Array | None:
    """Round what lies between two bounds, each over a power of two and a denominator, if it rounds to one float."""
    out = np.empty(len(below))
    for i, exponent in enumerate(exponents):
        out[i] = quotient(int(below[i]), denominator, -exponent) + 0.0
        if out[i] != quotient(int(above[i]), denominator, -exponent):
            return None
    return out


# -- rank ------------------------------------------------------------------------------------------------------------


def _scaled(a: Array, half: list[int]) -> Array:
    """Divide rows and columns of a symmetric matrix of integers by powers of two: float64, each entry rounded once."""
    scaled = np.empty(a.shape)
    for i, row in enumerate(a.tolist()):
        for j in range(i, len(half)):
            scaled[i, j] = scaled[j, i] = quotient(row[j], 1, -half[i] - half[j])
    return scaled


def scaled_correlation(comoments: Array) -> Array:
    """Scale an integer Gram or co-moment matrix to unit diagonal: ndarray of float64 of shape (n, n), no BLAS involved.

    Columns without variance become zero, their diagonal too.
    """
    scaled = _scaled(comoments, [int(comoments[i, i]).bit_length() // 2 for i in range(len(comoments))])
    norms = np.sqrt(scaled.diagonal())
    norms[norms == 0] = np.inf
    return scaled / norms[:, None] / norms


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
    rest = scaled_correlation(comoments)
    left = np.ones(size, dtype=bool)
    while left.any():
        unexplained = np.where(left, rest.diagonal(), -np.inf)
        pivot = int(np.argmax(unexplained))
        if not unexplained[pivot] > threshold:
            break
        left[pivot] = False
        rest -= np.multiply.outer(rest[:, pivot] / rest[pivot, pivot], rest[pivot])
    return np.flatnonzero(~left).tolist()


def _exactly_independent_columns(comoments: Array) -> list[int]:
    matrix = _flint_integers(comoments)
    if matrix.rank() == len(comoments):
        return list(range(len(comoments)))
    reduced, _, rank = matrix.rref()
    return [next(j for j in range(len(comoments)) if reduced[i, j] != 0) for i in range(rank)]


# -- eigenpairs ------------------------------------------------------------------------------------------------------


def flip_signs(vectors: Array) -> Array:
    """Give each row the sign that makes its entry of largest magnitude positive; ties go to the lowest position."""
    largest = (
        vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)] if vectors.size else np.ones(len(vectors))
    )
    return np.asarray(vectors * np.where(largest < 0, -1.0, 1.0)[:, None] + 0.0)  # no negative zeros


def symmetric_eigenpairs(a: Array, b: Array | None = None) -> tuple[Array, Array]:
    """Return the eigenpairs of a symmetric matrix, largest eigenvalue first.

    Parameters
    ----------
    a : ndarray of float64 of shape (n, n)
    b : ndarray of float64 of shape (n, n), default=None
        Positive definite; solves ``a v = w b v`` with ``v' b v = 1``.

    Returns
    -------
    values : ndarray of shape (n,)
    vectors : ndarray of shape (n, n)
        One eigenvector a row, signs by `flip_signs`.
    """
    values, vectors = scipy.linalg.eigh(a, b)
    return values[::-1], flip_signs(np.ascontiguousarray(vectors.T[::-1]))


def singular_values(gram: Array) -> Array:
    """Return the square roots of a Gram matrix's eigenvalues, descending: ndarray of shape (n,)."""
    values = scipy.linalg.eigvalsh(gram)[::-1] if gram.size else np.zeros(0)
    return np.sqrt(np.maximum(values, 0.0))

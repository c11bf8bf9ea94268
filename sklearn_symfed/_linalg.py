"""The ladder of solves: a formula of exact integers is evaluated until each number is known to round to one float64.

Every estimator solves here and nowhere else; eigenpairs have their own file, `_eigen`.  A formula is written once
against a `Field`, and climbs: float64 refined with exact residuals ("cholesky"), ball arithmetic ("balls"), exact
rationals ("rationals").  What comes out is the correctly rounded value of the formula: one number on every machine,
whatever its BLAS.  Which rung answers is one, too: `_definite`, which decides it, is deterministic to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from flint import arb, arb_mat, fmpq, fmpq_mat

from sklearn_symfed._definite import DeclinedError, Definite
from sklearn_symfed._rounding import (
    ball,
    ball_column,
    flint_integers,
    magnitude,
    precision,
    round_matrix,
    sign_matrix,
)

__all__ = ["Balls", "Field", "decide", "enclose", "evaluate", "highest", "signs", "solve"]

Array = np.ndarray[Any, Any]
Matrix = Any
"""A matrix of python-flint: `arb_mat` or `fmpq_mat`."""
Answer = TypeVar("Answer")

RUNGS = ("cholesky", "balls", "rationals")
_REFINED_BITS = (80, 220, 440)
_BALL_BITS = (128, 256, 512)
_LAST_BITS = 4096


class Field(Protocol):
    """What a formula may use, beside ``+``, ``-``, ``*`` and ``transpose()`` of matrices."""

    rung: ClassVar[str]

    @property
    def bits(self) -> int:
        """Which precision it has, beside others of its rung."""

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
        scale = [arb((1, -(magnitude(a[i, i]) // 2))) for i in range(size)]
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
            raise DeclinedError
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
    return _climb(formula, lambda matrix, settle: round_matrix(matrix, roots, settle=settle))


def signs(formula: Callable[[Field], Sequence[Matrix]]) -> list[Array]:
    """Tell the sign of every entry of a formula, exactly: for decisions that no rounding may take.

    Parameters
    ----------
    formula : callable
        As for `evaluate`, without logarithms.

    Returns
    -------
    list of ndarray of int
        1, 0 or -1.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix to be solved is singular.
    """
    return _climb(formula, sign_matrix)[0]


def _climb(
    formula: Callable[[Field], Sequence[Matrix]], read: Callable[[Matrix, bool], Array | None]
) -> tuple[list[Array], str]:
    """Evaluate a formula until each matrix can be read, which on the last rung it must be."""
    done: dict[int, Array] = {}

    def found(field: Field) -> tuple[list[Array], str] | None:
        matrices = formula(field)
        for k, matrix in enumerate(matrices):
            values = None if k in done else read(matrix, isinstance(field, _Rationals))
            if values is not None:
                done[k] = values
        return ([done[k] for k in range(len(done))], field.rung) if len(done) == len(matrices) else None

    return decide(found)


def decide(question: Callable[[Field], Answer | None]) -> Answer:
    """Ask a question about exact numbers on one rung after another, until one can answer it.

    Parameters
    ----------
    question : callable
        Takes a `Field`; returns None where balls do not tell.  Over rationals, the last, it has to answer.

    Returns
    -------
    object
        The answer, the same whichever rung gave it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix to be solved is singular.
    """
    declined = False
    for field in _ladder():
        if isinstance(field, Balls) and declined is isinstance(field, _Refined):
            continue
        try:
            with precision(field.bits + (64 if isinstance(field, _Refined) else 0)):
                answer = question(field)
        except DeclinedError:
            declined = True
            continue
        except ZeroDivisionError:  # singular, or not regular for sure at this precision
            continue
        if answer is not None:
            return answer
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
    except DeclinedError:
        try:
            return formula(Balls(bits))
        except ZeroDivisionError:
            raise np.linalg.LinAlgError("Got a singular matrix, but expected a positive definite one.") from None


def highest(rungs: Sequence[str]) -> str:
    """Return the highest of some rungs of the ladder."""
    return RUNGS[max((RUNGS.index(rung) for rung in rungs), default=0)]


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

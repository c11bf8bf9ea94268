"""Exact moments of some rows: integers times one rational unit, and float64 views that are rounded once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._schema import Schema

__all__ = ["Moments", "quotient"]

Integers = np.ndarray[Any, np.dtype[np.object_]]
Float64 = np.ndarray[Any, np.dtype[np.float64]]
_ONE = Fraction(1)


def quotient(numerator: int, denominator: int, exponent: int = 0) -> float:
    """Return ``numerator / denominator * 2**exponent``, correctly rounded to float64.

    A zero is ``+0.0``, a quotient beyond the range is infinite, and a zero denominator gives NaN.

    Parameters
    ----------
    numerator, denominator : int
    exponent : int, default=0
    """
    if denominator == 0:
        return math.nan
    if numerator == 0:
        return 0.0
    if exponent >= 0:
        numerator <<= exponent
    else:
        denominator <<= -exponent
    try:
        return numerator / denominator + 0.0  # CPython rounds a quotient of integers correctly; no -0.0 from underflow
    except OverflowError:
        return math.inf if (numerator < 0) == (denominator < 0) else -math.inf


def _quotients(numerators: Integers, denominator: int, unit: Fraction = _ONE) -> Float64:
    """Return ``numerators * unit / denominator``, each correctly rounded."""
    over, under = unit.numerator, denominator * unit.denominator
    numerators = numerators * over
    if under:
        try:  # CPython's own division, without a call for each entry
            return np.asarray((numerators / under).astype(np.float64) + 0.0)
        except OverflowError:
            pass
    flat = [quotient(value, under) for value in numerators.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(numerators.shape)


def _mirrored(numerators: Integers, denominator: int, unit: Fraction = _ONE) -> Float64:
    """Divide a symmetric matrix, each entry once."""
    out = np.empty(numerators.shape)
    rows, columns = np.triu_indices(len(out))
    out[rows, columns] = out[columns, rows] = _quotients(numerators[rows, columns], denominator, unit)
    return out


class Moments:
    """Count, sums and products of some rows, exactly.

    Parameters
    ----------
    schema : Schema
        Names the columns.
    n_rows : int
        Number of rows.
    sum_w2 : int
        Sum of squared weights, in units of `unit`.
    matrix : ndarray of object of shape (n_columns + 1, n_columns + 1)
        Augmented Gram matrix ``[1, X]' W [1, X]``: Python integers, in units of `unit`.
    unit : Fraction
        A true value is the integer times `unit`: a power of two, and of ten where columns hold decimals.

    Attributes
    ----------
    names : tuple of str
        Columns, in order.

    Notes
    -----
    Every float64 view is the exact value rounded once to nearest, ties to even.  With weights that are not
    repetitions, ``ddof`` follows ``numpy.cov(aweights=...)``: the divisor is ``W - ddof * sum(w**2) / W`` with
    ``W = sum(w)``; without weights that is ``n - ddof``.  Undefined values are NaN.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> moments = PSR.from_rows([[1.0, 10.0], [2.0, 30.0]]).moments()
    >>> moments.mean.tolist(), moments.covariance().tolist()
    ([1.5, 20.0], [[0.5, 10.0], [10.0, 200.0]])
    """

    def __init__(self, schema: Schema, n_rows: int, sum_w2: int, matrix: Integers, unit: Fraction) -> None:
        self.schema = schema
        self.n_rows = n_rows
        self.sum_w2 = sum_w2
        self.matrix = matrix
        self.unit = unit

    @classmethod
    def from_limbs(cls, schema: Schema, state: Limbs) -> Moments:
        """Read the moments from a packed state, in which a column of ``k`` decimals is multiplied by ``10**k``."""
        integers, exponent = state.to_integers()
        size = len(schema.names) + 1
        rows, columns = np.triu_indices(size)
        n_rows = int(integers[0])
        n_rows = n_rows << exponent if exponent >= 0 else n_rows >> -exponent
        sum_w2, entries, unit = int(integers[1]), integers[2:], Fraction(2) ** exponent
        decimals = schema.decimals
        most = max(decimals.values(), default=0)
        if most:  # every entry gets the factor of the two columns with most decimals, so that all share one unit
            missing = [most, *(most - decimals.get(name, 0) for name in schema.names)]
            powers = np.array([10**digits for digits in missing], dtype=object)
            sum_w2, entries, unit = sum_w2 * 100**most, entries * powers[rows] * powers[columns], unit / 100**most
        matrix = np.empty((size, size), dtype=object)
        matrix[rows, columns] = matrix[columns, rows] = entries
        return cls(schema, n_rows, sum_w2, matrix, unit)

    def __repr__(self) -> str:
        return f"<Moments: {self.n_rows} rows of {len(self.names)} columns>"

    @property
    def names(self) -> tuple[str, ...]:
        return self.schema.names

    def select(self, names: Iterable[str]) -> Moments:
        """Return the moments of some columns, in the order given.

        Raises
        ------
        SchemaError
            If a name is not one of the columns.
        """
        schema = self.schema.select(names)
        index = np.array([0, *(position + 1 for position in self.schema.positions(schema.names))])
        return Moments(schema, self.n_rows, self.sum_w2, self.matrix[np.ix_(index, index)], self.unit)

    @cached_property
    def comoments(self) -> Integers:
        """Exact ``W * G - S S'`` in units of ``unit**2``: ndarray of object of shape (n_columns, n_columns)."""
        out = np.empty((len(self.names), len(self.names)), dtype=object)
        rows, columns = np.triu_indices(len(out))
        sums, weight = self.matrix[0, 1:], self.matrix[0, 0]
        out[rows, columns] = weight * self.matrix[1:, 1:][rows, columns] - sums[rows] * sums[columns]
        out[columns, rows] = out[rows, columns]
        return out

    def of_classes(self, classes: Sequence[Moments]) -> Moments:  # noqa: ARG002
        """Return the moments of all rows that go with those of each class: by pairs, the two need not fit."""
        return self

    @property
    def sum_weights(self) -> float:
        """Sum of weights; the number of rows where there are none."""
        return quotient(self.matrix[0, 0] * self.unit.numerator, self.unit.denominator)

    @property
    def sums(self) -> Float64:
        """Column sums: ndarray of shape (n_columns,)."""
        return _quotients(self.matrix[0, 1:], 1, self.unit)

    @property
    def gram(self) -> Float64:
        """Gram matrix ``X' W X``: ndarray of shape (n_columns, n_columns)."""
        return _mirrored(self.matrix[1:, 1:], 1, self.unit)

    @property
    def mean(self) -> Float64:
        """Column means: ndarray of shape (n_columns,)."""
        return _quotients(self.matrix[0, 1:], self.matrix[0, 0])

    def variance(self, ddof: float = 0) -> Float64:
        """Return the column variances: ndarray of shape (n_columns,)."""
        diagonal = np.array([self.comoments[i, i] for i in range(len(self.names))], dtype=object)
        return self._per_weight(diagonal, ddof)

    def standard_deviation(self, ddof: float = 0) -> Float64:
        """Return the roots of the exact variances: ndarray of shape (n_columns,)."""
        factor, divisor = self._divisor(ddof)
        if divisor <= 0:
            return np.full(len(self.names), np.nan)
        squares = [self.comoments[i, i] * factor for i in range(len(self.names))]
        return np.array([_root(square, divisor) for square in squares], dtype=np.float64)

    def covariance(self, ddof: float = 1) -> Float64:
        """Return the covariance matrix: ndarray of shape (n_columns, n_columns)."""
        return self._per_weight(self.comoments, ddof)

    @property
    def scatter(self) -> Float64:
        """Centred Gram matrix ``(X - mean)' W (X - mean)``: ndarray of shape (n_columns, n_columns)."""
        return _mirrored(self.comoments, self.matrix[0, 0], self.unit)

    def correlation(self) -> Float64:
        """Return Pearson's correlations: ndarray of shape (n_columns, n_columns); NaN beside a constant column.

        Off the diagonal ``sign * sqrt(c**2 / (a * b))`` is taken with 80 digits to spare and rounded once.
        """
        size = len(self.names)
        out = np.empty((size, size))
        for i in range(size):
            for j in range(i, size):
                out[i, j] = out[j, i] = _correlation(self.comoments[i, j], self.comoments[i, i], self.comoments[j, j])
        return out

    def _per_weight(self, comoments: Integers, ddof: float) -> Float64:
        factor, divisor = self._divisor(ddof)
        if divisor <= 0:
            return np.full(comoments.shape, np.nan)
        divide = _mirrored if comoments.ndim == 2 else _quotients
        return divide(comoments * factor, divisor)

    def _divisor(self, ddof: float) -> tuple[int, int]:
        """Return integers with ``covariance = comoments * factor / divisor``."""
        # comoments over (W*W - ddof * sum_w2), where sum_w2 has the unit once and the others have it twice
        over, under = float(ddof).as_integer_ratio()
        factor = under * self.unit.numerator
        return factor, self.matrix[0, 0] ** 2 * factor - over * self.sum_w2 * self.unit.denominator


def _correlation(covariance: int, first: int, second: int) -> float:
    """Return ``sign(c) * sqrt(c**2 / (a * b))``, correctly rounded."""
    if first <= 0 or second <= 0:
        return math.nan
    magnitude = _root(covariance * covariance, first * second)
    return -magnitude if covariance < 0 and magnitude else magnitude


def _root(numerator: int, denominator: int) -> float:
    """Return ``sqrt(numerator / denominator)``, correctly rounded, of what is not negative."""
    if numerator == 0:
        return 0.0
    shift = max(0, denominator.bit_length() - numerator.bit_length()) // 2 * 2 + 256
    root = math.isqrt((numerator << shift) // denominator)  # at least 127 bits
    inexact = root * root * denominator != numerator << shift
    # a sticky last bit keeps a truncated root on its side of every midpoint
    return quotient(2 * root + inexact, 1, -shift // 2 - 1)

"""Moments of pairs that are there: each mean of the values of a column, each product of the rows that have both.

A state holds ``x`` with zeros where it is missing and ``m``, which is one where it is there.  Their Gram matrix is all
it takes: ``m_i'm_j`` counts the rows that have both, ``x_i'm_j`` sums one over them, ``x_i'x_j`` the products.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import PairwiseWarning, SchemaError
from sklearn_symfed.psr._moments import Float64, Integers, Moments, quotient
from sklearn_symfed.psr._schema import Schema

__all__ = ["PairwiseMoments"]

_BITS = 256
_TOLERANCE = 192  # bits: what rounding to the grid may have done to a matrix that has no full rank
_STEPS = 1024

Array = np.ndarray[Any, Any]


class PairwiseMoments(Moments):
    r"""Moments by pairs, and the moments of a positive semi-definite matrix near them.

    Parameters
    ----------
    schema : Schema
        Names the columns.
    stored : Moments
        Of the columns with zeros for what is missing, and of those that say what was there.
    observed : mapping of str to str, default=None
        For columns some values of which may be missing, the name of the one that says what was there: those of the
        schema from which columns were selected.

    Notes
    -----
    With :math:`n_{ij}` the weight of the rows that have both columns and sums over these rows,

    .. math:: \bar x_i = \frac{\sum x_i}{n_{ii}}, \quad
              c_{ij} = \frac{\sum x_i x_j - \sum x_i \sum x_j / n_{ij}}{n_{ij} - \delta},

    as by ``DataFrame.mean`` and ``DataFrame.cov`` of pandas; each is rounded once.  Correlations divide by the standard
    deviations of the whole columns: pandas takes those of the pairs, which are no function of these statistics.

    Such a matrix need not be positive semi-definite.  What estimators take, `matrix` and `comoments`, is: where it has
    to be, covariances are multiplied by the largest factor, in steps of 1/1024, that makes it so, and a
    `PairwiseWarning` tells the factor.  They stand for as many rows as were learned, and are exact to 256 bits.
    """

    def __init__(self, schema: Schema, stored: Moments, observed: Mapping[str, str] | None = None) -> None:
        self.schema = schema
        self.n_rows = stored.n_rows
        index = {name: 1 + position for position, name in enumerate(stored.names)}
        self._values = [index[name] for name in schema.names]
        self._observed = schema.observed if observed is None else observed
        self._masks = [index[self._observed[name]] if name in self._observed else 0 for name in schema.names]
        self._stored = stored

    def select(self, names: Iterable[str]) -> PairwiseMoments:
        """Return the moments of some columns, in the order given.

        Raises
        ------
        SchemaError
            If a name is not one of the columns.
        """
        return PairwiseMoments(self.schema.select(names), self._stored, self._observed)

    # -- exact figures -----------------------------------------------------------------------------------------------

    def _entry(self, i: int, j: int) -> Fraction:
        return Fraction(self._stored.matrix[i, j] * self._stored.unit)

    def _pair(self, i: int, j: int) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """Return the weight of rows that have two columns, both sums over them, and the sum of products."""
        x, y, mx, my = self._values[i], self._values[j], self._masks[i], self._masks[j]
        return self._entry(mx, my), self._entry(x, my), self._entry(y, mx), self._entry(x, y)

    def _mean(self, i: int) -> Fraction | None:
        weight = self._entry(0, self._masks[i])
        return self._entry(0, self._values[i]) / weight if weight else None

    def _covariance(self, i: int, j: int, ddof: Fraction = Fraction(0)) -> Fraction | None:
        weight, x, y, products = self._pair(i, j)
        divisor = weight - ddof
        return (products - x * y / weight) / divisor if weight and divisor > 0 else None

    # -- float64 views -----------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Float64:
        """Weight of the rows that have both columns: ndarray of shape (n_columns, n_columns)."""
        return self._rounded(lambda i, j: self._pair(i, j)[0])

    @property
    def sum_weights(self) -> float:
        """Sum of weights of all rows."""
        return self._stored.sum_weights

    @property
    def sums(self) -> Float64:
        """Column sums: ndarray of shape (n_columns,)."""
        return np.asarray(self._stored.sums[np.array(self._values, dtype=int) - 1])

    @property
    def gram(self) -> Float64:
        """Sums of products over the rows that have both: ndarray of shape (n_columns, n_columns)."""
        return self._rounded(lambda i, j: self._pair(i, j)[3])

    @property
    def mean(self) -> Float64:
        """Column means: ndarray of shape (n_columns,); NaN of a column without values."""
        return np.array([_float(self._mean(i)) for i in range(len(self.names))])

    def variance(self, ddof: float = 0) -> Float64:
        """Return the column variances: ndarray of shape (n_columns,)."""
        return np.array([_float(self._covariance(i, i, Fraction(ddof))) for i in range(len(self.names))])

    def standard_deviation(self, ddof: float = 0) -> Float64:
        """Return the roots of the variances: ndarray of shape (n_columns,)."""
        return np.sqrt(self.variance(ddof))

    def covariance(self, ddof: float = 1) -> Float64:
        """Return the covariance matrix by pairs: ndarray of shape (n_columns, n_columns)."""
        return self._rounded(lambda i, j: self._covariance(i, j, Fraction(ddof)))

    @property
    def scatter(self) -> Float64:
        """Covariances without ``ddof`` times the sum of weights: ndarray of shape (n_columns, n_columns)."""
        return self.covariance(ddof=0) * self.sum_weights

    def correlation(self) -> Float64:
        """Return covariances over the standard deviations of the columns; NaN beside a constant column."""
        deviations = self.standard_deviation()
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(deviations > 0, self.covariance(ddof=0) / deviations / deviations[:, None], np.nan)

    def _rounded(self, figure: Any) -> Float64:
        size = len(self.names)
        out = np.empty((size, size))
        for i in range(size):
            for j in range(i, size):
                out[i, j] = out[j, i] = _float(figure(i, j))
        return out

    # -- what estimators take ----------------------------------------------------------------------------------------

    @property
    def matrix(self) -> Integers:  # type: ignore[override]
        """Augmented Gram matrix of as many complete rows of these means and, where they can be, covariances."""
        return self._complete[0]

    @property
    def unit(self) -> Fraction:  # type: ignore[override]
        return self._complete[1]

    @property
    def sum_w2(self) -> int:  # type: ignore[override]
        return round(self._stored.sum_w2 * self._stored.unit / self.unit)

    def of_classes(self, classes: Sequence[Moments]) -> Moments:
        """Return the moments of the complete rows that the classes stand for, together: their means differ."""
        unit = min((part.unit for part in classes), default=Fraction(1))  # powers of two
        matrix = np.add.reduce([part.matrix * int(part.unit / unit) for part in classes])
        sum_w2 = sum(part.sum_w2 * int(part.unit / unit) for part in classes)
        return Moments(self.schema, self.n_rows, sum_w2, matrix, unit)

    @cached_property
    def _complete(self) -> tuple[Integers, Fraction]:
        means, covariances = self._required()
        weight = self._stored.matrix[0, 0] * self._stored.unit
        factor = _positive(covariances)
        if factor < 1:
            msg = (
                "The covariances of pairs that are there are those of no rows: all but the variances were multiplied "
                f"by {float(factor):.4g}, which makes the matrix positive semi-definite."
            )
            warnings.warn(msg, PairwiseWarning, stacklevel=2)
        size = len(means)
        entries = np.empty((size + 1, size + 1), dtype=object)
        entries[0, 0] = weight
        for i in range(size):
            entries[0, 1 + i] = entries[1 + i, 0] = weight * means[i]
            for j in range(size):
                shrunk = covariances[i][j] * (1 if i == j else factor)
                entries[1 + i, 1 + j] = weight * (shrunk + means[i] * means[j])
        return _on_grid(entries)

    def _required(self) -> tuple[list[Fraction], list[list[Fraction]]]:
        size = len(self.names)
        means = [mean for mean in map(self._mean, range(size)) if mean is not None]
        empty = [name for i, name in enumerate(self.names) if self._mean(i) is None]
        if empty:
            msg = f"Got no value in columns {empty}, but expected some: psr.drop leaves columns out."
            raise SchemaError(msg)
        covariances = []
        for i in range(size):
            row = [self._covariance(i, j) for j in range(size)]
            alone = next((self.names[j] for j, value in enumerate(row) if value is None), None)
            if alone is not None:
                msg = f"Got no row that has both {self.names[i]!r} and {alone!r}, but expected some."
                raise SchemaError(msg)
            covariances.append([value for value in row if value is not None])
        return means, covariances


def _on_grid(entries: Array) -> tuple[Integers, Fraction]:
    """Return rationals in one unit, a power of two that is small beside every column, and the unit."""
    diagonal = [value for value in entries.diagonal() if value]
    low, high = (pick(map(_magnitude, diagonal)) for pick in (min, max))
    unit = Fraction(2) ** (low - (high - low) - _BITS)
    out = np.empty(entries.shape, dtype=object)
    for index, value in np.ndenumerate(entries):
        out[index] = round(value / unit)
    return out, unit


def _float(value: Fraction | None) -> float:
    return math.nan if value is None else quotient(value.numerator, value.denominator)


def _magnitude(value: Fraction) -> int:
    return abs(value.numerator).bit_length() - value.denominator.bit_length()


def _positive(covariances: list[list[Fraction]]) -> Fraction:
    """Return the largest factor for the entries beside the diagonal with which a matrix is positive semi-definite."""
    scaled = _of_unit_diagonal(covariances)
    if _is_positive(scaled, _STEPS):
        return Fraction(1)
    low, high = 0, _STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _is_positive(scaled, middle) else (low, middle)
    return Fraction(low, _STEPS)


def _of_unit_diagonal(covariances: list[list[Fraction]]) -> list[list[int]]:
    """Return a matrix scaled to a diagonal near one, in units of ``2**-256``; constant columns are left out."""
    kept = [i for i in range(len(covariances)) if covariances[i][i] > 0]
    half = {i: Fraction(2) ** (-(_magnitude(covariances[i][i]) // 2)) for i in kept}
    return [[round(covariances[i][j] * half[i] * half[j] * 2**_BITS) for j in kept] for i in kept]


def _is_positive(scaled: list[list[int]], steps: int) -> bool:
    """Tell whether a matrix, its other entries times ``steps / 1024``, has no negative pivot but from rounding."""
    rows = [
        [value if i == j else value * steps // _STEPS for j, value in enumerate(row)] for i, row in enumerate(scaled)
    ]
    slack = 1 << (_BITS - _TOLERANCE)
    for k, pivot_row in enumerate(rows):
        pivot = pivot_row[k] + slack
        if pivot <= 0:
            return False
        for i in range(k + 1, len(rows)):
            factor = rows[i][k]
            if factor:
                rows[i] = [value - factor * other // pivot for value, other in zip(rows[i], pivot_row, strict=True)]
    return True

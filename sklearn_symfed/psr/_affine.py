"""Statistics of affine images of rows, from those of the rows: exact, without a look at any row.

With ``Z = [1, X]`` and an affine map written as one matrix ``A``, the image of a row ``z`` is ``z A`` and the augmented
Gram matrix of all images is ``A' (Z' W Z) A``.  Floats are dyadic numbers, so nothing of it is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat

from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._schema import Schema

__all__ = ["AffineMap"]

Array = np.ndarray[Any, Any]


class AffineMap:
    """A map of rows whose first columns are affine combinations and whose others stay as they are.

    Parameters
    ----------
    schema : Schema
        Columns of the rows.
    columns : sequence of str
        What is combined.
    matrix : ndarray of float64 of shape (len(columns), n_images)
    offset : sequence of float or Fraction of shape (n_images,)
        Dyadic.
    names : sequence of str
        What the images are called; the other columns keep their names, and follow.

    Attributes
    ----------
    schema : Schema
        Columns of the images.  Where a combined column holds decimals, images hold them, too: of more digits, and not
        whole ones, which only rows that are learned have to be.

    Raises
    ------
    SchemaError
        If a name is unknown, or an image has the name of another column.
    DataError
        If a number is not finite.
    """

    def __init__(
        self, schema: Schema, columns: Sequence[str], matrix: Array, offset: Sequence[Any], names: Sequence[str]
    ) -> None:
        places = schema.positions(columns)
        partly = [name for name in columns if name in schema.observed]
        if partly:
            msg = f"Got columns {partly} that have no value in some rows, whose images are not known: leave them out."
            raise SchemaError(msg)
        kept = schema.select(schema.names_without(columns), schema.classes)
        taken = sorted(set(names) & {*kept.stored, kept.classes})
        if taken:
            msg = f"Got columns {taken} beside those that are transformed, whose images are called so: rename them."
            raise SchemaError(msg)
        if not np.isfinite(matrix).all() or not all(np.isfinite(float(value)) for value in offset):
            msg = "Got an affine map with numbers that are not finite, but expected finite ones."
            raise DataError(msg)
        digits = [schema.decimals.get(name, 0) for name in columns]
        most = max(digits, default=0)
        self.schema = kept.behind(names, dict.fromkeys(names, most) if most else {})
        # on the grid a column of k decimals is multiplied by 10**k, so an image of `most` gets what is missing
        entries = {(0, 0): Fraction(1)}
        for j, value in enumerate(offset):
            entries[0, 1 + j] = Fraction(value) * 10**most
        for place, row, own in zip(places, matrix.tolist(), digits, strict=True):
            entries.update({(1 + place, 1 + j): Fraction(value) * 10 ** (most - own) for j, value in enumerate(row)})
        for j, place in enumerate(schema.places(kept)):
            entries[1 + place, 1 + len(names) + j] = Fraction(1)
        unit = max(value.denominator for value in entries.values())  # all are powers of two
        self._shift = unit.bit_length() - 1
        self._map = fmpz_mat(len(schema.stored) + 1, len(self.schema.stored) + 1)
        for (i, j), value in entries.items():
            self._map[i, j] = value.numerator * (unit // value.denominator)

    def __call__(self, state: Limbs) -> Limbs:
        """Return the packed state of the images."""
        integers, exponent = state.to_integers()
        size = self._map.nrows()
        gram = np.empty((size, size), dtype=object)
        rows, columns = np.triu_indices(size)
        gram[rows, columns] = gram[columns, rows] = integers[2:]
        image = self._map.transpose() * fmpz_mat(size, size, gram.ravel().tolist()) * self._map
        counts = [int(value) << 2 * self._shift for value in integers[:2]]
        table = image.tolist()
        packed = [int(value) for i, row in enumerate(table) for value in row[i:]]
        return Limbs.from_integers([*counts, *packed], exponent - 2 * self._shift)

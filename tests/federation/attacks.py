"""What peers of a node can do with the exact statistics that it published: rows are read off, to the last digit.

Owns the attacks, each a function from published statistics, and nothing else, to rows.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import numpy as np
from flint import fmpz_mat

from sklearn_symfed.psr import PSR


def gram(psr: PSR) -> np.ndarray:
    """Return the augmented Gram matrix of integers."""
    moments = psr.moments()
    assert moments.unit.denominator == 1
    return moments.matrix * moments.unit.numerator


def one_more(before: PSR, after: PSR) -> list[int]:
    """Read the row that one release has more than another."""
    difference = gram(after) - gram(before)
    assert difference[0, 0] == 1
    return difference[0, 1:].tolist()


def heaviest(before: PSR, after: PSR) -> list[int]:
    """Read the row of whole numbers that outweighs all others which one release has more than another."""
    return [round(mean) for mean in (after - before).moments().mean]


def one_less(before: PSR, after: PSR) -> list[int]:
    """Read the row that one release has less than another."""
    return one_more(after, before)


def corrected(before: PSR, after: PSR) -> tuple[list[Fraction], list[Fraction]]:
    """Read the row that took another one's place, as it was and as it is.

    With a step ``s = new - old`` the difference of Gram matrices is ``old s' + s old' + s s'``, linear in `old`.
    """
    difference = gram(after) - gram(before)
    step = difference[0, 1:]
    rest = difference[1:, 1:] - np.outer(step, step)
    square = step @ step
    along = Fraction(step @ rest @ step, 2 * square)
    old = [(Fraction(entry) - along * s) / square for entry, s in zip(rest @ step, step, strict=True)]
    return old, [o + s for o, s in zip(old, step, strict=True)]


def single_member(psr: PSR, column: str) -> list[int]:
    """Read the one row that has a one in a column of zeros and ones."""
    place = psr.names.index(column) + 1
    assert gram(psr)[0, place] == 1
    return gram(psr)[place, 1:].tolist()


def outlier(psr: PSR, column: str) -> list[int]:
    """Read the row whose value in a column outweighs all others."""
    place = psr.names.index(column) + 1
    value = isqrt(gram(psr)[place, place])
    return [round(Fraction(entry, value)) for entry in gram(psr)[place, 1:]]


def all_rows(psr: PSR) -> list[list[int]]:
    """Read every row where there are fewer than columns, up to their order.

    Columns of so many integers generate all of Z^n.  So their Gram matrix is that of n unit vectors in another basis,
    which LLL finds; the coordinates of columns along them are the rows, and their ones say with which sign.
    """
    form = gram(psr)
    size = len(form)
    definite = 10**6 * form + np.eye(size, dtype=int).astype(object)
    _, transform = fmpz_mat(definite.tolist()).lll(transform=True, rep="gram", gram="exact")
    basis = np.array([[int(transform[i, j]) for j in range(size)] for i in range(size)], dtype=object)
    coordinates = basis @ form
    lengths = [row @ form @ row for row in basis]
    return [(row * row[0])[1:].tolist() for row, length in zip(coordinates, lengths, strict=True) if length == 1]

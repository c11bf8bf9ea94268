"""Any finite floats, by integer shifts: 53-bit integers, cut into digits on the absolute grid.

Slower than splitting with units, and free of its limits: the path of extreme exponents.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["shifted_products"]

_BLOCK = 512  # rows of one product
_DIGIT_BITS = 22

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]
Int64 = np.ndarray[Any, np.dtype[np.int64]]


def shifted_products(x: Floats) -> Iterator[tuple[int, Int64]]:
    """Yield exponents of two and the integers that add up to the augmented Gram matrix ``[1, X]' [1, X]``.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Finite.

    Yields
    ------
    exponent : int
    products : ndarray of int64 of shape (n_columns + 1, n_columns + 1)
        The first entry, which counts rows, and the first column are zero.
    """
    for start in range(0, len(x), _BLOCK):
        keys, digits = _shifted_digits(x[start : start + _BLOCK].astype(np.float64))
        if not len(keys):
            continue
        size = x.shape[1]
        levels = np.zeros((2 * (keys[-1] - keys[0]) + 1, size, size), dtype=np.int64)
        for position, key in enumerate(keys):
            # 512 products below 2**44 each; a level adds up at most 50 pairs of digits
            products = np.matmul(digits[position].T, digits[position:]).astype(np.int64)
            products[1:] += products[1:].transpose(0, 2, 1).copy()
            levels[keys[position:] + key - 2 * keys[0]] += products
            whole = np.zeros((size + 1, size + 1), dtype=np.int64)
            whole[0, 1:] = digits[position].sum(axis=0)
            yield _DIGIT_BITS * int(key), whole
        for level in np.flatnonzero(levels.any(axis=(1, 2))):
            whole = np.zeros((size + 1, size + 1), dtype=np.int64)
            whole[1:, 1:] = levels[level]
            yield _DIGIT_BITS * int(level + 2 * keys[0]), whole


def _shifted_digits(rows: Floats) -> tuple[Int64, Floats]:
    """Cut floats into signed digits of 22 bits: ``rows = sum(digits[i] * 2**(22 * keys[i]))``, keys ascending."""
    mantissa, exponents = np.frexp(rows)
    integers = np.abs(np.ldexp(mantissa, 53)).astype(np.uint64)
    exponents = exponents.astype(np.int64) - 53
    present = exponents[integers != 0]
    keys: list[int] = []
    digits: list[Floats] = []
    lowest, highest = (present.min(), present.max() + 53) if len(present) else (0, -_DIGIT_BITS)
    for key in range(int(lowest) // _DIGIT_BITS, int(highest) // _DIGIT_BITS + 1):
        shift = exponents - _DIGIT_BITS * key
        left = np.where((shift >= 0) & (shift < _DIGIT_BITS), shift, 0).astype(np.uint64)
        right = np.where((shift < 0) & (shift > -53), -shift, 0).astype(np.uint64)
        digit = ((integers << left) >> right) & np.uint64((1 << _DIGIT_BITS) - 1)
        digit[(shift >= _DIGIT_BITS) | (shift <= -53)] = 0
        if digit.any():
            keys.append(key)
            digits.append(digit.astype(np.float64) * np.sign(rows))
    return np.array(keys, dtype=np.int64), np.array(digits)

"""Statistics of rows that another unit was measured in: columns times exact factors, without a look at any row.

Owns what a factor may be, how many decimals the products have, and what becomes of ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Rational
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._decimals import decimal_limit
from sklearn_symfed.psr._declared import MAX_DECIMALS, normalised
from sklearn_symfed.psr._encodings import NUMERIC
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._ranges import Range
from sklearn_symfed.psr._schema import Schema

__all__ = ["Rescaling"]

_EXPECTED = "an int, a fraction, a Decimal or a str as '1.609344'"
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
_MOST_BITS = 256


class Rescaling:
    """Columns of rows times exact factors; the others stay as they are.

    Parameters
    ----------
    schema : Schema
        Columns of the rows.
    factors : mapping of str to int, Fraction, Decimal or str
        Each is a decimal: its denominator has no prime factors but 2 and 5.

    Attributes
    ----------
    schema : Schema
        Columns of the products.

    Raises
    ------
    SchemaError
        If a column is unknown or holds no plain numbers, a factor is none, or products need more than `MAX_DECIMALS`
        digits or bounds that there are not.
    """

    def __init__(self, schema: Schema, factors: Mapping[str, Any]) -> None:
        if not isinstance(factors, Mapping):
            msg = f"Got factors of type {type(factors).__name__}, but expected a mapping as {{'distance': '1.609344'}}."
            raise SchemaError(msg)
        exact = {normalised(name): _factor(factor, name) for name, factor in factors.items()}
        _require_numbers(schema, exact)
        digits = {name: _digits(schema, name, factor) for name, factor in exact.items()}
        decimals = {**schema.decimals, **{name: each for name, each in digits.items() if each is not None}}
        ranges = {
            name: _scaled_range(bounds, name, exact[name], schema.decimals.get(name), digits[name])
            if name in exact
            else bounds
            for name, bounds in schema.ranges.items()
        }
        self.schema = schema.with_numbers(decimals, ranges)
        # on the grid a column of k decimals is multiplied by 10**k
        on_grid = {
            name: factor * Fraction(10) ** ((digits[name] or 0) - schema.decimals.get(name, 0))
            for name, factor in exact.items()
        }
        unit = max((factor.denominator for factor in on_grid.values()), default=1)  # all are powers of two
        self._shift = unit.bit_length() - 1
        each = [unit, *(int(on_grid.get(name, 1) * unit) for name in schema.stored)]
        rows, columns = np.triu_indices(len(each))
        multiples = np.array(each, dtype=object)
        self._multiples = multiples[rows] * multiples[columns]

    def __call__(self, state: Limbs) -> Limbs:
        """Return the packed state of the products."""
        integers, exponent = state.to_integers()
        counts = [int(value) << 2 * self._shift for value in integers[:2]]
        packed = (integers[2:] * self._multiples).tolist()
        return Limbs.from_integers([*counts, *packed], exponent - 2 * self._shift)


def _require_numbers(schema: Schema, names: Mapping[str, Any]) -> None:
    unknown = [name for name in names if name not in schema.columns]
    if unknown:
        msg = f"Got factors of unknown columns {unknown}, but expected some of {list(schema.columns)}."
        raise SchemaError(msg)
    for name in names:
        encoding = schema.encodings.get(name, NUMERIC)
        if encoding.levels is not None or encoding.unit is not None:
            what = "holds categories" if encoding.unit is None else f"is counted in {encoding.unit!r}"
            msg = f"Got a factor for column {name!r}, which {what}, but expected a column of numbers."
            raise SchemaError(msg)


def _factor(factor: Any, name: str) -> Fraction:
    """Return a factor as the fraction that it is."""
    where = f"for column {name!r}"
    if isinstance(factor, (float, np.floating)):
        msg = f"Got a factor of type {type(factor).__name__} {where}, which is not exactly what it reads as, but "
        raise SchemaError(f"{msg}expected {_EXPECTED}.")
    known = isinstance(factor, (Rational, Decimal, str)) and not isinstance(factor, bool)
    if not known or (isinstance(factor, str) and not _DECIMAL.fullmatch(factor.strip())):
        what = repr(factor[:40]) if isinstance(factor, str) else f"type {type(factor).__name__}"
        raise SchemaError(f"Got a factor of {what} {where}, but expected {_EXPECTED}.")
    if isinstance(factor, Decimal) and not (factor.is_finite() and abs(factor.adjusted()) < _MOST_BITS):
        raise SchemaError(f"Got a factor {where} that is not finite, or far from one, but expected {_EXPECTED}.")
    exact = Fraction(factor)
    rest = exact.denominator
    while rest % 5 == 0:
        rest //= 5
    if not exact or rest & (rest - 1) or max(abs(exact.numerator), exact.denominator).bit_length() > _MOST_BITS:
        msg = f"Got the factor {factor} {where}, but expected a decimal other than zero, of at most {_MOST_BITS} bits."
        raise SchemaError(msg)
    return exact


def _digits(schema: Schema, name: str, factor: Fraction) -> int | None:
    """Return as few digits after the point as all products need; None if floats stay such floats."""
    own = schema.decimals.get(name)
    binary = factor.denominator & (factor.denominator - 1) == 0
    if own is None and binary:
        return None
    least = factor / 10 ** (own or 0)
    digits = next((k for k in range(MAX_DECIMALS + 1) if (least * 10**k).denominator == 1), None)
    if digits is None:
        msg = (
            f"Got a factor for column {name!r} whose products need more than {MAX_DECIMALS} digits after the point, "
            "but expected one with fewer digits."
        )
        raise SchemaError(msg)
    return digits


def _scaled_range(bounds: Range, name: str, factor: Fraction, before: int | None, after: int | None) -> Range:
    low, high = (_scaled_bound(bound, name, factor, before, after) for bound in bounds)
    return (low, high) if factor > 0 else (high, low)


def _scaled_bound(bound: float, name: str, factor: Fraction, before: int | None, after: int | None) -> float:
    """Return a bound times a factor, where there is one: a float of just that, or the one that means the decimal."""
    if math.isinf(bound):
        return bound if factor > 0 else -bound
    exact = Fraction(bound) if before is None else Fraction(round(Fraction(bound) * 10**before), 10**before)
    exact *= factor
    if after is None:
        fits = abs(exact) < 2**1023 and Fraction(float(exact)) == exact
    else:
        scaled = exact * 10**after
        fits = scaled.denominator == 1 and abs(scaled) < decimal_limit(after)
    if not fits:
        kind = "float64" if after is None else f"decimal of {after} digits after the point"
        msg = (
            f"Got a factor for column {name!r} that makes of a bound of its range what is no {kind}: leave the ranges "
            "away before (without_ranges)."
        )
        raise SchemaError(msg)
    return float(exact)

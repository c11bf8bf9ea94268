"""Exact numbers with square roots: deviations and correlations are such, and meet a bound or miss it without doubt.

Owns the field operations and the sign; which statistics are such numbers is `_figures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction
from math import isqrt, prod

__all__ = ["Surd"]

_RATIONAL: frozenset[int] = frozenset()
_DIGITS = 30


class Surd:
    """A sum of rationals times square roots of integers; immutable.

    Parameters
    ----------
    terms : mapping of frozenset of int to Fraction
        The coefficient of each product of roots, by what stands under them.

    Notes
    -----
    A number is ``A + B sqrt(q)``, where `A` and `B` hold one root fewer.  Its sign is that of `A` and `B` where they
    agree, and else that of ``A**2 - B**2 q``, times the sign of `A`: rationals all the way down, no digit is lost.  The
    cost doubles with each root, hence whoever makes numbers of many bounds how many.
    """

    __slots__ = ("_terms",)

    def __init__(self, terms: Mapping[frozenset[int], Fraction]) -> None:
        self._terms = {roots: factor for roots, factor in terms.items() if factor}

    @classmethod
    def of(cls, value: Fraction | int) -> Surd:
        """Return a rational."""
        return cls({_RATIONAL: Fraction(value)})

    @classmethod
    def root(cls, value: Fraction) -> Surd:
        """Return the square root of what is not negative."""
        under = value.numerator * value.denominator
        whole = isqrt(under)
        if whole * whole == under:
            return cls.of(Fraction(whole, value.denominator))
        return cls({frozenset({under}): Fraction(1, value.denominator)})

    def __neg__(self) -> Surd:
        return Surd({roots: -factor for roots, factor in self._terms.items()})

    def __add__(self, other: Surd) -> Surd:
        terms = dict(self._terms)
        for roots, factor in other._terms.items():
            terms[roots] = terms.get(roots, Fraction(0)) + factor
        return Surd(terms)

    def __sub__(self, other: Surd) -> Surd:
        return self + -other

    def __mul__(self, other: Surd) -> Surd:
        terms: dict[frozenset[int], Fraction] = {}
        for mine, factor in self._terms.items():
            for theirs, by in other._terms.items():
                roots = mine ^ theirs
                terms[roots] = terms.get(roots, Fraction(0)) + factor * by * prod(mine & theirs)
        return Surd(terms)

    def __truediv__(self, other: Surd) -> Surd:
        return self * other.inverse()

    def inverse(self) -> Surd:
        """Return one over it.

        Raises
        ------
        ZeroDivisionError
            If it is zero, in whatever form.
        """
        if not self.sign():
            raise ZeroDivisionError
        split = self._split()
        if split is None:
            return Surd.of(1 / self._terms[_RATIONAL])
        rest, factor, under = split
        norm = rest * rest - factor * factor * Surd.of(under)
        if not norm.sign():  # the root is among the others after all, and both parts are equal
            return (rest + rest).inverse()
        return (rest - factor * Surd({frozenset({under}): Fraction(1)})) * norm.inverse()

    def _split(self) -> tuple[Surd, Surd, int] | None:
        """Return `A`, `B` and `q` of ``A + B sqrt(q)``; None for a rational."""
        under = max((root for roots in self._terms for root in roots), default=None)
        if under is None:
            return None
        rest = {roots: factor for roots, factor in self._terms.items() if under not in roots}
        times = {roots - {under}: factor for roots, factor in self._terms.items() if under in roots}
        return Surd(rest), Surd(times), under

    def sign(self) -> int:
        """Return -1, 0 or 1."""
        split = self._split()
        if split is None:
            value = self._terms.get(_RATIONAL, Fraction(0))
            return (value > 0) - (value < 0)
        rest, factor, under = split
        first, second = rest.sign(), factor.sign()
        if first * second >= 0:
            return first or second
        return first * (rest * rest - factor * factor * Surd.of(under)).sign()

    def rounded(self, digits: int = 6) -> str:
        """Return it to so many significant digits, to be read: an integer as it is."""
        whole = self._terms.get(_RATIONAL, Fraction(0))
        if self._split() is None and whole.denominator == 1 and abs(whole) < 10**15:
            return str(whole.numerator)
        with localcontext(prec=_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN):
            total = sum((_decimal(roots, factor) for roots, factor in self._terms.items()), Decimal(0))
            return f"{+total:.{digits}g}"


def _decimal(roots: frozenset[int], factor: Fraction) -> Decimal:
    value = Decimal(factor.numerator) / factor.denominator
    for root in roots:
        value *= Decimal(root).sqrt()
    return value

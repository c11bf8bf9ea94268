"""Figures of statistics, exactly, and what a rule says of them.

Owns what each function of a rule means, when it is undefined, and how a figure is told: rounded, and not at all where
it would be that of few rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from sklearn_symfed.federation._rules import Arithmetic, Call, Comparison, Junction, Negative, Not, Number, Rule
from sklearn_symfed.federation._surds import Surd
from sklearn_symfed.psr import PSR, Moments

__all__ = ["Figures"]

_FEW = 10
"""Figures of fewer rows than this but their number are not told: they may be those of a row."""

_HOLDS = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
    "==": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
}


class _UndefinedError(Exception):
    """A figure or a quotient that does not exist; the message says why."""


class Figures:
    """The figures of one PSR that rules may ask for.

    Parameters
    ----------
    psr : PSR
    calls : iterable of Call
        All that will be asked for.

    Notes
    -----
    Every figure is a rational or the root of one, and is never rounded before it is compared.  Variance, deviation and
    covariance are those of a sample: with ``W`` the sum of weights, they divide by ``W - sum(w**2) / W``, which is
    ``n - 1`` without weights.
    """

    def __init__(self, psr: PSR, calls: Iterable[Call]) -> None:
        calls = list(calls)
        columns = list(dict.fromkeys(column for call in calls for column in call.columns))
        by_class = any(call.column is not None for call in calls) and psr.schema.classes is not None
        self._all = psr.select(columns)  # of a thousand columns few are asked for
        classes = psr.select([*columns, psr.schema.classes or ""]).by_class() if by_class else {}
        self._classes = {(type(label), label): part for label, part in classes.items()}  # True and 1 are two labels
        self._none = PSR.zero(self._all.schema)
        self._values: dict[Call, Surd | _UndefinedError] = {}

    def judge(self, rule: Rule) -> str | None:
        """Return None if a rule holds, else the figures with which it does not.

        A comparison with an undefined figure neither holds nor does its contrary; what does not depend on it, as
        ``count("late", True) == 0 or mean("delay", "late", True) > 5`` without late rows, is decided all the same.
        """
        if self._test(rule.test):
            return None
        return ", ".join(map(self._told, rule.calls))

    def _told(self, call: Call) -> str:
        if call.function == "count":
            return f"{call} is {self._rows(call).n_rows}"
        try:
            value = self._figure(call)
        except _UndefinedError as error:
            return f"{call} is undefined, as {error}"
        if self._rows(call).n_rows < _FEW:
            return f"{call} is not told, as it is of fewer than {_FEW} rows"
        return f"{call} is {value.rounded()}"

    # -- what holds --------------------------------------------------------------------------------------------------

    def _test(self, test: Comparison | Not | Junction) -> bool | None:
        """Tell whether a test holds; None where that hangs on something undefined."""
        if isinstance(test, Comparison):
            return self._comparison(test)
        if isinstance(test, Not):
            held = self._test(test.of)
            return None if held is None else not held
        decisive = test.word == "or"
        found = [self._test(part) for part in test.of]
        return decisive if decisive in found else None if None in found else not decisive

    def _comparison(self, test: Comparison) -> bool | None:
        """As ``a < b and b < c``."""
        left, found = test.first, []
        for sign, right in test.others:
            try:
                found.append(_HOLDS[sign]((self._term(left) - self._term(right)).sign()))
            except _UndefinedError:
                found.append(None)
            left = right
        return False if False in found else None if None in found else True

    def _term(self, term: Number | Call | Negative | Arithmetic) -> Surd:
        if isinstance(term, Number):
            return Surd.of(term.value)
        if isinstance(term, Call):
            return self._figure(term)
        if isinstance(term, Negative):
            return -self._term(term.of)
        left, right = self._term(term.left), self._term(term.right)
        if term.sign == "+":
            return left + right
        if term.sign == "-":
            return left - right
        if term.sign == "*":
            return left * right
        try:
            return left / right
        except ZeroDivisionError:
            raise _UndefinedError("it divides by zero") from None

    # -- figures -----------------------------------------------------------------------------------------------------

    def _figure(self, call: Call) -> Surd:
        if call not in self._values:
            try:
                self._values[call] = self._computed(call)
            except _UndefinedError as error:
                self._values[call] = error
        value = self._values[call]
        if isinstance(value, _UndefinedError):
            raise value
        return value

    def _computed(self, call: Call) -> Surd:
        psr = self._rows(call)
        if call.function == "count":
            return Surd.of(psr.n_rows)
        if call.function == "share_missing":  # no schema lets values be missing yet
            return Surd.of(0)
        if not psr.n_rows:
            raise _UndefinedError("there are no such rows")
        columns = list(dict.fromkeys(call.columns))
        moments, last = psr.select(columns).moments(), len(columns) - 1
        if call.function == "mean":
            return Surd.of(Fraction(moments.matrix[0, 1], moments.matrix[0, 0]))
        if call.function == "corr":
            return _correlation(moments, 0, last)
        covariance = _covariance(moments, 0, last)
        return Surd.root(covariance) if call.function == "std" else Surd.of(covariance)

    def _rows(self, call: Call) -> PSR:
        """Return the statistics that a figure is of."""
        if call.column is None or call.label is None:
            return self._all
        return self._classes.get(call.label, self._none)


def _covariance(moments: Moments, first: int, second: int) -> Fraction:
    weight = moments.matrix[0, 0]
    divisor: Fraction = weight * weight - Fraction(moments.sum_w2) / moments.unit
    if divisor <= 0:
        raise _UndefinedError("it takes two rows")
    return _comoment(moments, first, second) / divisor


def _correlation(moments: Moments, first: int, second: int) -> Surd:
    squares = _comoment(moments, first, first) * _comoment(moments, second, second)
    if not squares:
        raise _UndefinedError("a column is constant")
    return Surd.of(Fraction(_comoment(moments, first, second), squares)) * Surd.root(Fraction(squares))


def _comoment(moments: Moments, first: int, second: int) -> int:
    """Return ``W * G - S S'`` of two columns, in units of ``unit**2``."""
    matrix = moments.matrix
    product = matrix[0, 0] * matrix[1 + first, 1 + second] - matrix[0, 1 + first] * matrix[0, 1 + second]
    return int(product)

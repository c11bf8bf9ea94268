"""Figures of statistics, exactly, and what a rule says of them.

Owns what each function of a rule means, when it is undefined, and how a figure is told: rounded, and not at all where
it would be that of few rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from sklearn_symfed.federation._guard import members
from sklearn_symfed.federation._rules import Arithmetic, Call, Comparison, Junction, Negative, Not, Number, Rule
from sklearn_symfed.federation._surds import Surd
from sklearn_symfed.psr import NUMERIC, PSR, Encoding, Moments, Schema

__all__ = ["Figures"]

_FEW = 10
"""Figures of fewer rows than this but their number are not told: they may be those of a row."""

Combination = dict[int, int]

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
        calls, self._schema, self._n_incomplete = list(calls), psr.schema, psr.n_incomplete
        stored = psr.as_stored()
        names = [name for call in calls for name in _stored(call, psr.schema) if name in stored.names]
        names = list(dict.fromkeys(names))  # of a thousand columns few are asked for
        by_class = stored.schema.classes is not None and any(call.column == stored.schema.classes for call in calls)
        self._all = stored.select(names)
        classes = stored.select([*names, stored.schema.classes or ""]).by_class() if by_class else {}
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
        try:
            value = self._figure(call)
        except _UndefinedError as error:
            return f"{call} is undefined, as {error}"
        if call.function != "count" and self._part(call).n_rows < _FEW:
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
        part = self._part(call)
        if call.function == "count":
            return Surd.of(part.count)
        if call.function == "share_missing":
            return Surd.of(self._share_missing(call, part))
        if not part.weight:
            raise _UndefinedError("there are no such rows")
        if call.function == "mean":
            return Surd.of(Fraction(part.sum(0), part.weight))
        if part.level is not None:
            raise _UndefinedError("of the rows of a level there are no squares")
        if call.function == "corr":
            return part.correlation()
        covariance = part.covariance()
        return Surd.root(covariance) if call.function == "std" else Surd.of(covariance)

    def _share_missing(self, call: Call, part: _Part) -> Fraction:
        mode = self._schema.missing.get(call.columns[0])
        if mode == "listwise" and call.column is not None:
            raise _UndefinedError("rows that are left out are counted for all of them together")
        if mode == "listwise":
            rows = self._all.n_rows + self._n_incomplete
            return Fraction(self._n_incomplete, rows) if rows else Fraction(0)
        if not part.whole:
            raise _UndefinedError("there are no such rows")
        return 1 - Fraction(part.weight, part.whole)

    def _part(self, call: Call) -> _Part:
        """Return the statistics that a figure is of."""
        schema, psr = self._schema, self._all
        level = _indicator(call, schema)
        if call.label is not None and level is None:
            psr = self._classes.get(call.label, self._none)
        columns = [(name, schema.encodings.get(name, NUMERIC)) for name in call.columns]
        names = [name for name in _stored(call, schema) if name in psr.names]
        return _Part(psr.select(list(dict.fromkeys(names))).moments(), columns, level)


class _Part:
    """The rows of a figure: those that have values of its columns, of all rows, of a class, or of a level.

    Parameters
    ----------
    moments : Moments
        Of the columns that tell of them, with zeros for what is missing.
    columns : list of (str, Encoding)
        One or two columns, or none.
    level : str or None
        The indicator of the level.

    Attributes
    ----------
    whole : int
        Weight of the rows, whatever is missing, in units of the moments.
    weight : int
        Weight of those that have values of all columns.
    """

    def __init__(self, moments: Moments, columns: list[tuple[str, Encoding]], level: str | None) -> None:
        self._moments, self.level = moments, level
        self._place = {name: 1 + position for position, name in enumerate(moments.names)}
        self._columns = [columns[0], columns[-1]] if columns else []
        first, last = self._columns or (None, None)
        self._there = self._rows_with(first), self._rows_with(last)
        self.whole = self._product({0: 1}, self._given)
        self.weight = self._product(self._there[0], self._given if level is not None else self._there[1])

    @property
    def _given(self) -> Combination:
        if self.level is None:
            return {0: 1}
        return {self._place[self.level]: 1} if self.level in self._place else {}

    def _rows_with(self, column: tuple[str, Encoding] | None) -> Combination:
        """Return what is one in rows that have a value, as a combination of columns."""
        mask = None if column is None else column[1].mask(column[0])
        if mask is None:
            return {0: 1}
        return {self._place[mask[0]]: 1} if mask[1] else {0: 1, self._place[mask[0]]: -1}

    def _product(self, left: Combination, right: Combination) -> int:
        matrix = self._moments.matrix
        return sum(int(matrix[i, j]) * a * b for i, a in left.items() for j, b in right.items())

    @property
    def _even(self) -> bool:
        """Whether every weight is one."""
        moments = self._moments
        return bool(moments.matrix[0, 0] == moments.sum_w2 == moments.n_rows / moments.unit)

    @property
    def count(self) -> int:
        """How many rows these are, whatever is missing."""
        if self.level is None:
            return self._moments.n_rows
        if self.whole and not self._even:
            raise _UndefinedError("rows of a level are not counted where some weigh more than others")
        return int(self.whole * self._moments.unit)

    @property
    def n_rows(self) -> int:
        """At least how many rows these are that have all values."""
        moments = self._moments
        return moments.n_rows if self.weight == moments.matrix[0, 0] else members(moments, self.weight)

    def sum(self, which: int) -> int:
        """Return the sum of the first or the second column, over the rows that have both."""
        place = self._place[self._columns[which][0]]
        return self._product({place: 1}, self._given if self.level is not None else self._there[1 - which])

    def comoment(self) -> int:
        """Return ``n sum(xy) - sum(x) sum(y)``."""
        x, y = (self._place[name] for name, _ in self._columns)
        return self.weight * self._product({x: 1}, {y: 1}) - self.sum(0) * self.sum(1)

    def covariance(self) -> Fraction:
        """Return the covariance of a sample."""
        moments = self._moments
        complete = self.weight == moments.matrix[0, 0]
        if not (complete or self._even):
            raise _UndefinedError("values are missing of rows some of which weigh more than others")
        squares = moments.sum_w2 if complete else self.weight
        divisor: Fraction = self.weight * self.weight - Fraction(squares) / moments.unit
        if divisor <= 0:
            raise _UndefinedError("it takes two rows")
        return self.comoment() / divisor

    def correlation(self) -> Surd:
        """Return the covariance over the deviations of all values of each column."""
        own = [_Part(self._moments, [column], None) for column in self._columns]
        first, second = (part.comoment() for part in own)
        squares = first * second
        if not squares:
            raise _UndefinedError("a column is constant")
        weights = Fraction(own[0].weight * own[1].weight, self.weight * self.weight)
        return Surd.of(self.comoment() * weights / squares) * Surd.root(Fraction(squares))


def _stored(call: Call, schema: Schema) -> list[str]:
    """Return the columns of a state that a figure takes."""
    found = []
    for name in call.columns:
        encoding = schema.encodings.get(name, NUMERIC)
        mask = encoding.mask(name)
        found += [*([name] if encoding.levels is None else []), *([mask[0]] if mask else [])]
    level = _indicator(call, schema)
    return found if level is None else [*found, level]


def _indicator(call: Call, schema: Schema) -> str | None:
    """Return the indicator of the level that a figure is of; None if it is of a class, or of all rows."""
    if call.column is None or call.label is None or call.column not in schema.categories:
        return None
    return schema.encodings[call.column].indicator(call.column, call.label[1])

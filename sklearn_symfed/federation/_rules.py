"""Rules on statistics, as an admin writes them: their grammar, where one is wrong, and the form in which they travel.

Owns text and tree; what a rule says of statistics is `_figures`.  Python's own parser reads the text, and of what it
finds only what stands in the grammar is taken; nothing is ever evaluated as Python.

::

    rule        comparison | not rule | rule and rule | rule or rule
    comparison  number < number <= number ...            with  <  <=  >  >=  ==  !=
    number      1000 | 0.2 | 1e6 | -number | number + number | - | * | /
                function("column", ...) | function("column", ..., "class column", label)
                count() | mean(x) | share_missing(x), each with "column of categories", level at the end
    function    count() | mean(x) | variance(x) | std(x) | cov(x, y) | corr(x, y) | share_missing(x)
    label       True | 7 | "UA"
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from sklearn_symfed.exceptions import SchemaError, SettingError
from sklearn_symfed.psr import Label, Schema, normalised

__all__ = ["FUNCTIONS", "MAX_RULE", "Arithmetic", "Call", "Comparison", "Junction", "Negative", "Not", "Number", "Rule"]

FUNCTIONS = {"count": 0, "mean": 1, "variance": 1, "std": 1, "cov": 2, "corr": 2, "share_missing": 1}
"""How many columns each takes, before class column and label."""
_OF_LEVELS = ("count", "mean", "share_missing")
MAX_RULE = 1_000
"""Characters of a rule."""
_MAX_DEPTH = 20
_MAX_CALLS = 32
_MAX_ROOTS = 4  # in one comparison: exact comparison costs twice as much for each
_MAX_DIGITS = 30
_MAX_EXPONENT = 300
_SHOWN = 60  # characters before and after the place of an error
_NUMBER = re.compile(r"(\d[\d_]*)?(\.[\d_]*)?([eE][+-]?\d{1,3})?")

_COMPARED = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_COMPUTED = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_BINDS = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "/": 6}
_COMPARISON_BINDS, _SIGN_BINDS, _ATOM_BINDS = 4, 7, 8


class Number(NamedTuple):
    """A decimal: ``digits * 10**exponent``, with as few digits as will do."""

    digits: int
    exponent: int

    @property
    def value(self) -> Fraction:
        """The number that it is."""
        return self.digits * Fraction(10) ** self.exponent

    def __str__(self) -> str:
        plain = f"{Decimal((0, tuple(map(int, str(self.digits))), self.exponent)):f}"
        return plain if len(plain) <= _MAX_DIGITS else f"{self.digits}e{self.exponent}"


class Call(NamedTuple):
    """A figure of the statistics: of all rows, or of those of one class, or of one level of a column of categories."""

    function: str
    columns: tuple[str, ...]
    column: str | None = None
    label: tuple[type, Label] | None = None  # with its type, since True == 1

    def __str__(self) -> str:
        labels = [] if self.column is None or self.label is None else [_quoted(self.column), _quoted(self.label[1])]
        return f"{self.function}({', '.join([*map(_quoted, self.columns), *labels])})"


class Negative(NamedTuple):
    """A number with its sign turned."""

    of: Term


class Arithmetic(NamedTuple):
    """Two numbers and what is done with them."""

    sign: str
    left: Term
    right: Term


Term = Number | Call | Negative | Arithmetic


class Comparison(NamedTuple):
    """Numbers, and how each relates to the next."""

    first: Term
    others: tuple[tuple[str, Term], ...]


class Not(NamedTuple):
    """What must not hold."""

    of: Test


class Junction(NamedTuple):
    """Several tests of which all (``and``) or one (``or``) must hold."""

    word: str
    of: tuple[Test, ...]


Test = Comparison | Not | Junction


@dataclass(frozen=True)
class Rule:
    """A rule; `str` gives the one form in which it travels.

    Attributes
    ----------
    test : Comparison, Not or Junction
        What must hold.

    Examples
    --------
    >>> print(Rule.read("0<mean('fare')<2_00.0"))
    0 < mean("fare") < 200
    """

    test: Test
    _text: str = field(repr=False, compare=False)

    @classmethod
    def read(cls, text: str, schema: Schema | None = None) -> Rule:
        """Read a rule as somebody writes it.

        Parameters
        ----------
        text : str
        schema : Schema, default=None
            The columns, where they are known.

        Raises
        ------
        SettingError
            If it is no rule; says where, and what was expected there.
        """
        if not isinstance(text, str):
            raise SettingError(f'Got a rule of type {type(text).__name__}, but expected a str as "count() >= 1000".')
        if len(text) > MAX_RULE:
            raise SettingError(f"Got a rule of {len(text)} characters, but expected at most {MAX_RULE}.")
        test = _Reader(text.strip(), schema).test()
        canonical = _written(test)[0]
        if len(canonical) > MAX_RULE:
            raise SettingError(f"Got a rule that takes {len(canonical)} characters, but expected at most {MAX_RULE}.")
        return cls(test, canonical)

    def __str__(self) -> str:
        return self._text

    @property
    def calls(self) -> list[Call]:
        """The figures that it speaks of, once each, in order."""
        return list(dict.fromkeys(_calls(self.test)))


class _Reader:
    """Makes a tree of a text, or says where it is wrong."""

    def __init__(self, text: str, schema: Schema | None) -> None:
        self._text = text
        self._schema = schema
        self._n_calls = 0

    def test(self) -> Test:
        try:
            with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # "1in x": whoever reads, refuses
                tree = ast.parse(self._text, mode="eval")
        except SyntaxError as error:
            place = 1 if error.offset is None else error.offset or MAX_RULE  # 0: it ends where more should come
            raise self._wrong_at(error.lineno or 1, place, "what cannot be read", _A_TEST) from None
        except (ValueError, MemoryError, RecursionError):  # NUL, lone surrogates; brackets within brackets
            raise self._wrong_at(1, 1, "what cannot be read", _A_TEST) from None
        return self._test(tree.body, 1)

    # -- tests -------------------------------------------------------------------------------------------------------

    def _test(self, node: ast.expr, depth: int) -> Test:
        self._require_depth(node, depth)
        if isinstance(node, ast.BoolOp):
            word = "and" if isinstance(node.op, ast.And) else "or"
            return Junction(word, tuple(self._test(value, depth + 1) for value in node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self._test(node.operand, depth + 1))
        if isinstance(node, ast.Compare):
            return self._comparison(node, depth)
        raise self._wrong(node, _A_TEST)

    def _comparison(self, node: ast.Compare, depth: int) -> Comparison:
        signs = []
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            if type(sign) not in _COMPARED:
                raise self._wrong(operand, f"a comparison by one of {' '.join(_COMPARED.values())} before it")
            signs.append(_COMPARED[type(sign)])
        first, *others = (self._term(term, depth + 1) for term in [node.left, *node.comparators])
        made = Comparison(first, tuple(zip(signs, others, strict=True)))
        calls = set(_calls(made))
        if not calls:
            raise self._wrong(node, f"a figure of the statistics in each comparison: {_A_FUNCTION}")
        if sum(call.function in {"std", "corr"} for call in calls) > _MAX_ROOTS:
            raise self._wrong(node, f"at most {_MAX_ROOTS} different std and corr in one comparison")
        return made

    # -- numbers -----------------------------------------------------------------------------------------------------

    def _term(self, node: ast.expr, depth: int) -> Term:
        self._require_depth(node, depth)
        if isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED:
            left, right = self._term(node.left, depth + 1), self._term(node.right, depth + 1)
            return Arithmetic(_COMPUTED[type(node.op)], left, right)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operand = self._term(node.operand, depth + 1)
            return Negative(operand) if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            return self._number(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._wrong(node, f"a number or {_A_FUNCTION}")

    def _number(self, node: ast.Constant) -> Number:
        text = ast.get_source_segment(self._text, node) or ""
        if not _NUMBER.fullmatch(text):
            raise self._wrong(node, "a decimal number as 1000, 0.2 or 1e6")
        _, figures, exponent = Decimal(text).as_tuple()
        assert isinstance(exponent, int)
        digits = "".join(map(str, figures)).lstrip("0")
        significant = digits.rstrip("0")
        power = exponent + len(digits) - len(significant) if significant else 0
        if len(significant) > _MAX_DIGITS or abs(power) > _MAX_EXPONENT:
            raise self._wrong(node, f"at most {_MAX_DIGITS} digits and powers of ten up to {_MAX_EXPONENT}")
        return Number(int(significant or "0"), power)

    def _call(self, node: ast.Call) -> Call:
        self._n_calls += 1
        if self._n_calls > _MAX_CALLS:
            raise self._wrong(node, f"at most {_MAX_CALLS} figures in a rule")
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in FUNCTIONS:
            raise self._wrong(node.func, _A_FUNCTION, "no function that a rule has")
        n_columns = FUNCTIONS[name]
        if node.keywords or len(node.args) not in {n_columns, n_columns + 2}:
            raise self._wrong(node, _signature(name))
        columns = tuple(self._column(argument, name) for argument in node.args[:n_columns])
        if len(node.args) == n_columns:
            return Call(name, columns)
        column, label = self._name(node.args[n_columns], name), self._label(node.args[n_columns + 1])
        if self._schema is not None:
            self._require_part(node, self._schema, Call(name, columns, column, label))
        return Call(name, columns, column, label)

    def _column(self, node: ast.expr, function: str) -> str:
        name, schema = self._name(node, function), self._schema
        if schema is None:
            return name
        if name not in schema.columns:
            raise self._wrong(node, f"one of the columns {_some(schema.columns)}", "an unknown column")
        if name in schema.categories and function != "share_missing":
            numeric = tuple(column for column in schema.columns if column not in schema.categories)
            expected = f'one of the columns of numbers {_some(numeric)}, or count("{name}", level)'
            raise self._wrong(node, expected, "a column of categories")
        return name

    def _require_part(self, node: ast.Call, schema: Schema, call: Call) -> None:
        """Raise unless the statistics hold the figure of a class, or of a level."""
        column, label = node.args[-2:]
        categories, encodings = schema.categories, schema.encodings
        if call.column not in {schema.classes, *categories}:
            there = "there is none" if schema.classes is None else f"which is {schema.classes!r}"
            beside = f" or a column of categories, {_some(tuple(categories))}" if categories else ""
            raise self._wrong(column, f"the class column ({there}){beside}", "another column")
        missing = [schema.missing.get(name) for name in call.columns]
        if call.function == "share_missing" and "listwise" in missing:
            expected = "no class and no level: rows that are left out are counted for all of them together"
            raise self._wrong(column, expected, "a part of the rows")
        if call.column not in categories:
            return
        if call.function not in _OF_LEVELS:
            expected = (
                f"the class column there, or one of {', '.join(_OF_LEVELS)}: of the rows of a level, statistics hold "
                f"their number and sums, and no squares, which {call.function} takes"
            )
            raise self._wrong(column, expected, "a column of categories")
        encoding = encodings[call.column]
        name = encoding.indicator(call.column, call.label[1] if call.label else None)
        if encoding.declared and name not in encoding.names(call.column):
            raise self._wrong(label, f"one of the levels {_some(categories[call.column])}", "an unknown level")

    def _name(self, node: ast.expr, function: str) -> str:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise self._wrong(node, f"a column's name in quotes, as in {_signature(function)}")
        try:
            return normalised(node.value)
        except SchemaError as error:
            raise self._wrong(node, f"a column's name ({error})") from None

    def _label(self, node: ast.expr) -> tuple[type, Label]:
        negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        constant = node.operand if isinstance(node, ast.UnaryOp) and negative else node
        if isinstance(constant, ast.Constant):
            value = constant.value
            if type(value) is int:
                return int, -value if negative else value
            if type(value) is bool and not negative:
                return bool, value
            if type(value) is str and not negative:
                return str, self._name(constant, "count") if value else value
        raise self._wrong(node, 'a label: True, 7 or "UA"')

    # -- what is wrong -----------------------------------------------------------------------------------------------

    def _require_depth(self, node: ast.expr, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise self._wrong(node, f"at most {_MAX_DEPTH} levels of brackets and signs")

    def _wrong(self, node: ast.expr, expected: str, got: str | None = None) -> SettingError:
        line = self._lines[node.lineno - 1].encode()
        column = len(line[: node.col_offset].decode(errors="replace")) + 1
        return self._wrong_at(node.lineno, column, got or _KINDS.get(type(node), "what no rule holds"), expected)

    def _wrong_at(self, line: int, column: int, got: str, expected: str) -> SettingError:
        line = min(line, len(self._lines))
        whole = "".join(letter if letter.isprintable() else "?" for letter in self._lines[line - 1])
        column = max(1, min(column, len(whole) + 1))
        before, after = whole[max(0, column - 1 - _SHOWN) : column - 1], whole[column - 1 : column - 1 + _SHOWN]
        where = f"line {line}, column {column}"
        return SettingError(
            f"Got a rule with {got} at {where}, but expected {expected}:\n    {before}{after}\n    {' ' * len(before)}^"
        )

    @property
    def _lines(self) -> list[str]:
        return re.split(r"\r\n|\r|\n", self._text)


_A_TEST = "a comparison as count() >= 1000, perhaps with and, or, not"
_A_FUNCTION = f"one of the functions {', '.join(FUNCTIONS)}"
_KINDS: dict[type, str] = {
    ast.Name: "a bare name",
    ast.Call: "a call",
    ast.Constant: "a literal",
    ast.Compare: "a comparison",
    ast.BoolOp: "and or or",
    ast.UnaryOp: "a sign",
    ast.BinOp: "a computation",
    ast.Starred: "a star",
}


def _signature(function: str) -> str:
    columns = ['"x"', '"y"'][: FUNCTIONS[function]]
    of_class = [*columns, '"class column"', "label"]
    return f"{function}({', '.join(columns)}) or {function}({', '.join(of_class)})"


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return shown if len(names) <= 20 else f"{shown}, ... ({len(names)} in all)"


def _calls(of: Test | Term) -> Iterator[Call]:
    if isinstance(of, Call):
        yield of
    elif isinstance(of, Negative | Not):
        yield from _calls(of.of)
    elif isinstance(of, Arithmetic):
        yield from _calls(of.left)
        yield from _calls(of.right)
    elif isinstance(of, Comparison):
        yield from _calls(of.first)
        for _, term in of.others:
            yield from _calls(term)
    elif isinstance(of, Junction):
        for test in of.of:
            yield from _calls(test)


# -- the one form of a rule ------------------------------------------------------------------------------------------


def _quoted(value: Label) -> str:
    """Return a literal that is read as this value."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _written(of: Test | Term) -> tuple[str, int]:
    """Return the text, and how tightly its outermost sign binds."""
    if isinstance(of, Number | Call):
        return str(of), _ATOM_BINDS
    if isinstance(of, Negative):
        return f"-{_within(of.of, _SIGN_BINDS)}", _SIGN_BINDS
    if isinstance(of, Not):
        return f"not {_within(of.of, _BINDS['not'])}", _BINDS["not"]
    if isinstance(of, Comparison):
        parts = [_within(of.first, 5), *(f"{sign} {_within(term, 5)}" for sign, term in of.others)]
        return " ".join(parts), _COMPARISON_BINDS
    if isinstance(of, Arithmetic):
        binds = _BINDS[of.sign]
        return f"{_within(of.left, binds)} {of.sign} {_within(of.right, binds + 1)}", binds
    binds = _BINDS[of.word]
    return f" {of.word} ".join(_within(test, binds + 1) for test in of.of), binds


def _within(of: Test | Term, least: int) -> str:
    text, binds = _written(of)
    return text if binds >= least else f"({text})"

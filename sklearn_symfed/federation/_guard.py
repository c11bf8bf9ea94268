"""The disclosure guard: what the statistics of one node must look like before they leave its house.

Owns the thresholds, and the rules on a single release; `_differencing` compares releases with one another.  Pure: it
knows statistics, and neither rows nor a store.  Whatever is not let out waits, with a reason that names column, class
and number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, fields, replace
from fractions import Fraction
from typing import Any, NamedTuple, Self

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.psr import PSR, Moments, Schema

__all__ = [
    "DEFAULT",
    "OFF",
    "Guard",
    "Reason",
    "Words",
    "members",
    "of_change",
    "parts",
    "shortcomings",
    "weighed_rows",
    "words_of",
]

_MOST = 1_000_000
_MOST_PERCENT = 50


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Thresholds on what a node may publish; a zero switches a rule off.

    Each holds for every class on its own, where there are classes, since the statistics of each class are published.

    Parameters
    ----------
    rows : int, default=10
        The fewest rows.
    class_rows : int, default=10
        The fewest rows of each class that occurs.
    level_rows : int, default=5
        The fewest rows in each level of a column of zeros and ones that occurs.
    rows_per_column : int, default=5
        The fewest rows for each column.
    dominance : int, default=1
        A column waits if the square of its sum lies within so many percent of its sum of squares, as it does where one
        row outweighs all others: then that row can be read off.
    changed_rows : int, default=10
        Between any two releases so many rows are learned, or none, and so many are forgotten, or none; with more
        columns than that, as many as there are columns.  Where some are learned and some forgotten, so many have
        truly changed, as far as can be proven.

    Raises
    ------
    SettingError
        If a threshold is no integer in its range.
    """

    rows: int = 10
    class_rows: int = 10
    level_rows: int = 5
    rows_per_column: int = 5
    dominance: int = 1
    changed_rows: int = 10

    def __post_init__(self) -> None:
        for name, value in self._named():
            most = _MOST_PERCENT if name == "dominance" else _MOST
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise SettingError(f"Got {name}={value!r} for the guard, but expected an integer from 0 to {most}.")

    def __bool__(self) -> bool:
        """Tell whether any rule is on."""
        return any(astuple(self))

    def _named(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    @classmethod
    def read(cls, guard: Guard | str | None, default: Guard) -> Guard:
        """Return what a user asks for: a guard, ``"off"``, or None for the default.

        Raises
        ------
        SettingError
            If it is anything else.
        """
        if guard is None:
            return default
        if isinstance(guard, str) and guard == "off":
            return OFF
        if not isinstance(guard, Guard):
            raise SettingError(f"Got guard={guard!r}, but expected a Guard, 'off' or None.")
        return guard

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The numbers, in the order of the parameters."""
        return astuple(self)

    @classmethod
    def of(cls, thresholds: tuple[int, ...]) -> Self:
        """Return the guard of some numbers, as `thresholds` gave them.

        Raises
        ------
        SettingError
            If they are not as many, or out of range.
        """
        names = [field.name for field in fields(cls)]
        if len(thresholds) != len(names):
            raise SettingError(f"Got {len(thresholds)} thresholds of a guard, but expected {len(names)}.")
        return cls(**dict(zip(names, thresholds, strict=True)))

    def require_as_strict(self, federation: Guard) -> None:
        """Raise unless no threshold is lower than the federation's.

        Raises
        ------
        SettingError
            Lists every threshold that is.
        """
        laxer = [
            f"{name}={value} where the federation has {least}"
            for (name, value), (_, least) in zip(self._named(), federation._named(), strict=True)
            if value < least
        ]
        if laxer:
            raise SettingError(
                f"Got a guard with {', '.join(laxer)}, but expected one that is at least as strict in everything."
            )


DEFAULT = Guard()
OFF = Guard(rows=0, class_rows=0, level_rows=0, rows_per_column=0, dominance=0, changed_rows=0)


@dataclass(frozen=True)
class Reason:
    """Why something waits.

    Attributes
    ----------
    rule : str
        Which threshold, by its name in `Guard`.
    column, label : str or None, object
        The column and the class that it is about, if any.
    have, need : int
        What there is, and the least that is asked for; for ``dominance`` the percent of difference.
    text : str
        All of that in words, with what to do about it.
    """

    rule: str
    column: str | None
    label: object
    have: int
    need: int
    text: str

    def __str__(self) -> str:
        return self.text


class Words(NamedTuple):
    """What is said of a column of zeros and ones, where it is not one of rows.

    Attributes
    ----------
    column : str
        The column of rows that it stands for.
    ones, zeros : str
        Which rows have a one, and which a zero.
    before : str
        What is named before that.
    advice : str
        What to do where there are few of them.
    """

    column: str
    ones: str
    zeros: str
    before: str = ""
    advice: str = "leave such rows out, drop the column, or wait for more rows"


_OF_LEVELS = "declare levels with 'other', drop the column, or wait for more rows"


def words_of(schema: Schema) -> dict[str, Words]:
    """Return what is said of indicators of levels, and of columns that say where values are there, by their names."""
    found = {}
    for column, encoding in schema.encodings.items():
        for level in encoding.levels or ():
            before = f"column {column!r}, level {level!r}: "
            found[encoding.indicator(column, level)] = Words(column, "in it", "outside of it", before, _OF_LEVELS)
        mask = encoding.mask(column)
        if mask is not None:
            said = [f"with a value of {column!r}", f"without a value of {column!r}"]
            found[mask[0]] = Words(column, *(said if mask[1] else said[::-1]))
    return found


def parts(psr: PSR) -> Mapping[Any, PSR]:
    """Return what is published: the statistics of each class, or those of all rows under None."""
    return {None: psr} if psr.schema.classes is None else psr.by_class()


def shortcomings(guard: Guard, psr: PSR) -> list[Reason]:
    """Return what keeps some statistics from being published, whatever was published before.

    Statistics of no rows hold nothing back.  A weighted row counts as far as it weighs beside the others: rows are
    ``(sum of weights)**2 / sum of squared weights``, at most their number, and that number where all weights are one.
    """
    found: list[Reason] = []
    words, psr = words_of(psr.schema), psr.as_stored()  # what says where a value was there tells of rows, too
    total = psr.moments()
    if total.n_rows and guard.rows:
        found += _too_few("rows", None, weighed_rows(total), guard.rows, "wait for more rows")
    for label, part in parts(psr).items():
        moments = total if label is None else part.moments()
        if moments.n_rows:
            found += _of_part(guard, moments, label, words)
    return found


def _of_part(guard: Guard, moments: Moments, label: object, words: Mapping[str, Words]) -> Iterator[Reason]:
    rows = weighed_rows(moments)
    if label is not None:
        yield from _too_few(
            "class_rows", label, rows, guard.class_rows, "wait for more rows of that class, or merge it"
        )
    n_columns = len(moments.names)
    yield from _too_few(
        "rows_per_column",
        label,
        rows,
        guard.rows_per_column * n_columns,
        f"{guard.rows_per_column} for each of {n_columns} columns: wait for more rows, or drop columns",
    )
    yield from _of_columns(guard, moments, label, words)


def of_change(
    guard: Guard, moments: Moments, label: object, release: str, words: Mapping[str, Words]
) -> Iterator[Reason]:
    """Return what keeps rows that were only learned, or only forgotten, since a release from being told by then."""
    for reason in _of_columns(guard, moments, label, words):
        yield replace(reason, text=f"since {release}: {reason.text}")


def _of_columns(guard: Guard, moments: Moments, label: object, words: Mapping[str, Words]) -> Iterator[Reason]:
    for position, column in enumerate(moments.names):
        total, squares = moments.matrix[0, position + 1], moments.matrix[position + 1, position + 1]
        if total == squares:
            said = words.get(column, _plain_words(column))
            yield from _levels(guard, moments, said, total, label)
        elif guard.dominance:
            yield from _dominated(guard, moments, column, total, squares, label)


def weighed_rows(moments: Moments) -> int:
    """Return the number of rows, less where some weigh more than others."""
    return members(moments, moments.matrix[0, 0])


def members(moments: Moments, weight: int) -> int:
    """Return how many of the rows there are, given the sum of their weights; at least, where weights differ.

    By Cauchy and Schwarz ``weight**2 <= members * (sum of their squared weights)``.
    """
    if moments.matrix[0, 0] == moments.sum_w2 == moments.n_rows / moments.unit:  # so every weight is one
        return int(weight * moments.unit)
    return int(Fraction(weight * weight, moments.sum_w2) * moments.unit)


def _too_few(rule: str, label: object, have: int, need: int, advice: str) -> Iterator[Reason]:
    if have < need:
        yield Reason(rule, None, label, have, need, f"{_of(label)}{have} of {need} rows ({advice})")


def _plain_words(column: str) -> Words:
    advice = f"declare its {_OF_LEVELS.removeprefix('declare ')}"
    return Words(column, "in level 1", "in level 0", f"column {column!r}: ", advice)


def _levels(guard: Guard, moments: Moments, words: Words, ones: int, label: object) -> Iterator[Reason]:
    """Look at a column whose sum is its sum of squares: of integers only zeros and ones have that.

    Every column of zeros and ones is found.  A column of other numbers, not all integers, can be taken for one by a
    coincidence of exact sums; it is held to one rule too many then.
    """
    for where, weight in ((words.ones, ones), (words.zeros, moments.matrix[0, 0] - ones)):
        have = members(moments, weight)
        if weight and have < guard.level_rows:
            text = f"{_of(label)}{words.before}{have} of {guard.level_rows} rows {where} ({words.advice})"
            yield Reason("level_rows", words.column, label, have, guard.level_rows, text)


def _dominated(
    guard: Guard, moments: Moments, column: str, total: int, squares: int, label: object
) -> Iterator[Reason]:
    """Compare the square of a sum with the sum of squares: they are equal where one row, of mean weight, has it all."""
    squared, single = total * total * moments.n_rows, squares * moments.matrix[0, 0]
    apart = Fraction(100 * abs(squared - single), single)
    if apart <= guard.dominance:
        text = (
            f"{_of(label)}column {column!r}: the square of its sum is within {guard.dominance} % of its sum of "
            "squares, as if one row outweighed all others (drop the column, or wait for more rows)"
        )
        yield Reason("dominance", column, label, int(apart), guard.dominance + 1, text)


def _of(label: object) -> str:
    return "" if label is None else f"class {label!r}: "

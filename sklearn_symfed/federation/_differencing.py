"""The disclosure guard between releases: statistics are exact, so the difference of two releases is a release, too.

Owns what counts as a change large enough, how rows that were learned and forgotten are counted, and the exact rank of a
difference.  Pure: whoever keeps the releases hands them in.

What is compared, for each class on its own::

    learned since      none, or at least m = max(changed_rows, columns)
    forgotten since    none, or at least m
    one of both        what changed are statistics of rows: at least m as far as they weigh, and held to the rules on
                       levels and dominance of a release
    both               there are m rows more or fewer than then, or the difference has the exact rank changed_rows;
                       and if it can be the statistics of rows, it is held to the same rules

The numbers of rows learned and forgotten cannot be read off a difference: 40 forgotten and 39 of them learned again
differ by one row.  What proves the number of rows that truly changed is the difference itself: no fewer than its rank,
and no fewer than the rows that are more or less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any, NamedTuple

import msgpack
import numpy as np
from flint import fmpz_mat, nmod_mat

from sklearn_symfed.exceptions import ForgetError
from sklearn_symfed.federation._guard import (
    Guard,
    Reason,
    Words,
    of_change,
    parts,
    shortcomings,
    weighed_rows,
    words_of,
)
from sklearn_symfed.psr import PSR, Moments

__all__ = ["Earlier", "Turnover", "Verdict", "judge"]

_PRIME = 2**61 - 1
_MOST_TOLD = 5

Integers = np.ndarray[Any, np.dtype[np.object_]]


class Turnover:
    """How many rows of each class were ever learned and ever forgotten; an immutable value.

    Parameters
    ----------
    counts : mapping of label to (int, int)
        Under None where there are no classes.
    """

    def __init__(self, counts: Mapping[Any, tuple[int, int]] | None = None) -> None:
        self.counts = dict(counts or {})

    def learned(self, psr: PSR) -> Turnover:
        """Return the turnover once some rows more were learned."""
        return self._plus(psr, 0)

    def forgotten(self, psr: PSR) -> Turnover:
        """Return the turnover once some rows more were forgotten."""
        return self._plus(psr, 1)

    def _plus(self, psr: PSR, which: int) -> Turnover:
        counts = dict(self.counts)
        for label, part in parts(psr).items():
            pair = list(counts.get(label, (0, 0)))
            pair[which] += part.n_rows
            counts[label] = (pair[0], pair[1])
        return Turnover(counts)

    def since(self, earlier: Turnover, label: object) -> tuple[int, int]:
        """Return how many rows of a class were learned and forgotten since then."""
        now, then = self.counts.get(label, (0, 0)), earlier.counts.get(label, (0, 0))
        return now[0] - then[0], now[1] - then[1]

    def only_learned_since(self, earlier: Turnover) -> bool:
        """Tell whether no row was forgotten since then."""
        return not any(self.since(earlier, label)[1] for label in self.counts)

    def total(self) -> tuple[int, int]:
        """Return how many rows of all classes were learned and forgotten."""
        return sum(pair[0] for pair in self.counts.values()), sum(pair[1] for pair in self.counts.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Turnover) and self.counts == other.counts

    def __hash__(self) -> int:
        return hash(frozenset(self.counts.items()))

    def to_bytes(self) -> bytes:
        """Return the form that is stored."""
        packed: bytes = msgpack.packb([[label, *pair] for label, pair in self.counts.items()])
        return packed

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Turnover:
        """Read what `to_bytes` wrote; nothing is no turnover."""
        return cls({label: (added, gone) for label, added, gone in msgpack.unpackb(data)} if data else {})


class Earlier(NamedTuple):
    """A release that was made: its name for people, the turnover at a time when its rows were held, its statistics."""

    name: str
    turnover: Turnover
    load: Callable[[], PSR]


@dataclass(frozen=True)
class Verdict:
    """Whether some statistics may leave the house; true if they may.

    Attributes
    ----------
    reasons : tuple of Reason
        Why not.
    """

    reasons: tuple[Reason, ...]

    def __bool__(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        told = [str(reason) for reason in self.reasons[:_MOST_TOLD]]
        more = len(self.reasons) - len(told)
        return "; ".join([*told, *([f"and {more} reasons more"] if more > 0 else [])])


def judge(guard: Guard, psr: PSR, turnover: Turnover, earlier: Iterable[Earlier]) -> Verdict:
    """Say whether a release may be made.

    Parameters
    ----------
    guard : Guard
    psr : PSR
        What would be published.
    turnover : Turnover
        The turnover by now.
    earlier : iterable of Earlier
        Every earlier release of the node that held rows.  Those over other columns are not compared.

    Notes
    -----
    If nothing was forgotten since two releases, the difference from the older one is that from the newer one and what
    changed between them, which was let out before: of all such releases only the newest is compared.  A comparison
    decodes a release and takes the rank of its difference modulo a prime, which is never more than the true one; the
    exact rank is taken only if that is too small.
    """
    reasons = shortcomings(guard, psr)
    if guard.changed_rows and psr.n_rows:  # none at all tell nothing, whatever is known
        psr = psr.without_ranges()  # whoever knows two states can subtract them, whatever was declared
        for release in _worth_comparing(turnover, earlier):
            old = release.load().without_ranges()
            if not old.schema.differences(psr.schema) and old != psr:
                new, old = psr.aligned(old)  # levels may have come or gone
                reasons += _too_close(guard, new, turnover, release, old)
    return Verdict(tuple(reasons))


def _worth_comparing(turnover: Turnover, earlier: Iterable[Earlier]) -> list[Earlier]:
    within: list[Earlier] = []
    others: list[Earlier] = []
    for release in earlier:
        (within if turnover.only_learned_since(release.turnover) else others).append(release)
    newest = max(within, key=lambda release: release.turnover.total()[0], default=None)
    return [*others, *([newest] if newest is not None else [])]


def _too_close(guard: Guard, psr: PSR, turnover: Turnover, release: Earlier, old: PSR) -> list[Reason]:
    words, psr, old = words_of(psr.schema), psr.as_stored(), old.as_stored()
    if old.names != psr.names:
        old = old.select([*psr.names, *([psr.schema.classes] if psr.schema.classes else [])])
    now, then = parts(psr), parts(old)
    names = psr.names
    reasons: list[Reason] = []
    for label in dict.fromkeys([*now, *then]):
        if now.get(label) != then.get(label):  # else nothing changed, whatever was learned and forgotten meanwhile
            since = turnover.since(release.turnover, label)
            reasons += _too_few(guard, since, len(names), label, release.name)
            if all(since):
                reasons += _too_alike(guard, _Change.of(now.get(label), then.get(label)), label, release.name)
            if label in now and label in then:
                reasons += _of_rows(guard, (now[label], then[label]), since, label, release.name, words)
    return reasons


def _of_rows(
    guard: Guard,
    states: tuple[PSR, PSR],
    since: tuple[int, int],
    label: object,
    release: str,
    words: Mapping[str, Words],
) -> Iterator[Reason]:
    """Hold what changed to the rules on a release where it is statistics of rows, or can be.

    It is if rows were only learned, or only forgotten.  If some were learned that had been forgotten, and others
    beside them, it is those of the others.
    """
    now, then = states
    grows = now.n_rows > then.n_rows if all(since) else bool(since[0])
    try:
        change = (now - then if grows else then - now).moments()
    except ForgetError:
        if not all(since):
            yield _of_no_rows(label, release)
        return
    yield from _too_light(guard, change, label, release)
    yield from of_change(guard, change, label, release, words)


def _of_no_rows(label: object, release: str) -> Reason:
    """Say that a state and an earlier one of it differ by what no rows have: one of them was altered."""
    text = (
        f"what differs from {release}{_of(label)} are statistics that no rows have, so what this home holds was "
        "altered or damaged (reset, and learn the rows again)"
    )
    return Reason("changed_rows", None, label, 0, 1, text)


def _too_few(guard: Guard, since: tuple[int, int], n_columns: int, label: object, release: str) -> Iterator[Reason]:
    need = max(guard.changed_rows, n_columns)
    for have, done, verb in zip(since, ("learned", "forgotten"), ("learn", "forget"), strict=True):
        if 0 < have < need:
            text = f"{have} of {need} rows{_of(label)} {done} since {release} ({verb} {need - have} more)"
            yield Reason("changed_rows", None, label, have, need, text)


def _too_light(guard: Guard, change: Moments, label: object, release: str) -> Iterator[Reason]:
    """Count rows that were only learned, or only forgotten, as far as they weigh, if there are enough of them."""
    need, have = max(guard.changed_rows, len(change.names)), weighed_rows(change)
    if have < need <= change.n_rows:
        text = (
            f"{have} of {need} rows{_of(label)} changed since {release}, as far as they weigh (learn or forget more, "
            "of more even weights)"
        )
        yield Reason("changed_rows", None, label, have, need, text)


def _too_alike(guard: Guard, change: _Change, label: object, release: str) -> Iterator[Reason]:
    """Ask how many rows have truly changed where some were learned and some forgotten, perhaps the same."""
    least = guard.changed_rows
    more = abs(change.rows)
    if more >= max(least, change.n_columns):
        return
    rank = change.rank(least)
    if rank < least:
        have = min(max(more, rank), least - 1)
        text = (
            f"what was learned and forgotten{_of(label)} since {release} may differ by {have} of {least} rows "
            "(learn or forget more)"
        )
        yield Reason("changed_rows", None, label, have, least, text)


def _of(label: object) -> str:
    return "" if label is None else f" of class {label!r}"


@dataclass(frozen=True)
class _Change:
    """A difference of two releases of one class, as integers: augmented Gram matrices over one unit."""

    rows: int
    now: Integers
    then: Integers

    @classmethod
    def of(cls, now: PSR | None, then: PSR | None) -> _Change:
        known = now if now is not None else then
        assert known is not None
        first = known.moments()
        second = first if then is None or now is None else then.moments()
        unit = _common(first.unit, second.unit)
        zero = np.zeros_like(first.matrix)
        return cls(
            (now.n_rows if now else 0) - (then.n_rows if then else 0),
            _over(first, unit) if now is not None else zero,
            _over(second, unit) if then is not None else zero,
        )

    @property
    def n_columns(self) -> int:
        return len(self.now) - 1

    def rank(self, enough: int) -> int:
        """Return the rank of the difference; some number that is no more, if that is enough."""
        difference = (self.now - self.then).ravel().tolist()
        size = len(self.now)
        modular = int(nmod_mat(size, size, [entry % _PRIME for entry in difference], _PRIME).rank())
        return modular if modular >= enough else int(fmpz_mat(size, size, difference).rank())


def _common(first: Fraction, second: Fraction) -> Fraction:
    """Return a unit of which both are integer multiples."""
    over = gcd(first.numerator * second.denominator, second.numerator * first.denominator)
    return Fraction(over, first.denominator * second.denominator)


def _over(moments: Moments, unit: Fraction) -> Integers:
    factor = moments.unit / unit
    assert factor.denominator == 1
    scaled: Integers = moments.matrix * factor.numerator
    return scaled

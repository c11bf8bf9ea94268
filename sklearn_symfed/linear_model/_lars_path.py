"""The paths of least angle regression and of the Lasso: piecewise linear in the penalty, with rational knots.

Owns which features are active between which knots, decided without rounding, and how knots and coefficients follow
from that, over any field.  Knows neither names nor estimators.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field as member
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sklearn_symfed._definite import Definite
from sklearn_symfed._linalg import Field, decide
from sklearn_symfed._rounding import flint_integers, middle

__all__ = ["Knot", "Path", "Problem", "least_angle_path"]

Array = np.ndarray[Any, Any]
_Solved = tuple[list[Any], list[Any], list[tuple[Any, Any]]]


class Guard(NamedTuple):
    """What may not become negative: a feature's sign times its coefficient, or the penalty less its correlation."""

    feature: int
    sign: int


class _Line(NamedTuple):
    """The value of a guard, ``level + slope * penalty``: where the slope is positive, it meets zero on the way down."""

    level: Any
    slope: Any

    def at(self, penalty: Any) -> Any:
        return self.level + self.slope * penalty

    def root(self) -> Any:
        return -self.level / self.slope


@dataclass(frozen=True, eq=False)
class Problem:
    """Normal equations over Python integers, and which path is wanted.

    Attributes
    ----------
    gram : ndarray of object of shape (n, n)
        Without columns that are zero.
    right : ndarray of object of shape (n,)
    drops : bool
        Whether a coefficient stops at zero: then the path is that of the Lasso.
    positive : bool
        Whether coefficients may not be negative.
    """

    gram: Array
    right: Array
    drops: bool = False
    positive: bool = False

    def rank(self, features: list[int]) -> int:
        return int(flint_integers(self.gram[np.ix_(features, features)]).rank())


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch of a path: these features are active, with these signs of their correlations, in order of entry."""

    problem: Problem
    active: tuple[Guard, ...] = ()
    _depending: set[int] = member(default_factory=set, repr=False)
    _known: dict[tuple[str, int], _Solved] = member(default_factory=dict, repr=False)

    @cached_property
    def features(self) -> list[int]:
        return [guard.feature for guard in self.active]

    @cached_property
    def others(self) -> list[int]:
        return [j for j in range(len(self.problem.gram)) if j not in self.features]

    @cached_property
    def _system(self) -> Definite:
        return Definite(self.problem.gram[np.ix_(self.features, self.features)])

    def depending(self, guards: Iterable[Guard]) -> frozenset[Guard]:
        """Return the guards of features that depend, exactly, on the active ones."""
        return frozenset(guard for guard in guards if guard not in self.active and self._depends(guard.feature))

    def _depends(self, feature: int) -> bool:
        features = [*self.features, feature]
        if feature not in self._depending and self.problem.rank(features) < len(features):
            self._depending.add(feature)
        return feature in self._depending

    def flipped(self, guard: Guard) -> Segment:
        """Return the segment with a feature made active, or no longer active."""
        if guard in self.active:
            return Segment(self.problem, tuple(each for each in self.active if each != guard))
        return Segment(self.problem, (*self.active, guard), set(self._depending))

    def lines(self, field: Field) -> _Solved:
        """Return least squares on the active features, its change with the penalty, and the others' correlations."""
        key = field.rung, field.bits
        if key not in self._known:
            self._known[key] = self._solve(field)
        return self._known[key]

    def _solve(self, field: Field) -> _Solved:
        right = self.problem.right
        if not self.active:
            zero = field.scalar(Fraction(0))
            return [], [], [(field.scalar(Fraction(right[j])), zero) for j in self.others]
        both = np.column_stack([right[self.features], np.array([g.sign for g in self.active], dtype=object)])
        solved = field.solve(self._system, both)
        least, change = zip(*solved.tolist(), strict=True)
        if not self.others:
            return list(least), list(change), []
        across = field.matrix(self.problem.gram[np.ix_(self.others, self.features)]) * solved
        rest = [
            (field.scalar(Fraction(right[j])) - u, v) for j, (u, v) in zip(self.others, across.tolist(), strict=True)
        ]
        return list(least), list(change), rest

    def coef(self, field: Field, penalty: Any) -> list[Any]:
        """Return the coefficients of the active features."""
        least, change, _ = self.lines(field)
        return [b - d * penalty for b, d in zip(least, change, strict=True)]

    def guards(self, field: Field) -> dict[Guard, _Line]:
        """Return everything that may end the segment."""
        least, change, rest = self.lines(field)
        out = {}
        for j, (u, v) in zip(self.others, rest, strict=True):
            out[Guard(j, 1)] = _Line(-u, 1 - v)
            if not self.problem.positive:
                out[Guard(j, -1)] = _Line(u, 1 + v)
        if self.problem.drops:
            for guard, b, d in zip(self.active, least, change, strict=True):
                out[guard] = _Line(b * guard.sign, -d * guard.sign)
        return out

    def penalty(self, field: Field, guard: Guard) -> Any:
        """Return the penalty at which a guard is zero."""
        return self.guards(field)[guard].root()

    # -- decisions ---------------------------------------------------------------------------------------------------

    def slopes(self, guards: Iterable[Guard]) -> dict[Guard, int]:
        """Return the signs of the slopes of guards."""
        wanted = list(guards)

        def question(field: Field) -> dict[Guard, int] | None:
            lines = self.guards(field)
            signs = {guard: _sign(lines[guard].slope) for guard in wanted}
            return None if None in signs.values() else signs  # type: ignore[return-value]

        return decide(question)

    def end(self, met: frozenset[Guard], floor: Fraction) -> frozenset[Guard]:
        """Return the guards that are zero first on the way down, or none where the floor comes before them.

        Parameters
        ----------
        met : frozenset of Guard
            Those that are zero where the segment begins, and not above zero further down.
        floor : Fraction
        """

        def question(field: Field) -> frozenset[Guard] | None:
            lines = {guard: line for guard, line in self.guards(field).items() if guard not in met}
            penalty, chosen = field.scalar(floor), None
            for guard, line in lines.items():
                if middle(line.slope) > 0:
                    root = line.root()
                    if middle(root) > middle(penalty):
                        penalty, chosen = root, guard
            signs = {guard: 0 if guard == chosen else _sign(line.at(penalty)) for guard, line in lines.items()}
            sure = chosen is None or (_sign(lines[chosen].slope), _sign(penalty - field.scalar(floor))) == (1, 1)
            if None in signs.values() or not sure:
                return None
            return frozenset(guard for guard, sign in signs.items() if sign == 0 and chosen is not None)

        return decide(question)


def _sign(value: Any) -> int | None:
    """Return the sign of a number over a field; None where a ball does not tell."""
    return 1 if value > 0 else -1 if value < 0 else 0 if value == 0 else None


@dataclass(frozen=True)
class Knot:
    """Where a segment ends.

    Attributes
    ----------
    segment : Segment
    met : frozenset of Guard
        Guards that become zero there; none at the floor.
    resting : frozenset of Guard
        Guards that are zero on the whole segment.
    floor : Fraction
    """

    segment: Segment
    met: frozenset[Guard]
    resting: frozenset[Guard]
    floor: Fraction

    def penalty(self, field: Field) -> Any:
        return self.segment.penalty(field, min(self.met)) if self.met else field.scalar(self.floor)

    @property
    def _free(self) -> list[int]:
        """Positions among the active features of those that are not zero by construction."""
        return [i for i, guard in enumerate(self.segment.active) if guard not in self.met | self.resting]

    @property
    def features(self) -> list[int]:
        """Features whose coefficients are not zero by construction."""
        return [self.segment.features[i] for i in self._free]

    def coef(self, field: Field) -> list[Any]:
        """Return the coefficients of `features`."""
        coef = self.segment.coef(field, self.penalty(field))
        return [coef[i] for i in self._free]


@dataclass(frozen=True)
class Path:
    """A path from its top.

    Attributes
    ----------
    knots : list of Knot
        From the largest penalty, where all coefficients are zero.
    active : list of int
        Features that are active at the end, in order of entry.
    passed : list of int
        Features that depend on others with which they would have entered.
    """

    knots: list[Knot]
    active: list[int]
    passed: list[int]


def least_angle_path(problem: Problem, floor: Fraction, most: int) -> Path:
    r"""Follow the path of least angle regression, or of the Lasso, down to a penalty.

    Parameters
    ----------
    problem : Problem
    floor : Fraction
        The last penalty.
    most : int
        How many steps to take at most.

    Returns
    -------
    Path

    Notes
    -----
    On a segment with active features :math:`A` whose correlations have the signs :math:`s`, at the penalty :math:`a`,

    .. math:: b_A = G_{AA}^{-1} (c_A - a s), \quad r_j = c_j - G_{jA} b_A,

    so that :math:`r_A = a s`.  It ends where another :math:`|r_j|` reaches :math:`a`, at the root of a linear function;
    in the Lasso also where a coefficient reaches zero [1]_.  Which of these comes first is certified in balls, or else
    decided over rationals.

    Where several come at once, least angle regression lets features enter one after another, at the same penalty.  In
    the Lasso, which of them are active below is the linear complementarity problem of the path's derivative, solved by
    least-index pivots [2]_.  A feature that depends on the active ones has a correlation that is a fixed multiple of
    the penalty: it never enters.

    References
    ----------
    .. [1] B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, "Least Angle Regression", Annals of Statistics 32, 2004.
    .. [2] D. den Hertog, C. Roos, T. Terlaky, "The linear complementarity problem, sufficient matrices, and the
       criss-cross method", Linear Algebra and its Applications 187, 1993.
    """
    follow = _lasso if problem.drops else _least_angle
    return follow(Segment(problem), max(floor, Fraction(0)), most)


def _least_angle(segment: Segment, floor: Fraction, most: int) -> Path:
    none: frozenset[Guard] = frozenset()
    knots, passed = [Knot(segment, segment.end(none, floor), none, floor)], none
    waiting = sorted(knots[0].met)
    while waiting and len(knots) <= most:
        segment = segment.flipped(waiting[0])
        depending = segment.depending(waiting[1:])
        passed |= depending
        beside = [guard for guard in waiting[1:] if guard not in depending]
        knots.append(knots[-1] if beside else Knot(segment, segment.end(passed, floor), none, floor))
        waiting = beside or sorted(knots[-1].met)
    return Path(knots, segment.features, sorted({guard.feature for guard in passed}))


def _lasso(segment: Segment, floor: Fraction, most: int) -> Path:
    none: frozenset[Guard] = frozenset()
    knots, passed = [Knot(segment, segment.end(none, floor), none, floor)], none
    while knots[-1].met and len(knots) <= most:
        zero = knots[-1].met | knots[-1].resting
        segment, resting, depending = _below(segment, zero)
        passed |= depending
        knots.append(Knot(segment, segment.end(zero, floor), resting, floor))
    active = [guard.feature for guard in segment.active if guard not in knots[-1].met]
    return Path(knots, active, sorted({guard.feature for guard in passed}))


def _below(segment: Segment, zero: frozenset[Guard]) -> tuple[Segment, frozenset[Guard], frozenset[Guard]]:
    """Return the segment below a knot at which guards are zero, which of them stay there, and which have to."""
    while True:
        depending = segment.depending(zero) if len(zero) > 1 else frozenset()
        slopes = segment.slopes(zero - depending)
        falling = [guard for guard, slope in slopes.items() if slope > 0]
        if not falling:
            return segment, depending | {guard for guard, slope in slopes.items() if slope == 0}, depending
        segment = segment.flipped(min(falling))

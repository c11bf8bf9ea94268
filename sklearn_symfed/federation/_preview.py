"""What would become of some rows: what would be learned of them, and what would keep it in the house."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field

from sklearn_symfed.federation._differencing import Turnover, judge
from sklearn_symfed.federation._guard import Guard
from sklearn_symfed.federation._ledger import Ledger
from sklearn_symfed.psr import PSR, Label

__all__ = ["Preview", "held_back_by"]

_MOST_NAMES = 20


@dataclass(frozen=True)
class Preview:
    """What would be learned, and whether it could be published then; true if nothing would hold it back.

    Attributes
    ----------
    n_rows : int
        Rows that would be learned.
    n_dropped : int
        Rows that would be left out, as they are outside of a range.
    n_incomplete : int
        Rows that would be left out, as a value is missing.
    columns : tuple of str
        Numeric columns of their statistics.
    labels : tuple of bool, int or str
        Class labels among them.
    new_levels : dict of str to tuple of str
        Levels that no statistics have yet that are known here, by column.
    reasons : tuple of str
        What the contract and the guard would say, were it learned and published; of this node's own guard, or the
        default one, where it is no member.
    """

    n_rows: int
    n_dropped: int
    n_incomplete: int
    columns: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    new_levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.reasons

    def __repr__(self) -> str:
        return "\n".join(f"{what}: {said}" for what, said in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{what}</th><td>{html.escape(said)}</td></tr>"
            for what, said in self._lines()
        )
        return f"<table><caption>Preview</caption>{rows}</table>"

    def _lines(self) -> list[tuple[str, str]]:
        lines = [("would be learned", f"{self.n_rows:,} rows")]
        for count, why in ((self.n_dropped, "outside of a range"), (self.n_incomplete, "a value is missing")):
            lines += [("would be left out", f"{count:,} rows: {why}")] if count else []
        lines.append(("columns", _some(self.columns)))
        lines += [("classes", _some(self.labels))] if self.labels else []
        lines += [(f"new levels of {column!r}", _some(levels)) for column, levels in self.new_levels.items()]
        return [*lines, *(("would wait", reason) for reason in self.reasons or ())] + (
            [] if self.reasons else [("would be published", "nothing holds it back")]
        )


def _some(names: tuple[object, ...]) -> str:
    shown = ", ".join(map(str, names[:_MOST_NAMES]))
    return shown if len(names) <= _MOST_NAMES else f"{shown}, ... ({len(names)} in all)"


def held_back_by(guard: Guard, ledger: Ledger | None, local: PSR | None, more: PSR) -> tuple[str, ...]:
    """Return what a guard would say if some statistics were learned beside those that a node has.

    Parameters
    ----------
    guard : Guard
    ledger : Ledger or None
        What was released before.
    local : PSR or None
        What was learned before.
    more : PSR
        What would be learned.
    """
    together = more if local is None else local + more
    if ledger is None:
        return tuple(map(str, judge(guard, together, Turnover().learned(more), ()).reasons))
    return tuple(map(str, ledger.judge(guard, together, ledger.turnover.learned(more)).reasons))

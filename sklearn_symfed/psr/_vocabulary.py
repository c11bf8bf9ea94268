"""Levels that rows bring: a column of categories whose levels nobody declared has those that occur, and no others."""

from __future__ import annotations

from sklearn_symfed.psr._encodings import Encoding
from sklearn_symfed.psr._labels import Label
from sklearn_symfed.psr._layout import selected
from sklearn_symfed.psr._limbs import Limbs
from sklearn_symfed.psr._schema import Schema

__all__ = ["without_empty_levels"]

Cells = dict[Label | None, Limbs]


def without_empty_levels(schema: Schema, cells: Cells) -> tuple[Schema, Cells]:
    """Return columns and states without the levels that no row has, where they are not declared."""
    opened = {column: encoding for column, encoding in schema.encodings.items() if encoding.open}
    if not any(encoding.levels for encoding in opened.values()):
        return schema, cells
    sums = [state.some_integers(slice(3, 3 + len(schema.stored)))[0] for state in cells.values()]
    there = {name for state in sums for name, total in zip(schema.stored, state, strict=True) if total}
    kept = {column: _occurring(column, encoding, there) for column, encoding in opened.items()}
    if kept == opened:
        return schema, cells
    smaller = schema.with_encodings(kept)
    places = schema.places(smaller)
    return smaller, {label: selected(state, len(schema.stored), places) for label, state in cells.items()}


def _occurring(column: str, encoding: Encoding, there: set[str]) -> Encoding:
    names = zip(encoding.levels or (), encoding.names(column), strict=False)
    return encoding.without_levels().with_levels(level for level, name in names if name in there)

"""Categories that are numbered from zero, found by the names of their indicators."""

from __future__ import annotations

from collections.abc import Iterable

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._declared import MAX_COLUMNS

__all__ = ["MOST_LEVELS", "levels_by_column"]

MOST_LEVELS = MAX_COLUMNS


def levels_by_column(names: Iterable[str]) -> dict[str, dict[int, str]]:
    """Group indicators by the column that they stand for, in the order in which columns appear.

    Returns
    -------
    dict of str to dict of int to str
        For each column the names of its indicators, by ascending level.

    Raises
    ------
    SchemaError
        If a name is not that of an indicator of one of the levels 0, 1, ...
    """
    found: dict[str, dict[int, str]] = {}
    wrong = []
    for name in names:
        column, _, level = name.rpartition("=")
        if column and level.isdecimal() and level == str(int(level[:9])) and int(level) < MOST_LEVELS:
            found.setdefault(column, {})[int(level)] = name
        else:
            wrong.append(name)
    if wrong:
        msg = (
            f"Got columns {wrong}, but expected indicators called column=level, for levels 0 to {MOST_LEVELS - 1}: "
            "psr.select or psr.drop leaves the others out."
        )
        raise SchemaError(msg)
    return {column: dict(sorted(levels.items())) for column, levels in found.items()}

"""Categories as columns: an indicator of each level, called ``column=level``, which is one where a row has it.

Owns what these columns are called and how they are grouped.
"""

from __future__ import annotations

from collections.abc import Iterable

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._schema import MAX_COLUMNS

__all__ = ["MOST_LEVELS", "level_name", "levels_by_column"]

MOST_LEVELS = MAX_COLUMNS


def level_name(column: str, level: int) -> str:
    """Return what the indicator of a level of a column is called."""
    return f"{column}={level}"


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

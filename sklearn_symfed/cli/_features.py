"""Features of a model from the columns of a file: numbers as they are, categories as the indicators that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_symfed import Schema
from sklearn_symfed.cli._cells import Kinds
from sklearn_symfed.psr import encoded_table

__all__ = ["Features"]

_MISSING = "missingindicator_"


class Features:
    """How the features of a model are made of the columns of a file.

    Parameters
    ----------
    names : sequence of str
        Of the features: of a column, of a level as ``column=level``, or of what says where a column's values are
        missing.
    columns : sequence of str
        Of the file; what is called as a feature is that.

    Attributes
    ----------
    columns : list of str
        What has to be read.
    kinds : Kinds
        What it holds.
    """

    def __init__(self, names: Sequence[str], columns: Sequence[str]) -> None:
        levels: dict[str, list[str]] = {}
        missing: dict[str, str] = {}
        plain: list[str] = []
        for name in names:
            column = _owner(name, columns)
            if column == name:
                plain.append(name)
            elif name == _MISSING + column:
                missing[column] = "indicator"
            else:
                levels.setdefault(column, []).append(name.removeprefix(column + "="))
        self.columns = list(dict.fromkeys([*plain, *levels, *missing]))
        self.kinds = Kinds(frozenset(levels), missing=frozenset(missing))
        self._schema = Schema(self.columns, categories=levels, missing=missing)
        found = {name: place for place, name in enumerate(self._schema.names)}
        self._places = [found[name] for name in names]

    def of(self, rows: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the features of rows: ndarray of shape (n_rows, n_features); a level that is not known has zeros."""
        return np.asarray(encoded_table(rows, self._schema, unknown="ignore")[:, self._places])


def _owner(name: str, columns: Sequence[str]) -> str:
    """Return which column a feature is of, itself if of none."""
    if name in columns:
        return name
    owners = [each for each in columns if name == _MISSING + each or name.startswith(each + "=")]
    return max(owners, key=len, default=name)

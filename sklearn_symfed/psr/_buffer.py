"""Rows that arrive a few at a time and wait to be learned together: a row alone costs as much as hundreds in a batch.

Rows are checked when they arrive, so that learning them later cannot fail.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_symfed.psr._labels import MAX_LABELS, Label, sorted_labels
from sklearn_symfed.psr._learn import learn
from sklearn_symfed.psr._outside import within
from sklearn_symfed.psr._psr import PSR
from sklearn_symfed.psr._reading import read_rows
from sklearn_symfed.psr._rows import Rows
from sklearn_symfed.psr._schema import Schema
from sklearn_symfed.psr._stream import alike, joined, rows_of_a_piece

__all__ = ["RowBuffer"]

Array = np.ndarray[Any, Any]
_NARROW = 60  # fewer numbers are added up faster by Python than by numpy


class RowBuffer:
    """A waiting room for rows that are to be added to a PSR; any number of threads may bring some.

    Parameters
    ----------
    known : PSR
        What was learned so far.  Rows must fit it.
    dtype : dtype or None
        Type of the arrays that `take` accepts; None for none.

    Attributes
    ----------
    schema : Schema
        That of what was learned.
    most : int
        So many rows are worth learning.
    few : int
        So many rows, at most, are worth waiting for others.
    """

    def __init__(self, known: PSR, dtype: Any = None) -> None:
        self.schema: Schema = known.schema
        self.most = rows_of_a_piece(len(known.names))
        self.few = self.most // 4
        self._lock = threading.RLock()
        self._labels: tuple[Label, ...] = known.labels
        plain = known.names == tuple(f"x{i}" for i in range(len(known.names))) and known.schema == Schema(known.names)
        takes = plain and dtype in (np.float64, np.float32)
        self._shape, self._dtype = (len(known.names),) if takes else None, np.dtype(dtype if takes else np.float64)
        self._closed = False
        self._plain: list[bytes] = []  # one array each: the cheapest copy
        self._n_plain = 0
        self._others: list[list[Rows]] = []
        self._n_others = self._n_dropped = 0

    def __len__(self) -> int:
        return self._n_plain + self._n_others

    def take(self, X: Any) -> bool:
        """Keep an array of a few rows of floats, if it is one and finite: the short way."""
        if type(X) is not np.ndarray or X.dtype is not self._dtype or X.shape[1:] != self._shape:
            return False
        n_rows = len(X)
        if not 0 < n_rows <= self.few or not self._finite(X):
            return False
        with self._lock:
            if self._closed:
                return False
            self._plain.append(X.tobytes())
            self._n_plain += n_rows
        return True

    def _finite(self, X: Array) -> bool:
        """Tell whether rows are finite; False, too, where their sum is not."""
        if X.size <= _NARROW:
            return math.isfinite(sum(map(sum, X.tolist())))
        with np.errstate(invalid="ignore", over="ignore"):
            return math.isfinite(X.sum())

    def read(self, X: Any, y: Any, classes: str | bool | None) -> Rows:
        """Return rows that can be learned.

        Raises
        ------
        DataError, SchemaError
            If they cannot.
        """
        rows = within(read_rows(X, y, classes=classes, **self.schema.declared))
        if rows.n_rows:
            rows.check()
        return rows

    def add(self, rows: Rows) -> bool:
        """Keep rows that were `read`; False where they are not to wait.

        Raises
        ------
        SchemaError
            If their columns do not match what was learned, or their labels are of another kind.
        """
        self.schema.require_match(rows.schema)
        with self._lock:
            sorted_labels([*self._labels[:1], *rows.labels])  # of one kind
            if self._closed or not rows.n_read or len(self._labels) + len(self) + rows.n_rows > MAX_LABELS:
                return False
            self._labels = self._labels or rows.labels
            for group in self._others:
                if alike(group[0], rows):
                    group.append(_owned(rows))
                    break
            else:
                self._others.append([_owned(rows)])
            self._n_others += rows.n_read
            self._n_dropped += rows.n_dropped
        return True

    def hand_over(self, receive: Callable[..., Any], n_jobs: int | None, *, close: bool = False) -> None:
        """Learn the rows that wait, give their statistics away, and let go of them; they stay if that fails.

        A buffer that was closed takes no more rows.

        Parameters
        ----------
        receive : callable
            Is handed a PSR, and as `n_dropped` how many rows were left out.
        n_jobs : int or None
        close : bool, default=False
        """
        with self._lock:
            groups = list(self._others)
            if self._plain:
                block = np.frombuffer(b"".join(self._plain), self._dtype).reshape(-1, len(self.schema.names))
                groups.append([Rows(self.schema, len(block), (block,))])
            if groups:
                parts = (PSR(rows.schema, learn(rows, n_jobs), rows.n_incomplete) for rows in map(joined, groups))
                receive(sum(parts, PSR.zero(self.schema)), n_dropped=self._n_dropped)
                self._plain, self._others, self._n_plain, self._n_others, self._n_dropped = [], [], 0, 0, 0
            self._closed = close


def _owned(rows: Rows) -> Rows:
    """Return rows that do not change when the arrays do that they were read from."""
    return replace(rows, blocks=tuple(block.copy() for block in rows.blocks))

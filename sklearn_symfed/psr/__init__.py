"""Exact sufficient statistics: the PSR, its schema and its moments.  Knows no estimator and no federation."""

from __future__ import annotations

from sklearn_symfed.psr._columns import NamedColumns, column_at, frame_names, plain_array, plain_table, read_columns
from sklearn_symfed.psr._labels import encode_labels, sorted_labels
from sklearn_symfed.psr._moments import Moments, quotient
from sklearn_symfed.psr._psr import PSR
from sklearn_symfed.psr._schema import Schema, normalised

__all__ = [
    "PSR",
    "Moments",
    "NamedColumns",
    "Schema",
    "column_at",
    "encode_labels",
    "frame_names",
    "normalised",
    "plain_array",
    "plain_table",
    "quotient",
    "read_columns",
    "sorted_labels",
]

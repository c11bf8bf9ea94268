"""Exact sufficient statistics: the PSR, its schema and its moments.  Knows no estimator and no federation."""

from __future__ import annotations

from sklearn_symfed.psr._buffer import RowBuffer
from sklearn_symfed.psr._codec import most_bytes
from sklearn_symfed.psr._columns import (
    NamedColumns,
    as_table,
    column_at,
    frame_names,
    not_finite,
    plain_array,
    plain_table,
    read_columns,
    without_column,
    without_rows,
)
from sklearn_symfed.psr._encode import encoded_table
from sklearn_symfed.psr._encodings import level_name
from sklearn_symfed.psr._labels import Label, encode_labels, kind_of_labels, sorted_labels
from sklearn_symfed.psr._levels import MOST_LEVELS, levels_by_column
from sklearn_symfed.psr._moments import Moments, quotient
from sklearn_symfed.psr._psr import PSR, learn_rows
from sklearn_symfed.psr._schema import Schema, normalised
from sklearn_symfed.psr._stream import batches, is_stream

__all__ = [
    "MOST_LEVELS",
    "PSR",
    "Label",
    "Moments",
    "NamedColumns",
    "RowBuffer",
    "Schema",
    "as_table",
    "batches",
    "column_at",
    "encode_labels",
    "encoded_table",
    "frame_names",
    "is_stream",
    "kind_of_labels",
    "learn_rows",
    "level_name",
    "levels_by_column",
    "most_bytes",
    "normalised",
    "not_finite",
    "plain_array",
    "plain_table",
    "quotient",
    "read_columns",
    "sorted_labels",
    "without_column",
    "without_rows",
]

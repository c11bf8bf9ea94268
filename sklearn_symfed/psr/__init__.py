"""Exact sufficient statistics: the PSR, its schema and its moments.  Knows no estimator and no federation."""

from __future__ import annotations

from sklearn_symfed.psr._buffer import RowBuffer
from sklearn_symfed.psr._codec import most_bytes
from sklearn_symfed.psr._columns import (
    NamedColumns,
    as_table,
    column_at,
    columns_in,
    frame_names,
    not_finite,
    plain_array,
    plain_table,
    read_columns,
    without_column,
    without_rows,
)
from sklearn_symfed.psr._described import columns_of_rows, described
from sklearn_symfed.psr._encode import encode_column, encoded_table, holds_categories, texts_in
from sklearn_symfed.psr._encodings import NUMERIC, Encoding, level_name, level_text
from sklearn_symfed.psr._labels import Label, encode_labels, kind_of_labels, sorted_labels
from sklearn_symfed.psr._levels import MOST_LEVELS, levels_by_column
from sklearn_symfed.psr._moments import Moments, quotient
from sklearn_symfed.psr._psr import PSR, learn_rows
from sklearn_symfed.psr._schema import Schema, normalised
from sklearn_symfed.psr._stream import batches, is_stream

__all__ = [
    "MOST_LEVELS",
    "NUMERIC",
    "PSR",
    "Encoding",
    "Label",
    "Moments",
    "NamedColumns",
    "RowBuffer",
    "Schema",
    "as_table",
    "batches",
    "column_at",
    "columns_in",
    "columns_of_rows",
    "described",
    "encode_column",
    "encode_labels",
    "encoded_table",
    "frame_names",
    "holds_categories",
    "is_stream",
    "kind_of_labels",
    "learn_rows",
    "level_name",
    "level_text",
    "levels_by_column",
    "most_bytes",
    "normalised",
    "not_finite",
    "plain_array",
    "plain_table",
    "quotient",
    "read_columns",
    "sorted_labels",
    "texts_in",
    "without_column",
    "without_rows",
]

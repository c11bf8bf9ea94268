"""Exact sufficient statistics: the PSR, its schema and its moments.  Knows no estimator and no federation."""

from __future__ import annotations

from sklearn_symfed.psr._columns import frame_names
from sklearn_symfed.psr._labels import encode_labels
from sklearn_symfed.psr._moments import Moments, quotient
from sklearn_symfed.psr._psr import PSR
from sklearn_symfed.psr._schema import Schema

__all__ = ["PSR", "Moments", "Schema", "encode_labels", "frame_names", "quotient"]

"""Federations of nodes: membership, the join of peers, stores and transports.  Knows PSRs, and no estimator."""

from __future__ import annotations

from sklearn_symfed.federation._federation import Federation
from sklearn_symfed.federation._guard import Guard
from sklearn_symfed.federation._ledger import Release
from sklearn_symfed.federation._preview import Preview, held_back_by
from sklearn_symfed.federation._report import Member, PulseReport, Status
from sklearn_symfed.federation._schedule import parse_schedule
from sklearn_symfed.federation._store import Store

__all__ = [
    "Federation",
    "Guard",
    "Member",
    "Preview",
    "PulseReport",
    "Release",
    "Status",
    "Store",
    "held_back_by",
    "parse_schedule",
]

"""Tools for people who prove things about federations: laws, strategies, a carrier with faults, conformance suites.

Needs the extra ``test``.
"""

from __future__ import annotations

from sklearn_symfed.testing._by_name import assert_same_fit_by_name
from sklearn_symfed.testing._equivalence import assert_federated_equals_central, assert_same_fit, federated_psrs
from sklearn_symfed.testing._faulty import FaultyTransport
from sklearn_symfed.testing._laws import PSRLaws, exact_moments
from sklearn_symfed.testing._simulation import Simulation
from sklearn_symfed.testing._strategies import class_labels, finite_rows, partitions, weights
from sklearn_symfed.testing._transports import TransportTests

__all__ = [
    "FaultyTransport",
    "PSRLaws",
    "Simulation",
    "TransportTests",
    "assert_federated_equals_central",
    "assert_same_fit",
    "assert_same_fit_by_name",
    "class_labels",
    "exact_moments",
    "federated_psrs",
    "finite_rows",
    "partitions",
    "weights",
]

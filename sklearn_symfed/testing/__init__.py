"""Tools for people who prove things about federations: laws, strategies, a carrier with faults, conformance suites.

Needs the extra ``test``: ``pip install 'sklearn-symfed[test]'``.
"""

from __future__ import annotations

from sklearn_symfed.testing._laws import PSRLaws, exact_moments
from sklearn_symfed.testing._strategies import class_labels, finite_rows, partitions, weights

__all__ = ["PSRLaws", "class_labels", "exact_moments", "finite_rows", "partitions", "weights"]

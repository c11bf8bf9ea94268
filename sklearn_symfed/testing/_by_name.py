"""Two fits whose features stand in other orders: the same, name by name, to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_symfed._identity import fitted_digests, value_digest

__all__ = ["assert_same_fit_by_name"]

Array = np.ndarray[Any, Any]
_OF_COMPONENTS = {
    *("explained_variance_", "explained_variance_ratio_", "singular_values_", "scalings_"),  # of components
    *("alphas_", "scores_"),  # of steps
    *("classes_", "class_count_", "class_prior_", "class_log_prior_", "priors_"),  # of classes
}
"""Attributes of as many numbers as there are components, steps or classes, which may be as many as features."""


def assert_same_fit_by_name(first: Any, second: Any) -> None:
    """Assert that two fitted estimators differ at most in the order of their features.

    Every fitted attribute must be equal to the last bit once features are matched by name: along the axes of an array
    that are as long as there are features, and lists that are, those of the second fit are brought into the order of
    the first; integers in a list may be positions of features.  Another axis of that length may count components, say,
    and is left alone then; an array with no other axis is left alone only if its name says that it counts such.

    Parameters
    ----------
    first, second : object
        Fitted to rows or statistics whose columns have names.

    Raises
    ------
    AssertionError
        Names the attributes that differ.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_symfed import FederatedRidge
    >>> from sklearn_symfed.testing import assert_same_fit_by_name
    >>> frame, y = pd.DataFrame({"a": [0.1, 0.2, 0.4], "b": [1.0, 0.0, 3.0]}), [1.0, 2.0, 3.0]
    >>> assert_same_fit_by_name(FederatedRidge().fit(frame, y), FederatedRidge().fit(frame[["b", "a"]], y))
    """
    names, others = list(first.feature_names_in_), list(second.feature_names_in_)
    assert sorted(names) == sorted(others), f"features that differ: {sorted({*names} ^ {*others})}"
    order = [others.index(name) for name in names]
    expected = fitted_digests(first)
    found = {name: getattr(second, name) for name in fitted_digests(second)}
    differ = sorted(expected.keys() ^ found.keys())
    for name in expected.keys() & found.keys():
        orders = _in_other_orders(found[name], order, least=name not in _OF_COMPONENTS)
        if expected[name] not in map(value_digest, orders):
            differ.append(name)
    assert not differ, f"{type(first).__name__}: fitted attributes that differ by name: {sorted(differ)}"


def _in_other_orders(value: Any, order: list[int], *, least: bool) -> Iterator[Any]:
    """Yield a value in every way in which features could be brought into order.

    Where `least`, an array with an axis as long as there are features has at least one of features.
    """
    if isinstance(value, (list, tuple)) and value:
        if len(value) == len(order):
            yield [value[position] for position in order]
        if all(isinstance(item, int) and item in order for item in value):  # positions of features
            yield [order.index(item) for item in value]
        yield from map(list, zip(*(_in_other_orders(item, order, least=least) for item in value), strict=True))
    elif isinstance(value, np.ndarray):
        axes = [axis for axis, length in enumerate(value.shape) if length == len(order)]
        for count in range(1 if least and axes else 0, len(axes) + 1):
            for some in itertools.combinations(axes, count):
                moved = value
                for axis in some:
                    moved = np.take(moved, order, axis=axis)
                yield moved
    else:
        yield value

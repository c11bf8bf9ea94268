"""Two fits whose features stand in other orders: the same, name by name, to the last bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_symfed._identity import fitted_digests, value_digest

__all__ = ["assert_same_fit_by_name"]

Array = np.ndarray[Any, Any]


def assert_same_fit_by_name(first: Any, second: Any) -> None:
    """Assert that two fitted estimators differ at most in the order of their features.

    Every fitted attribute must be equal to the last bit once features are matched by name: along the axes of an array
    that are as long as there are features, and lists that are, those of the second fit are brought into the order of
    the first; integers in a list may be positions of features.  An axis of that length may also count something else,
    components say, and is then left alone.

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
        if expected[name] not in (value_digest(value) for value in _in_other_orders(found[name], order)):
            differ.append(name)
    assert not differ, f"{type(first).__name__}: fitted attributes that differ by name: {sorted(differ)}"


def _in_other_orders(value: Any, order: list[int]) -> Iterator[Any]:
    """Yield a value as it is, and in every way in which features could be brought into order."""
    if isinstance(value, (list, tuple)) and value:
        if len(value) == len(order):
            yield [value[position] for position in order]
        if all(isinstance(item, int) and item in order for item in value):  # positions of features
            yield [order.index(item) for item in value]
        yield from map(list, zip(*(_in_other_orders(item, order) for item in value), strict=True))
    elif isinstance(value, np.ndarray):
        axes = [axis for axis, length in enumerate(value.shape) if length == len(order)]
        for count in range(len(axes) + 1):
            for some in itertools.combinations(axes, count):
                moved = value
                for axis in some:
                    moved = np.take(moved, order, axis=axis)
                yield moved
    else:
        yield value

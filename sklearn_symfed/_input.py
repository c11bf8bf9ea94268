"""Rows, targets and labels as estimators take them: what they are called, and what is refused before it is quoted.

Reading is `sklearn_symfed.psr`'s business.  scikit-learn's own validation shows values in some of its messages: what it
would show is refused here first, in the words of the package.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import get_tags

from sklearn_symfed.exceptions import DataTypeError, SchemaError
from sklearn_symfed.psr import (
    PSR,
    NamedColumns,
    as_table,
    column_at,
    frame_names,
    normalised,
    plain_array,
    plain_table,
    read_columns,
)

__all__ = [
    "READ_ROWS",
    "as_list",
    "checking_rows",
    "column_names",
    "established",
    "feature_names",
    "free_names",
    "generated_names",
    "named_table",
    "own_names",
    "readable_target",
    "require_rows",
    "warn_of_column",
    "with_names",
]

_FEW = 1 << 20  # numbers of sparse rows that are read with their zeros at a time

READ_ROWS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_joint_log_proba",
    "decision_function",
    "transform",
    "inverse_transform",
    "mahalanobis",
    "score_samples",
)
"""Methods inherited from scikit-learn that read rows."""


# -- what is refused -------------------------------------------------------------------------------------------------


def require_rows(X: Any, method: str) -> None:
    """Refuse what are no rows of numbers."""
    if isinstance(X, (PSR, BaseEstimator)):
        raise DataTypeError(f"{method} needs rows, but got a {type(X).__name__}.")
    read_columns(as_table(X), "x")


def checking_rows(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that refuses what are no rows of numbers, and then does what it did."""
    if getattr(method, "checks_rows", False):
        return method

    @functools.wraps(method)
    def checked(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        if not (isinstance(X, PSR) and hasattr(method, "takes_statistics")):
            require_rows(X, method.__name__)
        X = as_table(X)
        if issparse(X) and not get_tags(self).input_tags.sparse:
            raise DataTypeError(f"{method.__name__} got sparse rows, but dense rows are required: use .toarray().")
        return _in_parts(method, self, X, *args, **kwargs) if issparse(X) else method(self, X, *args, **kwargs)

    checked.checks_rows = True  # type: ignore[attr-defined]
    return checked


def _in_parts(method: Callable[..., Any], estimator: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
    """Apply a method to sparse rows; one that takes none, to some rows at a time, with their zeros."""
    try:
        return method(estimator, X, *args, **kwargs)
    except TypeError as error:
        if "parse" not in str(error):
            raise
    height, X = max(1, _FEW // max(1, X.shape[1])), X.tocsr()
    starts = range(0, max(1, X.shape[0]), height)
    parts = [method(estimator, X[start : start + height].toarray(), *args, **kwargs) for start in starts]
    if isinstance(parts[0], tuple):
        return tuple(map(np.concatenate, zip(*parts, strict=True)))
    if len(parts) > 1 and not isinstance(parts[0], np.ndarray):
        raise DataTypeError(f"{method.__name__} got sparse rows, but only dense ones are returned as frames.")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def readable_target(y: Any) -> Any:
    """Return a target of rows as it is, if it holds numbers only."""
    if y is not None:
        read_columns(y, "y")
    return y


def warn_of_column(y: Any) -> None:
    """Warn, as scikit-learn does, of labels that are a column of a table."""
    shape = np.shape(y if hasattr(y, "shape") else plain_array(y, "labels"))
    if len(shape) == 2 and shape[1] == 1:
        msg = "A column-vector y was passed when a 1d array was expected: pass shape (n_samples,), as by y.ravel()."
        warnings.warn(msg, DataConversionWarning, stacklevel=6)


# -- names -----------------------------------------------------------------------------------------------------------


def generated_names(count: int, prefix: str = "x") -> list[str]:
    """Return the names that columns of an array get."""
    return [f"{prefix}{i}" for i in range(count)]


def named_table(X: Any) -> Any:
    """Return rows as a table, or as an array, whose columns have distinct names."""
    table = plain_table(as_table(X), "X")
    names = feature_names(table)
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise SchemaError(f"Got column names that occur more than once: {twice}, but expected distinct names.")
    return table


def feature_names(X: Any) -> list[str]:
    """Return what the columns of a table are called in a PSR."""
    return [normalised(name) for name in frame_names(X) or generated_names(np.shape(X)[1])]


def own_names(y: Any) -> list[str] | None:
    """Return the names that a target of rows carries."""
    name = getattr(y, "name", None)
    names = [name] if isinstance(name, str) and name and np.ndim(y) == 1 else frame_names(y)
    return names and [normalised(name) for name in names]


def free_names(names: Iterable[str], features: Iterable[str]) -> list[str]:
    """Return names for targets: one that a feature has gets underscores, until nothing else is called so."""
    names, features = list(names), set(features)
    if len(set(names)) < len(names):
        return names  # to be refused
    taken, free = {*names, *features}, []
    for name in names:
        new = name
        while name in features and new in taken:
            new += "_"
        taken.add(new)
        free.append(new)
    return free


def with_names(y: Any, names: list[str]) -> Any:
    """Return the target of rows under other names; what is no column or table goes on as it is, to be refused."""
    if np.ndim(y) == 1 and len(names) == 1:
        return NamedColumns({names[0]: y})
    if frame_names(y) == names or np.ndim(y) != 2 or np.shape(y)[1] != len(names) > 0:
        return y
    if hasattr(y, "columns"):
        return NamedColumns({name: column_at(y, i) for i, name in enumerate(names)})
    return NamedColumns({name: y[:, i] for i, name in enumerate(names)})


# -- columns of a PSR ------------------------------------------------------------------------------------------------


def as_list(targets: Any) -> list[str]:
    """Return the target columns of a fit: none, one or several."""
    return [] if targets is None else [targets] if isinstance(targets, str) else list(targets)


def column_names(y: Any) -> list[str]:
    """Return what `y` calls: the name of a column, or a list of names."""
    if isinstance(y, Iterable) and not isinstance(y, bytes):
        names = as_list(y)
        if names and all(isinstance(name, str) for name in names):
            return [normalised(name) for name in names]
    raise SchemaError(
        f"Got y of type {type(y).__name__} with a PSR, but expected the name of a column, or a list of names."
    )


def established(target: list[str], own: list[str] | None, fallback: list[str]) -> list[str]:
    """Return the names of the fit, which names that a later target carries may not contradict."""
    if len(fallback) != len(target) or (own is not None and own != target != fallback):
        raise SchemaError(f"Got targets {own or fallback}, but expected {target}, to which this estimator was fitted.")
    return target

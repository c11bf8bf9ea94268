"""When two fitted models are the same: every fitted attribute as bytes, and a digest of each."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed.exceptions import DataTypeError
from sklearn_symfed.psr import PSR

__all__ = ["fitted_digests", "value_digest"]


def fitted_digests(estimator: Any) -> dict[str, str]:
    """Return a digest of each fitted attribute; equal digests mean equal to the last bit.

    Two parties compare models by comparing these: neither the model nor what it was fitted from need be shown.

    Parameters
    ----------
    estimator : object
        A fitted estimator, of this package or of scikit-learn.

    Returns
    -------
    digests : dict of str to str
        For each attribute whose name ends with an underscore, by name, the SHA-256 of its type, shape and bytes.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    DataTypeError
        If an attribute is neither a number, a string, an array, a PSR, None, nor a list or dict of such.

    Examples
    --------
    >>> from sklearn_symfed import FederatedRidge, PSR, fitted_digests
    >>> X, y = [[0.1, 1.0], [0.2, 0.0], [0.4, 3.0]], [1.0, 2.0, 3.0]
    >>> merged = PSR.from_rows(X[1:], y[1:]) + PSR.from_rows(X[:1], y[:1])
    >>> fitted_digests(FederatedRidge().fit(X, y)) == fitted_digests(FederatedRidge().fit(merged, "y"))
    True
    """
    check_is_fitted(estimator)
    fitted = {name: value for name, value in vars(estimator).items() if name.endswith("_") and name[0] != "_"}
    return {name: value_digest(fitted[name]) for name in sorted(fitted)}


def value_digest(value: Any) -> str:
    """Return the digest of one attribute."""
    return hashlib.sha256(_bits(value)).hexdigest()


def _bits(value: Any) -> bytes:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return f"array {value.dtype.kind}{value.dtype.itemsize} {value.shape} ".encode() + _little_endian(value)
    if isinstance(value, np.ndarray):
        return f"array {value.shape} ".encode() + _bits(value.ravel().tolist())
    if isinstance(value, (list, tuple)):
        return b"list " + b"".join(_framed(_bits(item)) for item in value)
    if isinstance(value, dict):
        items = sorted((_bits(key), _bits(item)) for key, item in value.items())
        return b"dict " + b"".join(_framed(key) + _framed(item) for key, item in items)
    if isinstance(value, PSR):
        return b"psr " + value.digest.encode()
    if isinstance(value, np.generic):
        return _bits(value.item())
    if isinstance(value, float):
        return b"float " + struct.pack("<d", value)
    if value is None or isinstance(value, (bool, int, str)):
        return f"{type(value).__name__} {value}".encode()
    raise DataTypeError(f"Got a fitted attribute of type {type(value).__name__}, which has no canonical bytes.")


def _little_endian(value: np.ndarray[Any, Any]) -> bytes:
    return value.astype(value.dtype.newbyteorder("<")).tobytes()


def _framed(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data

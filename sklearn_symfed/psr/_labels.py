"""Class labels: bool, int or str, of one kind in a class column.

Owns what a label may be, in which order labels stand, and how the labels of rows are encoded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr._columns import plain_array

__all__ = ["MAX_LABELS", "MAX_LABEL_BYTES", "Label", "as_label", "encode_labels", "kind_of_labels", "sorted_labels"]

MAX_LABELS = 100_000
MAX_LABEL_BYTES = 4_096

Label = bool | int | str
Array = np.ndarray[Any, Any]
_INT64 = 2**63
_NARROW = 1 << 16


def encode_labels(y: Any) -> tuple[tuple[Label, ...], np.ndarray[Any, Any]]:
    """Return the distinct labels, sorted, and the position of each row's label among them.

    Labels are bool, int or str, of one kind; integral floats become int, strings are compared in Unicode's NFC.

    Raises
    ------
    DataError
        If a label is missing, not integral, or of another type.
    SchemaError
        If kinds are mixed, or there are more than `MAX_LABELS` labels.
    """
    array = plain_array(y, "labels")
    if isinstance(y, (list, tuple)):  # numpy would turn [1, "1"] into strings and [True, 2] into integers
        objects = np.asarray(y, dtype=object)
        array = objects if len({type(value) for value in objects.ravel().tolist()}) > 1 else array
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        msg = f"Got labels of shape {array.shape}, but expected one label for each row: shape (n_samples,)."
        raise DataError(msg)
    kind = array.dtype.kind
    if kind in "OT":
        keys = [as_label(value, row) for row, value in enumerate(array.tolist())]
        found = sorted_labels(keys)
        index = {label: code for code, label in enumerate(found)}
        return found, np.array([index[key] for key in keys], dtype=np.intp)
    if kind == "f":
        integral = np.isfinite(array) & (array == np.rint(array)) & (np.abs(array) < _INT64)
        for row in np.flatnonzero(~integral)[:1].tolist():
            as_label(float(array[row]), row)  # raises
        array = array.astype(np.int64)
    elif kind not in "biuU":
        msg = f"Unknown label type: got labels of dtype {array.dtype}, but expected bool, int or str."
        raise DataTypeError(msg)
    values, rows, codes = _distinct(array)
    labels = [as_label(value, row) for value, row in zip(values.tolist(), rows.tolist(), strict=True)]
    found = sorted_labels(labels)  # composing strings may bring two spellings together, and change their order
    index = {label: code for code, label in enumerate(found)}
    return found, np.array([index[label] for label in labels], dtype=np.intp)[codes]


def _distinct(array: Array) -> tuple[Array, Array, Array]:
    """Return distinct values, sorted, where each occurs first, and which of them each entry is."""
    if array.dtype.kind in "biu" and len(array):
        low, high = int(array.min()), int(array.max())
        if high - low < min(_NARROW, len(array)) and high < _INT64:  # counting takes a tenth of the time of sorting
            offsets = array.astype(np.int64) - low
            present = np.bincount(offsets) > 0
            first = np.zeros(int(present.sum()), dtype=np.intp)  # integers in this range are labels, wherever they are
            return (np.flatnonzero(present) + low).astype(array.dtype), first, (np.cumsum(present) - 1)[offsets]
    return np.unique(array, return_index=True, return_inverse=True)


def sorted_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """Return the distinct labels, sorted.

    Raises
    ------
    SchemaError
        If kinds are mixed (True, 1 and "1" are three labels, and a class column has one kind), or there are more than
        `MAX_LABELS`.
    """
    labels = list(labels)
    kinds = sorted({type(label).__name__ for label in labels})
    if len(kinds) > 1:
        msg = f"Got class labels of kinds {kinds}, but expected one kind in a class column (bool is not int)."
        raise SchemaError(msg)
    distinct: set[Any] = set(labels)
    if len(distinct) > MAX_LABELS:
        msg = f"Got {len(distinct)} distinct class labels, but expected at most {MAX_LABELS}."
        raise SchemaError(msg)
    return tuple(sorted(distinct))


def kind_of_labels(labels: Sequence[Label]) -> str:
    """Return of which kind labels are, "bool", "int" or "str"; "" if there are none."""
    return type(labels[0]).__name__ if labels else ""


def as_label(value: Any, row: int = 0) -> Label:
    """Return a label as bool, int or composed str; `row` is for the message.

    Raises
    ------
    DataError
        If it is missing, or cannot be a label.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        if -_INT64 <= int(value) < _INT64:
            return int(value)
        raise _no_label("an integer beyond int64", row)
    if isinstance(value, str):
        label = unicodedata.normalize("NFC", str.__str__(value))  # a subclass becomes the plain string
        if len(label.encode(errors="replace")) > MAX_LABEL_BYTES:
            raise _no_label(f"a string of more than {MAX_LABEL_BYTES} bytes", row)
        if any("\ud800" <= character <= "\udfff" for character in label):
            raise _no_label("a string with lone surrogates", row)
        return label
    if value is None or type(value).__name__ in {"NAType", "NaTType"} or value != value:  # noqa: PLR0124
        raise _no_label("NaN (a missing label)", row)
    if isinstance(value, (float, np.floating)):
        if float(value).is_integer() and abs(float(value)) < _INT64:
            return int(value)
        raise _no_label("a number that is no integer", row)
    raise _no_label(f"a label of type {type(value).__name__}", row, DataTypeError)


def _no_label(what: str, row: int, error: type[DataError] = DataError) -> DataError:
    return error(f"Unknown label type: y contains {what} in row {row} (counted from 0); expected bool, int or str.")

"""Ordinal encoding: a number for each level."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np

from sklearn_symfed._base import StrOptions
from sklearn_symfed._row_columns import CATEGORIES
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.preprocessing._levels import EncoderFromStatistics, LevelMap
from sklearn_symfed.psr import PSR

__all__ = ["FederatedOrdinalEncoder"]

Array = np.ndarray[Any, Any]


class FederatedOrdinalEncoder(EncoderFromStatistics):
    """Encode categories as the numbers 0, 1, ..., by the vocabulary of exact statistics.

    Columns of numbers pass.

    Parameters
    ----------
    categories : "auto", list of str, or mapping of str to levels or None, default="auto"
        Columns of rows that hold categories, as in `FederatedOneHotEncoder`.
    handle_unknown : {"error", "use_encoded_value"}, default="error"
        Whether a level that was not learned is refused, or encoded as `unknown_value`.
    unknown_value : int or nan, default=None
        No code of a level.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    columns_ : list of str
        Columns that are encoded.
    categories_ : list of ndarray of object of shape (n_levels,)
        Of each of them the levels, as texts, by their code: whole numbers by their size, then others.
    psr_ : PSR
        What the encoder was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where columns have names.

    See Also
    --------
    sklearn.preprocessing.OrdinalEncoder : The same from rows, of all columns.

    Notes
    -----
    The code of a row is the sum over levels of their code times their indicator: an affine map, by which
    ``transform(psr)`` returns the statistics of the encoded rows.  Codes follow from the levels that all parties have,
    so a level that is new to one of them may change them: `psr_` and the merged statistics say which they are.  A
    missing value of a column with ``missing="indicator"`` is zero, beside the column that says so.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_symfed import FederatedOrdinalEncoder
    >>> rows = pd.DataFrame({"size": ["9", "10", "9"], "x": [0.5, 1.5, 2.5]})
    >>> FederatedOrdinalEncoder().fit(rows).transform(rows).tolist()
    [[0.0, 0.5], [1.0, 1.5], [0.0, 2.5]]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categories": CATEGORIES,
        "handle_unknown": [StrOptions({"error", "use_encoded_value"})],
        "unknown_value": [Real, None],
    }

    def __init__(
        self,
        *,
        categories: Any = "auto",
        handle_unknown: str = "error",
        unknown_value: float | None = None,
        prior: PSR | None = None,
    ) -> None:
        self.categories = categories
        self.handle_unknown = handle_unknown
        self.unknown_value = unknown_value
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:  # noqa: ARG002 (the vocabulary says it all)
        found = self._vocabulary()
        if (self.handle_unknown == "error") != (self.unknown_value is None):
            raise DataError(
                f"Got handle_unknown={self.handle_unknown!r} and unknown_value={self.unknown_value!r}, but expected a "
                "number with 'use_encoded_value', and None with 'error'."
            )
        most = max(map(len, found["categories_"]), default=0)
        if self.unknown_value is not None and self.unknown_value in range(most):
            raise DataError(f"Got unknown_value={self.unknown_value!r}, but expected no code of a level.")
        return found

    def _level_map(self, position: int) -> LevelMap:
        codes = np.arange(len(self.categories_[position]), dtype=np.float64)[:, None]
        unknown = None if self.unknown_value is None else np.array([float(self.unknown_value)])
        return LevelMap([""], codes, unknown)

    def inverse_transform(self, X: Any) -> Array:
        """Return the rows that were encoded, levels as texts.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)

        Returns
        -------
        ndarray of object of shape (n_samples, n_features)
            None stands for a level that was not learned.

        Raises
        ------
        DataError
            If a number is no code.
        """
        return self._inverse(X)

    def _levels_back(self, position: int, block: Array) -> Array:
        levels = [*self.categories_[position].tolist(), None]
        codes = block[:, 0]
        beyond = np.zeros(len(codes), dtype=bool)
        if self.unknown_value is not None:
            beyond = np.isnan(codes) if np.isnan(self.unknown_value) else codes == self.unknown_value
        wrong = ~beyond & ~np.isin(codes, np.arange(len(levels) - 1))
        if wrong.any():
            raise DataError(f"Got {int(wrong.sum())} numbers that are no codes of {self.columns_[position]!r}.")
        back: Array = np.array(levels, dtype=object)[np.where(beyond, len(levels) - 1, codes).astype(int)]
        return back

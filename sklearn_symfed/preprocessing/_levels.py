"""Encoders: each column of categories becomes columns of numbers, one row of them for each level.

Owns the one map that acts on rows and on statistics: an encoded row is a sum of the level's numbers times its
indicator, so that the statistics of encoded rows are those of an affine image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from sklearn_symfed._row_columns import RowColumns
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import NUMERIC, PSR, Encoding, encoded_table, level_name, not_finite

__all__ = ["EncoderFromStatistics", "LevelMap"]

Array = np.ndarray[Any, Any]


class LevelMap(NamedTuple):
    """What the levels of a column become.

    Attributes
    ----------
    names : list of str
        What is added to the name of the column, for each column that it becomes.
    values : ndarray of float64 of shape (n_levels, n_out)
    unknown : ndarray of float64 of shape (n_out,) or None
        Of a level that was not learned; None refuses it.
    """

    names: list[str]
    values: Array
    unknown: Array | None

    def __call__(self, indicators: Array, missing: Array) -> Array:
        """Return what rows become: of missing values, zeros."""
        known = np.hstack([indicators, ~indicators.any(axis=1, keepdims=True)])
        beyond = np.zeros(self.values.shape[1]) if self.unknown is None else self.unknown
        out: Array = np.vstack([self.values, beyond])[known.argmax(axis=1)]
        out[missing] = 0.0
        return out


class EncoderFromStatistics(RowColumns):
    """Mixin: columns of categories are encoded as `_level_map` says, the others pass."""

    columns_: list[str]
    categories_: list[Array]

    def _level_map(self, position: int) -> LevelMap:
        """Return what becomes of the levels of the column ``columns_[position]``."""
        raise NotImplementedError

    def _vocabulary(self) -> dict[str, Any]:
        """Return the fitted attributes that all encoders have."""
        found = self._schema.categories
        return {
            "columns_": list(found),
            "categories_": [np.array(levels, dtype=object) for levels in found.values()],
        }

    def _maps(self) -> list[tuple[str, Encoding, LevelMap | None]]:
        """Return what becomes of each column of rows; None: its numbers pass."""
        schema = self._schema
        maps = {name: self._level_map(position) for position, name in enumerate(self.columns_)}
        return [(name, schema.encodings.get(name, NUMERIC), maps.get(name)) for name in schema.columns]

    # -- rows --------------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Encode rows, or map their statistics to those of the encoded rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR

        Returns
        -------
        ndarray of float64 of shape (n_samples, n_features_out), or PSR

        Raises
        ------
        DataError
            If a level is not known and `handle_unknown` does not say what becomes of it, or a value is missing that may
            not be.
        """
        X, maps = self._rows(X, "transform"), self._maps()
        refuse = any(level_map is not None and level_map.unknown is None for _, _, level_map in maps)
        numbers = encoded_table(X, self._schema, unknown="error" if refuse else "ignore")
        _require_finite(numbers, self._features())
        blocks, start = [], 0
        for name, encoding, level_map in maps:
            width = len(encoding.names(name))
            block = numbers[:, start : start + width]
            start += width
            if level_map is None:
                blocks.append(block)
                continue
            levels = len(encoding.levels or ())
            missing = np.asarray(block[:, levels:].any(axis=1))
            blocks += [level_map(np.not_equal(block[:, :levels], 0), missing), block[:, levels:]]
        return np.hstack(blocks)

    transform.checks_rows = True  # type: ignore[attr-defined]

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """Return the names of what comes out.

        Parameters
        ----------
        input_features : array-like of str of shape (n_features,), default=None
            Names of an array's columns; else those of the fit.

        Returns
        -------
        ndarray of object of shape (n_features_out,)
        """
        given = super().get_feature_names_out(input_features)
        names: list[str] = []
        for own, (_, encoding, level_map) in zip(given, self._maps(), strict=True):
            levels = len(encoding.levels or ())
            names += [] if level_map is None else [f"{own}{each}" for each in level_map.names]
            names += encoding.names(own)[levels:]
        return np.array(names, dtype=object)

    # -- statistics --------------------------------------------------------------------------------------------------

    def _affine(self) -> tuple[Array, Sequence[float]]:
        schema, blocks = self._schema, []
        for name, encoding, level_map in self._maps():
            width, levels = len(encoding.names(name)), len(encoding.levels or ())
            block = np.eye(width)[:, levels:]
            if level_map is not None:
                values = np.zeros((width, level_map.values.shape[1]))
                values[:levels] = level_map.values
                block = np.hstack([values, block])
            blocks.append(block)
        out = np.zeros((len(schema.names), sum(block.shape[1] for block in blocks)))
        row = column = 0
        for block in blocks:
            out[row : row + block.shape[0], column : column + block.shape[1]] = block
            row, column = row + block.shape[0], column + block.shape[1]
        return out, [0.0] * out.shape[1]

    def _transform_statistics(self, psr: PSR) -> PSR:
        check_is_fitted(self)
        there = self._require_columns(psr)
        names, rows = list(self._schema.names), list(self._affine()[0])
        for name, row in self._unknown_levels(there):
            names.append(name)
            rows.append(row)
        absent = [name for name in names if name not in there.names]
        complete = there.with_zeros(absent) if absent else there
        matrix = np.array(rows).reshape(len(names), -1)
        return _image(complete, names, matrix, self._names_out(matrix.shape[1]))

    def _unknown_levels(self, psr: PSR) -> list[tuple[str, Array]]:
        """Return the indicators of levels that were not learned, and what they become in all that comes out."""
        theirs, found, start = psr.schema.categories, [], 0
        width = len(self.get_feature_names_out())
        for name, encoding, level_map in self._maps():
            if level_map is not None:
                beyond = [level for level in theirs[name] if level not in (encoding.levels or ())]
                if beyond and level_map.unknown is None:
                    raise DataError(
                        f"Got {len(beyond)} levels of column {name!r} that were not learned, but expected those that "
                        "were: handle_unknown says what else becomes of them."
                    )
                row = np.zeros(width)
                if level_map.unknown is not None:
                    row[start : start + len(level_map.names)] = level_map.unknown
                found += [(level_name(name, level), row) for level in beyond]
            start += len(encoding.names("")) - len(encoding.levels or ()) + len(level_map.names if level_map else ())
        return found

    # -- back --------------------------------------------------------------------------------------------------------

    def _levels_back(self, position: int, block: Array) -> Array:
        """Return the levels that numbers stand for: ndarray of object of shape (n_rows,)."""
        raise NotImplementedError

    def _inverse(self, X: Any) -> Array:
        X = check_array(X, ensure_all_finite=False, dtype=np.float64)
        width = len(self.get_feature_names_out())
        if X.shape[1] != width:
            raise DataError(f"Got {X.shape[1]} columns, but expected {width}, as transform returns.")
        out = np.empty((len(X), self.n_features_in_), dtype=object)
        start = 0
        for column, (name, encoding, level_map) in enumerate(self._maps()):
            own = 1 if level_map is None else len(level_map.names)
            block, missing = X[:, start : start + own], np.zeros(len(X), dtype=bool)
            start += own
            if encoding.missing == "indicator":
                missing = X[:, start] != 0
                start += 1
            if level_map is None:
                out[:, column] = np.where(missing, np.nan, block[:, 0])
            else:
                out[~missing, column] = self._levels_back(self.columns_.index(name), block[~missing])
        return out


def _image(psr: PSR, names: list[str], matrix: Array, names_out: list[str]) -> PSR:
    """Return the statistics of encoded rows, without a product where indicators stay as they are."""
    ones = matrix == 1
    kept = (np.count_nonzero(matrix, axis=0) == 1) & ones.any(axis=0)
    if not kept.all() or (ones.sum(axis=1) > 1).any() or set(names) & psr.schema.observed.keys():
        return psr.affine(names, matrix, None, names_out)
    chosen = [names[place] for place in ones.argmax(axis=0)]
    classes = [] if psr.schema.classes is None else [psr.schema.classes]
    beside = psr.schema.names_without(names)
    return psr.select([*chosen, *beside, *classes]).rename(dict(zip(chosen, names_out, strict=True)))


def _require_finite(numbers: Array, names: list[str]) -> None:
    if not np.isfinite(numbers).all():
        row, column = (int(place) for place in np.argwhere(~np.isfinite(numbers))[0])
        raise not_finite("NaN" if np.isnan(numbers[row, column]) else "infinity", names[column], row)

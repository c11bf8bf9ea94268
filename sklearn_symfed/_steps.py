"""Steps of a pipeline: what is affine acts on statistics as it does on rows.

A step says once which affine map its ``transform`` is.  Given a PSR, it returns that of the transformed rows, with the
target beside them, so that a pipeline goes from statistics to a fitted model without a row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._input import generated_names
from sklearn_symfed.exceptions import DataTypeError, SchemaError
from sklearn_symfed.psr import PSR

__all__ = ["AffineStep", "centred"]

Array = np.ndarray[Any, Any]


def centred(matrix: Array, mean: Array) -> tuple[Array, list[Fraction]]:
    """Return the affine map of ``(X - mean) @ matrix`` with an offset that is not rounded.

    Parameters
    ----------
    matrix : ndarray of float64 of shape (n_features, n_out)
    mean : ndarray of float64 of shape (n_features,)

    Returns
    -------
    matrix : ndarray of float64 of shape (n_features, n_out)
    offset : list of Fraction, of length n_out
    """
    means = [Fraction(value) for value in mean.tolist()]
    columns = matrix.T.tolist()
    zero = Fraction(0)
    return matrix, [-sum((m * Fraction(a) for m, a in zip(means, column, strict=True)), zero) for column in columns]


class AffineStep:
    """Mixin: `transform` takes a PSR, too, where `_affine` says which map it is.

    A subclass has `_features`, and `_affine`, which returns a matrix and an offset: floats, or fractions with a power
    of two below the line.
    """

    _features: Callable[[], list[str]]
    _affine: Callable[[], tuple[Array, Sequence[Any]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)  # scikit-learn makes frames of what comes out: not of a PSR
        if hasattr(cls, "transform"):
            cls.transform = _or_for_statistics(cls.transform, "_transform_statistics")
        if hasattr(cls, "fit_transform"):
            cls.fit_transform = _or_for_statistics(cls.fit_transform, "_fit_transform_statistics")

    def _fit_transform_statistics(self, psr: PSR, y: Any = None) -> PSR:
        return self.fit(psr, y).transform(psr)  # type: ignore[attr-defined, no-any-return]

    def _transform_statistics(self, psr: PSR) -> PSR:
        check_is_fitted(self)
        if not hasattr(self, "_affine"):
            raise DataTypeError(f"transform of {type(self).__name__} needs rows, but got a PSR: it is not affine.")
        features, beside = self._features(), self._passing()
        unknown = [name for name in psr.names if name not in {*features, *beside}]
        if unknown:
            raise SchemaError(
                f"Got columns {unknown} that {type(self).__name__} was not fitted to, but expected {features}"
                f"{f' and {list(beside)}' if beside else ''}: psr.drop({unknown}), or pass them as y to fit."
            )
        matrix, offset = self._affine()
        return psr.affine(features, matrix, offset, self._names_out(matrix.shape[1]))

    def _passing(self) -> Sequence[str]:
        """Return the columns of the PSR that it was fitted from which were no features, as y said."""
        return getattr(self, "_beside", ())

    def _names_out(self, count: int) -> list[str]:
        """Return the names of transformed columns: those of an array unless frames were asked for."""
        own = getattr(self, "_sklearn_output_config", {})
        if own.get("transform", get_config()["transform_output"]) == "default":
            return generated_names(count)
        return list(self.get_feature_names_out())  # type: ignore[attr-defined]


def _or_for_statistics(method: Callable[..., Any], statistics: str) -> Callable[..., Any]:
    """Return a method that hands a PSR to the one of another name."""
    if hasattr(method, "takes_statistics"):
        return method

    @functools.wraps(method)
    def either(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(X, PSR):
            return getattr(self, statistics)(X, *args, **kwargs)
        return method(self, X, *args, **kwargs)

    either.takes_statistics = True  # type: ignore[attr-defined]
    return either

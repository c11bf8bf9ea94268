"""What keeps some columns and leaves out the others: an affine step, whatever decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sklearn_symfed._base import TransformerFromStatistics

__all__ = ["SelectorFromStatistics"]

Array = np.ndarray[Any, Any]


class SelectorFromStatistics(TransformerFromStatistics):
    """Mixin: `transform` keeps the columns of scikit-learn's support mask."""

    n_features_in_: int
    get_support: Callable[[], Array]

    def _affine(self) -> tuple[Array, Sequence[float]]:
        kept = np.eye(self.n_features_in_)[:, self.get_support()]
        return kept, [0.0] * kept.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        return tags

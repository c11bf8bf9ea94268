"""Leaving out features that hardly vary."""

from __future__ import annotations

from typing import Any

from sklearn.feature_selection import VarianceThreshold

from sklearn_symfed.feature_selection._selector import SelectorFromStatistics
from sklearn_symfed.psr import PSR

__all__ = ["FederatedVarianceThreshold"]


class FederatedVarianceThreshold(SelectorFromStatistics, VarianceThreshold):
    """Selection of features whose variance exceeds a threshold, from exact statistics.

    Parameters
    ----------
    threshold : float, default=0.0
        Features with a variance of at most this are left out.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    variances_ : ndarray of shape (n_features,)
        Divided by the sum of weights, not one less; correctly rounded.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.feature_selection.VarianceThreshold : The same selection from rows.

    Notes
    -----
    The exact variance of a constant feature is zero, that of any other is not.  scikit-learn, whose variances are
    rounded on the way, looks at the range of each feature where `threshold` is zero, and tells the smaller of both as
    ``variances_``; the selection is the same.

    Examples
    --------
    >>> from sklearn_symfed import FederatedVarianceThreshold
    >>> FederatedVarianceThreshold().fit_transform([[0.1, 2.0], [0.1, 1.0], [0.1, 1.0]])
    array([[2.],
           [1.],
           [1.]])
    """

    def __init__(self, threshold: float = 0.0, *, prior: PSR | None = None) -> None:
        self.threshold = threshold
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        variances = psr.moments().variance()
        if not (variances > self.threshold).any():
            alone = " (X contains only one sample)" if psr.n_rows == 1 else ""
            raise ValueError(f"No feature in X meets the variance threshold {self.threshold:.5f}{alone}")
        return {"variances_": variances}

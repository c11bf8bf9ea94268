"""The covariance of rows."""

from __future__ import annotations

from sklearn.covariance import EmpiricalCovariance

from sklearn_symfed._shrinkage import Exact
from sklearn_symfed.covariance._gaussian import CovarianceFromStatistics
from sklearn_symfed.covariance._precision import second_moments
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedEmpiricalCovariance"]


class FederatedEmpiricalCovariance(CovarianceFromStatistics, EmpiricalCovariance):
    """Covariance by maximum likelihood from exact statistics.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether to keep ``precision_``; `get_precision` gives it anyway.
    assume_centered : bool, default=False
        Whether the means are zero, and need not be estimated.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Means, or zeros.
    covariance_ : ndarray of shape (n_features, n_features)
        The sum of squares and products over the sum of weights.
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse; its pseudo-inverse where features are collinear.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.covariance.EmpiricalCovariance : The same model from rows.

    Notes
    -----
    All is correctly rounded: see `precision_of` in `sklearn_symfed.covariance._precision` for the inverse.

    Examples
    --------
    >>> from sklearn_symfed import FederatedEmpiricalCovariance
    >>> model = FederatedEmpiricalCovariance().fit([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> model.covariance_.tolist(), model.precision_.tolist(), model.mahalanobis([[3.0, 1.0]]).tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]], [4.0])
    """

    def __init__(
        self, *, store_precision: bool = True, assume_centered: bool = False, prior: PSR | None = None
    ) -> None:
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.prior = prior

    def _exact(self, moments: Moments) -> Exact:
        return second_moments(moments, assume_centered=self.assume_centered)

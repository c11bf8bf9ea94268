"""Covariances that are moved towards their mean variance: by a share that is given, or that OAS finds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from sklearn.covariance import OAS, ShrunkCovariance

from sklearn_symfed._rounding import integer_ratio
from sklearn_symfed._shrinkage import Exact, effective_size, oas_share, shrunk
from sklearn_symfed.covariance._gaussian import CovarianceFromStatistics
from sklearn_symfed.covariance._precision import second_moments
from sklearn_symfed.psr import PSR, Moments, quotient

__all__ = ["FederatedOAS", "FederatedShrunkCovariance"]


class FederatedShrunkCovariance(CovarianceFromStatistics, ShrunkCovariance):
    r"""Covariance with a fixed shrinkage from exact statistics.

    Parameters
    ----------
    store_precision : bool, default=True
        Whether to keep ``precision_``; `get_precision` gives it anyway.
    assume_centered : bool, default=False
        Whether the means are zero, and need not be estimated.
    shrinkage : float, default=0.1
        Between 0 and 1: how far the covariance is moved towards its mean variance.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Means, or zeros.
    covariance_ : ndarray of shape (n_features, n_features)
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse; its pseudo-inverse where features are collinear.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.covariance.ShrunkCovariance : The same model from rows.
    FederatedOAS : Finds the shrinkage.  Ledoit-Wolf's needs fourth moments, which a PSR does not hold.

    Notes
    -----
    :math:`(1 - s) S + s\,\mathrm{tr}(S) / d` with the covariance :math:`S` of :math:`d` features and the shrinkage
    :math:`s`; all is correctly rounded.

    Examples
    --------
    >>> from sklearn_symfed import FederatedShrunkCovariance
    >>> model = FederatedShrunkCovariance(shrinkage=0.5).fit([[0.0, 0.0], [0.0, 4.0]])
    >>> model.covariance_.tolist(), model.precision_.tolist()
    ([[1.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [0.0, 0.3333333333333333]])
    """

    def __init__(
        self,
        *,
        store_precision: bool = True,
        assume_centered: bool = False,
        shrinkage: float = 0.1,
        prior: PSR | None = None,
    ) -> None:
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.shrinkage = shrinkage
        self.prior = prior

    def _exact(self, moments: Moments) -> Exact:
        empirical = second_moments(moments, assume_centered=self.assume_centered)
        return shrunk(empirical, Fraction(*integer_ratio(self.shrinkage)))


class FederatedOAS(CovarianceFromStatistics, OAS):
    """Covariance with the oracle approximating shrinkage from exact statistics.

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
    shrinkage_ : float
        How far the covariance is moved towards its mean variance.
    location_ : ndarray of shape (n_features,)
        Means, or zeros.
    covariance_ : ndarray of shape (n_features, n_features)
    precision_ : ndarray of shape (n_features, n_features) or None
        Its inverse; its pseudo-inverse where features are collinear.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.covariance.OAS : The same model from rows.

    Notes
    -----
    The shrinkage is a rational function of the covariance and the number of rows: see `oas_share` in
    `sklearn_symfed._shrinkage`.  Where weights do not repeat rows, their effective number takes the place of the
    number of rows.  All is correctly rounded.

    Examples
    --------
    >>> from sklearn_symfed import FederatedOAS
    >>> model = FederatedOAS().fit([[1.0, 1.0], [-1.0, -1.0]] * 8 + [[1.0, -1.0], [-1.0, 1.0]] * 2)
    >>> model.shrinkage_, model.precision_.tolist()
    (0.4444444444444444, [[1.125, -0.375], [-0.375, 1.125]])
    """

    def __init__(
        self, *, store_precision: bool = True, assume_centered: bool = False, prior: PSR | None = None
    ) -> None:
        self.store_precision = store_precision
        self.assume_centered = assume_centered
        self.prior = prior

    def _exact(self, moments: Moments) -> Exact:
        empirical = second_moments(moments, assume_centered=self.assume_centered)
        return shrunk(empirical, oas_share(empirical, effective_size(moments)))

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments = psr.moments()
        empirical = second_moments(moments, assume_centered=self.assume_centered)
        share = oas_share(empirical, effective_size(moments))
        return {**super()._solve(psr), "shrinkage_": quotient(share.numerator, share.denominator)}

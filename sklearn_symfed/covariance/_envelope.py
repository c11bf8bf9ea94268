"""Outliers by their Mahalanobis distance from all that was learned."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, NoReturn

from sklearn.covariance import EllipticEnvelope

from sklearn_symfed._base import Interval
from sklearn_symfed._shrinkage import Exact
from sklearn_symfed.covariance._gaussian import CovarianceFromStatistics, by_name
from sklearn_symfed.covariance._precision import is_regular, precision_of, second_moments
from sklearn_symfed.covariance._quantile import chi_square_quantile
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedGaussianEnvelope"]


def _needs_rows(_: Any) -> NoReturn:
    raise AttributeError("a robust covariance is no function of the statistics, it needs rows")


class FederatedGaussianEnvelope(CovarianceFromStatistics, EllipticEnvelope):
    r"""Outlier detector by Mahalanobis distance from exact statistics.

    Parameters
    ----------
    quantile : float, default=0.975
        Which share of rows of a Gaussian is to lie inside.
    assume_centered : bool, default=False
        Whether the means are zero, and need not be estimated.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Means, or zeros.
    covariance_ : ndarray of shape (n_features, n_features)
    precision_ : ndarray of shape (n_features, n_features)
        Its inverse; its pseudo-inverse where features are collinear.
    offset_ : float
        Minus the chi-square quantile for as many degrees of freedom as the precision has rank; a row with a lower
        ``score_samples``, minus the squared distance, is an outlier.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.covariance.EllipticEnvelope : Predicts in the same way, from the covariance of the rows in the middle, and
        with a share of them that lies outside.

    Notes
    -----
    Squared Mahalanobis distances :math:`(x - \mu)^T \Sigma^{-1} (x - \mu)` of a Gaussian in :math:`d` dimensions follow
    the chi-square distribution with :math:`d` degrees of freedom [1]_.  Outliers among the rows learned widen the
    envelope themselves: a robust covariance, as of `sklearn.covariance.MinCovDet`, is no function of the statistics.
    `score` is the average log-likelihood, also of a PSR.  All is correctly rounded.

    References
    ----------
    .. [1] R. A. Johnson, D. W. Wichern, "Applied Multivariate Statistical Analysis", 6th ed., 2007, section 4.2.

    Examples
    --------
    >>> from sklearn_symfed import FederatedGaussianEnvelope
    >>> model = FederatedGaussianEnvelope().fit([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> model.offset_, model.score_samples([[1.0, 3.0]]).tolist(), model.predict([[1.0, 3.0], [1.0, 5.0]]).tolist()
    (-7.377758908227871, [-4.0], [1, -1])
    """

    correct_covariance = reweight_covariance = property(_needs_rows)
    _parameter_constraints: ClassVar[dict[str, Any]] = {"quantile": [Interval(Real, 0, 1, closed="neither")]}

    def __init__(self, quantile: float = 0.975, *, assume_centered: bool = False, prior: PSR | None = None) -> None:
        self.quantile = quantile
        self.assume_centered = assume_centered
        self.prior = prior

    def _exact(self, moments: Moments) -> Exact:
        return second_moments(moments, assume_centered=self.assume_centered)

    def _solve(self, psr: PSR) -> dict[str, Any]:
        if psr.n_rows < 2:
            raise DataError(f"Found array with {psr.n_rows} sample(s) while a minimum of 2 is required.")
        covariance = self._exact(by_name(psr)[0])
        rank = len(psr.names) if is_regular(covariance) else precision_of(covariance)[1]
        if not rank:
            raise DataError("Got features without variance, but expected at least one that varies.")
        return {**super()._solve(psr), "offset_": -chi_square_quantile(self.quantile, rank)}

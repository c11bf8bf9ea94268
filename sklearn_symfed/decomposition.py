"""Principal components from exact moments."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import FromStatistics, Interval, RealNotInt, TransformerFromStatistics
from sklearn_symfed._linalg import symmetric_eigenpairs
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments, quotient

__all__ = ["FederatedPCA", "average_log_likelihood", "principal_components"]

Array = np.ndarray[Any, Any]


def principal_components(moments: Moments) -> tuple[Array, Array, Array]:
    r"""Return all principal components, by descending variance.

    Parameters
    ----------
    moments : Moments

    Returns
    -------
    components : ndarray of shape (n_features, n_features)
        One a row; the entry of largest magnitude is positive, ties go to the lowest position.
    variance : ndarray of shape (n_features,)
    singular : ndarray of shape (n_features,)
        Singular values of the centred rows.

    Raises
    ------
    DataError
        If there are fewer than two rows.

    Notes
    -----
    Eigenpairs of the scatter :math:`(X - \bar x)^T W (X - \bar x)`, whose entries are correctly rounded, by LAPACK
    [1]_.  Variances are the eigenvalues over :math:`W - \sum w_i^2 / W` (:math:`n - 1` without weights).  Negative
    eigenvalues are rounding errors and become zero.

    References
    ----------
    .. [1] I. T. Jolliffe, "Principal Component Analysis", 2nd ed., 2002, section 3.1.
    """
    if moments.n_rows < 2:
        raise DataError(
            f"Found array with {moments.n_rows} sample(s) while a minimum of 2 is required: variances need two rows."
        )
    values, components = symmetric_eigenpairs(moments.scatter)
    values = np.maximum(values, 0.0)
    weight, exponent = moments.matrix[0, 0], moments.exponent
    # (W**2 - sum(w**2)) / W, over integers: W has the exponent once, W**2 twice
    shift = max(0, -exponent)
    freedom = quotient(
        ((weight * weight << exponent) if exponent > 0 else weight * weight) - (moments.sum_w2 << shift), weight
    )
    freedom = math.ldexp(freedom, min(exponent, 0))
    return components, values / freedom, np.sqrt(values)


def average_log_likelihood(moments: Moments, mean: Array, precision: Array) -> float:
    r"""Return the average log-likelihood of rows under a Gaussian, from their moments.

    Parameters
    ----------
    moments : Moments
    mean : ndarray of shape (n_features,)
    precision : ndarray of shape (n_features, n_features)

    Returns
    -------
    float

    Notes
    -----
    With :math:`S` the (biased) covariance of the rows, :math:`\bar x` their mean and :math:`P` the precision,

    .. math:: -\tfrac12 [\mathrm{tr}(P S) + (\bar x - \mu)^T P (\bar x - \mu) + d \log 2 \pi - \log\det P].
    """
    offset = moments.mean - mean
    squared = float(np.sum(precision * moments.covariance(ddof=0)) + offset @ precision @ offset)
    sign, logdet = np.linalg.slogdet(precision)
    logdet = logdet if sign > 0 else -math.inf
    return -0.5 * (squared + len(mean) * math.log(2 * math.pi) - float(logdet))


class FederatedPCA(TransformerFromStatistics, PCA):
    """Principal component analysis from exact statistics.

    Parameters
    ----------
    n_components : int or float, default=None
        How many components to keep; a float between 0 and 1 keeps the fewest that explain more than this share of the
        variance; None keeps ``min(n_samples, n_features)``.
    whiten : bool, default=False
        Whether `transform` scales components to unit variance.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features)
        By descending variance; the entry of largest magnitude is positive.
    explained_variance_, explained_variance_ratio_, singular_values_ : ndarray of shape (n_components_,)
    mean_ : ndarray of shape (n_features,)
    n_components_, n_samples_ : int
    noise_variance_ : float
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.decomposition.PCA : The same model from rows.

    Notes
    -----
    The mean is correctly rounded; see `principal_components` for the rest.  Unlike
    `sklearn.decomposition.IncrementalPCA`, nothing is truncated between batches.  Float weights count as in
    ``numpy.cov(aweights=...)``.

    Examples
    --------
    >>> from sklearn_symfed import FederatedPCA
    >>> pca = FederatedPCA(n_components=1).fit([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    >>> pca.explained_variance_ratio_.round(12), pca.mean_
    (array([1.]), array([2., 4.]))
    """

    svd_solver = "covariance_eigh"  # no parameters here, but inherited tags ask for them
    power_iteration_normalizer = "none"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FromStatistics._parameter_constraints,
        "n_components": [
            Interval(Integral, 0, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "whiten": ["boolean"],
    }

    def __init__(self, n_components: float | None = None, *, whiten: bool = False, prior: PSR | None = None) -> None:
        self.n_components = n_components
        self.whiten = whiten
        self.prior = prior

    def score(self, X: Any, y: Any = None) -> float:
        """Return the average log-likelihood of rows, or of the rows that a PSR stands for.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : None
            Ignored.

        Returns
        -------
        float
            Under the model of probabilistic PCA.
        """
        if not isinstance(X, PSR):
            return float(super().score(X, y))
        check_is_fitted(self)
        return average_log_likelihood(X.select(self.psr_.names).moments(), self.mean_, self.get_precision())

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments = psr.moments()
        components, variance, singular = principal_components(moments)
        most = min(moments.n_rows, len(moments.names))
        with np.errstate(invalid="ignore"):  # without variance its shares are undefined: NaN
            ratio = variance / variance[:most].sum()
        kept = self._n_kept(ratio, most)
        return {
            "components_": components[:kept].copy(),
            "explained_variance_": variance[:kept].copy(),
            "explained_variance_ratio_": ratio[:kept].copy(),
            "singular_values_": singular[:kept].copy(),
            "mean_": moments.mean,
            "n_components_": kept,
            "n_samples_": moments.n_rows,
            "noise_variance_": float(variance[kept:most].mean()) if kept < most else 0.0,
        }

    def _n_kept(self, ratio: Array, most: int) -> int:
        if self.n_components is None:
            return most
        if isinstance(self.n_components, Integral):
            if self.n_components > most:
                raise ValueError(
                    f"n_components={self.n_components} must be between 0 and min(n_samples, n_features)={most}."
                )
            return int(self.n_components)
        return min(most, int(np.searchsorted(np.cumsum(ratio), self.n_components, side="right")) + 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

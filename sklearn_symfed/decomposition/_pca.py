"""Principal components from exact moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import FromStatistics, Interval, RealNotInt, TransformerFromStatistics
from sklearn_symfed._eigen import Eigenproblem, evaluate_pairs, flip_signs
from sklearn_symfed._rounding import ball, ball_column, flint_integers
from sklearn_symfed._steps import centred
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedPCA", "PrincipalComponents", "average_log_likelihood"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Components:
    """Principal components by descending variance.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_features)
        One a row; the entry of largest magnitude is positive, ties go to the first name.
    variance, ratio, singular : ndarray of shape (n_components,)
        Variances, their shares, and the singular values of the centred rows.
    noise : float
        Mean variance of the ``min(n_rows, n_features) - n_components`` directions left out; 0 where there are none.
    """

    components: Array
    variance: Array
    ratio: Array
    singular: Array
    noise: float


class PrincipalComponents:
    r"""Find principal components exactly, and round once.

    Parameters
    ----------
    moments : Moments

    Raises
    ------
    DataError
        If there are fewer than two rows.

    Notes
    -----
    Eigenpairs of the exact co-moments by `Eigenproblem` [1]_: each number is correctly rounded where eigenvalues are
    further apart than :math:`2^{-250}` of their sum, and eigenvectors of equal ones follow its convention, with
    features in the order of their names.  Variances
    are the eigenvalues of the scatter :math:`(X - \bar x)^T W (X - \bar x)` over :math:`W - \sum w_i^2 / W`
    (:math:`n - 1` without weights), singular values their square roots; the sum of all is the trace, which is exact.

    References
    ----------
    .. [1] I. T. Jolliffe, "Principal Component Analysis", 2nd ed., 2002, section 3.1.
    """

    def __init__(self, moments: Moments) -> None:
        if moments.n_rows < 2:
            raise DataError(
                f"Found array with {moments.n_rows} sample(s) while a minimum of 2 is required: variances need two."
            )
        self.most = min(moments.n_rows, len(moments.names))
        order = np.argsort(moments.names)
        comoments, self._back = moments.comoments[np.ix_(order, order)], np.argsort(order)
        self._problem = Eigenproblem(comoments, rank=flint_integers(comoments).rank())
        self._trace = sum(int(value) for value in moments.comoments.diagonal())
        # a scatter is co-moments / W, a variance scatter / (W - sum(w**2) / W)
        weight, unit = moments.matrix[0, 0], moments.unit
        self._unit = unit / weight
        self._variance_unit = unit / (weight * weight * unit - moments.sum_w2)

    def solve(self, count: int) -> Components:
        """Return the first components.

        Parameters
        ----------
        count : int
            Up to ``min(n_rows, n_features)``.
        """

        def attempt(level: Any) -> list[Any] | None:
            pairs = self._problem.pairs(level, count)
            if pairs is None:
                return None
            rest = self._trace - sum(pairs.values, ball(0))
            others = max(self.most - count, 1)
            shares = [value / max(self._trace, 1) for value in pairs.values]
            columns = [
                [value * ball(self._variance_unit) for value in pairs.values],
                shares,
                [(value * ball(self._unit)).nonnegative_part().sqrt() for value in pairs.values],
                [rest * ball(self._variance_unit / others)],
            ]
            return [pairs.vectors, *(ball_column(each) for each in columns)]

        components, variance, ratio, singular, noise = evaluate_pairs(attempt, self._problem.levels)
        if not self._trace:
            ratio[:] = np.nan  # shares of no variance are undefined
        left_out = float(noise[0, 0]) if count < self.most else 0.0
        components = flip_signs(components)[:, self._back]
        return Components(components, variance[:, 0], ratio[:, 0], singular[:, 0], left_out)


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
    sklearn.decomposition.IncrementalPCA : What `partial_fit` takes the place of, without truncation between batches.
    FederatedTruncatedSVD : The same of rows that are not centred.

    Notes
    -----
    All is correctly rounded where variances differ; see `PrincipalComponents`, also for equal ones.  Time grows with
    the cube of the features: a second or two at 100, up to half a minute at 300, whatever the number of rows.  For rows
    that come in batches this is the estimator, too: `partial_fit` adds a batch and ends where one `fit` on all rows
    does, to the last bit, while `sklearn.decomposition.IncrementalPCA` truncates after each.  Float weights count as
    in ``numpy.cov(aweights=...)``.

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
        problem = PrincipalComponents(moments)
        solution = problem.solve(self._n_kept(problem))
        return {
            "components_": solution.components,
            "explained_variance_": solution.variance,
            "explained_variance_ratio_": solution.ratio,
            "singular_values_": solution.singular,
            "mean_": moments.mean,
            "n_components_": len(solution.components),
            "n_samples_": moments.n_rows,
            "noise_variance_": solution.noise,
        }

    def _n_kept(self, problem: PrincipalComponents) -> int:
        most = problem.most
        if self.n_components is None:
            return most
        if isinstance(self.n_components, Integral):
            if self.n_components > most:
                raise ValueError(
                    f"n_components={self.n_components} must be between 0 and min(n_samples, n_features)={most}."
                )
            return int(self.n_components)
        shares = np.cumsum(problem.solve(most).ratio)
        return min(most, int(np.searchsorted(shares, self.n_components, side="right")) + 1)

    def _affine(self) -> tuple[Array, list[Fraction]]:
        matrix = self.components_.T
        if self.whiten:  # as scikit-learn divides, which leaves components without variance alone
            scale = np.sqrt(self.explained_variance_)
            matrix = matrix / np.maximum(scale, np.finfo(np.float64).eps)
        return centred(matrix, self.mean_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

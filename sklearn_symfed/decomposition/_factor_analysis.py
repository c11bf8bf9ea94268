"""Factor analysis from rows or their statistics; the iteration is `_factors`'s."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.decomposition import FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import TransformerFromStatistics
from sklearn_symfed._linalg import evaluate
from sklearn_symfed._rounding import as_integers
from sklearn_symfed._steps import centred
from sklearn_symfed.decomposition._factors import LEAST_NOISE, maximum_likelihood_factors
from sklearn_symfed.decomposition._pca import average_log_likelihood
from sklearn_symfed.decomposition._rotation import Criterion, rotated_loadings
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR

__all__ = ["FederatedFactorAnalysis"]

Array = np.ndarray[Any, Any]


class FederatedFactorAnalysis(TransformerFromStatistics, FactorAnalysis):
    """Factor analysis from exact statistics.

    Parameters
    ----------
    n_components : int, default=None
        Number of factors, of which at most ``min(n_samples, n_features)`` are fitted; None means as many.
    tol : float, default=1e-2
        Iterations end when the log-likelihood rises by less; with 0, when no noise variance moves by its 80th bit.
    max_iter : int, default=1000
    noise_variance_init : array-like of shape (n_features,), default=None
        Positive noise variances to start from; None means ones.  Where factors are too many to be told by the
        covariances, or the likelihood has several maxima, they decide.
    rotation : {"varimax", "quartimax"}, default=None
        Rotation of the factors found.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Loadings; the entry of largest magnitude of each factor is positive, ties go to the first name.
    noise_variance_ : ndarray of shape (n_features,)
        At least 1e-12.
    loglike_ : list of float
        Log-likelihood of the rows at each iteration.
    mean_ : ndarray of shape (n_features,)
    n_iter_ : int
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.decomposition.FactorAnalysis : The same model from rows.
    FederatedPCA : Assumes one noise variance for all features, and has a closed form.

    Notes
    -----
    The iteration is scikit-learn's with ``svd_method="lapack"``, each step of which is rounded to numbers of 80 bits:
    see `maximum_likelihood_factors`.  So every attribute is the same on all machines, and as close to the maximum of
    the likelihood as `tol` says, no closer: set it low to come near, which takes long where a noise variance goes to
    its bound (a Heywood case).  With factors to spare, which the default has, scikit-learn takes for the
    log-likelihood what is none, and stops elsewhere.

    Examples
    --------
    >>> from sklearn_symfed import FederatedFactorAnalysis
    >>> rows = [[1.0, 1.0, 2.0], [1.0, 2.0, 1.0], [4.0, 3.0, 4.0], [5.0, 6.0, 5.0]]
    >>> fa = FederatedFactorAnalysis(n_components=1).fit(rows)
    >>> fa.components_.round(2).tolist(), fa.n_iter_
    ([[1.78, 1.68, 1.55]], 14)
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        tol: float = 1e-2,
        max_iter: int = 1000,
        noise_variance_init: Any = None,
        rotation: Criterion | None = None,
        prior: PSR | None = None,
    ) -> None:
        self.n_components = n_components
        self.tol = tol
        self.max_iter = max_iter
        self.noise_variance_init = noise_variance_init
        self.rotation = rotation
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
        """
        if not isinstance(X, PSR):
            return float(super().score(X, y))
        check_is_fitted(self)
        return average_log_likelihood(X.select(self.psr_.names).moments(), self.mean_, self.get_precision())

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments = psr.moments()
        if moments.n_rows < 2:
            raise DataError(
                f"Found array with {moments.n_rows} sample(s) while a minimum of 2 is required: variances need two."
            )
        most = min(moments.n_rows, len(moments.names))
        count = most if self.n_components is None else min(self.n_components, most)
        start = self._start(len(moments.names))
        found = maximum_likelihood_factors(moments, count, start, tol=self.tol, max_iter=self.max_iter)
        if not found.converged:
            msg = f"Got a likelihood that still rises after {self.max_iter} iterations: raise max_iter or tol."
            warnings.warn(msg, ConvergenceWarning, stacklevel=5)
        loadings = found.loadings if self.rotation is None else rotated_loadings(found.loadings, self.rotation)
        return {
            "components_": loadings,
            "noise_variance_": found.noise,
            "loglike_": found.log_likelihood,
            "mean_": moments.mean,
            "n_iter_": len(found.log_likelihood),
        }

    def _plain_params(self) -> dict[str, Any]:
        return {"svd_method": "lapack"}

    def _start(self, n_features: int) -> list[Fraction]:
        if self.noise_variance_init is None:
            return [Fraction(1)] * n_features
        start = np.asarray(self.noise_variance_init, dtype=np.float64)
        if start.shape != (n_features,):
            raise ValueError(f"Got noise_variance_init of shape {start.shape}, but expected {(n_features,)}.")
        if not ((start > 0) & (start < np.inf)).all():
            raise ValueError("Got noise_variance_init with entries that are not positive and finite.")
        return [max(Fraction(value), LEAST_NOISE) for value in start.tolist()]

    def _affine(self) -> tuple[Array, list[Fraction]]:
        loadings, unit = as_integers(self.components_)
        precisions, over = as_integers(np.array([1 / Fraction(value) for value in self.noise_variance_.tolist()]))

        def formula(field: Any) -> list[Any]:
            weighed = field.matrix(loadings * precisions) * field.scalar(Fraction(1, unit * over))
            inner = weighed * field.matrix(loadings.T) * field.scalar(Fraction(1, unit))
            return [field.solve_over(field.matrix(np.identity(len(loadings), dtype=object)) + inner, weighed)]

        matrix = evaluate(formula)[0][0] if len(loadings) else np.zeros(self.components_.shape)
        return centred(matrix.T, self.mean_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

"""Partial least squares and canonical correlation from rows or their statistics."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.cross_decomposition import CCA, PLSRegression

from sklearn_symfed._base import RegressorFromStatistics
from sklearn_symfed._input import as_list, readable_target
from sklearn_symfed._steps import centred
from sklearn_symfed.cross_decomposition._canonical_correlation import canonical_correlation
from sklearn_symfed.cross_decomposition._cross_products import CrossComponents
from sklearn_symfed.cross_decomposition._partial_least_squares import partial_least_squares
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.linear_model._linear import r2_score
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedCCA", "FederatedPLSRegression"]

Array = np.ndarray[Any, Any]


class _CrossDecomposition(RegressorFromStatistics):
    """What both share: they are regressors, and transformers of features and of targets."""

    n_components: int
    scale: bool
    coef_: Array
    x_rotations_: Array
    _x_mean: Array
    _x_std: Array
    _y_mean: Array
    _decompose: Callable[..., CrossComponents]

    def _passing(self) -> list[str]:
        return as_list(self._target)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return R² on rows or, exactly, on the rows that a PSR stands for.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,) or (n_samples, n_targets); with a PSR: str or list of str
            With a PSR the names of its target columns; None means those of the fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Not with a PSR.

        Returns
        -------
        float
            Uniform average over the targets.
        """
        if not isinstance(X, PSR):
            return float(super().score(X, readable_target(y), sample_weight))  # type: ignore[misc]
        moments = self._columns_to_score(X, y).moments()
        means = [Fraction(value) for value in self._x_mean.tolist()]
        intercept = [
            Fraction(mean) - sum(Fraction(b) * m for b, m in zip(coef, means, strict=True))
            for mean, coef in zip(self._y_mean.tolist(), self.coef_.tolist(), strict=True)
        ]
        return r2_score(moments, self.coef_, np.array(intercept, dtype=object))

    def transform(self, X: Any, y: Any = None, copy: bool = True) -> Any:
        """Return the scores of rows, or the PSR of the scores of the rows that a PSR stands for.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Targets of the rows, whose scores are wanted, too.  Not with a PSR.
        copy : bool, default=True
            Whether rows are left as they are.

        Returns
        -------
        x_scores : ndarray of shape (n_samples, n_components), or PSR
        y_scores : ndarray of shape (n_samples, n_components)
            Where there is `y`.
        """
        return super().transform(X, readable_target(y), copy)  # type: ignore[misc]

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments, single = psr.moments(), isinstance(self._target, str)
        n_targets = len(as_list(self._target))
        n_features = len(moments.names) - n_targets
        self._require_components(moments, n_features, n_targets)
        found = self._decompose(moments, n_targets, self.n_components, scale=self.scale)
        names = ("x_weights", "y_weights", "x_loadings", "y_loadings", "x_rotations", "y_rotations", "coef")
        mean, scales = moments.mean, np.ones(len(moments.names))
        if self.scale:
            deviations = moments.standard_deviation(ddof=1)
            scales = np.where(deviations > 0, deviations, 1.0)
        return {
            **{f"{name}_": getattr(found, name) for name in names},
            "intercept_": mean[n_features:],
            "_x_mean": mean[:n_features],
            "_y_mean": mean[n_features:],
            "_x_std": scales[:n_features],
            "_y_std": scales[n_features:],
            "_predict_1d": single,
            "_n_features_out": self.n_components,
        }

    def _require_components(self, moments: Moments, n_features: int, n_targets: int) -> None:
        if moments.n_rows < 2:
            raise DataError(
                f"Found array with {moments.n_rows} sample(s) while a minimum of 2 is required: variances need two."
            )
        most = self._most_components(moments.n_rows, n_features, n_targets)
        if self.n_components > most:
            raise ValueError(
                f"Got n_components={self.n_components}, but expected at most {most}: with n_samples={moments.n_rows}, "
                f"n_features={n_features} and n_targets={n_targets} there are no more."
            )

    def _most_components(self, n_rows: int, n_features: int, n_targets: int) -> int:
        raise NotImplementedError

    def _affine(self) -> tuple[Array, list[Fraction]]:
        return centred(self.x_rotations_ / self._x_std[:, None], self._x_mean)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class FederatedPLSRegression(_CrossDecomposition, PLSRegression):
    """Partial least squares regression from exact statistics.

    Parameters
    ----------
    n_components : int, default=2
        Up to ``min(n_samples, n_features)``.
    scale : bool, default=True
        Whether features and targets are divided by their standard deviations.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    x_weights_, x_loadings_, x_rotations_ : ndarray of shape (n_features, n_components)
        The entry of largest magnitude of each component's weights is positive, ties go to the first name.
    y_weights_, y_loadings_, y_rotations_ : ndarray of shape (n_targets, n_components)
    coef_ : ndarray of shape (n_targets, n_features)
    intercept_ : ndarray of shape (n_targets,)
        Mean of the targets: features are centred before `coef_` counts.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.cross_decomposition.PLSRegression : The same model from rows.
    FederatedCCA : Components by correlation instead of covariance.

    Notes
    -----
    All is correctly rounded: see `partial_least_squares` for the formulas.  It is what scikit-learn's iteration
    converges to, so nothing is iterated and there is no `n_iter_`; scores of the rows that were learned are no
    statistics, `transform` gives those of any rows.

    Examples
    --------
    >>> from sklearn_symfed import PSR, FederatedPLSRegression
    >>> psr = PSR.from_rows([[0.0, 0.0, 1.0], [1.0, 0.0, 3.0], [2.0, 2.0, 5.0], [2.0, 5.0, 5.0]])
    >>> pls = FederatedPLSRegression(n_components=2, scale=False).fit(psr, "x2")
    >>> pls.coef_.tolist(), pls.score(psr, "x2")
    ([[2.0, 0.0]], 1.0)
    """

    _decompose = staticmethod(partial_least_squares)

    def __init__(self, n_components: int = 2, *, scale: bool = True, prior: PSR | None = None) -> None:
        self.n_components = n_components
        self.scale = scale
        self.prior = prior

    def _most_components(self, n_rows: int, n_features: int, n_targets: int) -> int:  # noqa: ARG002
        return min(n_rows, n_features)


class FederatedCCA(_CrossDecomposition, CCA):
    """Canonical correlation analysis from exact statistics.

    Parameters
    ----------
    n_components : int, default=2
        Up to ``min(n_samples, n_features, n_targets)``.
    scale : bool, default=True
        Whether features and targets are divided by their standard deviations.
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    x_weights_, x_loadings_, x_rotations_ : ndarray of shape (n_features, n_components)
        The entry of largest magnitude of each component's weights is positive, ties go to the first name.
    y_weights_, y_loadings_, y_rotations_ : ndarray of shape (n_targets, n_components)
    coef_ : ndarray of shape (n_targets, n_features)
    intercept_ : ndarray of shape (n_targets,)
        Mean of the targets: features are centred before `coef_` counts.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.cross_decomposition.CCA : The same model from rows.
    FederatedPLSRegression : Components by covariance instead of correlation.

    Notes
    -----
    All is correctly rounded where correlations differ: see `canonical_correlation` for the formulas.  It is what
    scikit-learn's iteration converges to, so nothing is iterated and there is no `n_iter_`.

    Examples
    --------
    >>> from sklearn_symfed import FederatedCCA
    >>> X, y = [[0.0, 0.0], [1.0, 0.0], [2.0, 2.0], [3.0, 5.0]], [[0.1, -0.2], [0.9, 1.1], [6.2, 5.9], [11.9, 12.3]]
    >>> x_scores, y_scores = FederatedCCA(n_components=1).fit(X, y).transform(X, y)
    >>> x_scores.shape, y_scores.shape
    ((4, 1), (4, 1))
    """

    _decompose = staticmethod(canonical_correlation)

    def __init__(self, n_components: int = 2, *, scale: bool = True, prior: PSR | None = None) -> None:
        self.n_components = n_components
        self.scale = scale
        self.prior = prior

    def _most_components(self, n_rows: int, n_features: int, n_targets: int) -> int:
        return min(n_rows, n_features, n_targets)

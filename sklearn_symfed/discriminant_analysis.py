"""Linear discriminant analysis from exact moments of each class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sklearn_symfed._base import ClassifierFromStatistics, FromStatistics
from sklearn_symfed._linalg import (
    Field,
    as_integers,
    evaluate,
    flip_signs,
    integer_ratio,
    quotients,
    scaled_correlation,
    solve,
    symmetric_eigenpairs,
)
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments

__all__ = ["Discriminant", "FederatedLinearDiscriminantAnalysis", "class_proportions"]

Array = np.ndarray[Any, Any]
Odds = tuple[Fraction, ...]
_RANK_TOL = 1e-4  # scikit-learn's default for its svd solver


@dataclass(frozen=True)
class Discriminant:
    r"""Solve linear discriminant analysis exactly, and round once.

    Parameters
    ----------
    total : Moments
        Of all rows.
    classes : sequence of Moments
        Of each class.
    priors : tuple of Fraction
        Probability of each class.
    shrinkage : Fraction or None, default=None
        Between 0 and 1.

    Notes
    -----
    With weights :math:`W_k`, means :math:`m_k`, co-moments :math:`C_k` and probabilities :math:`p_k` of the classes,
    the covariance within classes is, as in scikit-learn >= 1.9,

    .. math:: S = \sum_k C_k / (W_k W), \quad\text{or with shrinkage } s: \quad
              S = \sum_k p_k [(1 - s) C_k / W_k^2 + s\,\mathrm{tr}(C_k / W_k^2) / d].

    Coefficients are :math:`b_k = S^{-1} (m_k - \bar x)` and intercepts
    :math:`-\tfrac12 (m_k + \bar x)^T b_k + \log p_k`, with :math:`\bar x = \sum_k p_k m_k`; with shrinkage
    :math:`\bar x` is left out of both, which adds the same to all classes [1]_.  Two classes are one difference.

    Where features are collinear within classes (singular values of the scaled features up to 1e-4, as in scikit-learn's
    ``svd`` solver), :math:`S^{-1}` becomes a float64 pseudo-inverse in scaled features.

    References
    ----------
    .. [1] T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd ed., 2009, section 4.3.
    """

    total: Moments
    classes: Sequence[Moments]
    priors: tuple[Fraction, ...]
    shrinkage: Fraction | None = None

    # -- exact ingredients -------------------------------------------------------------------------------------------

    @cached_property
    def _means(self) -> Array:
        """Exact class means: ndarray of Fraction of shape (n_classes, n_features)."""
        return np.array([[Fraction(s, m.matrix[0, 0]) for s in m.matrix[0, 1:]] for m in self.classes], dtype=object)

    @cached_property
    def _xbar(self) -> Array:
        """Exact overall mean: ndarray of Fraction of shape (n_features,)."""
        return np.asarray(np.array(self.priors, dtype=object) @ self._means)

    def _sum_of_comoments(self, weights: Sequence[Fraction]) -> tuple[Array, int]:
        """Return the weighted sum of the classes' co-moments over their squared weights, and its denominator."""
        parts = [w / (m.matrix[0, 0] ** 2) for w, m in zip(weights, self.classes, strict=True)]
        factors, denominator = as_integers(np.array(parts, dtype=object))
        terms = (factor * m.comoments for factor, m in zip(factors, self.classes, strict=True))
        return np.asarray(sum(terms)), denominator

    def _shrunk(self, matrix: Array, denominator: int) -> tuple[Array, int]:
        """Shrink a covariance, over integers, towards its mean variance."""
        if not self.shrinkage:
            return matrix, denominator
        over, under, size = self.shrinkage.numerator, self.shrinkage.denominator, len(matrix)
        shrunk = matrix * (size * (under - over))
        trace = sum(matrix[i, i] for i in range(size))
        for i in range(size):
            shrunk[i, i] += over * trace
        return shrunk, denominator * size * under

    @cached_property
    def _weighted_covariance(self) -> tuple[Array, int]:
        """Covariance within classes by prior probability."""
        return self._shrunk(*self._sum_of_comoments(self.priors))

    @cached_property
    def _within(self) -> tuple[Array, int]:
        """Covariance within classes, as integers and their denominator."""
        if self.shrinkage is not None:
            return self._weighted_covariance
        return self._sum_of_comoments(class_proportions(self.total, self.classes))

    @cached_property
    def _centre(self) -> Array:
        """What coefficients measure class means from: the overall mean, or with shrinkage zero."""
        return self._xbar if self.shrinkage is None or len(self.classes) == 1 else self._xbar * 0

    # -- float64 views -----------------------------------------------------------------------------------------------

    @property
    def means(self) -> Array:
        """Class means: ndarray of shape (n_classes, n_features)."""
        return quotients(*as_integers(self._means))

    @property
    def xbar(self) -> Array:
        """Overall mean by prior probability: ndarray of shape (n_features,)."""
        return quotients(*as_integers(self._xbar))

    @property
    def covariance(self) -> Array:
        """Covariance within classes by prior probability: ndarray of shape (n_features, n_features)."""
        return quotients(*self._weighted_covariance)

    # -- solves ------------------------------------------------------------------------------------------------------

    def parameters(self) -> tuple[Array, Array]:
        """Return the parameters of the decision function.

        Returns
        -------
        coef : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
        intercept : ndarray of shape (n_classes,), or (1,) for two classes
        """
        binary = len(self.classes) == 2
        below = self._means[:1] if binary else self._centre
        odds = [self.priors[::-1]] if binary else [(p, Fraction(1)) for p in self.priors]
        upper = self._means[1:] if binary else self._means
        moved, sums = upper - below, upper + below
        varying = [j for j in range(moved.shape[1]) if self._within[0][j, j]]
        if self.shrinkage is None and self._whitening.shape[1] < len(varying):
            coef = quotients(*as_integers(moved)) @ self._whitening @ self._whitening.T
            return coef, _logs(odds) - 0.5 * np.sum(quotients(*as_integers(sums)) * coef, axis=1)
        coef, intercept = np.zeros(moved.shape), _logs(odds)
        rows = [row for row in range(len(moved)) if any(moved[row, varying])]
        if rows:
            at = np.ix_(rows, varying)
            coef[at], terms = self._solve_within(varying, moved[at], sums[at], [odds[row] for row in rows])
            finite = np.isfinite(intercept[rows])
            intercept[np.array(rows)[finite]] = terms[finite]
        return coef, intercept

    def _solve_within(self, varying: list[int], moved: Array, sums: Array, odds: Sequence[Odds]) -> tuple[Array, Array]:
        """Return ``b = inv(S) @ moved`` and ``log(odds) - sums @ b / 2``, row by row."""
        matrix, denominator = self._within
        within = matrix[np.ix_(varying, varying)]
        right, right_scale = as_integers(moved.T * Fraction(denominator))
        left, left_scale = as_integers(sums)

        def coef(field: Field) -> Any:
            return field.solve(field.matrix(within), field.matrix(right)) * field.scalar(Fraction(1, right_scale))

        def intercept(field: Field) -> list[Any]:
            halves = field.matrix(left) * coef(field) * field.scalar(Fraction(1, 2 * left_scale))
            return [field.column([field.log(_ratio(*pair)) - halves[k, k] for k, pair in enumerate(odds)])]

        return solve(within, right, right_scale).T, evaluate(intercept)[0][:, 0]

    @cached_property
    def _whitening(self) -> Array:
        """Scalings that make the covariance within classes the identity: ndarray of shape (n_features, rank)."""
        matrix, denominator = self._within
        values, vectors = symmetric_eigenpairs(scaled_correlation(matrix))
        kept = values > _RANK_TOL**2
        scale = np.sqrt(quotients(matrix.diagonal(), denominator))
        scale[scale == 0] = 1.0
        return np.asarray((vectors[kept] / np.sqrt(values[kept])[:, None] / scale).T)

    def transformation(self, n_components: int) -> tuple[Array, Array]:
        """Return what spans the differences between classes.

        Parameters
        ----------
        n_components : int

        Returns
        -------
        scalings : ndarray of shape (n_features, rank)
            At most ``min(n_classes - 1, n_features)`` columns; the entry of largest magnitude of each is positive.
        explained_variance_ratio : ndarray of shape (n_components,)
        """
        scalings, values = self._between_by_svd() if self.shrinkage is None else self._between_by_eigenpairs()
        with np.errstate(invalid="ignore"):  # class means that do not differ explain no share: NaN
            ratio = values / values.sum()
        return flip_signs(scalings.T).T, ratio[:n_components]

    def _between_by_svd(self) -> tuple[Array, Array]:
        """Whiten, then take the singular vectors of the weighted class means."""
        roots = np.sqrt([float(p) for p in self.priors])[:, None]
        centres = roots * quotients(*as_integers(self._means - self._xbar)) @ self._whitening
        if 0 in centres.shape:
            return self._whitening, np.full(len(self.classes), np.nan)
        _, singular, vectors = np.linalg.svd(centres, full_matrices=False)
        most = min(len(self.classes) - 1, len(self._xbar))
        rank = min(most, int(np.sum(singular > _RANK_TOL * singular[0])))
        return self._whitening @ vectors[:rank].T, singular**2

    def _between_by_eigenpairs(self) -> tuple[Array, Array]:
        """Solve the generalised eigenproblem of the covariances between and within classes."""
        within, scale = self._within
        total, total_scale = self._shrunk(self.total.comoments, self.total.matrix[0, 0] ** 2)
        between = quotients(total * scale - within * total_scale, scale * total_scale)
        values, vectors = symmetric_eigenpairs(between, quotients(within, scale))
        return vectors[: len(self.classes) - 1].T, values


def _ratio(over: Fraction, under: Fraction) -> Fraction:
    """Return odds, or 1 where one of the two cannot be: their logarithm is infinite, and not asked of balls."""
    return over / under if over and under else Fraction(1)


def _logs(odds: Sequence[Odds]) -> Array:
    """Return the logarithms of odds, to an ulp; infinite where one of the two cannot be."""
    finite = evaluate(lambda field: [field.column([field.log(_ratio(*pair)) for pair in odds])])[0][:, 0]
    finite[[not over for over, _ in odds]] = -np.inf
    finite[[not under for _, under in odds]] = np.inf
    return finite


def class_proportions(total: Moments, classes: Sequence[Moments]) -> list[Fraction]:
    """Return each class's exact share of the sum of weights."""
    weight = Fraction(total.matrix[0, 0])
    return [Fraction(m.matrix[0, 0]) / weight * Fraction(2) ** (m.exponent - total.exponent) for m in classes]


class FederatedLinearDiscriminantAnalysis(ClassifierFromStatistics, LinearDiscriminantAnalysis):
    """Linear discriminant analysis from exact statistics.

    Parameters
    ----------
    shrinkage : float or None, default=None
        Between 0 and 1: how far the covariance within classes is moved towards its mean variance, as by scikit-learn's
        ``eigen`` solver; None does what its ``svd`` solver does.  "auto" is refused: Ledoit-Wolf needs fourth moments.
    priors : array-like of shape (n_classes,), default=None
        Prior probabilities of the classes, by ascending label; None takes their proportions.
    n_components : int, default=None
        How many components `transform` returns; None means ``min(n_classes - 1, n_features)``.
    store_covariance : bool, default=False
        Whether to keep ``covariance_`` without shrinkage, too.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,), or (1,) for two classes
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    means_ : ndarray of shape (n_classes, n_features)
    priors_ : ndarray of shape (n_classes,)
    xbar_ : ndarray of shape (n_features,)
        Overall mean, by prior probability.
    covariance_ : ndarray of shape (n_features, n_features)
        Covariance within classes, by prior probability.
    scalings_ : ndarray of shape (n_features, rank)
        The entry of largest magnitude of each column is positive.
    explained_variance_ratio_ : ndarray of shape (n_components,)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : The same model from rows.

    Notes
    -----
    Coefficients, means and covariances are correctly rounded, intercepts to an ulp: see `Discriminant` for the formula.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLinearDiscriminantAnalysis
    >>> model = FederatedLinearDiscriminantAnalysis().fit([[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1])
    >>> model.coef_.tolist(), model.intercept_.tolist()
    ([[12.0]], [0.0])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **FromStatistics._parameter_constraints,
        **{
            name: LinearDiscriminantAnalysis._parameter_constraints[name]
            for name in ("shrinkage", "priors", "n_components", "store_covariance")
        },
    }

    def __init__(
        self,
        *,
        shrinkage: Any = None,
        priors: Any = None,
        n_components: int | None = None,
        store_covariance: bool = False,
        prior: PSR | None = None,
    ) -> None:
        self.shrinkage = shrinkage
        self.priors = priors
        self.n_components = n_components
        self.store_covariance = store_covariance
        self.prior = prior

    @property
    def solver(self) -> str:
        """Name of scikit-learn's solver whose `transform` this is."""
        return "svd" if self.shrinkage is None else "eigen"

    def _plain_params(self) -> dict[str, Any]:
        return {"solver": self.solver}

    def _solve(self, psr: PSR) -> dict[str, Any]:
        if isinstance(self.shrinkage, str):
            raise ValueError(  # noqa: TRY004 -- a string is allowed
                "Got shrinkage='auto', but expected None or a number: Ledoit-Wolf's estimate needs fourth moments, "
                "which a PSR does not hold. The oracle approximating shrinkage (OAS) needs none: it is planned."
            )
        by_class = psr.by_class()
        total, classes = psr.moments(), [each.moments() for each in by_class.values()]
        if psr.n_rows == len(classes):
            raise DataError(
                "The number of samples must be more than the number of classes. "
                f"Got {psr.n_rows} sample(s) and {len(classes)} class(es)."
            )
        most = min(len(classes) - 1, len(psr.names))
        if self.n_components is not None and self.n_components > most:
            raise ValueError(
                "n_components cannot be larger than min(n_features, n_classes - 1). "
                f"Got n_components={self.n_components}, but expected at most {most}."
            )
        kept = most if self.n_components is None else self.n_components
        shrinkage = None if self.shrinkage is None else Fraction(*integer_ratio(self.shrinkage))
        priors = class_proportions(total, classes) if self.priors is None else self._declared_priors(len(classes))
        solution = Discriminant(total, classes, tuple(priors), shrinkage)
        coef, intercept = solution.parameters()
        scalings, ratio = solution.transformation(kept)
        keep_covariance = self.store_covariance or shrinkage is not None
        return {
            "classes_": np.array(list(by_class)),
            "coef_": coef,
            "intercept_": intercept,
            "means_": solution.means,
            "priors_": quotients(*as_integers(np.array(priors, dtype=object))),
            "xbar_": solution.xbar,
            "scalings_": scalings,
            "explained_variance_ratio_": ratio,
            "_max_components": kept,
            "_n_features_out": kept,
            **({"covariance_": solution.covariance} if keep_covariance else {}),
        }

    def _declared_priors(self, n_classes: int) -> list[Fraction]:
        values = np.asarray(self.priors, dtype=np.float64)
        if values.shape != (n_classes,) or not np.isfinite(values).all():
            raise ValueError(
                f"Got priors of shape {values.shape}, but expected {n_classes} finite numbers, one for each class."
            )
        if (values < 0).any() or not values.any():
            raise ValueError("priors must be non-negative, and not all zero.")
        priors = [Fraction(value) for value in values.tolist()]
        total = sum(priors, Fraction(0))
        if abs(total - 1) > Fraction(1, 10**5):
            warnings.warn("The priors do not sum to 1. Renormalizing", UserWarning, stacklevel=5)
            return [prior / total for prior in priors]
        return priors

"""Nearest centroids from exact moments of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from flint import arb, arb_mat
from sklearn.neighbors import NearestCentroid

from sklearn_symfed._base import ClassifierFromStatistics
from sklearn_symfed._eigen import Level, evaluate_pairs
from sklearn_symfed._linalg import evaluate
from sklearn_symfed._priors import class_priors
from sklearn_symfed._rounding import as_integers, ball, integer_ratio, quotients
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments

__all__ = ["Centroids", "FederatedNearestCentroid"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Centroids:
    r"""Find the centroids of classes exactly, shrunken or not, and round once.

    Parameters
    ----------
    total : Moments
        Of all rows.
    classes : sequence of Moments
        Of each class.
    threshold : Fraction or None, default=None
        By how many standard errors centroids are moved towards the overall one.

    Notes
    -----
    With means :math:`m_{kj}` of :math:`n_k` rows in each of :math:`K` classes, overall means :math:`\bar x_j` of
    :math:`n` rows and pooled variances :math:`s_j^2` within classes, deviations are [1]_

    .. math:: d_{kj} = \frac{m_{kj} - \bar x_j}{\sqrt{1 / n_k - 1 / n} (s_j + \mathrm{median}_i\, s_i)}

    and with a threshold :math:`t` both they and what centroids are away from the overall one are softly thresholded:
    :math:`d'_{kj} = \mathrm{sign}(d_{kj}) \max(|d_{kj}| - t, 0)`.  Weights that are no repetitions count as in the
    variance of a weighted mean: :math:`\sum_k (W_k - q_k / W_k)` takes the place of :math:`n - K`, and
    :math:`q_k / W_k^2 - 2 q_k / (W_k W) + q / W^2` that of :math:`1 / n_k - 1 / n`, where :math:`W_k` are sums of
    weights and :math:`q_k` of their squares.

    A feature that does not vary has no deviation, which is NaN; where the median is zero, too, one that varies between
    classes only has infinite ones, and its centroids stay where they are.

    References
    ----------
    .. [1] R. Tibshirani, T. Hastie, B. Narasimhan, G. Chu, "Diagnosis of multiple cancer types by shrunken centroids of
       gene expression", PNAS 99(10), 2002.
    """

    total: Moments
    classes: Sequence[Moments]
    threshold: Fraction | None = None

    @cached_property
    def _means(self) -> Array:
        """Exact class means: ndarray of Fraction of shape (n_classes, n_features)."""
        return np.array([_mean(m) for m in self.classes], dtype=object)

    @cached_property
    def _moved(self) -> Array:
        """Exact class means from the overall mean on: ndarray of Fraction of shape (n_classes, n_features)."""
        return np.asarray(self._means - np.array(_mean(self.total), dtype=object))

    @cached_property
    def _variances(self) -> list[Fraction] | None:
        """Exact variances within classes; None where there are as many classes as rows."""
        freedom = sum(m.matrix[0, 0] * m.unit - Fraction(m.sum_w2, m.matrix[0, 0]) for m in self.classes)
        if not freedom:
            return None
        size = len(self.total.names)
        return [
            sum((m.comoments[j, j] * m.unit / m.matrix[0, 0] for m in self.classes), Fraction(0)) / freedom
            for j in range(size)
        ]

    @cached_property
    def _squared_errors(self) -> list[Fraction]:
        """Exact squares of the standard errors of means from the overall mean on, in units of the variance."""
        weight, squares = self.total.matrix[0, 0] * self.total.unit, self.total.sum_w2 * self.total.unit
        out = []
        for m in self.classes:
            own, own_squares = m.matrix[0, 0] * m.unit, m.sum_w2 * m.unit
            out.append(Fraction(own_squares / own**2 - 2 * own_squares / (own * weight) + squares / weight**2))
        return out

    @property
    def deviation_within(self) -> Array:
        """Standard deviations within classes: ndarray of shape (n_features,); NaN where they are undefined."""
        if self._variances is None:
            return np.full(len(self.total.names), np.nan)
        variances = self._variances
        (roots,), _ = evaluate(lambda field: [field.column([field.scalar(v) for v in variances])], roots=True)
        return np.asarray(roots[:, 0])

    def solve(self) -> tuple[Array, Array]:
        """Return centroids and deviations.

        Returns
        -------
        centroids : ndarray of shape (n_classes, n_features)
        deviations : ndarray of shape (n_classes, n_features)

        Raises
        ------
        DataError
            If centroids are to be shrunken by standard errors that are not defined.
        """
        centroids = quotients(*as_integers(self._means))
        away = np.array([[np.sign(value) for value in row] for row in self._moved], dtype=np.float64)
        deviations = np.where(away == 0, np.nan, np.copysign(np.inf, away))
        variances = self._variances
        if variances is None:
            if self.threshold:
                raise DataError("Got one row in each class, but expected more: shrinking asks for variances within.")
            return centroids, np.full(centroids.shape, np.nan)
        middle = _middle(variances)
        scaled = [j for j, variance in enumerate(variances) if variance or any(middle)]
        if scaled:
            solved = evaluate_pairs(lambda level: self._evaluate(level, scaled, variances, middle))
            centroids[:, scaled], deviations[:, scaled] = solved
        return centroids, deviations

    def _evaluate(
        self, _: Level, features: list[int], variances: list[Fraction], middle: list[Fraction]
    ) -> list[arb_mat]:
        median = sum((ball(value).sqrt() for value in middle), arb(0)) / len(middle)
        threshold = ball(self.threshold or Fraction(0))
        centroids, deviations = [], []
        for k, square in enumerate(self._squared_errors):
            error = ball(square).sqrt()
            for j in features:
                moved, scale = self._moved[k, j], error * (ball(variances[j]).sqrt() + median)
                away = _positive_part(abs(ball(moved)) - threshold * scale)
                towards = -away if moved < 0 else away
                centroids.append(ball(self._means[k, j] - moved) + towards if threshold else ball(self._means[k, j]))
                deviations.append(towards / scale)
        shape = len(self.classes), len(features)
        return [arb_mat(*shape, centroids), arb_mat(*shape, deviations)]


def _mean(moments: Moments) -> list[Fraction]:
    return [Fraction(s, moments.matrix[0, 0]) for s in moments.matrix[0, 1:]]


def _middle(values: list[Fraction]) -> list[Fraction]:
    """Return the one or two values in the middle."""
    ordered, size = sorted(values), len(values)
    return ordered[(size - 1) // 2 : size // 2 + 1]


def _positive_part(value: arb) -> arb:
    """Return zero for what is negative; what may be either stays as it is, to be seen more precisely."""
    return arb(0) if value < 0 else value


class FederatedNearestCentroid(ClassifierFromStatistics, NearestCentroid):
    """Nearest (shrunken) centroids from exact statistics.

    Parameters
    ----------
    metric : "euclidean", default="euclidean"
        "manhattan" is refused: its centroids are medians, which are no function of the statistics.
    shrink_threshold : float, default=None
        By how many standard errors centroids are moved towards the overall one; features that all of them leave do
        not count.
    priors : "uniform", "empirical" or array-like of shape (n_classes,), default="uniform"
        Prior probabilities of the classes, by ascending label.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    centroids_ : ndarray of shape (n_classes, n_features)
    deviations_ : ndarray of shape (n_classes, n_features)
        How many standard errors each class mean is away from the overall one, softly thresholded if there is a
        threshold; NaN for a feature that does not vary.
    within_class_std_dev_ : ndarray of shape (n_features,)
        Pooled standard deviation within classes.
    class_prior_ : ndarray of shape (n_classes,)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.neighbors.NearestCentroid : The same model from rows.

    Notes
    -----
    All is correctly rounded: see `Centroids` for the formula.  Unlike scikit-learn, a feature without variance within
    classes does not warn: its deviations say so, being NaN or infinite where the median is zero, too.

    Examples
    --------
    >>> from sklearn_symfed import FederatedNearestCentroid
    >>> model = FederatedNearestCentroid().fit([[-2.0], [-1.0], [1.0], [2.0]], ["a", "a", "b", "b"])
    >>> model.centroids_.ravel().tolist(), model.predict([[0.5]]).tolist()
    ([-1.5, 1.5], ['b'])
    """

    def __init__(
        self,
        metric: str = "euclidean",
        *,
        shrink_threshold: float | None = None,
        priors: Any = "uniform",
        prior: PSR | None = None,
    ) -> None:
        self.metric = metric
        self.shrink_threshold = shrink_threshold
        self.priors = priors
        self.prior = prior

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.metric != "euclidean":
            raise ValueError(
                f"Got metric={self.metric!r}, but expected 'euclidean': medians are no function of the statistics."
            )

    def _solve(self, psr: PSR) -> dict[str, Any]:
        by_class = psr.by_class()
        classes = [each.moments() for each in by_class.values()]
        total = psr.moments().of_classes(classes)
        if len(classes) < 2:
            raise DataError(f"The number of classes has to be greater than one; got {len(classes)} class.")
        if not total.comoments.diagonal().any():
            raise DataError("All features have zero variance, but expected at least one that varies.")
        threshold = Fraction(*integer_ratio(self.shrink_threshold)) if self.shrink_threshold else None
        solution = Centroids(total, classes, threshold)
        centroids, deviations = solution.solve()
        return {
            "classes_": np.array(list(by_class)),
            "centroids_": centroids,
            "deviations_": deviations,
            "within_class_std_dev_": solution.deviation_within,
            "class_prior_": quotients(*as_integers(np.array(self._priors(total, classes), dtype=object))),
        }

    def _priors(self, total: Moments, classes: Sequence[Moments]) -> list[Fraction]:
        if isinstance(self.priors, str):
            uniform = [Fraction(1, len(classes))] * len(classes)
            return uniform if self.priors == "uniform" else class_priors(None, total, classes)
        return class_priors(self.priors, total, classes)

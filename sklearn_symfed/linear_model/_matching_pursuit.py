"""Orthogonal matching pursuit: the greedy choice of features, decided without rounding."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn.linear_model import OrthogonalMatchingPursuit

from sklearn_symfed._definite import Definite
from sklearn_symfed._linalg import Field, decide, evaluate
from sklearn_symfed._rounding import integer_ratio, middle, quotients
from sklearn_symfed.linear_model._linear import LinearFromStatistics
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedOrthogonalMatchingPursuit", "MatchingPursuit", "matching_pursuit"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class MatchingPursuit:
    """Parameters of one target.

    Attributes
    ----------
    coef : ndarray of shape (n_features,)
    intercept : float
    chosen : list of int
        Features in order of their choice.
    premature : bool
        Whether no correlation was left before enough features were chosen, or the residuals were small enough.
    """

    coef: Array
    intercept: float
    chosen: list[int]
    premature: bool


def matching_pursuit(
    moments: Moments,
    target: int,
    features: Sequence[int],
    *,
    most: int,
    tol: float | None = None,
    fit_intercept: bool = True,
) -> MatchingPursuit:
    r"""Choose features greedily, and fit least squares to them.

    Parameters
    ----------
    moments : Moments
    target : int
        Position of its column.
    features : sequence of int
        Positions of theirs.
    most : int
        How many to choose.
    tol : float, default=None
        The residual sum of squares from which on no more is chosen.
    fit_intercept : bool, default=True

    Returns
    -------
    MatchingPursuit

    Notes
    -----
    With the (centred) Gram matrix :math:`G` of the features, :math:`c` their products with the target, and
    :math:`b = G_{AA}^{-1} c_A` the least squares solution on the features chosen so far, the next one has the largest
    :math:`|c_j - G_{jA} b|`, its product with the residuals [1]_; features are not scaled.  Ties, exact ones, go to the
    first name.  What depends on the features chosen has the product zero, and is never chosen.

    References
    ----------
    .. [1] Y. C. Pati, R. Rezaiifar, P. S. Krishnaprasad, "Orthogonal matching pursuit: recursive function approximation
       with applications to wavelet decomposition", Asilomar Conference 1993.
    """
    centred = moments.comoments if fit_intercept else moments.matrix[1:, 1:]
    unit = moments.unit / (moments.matrix[0, 0] if fit_intercept else 1)
    enough = None if tol is None else Fraction(*integer_ratio(tol)) / unit
    least, met = _LeastSquares(centred, target, ()), False
    while len(least.chosen) < most and not met:
        best = least.next_feature(sorted(features, key=lambda j: moments.names[j]))
        if best is None:
            break
        least = _LeastSquares(centred, target, (*least.chosen, best))
        met = least.is_within(enough)
    coef = np.zeros(len(features))
    where = [features.index(j) for j in least.chosen]
    coef[where], intercept = least.rounded(moments.matrix[0] if fit_intercept else None)
    return MatchingPursuit(coef, intercept, where, not met and len(where) < most)


class _LeastSquares:
    """Least squares on the features chosen so far."""

    def __init__(self, centred: Array, target: int, chosen: tuple[int, ...]) -> None:
        self.chosen = chosen
        self._centred = centred
        self._target = target
        self._system = Definite(self._block(chosen, chosen))
        self._known: dict[tuple[str, int], Any] = {}

    def _block(self, rows: Sequence[int], columns: Sequence[int]) -> Array:
        return self._centred[np.ix_(rows, columns)]

    def _coef(self, field: Field) -> Any:
        key = field.rung, field.bits
        if key not in self._known:
            self._known[key] = field.solve(self._system, self._block(self.chosen, [self._target]))
        return self._known[key]

    def _products(self, field: Field, columns: Sequence[int]) -> list[Any]:
        """Return the products of columns with the residuals."""
        whole = field.matrix(self._block(columns, [self._target]))
        if self.chosen:
            whole -= field.matrix(self._block(columns, self.chosen)) * self._coef(field)
        return list(whole.entries())

    def is_within(self, enough: Fraction | None) -> bool:
        """Tell whether the residual sum of squares is small enough."""
        if enough is None:
            return False

        def question(field: Field) -> bool | None:
            (squares,) = self._products(field, [self._target])
            spare = field.scalar(enough) - squares
            return True if spare >= 0 else False if spare < 0 else None

        return decide(question)

    def next_feature(self, features: Sequence[int]) -> int | None:
        """Return the first of the features with the largest absolute product with the residuals; None if it is zero."""
        others = [j for j in features if j not in self.chosen]
        if not others:
            return None

        def question(field: Field) -> tuple[int | None] | None:
            sizes = [abs(value) for value in self._products(field, others)]
            best = max(range(len(sizes)), key=lambda i: (middle(sizes[i]), -i))
            if sizes[best] == 0:
                return (None,)
            least = [0, *(size for i, size in enumerate(sizes) if i != best)]
            return (others[best],) if field.rung == "rationals" or all(sizes[best] > size for size in least) else None

        return decide(question)[0]

    def rounded(self, sums: Array | None) -> tuple[Array, float]:
        """Return the coefficients, and the intercept that follows from the weight and sums of all columns."""
        if not self.chosen:
            return np.zeros(0), 0.0 if sums is None else float(quotients(sums[1 + self._target], sums[0]))

        def formula(field: Field) -> list[Any]:
            coef = self._coef(field)
            if sums is None:
                return [coef]
            row = field.matrix(np.array([[sums[1 + j] for j in self.chosen]], dtype=object))
            rest = field.matrix(np.array([[sums[1 + self._target]]], dtype=object)) - row * coef
            return [coef, rest * field.scalar(Fraction(1, sums[0]))]

        (coef, *rest), _ = evaluate(formula)
        return coef[:, 0], float(rest[0][0, 0]) if rest else 0.0


class FederatedOrthogonalMatchingPursuit(LinearFromStatistics, OrthogonalMatchingPursuit):
    """Orthogonal matching pursuit from exact statistics.

    Parameters
    ----------
    n_nonzero_coefs : int, default=None
        How many features to choose; None means a tenth of them, but at least one.  Not used where `tol` is given.
    tol : float, default=None
        The residual sum of squares from which on no more is chosen.
    fit_intercept : bool, default=True
    prior : PSR, default=None
        Statistics that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
    intercept_ : float or ndarray of shape (n_targets,)
    n_iter_ : int, or list of int
        How many features were chosen, for each target where there are several.
    n_nonzero_coefs_ : int or None
        How many were wanted; None where `tol` is given.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.linear_model.OrthogonalMatchingPursuit : The same model from rows.

    Notes
    -----
    Which features are chosen is decided exactly, and ties go to the first name; coefficients and intercept are
    correctly rounded: see `matching_pursuit`.  A `RuntimeWarning` says that the target is met by fewer features than
    were to be chosen; scikit-learn's comes where numbers are below 2e-16, whatever their unit.

    Examples
    --------
    >>> from sklearn_symfed import FederatedOrthogonalMatchingPursuit
    >>> X, y = [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]], [0.0, 2.0, 4.5]
    >>> FederatedOrthogonalMatchingPursuit(n_nonzero_coefs=1).fit(X, y).coef_.tolist()
    [2.25, 0.0, 0.0]
    """

    def __init__(
        self,
        *,
        n_nonzero_coefs: int | None = None,
        tol: float | None = None,
        fit_intercept: bool = True,
        prior: PSR | None = None,
    ) -> None:
        self.n_nonzero_coefs = n_nonzero_coefs
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        moments, n_targets = psr.moments(), self._n_targets()
        features = range(len(moments.names) - n_targets)
        wanted = self._wanted(len(features))
        found = [
            matching_pursuit(
                moments,
                len(features) + t,
                features,
                most=len(features) if wanted is None else wanted,
                tol=self.tol,
                fit_intercept=self.fit_intercept,
            )
            for t in range(n_targets)
        ]
        if any(each.premature for each in found):
            msg = "Got a target that fewer features meet than were to be chosen: none is correlated with what is left."
            warnings.warn(msg, RuntimeWarning, stacklevel=6)
        coef, intercept = np.array([each.coef for each in found]), np.array([each.intercept for each in found])
        fitted: dict[str, Any] = {"coef_": coef, "n_iter_": [len(each.chosen) for each in found]}
        fitted = {name: value[0] for name, value in fitted.items()} if n_targets == 1 else fitted
        return {**self._parameters(coef, intercept), **fitted, "n_nonzero_coefs_": wanted}

    def _wanted(self, n_features: int) -> int | None:
        if self.tol is not None:
            return None
        if self.n_nonzero_coefs is None:
            return max(n_features // 10, 1)
        if self.n_nonzero_coefs > n_features:
            raise ValueError(
                f"Got n_nonzero_coefs={self.n_nonzero_coefs}, but expected at most the {n_features} features there are."
            )
        return int(self.n_nonzero_coefs)

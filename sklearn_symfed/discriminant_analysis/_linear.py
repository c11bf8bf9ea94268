"""Linear discriminant analysis from exact statistics of each class."""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.validation import check_is_fitted

from sklearn_symfed._base import ClassifierFromStatistics, Interval, StrOptions
from sklearn_symfed._priors import class_priors
from sklearn_symfed._rounding import as_integers, quotients
from sklearn_symfed._shrinkage import exact_shrinkage, refuse_ledoit_wolf
from sklearn_symfed._steps import centred
from sklearn_symfed.discriminant_analysis._discriminant import Discriminant
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR

__all__ = ["FederatedLinearDiscriminantAnalysis"]

Array = np.ndarray[Any, Any]


class FederatedLinearDiscriminantAnalysis(ClassifierFromStatistics, LinearDiscriminantAnalysis):
    """Linear discriminant analysis from exact statistics.

    Parameters
    ----------
    shrinkage : float, "oas" or None, default=None
        Between 0 and 1: how far the covariance of each class is moved towards its mean variance, as by scikit-learn's
        ``eigen`` solver; "oas" is its ``covariance_estimator=OAS()``, a share for each class; None does what its
        ``svd`` solver does.  "auto" is refused: Ledoit-Wolf needs fourth moments.
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
        Of the directions in their order; with shrinkage their sum may be negative, and so may be these.
    solver_ : str
        The rung of the ladder that answered: "cholesky" (float64, refined), "balls" or "rationals".
    condition_ : float
        Condition number of the covariance within classes scaled to unit diagonal, to two digits.
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
    Coefficients, intercepts, means and covariances are correctly rounded, and so are scalings where their eigenvalues
    differ: see `Discriminant` for the formula; `Eigenproblem` in `sklearn_symfed._eigen` has the convention for equal
    ones.

    Examples
    --------
    >>> from sklearn_symfed import FederatedLinearDiscriminantAnalysis
    >>> model = FederatedLinearDiscriminantAnalysis().fit([[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1])
    >>> model.coef_.tolist(), model.intercept_.tolist()
    ([[12.0]], [0.0])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"oas"}), None]
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
        estimated = {"shrinkage": None, "covariance_estimator": OAS()} if self.shrinkage == "oas" else {}
        return {"solver": self.solver, **estimated}

    def _validate_params(self) -> None:
        refuse_ledoit_wolf(self.shrinkage)
        super()._validate_params()

    def _solve(self, psr: PSR) -> dict[str, Any]:
        by_class = psr.by_class()
        names = sorted(psr.names)  # ties go by name, whatever the order of features
        back = [names.index(name) for name in psr.names]
        classes = [each.moments().select(names) for each in by_class.values()]
        total = psr.moments().select(names).of_classes(classes)
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
        shrinkage = exact_shrinkage(self.shrinkage)
        priors = class_priors(self.priors, total, classes)
        solution = Discriminant(total, classes, tuple(priors), shrinkage)
        parameters = solution.parameters()
        scalings, ratio = solution.transformation(kept)
        keep_covariance = self.store_covariance or shrinkage is not None
        return {
            "classes_": np.array(list(by_class)),
            "coef_": parameters.coef[:, back],
            "intercept_": parameters.intercept,
            "solver_": parameters.solver,
            "condition_": parameters.condition,
            "means_": solution.means[:, back],
            "priors_": quotients(*as_integers(np.array(priors, dtype=object))),
            "xbar_": solution.xbar[back],
            "scalings_": scalings[back],
            "explained_variance_ratio_": ratio,
            "_max_components": kept,
            "_n_features_out": kept,
            **({"covariance_": solution.covariance[np.ix_(back, back)]} if keep_covariance else {}),
        }

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of classes: ndarray of shape (n_samples, n_classes)."""
        check_is_fitted(self)
        if len(self.classes_) == 1:  # of which scikit-learn fails to take the softmax
            return np.ones((len(self.decision_function(X)), 1))
        return np.asarray(super().predict_proba(X))

    def _affine(self) -> tuple[Array, list[Fraction]]:
        mean = self.xbar_ if self.solver == "svd" else np.zeros_like(self.xbar_)  # as scikit-learn's transform
        return centred(self.scalings_[:, : self._max_components], mean)

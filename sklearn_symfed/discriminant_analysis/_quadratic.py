"""Quadratic discriminant analysis from exact statistics of each class."""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.covariance import OAS
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

from sklearn_symfed._base import ClassifierFromStatistics, Interval, StrOptions
from sklearn_symfed._priors import class_priors
from sklearn_symfed._rounding import as_integers, integer_ratio, quotients
from sklearn_symfed._shrinkage import exact_shrinkage, refuse_ledoit_wolf
from sklearn_symfed.discriminant_analysis._gaussians import ClassGaussian
from sklearn_symfed.exceptions import DataError
from sklearn_symfed.psr import PSR, Moments

__all__ = ["FederatedQuadraticDiscriminantAnalysis"]

Array = np.ndarray[Any, Any]


class FederatedQuadraticDiscriminantAnalysis(ClassifierFromStatistics, QuadraticDiscriminantAnalysis):
    """Quadratic discriminant analysis from exact statistics.

    Parameters
    ----------
    shrinkage : float, "oas" or None, default=None
        Between 0 and 1: how far the covariance of each class is moved towards its mean variance, as by scikit-learn's
        ``eigen`` solver; "oas" is its ``covariance_estimator=OAS()``; None does what its ``svd`` solver does.  "auto"
        is refused: Ledoit-Wolf needs fourth moments.
    priors : array-like of shape (n_classes,), default=None
        Prior probabilities of the classes, by ascending label; None takes their proportions.
    reg_param : float, default=0.0
        Between 0 and 1: how far each covariance is moved towards the identity.  Not together with `shrinkage`.
    store_covariance : bool, default=False
        Whether to keep ``covariance_``.
    tol : float, default=1e-4
        A class one of whose variances along its principal axes is not larger than this is refused.
    prior : PSR, default=None
        Statistics, with class column, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that occurred.
    means_ : ndarray of shape (n_classes, n_features)
    priors_ : ndarray of shape (n_classes,)
    covariance_ : list of n_classes ndarrays of shape (n_features, n_features)
        If `store_covariance` is true.
    rotations_ : list of n_classes ndarrays of shape (n_features, n_features)
        The principal axes of each class as columns; the entry of largest magnitude of each is positive.
    scalings_ : list of n_classes ndarrays of shape (n_features,)
        The variances along these, descending.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis : The same model from rows.

    Notes
    -----
    Means, covariances and variances are correctly rounded, and so are axes whose variances differ: see `ClassGaussian`
    for the formula; `Eigenproblem` in `sklearn_symfed._eigen` has the convention for equal ones.  A class with fewer
    rows than features has variances of zero, which `tol` refuses; `reg_param` helps here, too, where scikit-learn's
    ``svd`` solver knows only as many axes as the class has rows, and refuses.

    Examples
    --------
    >>> from sklearn_symfed import FederatedQuadraticDiscriminantAnalysis
    >>> X, y = [[-2.0], [0.0], [1.0], [2.0], [6.0]], ["a", "a", "b", "b", "b"]
    >>> model = FederatedQuadraticDiscriminantAnalysis().fit(X, y)
    >>> model.means_.ravel().tolist(), model.scalings_[0].tolist(), model.predict([[-9.0], [9.0]]).tolist()
    ([-1.0, 3.0], [1.0], ['b', 'b'])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "shrinkage": [Interval(Real, 0, 1, closed="both"), StrOptions({"oas"}), None]
    }

    def __init__(
        self,
        *,
        shrinkage: Any = None,
        priors: Any = None,
        reg_param: float = 0.0,
        store_covariance: bool = False,
        tol: float = 1e-4,
        prior: PSR | None = None,
    ) -> None:
        self.shrinkage = shrinkage
        self.priors = priors
        self.reg_param = reg_param
        self.store_covariance = store_covariance
        self.tol = tol
        self.prior = prior

    @property
    def solver(self) -> str:
        """Name of scikit-learn's solver that makes the same model."""
        return "svd" if self.shrinkage is None else "eigen"

    def _plain_params(self) -> dict[str, Any]:
        estimated = {"shrinkage": None, "covariance_estimator": OAS()} if self.shrinkage == "oas" else {}
        return {"solver": self.solver, **estimated}

    def _validate_params(self) -> None:
        refuse_ledoit_wolf(self.shrinkage)
        super()._validate_params()
        if self.shrinkage is not None and self.reg_param:
            raise ValueError("Got shrinkage and reg_param, but expected one of the two: each replaces the covariance.")

    def _solve(self, psr: PSR) -> dict[str, Any]:
        by_class = psr.by_class()
        classes = [each.moments() for each in by_class.values()]
        total = psr.moments().of_classes(classes)
        if len(classes) < 2:
            raise DataError(f"The number of classes has to be greater than one. Got {len(classes)} class.")
        if any(moments.n_rows == 1 for moments in classes):
            raise DataError("y has only 1 sample in a class, whose covariance is ill defined: expected at least 2.")
        shrinkage, reg_param = exact_shrinkage(self.shrinkage), Fraction(*integer_ratio(self.reg_param))
        gaussians = [ClassGaussian(moments, shrinkage, reg_param) for moments in classes]
        axes = [gaussian.axes() for gaussian in gaussians]
        for k, (moments, (variances, _)) in enumerate(zip(classes, axes, strict=True)):
            self._require_full_rank(f"class {k + 1} of {len(classes)}", moments, variances)
        priors = class_priors(self.priors, total, classes)
        return {
            "classes_": np.array(list(by_class)),
            "means_": np.array([moments.mean for moments in classes]),
            "priors_": quotients(*as_integers(np.array(priors, dtype=object))),
            "scalings_": [variances for variances, _ in axes],
            "rotations_": [rotation for _, rotation in axes],
            **({"covariance_": [each.covariance for each in gaussians]} if self.store_covariance else {}),
        }

    def _require_full_rank(self, name: str, moments: Moments, variances: Array) -> None:
        rank = int(np.sum(variances > self.tol))
        if rank < len(variances):
            parameter = "reg_param" if self.shrinkage is None else "shrinkage"
            raise np.linalg.LinAlgError(
                f"The covariance matrix of {name} is not full rank: its {moments.n_rows} rows have a variance above "
                f"tol={self.tol} along {rank} axes, but expected {len(variances)}. Increase {parameter}, or lower tol."
            )

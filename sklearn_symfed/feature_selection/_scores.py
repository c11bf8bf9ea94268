"""How much a feature says of a target, from statistics: F tests and the chi-square test of each feature alone.

Each function takes a PSR and the name of its target, as ``fit`` does, and returns scores and p-values of all other
columns in order.  Scores are exact rationals, p-values functions of these; both are rounded once.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sklearn_symfed.exceptions import DataError, SchemaError
from sklearn_symfed.feature_selection._tails import Ratio, chi_square_tails, f_tails, rounded
from sklearn_symfed.psr import PSR, Moments, normalised

__all__ = ["analysis_of_variance", "chi2", "chi_square", "f_classif", "f_regression", "regression_f"]

Array = np.ndarray[Any, Any]


# -- exact scores ----------------------------------------------------------------------------------------------------


def regression_f(moments: Moments, target: int, *, center: bool = True) -> tuple[list[Ratio], int]:
    r"""Return F of the regression of a target on each column alone, exactly.

    Parameters
    ----------
    moments : Moments
    target : int
        Position of the target.
    center : bool, default=True
        Whether the regression has an intercept.

    Returns
    -------
    ratios : list of Ratio
        For each column, the target itself among them.
    freedom : int
        Degrees of freedom within; between there is one.

    Notes
    -----
    With co-moments :math:`C` (products, where it is not centred) and :math:`n` rows,

    .. math:: F_j = \frac{C_{jy}^2}{C_{jj} C_{yy} - C_{jy}^2} (n - 2),

    where a column is constant zero by zero [1]_.

    References
    ----------
    .. [1] G. A. F. Seber and A. J. Lee, "Linear Regression Analysis", 2nd ed., 2003, section 6.1.
    """
    products = moments.comoments if center else moments.matrix[1:, 1:]
    freedom = moments.n_rows - (2 if center else 1)
    own = products[target, target]
    ratios = []
    for j in range(len(products)):
        explained = products[j, target] ** 2
        ratios.append((Fraction(explained * max(freedom, 0)), Fraction(products[j, j] * own - explained)))
    return ratios, freedom


def analysis_of_variance(total: Moments, classes: Sequence[Moments]) -> tuple[list[Ratio], int, int]:
    r"""Return F of the one-way analysis of variance of each column, exactly.

    Parameters
    ----------
    total : Moments
        Of all rows.
    classes : sequence of Moments
        Of each class.

    Returns
    -------
    ratios : list of Ratio
    between, within : int
        Degrees of freedom.

    Notes
    -----
    With :math:`S` the centred sums of squares of all :math:`n` rows and :math:`S_k` those of :math:`K` classes,

    .. math:: F_j = \frac{(S_j - \sum_k S_{kj}) / (K - 1)}{\sum_k S_{kj} / (n - K)},

    zero by zero for a constant column, and where there is one class or each row has its own [1]_.

    References
    ----------
    .. [1] G. W. Heiman, "Research Methods in Statistics", 2002, pp. 394-397.
    """
    between, within = len(classes) - 1, total.n_rows - len(classes)
    inner = np.add.reduce([_sums_of_squares(moments) for moments in classes])
    outer = _sums_of_squares(total) - inner
    return list(zip(outer * within, inner * between, strict=True)), between, within


def _sums_of_squares(moments: Moments) -> Array:
    """Return the exact sums of squares around the mean: ndarray of Fraction of shape (n_columns,)."""
    weight, sums, squares = moments.matrix[0, 0], moments.matrix[0, 1:], moments.matrix.diagonal()[1:]
    return np.asarray((weight * squares - sums**2) * (moments.unit / weight))


def chi_square(classes: Sequence[Moments]) -> tuple[list[Ratio], int]:
    r"""Return the chi-square statistic of counts in classes against equal shares in all, exactly.

    Parameters
    ----------
    classes : sequence of Moments
        Of each class.

    Returns
    -------
    ratios : list of Ratio
    freedom : int
        Degrees of freedom.

    Raises
    ------
    DataError
        If the counts of a class are negative in sum.

    Notes
    -----
    With :math:`O_{kj}` the sum of a column in a class and :math:`E_{kj}` its sum in all times the share of the class,

    .. math:: \chi^2_j = \sum_k (O_{kj} - E_{kj})^2 / E_{kj},

    undefined for a column of zeros, and where there is one class [1]_.

    References
    ----------
    .. [1] K. Pearson, "On the criterion that a given system of deviations ...", Philosophical Magazine 50, 1900.
    """
    sums = np.array([moments.matrix[0] * moments.unit for moments in classes], dtype=object)
    negative = [name for name, column in zip(classes[0].names, sums.T[1:], strict=True) if min(column) < 0]
    if negative:
        raise DataError(
            f"Negative values in data passed to chi2: Got columns {negative} with a negative sum in some class, but "
            "expected counts. Input X must be non-negative."
        )
    weights, counts = sums[:, :1], sums[:, 1:]
    totals = counts.sum(axis=0)
    # over the total that is the sum of O**2 / E, less that of all O
    squares = (counts**2 / weights).sum(axis=0) * weights.sum() - totals**2
    freedom = len(classes) - 1
    return list(zip(squares, totals if freedom else 0 * totals, strict=True)), freedom


# -- scores of a PSR -------------------------------------------------------------------------------------------------


def f_regression(psr: PSR, y: str, *, center: bool = True, force_finite: bool = True) -> tuple[Array, Array]:
    """Test each feature alone for a linear effect on a numeric target.

    Parameters
    ----------
    psr : PSR
    y : str
        The target; all other columns are features.
    center : bool, default=True
        Whether the regression has an intercept.
    force_finite : bool, default=True
        Whether F is 0 and p is 1 for a constant feature or target, rather than NaN, and F is the largest float, rather
        than infinite, for a feature that determines the target.

    Returns
    -------
    f_statistic : ndarray of shape (n_features,)
    p_values : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.feature_selection.f_regression : The same from rows.

    Notes
    -----
    Both are correctly rounded: `regression_f` has the formula.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> from sklearn_symfed.feature_selection import f_regression
    >>> f_regression(PSR.from_rows([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], [1.0, 2.0, 2.0]), "y")
    (array([3., 0.]), array([0.33333333, 1.        ]))
    """
    y = normalised(y)
    (target,) = psr.schema.positions([y])
    ratios, freedom = regression_f(psr.moments(), target, center=center)
    del ratios[target]
    scores, tails = rounded(ratios), f_tails(ratios, 1, freedom)
    if force_finite:
        tails = np.where(np.isnan(scores), 1.0, tails)
        scores = np.nan_to_num(scores, nan=0.0, posinf=np.finfo(np.float64).max)
    return scores, tails


def f_classif(psr: PSR, y: str) -> tuple[Array, Array]:
    """Test each feature alone for means that differ between classes.

    Parameters
    ----------
    psr : PSR
    y : str
        Its class column.

    Returns
    -------
    f_statistic : ndarray of shape (n_features,)
        Infinite for a feature that is constant in each class, NaN for one that is constant in all.
    p_values : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.feature_selection.f_classif : The same from rows.

    Notes
    -----
    Both are correctly rounded: `analysis_of_variance` has the formula.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> from sklearn_symfed.feature_selection import f_classif
    >>> f_classif(PSR.from_rows([[1.0], [2.0], [3.0], [4.0]], list("aabb"), classes="kind"), "kind")
    (array([8.]), array([0.10557281]))
    """
    classes = _classes(psr, y)
    ratios, between, within = analysis_of_variance(psr.moments().of_classes(classes), classes)
    constant = [name for name, ratio in zip(psr.names, ratios, strict=True) if ratio == (Fraction(0), Fraction(0))]
    if constant and between > 0 and within > 0:
        warnings.warn(f"Features {constant} are constant.", UserWarning, stacklevel=2)
    return rounded(ratios), f_tails(ratios, between, within)


def chi2(psr: PSR, y: str) -> tuple[Array, Array]:
    """Test each feature of counts alone for shares that differ between classes.

    Parameters
    ----------
    psr : PSR
        Its columns hold counts; a negative sum in a class betrays others.
    y : str
        Its class column.

    Returns
    -------
    chi2 : ndarray of shape (n_features,)
        NaN for a feature of zeros.
    p_values : ndarray of shape (n_features,)

    See Also
    --------
    sklearn.feature_selection.chi2 : The same from rows.

    Notes
    -----
    Both are correctly rounded: `chi_square` has the formula.

    Examples
    --------
    >>> from sklearn_symfed import PSR
    >>> from sklearn_symfed.feature_selection import chi2
    >>> chi2(PSR.from_rows([[3, 1], [1, 1], [0, 2]], list("aab"), classes="kind"), "kind")
    (array([2. , 0.5]), array([0.15729921, 0.47950012]))
    """
    ratios, freedom = chi_square(_classes(psr, y))
    return rounded(ratios), chi_square_tails(ratios, freedom)


def _classes(psr: PSR, y: str) -> list[Moments]:
    if psr.schema.classes != normalised(y):
        raise SchemaError(f"Got y={y!r}, but expected the class column of the PSR, {psr.schema.classes!r}.")
    return [part.moments() for part in psr.by_class().values()]

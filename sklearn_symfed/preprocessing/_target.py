"""Target encoding: each level becomes the mean of the target over its rows, shrunk towards that of all rows."""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sklearn_symfed._base import ClassTarget, FromStatistics, Interval, RegressorFromStatistics, StrOptions
from sklearn_symfed._input import as_list, column_names
from sklearn_symfed._row_columns import CATEGORIES
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.preprocessing._levels import EncoderFromStatistics, LevelMap
from sklearn_symfed.psr import PSR, columns_of_rows, level_name, quotient

__all__ = ["FederatedTargetEncoder", "shrunk_mean"]

Array = np.ndarray[Any, Any]


def shrunk_mean(total: Fraction, weight: Fraction, mean: Fraction, smooth: Fraction | None) -> Fraction:
    r"""Return the mean of a target over the rows of a level, shrunk towards the mean of all rows.

    Parameters
    ----------
    total, weight : Fraction
        Sum of the target over the rows of the level, and how many they are.
    mean : Fraction
        Mean of all rows.
    smooth : Fraction or None
        As many rows of the mean as are added.  None: the empirical Bayes estimate of a target of zeros and ones.

    Returns
    -------
    Fraction

    Notes
    -----
    With :math:`n` rows of the level, their mean :math:`m`, and the mean :math:`\mu` of all rows, it is
    :math:`(n m + s \mu) / (n + s)`; and for zeros and ones, whose variance is :math:`m (1 - m)` within the level and
    :math:`\mu (1 - \mu)` in all, :math:`\lambda m + (1 - \lambda) \mu` with

    .. math:: \lambda = \frac{\mu (1 - \mu) n}{\mu (1 - \mu) n + m (1 - m)}

    [1]_.  Undefined quotients give :math:`\mu`.

    References
    ----------
    .. [1] D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in classification and
       prediction problems", SIGKDD Explorations 3, 2001, equations 3 to 7.
    """
    if smooth is not None:
        return (total + smooth * mean) / (weight + smooth) if weight + smooth else mean
    if not weight:
        return mean
    own = total / weight
    between = mean * (1 - mean) * weight
    within = own * (1 - own)
    return mean + between / (between + within) * (own - mean) if between + within else mean


class FederatedTargetEncoder(EncoderFromStatistics, RegressorFromStatistics, ClassTarget):
    """Encode categories as the mean of the target over the rows of each level, from exact statistics.

    Columns of numbers pass.

    Parameters
    ----------
    categories : "auto", list of str, or mapping of str to levels or None, default="auto"
        Columns of rows that hold categories, as in `FederatedOneHotEncoder`.
    target_type : {"auto", "continuous", "binary", "multiclass"}, default="auto"
        Whether the target of rows is a number or a class.  "auto": strings and booleans are classes, numbers are
        numbers.  A PSR says it: its class column, or another.
    smooth : float or "auto", default=1.0
        How many rows with the mean of all rows are added to each level.  "auto", the empirical Bayes estimate, is
        offered for classes only: it needs the variance of the target within each level, and the sum of its squares over
        the rows of a level is no function of the statistics, unless the target is zeros and ones.
    prior : PSR, default=None
        Statistics, target among them, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    columns_ : list of str
        Columns that are encoded.
    categories_ : list of ndarray of object of shape (n_levels,)
        Of each of them the levels, as texts.
    encodings_ : list of ndarray of shape (n_levels,)
        Of each of them; with three or more classes of each and each class, by column and then by class.
    target_mean_ : float, or ndarray of shape (n_classes,)
        Mean of the target, or the share of the second class, or of each class: what a level becomes that was not
        learned.
    target_type_ : str
    classes_ : ndarray of shape (n_classes,) or None
        Labels that occurred.
    psr_ : PSR
        What the encoder was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where columns have names.

    See Also
    --------
    sklearn.preprocessing.TargetEncoder : The same from rows, of all columns, with cross-fitting.

    Notes
    -----
    There is no cross-fitting: ``fit_transform(X, y)`` is ``fit(X, y).transform(X)``, where scikit-learn's encodes each
    fold by the others.  Statistics do not know folds, and levels of few rows tell the target of these rows to the model
    behind: `smooth` is what tempers that.

    Every number is correctly rounded: see `shrunk_mean` for the formulas.  A row's encoding is the sum over levels of
    their encoding times their indicator: an affine map, by which ``transform(psr)`` returns the statistics of the
    encoded rows.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_symfed import PSR, FederatedTargetEncoder
    >>> rows = pd.DataFrame({"c": ["a", "a", "b"], "fare": [1.0, 3.0, 7.0]})
    >>> encoder = FederatedTargetEncoder(smooth=0.0).fit(PSR.from_rows(rows), "fare")
    >>> encoder.encodings_[0].tolist(), encoder.transform(rows[["c"]]).tolist()
    ([2.0, 7.0], [[2.0], [2.0], [7.0]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "categories": CATEGORIES,
        "target_type": [StrOptions({"auto", "continuous", "binary", "multiclass"})],
        "smooth": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        categories: Any = "auto",
        target_type: str = "auto",
        smooth: float | str = 1.0,
        prior: PSR | None = None,
    ) -> None:
        self.categories = categories
        self.target_type = target_type
        self.smooth = smooth
        self.prior = prior

    # -- learning ----------------------------------------------------------------------------------------------------

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        self._require_target(y)
        targets = column_names(y)
        if len(targets) != 1:
            raise SchemaError(f"Got targets {targets}, but expected one.")
        features, _ = super()._columns_of(psr, y)
        if targets[0] != psr.schema.classes:
            psr.schema.positions(targets)
            if columns_of_rows(psr, targets).schema.missing.get(targets[0]) == "indicator":
                raise SchemaError(
                    f"Got the target {targets[0]!r} learned with missing='indicator', whose zeros are no values; "
                    "expected 'listwise' or 'pairwise'."
                )
        return features, targets[0]

    def _learn_psr(self, psr: PSR, y: Any) -> PSR:
        return FromStatistics._learn_psr(self, psr, y)  # noqa: SLF001 (the target is learned, and stands beside)

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        self._require_target(y)
        meaning = ClassTarget if self._holds_classes(y) else RegressorFromStatistics
        learned = meaning._learn_rows(self, X, y, weight)  # noqa: SLF001 (its own mixin)
        if len(as_list(self._target)) != 1:
            raise SchemaError(f"Got targets {self._target}, but expected one.")
        self._target = as_list(self._target)[0]
        return learned

    def _holds_classes(self, y: Any) -> bool:
        if hasattr(self, "psr_"):
            return self.psr_.schema.classes is not None
        if self.target_type != "auto":
            return self.target_type != "continuous"
        kind = getattr(getattr(y, "dtype", None), "kind", None) or np.asarray(y).dtype.kind
        if kind in "biuf":
            return bool(kind == "b")
        return not all(isinstance(value, (int, float, np.number)) for value in np.asarray(y).ravel().tolist()[:1])

    def _passing(self) -> list[str]:
        return [name for name in self.psr_.names if name == self._target]

    # -- the fit -----------------------------------------------------------------------------------------------------

    def _solve(self, psr: PSR) -> dict[str, Any]:
        found, labels = self._vocabulary(), list(psr.labels)
        if psr.schema.classes is None:
            if isinstance(self.smooth, str):
                raise DataTypeError(
                    "Got smooth='auto' with a numeric target, but expected a number: the variance of a target within "
                    "each level is no function of the statistics."
                )
            kind, totals = "continuous", [_of_number(psr, self._target)]
        else:
            kind, totals = ("binary" if len(labels) < 3 else "multiclass"), _of_classes(psr)
        smooth = None if isinstance(self.smooth, str) else Fraction(self.smooth)
        means = [each.total / each.weight for each in totals]
        encodings = [
            np.array([_rounded(shrunk_mean(*each.of(column, level), mean, smooth)) for level in levels])
            for column, levels in zip(found["columns_"], found["categories_"], strict=True)
            for each, mean in zip(totals, means, strict=True)
        ]
        rounded = np.array([_rounded(mean) for mean in means])
        return {
            **found,
            "target_type_": kind,
            "classes_": np.array(labels) if labels else None,
            "target_mean_": rounded if kind == "multiclass" else rounded.tolist()[0],
            "encodings_": encodings,
        }

    def _level_map(self, position: int) -> LevelMap:
        unknown = np.atleast_1d(self.target_mean_)
        width = len(unknown)
        names = [f"_{label}" for label in self.classes_] if self.target_type_ == "multiclass" else [""]
        return LevelMap(names, np.column_stack(self.encodings_[position * width : (position + 1) * width]), unknown)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class _Totals(NamedTuple):
    """Sums of a target, and weights, of all rows and of the rows of each level, by the name of its indicator."""

    total: Fraction
    weight: Fraction
    totals: dict[str, Fraction]
    weights: dict[str, Fraction]

    def of(self, column: str, level: str) -> tuple[Fraction, Fraction]:
        name = level_name(column, level)
        return self.totals.get(name, Fraction(0)), self.weights[name]


def _of_number(psr: PSR, target: str) -> _Totals:
    """Return the totals of a column, over the rows that have it."""
    moments = psr.as_stored().moments()
    places = {name: 1 + place for place, name in enumerate(moments.names)}
    there, own = places[psr.schema.observed[target]] if target in psr.schema.observed else 0, places[target]
    totals, weights = moments.matrix[own] * moments.unit, moments.matrix[there] * moments.unit
    total, weight = totals[there], weights[0]
    if not weight:
        raise DataError(f"Got no row that has the target {target!r}, but expected some.")
    by_name = [{name: row[place] for name, place in places.items()} for row in (totals, weights)]
    return _Totals(total, weight, *by_name)


def _of_classes(psr: PSR) -> list[_Totals]:
    """Return the totals of being in the second class, or in each of three or more."""
    weight, weights = _sums(psr)
    parts = [_sums(part) for part in psr.by_class().values()]
    of_interest = parts if len(parts) > 2 else parts[1:] or [(Fraction(0), {})]
    return [_Totals(total, weight, totals, weights) for total, totals in of_interest]


def _sums(psr: PSR) -> tuple[Fraction, dict[str, Fraction]]:
    moments = psr.as_stored().moments()
    weight, *sums = (moments.matrix[0] * moments.unit).tolist()
    return weight, dict(zip(moments.names, sums, strict=True))


def _rounded(value: Fraction) -> float:
    return quotient(value.numerator, value.denominator)

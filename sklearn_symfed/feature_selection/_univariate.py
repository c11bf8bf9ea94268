"""Selection of features by what each of them says alone of a target."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import feature_selection
from sklearn.feature_selection import SelectFdr, SelectFpr, SelectFwe, SelectKBest
from sklearn.utils.validation import check_is_fitted, check_non_negative

from sklearn_symfed._base import ClassTarget, RegressorFromStatistics
from sklearn_symfed._input import as_list
from sklearn_symfed.exceptions import DataTypeError, SchemaError
from sklearn_symfed.feature_selection._scores import chi2, f_classif, f_regression
from sklearn_symfed.feature_selection._selector import SelectorFromStatistics
from sklearn_symfed.psr import PSR, read_columns

__all__ = ["FederatedSelectFdr", "FederatedSelectFpr", "FederatedSelectFwe", "FederatedSelectKBest"]

Array = np.ndarray[Any, Any]
Score = Callable[..., tuple[Array, Array]]

_SCORES: dict[str, Score] = {score.__name__: score for score in (chi2, f_classif, f_regression)}


def _score_called(score_func: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the name of a score and its settings; None for what is no score of this module or scikit-learn."""
    settings = {}
    if isinstance(score_func, partial) and not score_func.args:
        score_func, settings = score_func.func, dict(score_func.keywords)
    for name, score in _SCORES.items():
        if score_func is score or score_func is getattr(feature_selection, name):
            return name, settings
    return None


class _UnivariateFilter(SelectorFromStatistics, RegressorFromStatistics, ClassTarget):
    """What selects by a score: the target is a number or a class, as the score wants it."""

    score_func: Callable[..., Any]
    scores_: Array
    pvalues_: Array

    def _score(self) -> tuple[str, dict[str, Any]]:
        found = _score_called(self.score_func)
        if found is None:
            raise DataTypeError(
                f"Got score_func={self.score_func!r}, but expected one of {sorted(_SCORES)}: others are no functions "
                "of the statistics."
            )
        return found

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Name the score, without the address of its function."""
        return re.sub(r"<function (\w+) at 0x\w+>", r"\1", super().__repr__(N_CHAR_MAX))  # type: ignore[call-arg]

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        return self._meaning_of_target()._columns_of(self, psr, y)  # noqa: SLF001 (its own mixin)

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        learned = self._meaning_of_target()._learn_rows(self, X, y, weight)  # noqa: SLF001 (its own mixin)
        if self._score()[0] == "chi2":
            for block in read_columns(X, "x", decimals=learned.schema.decimals)[2]:
                check_non_negative(block, "chi2 (Input X must be non-negative)")
        return learned

    def _meaning_of_target(self) -> type[RegressorFromStatistics | ClassTarget]:
        return RegressorFromStatistics if self._score()[0] == "f_regression" else ClassTarget

    def _learn(self, X: Any, y: Any, weight: Any) -> PSR:
        learned = super()._learn(X, y, weight)
        self._beside = [name for name in learned.names if name in as_list(self._target)]
        return learned

    def _solve(self, psr: PSR) -> dict[str, Any]:
        name, settings = self._score()
        targets = as_list(self._target)
        if len(targets) != 1:
            raise SchemaError(f"Got targets {targets}, but expected one: a feature is scored for one target.")
        scores, pvalues = _SCORES[name](psr, targets[0], **settings)
        return {"scores_": scores, "pvalues_": pvalues}

    def _plain_params(self) -> dict[str, Any]:
        name, settings = self._score()
        plain = getattr(feature_selection, name)
        return {"score_func": partial(plain, **settings) if settings else plain}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.positive_only = (_score_called(self.score_func) or ("",))[0] == "chi2"
        return tags


class FederatedSelectKBest(_UnivariateFilter, SelectKBest):
    """Selection of the features with the highest scores, from exact statistics.

    Parameters
    ----------
    score_func : callable, default=f_classif
        `f_classif` or `chi2` for classes, `f_regression` for a numeric target: those of this module, scikit-learn's of
        the same name, or a `functools.partial` of these with keywords.
    k : int or "all", default=10
        How many features to keep.
    prior : PSR, default=None
        Statistics, target among them, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    scores_, pvalues_ : ndarray of shape (n_features,)
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.feature_selection.SelectKBest : The same selection from rows.

    Notes
    -----
    Scores and p-values are correctly rounded.  Of equal scores the features whose names come first are kept, so that
    the order of columns does not matter; scikit-learn keeps the last ones.  What `to_sklearn` returns keeps the same:
    scores that lost a tie are one float lower there.

    Examples
    --------
    >>> from sklearn_symfed import FederatedSelectKBest, PSR
    >>> psr = PSR.from_rows([[1.0, 5.0], [2.0, 4.0], [3.0, 5.0], [4.0, 5.0]], list("aabb"), classes="kind")
    >>> FederatedSelectKBest(k=1).fit(psr, "kind").get_feature_names_out().tolist()
    ['x0']
    """

    def __init__(self, score_func: Any = f_classif, *, k: Any = 10, prior: PSR | None = None) -> None:
        self.score_func = score_func
        self.k = k
        self.prior = prior

    def _solve(self, psr: PSR) -> dict[str, Any]:
        if not isinstance(self.k, str) and self.k > self.n_features_in_:
            warnings.warn(
                f"k={self.k} is greater than n_features={self.n_features_in_}. All the features will be returned.",
                UserWarning,
                stacklevel=6,
            )
        return super()._solve(psr)

    def _get_support_mask(self) -> Array:
        check_is_fitted(self)
        mask = np.zeros(self.n_features_in_, dtype=bool)
        scores, names = self._comparable_scores(), self._features()
        order = sorted(range(len(names)), key=lambda j: (-scores[j], names[j]))
        mask[order if self.k == "all" else order[: self.k]] = True
        return mask

    def _comparable_scores(self) -> Array:
        return np.where(np.isnan(self.scores_), np.finfo(np.float64).min, self.scores_)

    def _plain_attributes(self) -> dict[str, Any]:
        scores, mask = self._comparable_scores(), self._get_support_mask()
        lost = ~mask & np.isin(scores, scores[mask])
        with np.errstate(over="ignore"):  # below the least float, for which scikit-learn takes NaN, is -inf
            return {"scores_": np.where(lost, np.nextafter(scores, -np.inf), self.scores_)}


class _FilterByTails(_UnivariateFilter):
    """What selects by p-values and `alpha`."""

    def __init__(self, score_func: Any = f_classif, *, alpha: float = 5e-2, prior: PSR | None = None) -> None:
        self.score_func = score_func
        self.alpha = alpha
        self.prior = prior


class FederatedSelectFdr(_FilterByTails, SelectFdr):
    """Selection of features at a bounded rate of false discoveries (Benjamini and Hochberg), from exact statistics.

    Parameters
    ----------
    score_func : callable, default=f_classif
        As of `FederatedSelectKBest`.
    alpha : float, default=0.05
        Upper bound of the expected share of features that say nothing among those that are kept.
    prior : PSR, default=None
        Statistics, target among them, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    scores_, pvalues_ : ndarray of shape (n_features,)
        Correctly rounded.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.feature_selection.SelectFdr : The same selection from rows.

    Examples
    --------
    >>> from sklearn_symfed import FederatedSelectFdr
    >>> X = [[1.0, 5.0], [1.1, 4.0], [3.0, 5.0], [3.1, 5.0]]
    >>> FederatedSelectFdr(alpha=0.01).fit(X, list("aabb")).get_support().tolist()
    [True, False]
    """


class FederatedSelectFpr(_FilterByTails, SelectFpr):
    """Selection of features whose p-value is below a threshold, from exact statistics.

    Parameters
    ----------
    score_func : callable, default=f_classif
        As of `FederatedSelectKBest`.
    alpha : float, default=0.05
        Share of features that say nothing which are kept.
    prior : PSR, default=None
        Statistics, target among them, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    scores_, pvalues_ : ndarray of shape (n_features,)
        Correctly rounded.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.feature_selection.SelectFpr : The same selection from rows.

    Examples
    --------
    >>> from sklearn_symfed import FederatedSelectFpr
    >>> X = [[1.0, 5.0], [1.1, 4.0], [3.0, 5.0], [3.1, 5.0]]
    >>> FederatedSelectFpr(alpha=0.01).fit(X, list("aabb")).get_support().tolist()
    [True, False]
    """


class FederatedSelectFwe(_FilterByTails, SelectFwe):
    """Selection of features at a bounded probability of any false one (Bonferroni), from exact statistics.

    Parameters
    ----------
    score_func : callable, default=f_classif
        As of `FederatedSelectKBest`.
    alpha : float, default=0.05
        Upper bound of the probability that any feature is kept which says nothing.
    prior : PSR, default=None
        Statistics, target among them, that are added to what `fit` learns, matched by name.

    Attributes
    ----------
    scores_, pvalues_ : ndarray of shape (n_features,)
        Correctly rounded.
    psr_ : PSR
        What the estimator was fitted from.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)
        Where features have names.

    See Also
    --------
    sklearn.feature_selection.SelectFwe : The same selection from rows.

    Examples
    --------
    >>> from sklearn_symfed import FederatedSelectFwe
    >>> X = [[1.0, 5.0], [1.1, 4.0], [3.0, 5.0], [3.1, 5.0]]
    >>> FederatedSelectFwe(alpha=0.01).fit(X, list("aabb")).get_support().tolist()
    [True, False]
    """

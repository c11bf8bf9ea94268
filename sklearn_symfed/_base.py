"""The fit that all estimators share: rows or a PSR come in, fitted attributes come out.

Every fit has the same five steps: constraints, ``validate_data``, PSR, solve, fitted attributes.  An estimator inherits
from one of the mixins here and from the scikit-learn class whose prediction it takes over, and writes the fourth step:
``_solve(psr)`` returns a dict of fitted attributes.  Private imports from scikit-learn live in this file only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_symfed._input import (
    READ_ROWS,
    as_list,
    checking_rows,
    column_names,
    established,
    feature_names,
    free_names,
    generated_names,
    named_table,
    own_names,
    warn_of_column,
    with_names,
)
from sklearn_symfed._steps import AffineStep
from sklearn_symfed.exceptions import DataError, DataTypeError, SchemaError
from sklearn_symfed.psr import PSR, encode_labels, normalised, plain_array, sorted_labels

__all__ = [
    "ClassTarget",
    "ClassifierFromStatistics",
    "FromStatistics",
    "Interval",
    "RealNotInt",
    "RegressorFromStatistics",
    "StrOptions",
    "TransformerFromStatistics",
    "UnsupervisedFromStatistics",
    "fit_context",
    "generated_names",
]

Array = np.ndarray[Any, Any]

fit_context = _fit_context(prefer_skip_nested_validation=True)
"""Decorates what fits: checks the parameters first, as scikit-learn's estimators do."""


class FromStatistics(AffineStep):
    """Mixin: `fit`, `partial_fit` and `forget` from rows or a PSR, each one all or nothing.

    A subclass says what ``y`` means (`_columns_of`, `_target_of_rows`, `_target_of_prior`) and solves (`_solve`).

    Attributes
    ----------
    psr_ : PSR
        What the estimator was fitted from: the features in order, then the targets or the class column.
    """

    prior: PSR | None
    psr_: PSR
    _target: Any  # what y means as column names: a str, a list of str, or None

    _parameter_constraints: ClassVar[dict[str, Any]] = {"prior": [PSR, None]}
    _own_attributes: ClassVar[tuple[str, ...]] = ("psr_", "solver_", "condition_", "_target", "_beside")
    """Fitted attributes that scikit-learn's estimator has no use for."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take over constraints of scikit-learn's parameters that are offered here, and check rows before it does."""
        super().__init_subclass__(**kwargs)
        known: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            known.update(vars(base).get("_parameter_constraints", {}))
        cls._parameter_constraints = {name: known[name] for name in signature(cls).parameters if name in known}
        for name in READ_ROWS:
            if hasattr(cls, name):
                setattr(cls, name, checking_rows(getattr(cls, name)))

    @fit_context
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit from rows or from their statistics, forgetting any earlier fit.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,) or (n_samples, n_outputs); with a PSR: str or list of str
            The target; with a PSR the names of its target columns or of its class column.
        sample_weight : array-like of shape (n_samples,), default=None
            Integers repeat a row exactly; floats weigh it.  Not with a PSR, which holds its weights.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        DataError
            If the rows cannot be learned.
        SchemaError
            If columns do not fit together.
        """
        return self._update(X, y, sample_weight)

    @fit_context
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Add rows, or their statistics, to what was learned so far, and fit again.

        Parameters are those of `fit`.  The result is that of one `fit` on all rows, bit for bit.

        Returns
        -------
        self : object
            Fitted estimator.
        """
        return self._update(X, y, sample_weight, operator.add)

    @fit_context
    def forget(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Subtract rows, or their statistics, from what was learned, and fit again.

        Parameters are those of `fit`.  The result is that of a `fit` without these rows, bit for bit.

        Returns
        -------
        self : object
            Fitted estimator.

        Raises
        ------
        ForgetError
            If such rows cannot have been learned; the estimator stays as it was.
        """
        check_is_fitted(self)
        return self._update(X, y, sample_weight, operator.sub)

    def to_sklearn(self) -> Any:
        """Return a fitted scikit-learn estimator of the class that this one extends, with equal predictions.

        Returns
        -------
        estimator : object
            Shares the fitted attributes; knows nothing of PSRs.

        Raises
        ------
        DataTypeError
            If it extends none.
        """
        check_is_fitted(self)
        plain = _plain_class(type(self))
        if plain is None:
            raise DataTypeError(
                f"Got a {type(self).__name__}, but expected one that extends an estimator of scikit-learn."
            )
        params = {**self.get_params(deep=False), **self._plain_params()}  # type: ignore[attr-defined]
        estimator = plain()
        estimator.set_params(**{name: params[name] for name in estimator.get_params(deep=False) if name in params})
        own = {*self._own_attributes, *self.get_params(deep=False)}  # type: ignore[attr-defined]
        vars(estimator).update({name: value for name, value in vars(self).items() if name not in own})
        vars(estimator).update(self._plain_attributes())
        return estimator

    def _plain_attributes(self) -> dict[str, Any]:
        """Return fitted attributes of the scikit-learn class that mean something else here, or are not at hand."""
        return {}

    def _plain_params(self) -> dict[str, Any]:
        """Return parameters of the scikit-learn class that follow from those of this one."""
        return {}

    def _solve(self, psr: PSR) -> dict[str, Any]:
        """Return the fitted attributes, by name."""
        raise NotImplementedError

    def _features(self) -> list[str]:
        """Return the names of the features as columns of `psr_`."""
        targets = [self._target] if isinstance(self._target, str) else self._target or []
        return [name for name in self.psr_.names if name not in targets]

    # -- the five steps ----------------------------------------------------------------------------------------------

    def _update(self, X: Any, y: Any, weight: Any, combine: Callable[[PSR, PSR], PSR] | None = None) -> Self:
        with _all_or_nothing(self):
            if combine is None or not hasattr(self, "psr_"):
                _drop_fitted(self)
                learned = self._learn(X, y, weight)
                self.psr_ = (
                    learned if self.prior is None else self._combined(operator.add, learned, self._prior_for(learned))
                )
            else:
                self.psr_ = self._combined(combine, self.psr_, self._learn(X, y, weight))
            if self.psr_.n_rows == 0:
                raise DataError(
                    "Found array with 0 sample(s) while a minimum of 1 is required: no rows are left to fit."
                )
            vars(self).update(self._solve(self.psr_))
        return self

    def _learn(self, X: Any, y: Any, weight: Any) -> PSR:
        """Return the PSR of what was passed in, with features and targets only."""
        if isinstance(X, PSR):
            if weight is not None:
                raise SchemaError(
                    "Got sample_weight with a PSR, but expected none: a PSR holds the weights of its rows."
                )
            return self._learn_psr(X, y)
        if isinstance(X, BaseEstimator):
            raise DataTypeError(f"Got a {type(X).__name__}, but expected rows or a PSR: pass its psr_.")
        X = named_table(X)
        validate_data(self, X, reset=not hasattr(self, "psr_"), skip_check_array=True)
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        if not n_rows:
            raise DataError(
                "Found array with 0 sample(s) while a minimum of 1 is required: there are no rows to learn."
            )
        if not feature_names(X):
            raise DataError(f"Found array with 0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required.")
        learned = self._learn_rows(X, y, weight)
        if weight is not None and learned.n_rows == 0:
            raise DataError("Got sample_weight that is zero for all rows, but expected at least one positive weight.")
        return learned

    def _learn_psr(self, psr: PSR, y: Any) -> PSR:
        first = not hasattr(self, "psr_")
        if y is None and not first:
            y = self._target
        features, targets = self._columns_of(psr, y)
        if not features:
            raise SchemaError("Found array with 0 feature(s): no numeric column is left beside the target.")
        if first:
            self._target = targets
            self._name_features(features)
        elif as_list(targets) != as_list(self._target):
            raise SchemaError(
                f"Got target {targets!r}, but expected {self._target!r}, to which this estimator was fitted."
            )
        return self._chosen(psr, [*features, *as_list(targets)])

    def _chosen(self, psr: PSR, names: list[str]) -> PSR:
        """Return some columns of a PSR."""
        return psr.select(names)

    def _name_features(self, columns: list[str]) -> None:
        """Take over the names of features from those of the columns of a PSR."""
        self.n_features_in_ = len(columns)
        if columns != generated_names(len(columns)):
            self.feature_names_in_ = np.array(columns, dtype=object)

    def _combined(self, combine: Callable[[PSR, PSR], PSR], one: PSR, other: PSR) -> PSR:
        """Return the sum or difference of what was learned."""
        return combine(one, other)

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        raise NotImplementedError

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        """Return the features, and what `y` means: names of columns of `psr`."""
        raise NotImplementedError

    def _declared(self, names: list[str]) -> dict[str, Any]:
        """Return what rows are held to: what was declared of those that were learned before, or of the prior."""
        known, there = getattr(self, "psr_", self.prior), set(names)
        declared = {} if known is None else known.schema.select(n for n in known.names if n in there).declared
        return {**declared, "categories": ()}

    def _prior_for(self, learned: PSR) -> PSR:
        """Return the columns of `prior` that match what was learned."""
        assert self.prior is not None
        names, classes = self._names_of(learned), learned.schema.classes
        return self._chosen(self.prior, [*names, *([] if classes is None else [classes])])

    def _names_of(self, psr: PSR) -> Sequence[str]:
        """Return the columns that a fit knows: numeric ones, or those of rows."""
        return psr.names

    def _columns_to_score(self, psr: PSR, y: Any) -> PSR:
        """Return the columns of `psr_`, in its order, of another PSR."""
        check_is_fitted(self)
        targets = self._target if y is None else y
        if column_names(targets) != as_list(self._target):
            raise SchemaError(
                f"Got target {targets!r}, but expected {self._target!r}, to which this estimator was fitted."
            )
        return psr.select(self.psr_.names)

    def _require_target(self, y: Any) -> None:
        if y is None:
            raise SchemaError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None. "
                "With a PSR, y is the name of its target column."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.sparse = True
        tags.array_api_support = False
        return tags


class RegressorFromStatistics(FromStatistics):
    """Mixin: ``y`` is one or more numeric columns, and the score is R²."""

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        self._require_target(y)
        targets = normalised(y) if isinstance(y, str) else column_names(y)
        psr.schema.positions(as_list(targets))
        filled = [name for name in as_list(targets) if psr.schema.missing.get(name) == "indicator"]
        if filled:
            raise SchemaError(
                f"Got targets {filled} whose missing values are zeros, but expected values: learn them with "
                "missing={target: 'listwise'} or 'pairwise', which leaves these rows out."
            )
        return [name for name in psr.names if name not in as_list(targets)], targets

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        self._require_target(y)
        y = y if hasattr(y, "to_numpy") else plain_array(y, "y")
        if np.ndim(y) == 2 and not np.shape(y)[1]:
            raise DataError("Got rows whose y has 0 columns, but expected at least one target.")
        single = np.ndim(y) == 1
        own, fallback = own_names(y), ["y"] if single else generated_names(np.shape(y)[-1] if np.ndim(y) else 0, "y")
        own, fallback = own and free_names(own, feature_names(X)), free_names(fallback, feature_names(X))
        if hasattr(self, "psr_"):
            names = established(as_list(self._target), own, fallback)
        else:
            names = own or fallback
            if self.prior is not None:
                names = self._names_in_prior(self.prior, feature_names(X), own, names)
            self._target = names[0] if single else names
        declared = self._declared([*feature_names(X), *names])
        return PSR.from_rows(X, with_names(y, names), sample_weight=weight, **declared)

    def _names_in_prior(self, prior: PSR, features: list[str], own: list[str] | None, names: list[str]) -> list[str]:
        """Return what the targets of rows are called in the prior."""
        if own is not None and set(own) <= set(prior.names):
            return own
        others = [name for name in prior.names if name not in features]
        if len(names) == len(others) == 1:
            return others
        if set(names) <= set(prior.names):
            return names
        raise SchemaError(
            f"Got a target called {names} and a prior whose columns beside the features are {others}, but expected the "
            "name of y to be one of them: pass y as a Series or DataFrame with that name, or prior.select(...)."
        )


class ClassTarget(FromStatistics):
    """Mixin: ``y`` is the class column."""

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        self._require_target(y)
        name = psr.schema.classes
        if name is None:
            raise SchemaError(
                f"Got a PSR without class column, but expected {y!r}: declare it when learning (classes={y!r})."
            )
        if [name] != column_names(y):
            raise SchemaError(f"Got y={y!r}, but expected the class column {name!r} of the PSR.")
        return list(psr.names), name

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:
        self._require_target(y)
        warn_of_column(y)
        features = feature_names(X)
        own, fallback = free_names(own_names(y) or [], features) or None, free_names(["y"], features)
        if hasattr(self, "psr_"):
            self._target = established([self._target], own, fallback)[0]
        elif self.prior is None:
            self._target = (own or fallback)[0]
        elif self.prior.schema.classes is None:
            raise SchemaError(
                "Got a prior without class column, but expected the statistics of each class (classes=...)."
            )
        else:
            self._target = self.prior.schema.classes
        if self._target in features:
            raise SchemaError(f"Got a feature called {self._target!r}, but that is the class column: expected another.")
        return PSR.from_rows(X, y, classes=self._target, sample_weight=weight, **self._declared(features))


class ClassifierFromStatistics(ClassTarget):
    """Mixin: ``y`` is the class column, and the score is the accuracy."""

    classes_: Array

    @fit_context
    def partial_fit(  # type: ignore[override]
        self, X: Any, y: Any = None, classes: Any = None, sample_weight: Any = None
    ) -> Self:
        """Add rows, or their statistics, to what was learned so far, and fit again.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : array-like of shape (n_samples,); with a PSR: str
        classes : array-like of shape (n_classes,), default=None
            Labels that `y` may hold; others are refused.  Not needed, because classes may appear at any time: unlike
            in scikit-learn, a class that is declared here but has not occurred yet is none of the fitted classes.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self : object
            Fitted estimator.  ``classes_`` holds the labels that occurred so far, and only these.
        """
        if classes is not None and not isinstance(X, PSR):
            self._require_target(y)
            found, declared = encode_labels(y)[0], encode_labels(classes)[0]
            unknown = len(sorted_labels([*found, *declared])) - len(declared)
            if unknown:
                raise SchemaError(f"Got {unknown} labels in y that are not among the {len(declared)} given as classes.")
        return self._update(X, y, sample_weight, operator.add)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean accuracy on rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float

        Raises
        ------
        DataTypeError
            With a PSR: accuracy is not a function of the statistics.
        """
        if isinstance(X, PSR):
            raise DataTypeError(
                "Got a PSR, but expected rows: accuracy is not a function of the statistics, it needs each row's label."
            )
        check_is_fitted(self)
        labels, codes = encode_labels(y)
        sorted_labels([*labels, *self.classes_[:1].tolist()])  # refuses other kinds
        return float(super().score(X, np.array(labels)[codes], sample_weight))  # type: ignore[misc]


class UnsupervisedFromStatistics(FromStatistics):
    """Mixin: there is no target; with a PSR, ``y`` names columns that are no features."""

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        unwanted = [] if y is None else column_names(y)
        psr.schema.positions(name for name in unwanted if name != psr.schema.classes)
        return [name for name in psr.names if name not in unwanted], None

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:  # noqa: ARG002
        self._target = None
        return PSR.from_rows(X, sample_weight=weight, **self._declared(feature_names(X)))


class TransformerFromStatistics(UnsupervisedFromStatistics):
    """Mixin: rows are transformed; with a PSR, columns that ``y`` names stay as they are."""

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Fit to rows or their statistics, and transform them.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
        y : None; with a PSR: str or list of str, default=None
            Columns of a PSR that are no features, and stay as they are.
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        ndarray of shape (n_samples, n_components), or PSR
        """
        return self.fit(X, y, sample_weight).transform(X)  # type: ignore[attr-defined]

    def _learn_psr(self, psr: PSR, y: Any) -> PSR:
        learned = super()._learn_psr(psr, y)
        if y is not None:
            self._beside = [name for name in psr.names if name not in learned.names]
        return learned

    def _columns_of(self, psr: PSR, y: Any) -> tuple[list[str], Any]:
        unwanted = [] if y is None else column_names(y)
        psr.schema.positions(name for name in unwanted if name != psr.schema.classes)
        return [name for name in psr.names if name not in unwanted], None

    def _learn_rows(self, X: Any, y: Any, weight: Any) -> PSR:  # noqa: ARG002
        self._target = None
        return PSR.from_rows(X, sample_weight=weight, **self._declared(feature_names(X)))


def _plain_class(cls: type) -> type | None:
    """Return the estimator of scikit-learn that a class extends."""
    plain = (each for each in cls.__mro__ if each.__module__.startswith("sklearn.") and issubclass(each, BaseEstimator))
    return next((each for each in plain if each is not BaseEstimator), None)


# -- state -----------------------------------------------------------------------------------------------------------


@contextmanager
def _all_or_nothing(estimator: Any) -> Iterator[None]:
    """Put every attribute back if the body fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def _drop_fitted(estimator: BaseEstimator) -> None:
    for name in [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]:
        delattr(estimator, name)
    for name in ("_target", "_beside"):
        vars(estimator).pop(name, None)

"""FederatedPSR: learns rows, standardises them, and shares what it learned with a federation.

The one file that joins both halves: statistics as values, and a federation that carries them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import FLOAT_DTYPES, check_array, check_is_fitted, validate_data

from sklearn_symfed._base import fit_context
from sklearn_symfed._input import column_names, generated_names, require_rows
from sklearn_symfed._member import FederationMember
from sklearn_symfed._steps import AffineStep, centred
from sklearn_symfed.exceptions import (
    ClosedError,
    DataError,
    DataTypeError,
    FederationError,
    NothingLearnedError,
    SchemaError,
)
from sklearn_symfed.federation import Federation, Guard, Preview, Store, held_back_by
from sklearn_symfed.psr import (
    PSR,
    RowBuffer,
    Schema,
    as_table,
    batches,
    encoded_table,
    frame_names,
    is_stream,
    learn_rows,
    without_column,
    without_rows,
)

__all__ = ["FederatedPSR"]

Array = np.ndarray[Any, Any]

_opening = threading.RLock()
"""Two threads that touch a node for the first time open its home once."""

_OF_MERGED_ROWS = ("mean_", "var_", "scale_", "n_samples_seen_")
_SAID_OF_COLUMNS = ("decimals", "ranges", "outside", "categories", "missing", "units")


class FederatedPSR(FederationMember, AffineStep, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn rows into exact statistics, alone or as a node of a federation, and standardise rows by them.

    Without a federation this is a scikit-learn transformer: `transform` subtracts the mean and divides by the standard
    deviation of all rows that were learned, as ``StandardScaler`` does.  As a member of a federation it publishes what
    it learned, and takes in what the others have learned, by `pulse`; its statistics are then those of all members.

    Parameters
    ----------
    classes : str, bool or None, default=None
        The column that holds class labels: a column of `X`, or `y` where `X` has none of that name.  True: `y` holds
        labels.  Labels are declared, never guessed.
    decimals : mapping of str to int, default=None
        Columns that hold decimals, and their digits after the point: ``{"fare_amount": 2}``.  The decimals are
        learned, not the floats nearest to them.
    ranges : mapping of str to (low, high), default=None
        Columns whose numbers lie between two bounds, both included: ``{"fare_amount": (0, 500)}``.  None is no bound.
    outside : {"error", "drop"}, default="error"
        Whether rows outside of a range are refused, or left out and counted: `n_rows_dropped_`.
    categories : iterable of str, or mapping of str to levels or None, default=None
        Columns that hold categories, and their levels where these are declared, as in `Schema`.  None: columns of a
        DataFrame that hold strings or are categorical.
    missing : {"error", "listwise", "pairwise", "indicator"}, or mapping of str to these, default="error"
        What becomes of missing values, as in `Schema`.
    units : mapping of str to str, default=None
        Columns of dates or durations, and what they are counted in, as in `Schema`.
    with_mean : bool, default=True
        Subtract the mean.
    with_std : bool, default=True
        Divide by the standard deviation.  A column that is constant is divided by 1.
    n_jobs : int, default=None
        Threads that learn, as in joblib.  Does not change a bit.
    home : path-like, default=None
        A folder in which this node keeps what it learned and its membership, so that it survives being killed.  None
        keeps them in memory.
    guard : Guard, default=None
        As a member: what its statistics must be like before they leave this node, at least as strict as what its
        federation asks of all; by default that.  Read when the home is opened, or a federation founded or joined.

    Attributes
    ----------
    psr_ : PSR
        Merged: what this node learned and what its peers had published at the last pulse.
    local_psr_ : PSR
        What this node learned.
    peers_psr_ : PSR
        The sum over the other members' newest.
    peers_ : list of str
        The other members.
    members_ : list of Member
        All members, this node included: role, fingerprint, rows, version, digest, age.
    contract_ : list of str
        The rules that hold for what each member publishes.
    flagged_ : list of str
        Members that may break them: their statistics count, with a note.
    fingerprint_ : str
        Of this node's keys: what the admin should see of it.
    releases_ : list of Release
        What this node has published so far: when, how many rows, which digest, what had changed.
    refusals_ : list of tuple (float, str or None, str)
        The newest messages that were refused: when, in seconds since 1970, the sender if known, and why.
    n_rows_dropped_ : int
        Rows of what this node learned that were left out, as they were outside of a range; repetitions by integer
        weights count.  No other member sees it.
    batches_ : dict of str to str
        The batches that were learned under a `batch_id` and not forgotten, and the digest of each.
    converged_ : bool
        Whether all members are known to hold the same.
    mean_, var_, scale_ : ndarray of shape (n_features_in_,) or None
        Of the merged rows, divisor ``n``; set by `fit`, `partial_fit`, `forget` and `pulse`, never by the background.
    n_samples_seen_ : int
        Merged rows.
    n_features_in_ : int
    feature_names_in_ : ndarray of str of shape (n_features_in_,)
        Where the columns have names.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : The same transform, fitted from the rows of one place.

    Notes
    -----
    Messages between members are encrypted and signed; a carrier sees who writes to whom, when and how much.  Members
    see one another's statistics, never rows, and those of very few rows wait until there are more: see `Guard`.

    Membership is state of the node, not a parameter: a clone is a fresh local estimator; pickling a member raises.

    Examples
    --------
    >>> from sklearn_symfed import FederatedPSR
    >>> node = FederatedPSR().partial_fit([[1.0, 10.0], [3.0, 30.0]])
    >>> node.transform([[2.0, 30.0]]).tolist()
    [[0.0, 1.0]]
    >>> node.forget([[3.0, 30.0]]).psr_.n_rows
    1
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "classes": [str, "boolean", None],
        "decimals": [Mapping, None],
        "ranges": [Mapping, None],
        "outside": [str],
        "categories": [list, tuple, set, Mapping, None],
        "missing": [str, Mapping],
        "units": [Mapping, None],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
        "n_jobs": [int, None],
        "home": [str, os.PathLike, None],
        "guard": [Guard, str, None],
    }

    _store: Store
    _membership: Federation | None
    _encoded: Schema  # of the features, when the fitted attributes were set
    _buffer: RowBuffer | None = None  # rows of a node without home or federation that wait to be learned
    _outdated = False  # whether the fitted attributes do not know of rows that wait, or waited

    def __init__(
        self,
        *,
        classes: str | bool | None = None,
        decimals: Mapping[str, int] | None = None,
        ranges: Mapping[str, tuple[float | None, float | None]] | None = None,
        outside: str = "error",
        categories: Iterable[str] | Mapping[str, Iterable[Any] | None] | None = None,
        missing: str | Mapping[str, str] = "error",
        units: Mapping[str, str] | None = None,
        with_mean: bool = True,
        with_std: bool = True,
        n_jobs: int | None = None,
        home: str | os.PathLike[str] | None = None,
        guard: Guard | str | None = None,
    ) -> None:
        self.classes = classes
        self.decimals = decimals
        self.ranges = ranges
        self.outside = outside
        self.categories = categories
        self.missing = missing
        self.units = units
        self.with_mean = with_mean
        self.with_std = with_std
        self.n_jobs = n_jobs
        self.home = home
        self.guard = guard

    @classmethod
    def open(cls, home: str | os.PathLike[str], **params: Any) -> Self:
        """Take up a node where an earlier process left it, be it stopped or killed.

        Parameters
        ----------
        home : path-like
            The node's folder; it must exist.
        **params
            Parameters of the estimator.  The class column is remembered.

        Raises
        ------
        StoreError
            If there is no home, or another process uses it.
        """
        node = cls(home=home, **params)
        node._node(must_exist=True)
        return node

    # -- learning ----------------------------------------------------------------------------------------------------

    @fit_context
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Forget everything and learn rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), PSR, or iterator
            An iterator yields batches, single rows, or pairs ``(X, y)`` or triples ``(X, y, sample_weight)`` of either;
            one batch at a time is held in memory, and all of them are learned, or none.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Class labels where `classes` says so, else more columns to learn: a target, say.  They are not transformed.
            With a PSR: str or list of str, its columns that are no features.
        sample_weight : array-like of shape (n_samples,), default=None
            Integers repeat a row exactly; floats weigh it.

        Returns
        -------
        self : object

        Raises
        ------
        FederationError
            On a member, where it would wipe what its peers rely on: use `partial_fit`.
        DataError, SchemaError
            If the rows cannot be learned; nothing was changed.
        """
        if self._takes_part():
            raise FederationError(
                "This node is a member of a federation, and fit would wipe what it learned: use partial_fit."
            )
        psr, n_dropped, features = self._read(X, y, sample_weight, first=True, anew=True)
        self._store.reset(psr, n_dropped)
        self._adopt(features)
        return self._refresh()

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, batch_id: str | None = None) -> Self:
        """Learn more rows.

        Without home and federation, single rows and small batches are checked at once and learned together, when there
        are many or anything is asked of the node.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        batch_id : str, default=None
            Name of this batch.  A batch that was learned under its name is not learned again, whatever crashed
            in between.

        Returns
        -------
        self : object

        Raises
        ------
        DataError, SchemaError
            If the rows cannot be learned, or do not fit what was learned before; nothing was changed.
        FederationError
            If other rows were learned under this `batch_id`.
        """
        if sample_weight is None and batch_id is None and self._buffer is not None and self._wait(self._buffer, X, y):
            return self
        self._learn_at_once(X, y, sample_weight, batch_id)
        return self

    @fit_context
    def _learn_at_once(self, X: Any, y: Any, sample_weight: Any, batch_id: str | None) -> None:
        node = self._node()
        first = node.local is None or not hasattr(self, "n_features_in_")  # peers' order binds nobody
        psr, n_dropped, features = self._read(X, y, sample_weight, first=first)
        node.learn(psr, batch_id, n_dropped)
        self._adopt(features)
        self._refresh()
        if self.home is None and not isinstance(node, Federation):
            known = self.local_psr_
            with _opening:
                if self._buffer is None:
                    self._buffer = RowBuffer(known, getattr(X, "dtype", None))

    @fit_context
    def forget(self, X: Any, y: Any = None, sample_weight: Any = None, *, batch_id: str | None = None) -> Self:
        """Forget rows that this node has learned: the state is then as if it had never seen them, bit for bit.

        Parameters
        ----------
        X, y, sample_weight, batch_id
            As in `partial_fit`.  With `batch_id` the name may be learned again afterwards; forgetting it twice does
            no more than once.  Rows that were learned under a name are to be forgotten under it.

        Returns
        -------
        self : object

        Raises
        ------
        ForgetError
            If such rows cannot have been learned here; nothing was changed.
        FederationError
            If no batch of this name was ever learned, or other rows were.
        """
        if self._exists():
            self._node()  # takes up a home, so that whoever was killed can repeat this call first
        if not hasattr(self, "n_features_in_"):
            check_is_fitted(self)
        psr, n_dropped, _ = self._read(X, y, sample_weight, first=False)
        self._node().forget(psr, batch_id, n_dropped)
        return self._refresh()

    @fit_context
    def preview(self, X: Any, y: Any = None, sample_weight: Any = None) -> Preview:
        """Look at what `partial_fit` would learn, and what would keep it from being published; nothing is changed.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        preview : Preview
            True if contract and guard, or on a node that is no member its guard alone, would let it out.

        Raises
        ------
        DataError, SchemaError
            If the rows cannot be learned; ``psr_.schema.validate(X)`` lists all that does not fit.

        Examples
        --------
        >>> from sklearn_symfed import FederatedPSR
        >>> FederatedPSR().preview([[1.0], [2.0]])
        would be learned: 2 rows
        columns: x0
        would wait: 2 of 10 rows (wait for more rows)
        would wait: 2 of 5 rows (5 for each of 1 columns: wait for more rows, or drop columns)
        """
        node = self._node() if self._exists() else None
        local = None if node is None else node.local
        known = self._merged()
        first = local is None or not hasattr(self, "n_features_in_")
        psr, n_dropped, _ = self._read(X, y, sample_weight, first=first)
        if isinstance(node, Federation):
            reasons = node.foresee(psr)
        else:
            guard = Guard.read(self.guard, Guard())
            reasons = held_back_by(guard, None if node is None else node.ledger, local, psr)
        before = {} if known is None else known.schema.categories
        found = {
            name: tuple(level for level in levels if level not in before.get(name, ()))
            for name, levels in psr.schema.categories.items()
        }
        new = {name: levels for name, levels in found.items() if levels}
        incomplete = psr.n_incomplete
        return Preview(psr.n_rows, n_dropped - incomplete, incomplete, psr.names, psr.labels, new, reasons)

    def reset(self) -> Self:
        """Forget all rows that this node has learned; a member publishes that with its next pulse.

        Returns
        -------
        self : object
        """
        self._node().reset()
        for name in ("n_features_in_", "feature_names_in_", *_OF_MERGED_ROWS):
            self.__dict__.pop(name, None)
        self._outdated = False
        return self

    # -- transforming ------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> Any:
        """Standardise rows by the mean and the standard deviation of the merged rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features), or PSR
            The class column, if there, is left out of rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32 for float32 rows, else float64.  Rounded as floats are; a PSR of these is exact for *them*.
        PSR
            Of the standardised rows, not rounded, if a PSR was given; columns that are no features stay as they are.
        """
        check_is_fitted(self)
        X = self._features_of(as_table(X))
        if self._encoded.encodings:
            validate_data(self, X, reset=False, skip_check_array=True)
            X = encoded_table(X, self._encoded)
        else:
            require_rows(X, "transform")
            self._require_no_mean(X)
            X = validate_data(self, X, reset=False, dtype=FLOAT_DTYPES, copy=True, accept_sparse="csr")
        if self.with_mean:
            X -= self.mean_
        if self.with_std:
            _scale(X, np.divide, self.scale_)
        return X

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        require_rows(X, "inverse_transform")
        self._require_no_mean(X)
        X = check_array(X, dtype=FLOAT_DTYPES, copy=True, accept_sparse="csr")
        n_features = len(self._features())
        if X.shape[1] != n_features:
            raise DataError(f"Got {X.shape[1]} columns, but expected {n_features}.")
        if self.with_std:
            _scale(X, np.multiply, self.scale_)
        if self.with_mean:
            X += self.mean_
        return X

    def _require_no_mean(self, X: Any) -> None:
        if issparse(X) and self.with_mean:
            raise DataTypeError(
                "Got sparse rows, which a mean that is subtracted would fill, but expected with_mean=False, or dense "
                "rows: use .toarray(), on some at a time."
            )

    # -- federation --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop pulsing and let go of home and carrier; `FederatedPSR.open` takes a home up again.

        Doing so twice does nothing.
        """
        hasattr(self, "mean_")  # whatever waited is learned
        for part in (getattr(self, "_membership", None), getattr(self, "_store", None)):
            if part is not None:
                part.close()
        self._closed, self._buffer = True, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def psr_(self) -> PSR:
        return self._known(self._merged())

    @property
    def local_psr_(self) -> PSR:
        return self._known(self._node().local if self._exists() else None)

    @property
    def n_rows_dropped_(self) -> int:
        if not self._exists():
            return 0
        self._node()
        return self._store.n_dropped

    # -- inside ------------------------------------------------------------------------------------------------------

    def _node(self, *, must_exist: bool = False) -> Federation | Store:
        """Return what holds this node's state: its store, or its membership on top of it; open them if need be."""
        if getattr(self, "_closed", False):
            raise ClosedError("This node was closed; FederatedPSR.open(home) takes its home up again.")
        self._learn_what_waits(close=True)  # what follows may change what rows must fit
        with _opening:
            if not hasattr(self, "_store"):
                store = Store.open(self.home, must_exist=must_exist)
                try:
                    self._membership = Federation.reopen(store, own_guard=self._own_guard())
                except BaseException:
                    store.close()
                    raise
                self._store = store
                if store.local is not None and not hasattr(self, "n_features_in_"):
                    self._adopt(list(store.local.schema.columns))
                self._refresh()
        return self._membership or self._store

    def _takes_part(self) -> bool:
        """Tell whether there is a federation that this node is, was or is about to be in."""
        return self._exists() and isinstance(self._node(), Federation)

    def _exists(self) -> bool:
        """Tell whether there is anything to open: looking at a node must not create its home."""
        return self.home is None or hasattr(self, "_store") or os.path.isdir(self.home)  # noqa: PTH112

    def _merged(self) -> PSR | None:
        if not self._exists():
            return None
        node = self._node()
        return node.merged if isinstance(node, Federation) else node.local

    def _known(self, psr: PSR | None) -> PSR:
        if psr is None:
            raise NothingLearnedError("No columns are known yet: learn rows, or pulse until a peer's are here.")
        return psr

    def _class_column(self) -> str | bool | None:
        """Return the declared class column, or the one that the node's schema already has."""
        if self.classes is not None:
            return self.classes
        buffer = self._buffer
        if buffer is not None:  # only without federation do rows wait
            return buffer.schema.classes
        schema = self._federation().schema if self._takes_part() else None
        return getattr(self, "_known_classes", None) if schema is None else schema.classes

    def _features_of(self, X: Any) -> Any:
        """Return the columns of a DataFrame without the class column."""
        names, classes = frame_names(X), self._class_column()
        return without_column(X, classes) if names is not None and classes in names else X

    def _known_schema(self) -> Schema | None:
        """Return the columns that the node knows."""
        schema = self._federation().schema if self._takes_part() else None
        known = self._merged()
        return schema if schema is not None or known is None else known.schema

    def _declared(self, *, anew: bool) -> dict[str, Any]:
        """Return what may be in the columns: as declared, else as known, and a contradiction for others to refuse."""
        known = None if anew else self._known_schema()
        declared = {name: getattr(self, name) for name in _SAID_OF_COLUMNS}
        if known is None:
            return declared
        said = known.declared
        unsaid = [name for name, value in declared.items() if value is None or value == "error"]
        return {**declared, **{name: said[name] for name in unsaid if name != "outside" or self.ranges is None}}

    def _read(
        self, X: Any, y: Any, sample_weight: Any, *, first: bool, anew: bool = False
    ) -> tuple[PSR, int, list[str] | None]:
        """Return the statistics of what was passed in, how many rows were dropped, and features that are to be adopted.

        What was known before plays no part where a node learns `anew`.
        """
        if isinstance(X, PSR):
            if sample_weight is not None:
                raise DataError("Got sample_weight with a PSR, but expected none: a PSR holds the weights of its rows.")
            beside = [] if y is None else column_names(y)
            X.select(beside)
            return X, 0, [name for name in X.schema.columns if name not in beside] if first else None
        X = as_table(X)
        features: list[str] = []
        psr, n_dropped = learn_rows(
            self._stream(X, features, first=first) if is_stream(X) else X,
            y,
            sample_weight,
            self.n_jobs,
            classes=self._class_column(),
            **self._declared(anew=anew),
        )
        if psr.n_rows == n_dropped == 0:
            why = "" if sample_weight is None else " sample_weight is zero for all rows."
            raise DataError(f"Found array with 0 sample(s) while a minimum of 1 is required.{why}")
        if not is_stream(X):
            features = self._named_features(X, first=first)
        return psr, n_dropped, features

    def _stream(self, stream: Iterator[Any], features: list[str], *, first: bool) -> Iterator[Any]:
        """Check the columns of each batch; the first one says what the features are."""
        for X, y, weight in batches(stream):
            names = self._named_features(X, first=first)
            features.extend(names if not features else ())
            yield X, y, weight
            del X, y, weight  # before the next is asked for

    def _named_features(self, X: Any, *, first: bool) -> list[str]:
        """Return the features of rows, which must be those of the node unless they are its first."""
        features, names = self._features_of(X), frame_names(X)
        if not first:
            if names is None and hasattr(self, "feature_names_in_"):
                raise SchemaError(
                    "Got rows without column names, but expected a DataFrame with columns "
                    f"{self.feature_names_in_.tolist()}."
                )
            checked = features if names is None else without_rows(features)
            validate_data(self, checked, reset=False, skip_check_array=True)
        own = frame_names(features)
        shape = () if own else features.shape if hasattr(features, "shape") else np.asarray(features).shape
        return own or generated_names(shape[1])

    # -- rows that wait ----------------------------------------------------------------------------------------------

    def _wait(self, buffer: RowBuffer, X: Any, y: Any) -> bool:
        """Keep a few rows, checked, to be learned together with more; False if they are to be learned at once."""
        undeclared = all(getattr(self, name) in (None, "error") for name in ("classes", *_SAID_OF_COLUMNS))
        if y is None and undeclared and buffer.take(X):
            pass
        elif isinstance(X, PSR) or is_stream(X) or not 0 < _length(X) <= buffer.few or not self._declares(buffer):
            return False
        else:
            rows = buffer.read(as_table(X), y, self._class_column())
            self._named_features(as_table(X), first=False)
            if not buffer.add(rows):
                return False
        if not self._outdated:
            self._outdated = True
            for name in _OF_MERGED_ROWS:
                self.__dict__.pop(name, None)
        if len(buffer) >= buffer.most:
            self._learn_what_waits()
        return True

    def _declares(self, buffer: RowBuffer) -> bool:
        """Tell whether the parameters still say what the rows that wait were read by."""
        known = buffer.schema
        ranges = [(None, "error"), (None, known.outside), (known.ranges, known.outside)]
        return (
            all(getattr(self, name) in (None, "error") for name in ("categories", "missing", "units"))
            and self.decimals in (None, known.decimals)
            and (self.ranges, self.outside) in ranges
            and self.classes in (None, True, known.classes)
        )

    def _learn_what_waits(self, *, close: bool = False) -> None:
        buffer = self._buffer
        if buffer is None:
            return
        buffer.hand_over((self._membership or self._store).learn, self.n_jobs, close=close)
        if close:
            with _opening:
                self._buffer = None if self._buffer is buffer else self._buffer

    def __getattr__(self, name: str) -> Any:
        """Set the fitted attributes that rows which waited have outdated."""
        if name in _OF_MERGED_ROWS and self.__dict__.get("_outdated"):
            self._node()
            self._refresh()
        return super().__getattribute__(name)  # raises what a property raised, too

    def _adopt(self, features: list[str] | None) -> None:
        """Take these columns as the features, in this order."""
        if features is not None:
            self.n_features_in_ = len(features)
            self.__dict__.pop("feature_names_in_", None)
            if features != generated_names(len(features)):
                self.feature_names_in_ = np.array(features, dtype=object)

    def _refresh(self) -> Self:
        """Set the fitted attributes from the merged rows."""
        self._outdated = False
        psr = self._merged()
        if psr is None:
            return self
        self._known_classes = psr.schema.classes
        if not hasattr(self, "n_features_in_"):
            self._adopt(list(psr.schema.columns))
        if psr.n_rows == 0:
            for name in _OF_MERGED_ROWS:
                self.__dict__.pop(name, None)
            return self
        self._encoded = psr.schema.of_columns(self._columns())
        moments = psr.moments().select(self._features())
        scale = moments.standard_deviation()
        self.n_samples_seen_ = psr.n_rows
        self.mean_ = moments.mean if self.with_mean or self.with_std else None
        self.var_ = moments.variance() if self.with_std else None
        self.scale_ = np.where(scale == 0, 1.0, scale) if self.with_std else None
        return self

    def _columns(self) -> list[str]:
        """Return the columns of rows that are features."""
        return list(getattr(self, "feature_names_in_", generated_names(self.n_features_in_)))

    def _features(self) -> list[str]:
        """Return the numeric columns that features have become."""
        return list(self._encoded.names)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns of transformed rows.

        Parameters
        ----------
        input_features : array-like of str, default=None
            The names of the features, to be checked.

        Returns
        -------
        ndarray of str of shape (n_features_out,)
            Those of the features; a column of categories becomes an indicator of each level, ``column=level``.
        """
        names = super().get_feature_names_out(input_features)
        return np.array(self._features(), dtype=object) if self._encoded.encodings else names

    def _passing(self) -> Sequence[str]:
        return self.psr_.drop(self._columns()).names

    def _affine(self) -> tuple[Array, Sequence[Any]]:
        ones = np.ones(len(self._features()))
        scale, mean = self.scale_ if self.with_std else None, self.mean_ if self.with_mean else None
        return centred(np.diag(ones if scale is None else ones / scale), 0 * ones if mean is None else mean)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "mean_")

    def __sklearn_clone__(self) -> Self:
        params = {name: value for name, value in self.get_params(deep=False).items() if name != "home"}
        return type(self)(**params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        if self.home is not None or self._takes_part():
            raise FederationError(
                "A node with a home or a membership cannot be pickled or copied: pickle its psr_, or use clone()."
            )
        hasattr(self, "mean_")  # whatever waited is learned
        state = {**super().__getstate__()}
        state.pop("_membership", None)
        state.pop("_buffer", None)
        store = state.pop("_store", None)
        return {**state, "_local": None if store is None else (store.local, store.n_dropped)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        local = state.pop("_local", None)
        super().__setstate__(state)
        if local is not None:
            self._store, self._membership = Store.open(None), None
            self._store.reset(*local)


def _length(X: Any) -> int:
    return X.shape[0] if issparse(X) else len(X) if hasattr(X, "__len__") else 0  # type: ignore[no-any-return]


def _scale(X: Any, by: np.ufunc, scale: Any) -> None:
    """Multiply or divide columns in place."""
    if issparse(X):
        by(X.data, scale[X.indices], out=X.data, casting="same_kind")
    else:
        by(X, scale, out=X, casting="same_kind")

"""From statistics to models and predictions: describe, fit, predict.

Models are files of skops, read with an explicit list of what may be in them: reading one never runs its author's code.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import typer
from rich import box
from rich.table import Table
from rich.text import Text
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    Lars,
    Lasso,
    LassoLars,
    LinearRegression,
    OrthogonalMatchingPursuit,
    Ridge,
)
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import NearestCentroid

from sklearn_symfed import (
    PSR,
    FederatedBayesianRidge,
    FederatedBernoulliNB,
    FederatedComplementNB,
    FederatedElasticNet,
    FederatedGaussianNB,
    FederatedLars,
    FederatedLasso,
    FederatedLassoLars,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedMultinomialNB,
    FederatedNearestCentroid,
    FederatedOrthogonalMatchingPursuit,
    FederatedPCA,
    FederatedQuadraticDiscriminantAnalysis,
    FederatedRidge,
    Schema,
)
from sklearn_symfed.cli._declared import facts_of
from sklearn_symfed.cli._features import Features
from sklearn_symfed.cli._files import RowFile
from sklearn_symfed.cli._session import AsJson, Home, answer, opened, pairs, say, split
from sklearn_symfed.cli._tables import show
from sklearn_symfed.exceptions import DataError, SchemaError, SettingError, SymfedError

__all__ = ["describe", "fit", "load_model", "predict"]

_MODELS: dict[str, Any] = {
    "ridge": FederatedRidge,
    "linear": FederatedLinearRegression,
    "lasso": FederatedLasso,
    "elastic-net": FederatedElasticNet,
    "lars": FederatedLars,
    "lasso-lars": FederatedLassoLars,
    "matching-pursuit": FederatedOrthogonalMatchingPursuit,
    "bayesian-ridge": FederatedBayesianRidge,
    "lda": FederatedLinearDiscriminantAnalysis,
    "qda": FederatedQuadraticDiscriminantAnalysis,
    "nearest-centroid": FederatedNearestCentroid,
    "naive-bayes": FederatedGaussianNB,
    "multinomial-nb": FederatedMultinomialNB,
    "complement-nb": FederatedComplementNB,
    "bernoulli-nb": FederatedBernoulliNB,
    "pca": FederatedPCA,
}
_TRUSTED = (
    *(Ridge, LinearRegression, Lasso, ElasticNet, Lars, LassoLars, OrthogonalMatchingPursuit, BayesianRidge),
    *(LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis, NearestCentroid),
    *(GaussianNB, MultinomialNB, ComplementNB, BernoulliNB),
    PCA,
)
"""What a model file may hold besides arrays and plain values."""


class Model(StrEnum):
    """What can be fitted."""

    ridge = "ridge"
    linear = "linear"
    lasso = "lasso"
    elastic_net = "elastic-net"
    lars = "lars"
    lasso_lars = "lasso-lars"
    matching_pursuit = "matching-pursuit"
    bayesian_ridge = "bayesian-ridge"
    lda = "lda"
    qda = "qda"
    nearest_centroid = "nearest-centroid"
    naive_bayes = "naive-bayes"
    multinomial_nb = "multinomial-nb"
    complement_nb = "complement-nb"
    bernoulli_nb = "bernoulli-nb"
    pca = "pca"


_CLASSIFIERS = {
    *(Model.lda, Model.qda, Model.nearest_centroid),
    *(Model.naive_bayes, Model.multinomial_nb, Model.complement_nb, Model.bernoulli_nb),
}
_REGRESSORS = set(Model) - _CLASSIFIERS - {Model.pca}

Members = Annotated[str | None, typer.Option(help="Only what these members have learned: a,b.")]


def describe(home: Home, of: Members = None, as_json: AsJson = False) -> None:
    """Describe what was learned: rows, each column's mean and standard deviation, rows of each class.

    Example: symfed describe --home north
    """
    with opened(home) as node:
        psr = node.psr_ if of is None else node.psr_of(split(of) or [])
    moments = psr.moments()
    deviation = moments.standard_deviation()
    decimals, ranges = psr.schema.decimals, psr.schema.ranges
    columns = [
        {
            "name": name,
            "mean": _finite(mean),
            "std": _finite(std),
            "decimals": decimals.get(name),
            "range": [_finite(bound) for bound in ranges[name]] if name in ranges else None,
        }
        for name, mean, std in zip(moments.names, moments.mean, deviation, strict=True)
    ]
    classes = {str(label): part.n_rows for label, part in psr.by_class().items()} if psr.schema.classes else {}
    document = {
        "rows": psr.n_rows,
        "digest": psr.digest,
        "columns": columns,
        "class_column": psr.schema.classes,
        "classes": classes,
        "incomplete": psr.n_incomplete,
        **facts_of(psr.schema),
    }

    def table() -> None:
        found = Table(title=Text(f"{psr.n_rows:,} rows"), title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("column", "mean", "std"):
            found.add_column(name, justify="left" if name == "column" else "right")
        for each in columns:
            found.add_row(*(Text(str(each[key])) for key in ("name", "mean", "std")))
        show(found)
        for label, rows in classes.items():
            typer.echo(f"{psr.schema.classes} = {label}: {rows:,} rows")
        if psr.n_incomplete:
            typer.echo(f"left out as incomplete: {psr.n_incomplete:,} rows")
        for what in ("missing", "units"):
            for name, said in document[what].items():
                typer.echo(f"{what} of {name}: {said}")

    answer(document, table, as_json=as_json)


def fit(
    model: Annotated[Model, typer.Argument(help="Which model.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where to save it, for skops and `symfed predict`.")],
    home: Home,
    target: Annotated[
        str | None, typer.Option(help="What to predict; for a classifier the class column, and by default.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="The features, a,b,c; by default all other columns.")] = None,
    of: Members = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="alpha=0.5, say. May be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a model from the statistics, without rows, and save it as a plain scikit-learn estimator.

    Example: symfed fit ridge --target arr_delay --set alpha=0.5 --out model.skops --home north
    """
    from skops import io

    with opened(home) as node:
        psr = node.psr_ if of is None else node.psr_of(split(of) or [])
    psr, goal = _chosen(psr, model, target, split(columns))
    estimator = _fitted(_estimator(model, settings), psr, goal)
    with _placed(out) as temporary:
        io.dump(estimator.to_sklearn(), temporary)
    score = float(estimator.score(psr, goal)) if model in _REGRESSORS else None
    features = [str(name) for name in estimator.feature_names_in_]
    document = {
        "model": type(estimator.to_sklearn()).__name__,
        "out": str(out),
        "rows": psr.n_rows,
        "digest": psr.digest,
        "target": goal,
        "features": features,
        "r2": None if score is None else _finite(score),
    }
    text = f"{document['model']} of {psr.n_rows:,} rows and {len(features)} features, saved as {out}"
    answer(document, text + (f"; R² {score:.4f}" if score is not None else ""), as_json=as_json)


def predict(
    model: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file of `symfed fit`.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV or Parquet.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Where to write predictions: .csv or .parquet.")],
) -> None:
    """Predict for each row of a file, in its order; a PCA gives its components.

    Example: symfed predict model.skops april.csv --out delays.csv
    """
    estimator = load_model(model)
    names = [str(name) for name in estimator.feature_names_in_]
    del estimator.feature_names_in_  # columns are read by these names; the arrays made of them have none
    writer, rows, source = None, 0, RowFile(file)
    features = Features(names, source.names)
    with _placed(out) as temporary:
        try:
            for batch in source.batches(features.columns, None, kinds=features.kinds):
                found = _predictions(estimator, features.of(batch.rows))
                writer = writer or _writer(temporary, out.suffix, found.schema)
                writer.write_table(found)
                rows += len(found)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{file}: got no rows, but expected some to predict for.")
    say(f"{rows:,} predictions in {out}.")


def load_model(path: Path) -> Any:
    """Return the model of a file that skops wrote, if it holds a model that `symfed fit` makes, and nothing else.

    Raises
    ------
    SettingError
        If it is something else.
    """
    from skops import io

    trusted = [f"{kind.__module__}.{kind.__name__}" for kind in _TRUSTED]
    try:
        model = io.load(path, trusted=trusted)
    except Exception as error:
        raise SettingError(
            f"{path}: cannot be read ({type(error).__name__}), but expected a model that `symfed fit` wrote."
        ) from None
    if type(model) not in _TRUSTED:
        expected = ", ".join(kind.__name__ for kind in _TRUSTED)
        raise SettingError(f"{path}: got a {type(model).__name__}, but expected one of {expected}.")
    return model


# -- inside ----------------------------------------------------------------------------------------------------------


def _estimator(model: Model, settings: list[str] | None) -> Any:
    estimator = _MODELS[model.value]()
    known = estimator.get_params()
    for name, value in pairs(settings, "NAME=VALUE, as alpha=0.5").items():
        if name not in known or name == "prior":
            expected = sorted(known.keys() - {"prior"})
            raise typer.BadParameter(f"Got {name!r}, but expected one of {expected}.", param_hint="--set")
        estimator.set_params(**{name: _value(value)})
    return estimator


def _value(text: str) -> Any:
    """Return what a setting says: a number, true, false, none, or else text."""
    words = {"true": True, "false": False, "none": None}
    try:
        return words[text.lower()] if text.lower() in words else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _fitted(estimator: Any, psr: PSR, goal: str | None) -> Any:
    """Fit, and let a setting that the estimator does not take be a mistake of usage."""
    try:
        return estimator.fit(psr, *([] if goal is None else [goal]))
    except SymfedError:
        raise
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None


def _chosen(psr: PSR, model: Model, target: str | None, columns: list[str] | None) -> tuple[PSR, str | None]:
    """Return the statistics of features and target, and the target."""
    schema: Schema = psr.schema
    goal = target
    if model in _CLASSIFIERS:
        goal = target or schema.classes
        if goal is None or goal != schema.classes:
            known = (
                "no class column was learned" if schema.classes is None else f"the class column is {schema.classes!r}"
            )
            raise SchemaError(f"Got target {goal!r} for {model.value}, but {known}: symfed learn --classes says it.")
    elif model is Model.pca and target is not None:
        raise typer.BadParameter("Got a target, but expected none for pca.", param_hint="--target")
    elif model is not Model.pca and (target is None or target not in schema.names):
        raise SchemaError(f"Got target {target!r}, but expected one of the columns {list(schema.names)}.")
    if columns is not None:
        psr = psr.select([*columns, *([] if goal is None else [goal])])
    return psr, goal


def _predictions(estimator: Any, matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    found = estimator.transform(matrix) if isinstance(estimator, PCA) else estimator.predict(matrix)
    if found.ndim == 1:
        return pa.table({"prediction": found})
    return pa.table({f"component_{i + 1}": found[:, i] for i in range(found.shape[1])})


def _writer(path: Path, suffix: str, schema: Any) -> Any:
    if suffix == ".parquet":
        return pyarrow.parquet.ParquetWriter(path, schema)
    return pyarrow.csv.CSVWriter(path, schema)


@contextmanager
def _placed(out: Path) -> Iterator[Path]:
    """Yield where to write a file that is put in its place when it is whole."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(out)
    except OSError as error:
        if isinstance(error, SymfedError):
            raise
        raise SettingError(
            f"Got {error.strerror!r} from {str(out)!r}, but expected a file that can be written."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _finite(number: float) -> float | None:
    return float(number) if -float("inf") < number < float("inf") else None

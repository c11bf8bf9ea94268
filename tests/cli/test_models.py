"""`symfed describe`, `fit` and `predict`: from statistics to predictions by way of a file."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow.parquet
import pytest
from cli_shell import answered, as_csv, statistics, symfed, table
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from skops import io

from sklearn_symfed import FederatedRidge


def test_a_model_is_fitted_saved_read_and_predicts(home, tmp_path):
    """Ridge from the statistics is saved as scikit-learn's, and `predict` gives what it predicts, row by row."""
    path = as_csv(table(0, 200), tmp_path / "a.csv")
    model, out = tmp_path / "model.skops", tmp_path / "out.parquet"
    symfed("learn", path, "--classes", "late", "--home", home)
    facts = answered("fit", "ridge", "--target", "fare", "--set", "alpha=0.5", "--out", model, "--home", home)
    assert (facts["model"], facts["rows"], facts["features"]) == ("Ridge", 200, ["distance"])
    symfed("predict", model, path, "--out", out)
    expected = FederatedRidge(alpha=0.5).fit(statistics(table(0, 200)), "fare").to_sklearn()
    assert type(expected) is Ridge
    rows = table(0, 200).select(["distance"])
    assert pyarrow.parquet.read_table(out)["prediction"].to_pylist() == expected.predict(rows).tolist()


REGRESSORS = ["linear", "lasso", "elastic-net", "lars", "lasso-lars", "matching-pursuit", "bayesian-ridge"]


CLASSIFIERS = ["lda", "qda", "nearest-centroid", "naive-bayes", "multinomial-nb", "complement-nb", "bernoulli-nb"]


@pytest.mark.parametrize(("name", "columns"), [*((name, 1) for name in [*REGRESSORS, *CLASSIFIERS]), ("pca", 2)])
def test_every_model_goes_through_its_file(home, tmp_path, name, columns):
    """Each kind of model is fitted, saved and read again, and writes as many columns as it predicts."""
    rows = table(0, 200)
    if name == "bernoulli-nb":
        for position, column in enumerate(["distance", "fare"]):
            rows = rows.set_column(position, column, [np.arange(200) % (position + 2) // (position + 1)])
    path = as_csv(rows, tmp_path / "a.csv")
    model, out = tmp_path / "model.skops", tmp_path / "out.csv"
    symfed("learn", path, "--classes", "late", "--home", home)
    target = ["--target", "fare"] if name in REGRESSORS else []
    symfed("fit", name, *target, "--out", model, "--home", home)
    symfed("predict", model, path, "--out", out)
    lines = list(csv.reader(out.read_text().splitlines()))
    assert len(lines) == 201
    assert {len(line) for line in lines} == {columns}
    if name in CLASSIFIERS:
        assert {line[0] for line in lines[1:]} <= {"yes", "no"}


def test_a_classifier_of_some_columns(home, tmp_path):
    """`--columns` chooses features; the classes stay without being named."""
    symfed("learn", as_csv(table(0, 200), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    facts = answered("fit", "lda", "--columns", "distance", "--out", tmp_path / "model.skops", "--home", home)
    assert (facts["features"], facts["target"]) == (["distance"], "late")


@pytest.mark.parametrize("name", ["lda", "qda"])
def test_a_shrinkage_that_is_found(home, tmp_path, name):
    """`--set shrinkage=oas` is saved as scikit-learn's way to say so, and read again."""
    path = as_csv(table(0, 200), tmp_path / "a.csv")
    model, out = tmp_path / "model.skops", tmp_path / "out.csv"
    symfed("learn", path, "--classes", "late", "--home", home)
    symfed("fit", name, "--set", "shrinkage=oas", "--out", model, "--home", home)
    symfed("predict", model, path, "--out", out)
    assert len(out.read_text().splitlines()) == 201


def test_settings_are_read_as_words_and_numbers_and_refused_as_wrong_usage(home, tmp_path):
    """`--set` takes false and 0.5; a value or name that the model does not take exits with 2, and writes nothing."""
    symfed("learn", as_csv(table(0, 200), tmp_path / "a.csv"), "--classes", "late", "--home", home)
    model = tmp_path / "model.skops"
    fit = ["fit", "ridge", "--target", "fare", "--home", home, "--out"]
    symfed(*fit, model, "--set", "fit_intercept=false", "--set", "alpha=0.5")
    assert io.load(model).get_params()["fit_intercept"] is False
    for wrong in ("alpha=-1", "alpha=much", "fit_intercept=3", "nothing=1", "prior=1", "alpha"):
        said = symfed(*fit, tmp_path / "other.skops", "--set", wrong, code=2).stderr
        assert wrong.partition("=")[0] in said
    assert not (tmp_path / "other.skops").exists()


def test_only_models_are_read(home, tmp_path):
    """A file of skops with another estimator, and one that is no such file, are refused; nothing is written."""
    path = as_csv(table(0, 20).select(["distance"]), tmp_path / "a.csv")
    other, junk = tmp_path / "other.skops", tmp_path / "junk.skops"
    io.dump(StandardScaler().fit(np.eye(3)), other)
    junk.write_bytes(b"PK junk")
    for file in (other, junk):
        symfed("predict", file, path, "--out", tmp_path / "out.csv", code=1)
    assert not (tmp_path / "out.csv").exists()
    symfed("learn", path, "--home", home)
    assert "no class column" in symfed("fit", "lda", "--out", other, "--home", home, code=1).stderr
    symfed("fit", "ridge", "--target", "fare", "--out", other, "--home", home, code=1)
    symfed("fit", "ridge", "--target", "distance", "--set", "alfa=1", "--out", other, "--home", home, code=2)


def test_statistics_are_described(pair):
    """`describe` gives rows, mean and standard deviation of each column, and rows of each class."""
    north, _ = pair
    facts = answered("describe", "--of", "north", "--home", north)
    moments = statistics(table(0, 120)).moments()
    assert [each["name"] for each in facts["columns"]] == list(moments.names)
    assert [each["mean"] for each in facts["columns"]] == moments.mean.tolist()
    assert facts["classes"] == {"no": 80, "yes": 40}
    assert "late = yes: 40 rows" in symfed("describe", "--home", north).stdout

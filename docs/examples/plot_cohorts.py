"""
Cohorts that measured different columns
=======================================

Five cohorts share statistics, not rows.  What two of them measured in common they can share; what all measured, all
can.  One withdraws, and is forgotten exactly.  And each is what the model of the others is tried on, by subtraction.
"""

# %%
# Each cohort keeps its rows, scikit-learn's diabetes data dealt to five, and learns its statistics.

from contextlib import suppress

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes

from sklearn_symfed import PSR, FederatedRidge, fitted_digests

rows = load_diabetes(as_frame=True, scaled=False).frame
dealt = np.random.default_rng(1).choice(["Bern", "Graz", "Kiel", "Lund", "Pisa"], len(rows))
never_measured = {"Bern": [], "Graz": ["s1", "s2"], "Kiel": ["s5"], "Lund": [], "Pisa": ["s2", "s6"]}
tables = {city: rows[dealt == city].drop(columns=columns) for city, columns in never_measured.items()}
cohorts = {city: PSR.from_rows(table) for city, table in tables.items()}

# %%
# What they can share is what they have in common: `select` takes these columns out of the statistics of each.


def in_common(cities):
    """Return the columns that all of some cohorts measured."""
    return [name for name in rows if all(name in cohorts[city].names for city in cities)]


def together(cities):
    """Return the statistics of some cohorts, of what all of them measured."""
    return sum(cohorts[city].select(in_common(cities)) for city in cities)


for cities in (["Bern", "Lund"], ["Bern", "Lund", "Pisa"], list(cohorts)):
    psr = together(cities)
    model = FederatedRidge(alpha=0.1).fit(psr, "target")
    print(f"{', '.join(cities)}: {psr.n_rows} rows, {len(psr.names) - 1} features, R² {model.score(psr, 'target'):.3f}")

# %%
# Kiel withdraws.  What is left is what the others alone have, not nearly but exactly, and so is the model.

everybody = together(cohorts)
shared = {city: cohort.select(everybody.names) for city, cohort in cohorts.items()}
without_kiel = everybody - shared["Kiel"]
never_met = PSR.from_rows(pd.concat([tables[city][list(everybody.names)] for city in tables if city != "Kiel"]))
assert without_kiel.digest == never_met.digest

forgotten = FederatedRidge().fit(without_kiel, "target")
assert fitted_digests(forgotten) == fitted_digests(FederatedRidge().fit(never_met, "target"))

# %%
# Leave one cohort out: subtract it, fit what is left, and score that model on its statistics.  No rows are needed, so
# trying thirteen penalties on five cohorts takes 65 small solves.

penalties = np.logspace(-3, 3, 13)
scores = {
    city: [
        FederatedRidge(alpha=alpha).fit(everybody - shared[city], "target").score(shared[city], "target")
        for alpha in penalties
    ]
    for city in cohorts
}
mean = np.mean(list(scores.values()), axis=0)
for city, values in scores.items():
    print(f"{city}: R² {values[mean.argmax()]:.3f} by the model of the others")
print(f"best penalty over all cohorts: {penalties[mean.argmax()]:.3g}")

with suppress(ModuleNotFoundError):
    import matplotlib.pyplot as plt

    for city, values in scores.items():
        plt.semilogx(penalties, values, label=city)
    plt.semilogx(penalties, mean, "k", label="mean")
    plt.xlabel("penalty")
    plt.ylabel("R² on a cohort, by the model of the others")
    plt.legend()
    plt.show()

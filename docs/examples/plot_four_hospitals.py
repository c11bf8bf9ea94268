"""
Four hospitals, one model
=========================

Four hospitals want one model of how diabetes progresses.  One has another order of columns, one never measured `s4`,
one calls sex gender, has an age group that the others do not see, and cholesterol in mmol/l instead of mg/dl.  No row
leaves its hospital, and the models are those of all rows in one place, equal to the last bit.
"""

# %%
# The rows are those of scikit-learn's diabetes data, dealt to four hospitals.

from contextlib import ExitStack, suppress
from decimal import Decimal

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline

from sklearn_symfed import (
    PSR,
    FederatedLasso,
    FederatedOneHotEncoder,
    FederatedPCA,
    FederatedPSR,
    FederatedRidge,
    FederatedSimpleImputer,
    Schema,
    fitted_digests,
)

rows = load_diabetes(as_frame=True, scaled=False).frame.rename(columns={"s1": "cholesterol", "target": "progression"})
rows["sex"] = np.where(rows.sex == 1, "female", "male")
rows["group"] = np.select([rows.age < 35, rows.age <= 58], ["young", "middle"], "old")
rows = rows.drop(columns="age")
dealt = np.random.default_rng(0).integers(3, size=len(rows))
north, south, east = (rows[(dealt == k) & (rows.group != "old")] for k in range(3))
west = rows[rows.group == "old"]
south = south[sorted(south.columns)]
east = east.assign(s4=np.nan)
millimoles = (west.cholesterol / 38.67).round(1)
of_west = west.assign(cholesterol=millimoles).rename(columns={"sex": "gender"})

# %%
# A schema says what columns hold and what becomes of missing values.  Levels need not be known beforehand.
declared = {"missing": {"s4": "indicator"}, "decimals": {"cholesterol": 3}}  # 5.2 mmol/l are 201.084 mg/dl
schema = Schema(rows.columns, categories=["sex", "group"], **declared)

# %%
# West learns its rows as they are, and hands over their statistics in the federation's words and units, exactly.
measured = PSR.from_rows(of_west, missing=declared["missing"], decimals={"cholesterol": 1})
converted = measured.rename({"gender": "sex"}).rescale({"cholesterol": "38.67"})

# %%
# They federate: by invite, over a carrier, here in the memory of this process.
with ExitStack() as stack:
    first = stack.enter_context(FederatedPSR())
    first.create_federation("f", "memory://hospitals", member="north", schema=schema, on_recovery_key=lambda _: None)
    members = {"north": first}
    for name in ("south", "east", "west"):
        members[name] = stack.enter_context(FederatedPSR().join(*first.invite(name)))
        first.pulse()
        members[name].pulse()
    for name, table in {"north": north, "south": south, "east": east, "west": converted}.items():
        members[name].partial_fit(table).pulse()
    for member in members.values():
        member.pulse()
        assert member.psr_.n_rows == len(rows)
    psr = first.psr_

# %%
# All rows in one place, for comparison.
exactly = west.assign(cholesterol=[Decimal(str(value)) * Decimal("38.67") for value in millimoles])
everything = pd.concat([north, south, east, exactly])
central = PSR.from_rows(everything[list(psr.schema.columns)], **declared)
assert psr == central

encode = FederatedSimpleImputer(), FederatedOneHotEncoder(drop="first")
models = {
    "ridge": make_pipeline(*encode, FederatedRidge()),
    "lasso": make_pipeline(*encode, FederatedLasso(0.5)),
    "PCA and ridge": make_pipeline(*encode, FederatedPCA(5), FederatedRidge()),
}
for name, model in models.items():
    federated = fitted_digests(model.fit(psr, "progression")[-1])
    assert fitted_digests(model.fit(central, "progression")[-1]) == federated
    print(f"{name}: equal to the last bit, R² {model.score(psr, 'progression'):.3f}")

# %%
# They predict rows as they are, also those of east, which has no `s4`.
predicted = models["ridge"].predict(everything[models["ridge"].feature_names_in_].astype({"cholesterol": float}))
print(f"correlation of predicted and measured progression: {np.corrcoef(predicted, everything.progression)[0, 1]:.2f}")
with suppress(ModuleNotFoundError):
    import matplotlib.pyplot as plt

    plt.scatter(everything.progression, predicted, s=9, c=everything.s4.isna())
    plt.gca().set(xlabel="progression, a year later", ylabel="predicted; yellow: without s4")
    plt.show()

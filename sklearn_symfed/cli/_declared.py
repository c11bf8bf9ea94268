"""What operators say of columns beside their names: categories and their levels, missing values, units of dates."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from sklearn_symfed import FederatedPSR, Schema
from sklearn_symfed.cli._cells import Kinds
from sklearn_symfed.cli._session import pairs, split
from sklearn_symfed.exceptions import NothingLearnedError

__all__ = ["categories_of", "facts_of", "kinds_of", "known_schema", "missing_of"]

_A_MODE = "one of listwise, pairwise, indicator and error"
_MODES = ("error", "listwise", "pairwise", "indicator")


def categories_of(names: str | None, levels: Iterable[str] | None) -> dict[str, list[str] | None] | None:
    """Return columns of categories, with their levels where these are declared; None if there are none."""
    found: dict[str, list[str] | None] = dict.fromkeys(split(names) or [])
    for option in levels or ():
        name, separator, text = option.partition("=")
        declared = next(csv.reader([text], skipinitialspace=True), [])
        if not (name and separator and declared):
            msg = f"Got {option!r}, but expected NAME=LEVELS, as carrier=AA,UA,other."
            raise typer.BadParameter(msg, param_hint="--levels")
        found[name] = declared
    return found or None


def missing_of(options: list[str] | None) -> str | dict[str, str]:
    """Return what becomes of missing values: of all columns, or by column."""
    if not options:
        return "error"
    bare = [option for option in options if "=" not in option]
    if bare and len(options) > 1:
        msg = f"Got {' and '.join(map(repr, options))}, but expected one for all columns, or each as NAME=MODE."
        raise typer.BadParameter(msg, param_hint="--missing")
    found = bare[0] if bare else pairs(options, "NAME=MODE, as age=pairwise")
    for mode in [found] if isinstance(found, str) else found.values():
        if mode not in _MODES:
            raise typer.BadParameter(f"Got {mode!r}, but expected {_A_MODE}.", param_hint="--missing")
    return found


def known_schema(node: FederatedPSR) -> Schema | None:
    """Return the columns that a node knows, its own or its federation's."""
    try:
        return node.psr_.schema
    except NothingLearnedError:
        return None


def kinds_of(node: FederatedPSR, columns: Sequence[str]) -> Kinds:
    """Return what columns of a file hold, as it is said with this command, or known of the node."""
    schema = known_schema(node)
    categories = node.categories or (schema.categories if schema else ())
    units = node.units or (schema.units if schema else {})
    said: str | Mapping[str, str] = node.missing
    missing = said if isinstance(said, Mapping) else dict.fromkeys(columns, said)
    missing = missing if said != "error" or schema is None else schema.missing
    may_lack = frozenset(name for name, mode in missing.items() if mode != "error")
    classes = node.classes if isinstance(node.classes, str) else schema.classes if schema else None
    return Kinds(frozenset(categories), units, may_lack - {classes})


def facts_of(schema: Schema | None) -> dict[str, Any]:
    """Return categories with their levels, missing values and units, as JSON has them."""
    if schema is None:
        return {"categories": {}, "missing": {}, "units": {}}
    categories = {name: list(levels) for name, levels in schema.categories.items()}
    return {"categories": categories, "missing": schema.missing, "units": schema.units}

"""The same statistics under other words: columns of rows as a whole, and plain columns that are categories again.

Nothing is computed here: numeric columns of a state are looked up by name.
"""

from __future__ import annotations

from collections.abc import Iterable

from sklearn_symfed.exceptions import SchemaError
from sklearn_symfed.psr._declared import normalised
from sklearn_symfed.psr._encodings import NUMERIC, Encoding
from sklearn_symfed.psr._layout import selected
from sklearn_symfed.psr._psr import PSR
from sklearn_symfed.psr._schema import Schema

__all__ = ["columns_of_rows", "described"]

_INDICATED = Encoding(missing="indicator")


def described(psr: PSR, schema: Schema) -> PSR:
    """Return the statistics of a PSR as those of the columns of another schema, which are zero where it has none.

    Parameters
    ----------
    psr : PSR
    schema : Schema
        Its class column is that of the PSR, or None: then classes are added up.
    """
    whole = psr if schema.classes is not None or psr.schema.classes is None else psr.drop(psr.schema.classes)
    size, places = len(whole.schema.stored), whole.schema.places(schema)
    states = whole._cells  # noqa: SLF001 (the same room)
    return PSR(schema, {label: selected(state, size, places) for label, state in states.items()}, psr.n_incomplete)


def columns_of_rows(psr: PSR, names: Iterable[str] | None = None) -> PSR:
    """Return the statistics of some columns of rows, or of all, with what is declared of each of them.

    Where `PSR.select` takes of ``x`` the numbers alone, this takes the column that says where they are missing, too;
    and two plain columns ``x`` and ``missingindicator_x``, which `PSR.drop` leaves of such a column, are one again.

    Raises
    ------
    SchemaError
        If a name is unknown.
    """
    schema = psr.schema
    pairs = {name: _INDICATED.names(name)[1] for name in schema.columns if name not in schema.encodings}
    joined = {name: other for name, other in pairs.items() if other in pairs}
    columns = [name for name in schema.columns if name not in joined.values()]
    wanted = columns if names is None else [normalised(name) for name in names]
    classes = schema.classes if schema.classes in wanted else None
    chosen = [name for name in wanted if name != classes]
    unknown = [name for name in chosen if name not in columns]
    if unknown:
        msg = f"Got unknown columns {unknown}, but expected some of {columns}."
        raise SchemaError(msg)
    encodings = {name: _INDICATED if name in joined else schema.encodings.get(name, NUMERIC) for name in chosen}
    decimals = {name: digits for name, digits in schema.decimals.items() if name in encodings}
    ranges = {name: bounds for name, bounds in schema.ranges.items() if name in encodings}
    return described(psr, Schema.of_encodings(chosen, classes, decimals, ranges, schema.outside, encodings))

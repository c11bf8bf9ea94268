"""Mutations of messages, generated from the layouts of the codec: which field, by whom, and how it is changed.

Owns how values become wrong; what a node makes of them is the business of the tests.  A field that is added to a layout
is mutated without a word here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgpack

from sklearn_symfed.federation import _claims, _links
from sklearn_symfed.federation._claims import CLAIM, read_entry, signed_claim
from sklearn_symfed.federation._envelope import HEADER, open_envelope
from sklearn_symfed.federation._fields import Layout, pack
from sklearn_symfed.federation._keys import SIGNATURE_BYTES
from sklearn_symfed.federation._links import CHANGES, Link
from sklearn_symfed.federation._messages import MESSAGES, PACKED

BIG = 2**22
"""Bytes of what is too large, where a field is of bytes: more than any but statistics may have."""


class Case(NamedTuple):
    """One mutation: of a field of a message, by a carrier or by a member, in one of the ways below."""

    kind: str
    by: str
    field: str
    way: str

    def __str__(self) -> str:
        return "-".join(self)


# -- ways in which a value becomes wrong -----------------------------------------------------------------------------
#
# They work on what msgpack is given: numbers, bytes, text, lists and maps.


def changed(value: Any) -> Any:
    """Return another value of the same form."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\1"
    if isinstance(value, dict):
        return {key: changed(item) for key, item in value.items()}
    return [*value[:-1], changed(value[-1])] if value else ["c"]


def retyped(value: Any) -> Any:
    """Return what no field may be."""
    return None if isinstance(value, bool | int | str | bytes) else 7


def oversized(value: Any, size: int) -> Any:
    """Return what is beyond the bound of every field of its type."""
    if isinstance(value, int):
        return 2**64 - 1
    if isinstance(value, str):
        return "x" * min(size, 70_000)
    if isinstance(value, bytes):
        return value + bytes(size)
    return {f"n{number}": b"" for number in range(9_000)} if isinstance(value, dict) else [b""] * min(size, 70_000)


WAYS = ("changed", "retyped", "oversized", "truncated", "missing")


def listed(layout: Layout, values: Any) -> dict[str, Any]:
    """Return what msgpack is given for each field."""
    values = values if isinstance(values, dict) else vars(values)
    return {name: kind.pack(values[name]) for name, kind in layout.items()}


def mutated(packed: dict[str, Any], field: str, way: str, size: int = BIG) -> bytes:
    """Return a record of which one field is wrong, or that ends within it or goes on without it."""
    value, values = packed[field], dict(packed)
    if way == "missing":
        del values[field]
    elif way != "truncated":
        values[field] = {"changed": changed, "retyped": retyped, "oversized": lambda of: oversized(of, size)}[way](
            value
        )
    data = msgpack.packb(list(values.values()))
    if way != "truncated":
        return data
    rest = list(packed.values())[list(packed).index(field) + 1 :]
    return data[: len(data) - sum(len(msgpack.packb(item)) for item in rest) - (len(msgpack.packb(value)) + 1) // 2]


# -- records within messages -----------------------------------------------------------------------------------------


class Nested(NamedTuple):
    """A record that stands in a field of a message."""

    layout: Layout
    values: Callable[[Any], Any]
    body: Callable[[Any, bytes], bytes]
    """Returns the whole message around the bytes of the record."""


def _around(scene: Any, **values: Any) -> bytes:
    layout = MESSAGES[scene.kind][1]
    return pack(layout, {**vars(scene.message), **values})


def _entry(field: str, layout: Layout, prefix: bytes, values: Callable[[Any], Any]) -> Nested:
    """Return the sender's own entry of a view."""

    def body(scene: Any, data: bytes) -> bytes:
        return _around(scene, **{field: {**getattr(scene.message, field), scene.sender.member: prefix + data}})

    return Nested(layout, values, body)


def _claimed(scene: Any) -> Any:
    view = getattr(scene.message, "view", None) or scene.message.floors
    return read_entry(view[scene.sender.member])


def _proved(scene: Any) -> dict[str, Any]:
    """Return what the sender proves against itself."""
    own, node = scene.sender.peers.own, scene.sender
    other = signed_claim(own.mark._replace(digest="ab" * 32), "", (), node.federation, node.member, node.identity.sign)
    return {"first": own.to_bytes(), "second": other.to_bytes()}


def _statistics(scene: Any, data: bytes) -> bytes:
    message = scene.message
    return b"\x93" + msgpack.packb(message.ask) + msgpack.packb(message.view) + b"\x91" + data


def _link(layout: Layout, values: Callable[[Any], Any], around: Callable[[Any, bytes], bytes]) -> Nested:
    """Return the last of the links, which is news to the node."""
    return Nested(
        layout, values, lambda scene, data: _around(scene, links=(*scene.message.links[:-1], around(scene, data)))
    )


def _last(scene: Any) -> Link:
    return Link.from_bytes(scene.message.links[-1])


def _outer(scene: Any) -> dict[str, Any]:
    return {"body": _last(scene).body, "signature": _last(scene).signature}


def _inner(scene: Any) -> dict[str, Any]:
    link = _last(scene)
    return {**vars(link), "values": pack(CHANGES[link.change], link.values)}


def _signed(scene: Any, body: bytes) -> bytes:
    """Sign a link as its admin does."""
    signature = scene.net.nodes["a"].identity.sign(_links._signed(body))
    return pack(_links._LINK, {"body": body, "signature": signature})


def _with_values(scene: Any, values: bytes) -> bytes:
    return _signed(scene, pack(_links._BODY, {**_inner(scene), "values": values}))


def _links_with(change: str) -> dict[str, Nested]:
    return {
        "links": _link(_links._LINK, _outer, lambda _, data: data),
        "links.body": _link(_links._BODY, _inner, _signed),
        f"links.{change}": _link(CHANGES[change], lambda scene: _last(scene).values, _with_values),
    }


NESTED: dict[str, dict[str, Nested]] = {
    "pulse": {
        "view.claim": _entry("view", CLAIM, b"\1", _claimed),
        "view.proof": _entry("view", _claims._PROOF, b"\2", _proved),
        "psrs": Nested(PACKED, lambda scene: scene.message.psrs[0], _statistics),
    },
    "leave": {
        "keep": Nested(
            CLAIM, lambda scene: read_entry(scene.message.keep), lambda scene, data: _around(scene, keep=b"\1" + data)
        )
    },
    "roster": _links_with("rotate"),
    "request": {},
    "welcome": {**_links_with("admit"), "floors.claim": _entry("floors", CLAIM, b"\1", _claimed)},
    "refusal": {},
}

# -- all mutations ---------------------------------------------------------------------------------------------------

OUTSIDE = {"magic": slice(0, 6), "protocol": slice(6, 8), "release": slice(8, 11), "length": slice(11, 13)}
"""What stands before the header: the fields of `_envelope._PREFIX`."""
PARTS = (*OUTSIDE, "sealed", "signature")
WAYS_OUTSIDE = ("changed", "truncated", "oversized")


def cases() -> Iterator[Case]:
    """Yield every mutation."""
    for kind, (_, layout) in MESSAGES.items():
        header = [f"header.{field}" for field in HEADER]
        nested = [f"{name}.{field}" for name, record in NESTED[kind].items() for field in record.layout]
        inside = [*layout, *nested]
        yield from (Case(kind, "carrier", part, way) for part in PARTS for way in WAYS_OUTSIDE)
        yield from (Case(kind, by, field, way) for by in ("carrier", "sender") for field in header for way in WAYS)
        yield from (Case(kind, "sender", field, way) for field in inside for way in WAYS)
        yield from (Case(kind, "other", field, "changed") for field in [*header, *inside])


def message_of(case: Case, scene: Any) -> bytes:
    """Return the bytes of a mutated message."""
    if case.field in PARTS:
        return _outside(case, scene.data)
    by = scene.other if case.by == "other" else scene.sender
    place, _, field = case.field.rpartition(".")
    if place == "header":
        packed = mutated(listed(HEADER, scene.header._asdict()), field, case.way, size=2_000)
        if case.by != "carrier":
            return scene.sealed(scene.body, packed, by)
        return scene.prefixed(packed) + scene.data[len(open_envelope(scene.data).associated) :]
    if not place:
        return scene.sealed(mutated(listed(MESSAGES[case.kind][1], scene.message), field, case.way), by=by)
    nested = NESTED[case.kind][place]
    return scene.sealed(
        nested.body(scene, mutated(listed(nested.layout, nested.values(scene)), field, case.way)), by=by
    )


def _outside(case: Case, data: bytes) -> bytes:
    sealed = slice(len(open_envelope(data).associated), len(data) - SIGNATURE_BYTES)
    place = {**OUTSIDE, "sealed": sealed, "signature": slice(sealed.stop, len(data))}[case.field]
    before, value, after = data[: place.start], data[place], data[place.stop :]
    if case.way == "truncated":
        return before + value[: len(value) // 2]
    return before + (changed(value) if case.way == "changed" else oversized(value, BIG)) + after

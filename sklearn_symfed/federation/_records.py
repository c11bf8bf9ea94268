"""A membership as values of a store, and back: what is secret is sealed under the node's own key.

Owns which parts of a membership last longer than a process, and their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn_symfed.exceptions import AuthenticationError, StoreError
from sklearn_symfed.federation._admission import Desk, Joining
from sklearn_symfed.federation._claims import Claim, read_entry, read_view, view_bytes
from sklearn_symfed.federation._fields import Layout, blob, list_of, pack, read
from sklearn_symfed.federation._keys import Identity
from sklearn_symfed.federation._links import MAX_LINK_BYTES, Link
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._rosters import MAX_LINKS, Chain
from sklearn_symfed.federation._sealing import Random, open_sealed, seal
from sklearn_symfed.federation._slots import Slot, Word
from sklearn_symfed.psr import PSR

__all__ = ["dumped", "loaded"]

Value = str | int | bytes | None

_CHAIN: Layout = {"links": list_of(blob(MAX_LINK_BYTES), MAX_LINKS + 1)}


def dumped(node: Membership, kept: dict[str, tuple[Any, Value]]) -> dict[str, Value]:
    """Return what is to be stored.

    Parameters
    ----------
    node : Membership
    kept : dict
        What costs something to make, from the last time: it is made again only if it has changed.
    """

    def made(key: str, of: Any, make: Callable[[], Value]) -> Value:
        if key not in kept or kept[key][0] != of:
            kept[key] = of, make()
        return kept[key][1]

    def sealed(key: str, secret: bytes) -> bytes:
        return seal(node.identity.store_key, secret, key.encode(), node.random)

    values: dict[str, Value] = {"member": node.member, "seq": node.seq, "leaving": node.leaving}
    joining = node.joining
    values["joining"] = (
        made("joining", joining.invite.id, lambda: joining.to_bytes(lambda secret: sealed("joining", secret)))
        if joining
        else None
    )
    values["turned_down"] = joining.refusal if joining else None
    chain = node.chain
    if chain is None:
        return values
    links = chain.links
    values["chain"] = made(
        "chain", chain.roster.head, lambda: pack(_CHAIN, {"links": [link.to_bytes() for link in links]})
    )
    values["epoch_key"] = made("epoch_key", node.key, lambda: sealed("epoch_key", node.key))
    values["invites"] = node.desk.to_bytes()
    values["own"] = node.peers.own.to_bytes()
    shown = node.peers.shown
    values["shown"] = None if shown is None else made("shown", shown.digest, shown.to_bytes)
    values["announced"] = view_bytes(node.peers.announced)
    values["announced_head"] = node.peers.announced_head
    return values


def loaded(
    get: Callable[[str], Any],
    identity: Identity,
    slots: Mapping[str, Slot],
    words: Mapping[str, Word],
    random: Random,
) -> Membership:
    """Return the membership that was stored.

    Raises
    ------
    StoreError
        If the key file is not the one that it was sealed under.
    FormatError
        If it cannot be read.
    """

    def opened(key: str, data: bytes) -> bytes:
        try:
            return open_sealed(identity.store_key, data, key.encode())
        except AuthenticationError:
            raise StoreError("Got a home whose key file is not that of its database: restore both.") from None

    node = Membership(identity, get("member"), random)
    if get("joining") is not None:
        node.joining = Joining.from_bytes(get("joining"), lambda data: opened("joining", data), get("turned_down"))
    if get("chain") is not None:
        chain = Chain([Link.from_bytes(link) for link in read(_CHAIN, get("chain"), "stored roster")["links"]])
        own = read_entry(get("own"))
        assert isinstance(own, Claim)
        node.restore(chain, opened("epoch_key", get("epoch_key")), own)
        node.desk = Desk.from_bytes(get("invites"))
        node.leaving = get("leaving")
        node.peers.announced = read_view(get("announced"))
        node.peers.announced_head = get("announced_head")
        node.peers.shown = None if get("shown") is None else PSR.from_bytes(get("shown"))
        node.peers.restore(slots, words)
    node.seq = get("seq")
    return node

"""What a member learns, and what it and its peers have learned: the half of `Federation` that deals in statistics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from sklearn_symfed.exceptions import FederationError, NothingLearnedError, SettingError
from sklearn_symfed.federation._claims import ORIGIN_BYTES
from sklearn_symfed.federation._membership import Membership
from sklearn_symfed.federation._standing import encoded_schema
from sklearn_symfed.federation._store import Store
from sklearn_symfed.psr import PSR, Schema

__all__ = ["Learning"]


class Learning:
    """Statistics of a node that is a member; `Federation` adds the membership itself."""

    _store: Store
    _node: Membership
    _lock: threading.RLock
    _save: Callable[[], None]
    _ready: Callable[..., Any]
    _reload: Callable[[], None]

    @property
    def schema(self) -> Schema | None:
        """The columns of the federation; None until they are fixed, or while joining."""
        with self._lock:
            return self._node.peers.schema if self._node.admitted else None

    @property
    def local(self) -> PSR | None:
        """What this node has learned; None until it has learned anything."""
        with self._lock:
            return self._store.local

    @property
    def merged(self) -> PSR | None:
        """What this node and its peers have learned, in the schema's order of columns; None if nothing is known."""
        with self._lock:
            return self._node.peers.merged if self._node.admitted else self._store.local

    @property
    def peers(self) -> PSR | None:
        """What the other members have learned; None if nothing is known."""
        with self._lock:
            return self._node.peers.others if self._node.admitted else None

    @property
    def converged(self) -> bool:
        """Whether all members are known to hold the same."""
        with self._lock:
            return self._node.is_member and self._node.leaving is None and self._node.peers.converged

    def psr_of(self, members: Iterable[str]) -> PSR | None:
        """Return what some members have learned.

        Raises
        ------
        FederationError
            If one of them is not known.
        """
        if not isinstance(members, Iterable):
            raise SettingError(f"Got members of type {type(members).__name__}, but expected a str or a list of str.")
        with self._lock:
            return self._node.peers.psr_of([members] if isinstance(members, str) else members)

    def merged_or_raise(self) -> PSR:
        """Return `merged`, or raise a `NothingLearnedError`."""
        merged = self.merged
        if merged is None:
            raise NothingLearnedError("Nothing is known of that federation yet.")
        return merged

    @property
    def origins(self) -> tuple[bytes, ...]:
        """Whose rows the merged statistics hold."""
        with self._lock:
            return self._node.peers.origins_held

    def learn(self, psr: PSR, batch_id: str | None = None, n_dropped: int = 0) -> bool:
        """Add a batch to what this node has learned: as `Store.learn`, and the columns must be the federation's.

        The first rows of an admin fix the columns of a federation that has none.
        """
        with self._ready():
            return self._learned(lambda: self._store.learn(psr, batch_id, n_dropped), psr)

    def forget(self, psr: PSR, batch_id: str | None = None, n_dropped: int = 0) -> bool:
        """Take a batch out of what this node has learned: as `Store.forget`."""
        with self._ready():
            return self._learned(lambda: self._store.forget(psr, batch_id, n_dropped))

    def reset(self) -> None:
        """Forget everything that this node learned; its next version, if it has published any, is that of no rows."""
        with self._ready():
            local = self._store.local
            published = self._node.admitted and self._node.peers.mark.version > 0
            zero = PSR.zero(local.schema) if local is not None and published else None
            self._learned(lambda: self._store.reset(zero))

    def learn_federation(self, source: str, psr: PSR, origins: tuple[bytes, ...]) -> bool:
        """Learn the merged statistics of another federation, in the place of what was learned of it before.

        Parameters
        ----------
        source : str
            Which federation.
        psr : PSR
            Its merged statistics.
        origins : tuple of bytes
            Whose rows they hold.

        Raises
        ------
        FederationError
            If rows of one origin would be counted twice.
        """
        with self._ready():
            node = self._node
            if source == node.federation.hex():
                raise FederationError("Got the federation that this node is a member of, but expected another one.")
            own = {node.identity.public.origin}
            for name, packed in self._store.sources.items():
                own |= set(_unpacked(packed)) if name != source else set()
            elsewhere = set(node.peers.origins_of_others())
            if set(origins) & (own | elsewhere):
                raise FederationError(
                    "Got rows of an origin that this federation holds already: they would count twice."
                )
            packed = b"".join(sorted(origins))
            return self._learned(lambda: self._store.learn_source(source, psr, packed), psr)

    def _learned(self, step: Callable[[], bool], psr: PSR | None = None) -> bool:
        """Change what was learned, and the schema if need be, in one transaction."""
        node, fixes = self._node, False
        if psr is not None:
            self._require_fit(psr)
            fixes = node.peers.schema is None
        try:
            with self._store.transaction():
                if psr is not None and fixes:
                    node.change("schema", {"schema": encoded_schema(psr.schema)})
                    self._save()
                changed = step()
        except BaseException:
            if fixes:
                self._reload()
            raise
        self._set_origins()
        self._node.local = self._store.local
        return changed

    def _require_fit(self, psr: PSR) -> None:
        node = self._node
        if not node.admitted:
            raise NothingLearnedError(
                "The federation's columns are not known yet: pulse until the admin has answered, then learn."
            )
        schema = node.peers.schema
        if schema is not None:
            schema.require_match(psr.schema)
            node.peers.check({node.member: psr})
        elif not node.is_admin:
            raise NothingLearnedError(
                "The federation has no columns yet: the first rows of an admin fix them; pulse until that has happened."
            )

    def _set_origins(self) -> None:
        """Say whose rows this node's statistics hold, if others' are among them."""
        if not self._node.admitted:
            return
        listed = {origin for packed in self._store.sources.values() for origin in _unpacked(packed)}
        own = {self._node.identity.public.origin}
        self._node.peers.origins = tuple(sorted(listed | own)) if listed else ()


def _unpacked(origins: bytes) -> list[bytes]:
    return [origins[start : start + ORIGIN_BYTES] for start in range(0, len(origins), ORIGIN_BYTES)]

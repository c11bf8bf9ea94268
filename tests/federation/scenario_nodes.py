"""Nodes in processes of their own, over any carrier: asked by name, killed with SIGKILL, opened again from their homes.

Owns what `test_scenario.py` stands on.  Processes are forked from one that has loaded the package and nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from typing import Any

from sklearn_symfed.exceptions import SymfedError
from sklearn_symfed.federation import Federation, Store
from sklearn_symfed.federation.transports import open_transport
from sklearn_symfed.psr import PSR
from sklearn_symfed.testing import FaultyTransport
from tests.servers._server import Carrier

FAULTS = {"drop": 0.2, "duplicate": 0.2, "reorder": 0.5, "delay": 0.2}
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


def rows_of(seed: int) -> PSR:
    """Return the statistics of some rows."""
    return PSR.from_rows([[seed + number / 3, 1 / (seed + number + 1)] for number in range(20)])


class Player:
    """A node, as its process has it; `seed` chooses the faults, if there are to be any."""

    def __init__(self, home: str, seed: int | None) -> None:
        self._store = Store.open(home)
        self._seed = seed
        self._node: Any = Federation.reopen(self._store, opener=self._open)

    def _open(self, url: str, member: str, *, create: bool = False) -> Any:
        transport = open_transport(url, member, create=create)
        return transport if self._seed is None else FaultyTransport(transport, self._seed, **FAULTS)

    def create(self, url: str, member: str) -> None:
        keys = {"schema": rows_of(0).schema, "guard": "off", "on_recovery_key": lambda _: None}
        self._node = Federation.create(self._store, "f", url, member, opener=self._open, **keys)

    def invite(self, member: str) -> tuple[str, str]:
        invite: tuple[str, str] = self._node.invite(member)
        return invite

    def join(self, invite: str, code: str) -> None:
        self._node = Federation.join(self._store, invite, code, opener=self._open)

    def learn(self, seed: int) -> None:
        self._node.learn(rows_of(seed), f"batch {seed}")

    def remove(self, member: str) -> None:
        self._node.remove(member)

    def pulse(self) -> tuple[bool, bool]:
        """Return whether nothing was sent and all hold the same, and whether this is a member."""
        report = self._node.pulse()
        return report.converged and not report.sent, self._node.is_member

    def digest(self) -> str:
        digest: str = self._node.merged.digest
        return digest

    def close(self) -> None:
        if self._node is not None:
            self._node.close()
        self._store.close()


def _serve(connection: Any, home: str, seed: int | None, variables: Mapping[str, str]) -> None:
    """Be a node until told to close."""
    os.environ.update(variables)
    player = Player(home, seed)
    name = ""
    while name != "close":
        name, arguments = connection.recv()
        try:
            connection.send((True, getattr(player, name)(*arguments)))
        except SymfedError as error:
            connection.send((False, f"{name} failed with {type(error).__name__}: {error}"))


class Node:
    """A node, as the one who asks has it."""

    def __init__(self, home: str, carrier: Carrier, seed: int | None = None) -> None:
        self._arguments = home, seed, dict(carrier.variables)
        self.open()

    def open(self) -> None:
        """Start a process that opens the home."""
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, name: str, *arguments: Any) -> None:
        """Ask for something, and do not wait for the answer."""
        self._connection.send((name, arguments))

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Ask for something, and return the answer."""
        self.begin(name, *arguments)
        assert self._connection.poll(60), f"no answer to {name}"
        well, answer = self._connection.recv()
        assert well, answer
        return answer

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def close(self) -> None:
        """Let the process end."""
        if self._process.is_alive():
            with contextlib.suppress(OSError, EOFError):
                self("close")
            self._process.join(10)
        self._connection.close()


@contextlib.contextmanager
def nodes(folder: Any, carrier: Carrier, *, faulty: bool) -> Iterator[dict[str, Node]]:
    """Yield three nodes by name, in processes with homes in a folder."""
    opened = {
        name: Node(str(folder / f"home-{name}"), carrier, seed if faulty else None) for seed, name in enumerate("abc")
    }
    yield opened
    for node in opened.values():
        node.close()

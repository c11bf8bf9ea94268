"""The ledger: every release of a node, with what it takes to compare later ones, and the turnover of its rows.

Owns which releases are kept (all, exactly) and how many there can be: whoever drops one lets a difference from it pass.
The tables are the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sklearn_symfed.federation._claims import Mark
from sklearn_symfed.federation._differencing import Earlier, Turnover, Verdict, judge
from sklearn_symfed.federation._guard import Guard, Reason
from sklearn_symfed.psr import PSR

__all__ = ["MAX_RELEASES", "Ledger", "Release"]

MAX_RELEASES = 100_000


@dataclass(frozen=True)
class Release:
    """One release of statistics by a node.

    Attributes
    ----------
    number : int
        Counts releases of this node, from 1.
    at : float
        When, in seconds of the node's clock.
    federation : str
        Identifier of the federation that it went to.
    incarnation, version : int, int
        Which state of the node it was.
    rows, digest : int, str
        Of the statistics.
    learned, forgotten : int, int
        Rows learned and forgotten since the release before.
    """

    number: int
    at: float
    federation: str
    incarnation: int
    version: int
    rows: int
    digest: str
    learned: int
    forgotten: int

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.at, UTC).isoformat(" ", "seconds")
        what = f"{self.rows} rows · +{self.learned} -{self.forgotten}"
        return f"release {self.number} · {when} · version {self.version} ({self.digest[:12]}) · {what}"


class Ledger:
    """The releases of one node, in the tables of its store.

    Parameters
    ----------
    rows, execute : callable
        Read from and write to the store's database.
    turnover : Turnover
        What was ever learned and forgotten so far.
    """

    def __init__(self, rows: Callable[..., list[Any]], execute: Callable[..., None], turnover: Turnover) -> None:
        self._rows = rows
        self._execute = execute
        self.turnover = turnover

    def __len__(self) -> int:
        return int(self._rows("SELECT count(*) FROM releases")[0][0])

    @property
    def releases(self) -> list[Release]:
        """Every release, oldest first."""
        found: list[Release] = []
        before = (0, 0)
        for *what, learned, forgotten in self._rows(
            "SELECT id, at, federation, incarnation, version, n_rows, digest, learned, forgotten FROM releases"
            " ORDER BY id"
        ):
            found.append(Release(*[*what, learned - before[0], forgotten - before[1]]))
            before = (learned, forgotten)
        return found

    def judge(self, guard: Guard, psr: PSR, turnover: Turnover | None = None) -> Verdict:
        """Say whether some statistics may be released, beside all that were; by another turnover than there is now."""
        if len(self) >= MAX_RELEASES:
            text = (
                f"the ledger is full: {MAX_RELEASES} releases were made, and no one more could be compared with later"
            )
            return Verdict((Reason("changed_rows", None, None, MAX_RELEASES, MAX_RELEASES, text),))
        kept = self._rows("SELECT id, turnover FROM releases WHERE psr IS NOT NULL AND n_rows > 0 ORDER BY id")
        earlier = [
            Earlier(f"release {number}", Turnover.from_bytes(turnover), partial(self._psr, number))
            for number, turnover in kept
        ]
        return judge(guard, psr, self.turnover if turnover is None else turnover, earlier)

    def add(self, at: float, federation: str, mark: Mark, psr: PSR, *, keep: bool) -> None:
        """Write a release down, before anybody can have seen it; its statistics, too, if it is to be compared."""
        learned, forgotten = self.turnover.total()
        self._execute(
            "INSERT INTO releases VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(at, federation, mark.incarnation, mark.version, psr.n_rows, psr.digest, learned, forgotten),
            *(self.turnover.to_bytes(), psr.to_bytes() if keep else None),
        )

    def hold(self, psr: PSR, turnover: Turnover) -> None:
        """Take note of what a node holds by a turnover: if it was released, nothing has changed since that release."""
        if self._rows("SELECT 1 FROM releases LIMIT 1"):
            self._execute("UPDATE releases SET turnover = ? WHERE digest = ?", turnover.to_bytes(), psr.digest)

    def _psr(self, number: int) -> PSR:
        return PSR.from_bytes(self._rows("SELECT psr FROM releases WHERE id = ?", number)[0][0])

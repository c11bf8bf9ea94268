"""What a federation tells its user: the report of one pulse, and the state of all members.

Owns plain values only; who fills them in is `Federation`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Member", "PulseReport", "Status"]


@dataclass(frozen=True)
class PulseReport:
    """What one pulse did.

    Attributes
    ----------
    status : str
        ``"published"`` if a new version of the local PSR went out, ``"unchanged"`` if there was none, or
        ``"pending: "`` and what this node waits for.
    version, digest : int, str
        The newest version of this node, and its SHA-256.
    sent, received : int
        Number of messages.
    bytes_sent, bytes_received : int
        Their bytes, as handed to and taken from the transport; a broadcast counts once.
    applied : int
        How often a peer's statistics were replaced by newer ones.
    refused : tuple of str
        Why messages were refused.
    events : tuple of str
        What else happened: who joined, under which fingerprint; who left or was removed; who contradicted itself.
    converged : bool
        Whether all members are known to hold the same.
    """

    status: str
    version: int
    digest: str
    sent: int
    received: int
    bytes_sent: int
    bytes_received: int
    applied: int
    refused: tuple[str, ...]
    events: tuple[str, ...]
    converged: bool

    def __str__(self) -> str:
        parts = [
            self.status,
            f"version {self.version}" + (f" ({self.digest[:12]})" if self.digest else ""),
            f"sent {self.sent} ({self.bytes_sent:,} bytes)",
            f"received {self.received} ({self.bytes_received:,} bytes)",
            f"applied {self.applied}",
            *([f"refused {len(self.refused)}"] if self.refused else []),
            *self.events,
            "converged" if self.converged else "not converged",
        ]
        return " · ".join(parts)


@dataclass(frozen=True)
class Member:
    """One member, as this node knows it.

    Attributes
    ----------
    name : str
        The member.
    rows : int
        Rows in its statistics that this node holds.
    version, digest : int, str
        Which version of them; 0 and empty if it has published none yet or this node does not hold it.
    age : float or None
        Seconds since its newest message was taken in; 0 for this node.
    role : str
        ``"admin"``, ``"member"``, or ``"left"`` for somebody who left and let the rows stay.
    fingerprint : str
        Of its keys: compare it with what the member sees at its own end.
    note : str or None
        Why its rows are not counted, if they are not, and what ends that.
    last_refusal : str or None
        Why the newest of its messages that this node refused was refused, if any was.
    """

    name: str
    rows: int
    version: int
    digest: str
    age: float | None
    role: str
    fingerprint: str
    note: str | None
    last_refusal: str | None = None


@dataclass(frozen=True)
class Status:
    """The state of a federation as one node knows it; prints as a table of its members.

    Attributes
    ----------
    federation : str
        Its name.
    member : str
        This node.
    url : str
        The transport.
    fingerprint : str
        Of this node's keys: what the others should see.
    topology, schedule : str
        As the admins fixed them; empty while joining.
    roster, epoch : int
        Number of changes of the roster, and of keys.
    version, digest : int, str
        This node's newest published version.
    published : bool
        Whether that is all that this node has learned.
    converged : bool
        Whether all members are known to hold the same.
    members : tuple of Member
        Everybody, this node included, by name.
    seen : dict of str to dict of str to int
        ``seen["a"]["b"]`` is the version of member b that member a said it holds.
    lagging : tuple of str
        The members that are not known to hold what this node holds, or were not heard since it was opened.
    pending : str or None
        What keeps this node from publishing.
    dropped : int
        Rows that this node left out of what it learned, as they were outside of a range.
    dead_letters : int
        Messages that its inbox held at the newest pulse and nobody could take in, which the carrier set aside.
    pulsing : bool
        Whether the background thread runs.
    last_error, last_refusal : str or None
        The error of the newest pulse if it failed, and the newest message that was refused.
    """

    federation: str
    member: str
    url: str
    fingerprint: str
    topology: str
    schedule: str
    roster: int
    epoch: int
    version: int
    digest: str
    published: bool
    converged: bool
    members: tuple[Member, ...]
    seen: Mapping[str, Mapping[str, int]]
    lagging: tuple[str, ...]
    pending: str | None
    dropped: int
    dead_letters: int
    pulsing: bool
    last_error: str | None
    last_refusal: str | None

    def __str__(self) -> str:
        columns = list(zip(*([_HEADER, *self._table()]), strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, _RIGHT, strict=True)
            ).rstrip()
            for row in zip(*columns, strict=True)
        ]
        return "\n".join([self._title(), *lines, *(f"{key}: {value}" for key, value in self._notes())])

    def _repr_html_(self) -> str:
        cells = [("th", _HEADER), *(("td", row) for row in self._table())]
        rows = "".join(
            "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in row) + "</tr>" for tag, row in cells
        )
        notes = "".join(f"<div><b>{key}</b>: {html.escape(value)}</div>" for key, value in self._notes())
        return f"<table><caption>{html.escape(self._title())}</caption>{rows}</table>{notes}"

    def _title(self) -> str:
        state = "converged" if self.converged else "not converged"
        name = f"federation {self.federation!r}"
        return " · ".join([name, self.url, state, *(["pulsing"] if self.pulsing else [])])

    def _table(self) -> list[tuple[str, ...]]:
        return [
            (
                member.name,
                member.role,
                member.fingerprint,
                f"{member.rows:,}",
                str(member.version),
                member.digest[:12] or "-",
                "this node" if member.name == self.member else _ago(member.age),
                _remark(member, lags=member.name in self.lagging),
            )
            for member in self.members
        ]

    def _notes(self) -> list[tuple[str, str]]:
        unpublished = None if self.published else "this node has learned or forgotten rows since its version"
        notes = {
            "unpublished": unpublished,
            "pending": self.pending,
            "dropped": f"{self.dropped:,} rows outside of their ranges were left out here" if self.dropped else None,
            "dead letters": f"{self.dead_letters:,} messages could not be taken in" if self.dead_letters else None,
            "last refusal": self.last_refusal,
            "last error": self.last_error,
        }
        return [(key, note) for key, note in notes.items() if note is not None]


_HEADER = ("member", "role", "fingerprint", "rows", "version", "digest", "heard", "")
_RIGHT = (False, False, False, True, True, False, False, False)


def _remark(member: Member, *, lags: bool) -> str:
    said = member.note or ("lags" if lags else None)
    refused = None if member.last_refusal is None else f"last refusal: {member.last_refusal}"
    return " · ".join(part for part in (said, refused) if part is not None)


def _ago(seconds: float | None) -> str:
    """Return an age in the largest unit of which there are at least two."""
    if seconds is None:
        return "never"
    size, unit = next((pair for pair in _UNITS if seconds >= 2 * pair[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit} ago"


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))

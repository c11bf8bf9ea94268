"""What a federation tells its user: the report of one pulse, and the state of all members.

Owns plain values only; who fills them in is `Federation`.
"""

from __future__ import annotations

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
    converged: bool

    def __str__(self) -> str:
        parts = [
            self.status,
            f"version {self.version}" + (f" ({self.digest[:12]})" if self.digest else ""),
            f"sent {self.sent} ({self.bytes_sent:,} bytes)",
            f"received {self.received} ({self.bytes_received:,} bytes)",
            f"applied {self.applied}",
            *([f"refused {len(self.refused)}"] if self.refused else []),
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
    """

    name: str
    rows: int
    version: int
    digest: str
    age: float | None


@dataclass(frozen=True)
class Status:
    """The state of a federation as one node knows it.

    Attributes
    ----------
    federation : str or None
        Its name; None until a joiner has heard it.
    member : str
        This node.
    url : str
        The transport.
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
    pending : str or None
        What keeps this node from publishing.
    pulsing : bool
        Whether the background thread runs.
    last_error, last_refusal : str or None
        The error of the newest pulse if it failed, and the newest message that was refused.
    """

    federation: str | None
    member: str
    url: str
    version: int
    digest: str
    published: bool
    converged: bool
    members: tuple[Member, ...]
    seen: Mapping[str, Mapping[str, int]]
    pending: str | None
    pulsing: bool
    last_error: str | None
    last_refusal: str | None

"""What came of a message: plain values that the rules return, and whoever runs them logs, stores or shows."""

from __future__ import annotations

from dataclasses import dataclass

from sklearn_symfed.federation._claims import Mark

__all__ = [
    "Admitted",
    "Applied",
    "Condemned",
    "Early",
    "Event",
    "Flagged",
    "Heard",
    "Refused",
    "RosterChanged",
    "Stale",
    "TurnedDown",
    "Welcomed",
]


@dataclass(frozen=True)
class Applied:
    """A member's slot was replaced."""

    member: str
    mark: Mark


@dataclass(frozen=True)
class Flagged:
    """A member's slot was replaced by statistics that break the contract, as the admins let it."""

    member: str
    reason: str


@dataclass(frozen=True)
class Condemned:
    """A member signed two states that contradict each other; its slot is empty until it begins a new incarnation."""

    member: str
    mark: Mark


@dataclass(frozen=True)
class Heard:
    """No slot changed; what the sender holds of others is news."""

    member: str


@dataclass(frozen=True)
class Stale:
    """A repeated or late message, which changed nothing."""

    member: str


@dataclass(frozen=True)
class Early:
    """A message under a roster that has not arrived here yet; what it says will be said again."""

    member: str


@dataclass(frozen=True)
class Refused:
    """A message that breaks a rule, and changed nothing; the member is None where the sender is not authentic."""

    member: str | None
    reason: str


@dataclass(frozen=True)
class Admitted:
    """Somebody became a member, by this node, an admin."""

    member: str
    fingerprint: str


@dataclass(frozen=True)
class Welcomed:
    """An admin made this node a member."""

    admin: str
    fingerprint: str


@dataclass(frozen=True)
class TurnedDown:
    """The admin refused this node's request, with a reason; both are authentic."""

    reason: str


@dataclass(frozen=True)
class RosterChanged:
    """A newer roster counts; the slots of those who are gone went with it."""

    number: int
    gone: tuple[str, ...]


Event = (
    Applied | Flagged | Condemned | Heard | Stale | Early | Refused | Admitted | Welcomed | TurnedDown | RosterChanged
)

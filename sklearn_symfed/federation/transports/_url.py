"""Which transport a URL names: one of this package, or one that another package offers by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation.transports.base import Transport, TransportFactory
from sklearn_symfed.federation.transports.directory import DirectoryTransport
from sklearn_symfed.federation.transports.memory import MemoryTransport

__all__ = ["ENTRY_POINTS", "open_transport"]

ENTRY_POINTS = "sklearn_symfed.transports"


def _nats(url: str, member: str, *, create: bool = False) -> Transport:
    from sklearn_symfed.federation.transports.nats import NatsTransport

    return NatsTransport(url, member, create=create)


_BUILT_IN: dict[str, TransportFactory] = {"dir": DirectoryTransport, "memory": MemoryTransport, "nats": _nats}
_PLANNED = ("aws", "azure")


def open_transport(url: str, member: str, *, create: bool = False) -> Transport:
    """Open a member's end of the carrier that `url` names.

    Parameters
    ----------
    url : str
        ``dir:///path``, ``memory://name``, ``nats://host:port/federation``, or a scheme that an installed package
        offers.
    member : str
        Whose inbox to open; it is created where there is none.
    create : bool, default=False
        Whether the place itself may be created, and must not hold a federation yet, as for its founder.

    Raises
    ------
    SettingError
        If the URL's scheme is not known; the message lists those that are.
    TransportError
        If the place is missing or cannot be used.
    FederationError
        If `create` and others have inboxes there.
    """
    is_text = isinstance(url, str) and not any("\ud800" <= letter <= "\udfff" for letter in url)
    scheme, separator, _ = url.partition("://") if is_text else ("", "", "")
    factory = _BUILT_IN.get(scheme) if separator else None
    if factory is None and separator:
        factory = next((point.load() for point in entry_points(group=ENTRY_POINTS, name=scheme)), None)
    if factory is None:
        offered = sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))})
        known = ", ".join(f"{name}://" for name in offered)
        later = f" ({scheme}:// comes with a later release)" if scheme in _PLANNED else ""
        raise SettingError(f"Got transport URL {url!r}, but expected one of {known}{later}.")
    return factory(url, member, create=create)

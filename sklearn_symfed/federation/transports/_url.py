"""Which transport a URL names: one of this package, or one that another package offers by entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation.transports.base import Transport, TransportFactory
from sklearn_symfed.federation.transports.directory import DirectoryTransport
from sklearn_symfed.federation.transports.memory import MemoryTransport

__all__ = ["ENTRY_POINTS", "open_transport", "transport_of"]

ENTRY_POINTS = "sklearn_symfed.transports"


_HERE = "sklearn_symfed.federation.transports"
_BUILT_IN: dict[str, TransportFactory] = {"dir": DirectoryTransport, "memory": MemoryTransport}
_ON_DEMAND = {
    "aws": f"{_HERE}.aws:AwsTransport",
    "azure": f"{_HERE}.azure:AzureTransport",
    "nats": f"{_HERE}.nats:NatsTransport",
}
"""Those that take an SDK are loaded when they are used."""


def open_transport(url: str, member: str, *, create: bool = False) -> Transport:
    """Open a member's end of the carrier that `url` names.

    Parameters
    ----------
    url : str
        ``dir:///path``, ``memory://name``, ``nats://host:port/federation``, ``aws://region/federation?bucket=name``,
        ``azure://namespace/federation?blobs=account/container``, or a scheme that an installed package offers.
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
    return transport_of(url)(url, member, create=create)


def transport_of(url: str) -> TransportFactory:
    """Return what opens transports of the scheme of `url`: a class, or a function of another package.

    Raises
    ------
    SettingError
        If the URL's scheme is not known; the message lists those that are.
    """
    is_text = isinstance(url, str) and not any("\ud800" <= letter <= "\udfff" for letter in url)
    scheme, separator, _ = url.partition("://") if is_text else ("", "", "")
    if separator and scheme in _BUILT_IN:
        return _BUILT_IN[scheme]
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    points |= {name: EntryPoint(name, value, ENTRY_POINTS) for name, value in _ON_DEMAND.items()}
    if separator and scheme in points:
        factory: TransportFactory = points[scheme].load()
        return factory
    known = ", ".join(f"{name}://" for name in sorted({*_BUILT_IN, *points}))
    raise SettingError(f"Got transport URL {url!r}, but expected one of {known}.")

"""Carriers of messages: the contract, and one file for each back end."""

from __future__ import annotations

from sklearn_symfed.federation.transports._url import open_transport, transport_of
from sklearn_symfed.federation.transports.base import Delivery, Transport, TransportFactory
from sklearn_symfed.federation.transports.directory import DirectoryTransport
from sklearn_symfed.federation.transports.memory import MemoryTransport

__all__ = [
    "Delivery",
    "DirectoryTransport",
    "MemoryTransport",
    "Transport",
    "TransportFactory",
    "open_transport",
    "transport_of",
]

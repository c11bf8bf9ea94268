"""A connection to Azure: the clients of its SDKs, and what their errors are called here.

Owns whose credentials are used (a connection string of the environment, else those of `DefaultAzureCredential`),
retries, and the words of a failure, which are never those of an SDK: they may quote a key or a message.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from sklearn_symfed.exceptions import SettingError, TransportError
from sklearn_symfed.federation.transports._azure_names import Place

__all__ = ["AzureAnswerError", "Session"]

_BUS, _STORAGE = "AZURE_SERVICEBUS_CONNECTION_STRING", "AZURE_STORAGE_CONNECTION_STRING"
_RETRIES: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.3, "retry_backoff_max": 5}
_MISSING = {"MessagingEntityNotFoundError", "ResourceNotFoundError"}
_UNKNOWN = {"ServiceBusAuthenticationError", "ClientAuthenticationError"}
_DENIED = {"ServiceBusAuthorizationError"}
_LATE = {"OperationTimeoutError", "ServiceRequestTimeoutError", "ServiceResponseTimeoutError", "TimeoutError"}
_NOBODY = {"ServiceRequestError", "ServiceResponseError", "ServiceBusConnectionError", "OSError"}
_TIMEOUTS = {"connection_timeout": 5, "read_timeout": 30}

_sdk_log, _unheard = logging.getLogger("azure"), logging.NullHandler()
"""What the SDKs log of failures is told by errors here: it goes to handlers of the application, if any, and not to
standard error."""


class AzureAnswerError(TransportError):
    """Azure answered that it does not: because something is `missing`, or whoever asked is `denied` it."""

    def __init__(self, message: str, *, missing: bool = False, denied: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.denied = denied


class Session:
    """Clients of Service Bus, of its administration and of a container of blobs, each made when it is first used.

    Parameters
    ----------
    place : Place
    url : str
        The transport's URL, for messages.
    """

    def __init__(self, place: Place, url: str) -> None:
        try:
            import azure.identity
            import azure.servicebus
            import azure.storage.blob  # noqa: F401
        except ImportError:
            raise SettingError(
                "AzureTransport needs azure-servicebus, azure-storage-blob and azure-identity: "
                "pip install 'sklearn-symfed[azure]'"
            ) from None
        self.place = place
        self._url = url
        self._open = contextlib.ExitStack()
        _sdk_log.addHandler(_unheard)
        self._bus_string = os.environ.get(_BUS) or None
        self._storage_string = os.environ.get(_STORAGE) or None
        self._check_namespace()

    def _check_namespace(self) -> None:
        """Raise unless the connection string is of the URL's namespace."""
        if self._bus_string is None:
            return
        from azure.servicebus import parse_connection_string

        try:
            namespace = parse_connection_string(self._bus_string).fully_qualified_namespace.rstrip("/")
        except ValueError:
            raise SettingError(f"Got {_BUS} that is no connection string of Service Bus.") from None
        if namespace.lower() != self.place.namespace:
            raise SettingError(
                f"Got {_BUS} of the namespace {namespace!r}, but expected {self.place.namespace!r}, as in {self._url}."
            )

    @functools.cached_property
    def bus(self) -> Any:
        """The client that sends and receives."""
        from azure.servicebus import ServiceBusClient

        with self.translated("credentials"):
            if self._bus_string is not None:
                client = ServiceBusClient.from_connection_string(self._bus_string, **_RETRIES)
            else:
                client = ServiceBusClient(self.place.namespace, self._credential, **_RETRIES)
            return self._open.enter_context(client)

    @functools.cached_property
    def administration(self) -> Any:
        """The client that makes topics and subscriptions."""
        from azure.servicebus.management import ServiceBusAdministrationClient

        with self.translated("credentials"):
            settings = {**_RETRIES, **_TIMEOUTS}
            if self._bus_string is not None:
                client = ServiceBusAdministrationClient.from_connection_string(self._bus_string, **settings)
            else:
                client = ServiceBusAdministrationClient(self.place.namespace, self._credential, **settings)
            return self._open.enter_context(client)

    @functools.cached_property
    def container(self) -> Any:
        """The client of the container in which blobs lie."""
        from azure.storage.blob import ContainerClient

        place = self.place
        settings: dict[str, Any] = {"retry_total": 3, "initial_backoff": 0.3, "increment_base": 2, **_TIMEOUTS}
        with self.translated("credentials of the storage account"):
            if self._storage_string is not None:
                client = ContainerClient.from_connection_string(self._storage_string, place.container, **settings)
            else:
                client = ContainerClient(place.storage_url, place.container, credential=self._credential, **settings)
            if client.account_name != place.account:
                raise SettingError(
                    f"Got {_STORAGE} of the account {client.account_name!r}, but expected {place.account!r}, as "
                    f"in {self._url}."
                )
            return self._open.enter_context(client)

    @functools.cached_property
    def _credential(self) -> Any:
        from azure.identity import DefaultAzureCredential

        return self._open.enter_context(DefaultAzureCredential())

    def close(self) -> None:
        """Let go of the connections."""
        with contextlib.suppress(TransportError), self.translated("an end"):
            self._open.close()

    @contextlib.contextmanager
    def translated(self, expected: str) -> Iterator[None]:
        """Turn errors of the SDKs into those of a transport.

        Raises
        ------
        AzureAnswerError
            If Azure answered that it does not.
        TransportError
            If there was no answer.
        """
        from azure.core.exceptions import AzureError

        try:
            yield
        except (AzureError, OSError, ValueError) as error:
            if isinstance(error, SettingError | TransportError):
                raise
            self._fail(error, expected)

    def _fail(self, error: Exception, expected: str) -> NoReturn:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        status = getattr(error, "status_code", None)
        missing, denied = bool(kinds & _MISSING) or status == 404, bool(kinds & _DENIED) or status in {401, 403}
        if missing:
            reason = "no such place"
        elif "ClientAuthenticationError" in kinds and status is None:
            reason = "no credentials (neither a connection string nor what DefaultAzureCredential finds)"
        elif kinds & _UNKNOWN:
            reason = f"credentials that Azure does not take ({type(error).__name__})"
        elif denied:
            reason = "no right to (compare `symfed policy`)"
        elif kinds & _LATE:
            reason = "no answer in time"
        elif kinds & _NOBODY:
            reason = f"no connection ({type(error).__name__})"
        else:
            reason = f"the error {type(error).__name__}" + (f" {status}" if isinstance(status, int) else "")
        raise AzureAnswerError(
            f"Got {reason}, from {self._url}, but expected {expected}.", missing=missing, denied=denied
        ) from None

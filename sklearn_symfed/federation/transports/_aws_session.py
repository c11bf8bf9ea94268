"""A connection to AWS: boto3's clients, and what its errors are called here.

Owns whose credentials are used (those of boto3's usual chain), retries, and the words of a failure, which are never
those of the SDK: they may quote a key or a message.
"""

from __future__ import annotations

import contextlib
import functools
import re
from typing import Any, NoReturn

from sklearn_symfed.exceptions import SettingError, TransportError
from sklearn_symfed.federation.transports._aws_names import Names, Place

__all__ = ["AwsError", "Session"]

_ATTEMPTS = 5
_CONNECT, _READ = 5, 30
_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound", "NotFoundException"})
_NO_QUEUE = ("NonExistentQueue", "QueueDoesNotExist")
_DENIED = ("AccessDenied", "AuthorizationError", "UnauthorizedOperation")
_UNKNOWN = ("AccessKeyId", "ClientTokenId", "Expired", "Signature", "UnrecognizedClient", "Credential", "Token")
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}", re.ASCII)


class AwsError(TransportError):
    """AWS answered that it does not; `code` is its word for the reason."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def missing(self) -> bool:
        """Whether what was asked for is not there."""
        return self.code in _MISSING or self.missing_queue

    @property
    def missing_queue(self) -> bool:
        """Whether there is no such queue."""
        return self.code.endswith(_NO_QUEUE)


class Session:
    """Clients of SQS, SNS and S3 in one region, each made when it is first used.

    Parameters
    ----------
    place : Place
    url : str
        The transport's URL, for messages.
    """

    def __init__(self, place: Place, url: str) -> None:
        try:
            import boto3
            import botocore.session
        except ImportError:
            raise SettingError("AwsTransport needs boto3: pip install 'sklearn-symfed[aws]'") from None
        self._place, self._url = place, url
        self._clients: dict[str, Any] = {}
        with self._translated("a profile that can be read"):
            core = botocore.session.get_session()
            core.register_component("data_loader", _loader())
            self._session = boto3.session.Session(botocore_session=core, region_name=place.region)

    @functools.cached_property
    def names(self) -> Names:
        """What things are called; asks whose account it is, if the URL does not say so."""
        place = self._place
        partition = self._session.get_partition_for_region(place.region)
        account = place.account or self.ask("sts", "get_caller_identity")["Account"]
        return Names(partition, place.region, account, place.federation, place.bucket)

    def ask(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Ask a service for something; return its answer.

        Raises
        ------
        AwsError
            If it answered that it does not.
        TransportError
            If there was no answer.
        """
        with self._translated(f"an answer of {service} to {operation}"):
            answer: dict[str, Any] = getattr(self._client(service), operation)(**parameters)
            return answer

    def read(self, **parameters: Any) -> bytes:
        """Return what an object of S3 holds."""
        with self._translated("an object of s3"):
            body = self._client("s3").get_object(**parameters)["Body"]
            with contextlib.closing(body):
                data: bytes = body.read()
        return data

    def pages(self, service: str, operation: str, entries: str, /, **parameters: Any) -> list[Any]:
        """Return all of a list that comes in pages."""
        with self._translated(f"a list of {service}, by {operation}"):
            pages = self._client(service).get_paginator(operation).paginate(**parameters)
            return [entry for page in pages for entry in page.get(entries) or ()]

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            config = Config(
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                connect_timeout=_CONNECT,
                read_timeout=_READ,
                signature_version="s3v4" if service == "s3" else None,
            )
            self._clients[service] = self._session.client(service, config=config)
        return self._clients[service]

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()
        self._clients = {}

    @contextlib.contextmanager
    def _translated(self, expected: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            self._fail(code if _CODE.fullmatch(code) else "an error", expected)
        except (BotoCoreError, HTTPClientError, OSError, ValueError) as error:
            raise TransportError(f"Got {_words(error)}, from {self._url}, but expected {expected}.") from None

    def _fail(self, code: str, expected: str) -> NoReturn:
        if any(word in code for word in _DENIED):
            reason = "no right to (compare `symfed policy`), or a place that belongs to another account,"
        elif any(word in code for word in _UNKNOWN):
            reason = f"credentials that AWS does not take ({code}),"
        elif code == "403":  # all that an answer without a body says
            reason = "no right to, or credentials that AWS does not take,"
        else:
            reason = f"the error {code}"
        raise AwsError(f"Got {reason} from {self._url}, but expected {expected}.", code) from None


def _words(error: Exception) -> str:
    """Return what an error of the SDK, which is no answer of AWS, is called here."""
    name = type(error).__name__
    if any(word in name for word in ("Credential", "Profile", "Config", "Token", "SSO", "Login")):
        return f"no credentials from the usual chain of boto3 ({name})"
    if "Timeout" in name:
        return "no answer in time"
    if any(word in name for word in ("Connection", "Endpoint", "HTTP", "SSL", "Proxy")) or isinstance(error, OSError):
        return f"no connection ({name})"
    return name


@functools.cache
def _loader() -> Any:
    """Return what has read the descriptions of services once, for all sessions."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")

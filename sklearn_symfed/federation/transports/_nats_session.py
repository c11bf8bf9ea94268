"""A connection to a NATS server that blocks: nats-py's event loop in a thread of its own, its errors translated.

Owns the thread, credentials as the environment names them, and what a failure is called.  What is asked of JetStream is
the business of `nats`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import ssl
import threading
import weakref
from collections.abc import Coroutine, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NoReturn, TypeVar

from sklearn_symfed.exceptions import SettingError, TransportError

__all__ = ["ApiError", "Session"]

T = TypeVar("T")

_ANSWER = 10.0
"""So many seconds one request may take."""
_ATTEMPTS, _PAUSE = 5, 0.4
_TLS = ("NATS_CA", "NATS_CERT", "NATS_KEY")
_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"', re.IGNORECASE)


class ApiError(Exception):
    """JetStream answered that it cannot: with a number of its own for the reason."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"error {error.get('err_code')}, {error.get('description')}")
        self.missing = error.get("code") == 404


class _DeniedError(Exception):
    """The server denied a right, or does not know the user, of which it tells apart from any request."""


class Session:
    """One connection.

    Parameters
    ----------
    address : str
        ``nats://host:port``
    url : str
        The transport's URL, for messages.
    inbox : str
        Prefix of the subjects that answers come to.
    rights : iterable of str
        Subjects, with ``*`` and ``>``, that whoever connects needs; one that is denied is named by these.
    """

    def __init__(self, address: str, url: str, inbox: str, rights: Iterable[str] = ()) -> None:
        try:
            from nats.aio.client import Client
        except ImportError:
            raise SettingError("NatsTransport needs nats-py: pip install 'sklearn-symfed[nats]'") from None
        credentials = _credentials()
        self._url = url
        self._rights = tuple(rights)
        self._denied: list[str] = []
        self._refused: list[BaseException] = []
        self._waiting: asyncio.Event
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="symfed-nats", daemon=True)
        self._thread.start()
        weakref.finalize(self, _end, self._loop)
        self._client: Any = _insisting(Client)() if "tls" in credentials else Client()
        try:
            self.run(self._connect(address, inbox, credentials), "a server that lets this user in", seconds=60)
        except BaseException:
            self.close()
            raise
        self.jetstream: Any = self._client.jetstream(timeout=_ANSWER)

    @property
    def max_payload(self) -> int:
        """The largest message that the server takes, headers included, in bytes."""
        return int(self._client.max_payload)

    async def _connect(self, address: str, inbox: str, credentials: Mapping[str, Any]) -> None:
        await self._client.connect(
            address,
            error_cb=_noting(weakref.ref(self)),
            connect_timeout=5,
            max_reconnect_attempts=_ATTEMPTS,
            reconnect_time_wait=_PAUSE,
            inbox_prefix=inbox.encode(),
            **credentials,
        )

    def note(self, error: BaseException) -> None:
        """Remember what the server says apart from any request; called in the loop's thread."""
        denied = _DENIED.search(str(error))
        if denied is None:
            self._refused.append(error)
            if _is_about_credentials(error) or isinstance(error, ssl.SSLError):  # it would not be better next time
                self._waiting.set()
            return
        verb = "publish" if denied[1].lower() == "publish" else "subscribe"
        self._denied.append(f"{verb} to {self._named(denied[2])}")
        self._waiting.set()

    def _named(self, subject: str) -> str:
        """Return a subject, which the server tells in lower case, as the rights that are needed have it."""
        pattern = {right: right.lower().replace(">", "*") for right in self._rights}
        return next((right for right in self._rights if fnmatchcase(subject.lower(), pattern[right])), subject)

    # -- work --------------------------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T], expected: str, *, seconds: float = 3 * _ANSWER) -> T:
        """Do some work in the loop; return what it returns.

        Raises
        ------
        TransportError
            If it fails, or a right is denied meanwhile; says what was `expected`.
        ApiError
            If JetStream said that it cannot.
        """
        future = asyncio.run_coroutine_threadsafe(self._watched(work, seconds), self._loop)
        try:
            return future.result()
        except (ApiError, TransportError):
            raise
        except Exception as error:
            self._fail(error, expected)
        finally:
            future.cancel()

    async def _watched(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Wait for the work or a denial, whichever comes first."""
        self._waiting = asyncio.Event()
        task = asyncio.ensure_future(work)
        denial = asyncio.ensure_future(self._waiting.wait())
        if self._denied:
            self._waiting.set()
        try:
            await asyncio.wait({task, denial}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise _DeniedError if self._waiting.is_set() else TimeoutError
        finally:
            for each in (task, denial):
                each.cancel()
            await asyncio.gather(task, denial, return_exceptions=True)

    def _fail(self, error: Exception, expected: str) -> NoReturn:
        denied, self._denied = self._denied, []
        refused, self._refused = self._refused, []
        if denied:
            reason = f"the server let this user not {denied[0]}: its permissions lack that right"
        elif any(map(_is_about_credentials, (error, *refused))):
            reason = "the server does not take the credentials that the environment names (NATS_USER, NATS_CREDS, ...)"
        elif any(isinstance(each, ssl.SSLError) for each in (error, *refused)):
            reason = "no TLS connection: compare NATS_CA, NATS_CERT and NATS_KEY with what the server asks for"
        elif isinstance(error, TimeoutError | asyncio.TimeoutError):
            reason = "no answer in time"
        elif type(error).__name__ in {"NoRespondersError", "NoStreamResponseError", "ServiceUnavailableError"}:
            reason = "no JetStream, or no federation of that name"
        elif isinstance(error, OSError) or type(error).__name__ in {"NoServersError", "ConnectionClosedError"}:
            reason = "no connection"
        else:
            reason = type(error).__name__
        raise TransportError(f"Got {reason}, from {self._url}, but expected {expected}.") from None

    async def ask(self, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream something, and return its answer."""
        payload = b"" if body is None else json.dumps(body).encode()
        answer = await self._client.request(f"$JS.API.{subject}", payload, timeout=_ANSWER)
        found: dict[str, Any] = json.loads(answer.data)
        if "error" in found:
            raise ApiError(found["error"])
        return found

    async def subscribe(self) -> tuple[str, Any]:
        """Return a subject of this connection alone, and the subscription to it."""
        subject = self._client.new_inbox()
        return subject, await self._client.subscribe(subject)

    async def send(self, subject: str, payload: bytes, reply: str) -> None:
        """Send something whose answers come to a subject."""
        await self._client.publish(subject, payload, reply=reply)

    def close(self) -> None:
        """Send what is under way, and end connection and thread."""
        for work in (self._hang_up(), _cancel_all()):
            with contextlib.suppress(Exception):
                asyncio.run_coroutine_threadsafe(work, self._loop).result(_ANSWER)
        _end(self._loop)
        self._thread.join(_ANSWER)
        if not self._loop.is_running():
            self._loop.close()

    async def _hang_up(self) -> None:
        with contextlib.suppress(Exception):
            if self._client.is_connected:
                await self._client.flush(2)
        await self._client.close()


def _is_about_credentials(error: BaseException) -> bool:
    return "authorization" in str(error).lower() or "authentication" in str(error).lower()


def _noting(session: weakref.ref[Session]) -> Any:
    """Return what nats-py tells its errors to, which does not keep the session alive."""

    async def note(error: BaseException) -> None:
        held = session()
        if held is not None:
            held.note(error)

    return note


async def _cancel_all() -> None:
    """End what the client leaves behind: of an object that was not read to its end, say."""
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=1)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_running():
        loop.call_soon_threadsafe(loop.stop)


def _insisting(client: Any) -> Any:
    """Return a client that sends no credentials where the server, or somebody in between, does not ask for TLS."""

    class Insisting(client):  # type: ignore[misc]
        def _connect_command(self) -> Any:
            if not self._server_info.get("tls_required"):
                raise ssl.SSLError
            return super()._connect_command()

    return Insisting


def _credentials() -> dict[str, Any]:
    """Return what the environment says of the user and of TLS, under the names that NATS' own tools read."""
    names = {"NATS_USER": "user", "NATS_PASSWORD": "password", "NATS_TOKEN": "token"}
    names |= {"NATS_CREDS": "user_credentials", "NATS_NKEY": "nkeys_seed"}
    found: dict[str, Any] = {option: os.environ[name] for name, option in names.items() if os.environ.get(name)}
    files = {name: path for name in ("NATS_CREDS", "NATS_NKEY", *_TLS) if (path := os.environ.get(name))}
    for name, path in files.items():
        if not os.access(path, os.R_OK):
            raise TransportError(f"Got {name} in the environment, but expected it to name a file that can be read.")
    if files.keys() & set(_TLS):
        context = ssl.create_default_context(cafile=files.get("NATS_CA"))
        if "NATS_CERT" in files:
            context.load_cert_chain(files["NATS_CERT"], files.get("NATS_KEY"))
        found["tls"] = context
    return found

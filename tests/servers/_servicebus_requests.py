"""What Service Bus answers to requests by message: tokens at `$cbs`, locks and dispositions at `ENTITY/$management`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from proton import UNDESCRIBED, Array, Data, Message, int32, symbol

from tests.servers._servicebus_entities import NamespaceError, NotFound, NotSupported
from tests.servers._servicebus_messages import Line, LockLost, Messages
from tests.servers._servicebus_tokens import Unauthorized, expiry_of, path_of
from tests.servers._servicebus_wire import delivered, milliseconds, text

# azure-servicebus calls its signatures a JWT; what a token is, it says itself.
TYPES = ("servicebus.windows.net:sastoken", "jwt")
MANAGEMENT = "/$management"

_CONDITIONS: Mapping[type[Exception], tuple[int, str]] = {
    LockLost: (410, "com.microsoft:message-lock-lost"),
    NotFound: (404, "amqp:not-found"),
    NotSupported: (501, "amqp:not-implemented"),
}


class _ArgumentError(NamespaceError):
    """A request that says too little, or something else than it should."""


@dataclass(frozen=True)
class Tokens:
    """Takes tokens for one connection.

    Parameters
    ----------
    keys : mapping
        The key of each name.
    clock : callable
    put : callable
        Told the audience's path and until when it may be used.
    """

    keys: Mapping[str, str]
    clock: Callable[[], float]
    put: Callable[[str, float], None]

    def answer(self, request: Message) -> Message:
        """Return the response to a request."""
        try:
            self._take(request)
            code, told = 202, "Accepted"
        except Unauthorized as refused:
            code, told = 401, str(refused)
        return _response(request, {"status-code": int32(code), "status-description": told})

    def _take(self, request: Message) -> None:
        asked = {name: text(value) for name, value in (request.properties or {}).items()}
        if asked.get("operation") != "put-token" or asked.get("type") not in TYPES:
            raise Unauthorized(f"the operation must be put-token, and the token's type one of {TYPES}")
        audience = asked.get("name") or ""
        self.put(path_of(audience), expiry_of(text(request.body) or "", audience, self.keys, self.clock()))


@dataclass(frozen=True)
class Management:
    """Does by request what links do by disposition, for one entity.

    Parameters
    ----------
    messages : Messages
    address : str
        Of the entity.
    """

    messages: Messages
    address: str

    def answer(self, request: Message) -> Message:
        """Return the response to a request."""
        operations = {
            "com.microsoft:renew-lock": self._renew,
            "com.microsoft:peek-message": self._peek,
            "com.microsoft:update-disposition": self._dispose,
        }
        name = text((request.properties or {}).get("operation"))
        result: dict[str, Any] | None
        try:
            if name not in operations:
                raise NotSupported(f"operation {name}")
            if not isinstance(request.body, dict):
                raise _ArgumentError("the body must be a map")
            result = operations[name](self.messages.line(self.address), request.body)
        except NamespaceError as refused:
            code, condition = _CONDITIONS.get(type(refused), (400, "com.microsoft:argument-error"))
            said = {"statusCode": int32(code), "statusDescription": str(refused), "errorCondition": symbol(condition)}
            return _response(request, said)
        code, told = (204, "No Content") if result is None else (200, "OK")
        return _response(request, {"statusCode": int32(code), "statusDescription": told}, result)

    def _renew(self, line: Line, body: Mapping[str, Any]) -> dict[str, Any]:
        until = [milliseconds(self.messages.renew(line, token)) for token in _tokens(body)]
        return {"expirations": Array(UNDESCRIBED, Data.TIMESTAMP, *until)}

    def _peek(self, line: Line, body: Mapping[str, Any]) -> dict[str, Any] | None:
        start, most = body.get("from-sequence-number"), body.get("message-count")
        if not isinstance(start, int) or not isinstance(most, int):
            raise _ArgumentError("from-sequence-number and message-count must be numbers")
        found = self.messages.peek(line, start, most)
        return {"messages": [{"message": delivered(waiting)} for waiting in found]} if found else None

    def _dispose(self, line: Line, body: Mapping[str, Any]) -> dict[str, Any]:
        status = text(body.get("disposition-status"))
        for token in _tokens(body):
            if status == "completed":
                self.messages.complete(line, token)
            elif status == "abandoned":
                self.messages.abandon(line, token)
            elif status == "suspended":
                why = (text(body.get("deadletter-reason")), text(body.get("deadletter-description")))
                self.messages.dead_letter(line, token, *why)
            else:
                raise NotSupported(f"disposition {status}")
        return {}


def _tokens(body: Mapping[str, Any]) -> list[UUID]:
    given = body.get("lock-tokens")
    if not isinstance(given, Array) or given.type != Data.UUID or not given.elements:
        raise _ArgumentError("lock-tokens must be an array of UUIDs")
    return list(given.elements)


def _response(request: Message, properties: Mapping[str, Any], body: object = None) -> Message:
    asked = request.id
    return Message(
        correlation_id=bytes(asked) if isinstance(asked, memoryview) else asked, properties=dict(properties), body=body
    )

"""AMQP 1.0's bytes, as far as a broker reads them: frames of a connection, and sections of a message.

proton hides two things that Service Bus depends on: the format of a message, which says that it is a batch (so frames
are read here, too), and what a message consists of (so a body is never decoded, and delivered as it was sent).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from proton import Data, Described, ProtonException, symbol, timestamp, uint, ulong

from tests.servers._servicebus_entities import DEAD_LETTERS, Correlation
from tests.servers._servicebus_messages import Sent, Waiting

BATCH = 0x80013700
FRAME = 64 * 1024
SCHEDULED = "x-opt-scheduled-enqueue-time"

_TRANSFER = 0x14
_HEADER, _DELIVERY_ANNOTATIONS, _ANNOTATIONS, _PROPERTIES, _APPLICATION, _BODY = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75


class Malformed(ValueError):  # noqa: N818
    """Bytes that are no message."""


class Frames:
    """What a connection has received, frame by frame."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what is complete: frames, and the eight bytes that open a protocol; what is neither, as it comes."""
        self._rest += data
        while len(self._rest) >= 8:
            size = 8 if self._rest.startswith(b"AMQP") else int.from_bytes(self._rest[:4], "big")
            if not 8 <= size <= FRAME:
                size = len(self._rest)
            if len(self._rest) < size:
                return
            frame = bytes(self._rest[:size])
            del self._rest[:size]
            yield frame


def message_format(frame: bytes) -> int | None:
    """Return which format a frame says that the message has which it begins to transfer; None for any other frame."""
    body = memoryview(frame)[4 * frame[4] :]
    if frame.startswith(b"AMQP") or bytes(body[:3]) != bytes((0, 0x53, _TRANSFER)):
        return None
    try:
        return int(_first(body)[1].value[3])
    except (ProtonException, IndexError, TypeError):  # none is said, or the engine is about to refuse the frame
        return None


def read(data: bytes, fmt: int) -> list[Sent]:
    """Return the messages that were sent: one, or those of a batch; raise `Malformed`."""
    try:
        if fmt != BATCH:
            return [_sent(data)]
        return [_sent(value.value) for code, value, _ in _sections(data, bodies=True) if code == _BODY]
    except (ProtonException, ValueError, TypeError, IndexError, AttributeError) as error:
        raise Malformed("no message") from error


def scheduled(sent: Sent) -> bool:
    """Tell whether a message asks to be held back, which this broker does not do."""
    return any(code == _ANNOTATIONS and SCHEDULED in value.value for code, value, _ in _sections(sent.data))


def delivered(waiting: Waiting) -> bytes:
    """Return a message as a receiver gets it: with the broker's header, annotations and reason, otherwise as sent."""
    found = {code: (value, raw) for code, value, raw in _sections(waiting.data) if code < _BODY}
    tail = b"".join(raw for code, _, raw in _sections(waiting.data) if code >= _BODY)
    header = [*_value(found, _HEADER, []), None, None, None, None, None][:5]
    header[4] = uint(waiting.count)
    annotations = {**_value(found, _ANNOTATIONS, {}), **_stamps(waiting)}
    parts = [_described(_HEADER, header), _described(_ANNOTATIONS, annotations)]
    if _PROPERTIES in found:
        parts.append(found[_PROPERTIES][1])
    why = {"DeadLetterReason": waiting.reason, "DeadLetterErrorDescription": waiting.description}
    added = {name: text for name, text in why.items() if text is not None}
    if added or _APPLICATION in found:
        parts.append(_described(_APPLICATION, {**_value(found, _APPLICATION, {}), **added}))
    return b"".join([*parts, tail])


def milliseconds(moment: float) -> timestamp:
    """Return seconds since the epoch as AMQP has them."""
    return timestamp(int(moment * 1000))


def text(value: Any) -> str | None:
    """Return what a client says, which some clients say in bytes."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return None if value is None else str(value)


def _stamps(waiting: Waiting) -> Mapping[symbol, Any]:
    stamps: dict[str, Any] = {
        "x-opt-sequence-number": waiting.sequence,
        "x-opt-enqueue-sequence-number": waiting.origin,
        "x-opt-enqueued-time": milliseconds(waiting.enqueued),
    }
    if waiting.locked_until is not None:
        stamps["x-opt-locked-until"] = milliseconds(waiting.locked_until)
    if waiting.line.dead:
        stamps["x-opt-deadletter-source"] = waiting.line.path.removesuffix(DEAD_LETTERS)
    return {symbol(name): value for name, value in stamps.items()}


def _sent(data: bytes) -> Sent:
    found = {code: (value, raw) for code, value, raw in _sections(data)}
    if max(found, default=0) < _BODY:
        raise Malformed("no body")
    properties = [*_value(found, _PROPERTIES, []), *[None] * 13][:13]
    texts = [None if value is None else str(value) for value in properties]
    header = _value(found, _HEADER, [])
    lives = header[2] if len(header) > 2 else None
    fields = Correlation(
        message_id=texts[0],
        to=texts[2],
        label=texts[3],
        reply_to=texts[4],
        correlation_id=texts[5],
        content_type=texts[6],
        session_id=texts[10],
        reply_to_session_id=texts[12],
        properties=_value(found, _APPLICATION, {}),
    )
    return Sent(data, fields, None if lives is None else timedelta(milliseconds=int(lives)))


def _value(found: Mapping[int, tuple[Described, bytes]], code: int, otherwise: Any) -> Any:
    return found[code][0].value if code in found else otherwise


def _sections(data: bytes, *, bodies: bool = False) -> Iterator[tuple[int, Any, bytes]]:
    """Yield code, described value and bytes of each section; a body's value only if it is asked for."""
    at = 0
    while at < len(data):
        code = data[at + 2]
        if data[at : at + 2] != b"\x00\x53" or not _HEADER <= code <= 0x78:
            raise Malformed("no section of a message")
        size, described = _first(memoryview(data)[at:], value=bodies or code < _BODY)
        yield code, described, data[at : at + size]
        at += size


def _first(data: memoryview, *, value: bool = True) -> tuple[int, Any]:
    """Return how long the first value is, and that value."""
    reader = Data()
    size = reader.decode(data)
    reader.next()
    return size, _owned(reader.get_py_described()) if value else None


def _owned(value: Any) -> Any:
    """Return a value that outlives the reader, which lends views of its own memory."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Described):
        return Described(value.descriptor, _owned(value.value))
    if isinstance(value, dict):
        return {key: _owned(each) for key, each in value.items()}
    if type(value) is list:
        return [_owned(each) for each in value]
    return value


def _described(code: int, value: Any) -> bytes:
    writer = Data()
    writer.put_py_described(Described(ulong(code), value))
    return bytes(writer.encode())

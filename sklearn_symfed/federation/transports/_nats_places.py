"""The streams of a federation on a NATS server and its members' consumers: made where there are none, and removed.

Owns their settings.  What is there stays as it is, so an operator may have made it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn_symfed.exceptions import TransportError
from sklearn_symfed.federation.transports._nats_names import Names, member_of
from sklearn_symfed.federation.transports._nats_session import ApiError, Session

__all__ = ["Places"]

_KEPT = 14 * 86_400
"""So many seconds a message waits for whoever does not read, as long as any cloud's queue keeps one."""
_SECOND = 10**9


class Places:
    """Of one federation; members are given as tokens.

    Parameters
    ----------
    session : Session
    names : Names
    url : str
        The transport's URL, for messages.
    """

    def __init__(self, session: Session, names: Names, url: str) -> None:
        self._session = session
        self._names = names
        self._url = url

    def make_streams(self) -> None:
        """Make the streams and the object store that are not there."""
        names, common = self._names, {"storage": "file", "max_age": _KEPT * _SECOND, "discard": "old"}
        messages = {"subjects": [names.to_all("*"), names.to_one("*", "*")], "retention": "interest"}
        dead = {"subjects": [names.dead("*")], "retention": "limits", "max_msgs_per_subject": 1000}
        objects = {"subjects": [f"$O.{names.stream}.C.>", f"$O.{names.stream}.M.>"], "allow_rollup_hdrs": True}
        for stream, settings in ((names.stream, messages), (names.dead_stream, dead), (names.objects, objects)):
            if not self._is_there(stream):
                self._ask(f"STREAM.CREATE.{stream}", {"name": stream, **common, **settings})

    def members(self) -> Iterator[str]:
        """Yield who has an inbox: the name, or, where a consumer is nobody's, what it is called."""
        for token in self._consumers():
            yield member_of(token) or token

    def has_inbox(self, member: str) -> bool:
        """Tell whether a member has an inbox."""
        return self._ask(f"CONSUMER.INFO.{self._names.stream}.{member}", missing_ok=True) is not None

    def make_inbox(self, member: str, seconds: float) -> None:
        """Make a member's inbox, out of which a message comes again after so many seconds."""
        settings = {
            "durable_name": member,
            "deliver_policy": "new",
            "ack_policy": "explicit",
            "ack_wait": int(seconds * _SECOND),
            "filter_subjects": [self._names.to_all("*"), self._names.to_one(member, "*")],
        }
        stream = self._names.stream
        self._ask(f"CONSUMER.DURABLE.CREATE.{stream}.{member}", {"stream_name": stream, "config": settings})

    def remove_inbox(self, member: str) -> None:
        """Take down a member's inbox."""
        self._ask(f"CONSUMER.DELETE.{self._names.stream}.{member}", missing_ok=True)

    def dead_letters(self, member: str) -> int:
        """Return how many messages a member set aside and are kept yet."""
        subject = self._names.dead(member)
        info = self._ask(f"STREAM.INFO.{self._names.dead_stream}", {"subjects_filter": subject}, missing_ok=True)
        subjects = (info or {}).get("state", {}).get("subjects") or {}
        return int(subjects.get(subject, 0))

    def listed(self) -> list[str]:
        """Return what there is, in words."""
        names = self._names
        words = {
            names.stream: f"stream {names.stream}",
            names.dead_stream: f"stream {names.dead_stream}",
            names.objects: f"object store {names.stream}",
        }
        consumers = [f"consumer {token}" for token in self._consumers()]
        return [*(word for stream, word in words.items() if self._is_there(stream)), *consumers]

    def remove_all(self) -> None:
        """Take down the streams, with their consumers, and the object store."""
        for stream in (self._names.stream, self._names.dead_stream, self._names.objects):
            self._ask(f"STREAM.DELETE.{stream}", missing_ok=True)

    def _is_there(self, stream: str) -> bool:
        return self._ask(f"STREAM.INFO.{stream}", missing_ok=True) is not None

    def _consumers(self) -> list[str]:
        """Return the names of the consumers of messages, in order; the server tells a thousand at once."""
        found: list[str] = []
        while True:
            asked = self._ask(f"CONSUMER.NAMES.{self._names.stream}", {"offset": len(found)}, missing_ok=True) or {}
            found += asked.get("consumers") or ()
            if not asked.get("consumers") or len(found) >= asked.get("total", 0):
                return sorted(found)

    def _ask(self, what: str, body: dict[str, Any] | None = None, *, missing_ok: bool = False) -> dict[str, Any] | None:
        expected = f"an answer to {what.partition('.symfed')[0].partition('.OBJ_symfed')[0]}"
        try:
            return self._session.run(self._session.ask(what, body), expected)
        except ApiError as error:
            if missing_ok and error.missing:
                return None
            raise TransportError(f"Got {error}, from {self._url}, but expected {expected}.") from None

"""Processes that carry out orders until they are killed with SIGKILL, and tell in which transaction they then were.

A process is forked from this one, so that the package is imported once.  It is killed from outside, or kills itself
before a given line of a transaction.  Nothing in the package helps: a trace function counts the lines of those of its
files that have effects.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn_symfed.federation import (
    Federation,
    Store,
    _federation,
    _home,
    _inboxes,
    _learning,
    _pulsing,
    _store,
    _tables,
)
from sklearn_symfed.federation.transports import base, directory

TRANSACTIONS = {
    "learn": Federation.learn,
    "publish": Federation._send,
    "receive": Federation._take_in,
    "ack": base.Transport.ack,
    "join": Federation.join.__func__,
    "rotate": Federation.rotate_key,
    "forget": Federation.forget,
    "open": Store.open.__func__,
    "create": Federation.create.__func__,
    "invite": Federation.invite,
}
NAME_OF = {function.__code__: name for name, function in TRANSACTIONS.items()}
NAMES = ("elsewhere", *TRANSACTIONS)
MODULES = (_federation, _home, _inboxes, _learning, _pulsing, _store, _tables, base, directory)
FILES = [module.__file__ for module in MODULES]
POSITION = struct.Struct("<III")


class Tracer:
    """Knows in which transaction this process is, and counts its lines; kills the process at one of them."""

    def __init__(self, shared: mmap.mmap) -> None:
        self.shared = shared
        self.inside: list[str] = []
        self.counts: Counter[tuple[str, int, int]] = Counter()
        self.target: tuple[tuple[str, int, int], int] | None = None

    def on_call(self, frame: Any, event: str, arg: Any) -> Any:
        name = NAME_OF.get(frame.f_code)
        if name is not None:
            self.inside.append(name)
            return self.on_line_of_transaction
        return self.on_line if self.inside and frame.f_code.co_filename in FILES else None

    def on_line_of_transaction(self, frame: Any, event: str, arg: Any) -> Any:
        self.on_line(frame, event, arg)
        if event == "return":
            self.inside.pop()
            self.note(0, 0)
        return self.on_line_of_transaction

    def on_line(self, frame: Any, event: str, arg: Any) -> Any:
        if event == "line":
            point = self.inside[-1], FILES.index(frame.f_code.co_filename), frame.f_lineno
            self.note(*point[1:])
            self.counts[point] += 1
            if self.target == (point, self.counts[point]):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.on_line

    def note(self, file: int, line: int) -> None:
        """Leave word of where this is to whoever kills this process."""
        POSITION.pack_into(self.shared, 0, NAMES.index(self.inside[-1]) if self.inside else 0, file, line)


class Process:
    """A process of its own, which has `player` do what it is asked."""

    def __init__(self, player: Callable[..., Any]) -> None:
        self.shared = mmap.mmap(-1, POSITION.size)
        orders, self._orders = os.pipe()
        answers, replies = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders), os.close(answers)
            _serve(player, self.shared, os.fdopen(orders), os.fdopen(replies, "w"))
        os.close(orders), os.close(replies)
        self._replies = os.fdopen(answers)

    def ask(self, order: dict[str, Any], seconds: float | None) -> dict[str, Any] | None:
        """Have an order carried out; None if the process died of it, or did not answer within so many seconds."""
        os.write(self._orders, (json.dumps(order) + "\n").encode())
        if seconds is not None and not select.select([self._replies], [], [], max(0.0, seconds))[0]:
            return None
        line = self._replies.readline()
        return json.loads(line) if line else None

    def kill(self) -> str:
        """Kill it, unless it has died, and return where it was."""
        os.kill(self.pid, signal.SIGKILL)  # that of a dead one is nobody else's before it was waited for
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            raise BrokenError(f"a process ended with status {status}")
        os.close(self._orders), self._replies.close()
        name, file, line = POSITION.unpack_from(self.shared)
        return f"{NAMES[name]} {Path(FILES[file]).name}:{line}" if name else NAMES[0]


def _serve(player: Callable[..., Any], shared: mmap.mmap, orders: Any, replies: Any) -> None:
    """Be the process that does what it is told until it is killed."""
    tracer, place = Tracer(shared), None
    for line in orders:
        order = json.loads(line)
        if order["place"] != place:
            place = order["place"]
            tracer.counts.clear()
        if order["target"]:
            *point, count = order["target"]
            tracer.target = (*point,), count
        sys.settrace(tracer.on_call if order["traced"] else None)
        try:
            reply = {"value": player(*order["do"])}
        except BaseException as error:
            reply = {"error": f"{order['do'][:2]}: {type(error).__name__}: {error}"}
        sys.settrace(None)
        counts = [(*point, count) for point, count in tracer.counts.items()] if order["counted"] else []
        print(json.dumps({**reply, "counts": counts}), file=replies, flush=True)
    os._exit(0)


class BrokenError(Exception):
    """A run did not end as it should."""

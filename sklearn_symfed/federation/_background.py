"""Pulsing while the user does something else: a daemon thread that repeats a step and keeps its error.

Owns the thread, the waits between steps and the error that no caller has seen yet; what a step is it does not know.
"""

from __future__ import annotations

import logging
import random
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Protocol

from sklearn_symfed.exceptions import FederationError, SymfedError
from sklearn_symfed.federation._schedule import backoff, jittered, parse_schedule

__all__ = ["Background", "Interval"]

_log = logging.getLogger("sklearn_symfed")


class Background:
    """Repeats a step under a lock until stopped.

    Parameters
    ----------
    step : callable
        A bound method, what to do; a `SymfedError` of it is kept and tried again after a longer wait, any other error
        ends the thread.  Its object is not kept alive: once nobody else holds it, the thread ends.
    lock : RLock
        Held during each step.
    name : str
        For the thread and the log.
    """

    def __init__(self, step: MethodType, lock: threading.RLock, name: str) -> None:
        self._step = weakref.WeakMethod(step)
        self._lock = lock
        self._name = name
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._kept: Exception | None = None
        self._ended = False

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, interval: Callable[[], float]) -> None:
        """Step now, and then again and again, after about so many seconds as `interval` returns each time."""
        with self._lock:
            if self.running:
                raise FederationError("This node pulses already; stop that first.")
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(interval, self._stop), name=f"symfed-{self._name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the step that it may be at; call without holding the lock."""
        self.quit()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def quit(self) -> None:
        """Have the thread end after the step that it may be at, and do not wait for that."""
        self._stop.set()

    def raise_kept(self, *, fatal: bool = False) -> None:
        """Raise the error that the newest step ended with, unless that was done before.

        Parameters
        ----------
        fatal : bool, default=False
            Only if it ended the thread.

        Raises
        ------
        FederationError
            From the error that ended the thread.
        SymfedError
            That of the newest step, if the thread goes on.
        """
        with self._lock:
            kept, ended = self._kept, self._ended
            if kept is None or (fatal and not ended):
                return
            self._kept, self._ended = None, False
        if ended:
            raise FederationError(
                f"The pulses in the background have ended with {type(kept).__name__}: {kept}.  The call that raises "
                "this was not carried out: repeat it, and start pulsing again."
            ) from kept
        kept.add_note("This comes from a pulse in the background; the call that raises it was not carried out.")
        raise kept

    def _run(self, interval: Callable[[], float], stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            step = self._step()
            if step is None:
                return
            try:
                with self._lock:
                    step()
                    self._kept = None
                failures = 0
            except SymfedError as error:
                _log.warning("a pulse of %r failed: %s: %s", self._name, type(error).__name__, error)
                self._kept = _bare(error)
                failures += 1
            except Exception as error:
                _log.exception("the background pulse of %r has ended", self._name)
                self._kept, self._ended = _bare(error), True
                return
            del step
            stop.wait(jittered(backoff(interval(), failures), random.random()))  # noqa: S311 - no secret


class Scheduled(Protocol):
    """Whoever pulses by a schedule."""

    @property
    def schedule(self) -> str:
        """How often: "30s"."""
        ...


class Interval:
    """The seconds between two pulses: as asked for, or as the roster now says; keeps its node from no garbage."""

    def __init__(self, node: Scheduled, seconds: float | None) -> None:
        self._node = weakref.ref(node)
        self._seconds = seconds

    def __call__(self) -> float:
        node = self._node()
        if self._seconds is not None or node is None:
            return self._seconds or 1.0
        return parse_schedule(node.schedule)


def _bare(error: Exception) -> Exception:
    """Return the error without the frames that it went through, which would keep alive all that they hold."""
    link: BaseException | None = error
    for _ in range(100):
        if link is None:
            break
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error

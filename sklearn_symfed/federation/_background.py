"""Pulsing while the user does something else: a daemon thread that repeats a step and keeps its error.

Owns the thread, the waits between steps and the error that no caller has seen yet; what a step is it does not know.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sklearn_symfed.exceptions import FederationError, SymfedError
from sklearn_symfed.federation._schedule import backoff

__all__ = ["Background"]

_log = logging.getLogger("sklearn_symfed")


class Background:
    """Repeats a step under a lock until stopped.

    Parameters
    ----------
    step : callable
        What to do; a `SymfedError` of it is kept and tried again after a longer wait, any other error ends the thread.
    lock : RLock
        Held during each step.
    name : str
        For the thread and the log.
    """

    def __init__(self, step: Callable[[], object], lock: threading.RLock, name: str) -> None:
        self._step = step
        self._lock = lock
        self._name = name
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._kept: Exception | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, seconds: float) -> None:
        """Step now, and then every so many seconds."""
        with self._lock:
            if self.running:
                raise FederationError("This node pulses already; stop that first.")
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(seconds, self._stop), name=f"symfed-{self._name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the step that it may be at; call without holding the lock."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def raise_kept(self) -> None:
        """Raise the error that the newest step ended with, unless that was done before."""
        with self._lock:
            kept, self._kept = self._kept, None
        if kept is not None:
            raise kept

    def _run(self, seconds: float, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                with self._lock:
                    self._step()
                    self._kept = None
                failures = 0
            except SymfedError as error:
                self._kept = error
                failures += 1
            except Exception as error:
                self._kept = error
                _log.exception("the background pulse of %r has ended", self._name)
                return
            stop.wait(backoff(seconds, failures))

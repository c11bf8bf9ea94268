"""A server as a process of its own on loopback: started, waited for, killed, started again on the same port.

Owns the process; which server, and how it says that it answers, is the business of the modules beside this one.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

PATIENCE = 60.0
MISSING = "is not installed: make test-all installs it"


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def skip_without(what: str) -> NoReturn:
    """Skip, in words by which `conftest.py` knows it, and has it shown once for all tests."""
    pytest.skip(f"{what} {MISSING}")


@dataclass(frozen=True)
class Carrier:
    """Where a federation can be founded.

    Attributes
    ----------
    url : str
    variables : mapping
        What a process needs in its environment.
    """

    url: str
    variables: Mapping[str, str] = field(default_factory=dict)


class Server:
    """One server.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Where it runs, and its log lies.
    answers : callable
        Tells whether it takes requests.
    environment : mapping, default=None
        What it finds in its environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._answers = answers
        self._environment = None if environment is None else dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it answers."""
        log = self._folder / "server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, env=self._environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                tail = log.read_text("utf-8", "replace")[-2000:]
                raise AssertionError(f"{self._command[0]} does not answer: {tail}")
            time.sleep(0.02)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self._end(kill=True)
        self.start()

    def stop(self) -> None:
        """End it."""
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        (process.kill if kill else process.terminate)()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

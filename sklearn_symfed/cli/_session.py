"""What all commands share: exit codes, the home and whose turn it is, answers, and secrets.

A home is used by one process at a time.  A command that finds it in use leaves a note in it and waits; `symfed pulse
--every`, which holds it for long, lets go of it when it sees the note.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sklearn_symfed import FederatedPSR, Guard
from sklearn_symfed.exceptions import (
    FederationError,
    HomeInUseError,
    NothingLearnedError,
    SettingError,
    StillWaitingError,
    SymfedError,
    TransportError,
)

__all__ = [
    "EXIT_CODES",
    "AsJson",
    "Commands",
    "Exit",
    "Home",
    "answer",
    "guard_of",
    "is_wanted",
    "node_of",
    "opened",
    "pairs",
    "read_text",
    "say",
    "secret",
    "split",
    "write_secret",
]

PATIENCE = 60.0
"""So many seconds a command waits for its turn at the home."""
_NOTE = "wanted"
_STEP = 0.1


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    PENDING = 3
    UNREACHABLE = 4
    BUSY = 5


EXIT_CODES = {
    Exit.DONE: "done",
    Exit.REFUSED: "refused or failed; the message says why, and nothing was changed unless it says so",
    Exit.USAGE: "wrong usage",
    Exit.PENDING: "pending: nothing is published, known or agreed on yet; pulse again later",
    Exit.UNREACHABLE: "the carrier cannot be reached; nothing is lost, try again",
    Exit.BUSY: "another process uses the home, and did not let go of it",
}

_CODES: dict[type[SymfedError], Exit] = {
    NothingLearnedError: Exit.PENDING,
    StillWaitingError: Exit.PENDING,
    TransportError: Exit.UNREACHABLE,
    HomeInUseError: Exit.BUSY,
}

Home = Annotated[
    Path,
    typer.Option(
        "--home", envvar="SYMFED_HOME", file_okay=False, help="The node's own folder, on a disk of this machine."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else goes to stderr.")]


class Commands(TyperGroup):
    """The group of all commands: an error of the package becomes one line on stderr, and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except SymfedError as error:
            say(f"symfed: {error}")
            raise typer.Exit(_exit_code(error)) from None

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """Return the commands in the order in which they are used, not by name."""
        return list(self.commands)


def _exit_code(error: SymfedError) -> Exit:
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), Exit.REFUSED)


# -- the home --------------------------------------------------------------------------------------------------------


def node_of(home: Path, patience: float = PATIENCE, *, note: bool = True, **params: Any) -> FederatedPSR:
    """Open a node's home, once it is this process's turn.

    Parameters
    ----------
    home : Path
        It must exist.
    patience : float, default=60.0
        For so many seconds it may be in use.
    note : bool, default=True
        Whether to ask a process that pulses to let go of it.
    **params
        Of `FederatedPSR`.
    """
    params = _guarded(params)
    return _in_turn(home, lambda: FederatedPSR.open(home, **params), patience, note=note)


def _guarded(params: dict[str, Any]) -> dict[str, Any]:
    """Add this node's own guard from the environment: it holds for whatever command pulses by the way, too."""
    if params.get("guard") is not None:
        return params
    return {**params, "guard": guard_of(os.environ.get("SYMFED_GUARD", "").split())}


def _in_turn(home: Path, open_it: Callable[[], FederatedPSR], patience: float, *, note: bool) -> FederatedPSR:
    ends, waited = time.monotonic() + patience, False
    while True:
        try:
            node = open_it()
        except HomeInUseError:
            if time.monotonic() >= ends:
                raise
        else:
            if waited:
                is_wanted(home)
            return node
        waited = note
        if note:
            (home / _NOTE).touch()
        time.sleep(_STEP)


def is_wanted(home: Path) -> bool:
    """Tell whether somebody left a note that it waits for the home, and take the note away."""
    try:
        os.unlink(home / _NOTE)  # noqa: PTH108 - one call tells and takes
    except FileNotFoundError:
        return False
    return True


@contextmanager
def opened(home: Path, *, create: bool = False, **params: Any) -> Iterator[FederatedPSR]:
    """Yield the node that lives in a home, and close it.

    Parameters
    ----------
    home : Path
    create : bool, default=False
        Whether to make the home if it is missing.
    **params
        Of `FederatedPSR`.
    """
    params = _guarded(params)

    def new() -> FederatedPSR:
        node = FederatedPSR(home=home, **params)
        node.is_member  # noqa: B018 - opens the home where there is one
        return node

    open_it = new if create else lambda: FederatedPSR.open(home, **params)
    with _in_turn(home, open_it, PATIENCE, note=True) as node:
        yield node


# -- words -----------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Tell a human, on stderr."""
    typer.echo(text, err=True)


def answer(document: Any, text: str | Callable[[], object], *, as_json: bool) -> None:
    """Put the answer of a reading command on stdout: as JSON, or as people read it."""
    if as_json:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    elif callable(text):
        text()
    else:
        typer.echo(text)


def split(names: str | None) -> list[str] | None:
    """Return names that are separated by commas."""
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def pairs(options: list[str] | None, expected: str) -> dict[str, str]:
    """Return options of the form NAME=VALUE."""
    found = {}
    for option in options or []:
        name, separator, value = option.rpartition("=")
        if not (name and separator and value):
            raise typer.BadParameter(f"Got {option!r}, but expected {expected}.")
        found[name] = value
    return found


def guard_of(options: list[str] | None) -> Guard | str | None:
    """Return the guard that options describe, the rest of it as by default."""
    if not options:
        return None
    if options == ["off"]:
        return "off"
    thresholds = pairs(options, "NAME=NUMBER, as rows=50, or off")
    known = [field.name for field in fields(Guard)]
    for name, number in thresholds.items():
        if name not in known or not number.isdecimal():
            raise typer.BadParameter(f"Got {name}={number}, but expected numbers for some of {known}.")
    return Guard(**{name: int(number) for name, number in thresholds.items()})


# -- secrets ---------------------------------------------------------------------------------------------------------


def secret(what: str, variable: str, file: Path | None) -> str:
    """Return a secret from a file, an environment variable, or, hidden, from whoever sits at the terminal."""
    if file is not None:
        return read_text(file)
    if os.environ.get(variable):
        return os.environ[variable].strip()
    return str(typer.prompt(what, hide_input=True, err=True)).strip()


def read_text(file: Path) -> str:
    """Return what a file of text says; - is stdin.

    Raises
    ------
    SettingError
        If it cannot be read, or is no text.
    """
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode().strip()
    except OSError as error:
        raise SettingError(f"Got {error.strerror!r} from {str(file)!r}, but expected a file to read.") from None
    except UnicodeDecodeError:
        raise SettingError(f"Got {str(file)!r}, which is no text, but expected what symfed wrote.") from None


def write_secret(file: Path, text: str) -> None:
    """Write a secret to a new file that its owner alone may read.

    Raises
    ------
    FederationError
        If the file exists, or cannot be written.
    """
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened_file:  # noqa: PTH123 - a descriptor
            opened_file.write(text + "\n")
    except OSError as error:
        raise FederationError(
            f"Got {error.strerror!r} from {str(file)!r}, but expected a new file in a folder that can be written."
        ) from None

"""What people see of a federation: the table of its members, once or live, and the log in lines."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sklearn_symfed.exceptions import HomeInUseError

__all__ = ["as_time", "log_of", "show", "status_table", "watch"]

_HEADER = ("member", "role", "rows", "version", "digest", "age", "lag", "last refusal")
_RIGHT = {"rows", "version", "age"}
_NOTES = ("pending", "dead_letters", "last_refusal")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def status_table(facts: dict[str, Any]) -> Group:
    """Return the state of a federation as a table, and the lines below it."""
    table = Table(title=Text(f"{facts['federation']} · {facts['url']}"), title_justify="left", box=box.SIMPLE_HEAD)
    for name in _HEADER:
        table.add_column(name, justify="right" if name in _RIGHT else "left", no_wrap=name != _HEADER[-1])
    for member in facts["members"]:
        table.add_row(*(Text(cell) for cell in _cells(member, facts["member"])))
    state = "all members hold the same" if facts["converged"] else "not all members hold the same yet"
    digest = f", digest {facts['merged_digest'][:12]}" if facts["merged_digest"] else ""
    lines = [f"{facts['rows']:,} rows{digest}: {state}"]
    if not facts["published"]:
        lines.append("unpublished: this node has learned or forgotten rows since its version")
    lines += [f"{member['name']}: {member['note']}" for member in facts["members"] if member["note"]]
    lines += [f"{name.replace('_', ' ')}: {facts[name]}" for name in _NOTES if facts[name]]
    return Group(table, *(Text(line) for line in lines))


def _cells(member: dict[str, Any], own: str) -> list[str]:
    behind = member["behind"]
    lag = "unheard" if behind is None else f"{behind} behind" if behind else "-"
    return [
        member["name"] + (" *" if member["name"] == own else ""),
        member["role"],
        f"{member['rows']:,}",
        str(member["version"]),
        member["digest"][:12] or "-",
        "-" if member["name"] == own else _age(member["age"]),
        (member["note"] or "").partition(":")[0] or ("-" if member["role"] == "left" else lag),
        member["last_refusal"] or "-",
    ]


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    size, unit = next((pair for pair in _UNITS if seconds >= 2 * pair[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"


def show(what: Any) -> None:
    """Print on stdout."""
    Console(markup=False, highlight=False).print(what)


def watch(look: Callable[[], dict[str, Any]], seconds: float) -> None:
    """Show the table again and again, until Ctrl-C; while the home is in use, the last one stays."""
    with contextlib.suppress(KeyboardInterrupt), Live(console=Console(markup=False), auto_refresh=False) as live:
        while True:
            with contextlib.suppress(HomeInUseError):
                now = datetime.now().astimezone().strftime("%H:%M:%S")
                live.update(Group(status_table(look()), Text(f"{now}, every {seconds:g} s; Ctrl-C ends")), refresh=True)
            time.sleep(seconds)


def log_of(refusals: Sequence[tuple[float, str | None, str]]) -> list[dict[str, Any]]:
    """Return refusals with the time as people write it."""
    return [{"at": as_time(at), "member": member, "reason": reason} for at, member, reason in refusals]


def as_time(seconds: float) -> str:
    """Return a time as people write it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

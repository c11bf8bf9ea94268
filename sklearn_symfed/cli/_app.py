"""The commands of `symfed`, in the order in which they are used."""

from __future__ import annotations

from typing import Annotated

import typer

import sklearn_symfed
from sklearn_symfed.cli._demo import demo
from sklearn_symfed.cli._founding import contract, create, invite, join, leave, promote, recover, remove, resume, rotate
from sklearn_symfed.cli._learning import forget, learn
from sklearn_symfed.cli._models import describe, fit, predict
from sklearn_symfed.cli._provisioning import policy, provision, teardown
from sklearn_symfed.cli._session import EXIT_CODES, Commands
from sklearn_symfed.cli._watching import digest, log, members, pulse, releases, status

__all__ = ["app"]

_CODES = "  \n".join(f"{code.value}  {meaning}" for code, meaning in EXIT_CODES.items())

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables: rows, keys
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    epilog=f"Exit codes:\n\n\b\n{_CODES}\n\nMore: docs/cli.md",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sklearn-symfed {sklearn_symfed.__version__}")
        raise typer.Exit


@app.callback()
def symfed(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Federate exact statistics of rows: learn, pulse, and fit models that one party with all rows would have fitted.

    Say which node by --home DIR, or once and for all by the variable SYMFED_HOME.
    """


for command in (
    *(create, invite, join, learn, forget, pulse, status, members, log, releases, digest),
    *(describe, fit, predict, demo, promote, remove, rotate, contract, leave, resume, recover),
    *(provision, policy, teardown),
):
    app.command()(command)

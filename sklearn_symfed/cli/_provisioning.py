"""What a carrier needs before and after a federation: provision, policy, teardown.

Nothing here knows a carrier; each says itself what it makes, lists and removes.
"""

from __future__ import annotations

from typing import Annotated

import typer

from sklearn_symfed.cli._session import AsJson, answer, say
from sklearn_symfed.exceptions import SettingError
from sklearn_symfed.federation.transports import Transport, transport_of

__all__ = ["policy", "provision", "teardown"]

Url = Annotated[str, typer.Argument(help="The carrier, such as aws://eu-central-1/flights?bucket=flights-symfed.")]


def provision(
    url: Url,
    member: Annotated[str, typer.Option(help="The name that the founder will have.")],
    as_json: AsJson = False,
) -> None:
    """Make what a federation needs at a carrier, for its founder; what is there already stays as it is.

    An operator who may make topics and buckets runs it for a founder who may not.

    Example: symfed provision "aws://eu-central-1/flights?bucket=flights-symfed" --member north
    """
    there = _carrier(url).provision(url, member)
    answer({"there": there}, "\n".join(there), as_json=as_json)


def policy(
    url: Url,
    member: Annotated[str, typer.Option(help="Whose rights.")],
    admin: Annotated[bool, typer.Option("--admin", help="Of one who founds, invites or removes.")] = False,
) -> None:
    """Print the rights that a member needs at a carrier, and no more, in the carrier's own language.

    Example: symfed policy "aws://eu-central-1/flights?bucket=flights-symfed&account=123456789012" --member south
    """
    typer.echo(_carrier(url).policy(url, member, admin=admin))


def teardown(
    url: Url,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove all that was made for a federation at a carrier, with what waits there; homes are not touched.

    It lists what that is, and asks.

    Example: symfed teardown "aws://eu-central-1/flights?bucket=flights-symfed"
    """
    carrier = _carrier(url)
    there = carrier.standing(url)
    if not there:
        say(f"There is nothing at {url}.")
        return
    say("\n".join(there))
    if not yes:
        typer.confirm(f"Remove all of that, with every message that waits at {url}?", abort=True, err=True)
    left = carrier.teardown(url)
    say("Removed." if not left else f"Removed, but for the {', '.join(left)}: something else uses it.")


def _carrier(url: str) -> type[Transport]:
    found = transport_of(url)
    if not (isinstance(found, type) and issubclass(found, Transport)):
        raise SettingError(
            f"Got {url}, whose carrier is made and removed by other tools, but expected aws://, azure:// or nats://"
        )
    return found

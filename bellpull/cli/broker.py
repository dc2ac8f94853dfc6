"""`bellpull broker`: what is done to RabbitMQ for an installation, with a credential that no program keeps."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellpull.cli.broker_access import Access, Ca, ManagementUrl, PasswordFile, Username
from bellpull.cli.failure import FailureError, explained

if TYPE_CHECKING:
    from gateway.app.config import GatewayConfig

__all__ = ["agree", "broker", "dead_letters", "setup", "vhost_of"]

_Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="BELLPULL_GATEWAY_CONFIG", help="The gateway's configuration.")
]
_Vhost = Annotated[
    str | None,
    typer.Option(
        "--vhost",
        envvar="BELLPULL_BROKER_VHOST",
        help="The virtual host; that of queue.rabbitmq.url, else the installation's name.",
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def broker(context: typer.Context) -> None:
    """Make in RabbitMQ what an installation needs, and look at what agents rejected."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def setup(
    *,
    config: _Config = Path("gateway.yaml"),
    management: ManagementUrl = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca: Ca = None,
    vhost: _Vhost = None,
    gateway_user: Annotated[
        str | None,
        typer.Option(
            "--gateway-user", help="As whom gateways log in  [default: as in queue.rabbitmq, else bellpull_gateway]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Where the agents' folders are, for new passwords.")] = Path(),
    definitions: Annotated[
        Path | None,
        typer.Option("--definitions", help="Ask no API: write all as definitions to import, to this file or to -."),
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Also remove what is ours and not wanted any more.")] = False,
    yes: _Yes = False,
) -> None:
    """Show what RabbitMQ lacks for the agents that are enrolled, ask, make it. Removes nothing without --prune."""
    with explained(extra="gateway"):
        from bellpull.cli.broker_setup import Plan, make, write_definitions

        if prune and definitions:
            raise FailureError("--prune needs the management API: definitions cannot remove anything")
        plan = Plan.of(config, vhost=vhost, gateway=gateway_user, out=out)
        if definitions:
            write_definitions(plan, definitions)
        else:
            make(plan, Access(management, username, password_file, ca), prune=prune, ask=not yes)


def dead_letters(
    *,
    config: _Config = Path("gateway.yaml"),
    management: ManagementUrl = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca: Ca = None,
    vhost: _Vhost = None,
    count: Annotated[
        int, typer.Option("--count", "-n", min=1, max=1000, help="How many to show, oldest first.")
    ] = 20,
    purge: Annotated[bool, typer.Option("--purge", help="Delete all of them once they were shown.")] = False,
    yes: _Yes = False,
) -> None:
    """Show what agents rejected, or were given in vain, and leave it where it is."""
    with explained(extra="gateway"):
        from bellpull.cli.broker_dead_letters import show
        from gateway.app.config import load_config

        where = vhost or vhost_of(load_config(config))
        show(where, Access(management, username, password_file, ca), count=count, purge=purge, ask=not yes)


def vhost_of(settings: "GatewayConfig") -> str:
    """Return the virtual host of an installation."""
    return settings.queue.rabbitmq.vhost if settings.queue else settings.installation


def agree(question: str, *, ask: bool) -> None:
    """Go on if the answer to `question` is yes, or nobody wants to be asked.

    Raises:
        FailureError: it is no, or there is nobody to ask.
    """
    if not ask:
        return
    if not sys.stdin.isatty():
        raise FailureError("nothing was done: there is nobody to ask; say --yes")
    if not typer.confirm(question, err=True):
        raise FailureError("nothing was done")

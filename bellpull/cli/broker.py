"""`bellpull broker`: what is done to RabbitMQ for an installation, with a credential that no program keeps.

The credential is said each time: its password by a file or the environment, never on the command line, where others
may read it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bellpull.cli.failure import FailureError, explained

if TYPE_CHECKING:
    from gateway.adapters.management import Management

__all__ = ["Access", "agree", "broker", "dead_letters", "setup"]

_PASSWORD: Final = "BELLPULL_BROKER_PASSWORD"  # noqa: S105 - the name of a variable

_Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="BELLPULL_GATEWAY_CONFIG", help="The gateway's configuration.")
]
_Url = Annotated[
    str | None,
    typer.Option("--management", envvar="BELLPULL_BROKER_MANAGEMENT", help="RabbitMQ's management API: its URL."),
]
_User = Annotated[
    str | None, typer.Option("--username", envvar="BELLPULL_BROKER_USERNAME", help="Its user, an administrator.")
]
_PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help=f"The user's password  [default: environment {_PASSWORD}]")
]
_Ca = Annotated[
    Path | None, typer.Option("--ca", help="PEM file of who signs its certificate; the system's if not said.")
]
_Vhost = Annotated[
    str | None,
    typer.Option(
        "--vhost", envvar="BELLPULL_BROKER_VHOST", help="The virtual host; the installation's name if not said."
    ),
]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Access:
    """The way to the management API, as the options say it."""

    def __init__(self, url: str | None, username: str | None, password: Path | None, ca: Path | None) -> None:
        self._url = url
        self._username = username
        self._password = password
        self._ca = ca

    @contextmanager
    def open(self) -> "Iterator[Management]":
        """Yield a connection.

        Raises:
            FailureError: an option is missing or wrong, or RabbitMQ does not do what it is asked for.
        """
        from gateway.adapters.management import ManagementError

        try:
            with self._management() as management:
                yield management
        except ManagementError as error:
            raise FailureError(str(error)) from None

    def _management(self) -> "Management":
        from bellpull.runtime.config import SecretError, SecretRef, read_secret
        from gateway.adapters.management import Management

        if self._url is None or self._username is None:
            raise FailureError(
                "say where RabbitMQ's management API is, and as whom to log in: --management, --username"
            )
        ref = SecretRef(file=self._password) if self._password else SecretRef(env=_PASSWORD)
        try:
            password = read_secret(ref, Path())
        except SecretError as error:
            raise FailureError(f"--password-file: {error}") from None
        try:
            return Management(self._url, username=self._username, password=password, ca=self._ca)
        except ValueError as error:
            raise FailureError(f"--management {error}") from None
        except OSError as error:
            raise FailureError(f"--ca: {self._ca} cannot be used: {error.strerror or error}") from None


def broker(context: typer.Context) -> None:
    """Make in RabbitMQ what an installation needs, and look at what agents rejected."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def setup(
    *,
    config: _Config = Path("gateway.yaml"),
    management: _Url = None,
    username: _User = None,
    password_file: _PasswordFile = None,
    ca: _Ca = None,
    vhost: _Vhost = None,
    gateway_user: Annotated[
        str, typer.Option("--gateway-user", help="The user as which gateways will log in.")
    ] = "bellpull_gateway",
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
    management: _Url = None,
    username: _User = None,
    password_file: _PasswordFile = None,
    ca: _Ca = None,
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

        where = vhost or load_config(config).installation
        show(where, Access(management, username, password_file, ca), count=count, purge=purge, ask=not yes)


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

"""`bellpull demo`: the options; what it does is in the package `demo`."""

from typing import Annotated

import typer

from bellpull.cli.broker_access import Access, Ca, ManagementUrl, PasswordFile, Username
from bellpull.cli.failure import explained
from bellpull.cli.output import Output

__all__ = ["demo"]


def demo(
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything up afterwards.")] = False,
    ci: Annotated[bool, typer.Option("--ci", help="Wait for nobody.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="table or json.")] = Output.TABLE,
    queue: Annotated[
        str | None,
        typer.Option("--queue", help="Over RabbitMQ at amqp[s]://HOST[:PORT]; needs --management."),
    ] = None,
    management: ManagementUrl = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca: Ca = None,
) -> None:
    """Run a Git server, a gateway and an agent on loopback, and show what happens when things go wrong.

    With --queue in a virtual host of its own, which is gone afterwards.
    """
    with explained():
        from bellpull.cli.demo import run

        at = None if queue is None else (queue, Access(management, username, password_file, ca))
        code = run(stay=stay, ci=ci, as_json=output is Output.JSON, queue=at)
    raise typer.Exit(code)

"""`bellpull demo`: the options; what it does is in the package `demo`."""

from typing import Annotated

import typer

from bellpull.cli.broker_access import Access, Ca, ManagementUrl, PasswordFile, Username
from bellpull.cli.failure import FailureError, explained
from bellpull.cli.manifests import Context, Kubeconfig
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
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="In a cluster, in a namespace of its own.")
    ] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Run a Git server, a gateway and an agent on loopback, and show what happens when things go wrong.

    With --queue in a virtual host of its own, and with --kubernetes in a namespace of its own; both are gone
    afterwards.
    """
    if not kubernetes and (kubeconfig is not None or context is not None):
        raise FailureError("--kubeconfig and --context name a cluster for --kubernetes: say that as well", code=2)
    with explained():
        from bellpull.cli.demo import run

        at = None if queue is None else (queue, Access(management, username, password_file, ca))
        cluster = (kubeconfig and kubeconfig.absolute(), context) if kubernetes else None
        code = run(stay=stay, ci=ci, as_json=output is Output.JSON, queue=at, cluster=cluster)
    raise typer.Exit(code)

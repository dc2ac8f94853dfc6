"""`bellpull demo`: the options; what it does is in the package `demo`."""

from typing import Annotated

import typer

from bellpull.cli.failure import explained
from bellpull.cli.output import Output

__all__ = ["demo"]


def demo(
    *,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything up afterwards.")] = False,
    ci: Annotated[bool, typer.Option("--ci", help="Wait for nobody.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="table or json.")] = Output.TABLE,
) -> None:
    """Run a Git server, a gateway and an agent on loopback, and show what happens when things go wrong."""
    with explained():
        from bellpull.cli.demo import run

        code = run(stay=stay, ci=ci, as_json=output is Output.JSON)
    raise typer.Exit(code)

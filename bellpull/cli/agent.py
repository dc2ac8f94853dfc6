"""`bellpull agent`: the agent, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from bellpull.cli.failure import explained

__all__ = ["agent"]


def agent(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="BELLPULL_AGENT_CONFIG", help="The agent's configuration.")
    ] = Path("agent.yaml"),
) -> None:
    """Hear a gateway, fetch from Git, make targets match. Dials out only. Runs until SIGTERM or SIGINT."""
    with explained(extra="agent"):
        from agent.app.main import main

        code = main(config)
    raise typer.Exit(code)

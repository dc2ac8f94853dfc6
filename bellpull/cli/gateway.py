"""`bellpull gateway`: the gateway, in the foreground."""

from pathlib import Path
from typing import Annotated

import typer

from bellpull.cli.failure import explained

__all__ = ["gateway"]


def gateway(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="BELLPULL_GATEWAY_CONFIG", help="The gateway's configuration.")
    ] = Path("gateway.yaml"),
) -> None:
    """Receive webhooks, keep them on disk, serve them to agents. Runs until SIGTERM or SIGINT, then drains."""
    with explained(extra="gateway"):
        from gateway.app.main import main

        code = main(config)
    raise typer.Exit(code)

"""`bellpull gateway`: the gateway, in the foreground; and what is done to it while it runs."""

from pathlib import Path
from time import monotonic
from typing import Annotated, Final

import typer

from bellpull.cli.failure import explained

__all__ = ["ack_damage", "backup", "drain", "gateway"]

_HELP: Final = "The gateway's configuration."
_Inherited = Annotated[
    Path | None, typer.Option("--config", "-c", help=f"{_HELP}  [default: that of `bellpull gateway`]")
]


def gateway(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", "-c", envvar="BELLPULL_GATEWAY_CONFIG", help=_HELP)] = Path(
        "gateway.yaml"
    ),
) -> None:
    """Receive webhooks, keep them on disk, serve them to agents. Runs until SIGTERM or SIGINT, then drains."""
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    with explained(extra="gateway"):
        from gateway.app.main import main

        code = main(config)
    raise typer.Exit(code)


def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(help="The file to make; it must not be there.", show_default=False)],
    config: _Inherited = None,
) -> None:
    """Copy the journal while the gateway runs. Never copy its files: a copy of those may be of no moment at all."""
    with explained(extra="gateway"):
        from gateway.app.operate import back_up

        size = back_up(config or context.obj, target, _Progress(f"copying to {target}"))
    print(f"{target}: {size} bytes")


class _Progress:
    """Says now and then, of what takes longer than a second, what part is done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said_at = monotonic()

    def __call__(self, part: float) -> None:
        if monotonic() - self._said_at >= 1:
            self._said_at = monotonic()
            typer.echo(f"{self._what}: {part:.0%}", err=True)


def drain(context: typer.Context, config: _Inherited = None) -> None:
    """Have the gateway take no more pushes, and wait until RabbitMQ has what it took; then it may be taken away.

    Where no gateway runs on the journal, what it left is sent.
    """
    with explained(extra="gateway"):
        from bellpull.cli import gateway_drain

        print(gateway_drain.drain(config or context.obj))


def ack_damage(context: typer.Context, config: _Inherited = None) -> None:
    """Say that you know of a journal that was found damaged: the gateway is degraded until then. Deletes no data."""
    with explained(extra="gateway"):
        from gateway.app.operate import acknowledge

        lines = acknowledge(config or context.obj)
    for line in lines:
        print(line)
    typer.echo("acknowledged" if lines else "there is nothing to acknowledge", err=True)

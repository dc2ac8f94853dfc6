"""The verbs, in the groups of the help; how the command begins and ends.

Results go to standard output, everything else to standard error. Exit codes: 0 ok, 1 failed or differs, 2 usage,
130 interrupted.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from bellpull import __version__
from bellpull.cli import agent, apply, broker, check, demo_verb, diff, enroll, gateway, init
from bellpull.cli.failure import FailureError

__all__ = ["VERBS", "main"]


class Verb(NamedTuple):
    """One verb: where the help lists it, its name, its line there, and what it does (its docstring is its help).

    A name of two words is a verb of the first.
    """

    group: str
    name: str
    line: str
    run: Callable[..., None]


VERBS: Final = (
    Verb("Everyday", "demo", "see a push become a synced directory, and what can go wrong", demo_verb.demo),
    Verb("Everyday", "init", "make a gateway's configuration, keys and secrets", init.init),
    Verb("Everyday", "check", "say what is wrong with a configuration, or in the way", check.check),
    Verb("Everyday", "diff", "show what applying manifests would change in a cluster", diff.diff),
    Verb("Everyday", "apply", "make a cluster match a folder of manifests, once", apply.apply),
    Verb("Run", "gateway", "receive webhooks, keep them, serve them to agents", gateway.gateway),
    Verb("Run", "agent", "hear a gateway, and make targets match Git", agent.agent),
    Verb("Operate", "gateway backup", "copy the journal while the gateway runs", gateway.backup),
    Verb("Operate", "gateway drain", "take no more pushes, and send what was taken", gateway.drain),
    Verb("Operate", "gateway ack-damage", "take note of a damaged journal", gateway.ack_damage),
    Verb("Operate", "broker", "RabbitMQ, with a credential that no program keeps", broker.broker),
    Verb("Operate", "broker setup", "make in RabbitMQ what the enrolled agents need", broker.setup),
    Verb("Operate", "broker dead-letters", "show what agents rejected", broker.dead_letters),
    Verb("Operate", "enroll", "admit an agent: its record for the gateway, its folder", enroll.enroll),
)

_EXAMPLES: Final = (
    ("bellpull demo", "half a minute, on this machine only"),
    ("bellpull init && bellpull gateway", "a gateway in this folder"),
    ("bellpull enroll web-1 --repository github.com/acme/site", "and an agent that hears it"),
)


class _Grouped(TyperGroup):
    """Help with the verbs in groups, and examples."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # Typer's signature
        for group in dict.fromkeys(verb.group for verb in VERBS):
            with formatter.section(group):
                formatter.write_dl([(verb.name, verb.line) for verb in VERBS if verb.group == group])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  # Typer's signature
        with formatter.section("Examples"):
            for command, comment in _EXAMPLES:
                formatter.write(f"  {command}\n      {comment}\n")


app: Final = typer.Typer(
    cls=_Grouped,
    name="bellpull",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(verb: Verb) -> None:
    inner = [each for each in VERBS if each.name.startswith(f"{verb.name} ")]
    if not inner:
        app.command(verb.name, short_help=verb.line)(verb.run)
        return
    group = typer.Typer(invoke_without_command=True, callback=verb.run)
    for each in inner:
        group.command(each.name.removeprefix(f"{verb.name} "), short_help=each.line)(each.run)
    app.add_typer(group, name=verb.name, short_help=verb.line)


for _verb in VERBS:
    if " " not in _verb.name:
        _add(_verb)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # Typer calls it
    if wanted:
        print(f"bellpull {__version__}")
        raise typer.Exit


@app.callback()
def _bellpull(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A push to Git rings a bell; agents that nobody can reach from outside hear it, and pull."""


def main() -> None:
    """Run the command and end the process with its exit code."""
    try:
        app(prog_name="bellpull")
    except FailureError as failure:
        for line in failure.lines:
            print(line, file=sys.stderr)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(130)

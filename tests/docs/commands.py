"""The page of the command line: the help of each verb, as it is printed."""

import inspect
from typing import Final

from typer.testing import CliRunner

from bellpull.cli import program

__all__ = ["page"]

_COLUMNS: Final = "100"
_HEAD: Final = """\
# Commands

`bellpull --help` lists the verbs, `bellpull VERB --help` says what is here. What an option names can also be said by
its environment variable, where it has one.
"""


def page() -> str:
    """Return the page."""
    ends = " ".join((inspect.getdoc(program) or "").split("\n\n")[1].split())
    verbs = [f"## {verb.name}\n\n```text\n{_help(verb.name)}\n```\n" for verb in program.VERBS]
    return "\n".join([_HEAD, ends + "\n", *verbs])


def _help(verb: str) -> str:
    result = CliRunner().invoke(
        program.app,
        [*verb.split(), "--help"],
        prog_name="bellpull",
        env={"COLUMNS": _COLUMNS, "TERMINAL_WIDTH": _COLUMNS, "NO_COLOR": "1"},
    )
    if result.exit_code != 0:
        raise RuntimeError(f"bellpull {verb} --help ended with {result.exit_code}: {result.output}")
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())

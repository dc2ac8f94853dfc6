"""The `bellpull` command: the top layer, the only one that knows both programs.

`program` is the table of verbs; each has a module of its own. What a verb needs is imported when it runs, so that
`bellpull --help` costs little more than Python and Typer.
"""

from bellpull.cli.program import main

__all__ = ["main"]

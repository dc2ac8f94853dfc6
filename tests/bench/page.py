"""The page of figures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.figure import RUNS, Ratio, Section

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "performance.md"
_WORDS: Final = {1: "one shared core", 2: "two shared cores", 4: "four shared cores", 8: "eight shared cores"}

_HEAD: Final = """\
# Performance

Written by `make bench`. Each figure is a ratio to a floor that was measured in the same run, on the same machine, in
turns with it: that is what can be compared with another machine's. What was measured is shown beside it, and is no
promise. Medians of {runs} runs on {machine}, on which others worked at the same time. A budget is what the design
allows; **bold** is beyond it.
"""


def page(sections: Sequence[Section]) -> str:
    """Return the page, in Markdown."""
    head = _HEAD.format(runs={3: "three"}.get(RUNS, RUNS), machine=_machine())
    return "\n".join([head, *(_section(section) for section in sections)])


def _section(section: Section) -> str:
    rows = [
        f"| {figure.subject} | {figure.floor} | {figure.seen} | {_cell(figure.ratios)} | {_budgets(figure.ratios)} |"
        for figure in section.figures
    ]
    table = ["| what | floor | measured | ratio | budget |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join([f"## {section.title}", "", section.how, "", *table])


def _cell(ratios: Sequence[Ratio]) -> str:
    return ", ".join(_said(ratio) for ratio in ratios)


def _said(ratio: Ratio) -> str:
    digits = 2 if ratio.unit == "x" else 0
    said = f"{ratio.name} {ratio.value:.{digits}f} {ratio.unit}"
    return f"**{said}**" if ratio.kept is False else said


def _budgets(ratios: Sequence[Ratio]) -> str:
    return ", ".join(
        f"{ratio.name} {'at least' if ratio.at_least else 'at most'} {ratio.budget:g} {ratio.unit}"
        for ratio in ratios
        if ratio.budget is not None
    )


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return _WORDS.get(cores, f"{cores} shared cores")

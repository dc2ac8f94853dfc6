"""Measure everything, a figure after the other, and write the page.

With names of figures, only these are measured, and shown instead of written.
"""

import sys
from collections.abc import Mapping
from time import monotonic
from typing import Final

from tests.bench import accept, broker, cluster, correction, memory, start, sync
from tests.bench.figure import Measure, Section
from tests.bench.page import PAGE, page

_FIGURES: Final[Mapping[str, Measure]] = {
    "accept": accept.measure,
    "sync": sync.measure,
    "start": start.measure,
    "memory": memory.measure,
    "broker": broker.measure,
    "cluster": cluster.measure,
    "correction": correction.measure,
}


def main(names: list[str]) -> int:
    """Return the exit code: 0, whatever the figures are, 2 for a figure that is not there."""
    if unknown := set(names) - set(_FIGURES):
        sys.stderr.write(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(_FIGURES)}\n")
        return 2
    text = page([_measured(name) for name in names or _FIGURES])
    if names:
        sys.stdout.write(text)
    else:
        PAGE.write_text(text)
        sys.stderr.write(f"written: {PAGE}\n")
    return 0


def _measured(name: str) -> Section:
    begun = monotonic()
    sys.stderr.write(f"{name} ... ")
    sys.stderr.flush()
    section = _FIGURES[name]()
    sys.stderr.write(f"{monotonic() - begun:.0f} s\n")
    return section


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

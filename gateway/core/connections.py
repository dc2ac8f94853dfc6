"""How many connections each listener may have, where the process may not have files for all of them.

The gateway's own files come first: a stranger's connection must never be the reason that the journal cannot be
opened. What is left is shared so that a listener that asks for little has that, and the others have the same each.
"""

from collections.abc import Mapping
from typing import Final

__all__ = ["LEAST", "RESERVE", "fit"]

RESERVE: Final = 64
"""Files of the gateway's own: 26 at rest, 37 seen with large pushes; RabbitMQ, and files that are read again."""
LEAST: Final = 8
"""Connections that a listener has in any case."""


def fit(wanted: Mapping[str, int], files: int) -> dict[str, int]:
    """Return how many connections each listener may have.

    Args:
        wanted: how many each is to have, by name.
        files: how many the process may have open, its own included.

    Returns:
        As many as wanted, or fewer so that all fit beside the reserve; never fewer than `LEAST`, even where they do
        not fit.
    """
    room = files - RESERVE
    given: dict[str, int] = {}
    for left, name in zip(range(len(wanted), 0, -1), sorted(wanted, key=lambda name: wanted[name]), strict=True):
        given[name] = min(wanted[name], max(room // left, LEAST))
        room -= given[name]
    return {name: given[name] for name in wanted}

"""Who may hear an event: one answer, for the backlog and for what is live (R15); and how far apart they should look.

Many agents that hear of one push would all fetch in the same moment (R29). Fewer than `AT_ONCE` do so at once; more
are spread over as long as keeps them at `AT_ONCE` a second, and at most over `LONGEST_SPREAD_S`: a fetch costs a Git
server some 20 ms, so that one core of it can keep up with 500 agents, and ten with 5,000.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from bellpull.contract.event import LONGEST_SPREAD_S, RefUpdated
from bellpull.contract.message import Message
from bellpull.contract.patterns import matches

__all__ = ["AT_ONCE", "Audience", "may_hear", "spread_of", "spread_out"]

AT_ONCE: Final = 50
"""Agents that may look at one repository in the same second."""
_KNOWN: Final = 10_000
"""Repositories whose listeners are remembered."""


def may_hear(repositories: Sequence[str], repository: str) -> bool:
    """Whether an agent whose record names `repositories` (patterns) may hear an event about `repository` (a key).

    An event about no repository (a resync of everything, a canary) is for every agent.
    """
    return not repository or matches(repositories, repository)


def spread_of(agents: int) -> float:
    """Return over how many seconds so many agents should look at one repository."""
    return 0.0 if agents < AT_ONCE else min(agents / AT_ONCE, LONGEST_SPREAD_S)


def spread_out(message: Message, spread: Callable[[str], float]) -> Message:
    """Return `message` with what `spread` says of its repository (a key), in seconds."""
    if not isinstance(message.data, RefUpdated) or not (seconds := spread(message.data.repository.key)):
        return message
    return replace(message, data=replace(message.data, spread=seconds))


class Audience:
    """All agents that are enrolled. Who may hear a repository is counted once: made anew with other records.

    Args:
        rights: the patterns of each agent's record.
    """

    def __init__(self, rights: Iterable[Sequence[str]]) -> None:
        self._rights = tuple(rights)
        self._spreads: dict[str, float] = {}

    def spread(self, repository: str) -> float:
        """Return over how many seconds those who may hear of `repository` (a key) should look at it."""
        if len(self._rights) < AT_ONCE:
            return 0.0
        known = self._spreads.get(repository)
        if known is None:
            if len(self._spreads) >= _KNOWN:
                self._spreads.clear()
            known = spread_of(sum(may_hear(patterns, repository) for patterns in self._rights))
            self._spreads[repository] = known
        return known

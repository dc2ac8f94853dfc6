"""Who may hear an event: one answer, for the backlog and for what is live (R15); and how far apart they should look.

In RabbitMQ an event of fewer than `AT_ONCE` also goes under the own key of each, which ticks try: an agent that
they reach hears it, whatever became of its other bindings (`docs/adr/0007-own-keys.md`). Each key costs the broker
time and room with every copy, so an event of more goes by their bindings alone.

Many agents that hear of one push would all fetch in the same moment (R29). Fewer than `AT_ONCE` do so at once; more
are spread over as long as keeps them at `AT_ONCE` a second, and at most over `LONGEST_SPREAD_S`: a fetch costs a Git
server some 20 ms, so that one core of it can keep up with 500 agents, and ten with 5,000.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bellpull.contract.event import LONGEST_SPREAD_S, RefUpdated
from bellpull.contract.message import Message
from bellpull.contract.patterns import matches
from bellpull.contract.routing import agent_key
from bellpull.contract.text import Name

__all__ = ["AT_ONCE", "Audience", "Hearers", "may_hear", "spread_of", "spread_out"]

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


@dataclass(frozen=True, slots=True)
class Hearers:
    """Who should hear of a repository.

    Attributes:
        number: of them.
        keys: of each its own, under which it alone is told something; none where they are many.
    """

    number: int
    keys: tuple[str, ...]


class Audience:
    """All agents that are enrolled. Who may hear a repository is found once: made anew with other records.

    Args:
        rights: the patterns of each agent's record.
    """

    def __init__(self, rights: Mapping[Name, Sequence[str]]) -> None:
        self._rights = {agent: tuple(patterns) for agent, patterns in rights.items()}
        self._known: dict[str, Hearers] = {}
        self._alike: dict[Hearers, Hearers] = {}

    @property
    def agents(self) -> Sequence[Name]:
        """All of them."""
        return tuple(self._rights)

    def hearers(self, repository: str) -> Hearers:
        """Return who should hear of `repository` (a key, not empty)."""
        known = self._known.get(repository)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
                self._alike.clear()
            found = self._find(repository)
            known = self._known[repository] = self._alike.setdefault(found, found)
        return known

    def spread(self, repository: str) -> float:
        """Return over how many seconds those who may hear of `repository` (a key) should look at it."""
        return spread_of(self.hearers(repository).number)

    def _find(self, repository: str) -> Hearers:
        agents = [agent for agent, patterns in self._rights.items() if may_hear(patterns, repository)]
        return Hearers(len(agents), tuple(map(agent_key, agents)) if len(agents) < AT_ONCE else ())

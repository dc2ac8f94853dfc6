"""Where in the broker an event goes: under its own key to whoever is bound to it, or to each agent by itself.

Agents are bound by repository, so an event about a repository but no ref goes under the key of a ref that stands for
all of them. An event about no repository is for every agent, and no one key reaches them all: each has a copy.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bellpull.contract.repository import Ref, RefKind, Repository
from bellpull.contract.routing import agent_key, routing_key
from bellpull.contract.text import Host, Name, RefName, RepositoryPath

__all__ = ["PROBE", "copies", "event_key"]

PROBE: Final = "gateway.probe"
"""A key that nobody is bound to, to see whether there is an exchange at all."""
_ANY: Final = Ref(kind=RefKind.BRANCH, name=RefName("-"))


def event_key(repository: str, ref: str) -> str:
    """Return the key of an event about `repository` (a key, not empty) and `ref` (full name, or empty)."""
    host, _, path = repository.partition("/")
    named = Repository(host=Host(host), path=RepositoryPath(path))
    return routing_key(named, Ref.parse(ref) if ref else _ANY)


def copies(agents: Iterable[Name], reached: Iterable[Name]) -> Mapping[Name, str]:
    """Return the keys of an event for every agent, without those that it reached before."""
    before = frozenset(reached)
    return {agent: agent_key(agent) for agent in agents if agent not in before}

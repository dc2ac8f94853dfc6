"""Who may hear an event: one answer, for the backlog and for what is live (R15)."""

from collections.abc import Sequence

from bellpull.contract.patterns import matches

__all__ = ["may_hear"]


def may_hear(repositories: Sequence[str], repository: str) -> bool:
    """Whether an agent whose record names `repositories` (patterns) may hear an event about `repository` (a key).

    An event about no repository (a resync of everything, a canary) is for every agent.
    """
    return not repository or matches(repositories, repository)

"""How all objects of a Sync are together."""

from collections.abc import Iterable

from agent.core.health.judgement import Judgement, Status

__all__ = ["aggregate", "worst_first"]

_ORDER = (Status.FAILED, Status.UNKNOWN, Status.NOT_FOUND, Status.TERMINATING, Status.IN_PROGRESS, Status.CURRENT)


def aggregate(statuses: Iterable[Status]) -> Status:
    """Return Failed, Unknown, InProgress or Current: the first that is true of any; nothing at all is Current."""
    found = set(statuses)
    if Status.FAILED in found:
        return Status.FAILED
    if Status.UNKNOWN in found:
        return Status.UNKNOWN
    return Status.IN_PROGRESS if found - {Status.CURRENT} else Status.CURRENT


def worst_first(judgement: Judgement) -> int:
    """Sort by this what is to be read from the top."""
    return _ORDER.index(judgement.status)

"""What an agent may say: only about itself, its environments and its repositories (R26).

A stolen credential may lie about its own Syncs and about nothing else. A report out of scope is refused; of a
heartbeat only the Syncs out of scope are left out, since the agent is there all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bellpull.contract.message import Data
from bellpull.contract.patterns import matches
from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.text import Name, SyncName

__all__ = ["InScope", "OutOfScope", "scope"]

_ELSE: Final = "an agent sends reports and heartbeats only"


@dataclass(frozen=True, slots=True, kw_only=True)
class InScope:
    """What counts, and the Syncs of a heartbeat that were left out."""

    data: Report | Heartbeat
    left_out: tuple[SyncName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScope:
    """Why nothing of it counts."""

    reason: str


def scope(
    data: Data, *, agent: Name, environments: Sequence[Name], repositories: Sequence[str]
) -> InScope | OutOfScope:
    """Decide what of `data` counts, for the agent whose token and key it came with.

    Args:
        data: what was sealed.
        agent: the name in the enrolment record.
        environments: of the record.
        repositories: patterns of the record.
    """
    if not isinstance(data, Report | Heartbeat):
        return OutOfScope(reason=_ELSE)
    if data.agent != agent:
        return OutOfScope(reason="it is in the name of another agent")
    if data.environment not in environments:
        return OutOfScope(reason="its environment is not in the agent's enrolment record")
    if isinstance(data, Report):
        if not matches(repositories, data.watches.repository.key):
            return OutOfScope(reason="its repository is not in the agent's enrolment record")
        return InScope(data=data)
    return _without_foreign(data, repositories)


def _without_foreign(data: Heartbeat, repositories: Sequence[str]) -> InScope:
    if data.full is None:
        return InScope(data=data)
    own = tuple(state for state in data.full if matches(repositories, state.watches.repository.key))
    return InScope(
        data=replace(data, full=own),
        left_out=tuple(state.sync for state in data.full if state not in own),
    )

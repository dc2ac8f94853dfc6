"""The guard of P9: a source that lost its files, or most of them, stops before anything is written.

A file that goes while another comes is no loss: so builds whose file names change each time, and files that are
moved, pass. Where nothing of what is live stays, all of it counts as lost, whatever comes: that is another folder.
The first apply has nothing to guard, and what has passed once is not asked again while it stays.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from agent.core.directory import printable
from agent.core.release import Item, Kind
from bellpull.contract.text import CommitId

__all__ = ["FLOOR", "Guard"]

FLOOR: Final = 10
"""Fewer files than these are never a mass deletion."""
_MAX_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a person allowed.

    Attributes:
        max_deletions: how many of a hundred files, or objects, may be lost.
        accept: the one commit that may lose any number.
    """

    max_deletions: int = 50
    accept: CommitId | None = None

    def refusal(self, live: Mapping[bytes, Item], wanted: Mapping[bytes, Item], commit: CommitId) -> str | None:
        """Return why `wanted` may not take the place of `live`, and how to go on; None where it may.

        Args:
            live: what was made last, by path.
            wanted: what `commit` has, by path.
            commit: the commit.
        """
        if commit == self.accept:
            return None
        problem = self.problem(_files(live), _files(wanted), "files")
        return f"{problem}; {_way_on(commit)}" if problem else None

    def problem(self, old: AbstractSet[str], new: AbstractSet[str], things: str) -> str | None:
        """Return why `new` may not take the place of `old`, None where it may.

        Args:
            old: what was made last, by name.
            new: what there is to be, by name.
            things: what they are.
        """
        if not old:
            return None
        if not new:
            return f"EmptySource: the folder has no {things}, and {len(old)} are live"
        gone = sorted(old - new)
        lost = len(gone) - (len(new - old) if old & new else 0)
        if lost < FLOOR or lost * 100 <= self.max_deletions * len(old):
            return None
        named = ", ".join(gone[:_MAX_NAMED])
        figure = f"{len(gone)} of {len(old)} {things} would go ({named}, ...) and {len(new - old)} would come"
        return f"MassDeletion: {figure}, guard.maxDeletions is {self.max_deletions}%"


def _way_on(commit: CommitId) -> str:
    return f"nothing was written. If it is meant, set `guard: {{accept: {commit}}}` in the Sync, else mend the source"


def _files(items: Mapping[bytes, Item]) -> set[str]:
    return {printable(path) for path, item in items.items() if item.kind is not Kind.FOLDER}

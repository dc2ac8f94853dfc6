"""Whether an object is as it is to be, told from a watch alone: rule M1.

Our last PATCH returned our entry in the managed fields; whoever writes a field of ours takes it out of that entry, or
changes the entry's time. What that cannot show (a second writer in the same second, a list put in another order, a
deletion under way) moves the resourceVersion, and with it the generation or somebody's entry.
"""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.kubernetes.inventory import Record
from agent.core.kubernetes.seen import Marked, Seen, is_later, is_rest_same

__all__ = ["Verdict", "Wanted", "judge"]


class Verdict(StrEnum):
    """What to do about an object."""

    IN_SYNC = "in sync"
    CONFIRM = "confirm"
    """Nothing of ours was touched, and something moved: a PATCH makes sure, now and then."""
    APPLY = "apply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an object is to be.

    Attributes:
        desired: the keyed hash of what is applied; empty where none is kept.
        manager: of the Sync.
        marked: the labels and annotations that Git sets.
        takes_over: whether what kubectl wrote beside Git is taken over (M4).
    """

    desired: str
    manager: str
    marked: Marked
    takes_over: bool = True


def judge(wanted: Wanted, record: Record | None, seen: Seen | None, *, horizon: str) -> Verdict:
    """Say whether an object needs a request.

    Args:
        wanted: what it is to be.
        record: of our last PATCH; none where that is not known.
        seen: the object as the watch shows it; none where it does not show it.
        horizon: the resourceVersion up to which the watch has come.
    """
    if record is None or not wanted.desired or record.desired != wanted.desired:
        return Verdict.APPLY
    if is_later(record.revision, horizon):
        return Verdict.IN_SYNC  # the answer to our PATCH came before its event: nothing newer is known (M2)
    if seen is None or seen.uid != record.uid or seen.is_going:
        return Verdict.APPLY
    if seen.applied.get(wanted.manager) != record.own or (wanted.takes_over and seen.is_overridden):
        return Verdict.APPLY
    if seen.revision == record.revision:
        return Verdict.IN_SYNC
    return Verdict.IN_SYNC if is_rest_same(record, seen, wanted.marked) else Verdict.CONFIRM

"""What was announced for the ref of a Sync: one event, as the inbox keeps it until a run answers it.

Announcements of a ref form a set, known by their event ids: adding one twice, or two in another order, gives the
same set. The set is bounded. What falls off first are earlier announcements of a commit that was announced again, so
that no repetition pushes out what was announced once; then the oldest. The gateway closes them by itself as soon as
a later one is answered (R36).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.event import RefUpdated
from bellpull.contract.text import CommitId, MessageId

__all__ = ["MAX_ANNOUNCED", "WAIT_FOR_COMMIT", "Announced", "gather", "up_to"]

MAX_ANNOUNCED: Final = 100
"""Announcements a key holds at most."""
WAIT_FOR_COMMIT: Final = timedelta(seconds=60)
"""How long Git may take to show what was announced (R29)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """One event about the ref a Sync watches.

    Attributes:
        event: its id, which the word for it will name.
        commit: where the ref went; null when it was deleted.
        before: where it came from; null when it was created.
        forced: whether history was rewritten.
        accepted: by the gateway (its clock); orders announcements.
        heard: by this agent (its clock); when waiting began.
        received: by the gateway.
        pushed: by the provider's clock, where it says so.
    """

    event: MessageId
    commit: CommitId | None
    before: CommitId | None = None
    forced: bool = False
    accepted: datetime
    heard: datetime
    received: datetime | None = None
    pushed: datetime | None = None

    @classmethod
    def from_event(cls, event: MessageId, update: RefUpdated, heard: datetime) -> "Announced":
        """Return what `update`, heard as `event`, announces."""
        return cls(
            event=event,
            commit=update.after,
            before=update.before,
            forced=update.forced,
            accepted=update.hops.accepted,
            heard=heard,
            received=update.hops.received,
            pushed=update.hops.pushed,
        )

    @property
    def deleted(self) -> bool:
        """Whether the ref is said to be gone."""
        return self.commit is None

    @property
    def deadline(self) -> datetime:
        """When waiting for Git to show it ends (agent's clock).

        One that was old when it was heard is not waited for at all; a gateway whose clock is ahead prolongs nothing.
        """
        old = self.heard - self.accepted > WAIT_FOR_COMMIT
        return self.heard if old else self.heard + WAIT_FOR_COMMIT


def gather(announcements: Iterable[Announced]) -> tuple[Announced, ...]:
    """Return each event once, the oldest first, at most `MAX_ANNOUNCED` of them.

    Of an event that was accepted twice (somebody pressed "Redeliver") the later acceptance counts; of one that was
    heard twice the earlier hearing does, so that repetition never prolongs the waiting.
    """
    known: dict[MessageId, Announced] = {}
    for one in announcements:
        other = known.get(one.event)
        known[one.event] = one if other is None else max(one, other, key=_counts)
    ordered = sorted(known.values(), key=_order)
    newest = {one.commit: one.event for one in ordered}
    first_to_go = sorted(ordered, key=lambda one: (newest[one.commit] == one.event, _order(one)))
    over = {one.event for one in first_to_go[: max(0, len(ordered) - MAX_ANNOUNCED)]}
    return tuple(one for one in ordered if one.event not in over)


def up_to(announcements: Sequence[Announced], commit: CommitId) -> tuple[Announced, ...]:
    """Return what was announced up to the last time that `commit` was, oldest first; nothing where it never was."""
    last = max((place for place, one in enumerate(announcements, 1) if one.commit == commit), default=0)
    return tuple(announcements[:last])


def _order(one: Announced) -> tuple[datetime, MessageId]:
    return one.accepted, one.event


def _counts(one: Announced) -> tuple[datetime, timedelta, str]:
    return one.accepted, one.accepted - one.heard, repr(one)

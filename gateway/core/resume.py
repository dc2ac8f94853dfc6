"""Where a stream goes on: from the agent's cursor, or anew (R14).

A cursor is only good for the journal that made it. One of an epoch this journal never had (another journal, a
new volume), one beyond the last row (a restored backup), one below the oldest row kept, or one whose row is not
of its epoch would skip events silently; it is answered with a reset, which the agent takes as a resync.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bellpull.contract.cursor import Cursor

__all__ = ["Epoch", "From", "Held", "Reset", "Resume", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One start of the journal: its word, and the first number a row could get after it."""

    word: str
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the journal holds.

    Attributes:
        epochs: its starts, oldest first.
        oldest: number of the oldest row kept; one beyond `newest` when none is.
        newest: number of the last row ever written; 0 before the first.
    """

    epochs: Sequence[Epoch]
    oldest: int
    newest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class From:
    """The stream goes on with what is beyond `seq`."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The stream begins anew beyond `seq`, after a reset that tells the agent so; `reason` is for the log."""

    seq: int
    reason: str


Resume = From | Reset
"""The two ways on."""


def resume(cursor: Cursor | None, held: Held) -> Resume:
    """Decide where a stream goes on."""
    if cursor is None:
        return Reset(seq=held.newest, reason="no cursor")
    reason = _hole(cursor, held)
    return From(seq=cursor.seq) if reason is None else Reset(seq=held.newest, reason=reason)


def _hole(cursor: Cursor, held: Held) -> str | None:
    place = next((i for i, epoch in enumerate(held.epochs) if epoch.word == cursor.epoch), None)
    if place is None:
        return "the cursor is of another journal"
    following = held.epochs[place + 1].first if place + 1 < len(held.epochs) else held.newest + 1
    if cursor.seq >= following:
        return "the cursor is beyond the last row of its epoch"
    if cursor.seq < held.oldest - 1:
        return "rows behind the cursor are no longer kept"
    return None

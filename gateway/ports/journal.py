"""What was accepted, in order, on disk before anybody is answered (P1).

The journal is the queue towards the agents, the list of what was announced, and the memory by which a repeated
delivery is known. It keeps events, not bodies (R12).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import Message
from bellpull.contract.text import CommitId, MessageId, Name
from gateway.core.answer import Announcement
from gateway.core.resume import Resume

__all__ = ["PAGE", "SIGN_S", "Journal", "JournalError", "Row", "Stored"]

PAGE = 500
"""No read returns more rows, so that none keeps the checkpoint waiting (R8)."""


SIGN_S = 15.0


class JournalError(Exception):
    """The journal cannot write now (full, read-only, too slow): the sender is asked to come again (503).

    What was being written may be there all the same: at least once.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One event in its place.

    Attributes:
        seq: its number; rises by one, is never used twice; a gap says that a row is gone, or cannot be read any more.
        event_id: the message's id; an event that was queued again has several rows.
        type: the CloudEvents type.
        repository: `Repository.key`, empty for an event about none.
        ref: the full name, empty for an event about none.
        commit: where the ref is now; none when it was deleted, or for an event about no ref.
        source: the source of the gateway's configuration that delivered it.
        accepted: when, by the gateway's clock.
        body: the encoded message, as it is sealed and sent.
    """

    seq: int
    event_id: MessageId
    type: str
    repository: str
    ref: str
    commit: CommitId | None
    source: str
    accepted: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What became of a delivery: its events' ids, and whether all of them were folded into an earlier twin (R5)."""

    event_ids: tuple[MessageId, ...]
    folded: bool


class Journal(Protocol):
    """The journal, as everything else sees it. Methods that wait never block the loop."""

    @property
    def epoch(self) -> str:
        """The word of this start; the cursors made now carry it."""
        ...

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        """Write all events of one delivery in one transaction; on return they are on disk.

        Args:
            messages: at least one; of the events that agents are told of.
            source: the source of the gateway's configuration.
            delivery: the provider's delivery id, or the body's digest where there is none.
            body_digest: `contract.ids.body_digest` of the raw body.
            now: becomes the rows' `accepted`.

        Raises:
            JournalError: it cannot be written now, or was not within two seconds.
        """
        ...

    async def page(self, after: int, limit: int = PAGE) -> tuple[Row, ...]:
        """Return up to `limit` rows beyond `after`, in order; `limit` is cut to `PAGE`.

        A row that cannot be read is left out.
        """
        ...

    async def resume(self, cursor: Cursor | None) -> Resume:
        """Say where a stream goes on (R14); without a cursor it is a reset to the newest row."""
        ...

    def newest(self) -> int:
        """Return the number of the last row that is on disk, from memory; 0 before the first."""
        ...

    async def wait_beyond(self, seq: int) -> None:
        """Return as soon as a row beyond `seq` is on disk."""
        ...

    async def announcements(self, commit: CommitId) -> tuple[Announcement, ...]:
        """Return where `commit` was announced as a ref's tip, oldest first."""
        ...

    async def later(self, announcement: Announcement) -> tuple[Announcement, ...]:
        """Return what was announced of the same ref after `announcement`, oldest first."""
        ...

    async def writable(self) -> bool:
        """Whether a write reaches the disk now, within two seconds."""
        ...

    def problem(self) -> str | None:
        """Say what somebody should see to (the disk is full, the journal is full), with figures, if anything."""
        ...

    async def sign(self, now: datetime) -> None:
        """Write a sign of life, and a resync of everything if pushes may have been missed since the last one (R1).

        To be called every `SIGN_S` seconds, and at the clean stop.

        Raises:
            JournalError: it cannot be written now.
        """
        ...

    async def watch(self) -> None:
        """Wait for ever, for the day the disk fails.

        Raises:
            DiskFailed: it did; the process must end.
        """
        ...

"""What was announced, and what a Sync said of it: the two values that the projection brings together."""

from dataclasses import dataclass
from datetime import datetime

from bellpull.contract.report import ReportHops
from bellpull.contract.text import CommitId, MessageId, Name, SyncName
from bellpull.contract.word import Word

__all__ = ["Announcement", "Answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A ref's new tip as it was accepted.

    Attributes:
        seq: the journal's row.
        event_id: the event's id; one that was queued again is an announcement of its own.
        again: whether an earlier row has the same event id.
        repository: `Repository.key`.
        ref: full name.
        commit: the tip; none when the ref was deleted.
        source: which source delivered it.
        accepted: by the gateway's clock.
    """

    seq: int
    event_id: MessageId
    repository: str
    ref: str
    commit: CommitId | None
    source: str
    accepted: datetime
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One word of a Sync: from a report, or from the history in a full heartbeat.

    Attributes:
        agent: who says it.
        environment: where, by the agent's enrolment record.
        sync: for which Sync.
        epoch: with `seq`, orders an agent's messages.
        seq: within `epoch`.
        repository: key of what the Sync watched then.
        ref: full name; none for a range of versions.
        word: the word.
        commit: what the ref resolved to.
        events: ids of the events it covers.
        begun: when the reconcile began, by the gateway's clock; none in a history.
        finished: when it ended or the word was said, by the gateway's clock.
        superseded_by: the commit that took its place.
        contained: whether that contains it; none when unknown.
        message: for people.
        hops: of a report, as the agent sent them.
    """

    agent: Name
    environment: Name
    sync: SyncName
    epoch: int
    seq: int
    repository: str
    ref: str | None
    word: Word
    commit: CommitId | None
    events: tuple[MessageId, ...]
    begun: datetime | None
    finished: datetime
    superseded_by: CommitId | None = None
    contained: bool | None = None
    message: str = ""
    hops: ReportHops | None = None

"""What was announced, and what a Sync said of it: the two values that the projection brings together.

Times are the gateway's. `at_gateway` translates an agent's, by the age it had when the message was sealed, so
that a wrong clock there orders nothing here. Known inexactness: a millisecond, in favour of "not answered yet", and
how long the message was on its way.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.report import Heartbeat, Report, ReportHops, Watches
from bellpull.contract.text import CommitId, MessageId, Name, SyncName
from bellpull.contract.word import Word

__all__ = ["Announcement", "Answer", "answer_of", "answers_in", "at_gateway"]

_SEAL_TICK: Final = timedelta(milliseconds=1)
"""A seal's time is in milliseconds, cut down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """A ref's new tip as it was accepted.

    Attributes:
        seq: the journal's row; none for what another gateway accepted.
        event_id: the event's id; one that was queued again is an announcement of its own.
        again: whether an earlier row has the same event id.
        repository: `Repository.key`.
        ref: full name.
        commit: the tip; none when the ref was deleted.
        source: which source delivered it.
        accepted: by the gateway's clock; of what another one accepted, when it was heard here.
    """

    seq: int | None
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


def at_gateway(moment: datetime, *, issued: datetime, received: datetime) -> datetime:
    """Translate an agent's `moment` to the gateway's clock.

    Args:
        moment: by the agent's clock.
        issued: when the message was sealed, by the agent's clock, in milliseconds.
        received: when it came, by the gateway's clock.

    A moment beyond what times can be is taken as `received`.
    """
    try:
        return min(received, received - (issued + _SEAL_TICK - moment))
    except OverflowError:
        return received


def answer_of(report: Report, *, issued: datetime, received: datetime) -> Answer:
    """Return the word that a report says."""
    return Answer(
        agent=report.agent,
        environment=report.environment,
        sync=report.sync,
        epoch=report.epoch,
        seq=report.seq,
        repository=report.watches.repository.key,
        ref=_full_ref(report.watches),
        word=report.word,
        commit=report.commit,
        events=report.trigger.events,
        begun=at_gateway(report.hops.started, issued=issued, received=received),
        finished=at_gateway(report.hops.finished, issued=issued, received=received),
        superseded_by=report.superseded_by,
        contained=report.contained,
        message=report.message,
        hops=report.hops,
    )


def answers_in(heartbeat: Heartbeat, *, issued: datetime, received: datetime) -> tuple[Answer, ...]:
    """Return the words that a full heartbeat repeats, in the order they were said (R36)."""
    return tuple(
        Answer(
            agent=heartbeat.agent,
            environment=heartbeat.environment,
            sync=state.sync,
            epoch=heartbeat.epoch,
            seq=heartbeat.seq,
            repository=state.watches.repository.key,
            ref=_full_ref(state.watches),
            word=outcome.word,
            commit=outcome.commit,
            events=outcome.events,
            begun=None,
            finished=at_gateway(outcome.finished, issued=issued, received=received),
            superseded_by=outcome.superseded_by,
            contained=outcome.contained,
            message=outcome.message,
        )
        for state in heartbeat.full or ()
        for outcome in state.outcomes
    )


def _full_ref(watches: Watches) -> str | None:
    return None if watches.ref is None else watches.ref.full

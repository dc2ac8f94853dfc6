"""One run under way, and the scribe who keeps what is known of it and says it.

What a Sync is said to be is what its record says: the record changes first, is on disk, and then the word goes out.
A word that is no news is not said again, so that polling is silent.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, Protocol

from agent.adapters.state import StateFolder
from agent.app.turn import Turn
from agent.core.announced import Announced
from agent.core.backoff import jitter
from agent.core.inbox import Run
from agent.core.outcome import SyncRecord, TreeKey, note
from agent.ports.target import Target
from agent.spec import Sync
from bellpull.contract.report import (
    Counts,
    Health,
    HealthStatus,
    Outcome,
    Report,
    ReportHops,
    StageSeconds,
    Trigger,
    TriggerKind,
)
from bellpull.contract.text import CommitId, MessageId, Name
from bellpull.contract.word import WORDS, Verdict, Word
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Attempt", "Place", "Scribe", "Speaker"]

_log = logger("agent.reconcile")
_NOT_ASKED: Final = Health(status=HealthStatus.NOT_ASKED)
_FULL_CHECK_EVERY: Final = timedelta(minutes=30)


@dataclass(slots=True, kw_only=True)
class Place:
    """A Sync with what belongs to it here."""

    sync: Sync
    target: Target
    record: SyncRecord
    health: Health = _NOT_ASKED
    """Of what runs."""
    full_check: datetime | None = None
    """From when on everything is to be read again; None since the start."""
    owed: bool = False
    """Whether a drift was undone and the command that belongs to it did not end well."""

    def is_to_read_all(self, now: datetime) -> bool:
        """Whether everything of the target is to be read again, whatever watches or the file system said (P7)."""
        return self.full_check is None or now >= self.full_check

    def has_read_all(self, now: datetime) -> None:
        """Note that it was; the next time differs for all that began together."""
        self.full_check = now + jitter(_FULL_CHECK_EVERY, random.random())


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One run under way: its place, what started it, its turn, and what was measured so far."""

    place: Place
    run: Run
    started: datetime
    turn: Turn
    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; the names are those of `StageSeconds`."""
        begun = monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + monotonic() - begun, 6)


class Speaker(Protocol):
    """Where words go. Neither method waits."""

    def say(self, draft: Callable[[int, int], Report]) -> None:
        """Send the report that `draft(epoch, seq)` makes."""
        ...

    def changed(self) -> None:
        """Let the next heartbeat carry the full state."""
        ...


class Scribe:
    """Keeps records and says words, for one agent."""

    def __init__(self, agent: Name, environment: Name, state: StateFolder, speaker: Speaker) -> None:
        self._agent = agent
        self._environment = environment
        self._state = state
        self._speaker = speaker

    async def wait(self, attempt: Attempt, commit: CommitId | None) -> None:
        """Git does not show `commit` yet: said once."""
        record = attempt.place.record
        if record.word is Word.WAITING and record.commit == commit:
            return
        message = "Git does not show the announced commit yet"
        await self._keep(attempt, record.now(Word.WAITING, commit, message))
        self._say(attempt, _outcome(Word.WAITING, commit, _events(attempt, commit), message))

    async def write(self, attempt: Attempt, commit: CommitId) -> None:
        """The target is about to be written."""
        await self._keep(attempt, attempt.place.record.writing(commit))

    async def judge(self, attempt: Attempt, commit: CommitId, made: TreeKey) -> None:
        """The target was made from `commit`, and its health is waited for: said once."""
        before = attempt.place.record
        await self._keep(attempt, before.judged(commit, made, utc_now()))
        if attempt.place.record.word is Word.JUDGING and (before.word, before.commit) != (Word.JUDGING, commit):
            self._say(attempt, _outcome(Word.JUDGING, commit, _events(attempt, commit), ""), tree=made.tree)

    def healthy(self, place: Place, health: Health) -> None:
        """How what runs is has changed."""
        if health != place.health:
            place.health = health
            self._speaker.changed()

    async def unfinished(self, attempt: Attempt, commit: CommitId, made: TreeKey) -> None:
        """The target was made from `commit`, but not all that belongs to it ended well."""
        await self._keep(attempt, attempt.place.record.made_from(commit, made))

    async def undone(self, attempt: Attempt, before: SyncRecord) -> None:
        """A drift was undone: what stood before stands again, and is said where that is that all is well."""
        if before.key is None:
            await self._keep(attempt, before)
        else:
            await self.end(attempt, Word.APPLIED, before.applied, key=before.key)

    async def stumble(self, attempt: Attempt, commit: CommitId | None, message: str, *, lasting: bool) -> None:
        """An error that may pass: `working` with its message until the Sync's timeout, then `failed`."""
        now = utc_now()
        _log.warning("a run met an error", sync=attempt.run.key, commit=commit, error=message)
        record = attempt.place.record.stumbled(commit, message, now)
        await self._keep(attempt, record)
        if lasting or record.is_out_of_time(now, attempt.place.sync.spec.timeout):
            await self.end(attempt, Word.FAILED, commit, message=message)

    async def end(
        self, attempt: Attempt, word: Word, commit: CommitId | None, *, message: str = "", key: TreeKey | None = None
    ) -> None:
        """End what was announced of `commit` with a final word.

        Args:
            attempt: the run.
            word: `applied`, `unchanged`, `failed` or `rejected`.
            commit: which it is about; null where the ref is gone.
            message: why.
            key: what the target has now.
        """
        before = attempt.place.record
        outcome = _outcome(word, commit, _events(attempt, commit), message)
        await self._keep(attempt, before.after(outcome, key=key))
        if outcome.events or _is_news(before, outcome):
            self._say(attempt, outcome, tree=key.tree if key else None)

    async def pass_by(self, attempt: Attempt, one: Announced, tip: CommitId, *, contained: bool | None) -> None:
        """End an announcement whose commit is not, and will not be, what runs."""
        outcome = _outcome(Word.SUPERSEDED, one.commit, (one.event,), "")
        outcome = replace(outcome, superseded_by=tip, contained=contained)
        await self._keep(attempt, attempt.place.record.after(outcome))
        self._say(attempt, outcome)

    async def _keep(self, attempt: Attempt, record: SyncRecord) -> None:
        if record == attempt.place.record:
            return
        attempt.place.record = record
        self._speaker.changed()
        try:
            await self._state.save_record(attempt.run.key, record)
        except OSError as error:
            _log.warning("a record cannot be kept over a restart", sync=attempt.run.key, error=str(error))

    def _say(self, attempt: Attempt, outcome: Outcome, tree: CommitId | None = None) -> None:
        sync = attempt.place.sync
        kind = TriggerKind.EVENTS if outcome.events else attempt.run.trigger.kind
        watches = replace(sync.watches, repository=replace(sync.watches.repository, clone_urls=()))

        def draft(epoch: int, seq: int) -> Report:
            return Report(
                agent=self._agent,
                environment=self._environment,
                epoch=epoch,
                seq=seq,
                sync=sync.name,
                watches=watches,
                trigger=Trigger(kind=kind, events=outcome.events),
                word=outcome.word,
                hops=_hops(attempt, outcome),
                commit=outcome.commit,
                tree=tree,
                superseded_by=outcome.superseded_by,
                contained=outcome.contained,
                health=attempt.place.health,
                counts=attempt.counts,
                stages=StageSeconds(**attempt.seconds),
                policy=sync.policy,
                message=outcome.message,
            )

        log = _log.info if WORDS[outcome.word].verdict is not Verdict.FAIL else _log.warning
        why = {"reason": outcome.message} if outcome.message else {}
        seconds = {name: round(value, 4) for name, value in attempt.seconds.items()}
        log("said", sync=sync.name, word=outcome.word, commit=outcome.commit, trigger=kind, seconds=seconds, **why)
        self._speaker.say(draft)


def _outcome(word: Word, commit: CommitId | None, events: Sequence[MessageId], message: str) -> Outcome:
    return Outcome(word=word, commit=commit, events=tuple(events), finished=utc_now(), message=note(message))


def _events(attempt: Attempt, commit: CommitId | None) -> tuple[MessageId, ...]:
    return tuple(one.event for one in attempt.run.announcements if one.commit == commit)


def _is_news(before: SyncRecord, outcome: Outcome) -> bool:
    """Whether a word that nobody waits for says something new: a commit, a verdict, or that it was applied."""
    same = before.commit == outcome.commit and WORDS[before.word].verdict is WORDS[outcome.word].verdict
    return outcome.word is Word.APPLIED or not same


def _hops(attempt: Attempt, outcome: Outcome) -> ReportHops:
    """Return the hops of the newest announcement that a word answers, and those of the run."""
    answered = [one for one in attempt.run.announcements if one.event in outcome.events]
    newest = answered[-1] if answered else None
    return ReportHops(
        started=attempt.started,
        finished=outcome.finished,
        pushed=newest.pushed if newest else None,
        received=newest.received if newest else None,
        accepted=newest.accepted if newest else None,
        heard=newest.heard if newest else None,
    )

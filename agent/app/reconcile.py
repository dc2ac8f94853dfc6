"""One run of one Sync, as a story: fetch, decide, look, apply, say.

The order keeps the promises: what a tip says of the announced commit is decided before anything is written (R33);
the record on disk says "uncertain" before the target is touched (R35); the word for what runs is said before those
for what was passed by, so that nobody waits for history. A ref, a repository or a folder that is gone is said, and
what runs is kept.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from time import monotonic
from typing import Final, Protocol

from agent.adapters.credentials import CredentialError, read_remote
from agent.adapters.state import StateFolder
from agent.core.ancestry import Ancestry, AskGit, Decision, Go, Lag, Superseded, contained, decide, share
from agent.core.announced import Announced
from agent.core.fruitless import Allowance
from agent.core.inbox import Run
from agent.core.outcome import SyncRecord, TreeKey, note
from agent.ports.git import AccessDeniedError, Git, GitError, RefGoneError, Remote, RepositoryGoneError
from agent.ports.target import Target, TargetError
from agent.spec import Sync
from bellpull.contract.report import Counts, Outcome, Report, ReportHops, StageSeconds, Trigger, TriggerKind
from bellpull.contract.text import CommitId, MessageId, Name, SyncName
from bellpull.contract.word import Word
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["End", "Place", "Postponed", "Reconciler", "Speaker"]

_log = logger("agent.reconcile")
_FULL_CHECK_EVERY: Final = timedelta(minutes=30)
"""How often everything of a target is read again, whatever the file system said (P7)."""


class End(Enum):
    """How a run ended, for the inbox."""

    DONE = auto()
    WAITING = auto()
    """Git does not show what was announced."""
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Postponed:
    """The run did nothing: events made this agent look at the remote in vain too often (R29)."""

    until: datetime


@dataclass(slots=True, kw_only=True)
class Place:
    """A Sync with what belongs to it here."""

    sync: Sync
    target: Target
    record: SyncRecord
    full_check: datetime | None = None
    """When everything was read last; None since the start."""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """One run under way: its place, what started it, and what was measured so far."""

    place: Place
    run: Run
    started: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
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


class Reconciler:
    """Does runs. One instance serves all Syncs of an agent.

    Args:
        agent: this agent's name.
        environment: where it is.
        git: all remotes.
        state: where records are kept.
        speaker: where words go.
        secrets: folder of credentials.
        places: all Syncs.
        later: gives the commits announced for a Sync since its run began.
    """

    def __init__(
        self,
        *,
        agent: Name,
        environment: Name,
        git: Git,
        state: StateFolder,
        speaker: Speaker,
        secrets: Path | None,
        places: Mapping[SyncName, Place],
        later: Callable[[SyncName], frozenset[CommitId]],
    ) -> None:
        self._agent = agent
        self._environment = environment
        self._git = git
        self._state = state
        self._speaker = speaker
        self._secrets = secrets
        self._places = places
        self._later = later
        self._allowance = Allowance()

    async def reconcile(self, run: Run) -> End | Postponed:
        """Do one run, and say how it ended."""
        attempt = _Attempt(place=self._places[run.key], run=run, started=utc_now())
        repository = attempt.place.sync.watches.repository.key
        free = self._allowance.free_at(repository, run.kinds, attempt.started)
        if free > attempt.started:
            return Postponed(until=free)
        applied = attempt.place.record.applied
        try:
            remote = await self._remote(attempt)
            with attempt.stage("fetch"):
                tip = await self._tip(attempt, remote)
            if tip in (None, applied):
                self._allowance.found_nothing(repository, run.kinds, attempt.started)
            decision = await self._decide(attempt, remote, tip)
            return await self._act(attempt, remote, tip, decision)
        except (GitError, CredentialError) as error:
            awaited = run.awaited.commit if run.awaited else None
            return await self._stumble(attempt, awaited, str(error), lasting=_is_lasting(error))

    async def _remote(self, attempt: _Attempt) -> Remote:
        source = attempt.place.sync.spec.source
        name = source.secret_ref.name if source.secret_ref else None
        return await asyncio.to_thread(read_remote, source.url, self._secrets, name)

    async def _tip(self, attempt: _Attempt, remote: Remote) -> CommitId | None:
        try:
            return await self._git.fetch(remote, attempt.place.sync.ref)
        except RefGoneError:
            return None

    async def _decide(self, attempt: _Attempt, remote: Remote, tip: CommitId | None) -> Decision:
        answers: dict[CommitId, Ancestry] = {}
        while True:
            decision = decide(
                attempt.run.awaited,
                tip,
                applied=attempt.place.record.applied,
                later=self._later(attempt.run.key),
                ended=attempt.run.awaited is not None and utc_now() >= attempt.run.awaited.deadline,
                answers=answers,
            )
            if not isinstance(decision, AskGit) or tip is None:
                return decision
            answers[decision.commit] = await self._git.relation(remote, attempt.place.sync.ref, tip, decision.commit)

    async def _act(self, attempt: _Attempt, remote: Remote, tip: CommitId | None, decision: Decision) -> End:
        match decision:
            case Lag():
                return await self._wait(attempt)
            case Go() | Superseded() if tip is not None:
                return await self._make(attempt, remote, tip)
            case _:
                ref = attempt.place.sync.ref
                gone = f"RefDeleted: {ref.kind} {ref.name} is gone; what runs is kept"
                return await self._reject(attempt, None, gone)

    async def _wait(self, attempt: _Attempt) -> End:
        """Git does not show it yet: say so once, come back."""
        awaited = attempt.run.awaited
        commit = awaited.commit if awaited else None
        record = attempt.place.record
        if record.word is not Word.WAITING or record.commit != commit:
            message = "Git does not show the announced commit yet"
            await self._keep(attempt, record.now(Word.WAITING, commit, message))
            self._say(attempt, Word.WAITING, commit, attempt.run.trigger, message)
        return End.WAITING

    async def _make(self, attempt: _Attempt, remote: Remote, tip: CommitId) -> End:
        source = attempt.place.sync.spec.source
        tree = await self._git.tree(remote, tip, attempt.place.sync.watches.path)
        if tree is None:
            message = f"PathGone: the commit has no folder {source.path or '/'}; what runs is kept"
            return await self._reject(attempt, tip, message)
        key = TreeKey(tree=tree, policy=attempt.place.sync.policy)
        try:
            if attempt.place.record.is_unchanged(key) and not await self._has_drifted(attempt, tree):
                return await self._finish(attempt, remote, tip, Word.UNCHANGED, key)
            await self._apply(attempt, remote, tip, tree)
        except TargetError as error:
            if error.permanent:
                return await self._reject(attempt, tip, str(error))
            return await self._stumble(attempt, tip, str(error), lasting=False)
        return await self._finish(attempt, remote, tip, Word.APPLIED, key)

    async def _has_drifted(self, attempt: _Attempt, tree: CommitId) -> bool:
        """Look at the target: what seems untouched is believed, but all is read now and then, and after a start."""
        place = attempt.place
        full = place.full_check is None or attempt.started - place.full_check >= _FULL_CHECK_EVERY
        with attempt.stage("plan"):
            drift = await place.target.drifted(tree, full=full)
        if full:
            place.full_check = attempt.started
        if drift is not None:
            _log.warning("drift is undone", sync=attempt.run.key, drift=drift)
        return drift is not None

    async def _apply(self, attempt: _Attempt, remote: Remote, tip: CommitId, tree: CommitId) -> None:
        await self._keep(attempt, attempt.place.record.writing(tip))
        with attempt.stage("apply"), self._git.reader(remote, tree) as reader:
            attempt.counts = await attempt.place.target.apply(tip, tree, reader)

    async def _finish(self, attempt: _Attempt, remote: Remote, tip: CommitId, word: Word, key: TreeKey) -> End:
        own, passed = share(attempt.run.announcements, tip)
        before = attempt.place.record
        outcome = Outcome(word=word, commit=tip, events=own, finished=utc_now())
        await self._keep(attempt, before.after(outcome, key=key))
        if own or word is Word.APPLIED or before.word is not word or before.commit != tip:
            trigger = Trigger(kind=attempt.run.trigger.kind, events=own)
            self._say(attempt, word, tip, trigger, "", tree=key.tree)
        for one in passed:
            await self._pass_by(attempt, remote, tip, one)
        return End.DONE

    async def _pass_by(self, attempt: _Attempt, remote: Remote, tip: CommitId, one: Announced) -> None:
        inside = await self._is_contained(attempt, remote, tip, one)
        outcome = Outcome(
            word=Word.SUPERSEDED,
            commit=one.commit,
            events=(one.event,),
            finished=utc_now(),
            superseded_by=tip,
            contained=inside,
        )
        await self._keep(attempt, attempt.place.record.after(outcome))
        trigger = Trigger(kind=TriggerKind.EVENTS, events=(one.event,))
        self._say(attempt, Word.SUPERSEDED, one.commit, trigger, "", superseded_by=tip, contained=inside)

    async def _is_contained(self, attempt: _Attempt, remote: Remote, tip: CommitId, one: Announced) -> bool | None:
        if one.commit is None:
            return None
        try:
            return contained(await self._git.relation(remote, attempt.place.sync.ref, tip, one.commit))
        except GitError as error:
            _log.info("whether a commit is contained stays unknown", sync=attempt.run.key, error=str(error))
            return None

    async def _reject(self, attempt: _Attempt, commit: CommitId | None, message: str) -> End:
        """Nothing was written and nothing will be, until the commit or the Sync is another."""
        await self._end(attempt, Word.REJECTED, commit, message)
        return End.DONE

    async def _stumble(self, attempt: _Attempt, commit: CommitId | None, message: str, *, lasting: bool) -> End:
        """An error that may pass: `working` with its message until the Sync's timeout, then `failed`; tried again."""
        record = attempt.place.record.stumbled(commit, message, utc_now())
        _log.warning("a run met an error", sync=attempt.run.key, commit=commit, error=message)
        if lasting or record.is_out_of_time(utc_now(), attempt.place.sync.spec.timeout):
            await self._keep(attempt, record)
            await self._end(attempt, Word.FAILED, commit, message)
        else:
            await self._keep(attempt, record)
        return End.FAILED

    async def _end(self, attempt: _Attempt, word: Word, commit: CommitId | None, message: str) -> None:
        """End what was announced with `word`; said again only where it is news."""
        awaited = attempt.run.awaited
        about = commit or (awaited.commit if awaited else None)
        events = tuple(one.event for one in attempt.run.announcements if one.commit == about)
        before = attempt.place.record
        outcome = Outcome(word=word, commit=about, events=events, finished=utc_now(), message=note(message))
        await self._keep(attempt, before.after(outcome))
        if attempt.place.record.outcomes != before.outcomes:
            _log.warning("a run ended without success", sync=attempt.run.key, word=word, commit=about, reason=message)
            self._say(attempt, word, about, Trigger(kind=attempt.run.trigger.kind, events=events), message)

    async def _keep(self, attempt: _Attempt, record: SyncRecord) -> None:
        if record == attempt.place.record:
            return
        attempt.place.record = record
        self._speaker.changed()
        try:
            await self._state.save_record(attempt.run.key, record)
        except OSError as error:
            _log.warning(
                "what became of a Sync cannot be kept over a restart", sync=attempt.run.key, error=str(error)
            )

    def _say(
        self,
        attempt: _Attempt,
        word: Word,
        commit: CommitId | None,
        trigger: Trigger,
        message: str,
        *,
        tree: CommitId | None = None,
        superseded_by: CommitId | None = None,
        contained: bool | None = None,
    ) -> None:
        sync = attempt.place.sync
        watches = replace(sync.watches, repository=replace(sync.watches.repository, clone_urls=()))
        finished = utc_now()

        def draft(epoch: int, seq: int) -> Report:
            return Report(
                agent=self._agent,
                environment=self._environment,
                epoch=epoch,
                seq=seq,
                sync=sync.name,
                watches=watches,
                trigger=trigger,
                word=word,
                hops=_hops(attempt, trigger.events, finished),
                commit=commit,
                tree=tree,
                superseded_by=superseded_by,
                contained=contained,
                health=attempt.place.record.health,
                counts=attempt.counts,
                stages=StageSeconds(**attempt.seconds),
                policy=sync.policy,
                message=note(message),
            )

        _log.info("said", sync=sync.name, word=word, commit=commit, trigger=trigger.kind, seconds=attempt.seconds)
        self._speaker.say(draft)


def _hops(attempt: _Attempt, events: tuple[MessageId, ...], finished: datetime) -> ReportHops:
    """Return the hops of the newest announcement that a word answers, and those of the run."""
    answered = [one for one in attempt.run.announcements if one.event in events]
    newest = answered[-1] if answered else None
    return ReportHops(
        started=attempt.started,
        finished=finished,
        pushed=newest.pushed if newest else None,
        received=newest.received if newest else None,
        accepted=newest.accepted if newest else None,
        heard=newest.heard if newest else None,
    )


def _is_lasting(error: Exception) -> bool:
    """Whether a person has to do something before the next try can succeed; still it is tried, as it was done."""
    return isinstance(error, AccessDeniedError | RepositoryGoneError | CredentialError)

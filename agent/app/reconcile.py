"""One run of one Sync, as a story: fetch, decide, look, apply, say.

The order keeps the promises: what a tip says of the announced commit is decided before anything is written (R33);
the record on disk says "uncertain" before the target is touched (R35); the word for what runs is said before those
for what was passed by, so that nobody waits for history. A ref, a repository or a folder that is gone is said, and
what runs is kept. A drift is undone from the mirror, so that it needs neither Git nor gateway (P13).
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.adapters.credentials import CredentialError, read_remote
from agent.app.attempt import Attempt, Place, Scribe
from agent.app.ended import End, Postponed, Waiting
from agent.app.judging import judged
from agent.app.turn import Turn
from agent.core.ancestry import Ancestry, AskGit, Decision, Go, Lag, Meanwhile, Superseded, contained, decide
from agent.core.announced import Announced, up_to
from agent.core.fruitless import Allowance
from agent.core.inbox import Run
from agent.core.outcome import TreeKey
from agent.ports.git import (
    AccessDeniedError,
    Git,
    GitError,
    HostKeyError,
    RefGoneError,
    Remote,
    RepositoryGoneError,
    TransientError,
    TreeTooLargeError,
)
from agent.ports.target import CommandError, TargetError
from bellpull.contract.report import TriggerKind
from bellpull.contract.text import CommitId, SyncName
from bellpull.contract.word import Word
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Reconciler"]

_log = logger("agent.reconcile")
_HINTS: Final = frozenset({TriggerKind.EVENTS, TriggerKind.DRIFT})
"""What wants no look at whatever Git shows."""
_LASTING: Final = AccessDeniedError | HostKeyError | RepositoryGoneError | CredentialError
"""A person has to do something before the next try can succeed; still it is tried, as it was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What the last look at a ref saw, and when it began."""

    tip: CommitId | None
    began: datetime


class Reconciler:
    """Does runs. One instance serves all Syncs of an agent.

    Args:
        git: all remotes.
        scribe: keeps and says what became of a run.
        secrets: folder of credentials.
        places: all Syncs.
        later: gives the commits announced for a Sync since its run began.
        found: is called with what a look found and no event told of, and since when that was not there.
    """

    def __init__(
        self,
        *,
        git: Git,
        scribe: Scribe,
        secrets: Path | None,
        places: Mapping[SyncName, Place],
        later: Callable[[SyncName], frozenset[CommitId]],
        found: Callable[[SyncName, CommitId, datetime], None],
    ) -> None:
        self._git = git
        self._scribe = scribe
        self._secrets = secrets
        self._places = places
        self._later = later
        self._found = found
        self._allowance = Allowance()
        self._seen: dict[SyncName, _Look] = {}

    async def reconcile(self, run: Run, turn: Turn) -> End | Waiting | Postponed:
        """Do one run, and say how it ended; it stands aside before it waits for a command, or for health."""
        attempt = Attempt(place=self._places[run.key], run=run, started=utc_now(), turn=turn)
        try:
            if TriggerKind.DRIFT in run.kinds:
                undone = await self._undo_drift(attempt, await self._remote(attempt))
                if undone is not None and run.kinds == {TriggerKind.DRIFT}:
                    return undone
            free = self._allowance.take(_repository(attempt), run.kinds, attempt.started)
            if free > attempt.started:
                return Postponed(until=free)
            return await self._follow(attempt, await self._remote(attempt))
        except (GitError, CredentialError) as error:
            awaited = run.awaited.commit if run.awaited else None
            await self._scribe.stumble(attempt, awaited, str(error), lasting=isinstance(error, _LASTING))
            return End.FAILED

    async def _remote(self, attempt: Attempt) -> Remote:
        source = attempt.place.sync.spec.source
        name = source.secret_ref.name if source.secret_ref else None
        return await asyncio.to_thread(read_remote, source.url, self._secrets, name)

    async def _undo_drift(self, whole: Attempt, remote: Remote) -> End | None:
        """Make the target what it was, from the mirror, before Git's server is asked; None where that is not known.

        What became of later commits does not matter, and is not touched: their own runs speak of them.
        """
        place, before = whole.place, whole.place.record
        made, commit, owed = before.made, before.made_of or before.applied, place.owed
        if commit is None or made is None or made.policy != place.sync.policy:
            return None
        alone = replace(whole.run, kinds=frozenset({TriggerKind.DRIFT}), announcements=())
        attempt = Attempt(place=place, run=alone, started=whole.started, turn=whole.turn)
        try:
            if owed or await self._has_drifted(attempt, made.tree):
                await self._apply(attempt, remote, commit, made.tree)
                await self._scribe.undone(attempt, before)
        except CommandError as error:
            place.record, place.owed = before, True
            await self._scribe.unfinished(attempt, commit, made)
            if before.key is not None or before.failing_commit == commit:
                await self._scribe.stumble(attempt, commit, str(error), lasting=False)
            return End.FAILED
        except TargetError as error:
            _log.warning("a drift cannot be undone", sync=whole.run.key, error=str(error))
            place.record = before
            if before.key is not None:
                await self._scribe.stumble(attempt, before.applied, str(error), lasting=False)
            return End.FAILED
        except TransientError as error:
            _log.info("the mirror has lost something and is fetched anew", sync=attempt.run.key, error=str(error))
            place.record = before
            return None
        return None if owed else End.DONE  # what was said to go wrong is to be said to be well

    async def _follow(self, attempt: Attempt, remote: Remote) -> End | Waiting:
        """Fetch the ref, and do what its tip asks for."""
        with attempt.stage("fetch"):
            tip = await self._tip(attempt, remote)
        if self._is_news(attempt, tip):
            self._allowance.give_back(_repository(attempt), attempt.run.kinds)
        decision = await self._decide(attempt, remote, tip)
        match decision:
            case Lag():
                return await self._wait(attempt)
            case Meanwhile() if tip is not None:
                return await self._make_meanwhile(attempt, remote, tip)
            case Go() | Superseded() if tip is not None:
                return await self._make(attempt, remote, tip)
            case _:
                return await self._lament(attempt)

    def _is_news(self, attempt: Attempt, tip: CommitId | None) -> bool:
        """Whether a look found what neither runs nor was seen at the look before; what nobody told of is told."""
        key = attempt.run.key
        before, self._seen[key] = self._seen.get(key), _Look(tip=tip, began=attempt.started)
        if tip is None or tip == attempt.place.record.applied or (before is not None and tip == before.tip):
            return False
        if before is not None and attempt.run.kinds == {TriggerKind.INTERVAL} and not attempt.run.announcements:
            self._found(key, tip, before.began)
        return True

    async def _wait(self, attempt: Attempt, answered: tuple[Announced, ...] = ()) -> Waiting:
        awaited = attempt.run.awaited
        await self._scribe.wait(attempt, awaited.commit if awaited else None)
        return Waiting(answered=frozenset(one.event for one in answered))

    async def _make_meanwhile(self, attempt: Attempt, remote: Remote, tip: CommitId) -> End | Waiting:
        """Make the target match a tip that is not what is awaited, and answer what was announced up to it."""
        answered = up_to(attempt.run.announcements, tip)
        end = await self._make(replace(attempt, run=replace(attempt.run, announcements=answered)), remote, tip)
        return end if end is not End.DONE else await self._wait(attempt, answered)

    async def _tip(self, attempt: Attempt, remote: Remote) -> CommitId | None:
        try:
            return await self._git.fetch(remote, attempt.place.sync.ref)
        except RefGoneError:
            return None

    async def _decide(self, attempt: Attempt, remote: Remote, tip: CommitId | None) -> Decision:
        answers: dict[CommitId, Ancestry] = {}
        awaited = attempt.run.awaited
        while True:
            decision = decide(
                awaited,
                tip,
                applied=attempt.place.record.applied,
                earlier=frozenset(one.commit for one in attempt.run.passed if one.commit is not None),
                later=self._later(attempt.run.key),
                ended=awaited is not None and utc_now() >= awaited.deadline,
                looked=not attempt.run.kinds <= _HINTS,
                answers=answers,
            )
            if not isinstance(decision, AskGit) or tip is None:
                return decision
            answers[decision.commit] = await self._git.relation(remote, attempt.place.sync.ref, tip, decision.commit)

    async def _lament(self, attempt: Attempt) -> End:
        """The ref is gone: everything announced for it is rejected, and what runs is kept."""
        ref = attempt.place.sync.ref
        message = f"RefDeleted: there is no {ref.kind} {ref.name}, or no more; what runs is kept"
        announced = {one.commit: None for one in attempt.run.announcements} or {None: None}
        for commit in announced:
            await self._scribe.end(attempt, Word.REJECTED, commit, message=message)
        return End.DONE

    async def _make(self, attempt: Attempt, remote: Remote, tip: CommitId) -> End:
        """Make the target match `tip`, and answer everything that was announced.

        A folder that is not there is a failure, no rejection: with the Sync's path mended the same commit applies.
        """
        place = attempt.place
        try:
            tree = await self._git.tree(remote, tip, place.sync.watches.path)
        except TreeTooLargeError as error:
            return await self._settle(attempt, remote, tip, Word.REJECTED, message=str(error))
        if tree is None:
            message = f"PathGone: the commit has no folder {place.sync.watches.path}; what runs is kept"
            return await self._settle(attempt, remote, tip, Word.FAILED, message=message)
        key, made = TreeKey(tree=tree, policy=place.sync.policy), place.record.made
        try:
            if place.record.is_unchanged(key) and not await self._has_drifted(attempt, tree):
                return await self._settle(attempt, remote, tip, Word.UNCHANGED, key=key)
            if not place.record.is_judged(key) or await self._has_drifted(attempt, tree):
                await self._apply(attempt, remote, tip, tree)
        except CommandError as error:
            place.has_read_all(attempt.started)  # it was read back: what is owed is no drift
            await self._scribe.unfinished(attempt, tip, key)
            await self._scribe.stumble(attempt, tip, str(error), lasting=False)
            return End.FAILED
        except TargetError as error:
            place.record = place.record.still(made)
            if error.permanent:
                return await self._settle(attempt, remote, tip, Word.REJECTED, message=str(error))
            await self._scribe.stumble(attempt, tip, str(error), lasting=False)
            return End.FAILED
        end = await judged(attempt, self._scribe, tip, key)
        return await self._settle(attempt, remote, tip, Word.APPLIED, key=key) if end is End.DONE else end

    async def _has_drifted(self, attempt: Attempt, tree: CommitId) -> bool:
        """Look at the target: what seems untouched is believed, but all is read now and then, and after a start."""
        place = attempt.place
        full = place.is_to_read_all(attempt.started)
        with attempt.stage("plan"):
            drift = await place.target.drifted(tree, full=full)
        if full:
            place.has_read_all(attempt.started)
        if drift is not None:
            _log.warning("drift is undone", sync=attempt.run.key, drift=drift)
        return drift is not None

    async def _apply(self, attempt: Attempt, remote: Remote, tip: CommitId, tree: CommitId) -> None:
        await self._scribe.write(attempt, tip)
        with attempt.stage("apply"), self._git.reader(remote, tree) as reader:
            attempt.counts = await attempt.place.target.apply(tip, tree, reader, aside=attempt.turn.aside)
        attempt.place.owed = False

    async def _settle(
        self,
        attempt: Attempt,
        remote: Remote,
        tip: CommitId,
        word: Word,
        *,
        message: str = "",
        key: TreeKey | None = None,
    ) -> End:
        """Say the word for the tip, then that other announced commits were passed by."""
        await self._scribe.end(attempt, word, tip, message=message, key=key)
        for one in attempt.run.announcements:
            if one.commit != tip:
                inside = await self._is_contained(attempt, remote, tip, one)
                await self._scribe.pass_by(attempt, one, tip, contained=inside)
        return End.DONE

    async def _is_contained(self, attempt: Attempt, remote: Remote, tip: CommitId, one: Announced) -> bool | None:
        if one.commit is None:
            return None
        try:
            return contained(await self._git.relation(remote, attempt.place.sync.ref, tip, one.commit))
        except GitError as error:
            _log.info("whether a commit is contained stays unknown", sync=attempt.run.key, error=str(error))
            return None


def _repository(attempt: Attempt) -> str:
    return attempt.place.sync.watches.repository.key

"""The parts of a running agent, put together for one set of Syncs."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.adapters.state import StateFolder
from agent.app.attempt import Place, Scribe
from agent.app.hearing import HearingWatch
from agent.app.listener import Listener
from agent.app.reconcile import Reconciler
from agent.app.reporter import Identity, Reporter
from agent.app.targets import Targets
from agent.app.worker import Worker
from agent.core.announced import Announced
from agent.core.hear import concerns
from agent.core.inbox import Inbox
from agent.core.outcome import to_state
from agent.core.spread import Resyncs, spread_to
from agent.ports.git import Git
from agent.ports.queue import Queue
from agent.ports.target import Change, TargetError
from agent.spec import Sync
from bellpull.contract.event import RefUpdated, Resync, StateRequested
from bellpull.contract.message import Message
from bellpull.contract.report import Health, HealthStatus, SyncState, TriggerKind, Watches
from bellpull.contract.seal import PinnedKey
from bellpull.contract.text import SyncName
from bellpull.contract.word import Word
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Assembly"]

_log = logger("agent")
_FLUSH_S: Final = 2.0
_WATCH_AGAIN_S: Final = 10.0
_TRIGGERS: Final = {Change.DRIFT: TriggerKind.DRIFT, Change.COME: TriggerKind.CHANGE}


class Assembly:
    """One agent with one set of Syncs. Making one reads its state, and blocks.

    Args:
        syncs: what is to be made match what.
        queue: the way to the gateway.
        git: all remotes.
        state: the agent's state.
        identity: who it is.
        keys: gives the gateway's pinned keys as of now.
        secrets: folder of credentials.
        stopping: whether the agent is about to end, asked in threads.
    """

    def __init__(
        self,
        *,
        syncs: tuple[Sync, ...],
        queue: Queue,
        git: Git,
        state: StateFolder,
        identity: Identity,
        keys: Callable[[], Mapping[str, PinnedKey]],
        secrets: Path | None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._targets = Targets(identity.agent, state.key(), stopping)
        self._places = {
            sync.name: Place(sync=sync, target=self._targets.of(sync), record=state.record(sync.name))
            for sync in syncs
        }
        self._watches: Mapping[SyncName, Watches] = {sync.name: sync.watches for sync in syncs}
        self._agent = identity.agent
        self._reporter = Reporter(queue, identity, self._states)
        self._scribe = Scribe(identity.agent, identity.environment, state, self._reporter)
        reconciler = Reconciler(
            git=git,
            scribe=self._scribe,
            secrets=secrets,
            places=self._places,
            later=lambda key: self._worker.later(key),
            found=lambda key, commit, since: self._hearing.found(key, commit, since),
        )
        self._worker = Worker(_inbox(syncs), reconciler.reconcile)
        self._resyncs = Resyncs()
        self._hearing = HearingWatch(
            syncs=syncs,
            queue=queue,
            state=state,
            pace=self._worker.pace,
            look=self._look_at,
            changed=self._reporter.changed,
        )
        self._listener = Listener(
            queue=queue,
            state=state,
            installation=identity.installation,
            agent=identity.agent,
            keys=keys,
            take=self._take,
            resync=self._resync,
            connected=self._on_connected,
            heard=self._hearing.frame,
            lost=self._hearing.lost,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile everything once, then whatever comes, until asked to stop."""
        for key in self._places:
            self._worker.offer(key, TriggerKind.CHANGE)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._worker.run(), name="worker")]
                running += [tasks.create_task(self._listener.run(), name="listener")]
                running += [tasks.create_task(self._reporter.run(), name="reporter")]
                running += [tasks.create_task(self._hearing.run(), name="hearing")]
                running += [tasks.create_task(self._targets.run(), name="targets")]
                running += [tasks.create_task(self._watch(key, place)) for key, place in self._places.items()]
                running += [tasks.create_task(self._follow_health(key, place)) for key, place in self._places.items()]
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await self._reporter.flush()
            await self._targets.close()

    def _states(self) -> tuple[SyncState, ...]:
        missing = self._hearing.missing
        return tuple(
            to_state(key, self._watches[key], place.record, place.health, missing.get(key))
            for key, place in self._places.items()
        )

    def _on_connected(self) -> None:
        self._reporter.reachable()
        self._hearing.connected()

    def _take(self, message: Message, now: datetime) -> None:
        """Put into the inbox what follows from an event."""
        self._reporter.last_event = message.id
        match message.data:
            case RefUpdated() as event:
                announced = Announced.from_event(message.id, event, now)
                at = spread_to(now, event.spread, random.random())
                for key in concerns(event, self._watches):
                    self._hearing.told(key, announced.commit)
                    self._worker.offer(key, TriggerKind.EVENTS, announced, at=at)
            case StateRequested(agent=agent) if agent == self._agent:
                self._reporter.changed()
            case Resync() as event:
                self._look_again(tuple(concerns(event, self._watches)), event.reason)
            case _:
                pass

    def _resync(self, reason: str) -> None:
        self._look_again(tuple(self._places), reason)

    def _look_again(self, keys: Collection[SyncName], reason: str) -> None:
        """Look at these again; a little apart, as all agents may do so at once, and not as often as it is said."""
        _log.info("looking again", reason=reason, syncs=len(keys))
        now = utc_now()
        for key in keys:
            self._hearing.excuse(key)
            self._worker.offer(key, TriggerKind.INTERVAL, at=self._resyncs.at(key, now, random.random()))

    def _look_at(self, keys: Collection[SyncName], reason: str) -> None:
        """Look at these now."""
        _log.info("looking at once", reason=reason, syncs=list(keys))
        for key in keys:
            self._hearing.excuse(key)
            self._worker.offer(key, TriggerKind.INTERVAL)

    async def _follow_health(self, key: SyncName, place: Place) -> None:
        """Say how what runs is; what was not well, and is now, is looked at again, so that it is said."""
        health = place.target.health()
        if health is None:
            return
        self._scribe.healthy(place, Health(status=HealthStatus.UNKNOWN))
        async for found in health:
            self._scribe.healthy(place, found)
            record = place.record
            if found.status is HealthStatus.HEALTHY and record.word is Word.FAILED and record.judging is not None:
                self._worker.offer(key, TriggerKind.CHANGE)

    async def _watch(self, key: SyncName, place: Place) -> None:
        """Offer a look whenever the target may have changed."""
        while True:
            try:
                async for change in place.target.changes():
                    self._worker.offer(key, _TRIGGERS[change])
            except TargetError as error:
                _log.warning("a target cannot be watched", sync=key, error=str(error), again_s=_WATCH_AGAIN_S)
            await asyncio.sleep(_WATCH_AGAIN_S)


def _inbox(syncs: tuple[Sync, ...]) -> Inbox:
    inbox = Inbox()
    for sync in syncs:
        inbox.watch(sync.name, sync.pace, utc_now(), random.random())
    return inbox

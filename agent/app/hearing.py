"""Watches whether events come, and has the Syncs for which they do not poll (R31).

A way that ticks and brings no event is found by what looks find, see `agent.core.finds`.

At each connection the gateway is asked how this agent stands there. What its record named last is kept on disk, so
that a repository that was added, while the agent listened or was away, has its Syncs looked at at once (R15). An
older gateway does not answer that; then nothing is concluded.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final

from agent.adapters.state import StateFolder
from agent.core.finds import GRACE, Finds
from agent.core.hearing import BACKSTOP, Hearing, added, polling
from agent.core.inbox import Pace
from agent.core.outcome import note
from agent.ports.queue import Queue, QueueError
from agent.spec import Sync
from bellpull.contract.report import NotHearing
from bellpull.contract.text import CommitId, SyncName
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["HearingWatch"]

_log = logger(__name__)
_ASK_AGAIN_S: Final = 30.0
_LOOK_S: Final = 60.0
"""The clock may be set: look at it now and then."""
_UNTOLD: Final = note(
    f"a look found a commit, and within {GRACE.total_seconds():.0f} s no event told of it: the webhook is gone or "
    "fails (its list of deliveries says so), or somebody holds events back"
)


class HearingWatch:
    """Knows for which Syncs events come. `frame`, `lost` and `connected` never wait.

    Args:
        syncs: all of them.
        queue: the gateway.
        state: where the record's repositories are kept.
        pace: is called with a Sync's pace when that changes.
        look: is called with Syncs to be looked at at once, and why.
        changed: is called when `missing` changed.
    """

    def __init__(
        self,
        *,
        syncs: Collection[Sync],
        queue: Queue,
        state: StateFolder,
        pace: Callable[[SyncName, Pace], None],
        look: Callable[[Collection[SyncName], str], None],
        changed: Callable[[], None],
    ) -> None:
        self._repositories = {sync.name: sync.watches.repository.key for sync in syncs}
        self._paces = {sync.name: sync.pace for sync in syncs}
        self._queue = queue
        self._state = state
        self._pace = pace
        self._look = look
        self._changed = changed
        self._hearing = Hearing(begun=utc_now(), silence=queue.silence)
        self._finds = Finds()
        self._wake = asyncio.Event()
        self._connected = asyncio.Event()
        self.missing: Mapping[SyncName, NotHearing] = {}
        """The Syncs for which events do not come."""

    def frame(self, now: datetime) -> None:
        """A frame came."""
        was_silent = now >= self._hearing.silent_from()
        self._hearing = self._hearing.frame(now)
        if was_silent:
            self._wake.set()

    def lost(self, reason: str) -> None:
        """A connection ended, or none could be had."""
        self._hearing = self._hearing.lost(reason)
        for key in self._paces:
            self._finds.excuse(key, utc_now())

    def connected(self) -> None:
        """A connection stands."""
        self._connected.set()

    def told(self, key: SyncName, commit: CommitId | None) -> None:
        """An event of the Sync's ref came."""
        self._finds.told(key, commit, utc_now())
        if key in self.missing:
            self._wake.set()

    def excuse(self, key: SyncName) -> None:
        """The Sync is looked at because events may be missing: what that finds says nothing."""
        self._finds.excuse(key, utc_now())

    def found(self, key: SyncName, commit: CommitId, since: datetime) -> None:
        """A look found `commit`, which was not there `since`, and no event told of it."""
        now = utc_now()
        if self._hearing.broken or self._hearing.missing(self._repositories[key], now):
            return
        self._finds.found(key, commit, since=since, now=now)
        self._wake.set()

    async def run(self) -> None:
        """Watch, until cancelled."""
        known = await asyncio.to_thread(self._state.repositories)
        if known is not None:
            self._hearing = self._hearing.record(known, utc_now())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask())
            while True:
                self._wake.clear()
                self._check(utc_now())
                await self._pause()

    async def _pause(self) -> None:
        now = utc_now()
        ends = [
            at for at in (self._hearing.silent_from(), self._finds.next_untold(now)) if at is not None and at > now
        ]
        wait_s = min([_LOOK_S, *((at - now).total_seconds() for at in ends)])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    def _check(self, now: datetime) -> None:
        """Compare with before: what changed gets its pace, and is said."""
        found = {key: self._missing(key, now) for key in self._repositories}
        missing = {key: why for key, why in found.items() if why is not None}
        before, self.missing = self.missing, missing
        begun = [key for key in missing if key not in before or before[key].since != missing[key].since]
        over = [key for key in before if key not in missing]
        for key in (*begun, *over):
            self._pace(key, polling(self._paces[key]) if key in missing else self._paces[key])
        for why in dict.fromkeys(missing[key] for key in begun):
            syncs = [key for key in begun if missing[key] == why]
            every_s = int(BACKSTOP.total_seconds())
            _log.warning(f"not heard: polling every {every_s} s", since=why.since, because=why.reason, syncs=syncs)
        if over:
            _log.info("heard again", syncs=over)
        if begun or over:
            self._changed()

    def _missing(self, key: SyncName, now: datetime) -> NotHearing | None:
        why = self._hearing.missing(self._repositories[key], now)
        at = None if why else self._finds.untold(key, now)
        return why if at is None else NotHearing(since=at, reason=_UNTOLD)

    async def _ask(self) -> None:
        """Ask at each connection how this agent stands, again and again until that is answered."""
        while True:
            await self._connected.wait()
            self._connected.clear()
            while not await self._told():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ASK_AGAIN_S):
                        await self._connected.wait()
                self._connected.clear()

    async def _told(self) -> bool:
        """Ask once, and say whether there was an answer."""
        try:
            standing = await self._queue.standing()
        except QueueError as error:
            _log.warning("the gateway does not say what this agent may hear", error=str(error), again_s=_ASK_AGAIN_S)
            return False
        if standing is not None:
            await self._learn(standing.repositories)
        return True

    async def _learn(self, repositories: tuple[str, ...]) -> None:
        before, self._hearing = self._hearing.repositories, self._hearing.record(repositories, utc_now())
        if repositories == before:
            return
        new = [key for key, repository in self._repositories.items() if added(before, repositories, repository)]
        if new:
            self._look(new, "their repository was added to the enrolment record")
        self._wake.set()
        try:
            await self._state.save_repositories(repositories)
        except OSError as error:
            _log.warning("what this agent may hear cannot be kept over a restart", error=str(error))

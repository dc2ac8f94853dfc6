"""The loop round the inbox: starts what is due, one task a run, and says to the inbox how each ended."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, assert_never

from agent.app.ended import End, Postponed, Waiting
from agent.app.turn import Turn
from agent.core.announced import Announced
from agent.core.inbox import Inbox, Pace, Run
from bellpull.contract.report import TriggerKind
from bellpull.contract.text import CommitId, SyncName
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["Worker"]

_log = logger(__name__)
_LONGEST_PAUSE_S: Final = 60.0
"""The clock may be set: look at it now and then."""


class Worker:
    """Runs what the inbox says. `offer` never waits.

    Args:
        inbox: decides.
        reconcile: does one run and says how it ended; stands aside once it only waits, so that another starts
            meanwhile.
    """

    def __init__(self, inbox: Inbox, reconcile: Callable[[Run, Turn], Awaitable[End | Waiting | Postponed]]) -> None:
        self._inbox = inbox
        self._reconcile = reconcile
        self._turns: dict[SyncName, Turn] = {}
        self._wake = asyncio.Event()

    def offer(self, key: SyncName, kind: TriggerKind, *announced: Announced, at: datetime | None = None) -> None:
        """Want a run of `key`, no sooner than `at`."""
        now = utc_now()
        self._inbox.offer(key, kind, now, *announced, at=at)
        if key in self._turns:
            self._turns[key].stir(at or now)
        self._wake.set()

    def pace(self, key: SyncName, pace: Pace) -> None:
        """Have `key` run by itself at another pace from now on."""
        self._inbox.watch(key, pace, utc_now(), random.random())
        self._wake.set()

    def later(self, key: SyncName) -> frozenset[CommitId]:
        """Return the commits announced for `key` since its run began."""
        return self._inbox.later(key)

    async def run(self) -> None:
        """Start what is due, until cancelled; runs under way are cancelled too."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for run in self._inbox.due(utc_now()):
                    tasks.create_task(self._one(run), name=run.key)
                await self._pause()

    async def _pause(self) -> None:
        due = self._inbox.next_due()
        wait_s = _LONGEST_PAUSE_S if due is None else (due - utc_now()).total_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait_s, 0), _LONGEST_PAUSE_S)):  # wait_for may lose a cancellation
                await self._wake.wait()

    def _aside(self, key: SyncName) -> None:
        self._inbox.aside(key)
        self._wake.set()

    async def _one(self, run: Run) -> None:
        turn = self._turns[run.key] = Turn(lambda: self._aside(run.key), self._inbox.next_look(run, utc_now()))
        try:
            end: End | Waiting | Postponed = await self._reconcile(run, turn)
        except Exception as error:  # noqa: BLE001 - the one place: a defect in one run must not end all others
            _log.exception("a run ended in a defect of the agent", sync=run.key, error=str(error))
            end = End.FAILED
        finally:
            del self._turns[run.key]
        now = utc_now()
        match end:
            case End.DONE:
                self._inbox.done(run.key, now, random.random())
            case End.INTERRUPTED:
                self._inbox.interrupted(run.key, now, random.random())
            case Waiting(answered=answered):
                self._inbox.waiting(run.key, now, random.random(), answered)
            case End.FAILED:
                self._inbox.failed(run.key, now, random.random())
            case Postponed(until=until):
                self._inbox.postponed(run.key, now, until)
            case _:
                assert_never(end)
        self._wake.set()

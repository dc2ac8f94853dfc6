import asyncio
from datetime import timedelta
from typing import Final

import pytest

from agent.app.ended import End, Postponed, Waiting
from agent.app.turn import Turn
from agent.app.worker import Worker
from agent.core.inbox import Inbox, Pace, Run
from bellpull.contract.report import TriggerKind
from bellpull.contract.text import SyncName
from bellpull.runtime.clock import utc_now

_KEY: Final = SyncName("default/site")


@pytest.mark.parametrize("ticks", range(8))
async def test_a_worker_ends_when_it_is_told_to_whatever_comes_at_that_moment(ticks: int) -> None:
    """An offer and the end may come in the same moment, any number of turns of the loop apart."""
    inbox = Inbox()
    inbox.watch(_KEY, Pace(interval=timedelta(hours=1), retry=timedelta(minutes=1)), utc_now(), 0.5)
    worker = Worker(inbox, _done)
    task = asyncio.get_running_loop().create_task(worker.run())
    await asyncio.sleep(0.01)
    worker.offer(SyncName("default/other"), TriggerKind.DRIFT)
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    done, pending = await asyncio.wait({task}, timeout=1)
    task.cancel()
    await asyncio.wait({task})
    assert (len(done), len(pending)) == (1, 0), "the end was lost"


async def _done(_: Run, __: Turn) -> End | Waiting | Postponed:
    return End.DONE


async def test_a_run_that_is_out_of_memory_ends_nothing_but_itself() -> None:
    """The worker goes on with what comes next."""
    inbox = Inbox()
    inbox.watch(_KEY, Pace(interval=timedelta(hours=1), retry=timedelta(milliseconds=10)), utc_now(), 0.5)
    done = asyncio.Event()
    runs = 0

    async def reconcile(run: Run, turn: Turn) -> End | Waiting | Postponed:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise MemoryError
        done.set()
        return await _done(run, turn)

    worker = Worker(inbox, reconcile)
    task = asyncio.get_running_loop().create_task(worker.run())
    worker.offer(_KEY, TriggerKind.DRIFT)
    async with asyncio.timeout(5):
        await done.wait()
    task.cancel()
    await asyncio.wait({task})


async def test_a_run_that_waits_hears_of_what_comes_and_takes_it_with_it() -> None:
    """P10: at once, though the next look is an hour off."""
    inbox = Inbox(slots=1)
    pace = Pace(interval=timedelta(hours=1), retry=timedelta(minutes=1))
    other = SyncName("default/other")
    for key in (_KEY, other):
        inbox.watch(key, pace, utc_now(), 0.5)
    waiting, ended = asyncio.Event(), asyncio.Event()
    runs: list[tuple[SyncName, frozenset[TriggerKind]]] = []

    async def reconcile(run: Run, turn: Turn) -> End | Waiting | Postponed:
        runs.append((run.key, run.kinds))
        if len(runs) == 1:
            turn.aside()
            waiting.set()
            await turn.stirred()
            return End.INTERRUPTED
        if run.key == _KEY:
            ended.set()
        return End.DONE

    worker = Worker(inbox, reconcile)
    task = asyncio.get_running_loop().create_task(worker.run())
    worker.offer(_KEY, TriggerKind.CHANGE)
    async with asyncio.timeout(5):
        await waiting.wait()
        worker.offer(other, TriggerKind.DRIFT)
        await asyncio.sleep(0.05)
        assert runs[1:] == [(other, frozenset({TriggerKind.DRIFT}))], "its slot is free, and it waits on"
        worker.offer(_KEY, TriggerKind.DRIFT)
        await ended.wait()
    assert runs[2:] == [(_KEY, frozenset({TriggerKind.CHANGE, TriggerKind.DRIFT}))]
    task.cancel()
    await asyncio.wait({task})

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

"""Waiting until what a commit made is healthy: it ends with the first of healthy, failing, out of time and stirred.

A wait is not the run's own: it began when the target was first made so, and goes on in later runs (M11). So whatever
comes meanwhile is seen to at once, and no commit waits for the health of another (P10).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from agent.app.attempt import Attempt, Scribe
from agent.app.ended import End
from agent.core.outcome import TreeKey
from bellpull.contract.report import Health, HealthStatus
from bellpull.contract.text import CommitId
from bellpull.runtime.clock import utc_now
from bellpull.runtime.duration import written

__all__ = ["judged"]

_NAMED: Final = 3
_LOOK_S: Final = 10.0
"""What a wait that is out of time has to find out how it is now."""
_UNKNOWN: Final = Health(status=HealthStatus.UNKNOWN)
_SETTLED: Final = frozenset({HealthStatus.HEALTHY, HealthStatus.FAILING})


async def judged(attempt: Attempt, scribe: Scribe, commit: CommitId, key: TreeKey) -> End:
    """Wait for the health of what `commit` made, if that is asked for.

    Returns:
        `DONE` where all is well, `FAILED` after that was said, `INTERRUPTED` where there is something else to do.
    """
    place = attempt.place
    health = place.target.health()
    if health is None:
        return End.DONE
    await scribe.judge(attempt, commit, key)
    judging, timeout = place.record.judging, place.sync.spec.timeout
    until = (judging.since if judging is not None else utc_now()) + timeout
    left_s = (until - utc_now()).total_seconds()
    attempt.turn.aside()
    with attempt.stage("judge"):
        found = await (_first(attempt, scribe, health, left_s) if left_s > 0 else _now(health))
    if found is None:
        return End.INTERRUPTED
    if found.status is HealthStatus.HEALTHY:
        return End.DONE
    await scribe.stumble(attempt, commit, _sentence(found, timeout), lasting=True)
    return End.FAILED


async def _first(attempt: Attempt, scribe: Scribe, health: AsyncIterator[Health], left_s: float) -> Health | None:
    """Return how it is once that is settled or the time is over; None where there is something else to do."""
    last = _UNKNOWN

    async def follow() -> None:
        nonlocal last
        async for last in health:
            scribe.healthy(attempt.place, last)
            if last.status in _SETTLED:
                return

    async with asyncio.TaskGroup() as tasks:
        following, stirring = tasks.create_task(follow()), tasks.create_task(attempt.turn.stirred())
        await asyncio.wait({following, stirring}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        is_stirred = stirring.done() and not following.done()
        following.cancel()
        stirring.cancel()
    return None if is_stirred else last


async def _now(health: AsyncIterator[Health]) -> Health:
    """Return how it is where there is no time left to wait for anything better."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LOOK_S):
            return await anext(health)
    return _UNKNOWN


def _sentence(found: Health, timeout: timedelta) -> str:
    """Return what is wrong with which object."""
    named = "; ".join(f"{each.object}: {each.reason}" for each in found.failing[:_NAMED])
    more = f"; and {len(found.failing) - _NAMED} more" if len(found.failing) > _NAMED else ""
    if found.status is HealthStatus.FAILING:
        return f"applied, and not well: {named}{more}"
    return f"applied, and not well within {written(timeout)}: {named or 'it is not known how it is'}{more}"

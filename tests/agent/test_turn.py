"""What a run that waits hears of what else there is to do."""

import asyncio
from datetime import timedelta

from agent.app.turn import Turn
from bellpull.runtime.clock import utc_now


def turn(seconds: float) -> Turn:
    return Turn(lambda: None, utc_now() + timedelta(seconds=seconds))


async def is_stirred(one: Turn, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await one.stirred()
    except TimeoutError:
        return False
    return True


async def test_it_ends_in_time_by_itself() -> None:
    assert await is_stirred(turn(0.1), 2)
    assert not await is_stirred(turn(60), 0.2)
    assert await is_stirred(turn(-1), 0.2)


async def test_what_comes_ends_it_sooner_and_a_spread_is_kept() -> None:
    """R29: what is to be done later is no reason to end now."""
    one = turn(60)
    one.stir(utc_now() + timedelta(seconds=0.5))
    assert not await is_stirred(one, 0.2)
    assert await is_stirred(one, 2)
    two = turn(60)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(is_stirred(two, 5))
        await asyncio.sleep(0.05)
        two.stir(utc_now() + timedelta(seconds=30))
        two.stir(utc_now())
    assert waiting.result()

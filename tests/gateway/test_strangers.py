"""Who connects and wastes time, at a gateway that runs: hung up on, and nobody else is kept waiting."""

import asyncio
import resource
import time
from pathlib import Path
from statistics import median

from tests.gateway.github import payload
from tests.gateway.process import Folder, Gateway, deliver
from tests.gateway.strangers import crowd

WITHIN_S = 10.0
NOISE = 2.0
"""The machine may be busy: no single connection is measured more sharply than this factor."""


def _check(ended: dict[str, list[float]], each: int) -> None:
    for kind, seconds in ended.items():
        assert len(seconds) == each, kind
        assert median(seconds) < WITHIN_S, (kind, sorted(seconds))
        assert max(seconds) < WITHIN_S * NOISE, (kind, sorted(seconds))


async def _push_now_and_then(gateway: Gateway) -> list[float]:
    took = []
    for number in range(12):
        begun = time.monotonic()
        answer = await asyncio.to_thread(deliver, gateway.hooks, payload(), delivery=f"good-{number}")
        took.append(time.monotonic() - begun)
        assert answer.status == 202
        await asyncio.sleep(0.5)
    return took


async def test_who_is_silent_or_slow_is_hung_up_on_and_a_push_is_answered_all_the_same(tmp_path: Path) -> None:
    """P1: 500 of all kinds at once, on the listener that strangers reach; a few on the others."""
    with Folder(tmp_path).running() as gateway:
        async with asyncio.TaskGroup() as tasks:
            hooks = tasks.create_task(crowd(gateway.hooks.removeprefix("http://"), 100))
            others = [
                tasks.create_task(crowd(url.removeprefix("http://"), 3)) for url in (gateway.agents, gateway.console)
            ]
            pushed = tasks.create_task(_push_now_and_then(gateway))
    _check(hooks.result(), 100)
    for other in others:
        _check(other.result(), 3)
    assert median(pushed.result()) < 1, pushed.result()
    assert max(pushed.result()) < 3, pushed.result()


def test_there_are_files_for_all_connections(tmp_path: Path) -> None:
    """However few the process was begun with."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Folder(tmp_path).running() as gateway:
        now, _ = resource.prlimit(gateway.process.pid, resource.RLIMIT_NOFILE)
    assert now == most or now >= 2 * 2048

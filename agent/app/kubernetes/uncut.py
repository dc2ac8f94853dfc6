"""Lets work that talks to a cluster end between two requests: none is cut off (M2)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agent.app.kubernetes.reconcile import GuardedError
from agent.ports.cluster import ClusterError
from agent.ports.inventory import InventoryError

__all__ = ["uncut"]

_T = TypeVar("_T")


async def uncut(work: Callable[[Callable[[], bool]], Awaitable[_T]]) -> _T:
    """Do the work; when cancelled, let it end first.

    Args:
        work: is given whether it is to end.

    Raises:
        GuardedError, ClusterError, InventoryError: the work did.
    """
    stop = asyncio.Event()

    async def caught() -> _T | GuardedError | ClusterError | InventoryError:
        try:
            return await work(stop.is_set)
        except (GuardedError, ClusterError, InventoryError) as error:
            return error  # a group of tasks would wrap it

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(caught())
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({running})
            raise
    if isinstance(result, GuardedError | ClusterError | InventoryError):
        raise result
    return result

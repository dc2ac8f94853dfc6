"""The clusters of an agent: one client each, and one view of what is served, for however many Syncs."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

from agent.adapters.kubernetes.client import connect
from agent.adapters.one_thread import OneThread
from agent.app.kubernetes.opened import Opened

__all__ = ["Clusters"]


class Clusters:
    """Opens each cluster when a Sync first needs it.

    Attributes:
        key: for hashes of what is applied.
        reading: where manifests are read, one Sync's after the other's.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.reading = OneThread("manifests")
        self._opened: dict[tuple[Path | None, str | None], Opened] = {}
        self._opening = asyncio.Lock()
        self._new: asyncio.Queue[Callable[[], Coroutine[None, None, None]]] = asyncio.Queue()
        self._stack = AsyncExitStack()

    async def open(self, kubeconfig: Path | None, context: str | None) -> Opened:
        """Return the cluster that a kubeconfig names; nothing is asked of it yet.

        Raises:
            ClusterError: it names none.
        """
        async with self._opening:
            which = (kubeconfig, context)
            if which not in self._opened:
                client = await self._stack.enter_async_context(connect(kubeconfig, context))
                self._opened[which] = opened = Opened(client)
                self.follow(opened.watching.run)
            return self._opened[which]

    def follow(self, run: Callable[[], Coroutine[None, None, None]]) -> None:
        """Have something run that ends only when it is cancelled."""
        self._new.put_nowait(run)

    async def run(self) -> None:
        """Watch what is wanted of each, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                run = await self._new.get()
                tasks.create_task(run())

    async def close(self) -> None:
        """End all connections; whoever needs one is closed before."""
        self.reading.close()
        await self._stack.aclose()

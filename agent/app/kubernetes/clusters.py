"""The clusters of an agent: one client each, and one view of what is served, for however many Syncs."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from agent.adapters.kubernetes.client import connect
from agent.adapters.one_thread import OneThread
from agent.app.kubernetes.opened import Opened

__all__ = ["Clusters"]


class Clusters:
    """Opens each cluster when a Sync first needs it."""

    def __init__(self) -> None:
        self.reading = OneThread("manifests")
        """Where manifests are read, one Sync's after the other's."""
        self._opened: dict[tuple[Path | None, str | None], Opened] = {}
        self._opening = asyncio.Lock()
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
                self._opened[which] = Opened(client)
            return self._opened[which]

    async def close(self) -> None:
        """End all connections; whoever needs one is closed before."""
        self.reading.close()
        await self._stack.aclose()

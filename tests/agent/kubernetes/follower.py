"""A reflector that runs beside a test, which waits until it has seen what the test did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final

from agent.app.kubernetes.reflector import Reflector, Streams
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.resources import Resource
from agent.core.kubernetes.seen import Seen, is_later
from agent.ports.cluster import WatchedCluster

__all__ = ["Follower", "follower"]

_SOON_S: Final = 20.0


class Follower:
    """What a reflector knows, and what it told of."""

    def __init__(self, cluster: WatchedCluster, resource: Resource, namespace: str, streams: Streams | None) -> None:
        self.heard: list[ObjectId] = []
        self.reflector = Reflector(
            cluster, resource, namespace, streams=streams or Streams(cluster), heard=self.heard.extend
        )
        self.collection = self.reflector.collection

    def seen(self, name: str) -> Seen | None:
        """Return an object by its name."""
        found = (which for which in self.collection if which.name == name)
        return next((self.collection.get(which) for which in found), None)

    async def sees(self, name: str, item: Any) -> None:
        """Wait until it knows of this version of an object, or of a later one; of None until it is gone."""
        end = monotonic() + _SOON_S
        while not self._is_at(name, item):
            assert monotonic() < end, f"{name} is known as {self.seen(name)}; {self.reflector.problem}"
            await asyncio.sleep(0.005)

    def _is_at(self, name: str, item: Any) -> bool:
        seen = self.seen(name)
        if item is None or seen is None:
            return item is None and seen is None and self.collection.listed
        return not is_later(item["metadata"]["resourceVersion"], seen.revision)


@asynccontextmanager
async def follower(
    cluster: WatchedCluster, resource: Resource, namespace: str = "", *, streams: Streams | None = None
) -> AsyncIterator[Follower]:
    """Run one; it has listed once when this is entered."""
    made = Follower(cluster, resource, namespace, streams)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.reflector.run())
        async with asyncio.timeout(_SOON_S):
            await made.reflector.settled.wait()
        yield made
        running.cancel()

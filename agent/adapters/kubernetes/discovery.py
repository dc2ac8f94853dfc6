"""Which kinds the cluster serves: asked once, and again when that may have changed.

Both answers carry an ETag, so that asking again costs two short answers.
"""

import asyncio
from time import monotonic
from typing import Final

from agent.core.kubernetes.answers import refusal
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Accept, Method, Request
from agent.core.kubernetes.resources import Resources, read_discovery
from agent.ports.cluster import Cluster, ClusterError

__all__ = ["Discovery"]

_PATHS: Final = ("/api", "/apis")
_LASTS_S: Final = 600.0
_UNCHANGED: Final = 304


class Discovery:
    """What one cluster serves; `forget` after something was not found, or a CRD changed."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._answers: dict[str, tuple[str | None, Object]] = {}
        self._resources = Resources()
        self._until = float("-inf")
        self._asking = asyncio.Lock()

    def forget(self) -> None:
        """Ask again before the next answer."""
        self._until = float("-inf")

    async def resources(self) -> Resources:
        """Return the kinds.

        Raises:
            ClusterError: the cluster does not say.
        """
        async with self._asking:
            if monotonic() >= self._until:
                changed = [await self._ask(path) for path in _PATHS]
                if any(changed):
                    self._resources = read_discovery(*(self._answers[path][1] for path in _PATHS))
                self._until = monotonic() + _LASTS_S
            return self._resources

    async def _ask(self, path: str) -> bool:
        """Ask for one half, and say whether it is another than before."""
        etag, _ = self._answers.get(path, (None, {}))
        headers = {"If-None-Match": etag} if etag else {}
        answer = await self._cluster.send(
            Request(method=Method.GET, path=path, accept=Accept.DISCOVERY, headers=headers)
        )
        if answer.status == _UNCHANGED:
            return False
        refused = refusal(answer)
        if refused is not None:
            raise ClusterError(f"{path}: {refused.advice()}")
        if answer.body.get("kind") != "APIGroupDiscoveryList":
            raise ClusterError(f"{path}: no aggregated discovery: Kubernetes 1.30 or later is needed")
        self._answers[path] = (answer.etag, answer.body)
        return True

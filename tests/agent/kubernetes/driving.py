"""A target as the agent drives it, on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from agent.app.kubernetes.clusters import Clusters
from agent.app.kubernetes.target import ClusterTarget
from agent.core.guard import Guard
from agent.core.kubernetes.object import Object
from agent.core.tree import EntryMode, TreeEntry
from agent.spec.target import KubernetesTarget
from bellpull.contract.report import Counts
from bellpull.contract.text import CommitId, Name, SyncName
from tests.agent.kubernetes.cluster import Hand

__all__ = ["Driven", "driven"]


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder of one file."""

    items: tuple[Object, ...]

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        return (TreeEntry(path=b"all.yaml", mode=EntryMode.FILE, oid="0" * 40),)

    def blob(self, _: str) -> bytes:
        return yaml.safe_dump_all(self.items).encode()


class Driven:
    """A target, driven as the agent does."""

    def __init__(self, target: ClusterTarget) -> None:
        self.target = target
        self.count = 0

    async def commit(self, *items: Object) -> Counts:
        self.count += 1
        return await self.again(*items)

    async def again(self, *items: Object) -> Counts:
        return await self.target.apply(CommitId(f"{self.count:040x}"), self.tree, Tree(items))

    @property
    def tree(self) -> str:
        return f"tree-{self.count}"

    async def look(self, *, full: bool = False) -> str | None:
        return await self.target.drifted(self.tree, full=full)


@asynccontextmanager
async def driven(hand: Hand, kubeconfig: Path | None = None, **spec: object) -> AsyncIterator[Driven]:
    """Drive one, as the administrator or whoever `kubeconfig` names; `spec` are further fields of it."""
    clusters, kubeconfig = Clusters(b"key"), kubeconfig or hand.plane.kubeconfig
    target = ClusterTarget(
        SyncName(f"{hand.namespace}/site"),
        KubernetesTarget.model_validate({"kubeconfig": str(kubeconfig), **spec}),
        guard=Guard(),
        holder=Name("web-1"),
        clusters=clusters,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(clusters.run())
            yield Driven(target)
            opened = await clusters.open(kubeconfig, None)
            for who in (f"{hand.namespace}/site", f"health of {hand.namespace}/site"):
                await opened.watching.settle(who, 20)  # a connection that is being made is not cut
            running.cancel()
    finally:
        await target.close()
        await clusters.close()

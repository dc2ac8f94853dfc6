"""Makes of each Sync what it is made to match by, and closes all of it at the end."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from agent.adapters.command import Command
from agent.adapters.directory import DirectoryTarget
from agent.core.guard import Guard
from agent.ports.target import Target
from agent.spec import Sync
from agent.spec.target import KubernetesTarget, OnChange
from bellpull.contract.text import CommitId, Name

if TYPE_CHECKING:
    from agent.app.kubernetes.clusters import Clusters

__all__ = ["Targets"]


class Targets:
    """The targets of one agent.

    Args:
        agent: who applies.
        key: for hashes of what is applied to clusters.
        stopping: whether the agent is about to end.
    """

    def __init__(self, agent: Name, key: bytes, stopping: Callable[[], bool]) -> None:
        self._agent = agent
        self._key = key
        self._stopping = stopping
        self._made: list[Target] = []
        self._clusters: Clusters | None = None

    def of(self, sync: Sync) -> Target:
        """Return the target of a Sync; once for each."""
        target, guard = sync.spec.target, sync.spec.guard
        allowed = Guard(max_deletions=guard.share, accept=CommitId(guard.accept) if guard.accept else None)
        made: Target
        if target.directory is not None:
            made = DirectoryTarget(
                target.directory.path,
                keep_releases=target.directory.keep_releases,
                adopt=target.directory.adopt,
                guard=allowed,
                command=self._command(sync, target.directory.on_change),
            )
        else:
            made = self._of_cluster(sync, target.kubernetes or KubernetesTarget(), allowed)
        self._made.append(made)
        return made

    async def run(self) -> None:
        """Watch what targets want to know of, until cancelled."""
        if self._clusters is not None:
            await self._clusters.run()

    async def close(self) -> None:
        """Close them, and what they share."""
        async with AsyncExitStack() as stack:
            if self._clusters is not None:
                stack.push_async_callback(self._clusters.close)
            for target in self._made:
                stack.push_async_callback(target.close)

    def _of_cluster(self, sync: Sync, spec: KubernetesTarget, guard: Guard) -> Target:
        # Their library takes a second and 64 MB: only where a Sync has a cluster.
        from agent.app.kubernetes.clusters import Clusters  # noqa: PLC0415
        from agent.app.kubernetes.target import ClusterTarget  # noqa: PLC0415

        if self._clusters is None:
            self._clusters = Clusters(self._key)
        return ClusterTarget(sync.name, spec, guard=guard, holder=self._agent, clusters=self._clusters)

    def _command(self, sync: Sync, on_change: OnChange | None) -> Command | None:
        if on_change is None:
            return None
        return Command(
            argv=on_change.command,
            timeout_s=on_change.timeout.total_seconds(),
            sync=sync.name,
            report_output=sync.spec.report_output,
            stopping=self._stopping,
        )

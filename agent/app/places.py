"""Makes of each Sync what it is made to match by."""

from collections.abc import Callable

from agent.adapters.command import Command
from agent.adapters.directory import DirectoryTarget
from agent.adapters.state import StateFolder
from agent.app.attempt import Place
from agent.core.guard import Guard
from agent.ports.target import Target
from agent.spec import Sync
from agent.spec.target import KubernetesTarget, OnChange
from bellpull.contract.text import CommitId, Name

__all__ = ["place"]


def place(sync: Sync, agent: Name, state: StateFolder, stopping: Callable[[], bool]) -> Place:
    """Return a Sync with its target and what is remembered of it.

    Args:
        sync: which.
        agent: who applies it.
        state: where it is remembered.
        stopping: whether the agent is about to end.
    """
    return Place(sync=sync, target=_target(sync, agent, stopping), record=state.record(sync.name))


def _target(sync: Sync, agent: Name, stopping: Callable[[], bool]) -> Target:
    target, guard = sync.spec.target, sync.spec.guard
    allowed = Guard(max_deletions=guard.share, accept=CommitId(guard.accept) if guard.accept else None)
    if target.directory is not None:
        return DirectoryTarget(
            target.directory.path,
            keep_releases=target.directory.keep_releases,
            adopt=target.directory.adopt,
            guard=allowed,
            command=_command(sync, target.directory.on_change, stopping),
        )
    # Its library takes a second and 64 MB: only where a Sync has a cluster.
    from agent.app.kubernetes.target import ClusterTarget  # noqa: PLC0415

    return ClusterTarget(sync.name, target.kubernetes or KubernetesTarget(), guard=allowed, holder=agent)


def _command(sync: Sync, on_change: OnChange | None, stopping: Callable[[], bool]) -> Command | None:
    if on_change is None:
        return None
    return Command(
        argv=on_change.command,
        timeout_s=on_change.timeout.total_seconds(),
        sync=sync.name,
        report_output=sync.spec.report_output,
        stopping=stopping,
    )

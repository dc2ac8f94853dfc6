"""What a Sync of a cluster is to make, and how: from its manifests and its spec."""

from collections.abc import Sequence
from typing import Final

from agent.adapters.kubernetes.tree import read_tree
from agent.app.kubernetes.clusters import Clusters
from agent.app.kubernetes.opened import Opened
from agent.core.guard import Guard
from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.ignoring import IgnoreRule
from agent.core.kubernetes.normalise import Normalised, normalise
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.pointer import read_pointer
from agent.core.kubernetes.policy import Conflicts, Policy
from agent.core.kubernetes.resources import Resources
from agent.ports.git import TreeReader
from agent.ports.target import TargetError
from agent.spec import target as spec_target

__all__ = ["MAX_NAMED", "policy_of", "read_desired"]

MAX_NAMED: Final = 5
"""Objects, or faults, that a message names."""


async def read_desired(clusters: Clusters, opened: Opened, reader: TreeReader, *, namespace: str) -> Normalised:
    """Return what is to be applied of a tree; it has no faults.

    Args:
        clusters: of the agent.
        opened: the cluster.
        reader: of the tree.
        namespace: of objects that name none.

    Raises:
        TargetError: the manifests are wrong.
        ClusterError: the cluster does not say what it serves.
        TreeTooLargeError: they are more than is read.
    """

    def read(served: Resources) -> Normalised:
        manifests, faults = read_tree(reader)
        return Normalised(faults=tuple(faults)) if faults else normalise(manifests, served, namespace=namespace)

    served = await opened.resources()
    found = await clusters.reading.do(lambda _: read(served))
    if found.unserved:  # a kind that was installed since is not known yet
        anew = await opened.resources(anew=True)
        found = await clusters.reading.do(lambda _: read(anew))
    _refuse(found.faults)
    return found


def policy_of(
    sync: str, spec: spec_target.KubernetesTarget, *, parent: str, guard: Guard, accept: bool, key: bytes
) -> Policy:
    """Return what a Sync is allowed in its cluster.

    Args:
        sync: `NAMESPACE/NAME`.
        spec: of its target.
        parent: its ApplySet id.
        guard: what a commit may delete.
        accept: whether it may delete any number this once.
        key: for hashes of what is applied.
    """
    return Policy(
        manager=field_manager(sync),
        parent=parent,
        conflicts=Conflicts(spec.conflicts),
        force=spec.force,
        adopt=spec.adopt,
        prune=spec.prune,
        max_deletions=guard.max_deletions,
        accept=accept,
        ignore=tuple(_rule(each) for each in spec.ignore),
        key=key,
    )


def _rule(rule: spec_target.IgnoreRule) -> IgnoreRule:
    which = rule.target
    paths = tuple(read_pointer(path) for path in rule.paths)
    return IgnoreRule(paths=paths, group=which.group, kind=which.kind, namespace=which.namespace, name=which.name)


def _refuse(faults: Sequence[Fault]) -> None:
    """Go on with manifests that have none.

    Raises:
        TargetError: they have.
    """
    if faults:
        shown = "; ".join(str(fault) for fault in faults[:MAX_NAMED])
        more = f"; and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
        raise TargetError("", f"{shown}{more}", permanent=True)

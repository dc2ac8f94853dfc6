"""Applies a folder of manifests to a cluster once, or says what that would change: for trying it, without a gateway.

What was made is remembered in the cluster, in a ConfigMap called after `name`; so the next time what is no longer in
the folder is deleted.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.adapters.kubernetes.client import connect
from agent.adapters.kubernetes.folder import read_folder
from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import Difference, differences
from agent.app.kubernetes.reconcile import Result, reconcile
from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.normalise import Desired, Unserved, normalise
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.policy import Done, Policy, Undone
from bellpull.runtime.clock import utc_now

__all__ = ["FaultsError", "Once", "apply_once", "diff_once"]

_PREFIX: Final = "bellpull-sync-"


class FaultsError(Exception):
    """The manifests cannot be applied; nothing was."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What to apply, and where.

    Attributes:
        folder: the manifests, or one file.
        name: what was made is remembered by.
        namespace: of what is remembered, and of objects that name none; the kubeconfig's if it is none.
        kubeconfig: names the cluster; the usual one if it is none.
        context: of the kubeconfig.
        accept: whether any number of objects may be deleted.
    """

    folder: Path
    name: str
    namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    accept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    opened: Opened
    inventory: ParentInventory
    policy: Policy
    desired: tuple[Desired, ...]
    unserved: tuple[Unserved, ...]


async def apply_once(once: Once, tell: Callable[[Done | Undone], None]) -> Result:
    """Make the cluster match the folder; `tell` is called with what became of each object.

    Raises:
        FaultsError: the manifests cannot be applied.
        GuardedError: too much would be deleted.
        InventoryError: what was made before cannot be read or written.
        ClusterError: the cluster cannot be reached.
        OSError: the folder cannot be read.
    """
    async with _ready(once) as ready:
        return await reconcile(
            ready.opened, ready.inventory, ready.desired, ready.policy, unserved=ready.unserved, tell=tell
        )


async def diff_once(once: Once) -> list[Difference]:
    """Return what `apply_once` would change, as a dry run on the server says; nothing is written.

    Raises:
        FaultsError, InventoryError, ClusterError, OSError: as there.
    """
    async with _ready(once) as ready:
        held = await ready.opened.forgotten.all_of(ready.inventory, ready.policy.manager, ready.desired)
        unserved = [Difference(id=each.id, problem=each.problem) for each in ready.unserved]
        waiting = {which for each in ready.unserved for which in each.ids}
        held = replace(held, members={which: each for which, each in held.members.items() if which not in waiting})
        return [*await differences(ready.opened, held, ready.desired, ready.policy), *unserved]


@asynccontextmanager
async def _ready(once: Once) -> AsyncIterator[_Ready]:
    manifests, faults = await asyncio.to_thread(read_folder, once.folder)
    if faults:
        raise FaultsError(faults)
    async with connect(once.kubeconfig, once.context) as client:
        namespace = once.namespace or client.namespace
        inventory = ParentInventory(
            client,
            kind=ParentKind.CONFIG_MAP,
            namespace=namespace,
            name=f"{_PREFIX}{once.name}",
            holder=None,
            now=utc_now,
        )
        opened = Opened(client)
        found = normalise(manifests, await opened.resources(), namespace=namespace)
        if found.faults:
            raise FaultsError(found.faults)
        manager = field_manager(f"{namespace}/{once.name}")
        policy = Policy(manager=manager, parent=inventory.parent, accept=once.accept)
        yield _Ready(
            opened=opened, inventory=inventory, policy=policy, desired=found.desired, unserved=found.unserved
        )

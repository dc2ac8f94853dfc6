"""The target `kubernetes`: a cluster, made to match the manifests of a commit.

What is under way when a run is cancelled is awaited, object by object, and what was made is remembered, for the next
run. One agent applies a Sync: it shows in the cluster, every `RENEW_S`, that it lives (M13).

Nothing watches the cluster so far: what others change there is found by looking at everything now and then, in a dry
run of what was applied last, and after each start by applying it again, which writes nothing that is as it is to be.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.adapters.kubernetes.tree import read_tree
from agent.app.kubernetes.clusters import Clusters
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import differences
from agent.app.kubernetes.reconcile import GuardedError, Result, reconcile
from agent.core.guard import Guard
from agent.core.kubernetes.fault import Fault
from agent.core.kubernetes.ignoring import IgnoreRule
from agent.core.kubernetes.normalise import Desired, normalise
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.pointer import read_pointer
from agent.core.kubernetes.policy import Action, Conflicts, Done, Policy, Undone
from agent.ports.cluster import ClusterError
from agent.ports.git import TreeReader, TreeTooLargeError
from agent.ports.inventory import InventoryError
from agent.ports.target import TargetError
from agent.spec import target as spec_target
from bellpull.contract.report import Counts
from bellpull.contract.text import CommitId, Name, SyncName
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["RENEW_S", "ClusterTarget"]

RENEW_S: Final = 50.0
_MAX_NAMED: Final = 5
_PREFIX: Final = "bellpull-sync-"
_log = logger("agent.kubernetes")


class ClusterTarget:
    """Keeps a cluster at the manifests that were applied last.

    Args:
        sync: whose target it is; its namespace is that of objects that name none, and of the inventory.
        spec: which cluster, and what is allowed there.
        guard: what a commit may delete.
        holder: the agent.
        clusters: those of the agent.
    """

    def __init__(
        self,
        sync: SyncName,
        spec: spec_target.KubernetesTarget,
        *,
        guard: Guard,
        holder: Name,
        clusters: Clusters,
    ) -> None:
        self._namespace, _, self._name = sync.partition("/")
        self._sync = sync
        self._spec = spec
        self._guard = guard
        self._holder = holder
        self._clusters = clusters
        self._inventory: ParentInventory | None = None
        self._applied: tuple[str, tuple[Desired, ...]] | None = None
        self._turn = asyncio.Lock()
        self._closed = asyncio.Event()

    async def apply(
        self,
        commit: CommitId,
        tree: str,
        reader: TreeReader,
        *,
        aside: Callable[[], None] = lambda: None,  # noqa: ARG002 - no command belongs to a cluster
    ) -> Counts:
        """Make the cluster match the manifests of `tree`; see `Target`.

        Raises:
            TargetError: the manifests are wrong, the guard refuses them, the cluster does not answer, or some object
                could not be applied; the others are, and nothing was deleted.
        """
        async with self._turn:
            self._applied = None
            try:
                desired = await self._desired(reader)
                result = await self._to_its_end(desired, accept=commit == self._guard.accept)
            except TreeTooLargeError as error:
                raise TargetError("", str(error), permanent=True) from None
            except GuardedError as error:
                way_on = f"set `guard: {{accept: {commit}}}` in the Sync, else mend the source"
                problem = f"{error}; nothing was written. If it is meant, {way_on}"
                raise TargetError("", problem, permanent=True) from None
            except (ClusterError, InventoryError) as error:
                raise TargetError("", str(error), permanent=False) from None
            self._refuse_undone(result)
            self._applied = (tree, desired)
            return _counts(result)

    async def drifted(self, tree: str, *, full: bool) -> str | None:
        """Return in what the cluster differs from `tree`, in a sentence, or None; only a full look asks the cluster.

        Raises:
            TargetError: the cluster does not answer.
        """
        async with self._turn:
            if self._applied is None or self._applied[0] != tree:
                return "the cluster was not looked at since the agent started"
            if not full:
                return None
            try:
                inventory = await self._own()
                found = await differences(
                    await self._opened(),
                    await inventory.load(),
                    self._applied[1],
                    self._policy(inventory, accept=True),
                )
            except (ClusterError, InventoryError) as error:
                raise TargetError("", str(error), permanent=False) from None
            named = ", ".join(str(each.id) for each in found[:_MAX_NAMED])
            return f"{len(found)} objects differ: {named}" if found else None

    async def changes(self) -> AsyncGenerator[None]:
        """Yield once at the start; then only show, now and then, that this agent lives."""
        yield
        while not self._closed.is_set():
            try:
                async with asyncio.timeout(RENEW_S):
                    await self._closed.wait()
            except TimeoutError:
                await self._renew()

    async def close(self) -> None:
        """Let another agent have it at once."""
        self._closed.set()
        async with self._turn:
            if self._inventory is not None and self._applied is not None:
                try:
                    await self._inventory.release(await self._inventory.load())
                except InventoryError as error:
                    _log.warning("another agent has to wait for two minutes", sync=self._sync, error=str(error))

    async def _renew(self) -> None:
        async with self._turn:
            if self._inventory is None or self._applied is None:
                return
            try:
                held = await self._inventory.load()
                await self._inventory.save(held.members.values(), after=held)
            except InventoryError as error:
                _log.warning("the inventory cannot be renewed", sync=self._sync, error=str(error))

    async def _desired(self, reader: TreeReader) -> tuple[Desired, ...]:
        manifests, faults = await self._clusters.reading.do(lambda _: read_tree(reader))
        _refuse(faults)
        opened = await self._opened()
        resources = await opened.resources()
        desired, wrong = normalise(manifests, resources, namespace=self._namespace)
        if any(fault.passes for fault in wrong):  # a kind that was installed since is not known yet
            manifests, _ = await self._clusters.reading.do(lambda _: read_tree(reader))
            desired, wrong = normalise(manifests, await opened.resources(anew=True), namespace=self._namespace)
        _refuse(wrong)
        return desired

    async def _to_its_end(self, desired: Sequence[Desired], *, accept: bool) -> Result:
        """Reconcile; when cancelled, end between two objects, and wait for that."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._reconcile(desired, stop, accept=accept))
            try:
                result = await asyncio.shield(running)
            except asyncio.CancelledError:
                stop.set()
                await asyncio.wait({running})
                raise
        if isinstance(result, Result):
            return result
        raise result

    async def _reconcile(
        self, desired: Sequence[Desired], stop: asyncio.Event, *, accept: bool
    ) -> Result | GuardedError | ClusterError | InventoryError:
        try:
            inventory = await self._own()
            return await reconcile(
                await self._opened(),
                inventory,
                desired,
                self._policy(inventory, accept=accept),
                tell=self._tell,
                stopping=stop.is_set,
            )
        except (GuardedError, ClusterError, InventoryError) as error:
            return error

    def _policy(self, inventory: ParentInventory, *, accept: bool) -> Policy:
        return Policy(
            manager=field_manager(self._sync),
            parent=inventory.parent,
            conflicts=Conflicts(self._spec.conflicts),
            force=self._spec.force,
            adopt=self._spec.adopt,
            prune=self._spec.prune,
            max_deletions=self._guard.max_deletions,
            accept=accept,
            ignore=tuple(_rule(each) for each in self._spec.ignore),
        )

    def _tell(self, made: Done | Undone) -> None:
        if isinstance(made, Undone):
            _log.warning("an object is not what it is to be", sync=self._sync, object=str(made.id), why=made.problem)
        elif made.notes or made.action in (Action.DELETED, Action.RECREATED):
            _log.info("object", sync=self._sync, object=str(made.id), action=str(made.action), notes=list(made.notes))

    def _refuse_undone(self, result: Result) -> None:
        if not result.undone:
            return
        shown = "; ".join(str(each) for each in result.undone[:_MAX_NAMED])
        count = f"{len(result.undone)} of {len(result.done) + len(result.undone)} objects are not as they are to be"
        raise TargetError("", f"{count}: {shown}", permanent=False)

    async def _opened(self) -> Opened:
        return await self._clusters.open(self._spec.kubeconfig, self._spec.context)

    async def _own(self) -> ParentInventory:
        if self._inventory is None:
            self._inventory = ParentInventory(
                (await self._opened()).cluster,
                kind=ParentKind.CONFIG_MAP,
                namespace=self._namespace,
                name=f"{_PREFIX}{self._name}",
                holder=self._holder,
                now=utc_now,
            )
        return self._inventory


def _rule(rule: spec_target.IgnoreRule) -> IgnoreRule:
    which = rule.target
    paths = tuple(read_pointer(path) for path in rule.paths)
    return IgnoreRule(paths=paths, group=which.group, kind=which.kind, namespace=which.namespace, name=which.name)


def _refuse(faults: Sequence[Fault]) -> None:
    """Go on with manifests that have none.

    Raises:
        TargetError: they have; permanent, unless what they need may come from elsewhere.
    """
    if faults:
        shown = "; ".join(str(fault) for fault in faults[:_MAX_NAMED])
        more = f"; and {len(faults) - _MAX_NAMED} more" if len(faults) > _MAX_NAMED else ""
        raise TargetError("", f"{shown}{more}", permanent=not any(fault.passes for fault in faults))


def _counts(result: Result) -> Counts:
    found = [each.action for each in result.done]
    return Counts(
        created=found.count(Action.CREATED),
        changed=found.count(Action.CONFIGURED) + found.count(Action.RECREATED),
        unchanged=found.count(Action.UNCHANGED) + found.count(Action.SKIPPED),
        deleted=found.count(Action.DELETED),
    )

"""The target `kubernetes`: a cluster, made to match the manifests of a commit.

What is under way when a run is cancelled is awaited, object by object, and what was made is remembered, for the next
run. One agent applies a Sync: it shows in the cluster, every `RENEW_S`, that it lives (M13).

Its objects are watched: what is as it is to be costs no request, and what others change is undone at once. What no
watch shows is found by looking at everything now and then, in a dry run of what was applied last.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final

from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.app.kubernetes.awaited import Awaited
from agent.app.kubernetes.clusters import Clusters
from agent.app.kubernetes.desired import policy_of, read_desired
from agent.app.kubernetes.drift import Drift
from agent.app.kubernetes.health import HealthWatch
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.plan import differences
from agent.app.kubernetes.reconcile import GuardedError, Result, reconcile
from agent.app.kubernetes.saying import Saying, counts_of, refuse_undone
from agent.app.kubernetes.uncut import uncut
from agent.core.guard import Guard
from agent.core.health import EXTENDED, Rules
from agent.core.health.expressions import own_rule
from agent.core.kubernetes.normalise import Desired, Normalised
from agent.core.kubernetes.ownership import field_manager
from agent.core.kubernetes.policy import OnDrift, Policy
from agent.ports.cluster import ClusterError
from agent.ports.git import TreeReader, TreeTooLargeError
from agent.ports.inventory import InventoryError
from agent.ports.target import Change, TargetError
from agent.spec import target as spec_target
from bellpull.contract.report import Counts, Health
from bellpull.contract.text import CommitId, Name, SyncName
from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger

__all__ = ["DEBOUNCE_S", "RENEW_S", "ClusterTarget"]

DEBOUNCE_S: Final = 0.2
"""After an event, for those that belong to it: a person who edits three objects is corrected once."""
RENEW_S: Final = 50.0
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
        self._watches: tuple[Drift, Awaited] | None = None
        self._saying = Saying(sync)
        self._on = OnDrift(spec.drift)
        self._health = HealthWatch(sync, rules=_rules(spec)) if spec.wait else None
        if self._health is not None:
            clusters.follow(self._health.run)

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
            before, self._applied = self._applied, None
            try:
                drift, awaited = await self._watched()
                # What is not corrected is left by a start, too: nobody knows whether there is a new commit.
                drift.is_again = self._on is not OnDrift.CORRECT if before is None else before[0] == tree
                wanted = (
                    Normalised(desired=before[1])
                    if before is not None and before[0] == tree
                    else await read_desired(self._clusters, await self._opened(), reader, namespace=self._namespace)
                )
                accept = commit == self._guard.accept
                result = await uncut(partial(self._reconcile, wanted, accept=accept))
                await awaited.want(wanted.unserved, result.undone)
            except TreeTooLargeError as error:
                raise TargetError("", str(error), permanent=True) from None
            except GuardedError as error:
                way_on = f"set `guard: {{accept: {commit}}}` in the Sync, else mend the source"
                problem = f"{error}. If it is meant, {way_on}"
                raise TargetError("", problem, permanent=True) from None
            except (ClusterError, InventoryError) as error:
                raise TargetError("", str(error), permanent=False) from None
            drift.watch(wanted.desired)
            if self._health is not None:
                self._health.want(await self._opened(), wanted.desired)
            self._saying.unwatched(drift.unwatched())
            self._saying.found(result)
            refuse_undone(result)
            self._applied = (tree, wanted.desired)
            return counts_of(result)

    async def drifted(self, tree: str, *, full: bool) -> str | None:
        """Return what of `tree` differs in the cluster and is to be corrected, in a sentence, or None.

        Raises:
            TargetError: the cluster does not answer.
        """
        async with self._turn:
            if self._applied is None or self._applied[0] != tree:
                return "the cluster was not looked at since the agent started"
            if self._on is OnDrift.OFF:
                return None
            try:
                found = await self._differing(self._applied[1], full=full)
                cluster, policy = (await self._opened()).cluster, self._policy(await self._own(), accept=True)
            except (ClusterError, InventoryError) as error:
                raise TargetError("", str(error), permanent=False) from None
            if self._on is OnDrift.CORRECT:
                return await self._saying.drifted(found, cluster, policy)
            await self._saying.left(found, cluster, policy)
            return None

    async def _differing(self, desired: Sequence[Desired], *, full: bool) -> Sequence[Desired]:
        """Return what is not as it is to be: what watches show, or in a `full` look, what a dry run of all shows."""
        drift, _ = await self._watched()
        found = drift.look()
        if found or not full:
            return found
        inventory, opened = await self._own(), await self._opened()
        policy = self._policy(inventory, accept=True)
        held = await opened.forgotten.all_of(inventory, policy.manager, desired)
        differ = {each.id for each in await differences(opened, held, desired, policy)}
        drift.force(differ)
        return [each for each in desired if each.id in differ]

    async def changes(self) -> AsyncGenerator[Change]:
        """Yield at the start, whenever objects are no longer what they are to be, and when what they lacked has come.

        And show, now and then, that this agent lives.
        """
        yield Change.DRIFT
        (drift, awaited), renew = await self._watched(), monotonic() + RENEW_S
        while True:
            later = (drift.next_s(), awaited.next_s())
            waits = [renew - monotonic(), *(each for each in later if each is not None)]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(waits))):
                    await drift.turned.wait()
            if monotonic() >= renew:
                await self._renew()
                renew = monotonic() + RENEW_S
            await asyncio.sleep(DEBOUNCE_S)
            async with self._turn:
                drift.turned.clear()
                found = drift.look() if self._applied is not None else []
                has_come = await awaited.has_come()
            if has_come:
                yield Change.COME
            elif found:
                yield Change.DRIFT

    def health(self) -> AsyncGenerator[Health] | None:
        """Yield how what was applied last is; None where nobody waits for it."""
        return self._health.follow() if self._health is not None else None

    async def close(self) -> None:
        """Let another agent have it at once."""
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

    async def _reconcile(self, wanted: Normalised, stopping: Callable[[], bool], *, accept: bool) -> Result:
        inventory = await self._own()
        return await reconcile(
            await self._opened(),
            inventory,
            wanted.desired,
            self._policy(inventory, accept=accept),
            unserved=wanted.unserved,
            watched=(await self._watched())[0],
            tell=self._saying.made,
            stopping=stopping,
        )

    def _policy(self, inventory: ParentInventory, *, accept: bool) -> Policy:
        return policy_of(
            self._sync, self._spec, parent=inventory.parent, guard=self._guard, accept=accept, key=self._clusters.key
        )

    async def _watched(self) -> tuple[Drift, Awaited]:
        """Return what watches tell: of what was applied, and of what could not be.

        Raises:
            TargetError: no cluster is named.
        """
        try:
            opened = await self._opened()
        except ClusterError as error:
            raise TargetError("", str(error), permanent=False) from None
        if self._watches is None:  # looked at after the wait: a run and whoever follows changes have the same
            manager = field_manager(self._sync)
            drift = Drift(self._sync, manager, opened.watching, on=self._on, fought=self._saying.fought)
            self._watches = drift, Awaited(self._sync, opened, drift.turned)
        return self._watches

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


def _rules(spec: spec_target.KubernetesTarget) -> Rules:
    return EXTENDED.with_own(
        {
            each.key: own_rule(is_current=each.current, is_in_progress=each.in_progress, is_failed=each.failed)
            for each in spec.health_exprs
        }
    )

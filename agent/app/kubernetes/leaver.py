"""Leaves to the cluster what is the cluster's to say: ignored fields, and replicas that an autoscaler counts.

That costs a look at the object before its PATCH, and only where there is such a field: one that rules ignore,
replicas of what has an autoscaler, and replicas that Git has no longer, or never had.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agent.app.kubernetes.undone import MovedError, UndoneError
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.fields import Entry
from agent.core.kubernetes.ignoring import ignored
from agent.core.kubernetes.leaving import HANDOVER, Owns, handed_over, leave
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.options import How
from agent.core.kubernetes.ownership import is_syncs
from agent.core.kubernetes.pointer import MISSING, Pointer, at, is_in_list, put, shown
from agent.core.kubernetes.policy import Policy
from agent.core.kubernetes.scaling import REPLICAS
from agent.core.kubernetes.shown import told
from agent.core.kubernetes.takeover import is_overridden
from agent.ports.cluster import Cluster

__all__ = ["Leaver", "Ready"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An object without what is left to the cluster, ready to be sent.

    Attributes:
        desired: what is sent.
        version: the only one of the live object that may be written over; any where it is None.
        notes: what a person should know.
    """

    desired: Desired
    version: str | None = None
    notes: tuple[str, ...] = ()


class Leaver:
    """Knows what of the objects of one Sync is left to the cluster.

    Args:
        cluster: the API server.
        policy: whose objects, and what is ignored.
        scaled: what has an autoscaler, and its name.
    """

    def __init__(self, cluster: Cluster, policy: Policy, scaled: Mapping[ObjectId, str]) -> None:
        self._cluster = cluster
        self._policy = policy
        self._scaled = scaled

    async def ready(self, desired: Desired, *, known: bool) -> Ready:
        """Return the object as it is to be sent; what Git has no longer is handed over before.

        Args:
            desired: as Git has it.
            known: whether it was applied before: else none of its fields is ours to lose.

        Raises:
            MovedError: it was written meanwhile.
            UndoneError: it cannot be read, or a field cannot be handed over.
            ClusterError: nobody answers.
        """
        left, kept = self.left(desired), self._kept(desired)
        if not left and not (known and kept):
            return Ready(desired=desired)
        live = await self._live(desired)
        if live is None:
            return Ready(desired=desired)
        notes = self._notes(desired)
        if known:
            handed = handed_over(desired.item, live, kept, ours=self._ours(desired))
            live = await self._hand_over(desired, live, handed)
            notes += tuple(f"{shown(each)} is no longer in Git, and stays as it is" for each in handed)
        leaving = leave(desired.item, live, left, ours=self._ours(desired))
        version = live["metadata"]["resourceVersion"] if leaving.adopted else None
        return Ready(desired=_with(desired, leaving.item), version=version, notes=notes)

    async def hand_over_all(self, desired: Desired) -> None:
        """Hand over what would go when others' entries become ours.

        Raises:
            MovedError, UndoneError, ClusterError: as `ready`.
        """
        kept = self._kept(desired)
        live = await self._live(desired) if kept else None
        if live is not None:
            await self._hand_over(desired, live, handed_over(desired.item, live, kept, ours=_may_become_ours))

    def preview(self, desired: Desired, live: Object | None) -> Desired:
        """Return what an apply would come to, for a dry run, in which nothing can be handed over before."""
        if live is None:
            return desired
        ours = self._ours(desired)
        item = leave(desired.item, live, self.left(desired), ours=ours).item
        for each in handed_over(item, live, self._kept(desired), ours=ours):
            item = put(item, each, at(live, each))
        return _with(desired, item)

    def carried(self, desired: Desired, old: Object) -> Desired:
        """Return what is made anew in place of `old`: it goes on with what was the cluster's to say."""
        item = leave(desired.item, old, self.left(desired), ours=lambda _: True).item
        for each in self._kept(desired):
            if at(old, each) is not MISSING and not is_in_list(old, each):
                item = put(item, each, at(old, each))
        return _with(desired, item)

    def left(self, desired: Desired) -> tuple[Pointer, ...]:
        """Return the fields that Git sets and the cluster says."""
        more = (REPLICAS,) if desired.id in self._scaled else ()
        pointers = dict.fromkeys((*ignored(self._policy.ignore, desired.id), *more))
        return tuple(each for each in pointers if at(desired.item, each) is not MISSING)

    def _kept(self, desired: Desired) -> tuple[Pointer, ...]:
        """Return the fields that stay as they are once Git has them no longer."""
        more = (REPLICAS,) if desired.resource.scales else ()
        pointers = dict.fromkeys((*ignored(self._policy.ignore, desired.id), *more))
        return tuple(each for each in pointers if at(desired.item, each) is MISSING)

    def _notes(self, desired: Desired) -> tuple[str, ...]:
        scaler = self._scaled.get(desired.id)
        if scaler is None or at(desired.item, REPLICAS) is MISSING:
            return ()
        return (f"{shown(REPLICAS)} is left to HorizontalPodAutoscaler/{scaler}: remove it from Git",)

    def _ours(self, desired: Desired) -> Owns:
        """Return what says whether an entry is ours, or may be made ours by this apply."""
        takes_over = desired.options.how is How.OVERRIDE
        return lambda entry: is_syncs(entry) or (takes_over and is_overridden(entry))

    async def _live(self, desired: Desired) -> Object | None:
        answer = await self._cluster.send(ask.look(desired.path, whole=True))
        refused = refusal(answer)
        if refused is None:
            return answer.body
        if refused.kind in (RefusalKind.NOT_FOUND, RefusalKind.NO_NAMESPACE, RefusalKind.NO_KIND):
            return None
        problem = f"it has fields that are left to the cluster, and cannot be read: {refused.advice()}"
        raise UndoneError(problem, passes=refused.passes)

    async def _hand_over(self, desired: Desired, live: Object, pointers: Iterable[Pointer]) -> Object:
        """Apply what is there to be there, as somebody else; return the object at its new version."""
        metadata = {name: live["metadata"].get(name) for name in ("name", "namespace", "uid", "resourceVersion")}
        item: Object = {name: desired.item[name] for name in ("apiVersion", "kind")}
        item["metadata"] = {name: value for name, value in metadata.items() if value is not None}
        bare = item
        for each in pointers:
            item = put(item, each, at(live, each))
        if item is bare:
            return live
        answer = await self._cluster.send(ask.apply(desired.path, item, HANDOVER, force=False))
        refused = refusal(answer)
        if refused is not None and refused.kind in (RefusalKind.MOVED, RefusalKind.CONFLICT, RefusalKind.NOT_FOUND):
            raise MovedError
        if refused is not None:
            raise UndoneError(
                f"a field that Git has no longer cannot be kept: {told(refused, desired.item)}", passes=False
            )
        return {**live, "metadata": answer.body["metadata"]}


def _may_become_ours(entry: Entry) -> bool:
    return is_syncs(entry) or (entry.get("operation") == "Update" and not entry.get("subresource"))


def _with(desired: Desired, item: Object) -> Desired:
    return replace(desired, manifest=replace(desired.manifest, item=item))

"""Deletes what Git no longer has, stage by stage and each by its uid; what is not certainly ours stays, and is said.

Finalizers are never forced: what they hold is reported, and stays in the inventory until it is gone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent.app.kubernetes.gone import ABSENT, still_there
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.policy import Action, Awaits, Done, Policy, Undone
from agent.core.kubernetes.prune import CASCADE, CRD, NAMESPACE, guarded, may_cascade, why_kept
from agent.core.kubernetes.requests import Accept, Method, Request
from agent.core.kubernetes.resources import Resource, Resources
from agent.core.kubernetes.stages import deletion_stages
from agent.ports.cluster import Cluster, ClusterError

__all__ = ["Pruner"]

_GONE_S: Final = 10.0
_MAX_NAMED: Final = 5
_OF_EVERY_NAMESPACE: Final = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
_NOBODYS: Final = {"Event", "EndpointSlice", "Endpoints", "Lease"}


class Pruner:
    """Deletes for one Sync.

    Args:
        cluster: the API server.
        policy: how.
        resources: what it serves.
        living: what the Sync has, by uid: an object that two groups serve is one, whichever it is called by.
        width: how many at a time.
    """

    def __init__(
        self,
        cluster: Cluster,
        policy: Policy,
        resources: Resources,
        *,
        living: Mapping[str, ObjectId],
        width: int,
    ) -> None:
        self._cluster = cluster
        self._policy = policy
        self._resources = resources
        self._living = living
        self._slots = asyncio.Semaphore(width)

    async def prune(self, members: Sequence[Member]) -> list[Done | Undone]:
        """Delete these, and return what became of each. What is `DELETED` or `KEPT` is no member any more."""
        known = {member.id: member for member in members}
        results: list[Done | Undone] = []
        for stage in deletion_stages(known):
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._one(known[which], known)) for which in stage]
            results += [each.result() for each in running]
        return results

    async def _one(self, member: Member, going: Mapping[ObjectId, Member]) -> Done | Undone:
        async with self._slots:
            try:
                return await self._delete(member, going)
            except ClusterError as error:
                return Undone(id=member.id, problem=str(error), passes=True)

    async def _delete(self, member: Member, going: Mapping[ObjectId, Member]) -> Done | Undone:
        path = self._resources.path(member.id, member.version)
        if path is None and member.id.kind.group in self._resources.away:
            problem = (
                f"is not deleted: the server of {member.id.kind.group} does not answer the cluster (its APIService)"
            )
            return Undone(id=member.id, problem=problem, passes=True)
        if path is None:
            return Done(id=member.id, action=Action.DELETED, notes=("its kind is not served any more",))
        answer = await self._cluster.send(ask.look(path))
        refused = refusal(answer)
        if refused is not None:
            if refused.kind in ABSENT:
                return Done(id=member.id, action=Action.DELETED, notes=("was gone already",))
            return Undone(id=member.id, problem=refused.advice(), passes=refused.passes)
        live = answer.body
        same = self._living.get(live["metadata"]["uid"])
        kept = f"is {same.kind} {same}, which stays" if same else why_kept(live, self._policy)
        if kept is not None:
            return Done(id=member.id, action=Action.KEPT, notes=(kept,))
        held = guarded(live, member.id) or await self._contents(live, member.id, going)
        if held is not None:
            return Undone(id=member.id, problem=f"is not deleted: {held}", passes=False)
        refused = refusal(await self._cluster.send(ask.delete(path, uid=live["metadata"]["uid"])))
        if refused is not None and refused.kind not in ABSENT:
            return Undone(id=member.id, problem=refused.advice(), passes=refused.passes)
        still = await still_there(self._cluster, member.id, path, within_s=_GONE_S)
        if still is None:
            return Done(id=member.id, action=Action.DELETED)
        return Undone(id=member.id, problem=still, passes=True, awaits=Awaits(id=member.id, to_go=True))

    async def _contents(self, live: Object, which: ObjectId, going: Mapping[ObjectId, Member]) -> str | None:
        """Return what would go with a namespace or a CRD and is not this Sync's to delete, None for nothing."""
        if which.kind not in (NAMESPACE, CRD) or may_cascade(live):
            return None
        if which.kind == CRD:
            others = await self._instances(live, going)
        else:
            others = [
                name
                for resource in self._resources
                if resource.namespaced and "list" in resource.verbs
                for name in await self._list(resource, which.name, going)
            ]
        if not others:
            return None
        more = f" and {len(others) - _MAX_NAMED} more" if len(others) > _MAX_NAMED else ""
        return f"{', '.join(others[:_MAX_NAMED])}{more} would go with it; annotate it with {CASCADE}, or remove them"

    async def _instances(self, live: Object, going: Mapping[ObjectId, Member]) -> list[str]:
        name, _, group = live["metadata"]["name"].partition(".")
        for resource in self._resources:
            if (resource.plural, resource.kind.group) == (name, group):
                return await self._list(resource, "", going)
        return []

    async def _list(self, resource: Resource, namespace: str, going: Mapping[ObjectId, Member]) -> list[str]:
        """Return the objects of a kind that are neither going anyway nor made by the cluster itself."""
        if resource.kind.kind in _NOBODYS:
            return []
        request = Request(method=Method.GET, path=resource.path(namespace), accept=Accept.METADATA_LIST)
        answer = await self._cluster.send(request)
        refused = refusal(answer)
        if refused is not None:
            if refused.kind in (*ABSENT, RefusalKind.BAD):
                return []
            return [f"{resource.plural} that cannot be listed ({refused.advice()})"]
        found = (self._other(resource, item, going) for item in answer.body.get("items") or [])
        return [str(each) for each in found if each is not None]

    def _other(self, resource: Resource, item: Any, going: Mapping[ObjectId, Member]) -> ObjectId | None:
        metadata = item["metadata"]
        which = ObjectId(resource.kind, metadata.get("namespace", ""), metadata["name"])
        is_made = any(owner.get("controller") for owner in metadata.get("ownerReferences") or [])
        usual = (resource.kind.kind, which.name) in _OF_EVERY_NAMESPACE
        return None if which in going or is_made or usual or metadata.get("deletionTimestamp") else which

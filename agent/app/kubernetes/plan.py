"""What an apply would change: what is there beside what a dry run on the server answers, without secrets."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.app.kubernetes.leaver import Leaver
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.reconcile import WIDTH
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.options import How, options_of
from agent.core.kubernetes.policy import Policy
from agent.core.kubernetes.prune import stale, why_kept
from agent.core.kubernetes.resources import Resources
from agent.core.kubernetes.shown import compared
from agent.ports.cluster import Cluster
from agent.ports.inventory import Held

__all__ = ["Difference", "differences"]

_NOT_YET = (RefusalKind.NO_NAMESPACE, RefusalKind.NO_KIND, RefusalKind.NOT_FOUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One object that would change.

    Attributes:
        id: which.
        live: as it is, none where it is not there; as both, it may be shown.
        planned: as it would be, none where it would be deleted.
        problem: why it could not be applied; then nothing is known of `planned`.
    """

    id: ObjectId
    live: Object | None = None
    planned: Object | None = None
    problem: str | None = None


async def differences(opened: Opened, held: Held, desired: Sequence[Desired], policy: Policy) -> list[Difference]:
    """Return what differs, in the order of the manifests, what would be deleted last.

    Raises:
        ClusterError: nobody answers.
    """
    slots = asyncio.Semaphore(WIDTH)
    going = stale(held.members, (each.id for each in desired)) if policy.prune else ()
    cluster, resources = opened.cluster, await opened.resources()
    leaver = Leaver(cluster, policy, await opened.autoscalers.scaled(desired, (each.id for each in going)))

    async def one(each: Desired) -> Difference | None:
        async with slots:
            return await _applied(cluster, each, policy, leaver)

    async def gone(member: Member) -> Difference | None:
        async with slots:
            return await _deleted(cluster, member, policy, resources)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(each)) for each in desired]
        running += [tasks.create_task(gone(each)) for each in going]
    return [*_found(each.result() for each in running)]


def _found(each: Iterable[Difference | None]) -> list[Difference]:
    return [one for one in each if one is not None]


async def _applied(cluster: Cluster, desired: Desired, policy: Policy, leaver: Leaver) -> Difference | None:
    how = options_of(desired.item).how
    live = await _live(cluster, desired.path)
    if how is How.IGNORE or (how is How.IF_NOT_PRESENT and live is not None):
        return None
    item = ask.members_item(leaver.preview(desired, live), policy.parent)
    answer = await cluster.send(ask.apply(desired.path, item, policy.manager, force=True, dry_run=True, whole=True))
    refused = refusal(answer)
    if refused is not None and refused.kind in _NOT_YET:
        before, after = compared(live, item)  # its namespace or kind comes with the same apply
        return Difference(id=desired.id, live=before, planned=after)
    if refused is not None:
        return Difference(id=desired.id, problem=refused.advice())
    before, after = compared(live, answer.body)
    return None if before == after else Difference(id=desired.id, live=before, planned=after)


async def _deleted(cluster: Cluster, member: Member, policy: Policy, resources: Resources) -> Difference | None:
    path = resources.path(member.id, member.version)
    live = await _live(cluster, path) if path else None
    if live is None or why_kept(live, policy) is not None:
        return None
    before, _ = compared(live, None)
    return Difference(id=member.id, live=before)


async def _live(cluster: Cluster, path: str) -> Object | None:
    answer = await cluster.send(ask.look(path, whole=True))
    return answer.body if refusal(answer) is None else None

"""What an apply would change: what is there beside what a dry run on the server answers, without secrets."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.app.kubernetes.leaver import Leaver
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.reconcile import WIDTH
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.conflicts import Claim, is_taken, stands_in_the_way, verdict
from agent.core.kubernetes.fields import entries
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.leftovers import without_leftovers
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.options import How
from agent.core.kubernetes.policy import Policy
from agent.core.kubernetes.prune import stale, why_kept
from agent.core.kubernetes.requests import Answer
from agent.core.kubernetes.resources import Resources
from agent.core.kubernetes.shown import compared, told
from agent.core.kubernetes.takeover import is_overridden
from agent.ports.cluster import Cluster, ClusterError
from agent.ports.inventory import Held

__all__ = ["Difference", "differences"]

_AGAIN: Final = 4
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

    async def bounded(look: Coroutine[None, None, Difference | None]) -> Difference | ClusterError | None:
        async with slots:
            try:
                return await look
            except ClusterError as error:
                return error

    looks = [_applied(cluster, each, policy, leaver, known=_is_known(held, each)) for each in desired]
    looks += [_deleted(cluster, member, policy, resources) for member in going]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(bounded(look)) for look in looks]
    return [*_found(each.result() for each in running)]


def _found(results: Iterable[Difference | ClusterError | None]) -> Iterator[Difference]:
    for each in results:
        if isinstance(each, ClusterError):
            raise each
        if each is not None:
            yield each


def _is_known(held: Held, desired: Desired) -> bool:
    member = held.members.get(desired.id)
    return member is not None and member.record is not None


async def _applied(
    cluster: Cluster, desired: Desired, policy: Policy, leaver: Leaver, *, known: bool, again: int = _AGAIN
) -> Difference | None:
    options = desired.options
    live = await _live(cluster, desired.path)
    if options.how is How.IGNORE or (options.how is How.IF_NOT_PRESENT and live is not None):
        return None
    item = ask.members_item(leaver.preview(desired, live), policy.parent)

    async def tried(*, force: bool) -> Answer:
        return await cluster.send(
            ask.apply(desired.path, item, policy.manager, force=force, dry_run=True, whole=True)
        )

    answer = await tried(force=False)
    refused = refusal(answer)
    if refused is not None and refused.kind is RefusalKind.CONFLICT:
        if not known or is_taken(refused.causes):
            found = verdict(refused.causes, policy, adopt=options.adopt)
            if found.claim is Claim.LEAVE:
                return None
            if found.claim is Claim.REFUSE:
                return Difference(id=desired.id, problem=found.text)
        answer = await tried(force=True)
        refused = refusal(answer)
    if refused is not None and refused.kind in _NOT_YET:
        before, after = compared(live, item)  # its namespace or kind comes with the same apply
        return Difference(id=desired.id, live=before, planned=after)
    if refused is not None:
        return Difference(id=desired.id, problem=told(refused, desired.item) + _taken_over_first(refused, live))
    is_of_that = live is None or answer.body["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    if not is_of_that and again:  # it was written between the look and the dry run, by its controller perhaps
        return await _applied(cluster, desired, policy, leaver, known=known, again=again - 1)
    planned = without_leftovers(answer.body, which=is_overridden) if options.how is How.OVERRIDE else answer.body
    before, after = compared(live, planned)
    return None if before == after else Difference(id=desired.id, live=before, planned=after)


def _taken_over_first(refused: Refusal, live: Object | None) -> str:
    """Return what an apply does before it, which no dry run can (M4)."""
    fields = [cause.field for cause in refused.causes]
    near = [each["manager"] for each in entries(live or {}) if stands_in_the_way(each, fields)]
    if refused.kind is not RefusalKind.INVALID or not near:
        return ""
    return f"; unless that is Git's own, an apply takes over first what was written there by {', '.join(near)}"


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

"""Makes a cluster match a set of manifests, as a story: look, guard, note, apply, prune, note.

Before anything is written the inventory has all that was and all that will be; only when everything was applied is
anything deleted, and only then does the inventory have less. So whenever this ends, the next run finds all it made.
Where the inventory is lost, everything is applied first; then what else was made is looked for (M5).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from agent.app.kubernetes.applier import Applier
from agent.app.kubernetes.forgotten import Found
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.pruner import Pruner
from agent.app.kubernetes.ready import unready
from agent.core.kubernetes.answers import RefusalKind
from agent.core.kubernetes.inventory import Member, Record
from agent.core.kubernetes.normalise import Desired, Unserved
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.policy import Action, Done, Policy, Undone
from agent.core.kubernetes.prune import CRD, NAMESPACE, refusal_of_loss, stale
from agent.core.kubernetes.stages import stages
from agent.ports.cluster import Cluster
from agent.ports.inventory import Held, Inventory

__all__ = ["WIDTH", "GuardedError", "Result", "Watched", "reconcile"]

WIDTH: Final = 16
"""Requests under way at once: more gain nothing from one API server."""
_READY_S: Final = 30.0
_BREATH: Final = 64
"""Objects that need no request, of which so many are gone through before others have their turn."""


class GuardedError(Exception):
    """So much would be deleted that a person has to say so (P9). Nothing was written, or nothing was deleted."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What became of every object.

    Attributes:
        done: what is as it is to be.
        undone: what is not, and why.
        held: the inventory as it is now.
        found: what else the cluster had of this Sync, where its inventory was new, or lost.
    """

    done: list[Done] = field(default_factory=list)
    undone: list[Undone] = field(default_factory=list)
    held: Held
    found: Found | None = None

    def take(self, made: Done | Undone) -> None:
        """Note what became of one."""
        if isinstance(made, Done):
            self.done.append(made)
        else:
            self.undone.append(made)


class Watched(Protocol):
    """Whoever knows, with no request, which objects are as they are to be (M1)."""

    async def ready(self, desired: Sequence[Desired], held: Held) -> None:
        """Learn what is to be, and what is known of it."""
        ...

    def needs(self, desired: Desired, text: str, record: Record | None) -> bool:
        """Whether an object needs a request; `text` is the keyed hash of what is applied."""
        ...

    def told(self, made: Done | Undone) -> None:
        """Learn what became of one that did."""
        ...


class _Unwatched:
    """Knows nothing: everything needs a request."""

    async def ready(self, desired: Sequence[Desired], held: Held) -> None:
        pass

    def needs(self, desired: Desired, text: str, record: Record | None) -> bool:  # noqa: ARG002
        return True

    def told(self, made: Done | Undone) -> None:
        pass


async def reconcile(
    opened: Opened,
    inventory: Inventory,
    desired: Sequence[Desired],
    policy: Policy,
    *,
    unserved: Sequence[Unserved] = (),
    watched: Watched | None = None,
    tell: Callable[[Done | Undone], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Result:
    """Make the cluster match `desired`, and delete what it no longer has.

    Args:
        opened: the cluster.
        inventory: what was made before.
        desired: all that is to be.
        policy: how.
        unserved: what cannot be applied yet; while there is any nothing is deleted.
        watched: knows what needs no request; without it everything gets one.
        tell: is called with what became of each object, at once.
        stopping: whether to end between two objects; requests under way are never cut off (M2).

    Raises:
        GuardedError: too much would be deleted.
        InventoryError: the inventory cannot be read or written; nothing, or nothing more, was done.
        ClusterError: nobody answers.
    """
    held = await inventory.load()
    wanted = {each.id for each in desired}.union(*(each.ids for each in unserved))
    _refuse_loss(held.members, wanted, policy, "nothing was written")
    gone = stale(held.members, (each.id for each in desired))
    scaled = await opened.autoscalers.scaled(desired, (each.id for each in gone) if policy.prune else ())
    result = Result(held=await inventory.save(_all(held, desired), after=held, whole=held.whole))
    watched = watched or _Unwatched()
    await watched.ready(desired, held)
    run = _Run(opened.cluster, Applier(opened.cluster, policy, scaled), result, watched, tell=tell, stopping=stopping)
    whole = held.whole
    try:
        run.hold(unserved)
        for stage in stages(desired):
            await run.apply(stage)
            if run.is_held or stopping():
                return result
        run.refuse_twins(desired)
        if result.undone:
            return result
        if not held.whole:
            found = await opened.forgotten.find(inventory, policy.manager, desired)
            result.found = replace(found, members=run.remember(found.members))
            whole = True
            _refuse_loss(run.known, wanted, policy, "all was applied, and nothing was deleted")
        gone = stale(run.known, (each.id for each in desired))
        if gone and policy.prune and not stopping():
            resources = await opened.resources(anew=True)
            living = run.uids(wanted)
            await run.prune(gone, Pruner(opened.cluster, policy, resources, living=living, width=WIDTH))
    finally:
        # What was done is remembered also where this is cancelled: requests under way were awaited.
        result.held = await inventory.save(run.known.values(), after=result.held, whole=whole)
    return result


def _refuse_loss(
    members: Mapping[ObjectId, Member], wanted: Iterable[ObjectId], policy: Policy, what_was_done: str
) -> None:
    loss = refusal_of_loss(members, wanted, policy)
    if loss is not None:
        raise GuardedError(f"{loss}; {what_was_done}")


def _all(held: Held, desired: Iterable[Desired]) -> list[Member]:
    """Return what was and what will be; what is known of an object stays."""
    new = {each.id: Member(id=each.id, version=each.resource.version) for each in desired}
    return [*({**new, **held.members}).values()]


class _Run:
    """One run under way.

    Attributes:
        known: what is a member now.
    """

    def __init__(
        self,
        cluster: Cluster,
        applier: Applier,
        result: Result,
        watched: Watched,
        *,
        tell: Callable[[Done | Undone], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._applier = applier
        self._result = result
        self._watched = watched
        self._tell = tell
        self._stopping = stopping
        self.known = dict(result.held.members)

    def remember(self, members: Iterable[Member]) -> tuple[Member, ...]:
        """Note what this Sync made before, and return what of that nobody remembered."""
        more = {each.id: each for each in members if each.id not in self.known}
        self.known.update(more)
        return tuple(more.values())

    @property
    def is_held(self) -> bool:
        """Whether something was not made that what comes after it may need."""
        return any(not each.is_alone for each in self._result.undone)

    def hold(self, unserved: Iterable[Unserved]) -> None:
        """Note what cannot be applied yet."""
        for each in unserved:
            refused = RefusalKind.NO_KIND
            self._note(Undone(id=each.id, origin=each.origin, problem=each.problem, passes=True, refused=refused))

    def uids(self, which: Iterable[ObjectId]) -> dict[str, ObjectId]:
        """Return which objects are known by which uid."""
        records = ((each, self.known[each].record) for each in which if each in self.known)
        return {record.uid: each for each, record in records if record is not None}

    def refuse_twins(self, desired: Sequence[Desired]) -> None:
        """Note what is written twice, in two groups that both serve it: each would undo what the other says."""
        first = self.uids(each.id for each in reversed(desired))
        for each in desired:
            record = self._record(each)
            other = first.get(record.uid) if record is not None else None
            if other is not None and other != each.id:
                problem = f"is {other.kind} {other} as well: the API server has it in both groups; write it once"
                self._note(Undone(id=each.id, origin=each.manifest.origin, problem=problem, passes=False))

    async def apply(self, stage: Sequence[Desired]) -> None:
        """Apply what goes together, and wait for what the next stage needs."""
        rest = iter(stage)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(WIDTH, len(stage))):
                tasks.create_task(self._apply_all(rest))
        needed = [each for each in stage if each.id.kind in (CRD, NAMESPACE)]
        if not self.is_held:
            for each in await unready(self._cluster, needed, within_s=_READY_S):
                self._note(each)

    async def prune(self, members: Sequence[Member], pruner: Pruner) -> None:
        """Delete these."""
        for made in await pruner.prune(members):
            if isinstance(made, Done):
                self.known.pop(made.id, None)
            self._note(made)

    async def _apply_all(self, rest: Iterator[Desired]) -> None:
        """Apply one after the other, until none is left."""
        passed = 0
        for desired in rest:
            if self._stopping():
                return
            record = self._record(desired)
            if self._watched.needs(desired, self._applier.text(desired), record):
                await self._apply(desired, record)
                continue
            self._note(Done(id=desired.id, action=Action.UNCHANGED, record=record))
            passed += 1
            if passed % _BREATH == 0:
                await asyncio.sleep(0)

    async def _apply(self, desired: Desired, record: Record | None) -> None:
        member = Member(id=desired.id, version=desired.resource.version, record=record)
        # Until there is an answer nothing of it counts as known (M2); its uid does.
        unknown = replace(record, desired="") if record else None
        self.known[desired.id] = replace(member, record=unknown)
        made = await self._applier.apply(desired, member)
        if isinstance(made, Done) and made.record is not None:
            self.known[desired.id] = replace(member, record=made.record)
        elif isinstance(made, Done) and made.action is Action.SKIPPED:
            self.known.pop(desired.id, None)  # somebody else's: never ours to delete
        self._watched.told(made)
        self._note(made)

    def _record(self, desired: Desired) -> Record | None:
        member = self.known.get(desired.id)
        return member.record if member else None

    def _note(self, made: Done | Undone) -> None:
        self._result.take(made)
        self._tell(made)

"""Applies one object: one PATCH where nothing is in the way, and what is needed where something is.

An object is touched without force first, so that the API server itself says whose it is, be it new or known (M3).
One that is known is named by its uid, so that a PATCH can only update it (M8). What tools like kubectl left behind is
taken over, and where their fields exclude ours, those as well (M4).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from agent.app.kubernetes.course import Course, action_of
from agent.app.kubernetes.gone import ABSENT, still_there
from agent.app.kubernetes.hints import undone
from agent.app.kubernetes.leaver import Leaver, Ready
from agent.app.kubernetes.recreate import Recreate
from agent.app.kubernetes.undone import MovedError, UndoneError
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.conflicts import Claim, is_taken, others, stands_in_the_way, verdict
from agent.core.kubernetes.fields import entries
from agent.core.kubernetes.inventory import Member, Record
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.options import How, Options
from agent.core.kubernetes.ownership import desired_hash
from agent.core.kubernetes.policy import Action, Awaits, Done, Policy, Undone
from agent.core.kubernetes.requests import Answer
from agent.core.kubernetes.seen import Marked, record_of
from agent.core.kubernetes.shown import told
from agent.core.kubernetes.takeover import Patch, at_version, hand_over, is_overridden, take_over
from agent.ports.cluster import Cluster, ClusterError

__all__ = ["Applier"]

_ATTEMPTS: Final = 4
_CREATED: Final = 201
_GONE_S: Final = 15.0
_PAUSE_S: Final = 0.05


class Applier:
    """Applies the objects of one Sync.

    Args:
        cluster: the API server.
        policy: how.
        scaled: what has an autoscaler, and its name.
    """

    def __init__(self, cluster: Cluster, policy: Policy, scaled: Mapping[ObjectId, str]) -> None:
        self._cluster = cluster
        self._policy = policy
        self._leaver = Leaver(cluster, policy, scaled)
        self._texts: dict[ObjectId, str] = {}
        self._recreate = Recreate(cluster, policy, self._leaver.carried)

    def text(self, desired: Desired) -> str:
        """Return the keyed hash of what is applied, and what of it is left to the cluster; empty without a key."""
        if self._policy.key is None:
            return ""
        if desired.id not in self._texts:
            self._texts[desired.id] = desired_hash([desired.item, self._leaver.left(desired)], self._policy.key)
        return self._texts[desired.id]

    async def apply(self, desired: Desired, member: Member | None) -> Done | Undone:
        """Make the object what it is to be; never raises for what a server answers, or does not."""
        try:
            return await self._apply(desired, member.record if member else None)
        except UndoneError as error:
            found = error
        except ClusterError as error:
            found = UndoneError(str(error), passes=True)
        return Undone(
            id=desired.id,
            origin=desired.manifest.origin,
            problem=str(found),
            passes=found.passes,
            awaits=found.awaits,
            refused=found.refused,
        )

    async def _apply(self, desired: Desired, record: Record | None) -> Done:
        options = desired.options
        if options.how is How.IGNORE:
            return Done(id=desired.id, action=Action.SKIPPED, record=record, notes=("is left alone, as it asks",))
        if options.how is How.IF_NOT_PRESENT and (found := await self._metadata(desired)) is not None:
            known = record if record and record.uid == found["metadata"]["uid"] else None
            return Done(id=desired.id, action=Action.SKIPPED, record=known, notes=("is there, and left as it is",))
        for number in range(_ATTEMPTS):
            await asyncio.sleep(_PAUSE_S * number)
            with suppress(MovedError):
                return await self._make(desired, record, options)
        raise UndoneError("it changed each time it was written", passes=True)

    async def _make(self, desired: Desired, record: Record | None, options: Options) -> Done:
        ready = await self._leaver.ready(desired, known=record is not None)
        course = Course(notes=[*ready.notes])
        answer = await self._update(ready, record, options, course) if record else None
        if answer is None:
            record = None
            answer = await self._touch(ready, options, course)
            if answer is None:
                return Done(id=desired.id, action=Action.SKIPPED, notes=tuple(course.notes))
        if answer.body["metadata"].get("deletionTimestamp"):
            record, answer = None, await self._after_it_is_gone(desired, options, course)
        answer = await self._settle(ready.desired, options, answer, course)
        after = self._record(desired, answer.body)
        return Done(
            id=desired.id,
            action=action_of(record, after, course, created=answer.status == _CREATED),
            record=after,
            notes=(*course.notes, *(f"the server warns: {each}" for each in answer.warnings)),
        )

    async def _update(self, ready: Ready, record: Record, options: Options, course: Course) -> Answer | None:
        """Apply to the object that is known; None where it is not there any more, or is another."""
        desired, item = ready.desired, self._item(ready.desired, record.uid, ready.version)
        answer = await self._send(desired, item, force=False)
        refused = refusal(answer)
        if refused is not None and refused.kind is RefusalKind.CONFLICT:
            if is_taken(refused.causes):
                return None
            course.wrote = True
            answer = await self._send(desired, item, force=True)
            refused = refusal(answer)
        if refused is None:
            return answer
        if refused.kind is RefusalKind.MOVED and ready.version is not None and not refused.is_another:
            raise MovedError
        if refused.kind in (RefusalKind.MOVED, RefusalKind.NOT_FOUND):
            return None
        return await self._insist(desired, self._item(desired, record.uid), options, refused, course)

    async def _touch(self, ready: Ready, options: Options, course: Course) -> Answer | None:
        """Apply to an object of which nothing is known; None where it is left as it is."""
        desired, version = ready.desired, ready.version
        answer = await self._send(desired, self._item(desired, version=version), force=False)
        refused = refusal(answer)
        if refused is not None and refused.kind is RefusalKind.CONFLICT:
            found = verdict(refused.causes, self._policy, adopt=options.adopt)
            if found.claim is Claim.REFUSE:
                raise UndoneError(found.text, passes=False)
            course.notes.append(found.text)
            if found.claim is Claim.LEAVE:
                return None
            if found.claim is Claim.TAKE_FROM_SYNC:
                await self._take_from_sync(desired, others(refused.causes))
                version = None
            answer = await self._send(desired, self._item(desired, version=version), force=True)
            refused = refusal(answer)
        if refused is None:
            return answer
        if refused.kind is RefusalKind.MOVED:
            raise MovedError
        return await self._insist(desired, self._item(desired), options, refused, course)

    async def _take_from_sync(self, desired: Desired, owners: Iterable[str]) -> None:
        """Make the entries of the Syncs that it belonged to ours (M3)."""
        for owner in owners:
            await self._rewrite(desired, partial(hand_over, before=owner, manager=self._policy.manager))

    async def _insist(
        self, desired: Desired, item: Object, options: Options, refused: Refusal, course: Course
    ) -> Answer:
        """Do what is left to do about a refusal.

        Raises:
            UndoneError: nothing is.
        """
        fields = [cause.field for cause in refused.causes]
        if refused.kind is RefusalKind.OUTDATED and await self._write(
            desired, lambda live: at_version(live, desired.resource.api_version)
        ):
            raise MovedError
        if refused.kind is RefusalKind.INVALID and await self._is_going(desired):
            return await self._after_it_is_gone(desired, options, course)
        if refused.kind is RefusalKind.INVALID and options.how is not How.MERGE:
            if await self._is_at_fault(desired, item, fields):
                raise UndoneError(told(refused, desired.item), passes=False)
            if await self._rewrite(
                desired,
                lambda live: take_over(
                    live, self._policy.manager, which=lambda entry: stands_in_the_way(entry, fields)
                ),
            ):
                answer = await self._send(desired, item, force=True)
                again = refusal(answer)
                if again is None:
                    course.wrote = True
                    return answer
                refused = again
        if refused.kind is RefusalKind.IMMUTABLE and (options.force or self._policy.force):
            made = await self._recreate.recreate(desired, item["metadata"].get("uid"))
            course.anew = True
            return made
        raise await undone(self._cluster, desired, refused, manager=self._policy.manager)

    async def _is_going(self, desired: Desired) -> bool:
        """Whether it is being deleted, when it takes no finalizer any more."""
        found = await self._metadata(desired)
        return found is not None and "deletionTimestamp" in found["metadata"]

    async def _is_at_fault(self, desired: Desired, item: Object, fields: Sequence[str]) -> bool:
        """Whether Git's object alone is refused for the same fields: then nobody else is in its way."""
        metadata = {name: each for name, each in item["metadata"].items() if name not in ("uid", "resourceVersion")}
        folder = desired.resource.path(desired.id.namespace)
        answer = await self._cluster.send(ask.create_to_prove(folder, {**item, "metadata": metadata}))
        refused = refusal(answer)
        if refused is None or refused.kind is not RefusalKind.INVALID:
            return False
        return not {cause.field for cause in refused.causes}.isdisjoint(fields)

    async def _settle(self, desired: Desired, options: Options, answer: Answer, course: Course) -> Answer:
        """Take over what is left behind; return the answer that counts."""
        if options.how is not How.OVERRIDE or not any(is_overridden(each) for each in entries(answer.body)):
            return answer
        if not await self._rewrite(desired, lambda live: take_over(live, self._policy.manager, which=is_overridden)):
            return answer
        item = self._item(desired, answer.body["metadata"]["uid"])
        cleaned = await self._send(desired, item, force=True)
        refused = refusal(cleaned)
        if refused is not None:
            raise UndoneError(told(refused, desired.item), passes=refused.passes)
        course.wrote = True
        course.notes.append("what kubectl wrote beside Git is taken over")
        return replace(cleaned, status=answer.status)

    async def _after_it_is_gone(self, desired: Desired, options: Options, course: Course) -> Answer:
        """Wait until an object that is being deleted is gone, and make it again."""
        held = await still_there(self._cluster, desired.id, desired.path, within_s=_GONE_S)
        if held is not None:
            awaits = Awaits(id=desired.id, to_go=True)
            raise UndoneError(f"{held}; it is made again once it is gone", passes=True, awaits=awaits)
        answer = await self._touch(Ready(desired=desired), options, course)
        if answer is None:
            raise UndoneError("is somebody else's since it was deleted", passes=False)
        return answer

    def _item(self, desired: Desired, uid: str | None = None, version: str | None = None) -> Object:
        return ask.members_item(desired, self._policy.parent, uid, version)

    async def _send(self, desired: Desired, item: Object, *, force: bool) -> Answer:
        return await self._cluster.send(ask.apply(desired.path, item, self._policy.manager, force=force))

    async def _metadata(self, desired: Desired) -> Object | None:
        answer = await self._cluster.send(ask.look(desired.path))
        refused = refusal(answer)
        if refused is None:
            return answer.body
        if refused.kind in ABSENT:
            return None
        raise UndoneError(told(refused, desired.item), passes=refused.passes)

    async def _rewrite(self, desired: Desired, patch: Callable[[Object], Patch | None]) -> bool:
        """Write what `patch` makes of the object as it is, once what may go with that was handed over."""
        await self._leaver.hand_over_all(desired)
        return await self._write(desired, patch)

    async def _write(self, desired: Desired, patch: Callable[[Object], Patch | None]) -> bool:
        """Write what `patch` makes of the object as it is; False where there is nothing to write."""
        for number in range(_ATTEMPTS):
            await asyncio.sleep(_PAUSE_S * number)  # controllers write what they saw of the last edit
            live = await self._metadata(desired)
            made = patch({**live, "apiVersion": desired.item["apiVersion"]}) if live is not None else None
            if made is None:
                return False
            refused = refusal(await self._cluster.send(ask.rewrite(desired.path, made)))
            if refused is None:
                return True
            if refused.kind is not RefusalKind.MOVED:
                raise UndoneError(told(refused, desired.item), passes=refused.passes)
        raise UndoneError("it changed each time its managers were written", passes=True)

    def _record(self, desired: Desired, item: Object) -> Record:
        return record_of(item, self._policy.manager, self.text(desired), Marked.by(desired.item))

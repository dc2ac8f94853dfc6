"""What objects of one Sync wait for that others make, or end: a kind, a namespace, an object that is going.

Whatever it is, the Sync is tried again once it has come, not when its next try is due (research/apply.md, section 7).
"""

import asyncio
from collections.abc import Collection, Sequence
from time import monotonic
from typing import Final

from agent.app.kubernetes.opened import Opened
from agent.core.kubernetes.answers import RefusalKind
from agent.core.kubernetes.normalise import Unserved
from agent.core.kubernetes.object import GroupKind, ObjectId, split_version
from agent.core.kubernetes.policy import Awaits, Undone
from agent.core.kubernetes.prune import NAMESPACE
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import ClusterError

__all__ = ["Awaited"]

_LOOK_S: Final = 1.0
_SERVED_S: Final = 30.0
"""After a CRD changed its kind may not be served yet: so long it is looked for."""
_MISSED_S: Final = 5.0
"""What changed while the apply went on was not heard of."""
_MOST_S: Final = 60.0
_NAMESPACES: Final = Resource(kind=NAMESPACE, version="v1", plural="namespaces", namespaced=False)


class Awaited:
    """Knows whether what one Sync waits for has come.

    Args:
        sync: whose.
        opened: the cluster.
        turned: is set once `has_come` is to be asked.
    """

    def __init__(self, sync: str, opened: Opened, turned: asyncio.Event) -> None:
        self._others, self._members = f"{sync}: awaited", f"{sync}: awaited members"
        self._opened = opened
        self._turned = turned
        self._kinds: frozenset[tuple[GroupKind, str | None]] = frozenset()
        self._objects: dict[ObjectId, Awaits] = {}
        self._resources: dict[ObjectId, Resource] = {}
        self._heard: set[ObjectId] = set()
        self._until = float("-inf")
        """Until when a kind may come to be served at any moment."""
        self._came: tuple[frozenset[tuple[GroupKind, str | None]], frozenset[Awaits]] | None = None
        self._pause_s = _LOOK_S
        self._free = float("-inf")
        """From when on the Sync may be tried again: what has come may not have been all that it took."""

    async def want(self, unserved: Collection[Unserved], undone: Sequence[Undone]) -> None:
        """Wait for what these lack, in place of what was waited for before.

        Args:
            unserved: what could not be sent.
            undone: all that could not be made, those among it.

        Raises:
            ClusterError: the cluster does not say what it serves.
        """
        known = {each.id for each in unserved}
        gone = {each.id.kind for each in undone if each.refused is RefusalKind.NO_KIND and each.id not in known}
        if gone:
            await self._opened.resources(anew=True)  # they were served when that was asked
        kinds = {(each.id.kind, split_version(each.api_version)[1]) for each in unserved}
        self._kinds = frozenset({*kinds, *((kind, None) for kind in gone)})
        self._objects = {each.awaits.id: each.awaits for each in undone if each.awaits is not None}
        if (self._kinds, frozenset(self._objects.values())) == self._came:
            self._pause_s = min(2 * self._pause_s, _MOST_S)
        else:
            self._came, self._pause_s = None, _LOOK_S
        self._resources = {which: _NAMESPACES for which in self._objects if which.kind == NAMESPACE}
        if members := self._objects.keys() - self._resources.keys():
            served = await self._opened.resources()
            found = {which: served.find(which.kind) for which in members}
            self._resources |= {which: resource for which, resource in found.items() if resource is not None}
        self._watch()
        self._heard = set(self._resources)
        self._until = monotonic() + _MISSED_S if self._kinds else float("-inf")
        if self._kinds or self._objects:
            self._turned.set()

    async def has_come(self) -> bool:
        """Whether it is time to try again; what was waited for is waited for no more then."""
        now = monotonic()
        if now < self._free or not (self._has_changed() or await self._is_served(now)):
            return False
        self._free, self._came = now + self._pause_s, (self._kinds, frozenset(self._objects.values()))
        self._kinds, self._objects, self._resources, self._heard = frozenset(), {}, {}, set()
        self._watch()
        return True

    def next_s(self) -> float | None:
        """Return in how many seconds to ask `has_come` again, though nothing is heard."""
        now = monotonic()
        if now < self._free and (self._heard or self._kinds):
            return self._free - now
        return _LOOK_S if self._kinds and now < self._until else None

    def _watch(self) -> None:
        watching, namespaces = self._opened.watching, self._objects.keys() & self._resources.keys()
        others = {which: self._resources[which] for which in namespaces if which.kind == NAMESPACE}
        members = {which: each for which, each in self._resources.items() if which not in others}
        for who, what, is_member in ((self._others, others, False), (self._members, members, True)):
            if what:
                watching.want(who, what, self._hear, members=is_member)
            else:
                watching.leave(who)
        if self._kinds:
            watching.want_kinds(self._others, self._hear_of_kinds)

    def _hear(self, which: ObjectId) -> None:
        self._heard.add(which)
        self._turned.set()

    def _hear_of_kinds(self) -> None:
        self._until = monotonic() + _SERVED_S
        self._turned.set()

    def _has_changed(self) -> bool:
        """Whether one of what was heard of is now what it is waited for to be."""
        heard, self._heard = self._heard, set()
        return any(self._is_as_awaited(self._objects[which]) for which in heard if which in self._resources)

    def _is_as_awaited(self, awaits: Awaits) -> bool:
        resource = self._resources[awaits.id]
        view = self._opened.watching.view(awaits.id, resource, members=awaits.id.kind != NAMESPACE)
        if view is None:
            return False  # it will be heard of once it is known
        seen = view.get(awaits.id)
        return awaits.to_go if seen is None else not seen.is_going

    async def _is_served(self, now: float) -> bool:
        if not self._kinds or now >= self._until:
            return False
        try:
            served = await self._opened.resources(anew=True)
        except ClusterError:
            return False
        return any(served.find(kind, version) is not None for kind, version in self._kinds)

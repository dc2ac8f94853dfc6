"""Who watches what of a cluster: one watch for each kind that any Sync has, and whoever has an object hears of it.

A kind is watched in all namespaces, where the user may do that, else in each that a Sync has objects in. Secrets are
not watched: that needs the right to read them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from agent.app.kubernetes.reflector import Reflector, Streams
from agent.core.kubernetes.collection import Collection
from agent.core.kubernetes.object import GroupKind, ObjectId
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import WatchedCluster

__all__ = ["Heard", "Watching"]

Heard = Callable[[ObjectId], None]
"""Is called with an object that is no longer what it was, in the loop; it does not wait."""
_UNWATCHED: Final = frozenset({GroupKind("", "Secret")})


@dataclass(frozen=True, slots=True)
class _Place:
    """A kind, at one version, in one namespace or in all."""

    resource: Resource
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What one Sync wants to know."""

    places: frozenset[_Place]
    ids: frozenset[ObjectId]
    heard: Heard


class Watching:
    """The watches of one cluster; nothing is watched before `run`."""

    def __init__(self, cluster: WatchedCluster) -> None:
        self._cluster = cluster
        self._streams = Streams(cluster)
        self._wishes: dict[str, _Wish] = {}
        self._hearers: dict[ObjectId, list[Heard]] = {}
        self._refused: set[Resource] = set()
        """Kinds that may not be watched in all namespaces."""
        self._reflectors: dict[_Place, Reflector] = {}
        self._tasks: dict[_Place, asyncio.Task[None]] = {}
        self._turned = asyncio.Event()

    async def run(self) -> None:
        """Watch what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._turned.clear()
                for place in self._tasks.keys() - self._reflectors.keys():
                    self._tasks.pop(place).cancel()
                for place in self._reflectors.keys() - self._tasks.keys():
                    self._tasks[place] = tasks.create_task(self._reflectors[place].run())
                await self._turned.wait()

    def want(self, who: str, what: Mapping[ObjectId, Resource], heard: Heard) -> None:
        """Follow these objects from now on, in place of those that `who` wanted before."""
        places = {
            _Place(resource, which.namespace if resource.namespaced else "")
            for which, resource in what.items()
            if resource.kind not in _UNWATCHED
        }
        wish = _Wish(places=frozenset(places), ids=frozenset(what), heard=heard)
        if (before := self._wishes.get(who)) == wish:
            return
        if before is not None:
            self._unhear(before)
        self._wishes[who] = wish
        self._hear(wish)
        self._balance()
        for which in wish.ids - (before.ids if before is not None else frozenset()):
            heard(which)  # it may be there already, or never have been seen

    def leave(self, who: str) -> None:
        """Follow nothing any more for `who`."""
        if (before := self._wishes.pop(who, None)) is not None:
            self._unhear(before)
            self._balance()

    async def settle(self, who: str, within_s: float) -> None:
        """Wait until something is known of all that `who` wants, or for so long."""
        wish = self._wishes.get(who)
        try:
            async with asyncio.timeout(within_s):
                for place in wish.places if wish else ():
                    await self._settled(place)
        except TimeoutError:
            pass  # what is not known is asked for object by object

    def view(self, which: ObjectId, resource: Resource) -> Collection | None:
        """Return what holds an object if it is there; None where that is not known now."""
        if resource.kind in _UNWATCHED:
            return None
        found = self._find(_Place(resource, which.namespace if resource.namespaced else ""))
        return found.collection if found is not None and found.is_current else None

    def problems(self, who: str) -> list[str]:
        """Return what may not be watched, and which right is missing."""
        wish = self._wishes.get(who)
        found = (self._find(place) for place in (wish.places if wish else ()))
        return sorted({each.problem for each in found if each is not None and each.problem is not None})

    async def _settled(self, place: _Place) -> None:
        while (found := self._find(place)) is not None:
            await found.settled.wait()
            if self._find(place) is found:
                return

    def _find(self, place: _Place) -> Reflector | None:
        return self._reflectors.get(self._where(place))

    def _where(self, place: _Place) -> _Place:
        return place if place.resource in self._refused else _Place(place.resource, "")

    def _balance(self) -> None:
        """Begin what is needed, and end what is not."""
        needed = {self._where(place) for wish in self._wishes.values() for place in wish.places}
        for place in self._reflectors.keys() - needed:
            del self._reflectors[place]
        for place in needed - self._reflectors.keys():
            self._reflectors[place] = Reflector(
                self._cluster,
                place.resource,
                place.namespace,
                streams=self._streams,
                heard=self._heard,
                listed=partial(self._listed, place),
                turned=partial(self._turn, place),
            )
        self._turned.set()

    def _turn(self, place: _Place) -> None:
        """See to a watch that was refused."""
        reflector = self._reflectors.get(place)
        if reflector is None or not reflector.is_refused or place.namespace or not place.resource.namespaced:
            return
        self._refused.add(place.resource)
        self._balance()

    def _listed(self, place: _Place) -> None:
        """Have everything judged that is, or is not, in a list."""
        kind, namespace = place.resource.kind, place.namespace
        self._heard([which for which in self._hearers if which.kind == kind and namespace in ("", which.namespace)])

    def _heard(self, changed: Iterable[ObjectId]) -> None:
        for which in changed:
            for heard in self._hearers.get(which, ()):
                heard(which)

    def _hear(self, wish: _Wish) -> None:
        for which in wish.ids:
            self._hearers.setdefault(which, []).append(wish.heard)

    def _unhear(self, wish: _Wish) -> None:
        for which in wish.ids:
            rest = [each for each in self._hearers[which] if each != wish.heard]
            if rest:
                self._hearers[which] = rest
            else:
                del self._hearers[which]

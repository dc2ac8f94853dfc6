"""Who watches what of a cluster: one watch for each kind that any Sync has, and whoever has an object hears of it.

A kind is watched in all namespaces, where the user may do that, else in each that a Sync has objects in. Secrets are
not watched: that needs the right to read them.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from agent.app.kubernetes.reflector import Reflector, Streams
from agent.core.kubernetes.collection import Collection
from agent.core.kubernetes.object import GroupKind, ObjectId
from agent.core.kubernetes.prune import CRD
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import WatchedCluster

__all__ = ["Heard", "Watching"]

Heard = Callable[[ObjectId], None]
"""Is called with an object that is no longer what it was, in the loop; it does not wait."""
_KINDS: Final = Resource(kind=CRD, version="v1", plural="customresourcedefinitions", namespaced=False)
_UNWATCHED: Final = frozenset({GroupKind("", "Secret")})


class _Place(NamedTuple):
    """A kind, at one version, in one namespace or in all; objects of Syncs only, or all there are."""

    kind: GroupKind
    version: str
    namespace: str
    members: bool = True

    @classmethod
    def of(cls, which: ObjectId, resource: Resource, *, members: bool = True) -> "_Place":
        return cls(resource.kind, resource.version, which.namespace if resource.namespaced else "", members)

    @property
    def everywhere(self) -> "_Place":
        return self._replace(namespace="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What one Sync wants to know."""

    places: Mapping[_Place, Resource]
    ids: frozenset[ObjectId]
    heard: Heard


class Watching:
    """The watches of one cluster; nothing is watched before `run`.

    Args:
        cluster: whom to ask.
        defined: is called when a kind was defined, defined anew, or is gone.
    """

    def __init__(self, cluster: WatchedCluster, *, defined: Callable[[], None] = lambda: None) -> None:
        self._cluster = cluster
        self._defined = defined
        self._defining: dict[str, Callable[[], None]] = {}
        self._streams = Streams(cluster)
        self._kinds = Reflector(cluster, _KINDS, "", streams=self._streams, heard=self._define, members=False)
        self._generations: dict[str, int | None] = {}
        self._wishes: dict[str, _Wish] = {}
        self._hearers: dict[ObjectId, list[Heard]] = {}
        self._refused: set[_Place] = set()
        """Kinds that may not be watched in all namespaces."""
        self._reflectors: dict[_Place, Reflector] = {}
        self._tasks: dict[_Place, asyncio.Task[None]] = {}
        self._turned = asyncio.Event()

    async def run(self) -> None:
        """Watch what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kinds.run())
            while True:
                self._turned.clear()
                for place in self._tasks.keys() - self._reflectors.keys():
                    self._tasks.pop(place).cancel()
                for place in self._reflectors.keys() - self._tasks.keys():
                    self._tasks[place] = tasks.create_task(self._reflectors[place].run())
                await self._turned.wait()

    def want(self, who: str, what: Mapping[ObjectId, Resource], heard: Heard, *, members: bool = True) -> None:
        """Follow these objects from now on, in place of those that `who` wanted before.

        Args:
            who: wants them.
            what: which, and where they are.
            heard: is called with each that is no longer what it was.
            members: whether they belong to a Sync; what does not is only followed if this says so.
        """
        watched = ((which, resource) for which, resource in what.items() if resource.kind not in _UNWATCHED)
        places = {_Place.of(which, resource, members=members): resource for which, resource in watched}
        wish = _Wish(places=places, ids=frozenset(what), heard=heard)
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
        self._defining.pop(who, None)
        if (before := self._wishes.pop(who, None)) is not None:
            self._unhear(before)
            self._balance()

    def want_kinds(self, who: str, heard: Callable[[], None]) -> None:
        """Have `heard` called, in the loop, whenever a kind is defined, or what is said of that changes."""
        self._defining[who] = heard

    async def settle(self, who: str, within_s: float) -> None:
        """Wait until something is known of all that `who` wants, or for so long."""
        wish = self._wishes.get(who)
        try:
            async with asyncio.timeout(within_s):
                await self._kinds.settled.wait()
                for place in wish.places if wish else ():
                    await self._settled(place)
        except TimeoutError:
            pass  # what is not known is asked for object by object

    def view(self, which: ObjectId, resource: Resource, *, members: bool = True) -> Collection | None:
        """Return what holds an object if it is there; None where that is not known now."""
        if resource.kind in _UNWATCHED:
            return None
        found = self._find(_Place.of(which, resource, members=members))
        return found.collection if found is not None and found.is_current else None

    def is_coming(self, which: ObjectId, resource: Resource) -> bool:
        """Whether there is a watch that will show an object, though it may not do so now."""
        found = None if resource.kind in _UNWATCHED else self._find(_Place.of(which, resource))
        return found is not None and not found.is_refused

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
        return place if place.everywhere in self._refused else place.everywhere

    def _balance(self) -> None:
        """Begin what is needed, and end what is not."""
        wanted = (each for wish in self._wishes.values() for each in wish.places.items())
        needed = {self._where(place): resource for place, resource in wanted}
        for place in self._reflectors.keys() - needed.keys():
            del self._reflectors[place]
        for place in needed.keys() - self._reflectors.keys():
            self._reflectors[place] = Reflector(
                self._cluster,
                needed[place],
                place.namespace,
                streams=self._streams,
                heard=self._heard,
                listed=partial(self._listed, place),
                turned=partial(self._turn, place),
                members=place.members,
            )
        self._turned.set()

    def _turn(self, place: _Place) -> None:
        """See to a watch that was refused."""
        reflector = self._reflectors.get(place)
        if reflector is None or not reflector.is_refused or place.namespace:
            return
        self._refused.add(place)
        self._balance()

    def _define(self, changed: Iterable[ObjectId]) -> None:
        """Have all objects of a kind applied anew whose definition changed: a default may be another."""
        for heard in self._defining.values():
            heard()
        for which in changed:
            seen = self._kinds.collection.get(which)
            generation, is_known = seen.generation if seen else None, which.name in self._generations
            if is_known and self._generations[which.name] == generation:
                continue  # its status
            self._generations[which.name] = generation
            if self._kinds.settled.is_set():
                self._defined()
            if is_known:
                self._distrust(which.name)

    def _distrust(self, name: str) -> None:
        """Let nothing count that is remembered of a kind's objects; `name` is its plural and its group."""
        places = {place: each for wish in self._wishes.values() for place, each in wish.places.items()}
        kinds = {each.kind for each in places.values() if f"{each.plural}.{each.kind.group}" == name}
        for place, reflector in self._reflectors.items():
            if place.kind in kinds:
                reflector.collection.turn += 1
        self._heard([which for which in self._hearers if which.kind in kinds])

    def _listed(self, place: _Place) -> None:
        """Have everything judged that is, or is not, in a list."""
        self._heard([which for which in self._hearers if which.kind == place.kind])

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

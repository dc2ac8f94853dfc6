"""Finds what a Sync made where its inventory is lost: by label and field manager, in all kinds there are (M5).

The cluster is listed once for all Syncs that need it within a moment, as a new Sync has no inventory either.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.adapters.kubernetes.discovery import Discovery
from agent.app.kubernetes.pages import pages
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.ownership import Made, made_by
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import Cluster, RefusedError
from agent.ports.inventory import Held, Inventory

__all__ = ["Forgotten", "Found"]

_LASTS_S: Final = 30.0
"""What a Sync makes after a list is in its new inventory already."""
_WIDTH: Final = 8
_NOT_THERE: Final = (RefusalKind.NO_KIND, RefusalKind.NOT_FOUND, RefusalKind.NO_NAMESPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a cluster has of a Sync.

    Attributes:
        members: without records: whose each is, is looked at again before it is deleted.
        unlisted: kinds of which nobody knows, and why; empty where all were seen.
    """

    members: tuple[Member, ...]
    unlisted: tuple[str, ...]


@dataclass(slots=True)
class _Listing:
    made: dict[str, list[Made]]
    """By the set."""
    refused: list[tuple[Resource, str]]


class Forgotten:
    """What the labelled objects of a cluster say of the Syncs that made them."""

    def __init__(self, cluster: Cluster, discovery: Discovery) -> None:
        self._cluster = cluster
        self._discovery = discovery
        self._known: _Listing | None = None
        self._asking = asyncio.Lock()

    async def find(self, inventory: Inventory, manager: str, desired: Iterable[Desired]) -> Found:
        """Return what is there of a Sync.

        Args:
            inventory: the Sync's.
            manager: its field manager.
            desired: all that is to be; kinds that may not be listed in all namespaces are listed in these.

        Raises:
            ClusterError: nobody answers.
        """
        listing, parent = await self._everywhere(), inventory.parent
        namespaces = sorted({inventory.namespace, *(each.id.namespace for each in desired)} - {""})
        narrow = await self._list(
            [(resource, each) for resource, _ in listing.refused if resource.namespaced for each in namespaces]
        )
        whole = {resource.kind for resource, _ in listing.refused if not resource.namespaced}
        unlisted = [*narrow.refused, *(each for each in listing.refused if each[0].kind in whole)]
        made = [*listing.made.get(parent, ()), *narrow.made.get(parent, ())]
        return Found(
            members=tuple(Member(id=each.id, version=each.version) for each in made if each.manager == manager),
            unlisted=tuple(dict.fromkeys(f"{resource.plural} ({why})" for resource, why in unlisted)),
        )

    async def all_of(self, inventory: Inventory, manager: str, desired: Iterable[Desired]) -> Held:
        """Return what is in an inventory, and what is forgotten there.

        Raises:
            InventoryError: it cannot be read.
            ClusterError: nobody answers.
        """
        held = await inventory.load()
        if held.whole:
            return held
        found = await self.find(inventory, manager, desired)
        return replace(held, members={each.id: each for each in found.members} | dict(held.members))

    async def _everywhere(self) -> _Listing:
        async with self._asking:
            if self._known is None:
                served = await self._discovery.resources()
                kinds = [each for each in served if {"list", "patch"} <= each.verbs]
                self._known = await self._list([(each, "") for each in kinds])
                asyncio.get_running_loop().call_later(_LASTS_S, self._forget)
            return self._known

    def _forget(self) -> None:
        self._known = None

    async def _list(self, places: Sequence[tuple[Resource, str]]) -> _Listing:
        listing = _Listing(defaultdict(list), [])
        rest = iter(places)

        async def list_next() -> None:
            for resource, namespace in rest:
                await self._take(listing, resource, namespace)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_WIDTH, len(places))):
                tasks.create_task(list_next())
        return listing

    async def _take(self, listing: _Listing, resource: Resource, namespace: str) -> None:
        try:
            async for page in pages(self._cluster, resource, namespace, members=True):
                for item in page.items:
                    for made in made_by(item, resource.kind):
                        listing.made[made.parent].append(made)
        except RefusedError as error:
            refused = refusal(error.answer)
            if refused is not None and refused.kind not in _NOT_THERE:
                listing.refused.append((resource, refused.advice()))

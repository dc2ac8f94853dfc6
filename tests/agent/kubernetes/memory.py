"""An inventory in memory: what others hold and write meanwhile is done by hand."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import ObjectId
from agent.ports.inventory import Held, InventoryMovedError, InventoryTakenError

__all__ = ["MemoryInventory", "Shelf"]


class Shelf:
    """Where inventories in memory are kept: by name, with who holds them."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Held, str | None, datetime]] = {}
        self.count = 0


class MemoryInventory:
    """As `ParentInventory`, on a shelf."""

    def __init__(self, shelf: Shelf, name: str, *, holder: str, now: Callable[[], datetime]) -> None:
        self._shelf = shelf
        self._name = name
        self._holder = holder
        self._now = now
        self._latest = Held(whole=False)

    @property
    def parent(self) -> str:
        return f"applyset-{self._name}-v1"

    @property
    def namespace(self) -> str:
        return "shop"

    async def load(self) -> Held:
        held, holder, at = self._shelf.kept.get(self._name, (Held(whole=False), None, self._now()))
        if holder not in (None, self._holder) and self._now() - at < timedelta(minutes=2):
            raise InventoryTakenError(f"{holder} applies this Sync")
        if held.revision is None and self._latest.revision is not None:
            return replace(self._latest, revision=None, lost="was deleted")
        return self._latest if held.revision == self._latest.revision else held

    async def save(self, members: Iterable[Member], *, after: Held, whole: bool = True) -> Held:
        known = {member.id: member for member in members}
        same = {(each.id, each.version) for each in known.values()} == {
            (each.id, each.version) for each in after.members.values()
        }
        if same and after.lost is None and (known or after.revision) and self._is_fresh(after):
            self._latest = Held(members=known, revision=after.revision, whole=whole)
            return self._latest
        if not known and after.revision is None:
            return Held(whole=whole)
        return self._write(known, after, self._holder, whole=whole)

    async def release(self, after: Held) -> None:
        if after.revision is not None:
            self._write(dict(after.members), after, None, whole=after.whole)

    def _is_fresh(self, after: Held) -> bool:
        held, holder, at = self._shelf.kept.get(self._name, (Held(), None, self._now()))
        mine = holder == self._holder and held.revision == after.revision
        return mine and self._now() - at < timedelta(seconds=45)

    def _write(self, known: dict[ObjectId, Member], after: Held, holder: str | None, *, whole: bool) -> Held:
        held = self._shelf.kept.get(self._name, (Held(), None, self._now()))[0]
        if held.revision != after.revision:
            raise InventoryMovedError("somebody else wrote it meanwhile")
        self._shelf.count += 1
        now = Held(members=known, revision=str(self._shelf.count), whole=whole)
        self._shelf.kept[self._name] = (now, holder, self._now())
        self._latest = now
        return now

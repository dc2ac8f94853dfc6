"""Where a Sync's inventory is kept: with whoever it is about, or beside it, but in the cluster it describes.

Every write says what it was made from, so that of two writers one is told (M8).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import ObjectId

__all__ = ["Held", "Inventory", "InventoryError", "InventoryMovedError", "InventoryTakenError"]


class InventoryError(Exception):
    """It cannot be read or written: where it is, what is wrong, what to do. Without it nothing is applied."""


class InventoryMovedError(InventoryError):
    """Somebody else wrote it since it was loaded: load it again."""


class InventoryTakenError(InventoryError):
    """Another agent applies this Sync: two would undo each other's work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An inventory as it was read or written last.

    Attributes:
        members: by id.
        revision: of what it is kept in; None where that is not there yet.
        whole: whether the members are all that the Sync made; False where there was nothing to be read: it is new, or
            what was written is lost.
        lost: what is wrong with what was written, where it had to be given up.
    """

    members: Mapping[ObjectId, Member] = field(default_factory=dict)
    revision: str | None = None
    whole: bool = True
    lost: str | None = None


class Inventory(Protocol):
    """The inventory of one Sync, for one agent."""

    @property
    def parent(self) -> str:
        """The ApplySet id, which every member has as its label `applyset.kubernetes.io/part-of`."""
        ...

    @property
    def namespace(self) -> str:
        """That of the Sync."""
        ...

    async def load(self) -> Held:
        """Return what is known; nothing where there is none yet, or it is damaged.

        Who wrote it last knows it still, where it was deleted or damaged meanwhile.

        Raises:
            InventoryTakenError: another agent holds it.
            InventoryError: it could not be read.
        """
        ...

    async def save(self, members: Iterable[Member], *, after: Held, whole: bool = True) -> Held:
        """Write `members` in place of `after`, on disk when this returns; nothing is written where they are equal.

        `whole` says whether they are all that the Sync made; that they are may be written later.

        Who they are is never written later. What is remembered of them may be, by whoever saves again and again: for
        whoever comes after, it is then as it was up to a minute before, which costs a look at each object.

        Raises:
            InventoryMovedError: it is no longer `after`.
            InventoryError: it could not be written.
        """
        ...

    async def release(self, after: Held) -> None:
        """Let another agent have it at once.

        Raises:
            InventoryError: it could not be written.
        """
        ...

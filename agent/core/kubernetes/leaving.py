"""Leaving a field to the cluster: what is sent, so that an apply neither sets it nor takes it away.

Server-side apply removes what we sent before and send no longer, unless another manager owns it too; a number of
replicas then falls back to one. So a field that is left to the cluster is

- stripped from what is sent, where another manager owns it: it stays, and is theirs;
- adopted, where nobody else does: the live value is sent, with the version it was read at, so that nothing that is
  written meanwhile is undone;
- handed over, where Git no longer has it: another field manager takes the value as it is, before we let it go.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.core.kubernetes.fields import Entry, Fields, entries, item_of
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.pointer import MISSING, Pointer, at, is_in_list, put

__all__ = ["HANDOVER", "Leaving", "Owns", "handed_over", "leave"]

HANDOVER: Final = "bellpull-handover"
"""The field manager of what Git once set and nobody took over yet."""
Owns = Callable[[Entry], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What is sent of an object.

    Attributes:
        item: the object without what is left to the cluster, or with the cluster's value.
        adopted: whether some value is the cluster's: it may only be written over the version it was read at.
    """

    item: Object
    adopted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A field in the live object.

    Attributes:
        value: of the live object; `MISSING` where it is not there.
        owners: who owns the field itself, or something in it.
    """

    value: Any
    owners: tuple[Entry, ...]


def leave(item: Object, live: Object, pointers: Iterable[Pointer], *, ours: Owns) -> Leaving:
    """Return what is sent, so that the fields at `pointers` stay as they are.

    Args:
        item: as Git has it.
        live: the whole object as it is.
        pointers: into `item`; one that leads nowhere there is none of its business.
        ours: whether an entry of the managed fields is our own, or is about to be made ours.
    """
    adopted = False
    known = entries(live)
    for pointer in sorted(pointers, reverse=True):  # places in a list from its end, as some may go
        wanted = at(item, pointer)
        if wanted is MISSING:
            continue
        place = _find(pointer, item, live, known)
        if place.value is MISSING:
            continue  # the first value is Git's
        if any(not ours(each) for each in place.owners):
            item = put(item, pointer, MISSING)
        else:
            item = put(item, pointer, place.value)
            adopted = True
    return Leaving(item=item, adopted=adopted)


def handed_over(item: Object, live: Object, pointers: Iterable[Pointer], *, ours: Owns) -> tuple[Pointer, ...]:
    """Return the fields that an apply of `item` would take away, though they are the cluster's to say from now on.

    Args:
        item: as Git has it: without them.
        live: the whole object as it is.
        pointers: fields to keep; those with a list on their way are left out.
        ours: whether an entry is our own, or is about to be made ours.
    """
    known = entries(live)

    def goes(pointer: Pointer) -> bool:
        if at(item, pointer) is not MISSING or at(live, pointer) is MISSING:
            return False
        if is_in_list(live, pointer):
            return False
        owners = [
            each for each in known if _below(each.get("fieldsV1"), [f"f:{step}" for step in pointer]) is not None
        ]
        return bool(owners) and all(ours(each) for each in owners)

    return tuple(pointer for pointer in pointers if goes(pointer))


def _find(pointer: Pointer, item: Object, live: Object, known: Sequence[Entry]) -> _Place:
    """Follow a pointer into `item` through the live object, and through everybody's fields."""
    wanted: Any = item
    there: Any = live
    nodes = [(each, each.get("fieldsV1")) for each in known]
    for step in pointer:
        if isinstance(wanted, dict):
            there = there.get(step, MISSING) if isinstance(there, dict) else MISSING
            wanted, name = wanted[step], f"f:{step}"
        else:
            index = int(step)
            wanted = wanted[index]
            name = _key_of(wanted, [node for _, node in nodes])
            there = _item(there, name, index)
        nodes = [(each, inner) for each, node in nodes if (inner := _below(node, [name])) is not None]
    return _Place(value=there, owners=tuple(each for each, _ in nodes))


def _key_of(item: Any, nodes: Iterable[Fields | None]) -> str:
    """Return the step that stands for an item of a list in managed fields; empty where the list has no keys."""
    return next((step for node in nodes for step in node or {} if item_of(step, item)), "")


def _item(there: Any, step: str, index: int) -> Any:
    """Return the live item that a step means; without keys the one at the same place."""
    if not isinstance(there, list):
        return MISSING
    if step:
        return next((each for each in there if item_of(step, each)), MISSING)
    return there[index] if index < len(there) else MISSING


def _below(node: Any, steps: Iterable[str]) -> Fields | None:
    for step in steps:
        node = node.get(step) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None

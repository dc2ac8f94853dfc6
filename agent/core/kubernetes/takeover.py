"""Taking fields over from other managers (M4), and letting go of an object (M5).

What another tool wrote stays its own, and stays in the object, when Git no longer has it. Where such a writer is one
that a Sync takes the place of, its entry becomes part of ours, and the next apply removes what Git does not have.
Each patch says which version of the object it was made for, so that a write in between is refused, not lost.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import Entry, Fields, entries, union
from agent.core.kubernetes.object import Object

__all__ = ["OVERRIDDEN", "at_version", "hand_over", "is_overridden", "managed_as", "orphan", "take_over"]

OVERRIDDEN: Final = ("kubectl", "before-first-apply", "bellpull")
"""Managers whose writes are taken over, by the beginning of their names: a person at a terminal, and what was there
before anybody was asked."""

Patch = list[dict[str, Any]]


def is_overridden(entry: Entry) -> bool:
    """Whether an entry is one that is taken over: written, not applied, by what a Sync takes the place of."""
    name = str(entry.get("manager", ""))
    is_update = entry.get("operation") == "Update" and not entry.get("subresource")
    return is_update and name.startswith(OVERRIDDEN)


def take_over(item: Object, manager: str, *, which: Callable[[Entry], bool]) -> Patch | None:
    """Return the patch that merges the entries that `which` says into ours, None where there is none.

    Args:
        item: the object, or its metadata, as it is.
        manager: ours.
        which: whether an entry goes; only those that are at our entry's version can.
    """
    known = entries(item)
    ours = next((each for each in known if _is_ours(each, manager)), None)
    version = (ours or {}).get("apiVersion") or item.get("apiVersion")
    gone = [each for each in known if each is not ours and each.get("apiVersion") == version and which(each)]
    if not gone:
        return None
    fields: Fields = (ours or {}).get("fieldsV1") or {}
    for each in gone:
        fields = union(fields, each.get("fieldsV1") or {})
    base = ours or {"apiVersion": version, "fieldsType": "FieldsV1"}
    merged = {**base, "manager": manager, "operation": "Apply", "fieldsV1": fields}
    kept = [each for each in known if each is not ours and not any(each is one for one in gone)]
    return _replace(item, [*kept, merged])


def hand_over(item: Object, before: str, manager: str) -> Patch | None:
    """Return the patch that makes another Sync's entry ours (M3), None where it has none.

    What only the other had in Git is then removed by our next apply, with no moment in between without it.
    """
    known = entries(item)
    if not any(_is_ours(each, before) for each in known):
        return None
    rest = [each for each in known if not _is_ours(each, before) and not _is_ours(each, manager)]
    fields: Fields = {}
    base: Entry = {}
    for each in known:
        if _is_ours(each, before) or _is_ours(each, manager):
            fields, base = union(fields, each.get("fieldsV1") or {}), each
    return _replace(item, [*rest, {**base, "manager": manager, "fieldsV1": fields}])


def at_version(item: Object, version: str) -> Patch | None:
    """Return the patch that brings all entries to a version of the kind, None where they are there.

    A server that cannot convert an object to an entry's version refuses every apply: the version is gone, or lacks a
    field that is applied now.
    """
    known = entries(item)
    if all(each.get("apiVersion") == version for each in known):
        return None
    return _replace(item, [{**each, "apiVersion": version} for each in known])


def managed_as(item: Object, before: Object) -> Patch:
    """Return the patch that gives an object the managers that it had `before`, when it was deleted and put back."""
    own = [each for each in entries(before) if not each.get("subresource")]
    return _replace(item, [*own, *(each for each in entries(item) if each.get("subresource"))])


def orphan(item: Object, manager: str) -> Patch:
    """Return the patch that leaves an object to itself: without our label and entry, with all its fields."""
    rest = [each for each in entries(item) if not _is_ours(each, manager)]
    label = PART_OF.replace("~", "~0").replace("/", "~1")
    labels = (item.get("metadata") or {}).get("labels") or {}
    remove = [{"op": "remove", "path": f"/metadata/labels/{label}"}] if PART_OF in labels else []
    return [*_replace(item, rest or [{}]), *remove]


def _replace(item: Object, managed: Iterable[Entry]) -> Patch:
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": list(managed)},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": item["metadata"]["resourceVersion"]},
    ]


def _is_ours(entry: Entry, manager: str) -> bool:
    who = (entry.get("manager"), entry.get("operation"), entry.get("subresource") or "")
    return who == (manager, "Apply", "")

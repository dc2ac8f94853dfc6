"""Whose an object is: a Sync's by its label and its field manager's entry together, never by one of them (M5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import orjson

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import Entry, apply_entry, entries
from agent.core.kubernetes.object import GroupKind, Object, ObjectId, split_version

__all__ = ["Made", "desired_hash", "field_manager", "is_member", "is_syncs", "made_by"]

_MAX_MANAGER: Final = 128
_PREFIX: Final = "bellpull/"


def field_manager(sync: str) -> str:
    """Return the field manager of a Sync, `namespace/name` (M3); one that is too long for a server ends in a hash."""
    name = f"{_PREFIX}{sync}"
    if len(name) <= _MAX_MANAGER:
        return name
    told = blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{name[: _MAX_MANAGER - len(told) - 1]}-{told}"


def is_syncs(entry: Entry) -> bool:
    """Whether an entry of the managed fields is what some Sync applied to the object itself."""
    is_apply = entry.get("operation") == "Apply" and not entry.get("subresource")
    return is_apply and str(entry.get("manager", "")).startswith(_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An object that a Sync made, as it says itself.

    Attributes:
        parent: the set that it is in.
        manager: the Sync's field manager.
        id: which.
        version: of its API, at which it was applied.
    """

    parent: str
    manager: str
    id: ObjectId
    version: str


def made_by(item: Object, kind: GroupKind) -> Iterator[Made]:
    """Yield the Syncs that an object belongs to, by its metadata; more than one only while it is handed over.

    A cluster may show an object in two groups; it is what it was applied as.
    """
    metadata = item["metadata"]
    parent = (metadata.get("labels") or {}).get(PART_OF, "")
    for entry in entries(item):
        group, version = split_version(str(entry.get("apiVersion", "")))
        if is_syncs(entry) and group == kind.group and is_member(item, entry["manager"], parent):
            which = ObjectId(kind, metadata.get("namespace", ""), metadata["name"])
            yield Made(parent=parent, manager=entry["manager"], id=which, version=version)


def is_member(item: Object, manager: str, parent: str) -> bool:
    """Whether an object, or its metadata, is the Sync's: labelled, applied, and made by no controller."""
    metadata = item.get("metadata") or {}
    if (metadata.get("labels") or {}).get(PART_OF) != parent or apply_entry(item, manager) is None:
        return False
    return not any(
        owner.get("controller") for owner in metadata.get("ownerReferences") or [] if isinstance(owner, dict)
    )


def desired_hash(item: object, key: bytes) -> str:
    """Return the hash of what is applied; keyed, as a Secret's plain hash would let anyone try guesses (M9)."""
    text = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=16, key=key).hexdigest()

"""What is kept of an object that a watch shows: what rule M1 looks at, and nothing that could be a secret.

An object has kilobytes of managed fields, and there are thousands of objects: entries are kept as hashes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.fields import Entry, entries
from agent.core.kubernetes.inventory import Record
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.takeover import is_overridden

__all__ = ["Marked", "Seen", "is_later", "is_rest_same", "record_of", "see"]

_SHORT: Final = 64
_OWN_BYTES: Final = 16
_REST_BYTES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object as it was at one version.

    Attributes:
        uid: which one of its name.
        revision: its resourceVersion.
        generation: where the kind has one.
        is_going: whether it is being deleted.
        applied: the hash of each Apply entry of the object itself, by its manager.
        entries: the hash of all entries of the object itself, whoever's they are.
        parts: the hash of those of its subresources, such as its status.
        is_overridden: whether there is an entry that a Sync takes over (M4).
        labels: as they are.
        annotations: as they are; long ones as their hashes.
    """

    uid: str
    revision: str
    generation: int | None
    is_going: bool
    applied: Mapping[str, str]
    entries: str
    parts: str
    is_overridden: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """Which labels and annotations Git sets."""

    labels: frozenset[str]
    annotations: frozenset[str]

    @classmethod
    def by(cls, item: Object) -> "Marked":
        """Return those of an object as Git has it; the label of the set is one of them."""
        metadata = item["metadata"]
        return cls(
            labels=frozenset({PART_OF, *(metadata.get("labels") or {})}),
            annotations=frozenset(metadata.get("annotations") or {}),
        )


def see(item: Object) -> Seen:
    """Return what is kept of an object, or of its metadata."""
    metadata = item["metadata"]
    whole = entries(item)
    known = [each for each in whole if not each.get("subresource")]
    annotations = metadata.get("annotations") or {}
    return Seen(
        uid=metadata["uid"],
        revision=metadata["resourceVersion"],
        generation=metadata.get("generation"),
        is_going="deletionTimestamp" in metadata,
        applied={str(each.get("manager")): _own(each) for each in known if each.get("operation") == "Apply"},
        entries=_hash(known, _REST_BYTES),
        parts=_hash([each for each in whole if each.get("subresource")], _REST_BYTES),
        is_overridden=any(is_overridden(each) for each in known),
        labels=metadata.get("labels") or {},
        annotations={name: _shortened(value) for name, value in annotations.items()},
    )


def record_of(item: Object, manager: str, desired: str, marked: Marked) -> Record:
    """Return what is remembered of a PATCH that was answered with `item`, or with its metadata (M1)."""
    seen = see(item)
    return Record(
        uid=seen.uid,
        desired=desired,
        own=seen.applied.get(manager, ""),
        revision=seen.revision,
        generation=seen.generation,
        rest=rest_of(seen, marked),
    )


def is_rest_same(record: Record, seen: Seen, marked: Marked) -> bool:
    """Whether an object at another version is still what our PATCH made of it, but for its status (M1).

    Where there is a generation it counts the changes of all but metadata. Where there is none, the other version must
    be due to a subresource: its entry has to be another one, and no other entry.
    """
    if seen.generation != record.generation:
        return False
    if seen.generation is not None:
        return rest_of(seen, marked) == record.rest
    entries, _, parts = record.rest.partition(":")
    return entries == seen.entries and parts != seen.parts


def rest_of(seen: Seen, marked: Marked) -> str:
    """Return what is recorded of an object so that `is_rest_same` can tell."""
    if seen.generation is None:
        return f"{seen.entries}:{seen.parts}"
    mine = [
        {name: value for name, value in values.items() if name in names}
        for values, names in ((seen.labels, marked.labels), (seen.annotations, marked.annotations))
    ]
    return _hash(mine, _REST_BYTES)


def is_later(one: str, other: str) -> bool:
    """Whether a resourceVersion is later than another of the same kind (KEP-5504: they are ordered as numbers)."""
    return (len(one), one) > (len(other), other)


def _own(entry: Entry) -> str:
    return _hash(entry, _OWN_BYTES)


def _shortened(value: str) -> str:
    return value if len(value) <= _SHORT else _hash(value, _OWN_BYTES)


def _hash(value: Iterable[Any] | Mapping[str, Any] | str, size: int) -> str:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=size).hexdigest()

"""The inventory: which objects a Sync may have made. What is not in it is never deleted (P9).

It is written twice in a run, before anything is applied, with all that was and all that will be, and after pruning,
with what is left. So whenever the agent ends, every object it made is in it. A member without a uid was about to be
applied when the inventory was last written: whether it is there, and whose, has to be looked up (M5).

As bytes it is JSON, a line for each member, packed: names repeat, and an API server takes a megabyte.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from agent.core.kubernetes.object import GroupKind, ObjectId

__all__ = ["Contents", "InventoryDamagedError", "InventoryNewerError", "Member", "Record", "pack", "unpack"]

_FORMAT: Final = 1
_MAX_BYTES: Final = 64 << 20
"""Unpacked: some 300,000 members."""


class InventoryDamagedError(Exception):
    """It is not what this program writes."""


class InventoryNewerError(Exception):
    """It is what a later version of this program writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What our last PATCH of an object returned (M1).

    Attributes:
        uid: of the object.
        desired: the keyed hash of what was applied.
        own: the hash of our Apply entry in its managedFields.
        revision: its resourceVersion.
        generation: where the kind has one.
        rest: what else tells that it was changed (`seen.rest_of`).
    """

    uid: str
    desired: str
    own: str
    revision: str
    generation: int | None = None
    rest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An object that this Sync made, or was about to make.

    Attributes:
        id: which.
        version: of its API, as Git wrote it last.
        record: of the last PATCH; none where nobody lived to see it.
    """

    id: ObjectId
    version: str
    record: Record | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What an inventory says.

    Attributes:
        members: by id.
        whole: whether they are all; else what else the Sync made is still to be looked for.
    """

    members: Mapping[ObjectId, Member]
    whole: bool = True


def pack(members: Iterable[Member], *, whole: bool = True) -> bytes:
    """Return an inventory as bytes; the same for the same members, in whatever order."""
    lines = [orjson.dumps(_written(member)) for member in sorted(members, key=lambda one: one.id)]
    head = {"format": _FORMAT} | ({} if whole else {"whole": False})
    return zlib.compress(b"\n".join([orjson.dumps(head), *lines]), level=6)


def unpack(packed: bytes) -> Contents:
    """Read what `pack` wrote.

    Raises:
        InventoryNewerError: a later version of this program wrote it.
        InventoryDamagedError: that is not it; whoever goes on without it deletes nothing.
    """
    try:
        head, *lines = _unpacked(packed).split(b"\n")
        whole = _whole(orjson.loads(head))
        members = [_read(orjson.loads(line)) for line in lines]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, zlib.error) as error:
        raise InventoryDamagedError(f"the inventory cannot be read ({type(error).__name__})") from None
    return Contents(members={member.id: member for member in members}, whole=whole)


def _unpacked(packed: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(packed, _MAX_BYTES)
    if not reader.eof:
        raise ValueError("is too large, or cut off")
    return text


def _whole(head: Any) -> bool:
    if type(head["format"]) is int and head["format"] > _FORMAT:
        problem = f"the inventory has format {head['format']}, and this program reads {_FORMAT}"
        raise InventoryNewerError(f"{problem}: a newer one wrote it; start that one")
    if head["format"] != _FORMAT:
        raise ValueError("is no format")
    return head.get("whole") is not False


def _written(member: Member) -> list[Any]:
    kind = member.id.kind
    row: list[Any] = [kind.group, kind.kind, member.id.namespace, member.id.name, member.version]
    record = member.record
    if record is not None:
        row += [record.uid, record.desired, record.own, record.revision, record.rest, record.generation]
    return row


def _read(row: list[Any]) -> Member:
    if len(row) not in (5, 11) or not all(isinstance(each, str) for each in row[:10]):
        raise ValueError("is no row of an inventory")
    group, kind, namespace, name, version = row[:5]
    which = ObjectId(GroupKind(group, kind), namespace, name)
    if len(row) == 5:  # was about to be applied
        return Member(id=which, version=version)
    uid, desired, own, revision, rest, generation = row[5:]
    if generation is not None and type(generation) is not int:
        raise ValueError("has no number for a generation")
    record = Record(uid=uid, desired=desired, own=own, revision=revision, generation=generation, rest=rest)
    return Member(id=which, version=version, record=record)

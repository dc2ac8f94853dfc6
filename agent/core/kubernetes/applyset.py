"""ApplySets, as kubectl knows them: who belongs to a Sync, in a label that other tools understand.

The label says which, and is never enough to delete by: objects are cloned with their labels (M5). kubectl refuses to
touch a set whose parent names another tool.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from agent.core.kubernetes.object import GroupKind, ObjectId

__all__ = ["ID_LABEL", "PART_OF", "applyset_id", "parent_annotations"]

PART_OF: Final = "applyset.kubernetes.io/part-of"
"""The label of a member: its parent's id."""
ID_LABEL: Final = "applyset.kubernetes.io/id"
"""The label of a parent."""
_TOOLING: Final = "applyset.kubernetes.io/tooling"
_KINDS: Final = "applyset.kubernetes.io/contains-group-kinds"
_NAMESPACES: Final = "applyset.kubernetes.io/additional-namespaces"


def applyset_id(parent: ObjectId) -> str:
    """Return the id of the set whose parent is this object (KEP-3659)."""
    whole = f"{parent.name}.{parent.namespace}.{parent.kind.kind}.{parent.kind.group}"
    return f"applyset-{urlsafe_b64encode(sha256(whole.encode()).digest()).decode().rstrip('=')}-v1"


def parent_annotations(members: Iterable[ObjectId], *, namespace: str, version: str) -> Mapping[str, str]:
    """Return what a parent says of its set.

    Args:
        members: all that are, or are about to be, in it.
        namespace: of the parent.
        version: of this program.
    """
    known = set(members)
    kinds: set[GroupKind] = {member.kind for member in known}
    others = {member.namespace for member in known} - {"", namespace}
    return {
        _TOOLING: f"bellpull/v{version}",
        _KINDS: ",".join(sorted(str(kind) for kind in kinds)),
        _NAMESPACES: ",".join(sorted(others)),
    }

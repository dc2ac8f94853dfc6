"""What a Sync deletes: what it made and Git no longer has, and of that only what is still its own (P9, M5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from agent.core.guard import Guard
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import GroupKind, Object, ObjectId
from agent.core.kubernetes.options import options_of
from agent.core.kubernetes.ownership import is_member
from agent.core.kubernetes.policy import Policy

__all__ = ["CASCADE", "CRD", "NAMESPACE", "guarded", "may_cascade", "refusal_of_loss", "stale", "why_kept"]

CASCADE: Final = "bellpull.dev/prune: cascade"
"""The annotation by which a person lets an object go with all that hangs on it."""
NAMESPACE: Final = GroupKind("", "Namespace")
CRD: Final = GroupKind("apiextensions.k8s.io", "CustomResourceDefinition")
_DATA: Final = (GroupKind("", "PersistentVolume"), GroupKind("", "PersistentVolumeClaim"))


def stale(members: Mapping[ObjectId, Member], desired: Iterable[ObjectId]) -> tuple[Member, ...]:
    """Return the members that Git no longer has."""
    wanted = set(desired)
    return tuple(member for which, member in members.items() if which not in wanted)


def refusal_of_loss(members: Mapping[ObjectId, Member], desired: Iterable[ObjectId], policy: Policy) -> str | None:
    """Return why so much may not go at once, None where it may; nothing is applied then either."""
    if policy.accept or not policy.prune:
        return None
    guard = Guard(max_deletions=policy.max_deletions)
    return guard.problem({str(each) for each in members}, {str(each) for each in desired}, "objects")


def why_kept(live: Object, policy: Policy) -> str | None:
    """Return why an object is not deleted although Git no longer has it, None where it is.

    Its uid may be another than what is remembered: a run that was killed may have made it anew. What somebody else
    made in its place has no entry of ours, whatever its labels.

    Args:
        live: the metadata of a member as it is.
        policy: of the Sync.
    """
    if not is_member(live, policy.manager, policy.parent):
        return "is not this Sync's any more"
    if not options_of(live).prune:
        return "asks to be kept"
    return None


def guarded(live: Object, which: ObjectId) -> str | None:
    """Return why an object is only deleted when a person says so, None where it may go; see also `CASCADE`."""
    if may_cascade(live):
        return None
    if which.kind in _DATA:
        return f"its data may go with it; annotate it with {CASCADE}, or delete it yourself"
    return None


def may_cascade(live: Object) -> bool:
    """Whether a person said so."""
    name, _, value = CASCADE.partition(": ")
    return bool((live["metadata"].get("annotations") or {}).get(name) == value)

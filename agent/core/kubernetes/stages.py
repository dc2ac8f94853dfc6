"""What is applied before what: four stages, wide inside, with a barrier only where the API server needs one.

An object of a kind needs its kind, one in a namespace its namespace; a binding may need its role to be there; what
asks webhooks comes before the webhooks. Everything else finds what it needs by itself, as controllers try again.
Deletion goes the other way.
"""

from collections.abc import Iterable
from typing import Final

from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import GroupKind, ObjectId

__all__ = ["STAGES", "deletion_stages", "rank", "stages"]

STAGES: Final = 4
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"
_RANKS: Final = {
    0: (
        GroupKind("", "Namespace"),
        GroupKind("apiextensions.k8s.io", "CustomResourceDefinition"),
        GroupKind(_RBAC, "ClusterRole"),
        GroupKind(_RBAC, "Role"),
    ),
    1: (
        GroupKind("", "ServiceAccount"),
        GroupKind("", "ConfigMap"),
        GroupKind("", "Secret"),
        GroupKind("", "ResourceQuota"),
        GroupKind("", "LimitRange"),
        GroupKind("", "PersistentVolume"),
        GroupKind("", "PersistentVolumeClaim"),
        GroupKind("", "Service"),
        GroupKind("networking.k8s.io", "NetworkPolicy"),
        GroupKind("policy", "PodDisruptionBudget"),
        GroupKind(_RBAC, "ClusterRoleBinding"),
        GroupKind(_RBAC, "RoleBinding"),
    ),
    3: (
        GroupKind("apiregistration.k8s.io", "APIService"),
        GroupKind(_ADMISSION, "ValidatingWebhookConfiguration"),
        GroupKind(_ADMISSION, "MutatingWebhookConfiguration"),
        GroupKind(_ADMISSION, "ValidatingAdmissionPolicy"),
        GroupKind(_ADMISSION, "ValidatingAdmissionPolicyBinding"),
        GroupKind(_ADMISSION, "MutatingAdmissionPolicy"),
        GroupKind(_ADMISSION, "MutatingAdmissionPolicyBinding"),
    ),
}
_RANK: Final = {kind: rank for rank, kinds in _RANKS.items() for kind in kinds}
_OTHERS: Final = 2


def rank(kind: GroupKind) -> int:
    """Return the stage of a kind, from 0; kinds such as `StorageClass` go with the first."""
    return _RANK.get(kind, 0 if kind.kind.endswith("Class") else _OTHERS)


def stages(desired: Iterable[Desired]) -> tuple[tuple[Desired, ...], ...]:
    """Return what is applied together, in that order; none is empty."""
    staged: list[list[Desired]] = [[] for _ in range(STAGES)]
    for each in desired:
        staged[rank(each.id.kind)].append(each)
    return tuple(tuple(stage) for stage in staged if stage)


def deletion_stages(members: Iterable[ObjectId]) -> tuple[tuple[ObjectId, ...], ...]:
    """Return what is deleted together, in that order; none is empty."""
    staged: list[list[ObjectId]] = [[] for _ in range(STAGES)]
    for each in members:
        staged[rank(each.kind)].append(each)
    return tuple(tuple(sorted(stage)) for stage in reversed(staged) if stage)

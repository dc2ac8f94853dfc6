"""Who says how many replicas there are: an autoscaler, where there is one, and not Git."""

from collections.abc import Iterable, Iterator
from typing import Final

from agent.core.kubernetes.object import GroupKind, Object, ObjectId, split_version
from agent.core.kubernetes.pointer import Pointer

__all__ = ["AUTOSCALER", "REPLICAS", "scaled_by"]

AUTOSCALER: Final = GroupKind("autoscaling", "HorizontalPodAutoscaler")
REPLICAS: Final[Pointer] = ("spec", "replicas")
"""What a `scale` subresource writes, of all kinds of Kubernetes itself and most others."""


def scaled_by(autoscalers: Iterable[Object], namespace: str | None = None) -> Iterator[tuple[ObjectId, str]]:
    """Yield what each autoscaler scales, and its name.

    Args:
        autoscalers: HorizontalPodAutoscalers, of any version.
        namespace: that they are in; their own where it is None.
    """
    for each in autoscalers:
        target = (each.get("spec") or {}).get("scaleTargetRef") or {}
        kind, name = target.get("kind"), target.get("name")
        if not (isinstance(kind, str) and isinstance(name, str)):
            continue
        group, _ = split_version(str(target.get("apiVersion") or ""))
        inside = namespace if namespace is not None else each["metadata"].get("namespace", "")
        yield ObjectId(GroupKind(group, kind), inside, name), each["metadata"]["name"]

"""Why what runs Pods does not get on: its newest Pods say so, long before it does by itself."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from agent.core.health.judgement import Judgement, Status
from agent.core.health.reading import entries, kind_of, text

__all__ = ["OWNERS", "blame_pods", "newest_pods", "newest_replica_set", "selector"]

OWNERS: Final = frozenset({"apps/DaemonSet", "apps/Deployment", "apps/ReplicaSet", "apps/StatefulSet", "batch/Job"})
"""Kinds whose Pods are found by `spec.selector`."""
_REVISION: Final = "deployment.kubernetes.io/revision"
_HASH: Final = "controller-revision-hash"
_GENERATION: Final = ("deprecated.daemonset.template.generation", "pod-template-generation")


def selector(owner: dict[str, Any]) -> str | None:
    """Return `spec.selector` as it is in a query; None where it selects nothing that can be told."""
    found = (owner.get("spec") or {}).get("selector")
    if not isinstance(found, dict):
        return None
    labels = found.get("matchLabels")
    parts = [f"{key}={value}" for key, value in labels.items()] if isinstance(labels, dict) else []
    for each in entries(found, "matchExpressions"):
        key, values = text(each, "key"), ",".join(map(str, each.get("values") or ()))
        match text(each, "operator"):
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
            case _:
                return None
    return ",".join(parts) or None


def newest_replica_set(deployment: dict[str, Any], found: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the ReplicaSet that a Deployment is to run now; None where its controller made none yet."""
    uid, revision = text(deployment, "metadata", "uid"), _annotation(deployment, _REVISION)
    mine = (each for each in found if _owner(each) == uid)
    return next((each for each in mine if _annotation(each, _REVISION) == revision), None)


def newest_pods(owner: dict[str, Any], pods: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the Pods that are of what an owner is to run now, and not of what it ran before.

    Args:
        owner: what makes Pods itself, which a Deployment does not.
        pods: those that its selector finds.
    """
    kind, uid = kind_of(owner), text(owner, "metadata", "uid")
    owned = [each for each in pods if uid and _owner(each) == uid]
    if kind == "apps/StatefulSet":
        return [each for each in owned if _label(each, _HASH) == text(owner, "status", "updateRevision")]
    if kind == "apps/DaemonSet":
        generation = _annotation(owner, _GENERATION[0])
        return [each for each in owned if _label(each, _GENERATION[1]) == generation]
    return owned


def blame_pods(found: Judgement, pods: Sequence[tuple[str, Judgement]]) -> Judgement:
    """Return Failed with the first reason where an owner is on its way, and Pods of it fail.

    Args:
        found: of the owner.
        pods: names, and how they are.
    """
    failing = [(name, each) for name, each in sorted(pods) if each.status is Status.FAILED]
    if found.status is not Status.IN_PROGRESS or not failing:
        return found
    name, first = failing[0]
    more = f", and {len(failing) - 1} more" if len(failing) > 1 else ""
    return Judgement(Status.FAILED, first.reason, f"{found.message}; Pod {name}{more}: {first.message}")


def _owner(item: dict[str, Any]) -> str:
    owners = entries(item, "metadata", "ownerReferences")
    return next((text(each, "uid") for each in owners if each.get("controller") is True), "")


def _annotation(item: dict[str, Any], name: str) -> str:
    return text(item, "metadata", "annotations", name)


def _label(item: dict[str, Any], name: str) -> str:
    return text(item, "metadata", "labels", name)

"""Where kinds of Kubernetes have the spec of their pods."""

from collections.abc import Iterator
from typing import Any, Final

from agent.core.kubernetes.object import Object, split_version

__all__ = ["CONTAINERS", "mappings", "pod_spec"]

CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_TEMPLATE: Final = ("spec", "template", "spec")
_PLACES: Final = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("batch", "Job"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}


def pod_spec(item: Object) -> tuple[str, dict[str, Any]] | None:
    """Return where the pods of a built-in kind are specified, and that; None for others, and where it is none."""
    place = _PLACES.get((split_version(item["apiVersion"])[0], item["kind"]))
    if place is None:
        return None
    value: Any = item
    for name in place:
        value = value.get(name) if isinstance(value, dict) else None
    return (".".join(place), value) if isinstance(value, dict) else None


def mappings(value: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the mappings of the list `name`, each with its place in `value`."""
    each = value.get(name)
    for index, one in enumerate(each if isinstance(each, list) else []):
        if isinstance(one, dict):
            yield f"{name}[{index}]", one

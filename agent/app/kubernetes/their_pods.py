"""Reads the Pods of what does not get on, to say why."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from agent.core.health import Judgement, Rules, Status, judge
from agent.core.health.pods import OWNERS, blame_pods, newest_pods, newest_replica_set, selector
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Method, Request
from agent.ports.cluster import Cluster, RefusedError

__all__ = ["with_pods"]

_DEPLOYMENT: Final = "apps/Deployment"
_REPLICA_SET: Final = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
_POD: Final = {"apiVersion": "v1", "kind": "Pod"}
"""What items of a list do not say."""
_MANY: Final = 100
_FOUND: Final = 200


async def with_pods(
    cluster: Cluster, kind: str, owner: Object, found: Judgement, *, now: datetime, rules: Rules
) -> Judgement:
    """Return how an object is, by its newest Pods too where it is on its way.

    Args:
        cluster: whom to ask.
        kind: `GROUP/KIND` of the object.
        owner: the object.
        found: how it is by itself.
        now: the time.
        rules: by which Pods are judged.

    Raises:
        RefusedError: Pods may not be read.
        ClusterError: nobody answers.
    """
    if found.status is not Status.IN_PROGRESS or kind not in OWNERS or (labels := selector(owner)) is None:
        return found
    namespace = owner["metadata"]["namespace"]
    if kind == _DEPLOYMENT:
        sets = await _list(cluster, "/apis/apps/v1", namespace, "replicasets", labels)
        newest = newest_replica_set(owner, sets)
        if newest is None or (labels := selector(newest)) is None:
            return found
        owner = _REPLICA_SET | newest
    pods = newest_pods(owner, await _list(cluster, "/api/v1", namespace, "pods", labels))
    judged = ((each["metadata"]["name"], judge(_POD | each, now, rules=rules)) for each in pods)
    return blame_pods(found, [*judged])


async def _list(cluster: Cluster, api: str, namespace: str, plural: str, labels: str) -> list[dict[str, Any]]:
    """Return some objects that have these labels: where many fail, a few tell why."""
    path = f"{api}/namespaces/{quote(namespace, safe='')}/{plural}"
    query = {"labelSelector": labels, "limit": str(_MANY)}
    answer = await cluster.send(Request(method=Method.GET, path=path, query=query))
    if answer.status != _FOUND:
        raise RefusedError(answer)
    items: list[dict[str, Any]] = answer.body.get("items") or []
    return items

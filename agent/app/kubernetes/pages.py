"""A list of objects in pages, from its beginning again where it took so long that the server forgot its place."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.core.kubernetes.answers import refusal
from agent.core.kubernetes.follow import page
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Accept
from agent.core.kubernetes.resources import Resource
from agent.ports.cluster import Cluster, RefusedError

__all__ = ["Page", "pages"]

_EXPIRED: Final = 410


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list.

    Attributes:
        items: the objects, or their metadata.
        is_first: whether what came before does not count.
        revision: of the whole list, on the last page; None on others.
    """

    items: list[Object]
    is_first: bool
    revision: str | None


async def pages(
    cluster: Cluster, resource: Resource, namespace: str, *, members: bool, accept: Accept = Accept.METADATA_LIST
) -> AsyncIterator[Page]:
    """Yield the objects of a kind.

    Args:
        cluster: whom to ask.
        resource: the kind.
        namespace: in which; all if it is empty.
        members: whether only members of sets are wanted.
        accept: metadata alone, or objects; those of a list do not say their kind.

    Raises:
        RefusedError: the server answers, and gives no list.
        ClusterError: nobody answers.
    """
    token, whole, is_first = "", False, True
    while True:
        answer = await cluster.send(page(resource, namespace, token, members=members, whole=whole, accept=accept))
        if answer.status == _EXPIRED and token:
            token, whole, is_first = "", True, True
            continue
        if refusal(answer) is not None:
            raise RefusedError(answer)
        metadata: Mapping[str, Any] = answer.body["metadata"]
        token = metadata.get("continue") or ""
        yield Page(answer.body.get("items") or [], is_first, None if token else metadata["resourceVersion"])
        if not token:
            return
        is_first = False

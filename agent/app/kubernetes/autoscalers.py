"""What has an autoscaler, in Git or in the cluster: its number of replicas is not Git's to say.

The cluster is asked once for all Syncs that are applied within a moment, and only for namespaces where Git says a
number of replicas.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Final

from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import refusal
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import Object, ObjectId
from agent.core.kubernetes.pointer import MISSING, at
from agent.core.kubernetes.resources import Resource
from agent.core.kubernetes.scaling import AUTOSCALER, REPLICAS, scaled_by
from agent.ports.cluster import Cluster, ClusterError

__all__ = ["Autoscalers"]

_KIND: Final = Resource(kind=AUTOSCALER, version="v2", plural="horizontalpodautoscalers", namespaced=True)
_LASTS_S: Final = 2.0


class Autoscalers:
    """The autoscalers of one cluster, as they were two seconds ago at most."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, tuple[float, Sequence[Object]]] = {}
        self._asking = asyncio.Lock()

    async def scaled(self, desired: Iterable[Desired], going: Iterable[ObjectId]) -> Mapping[ObjectId, str]:
        """Return what is scaled, and the name of the autoscaler.

        Args:
            desired: all that is to be.
            going: what will be deleted, autoscalers among it.

        Raises:
            ClusterError: nobody knows; where the user may not list them, those in Git are all there are.
        """
        wanted, gone = [*desired], frozenset(going)
        found: dict[ObjectId, str] = {}
        said = (each for each in wanted if each.resource.scales and at(each.item, REPLICAS) is not MISSING)
        for namespace in sorted({each.id.namespace for each in said}):
            for each in await self._of(namespace):
                if ObjectId(AUTOSCALER, namespace, each["metadata"]["name"]) not in gone:
                    found.update(scaled_by([each], namespace))
        found.update(scaled_by(each.item for each in wanted if each.id.kind == AUTOSCALER))
        return found

    async def _of(self, namespace: str) -> Sequence[Object]:
        async with self._asking:
            until, known = self._known.get(namespace, (float("-inf"), ()))
            if monotonic() >= until:
                known = await self._list(namespace)
                self._known = {name: each for name, each in self._known.items() if monotonic() < each[0]}
                self._known[namespace] = (monotonic() + _LASTS_S, known)
            return known

    async def _list(self, namespace: str) -> Sequence[Object]:
        answer = await self._cluster.send(ask.look(_KIND.path(namespace), whole=True))
        refused = refusal(answer)
        if refused is None:
            return [*answer.body["items"]]
        if refused.passes:
            raise ClusterError(f"the autoscalers of {namespace} are not known: {refused.advice()}")
        return ()

"""Waits until an object that is being deleted is gone: nothing forces it (research/apply.md, section 7)."""

import asyncio
from time import monotonic
from typing import Final

from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.going import why_going
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.prune import NAMESPACE
from agent.ports.cluster import Cluster

__all__ = ["ABSENT", "still_there"]

ABSENT: Final = (RefusalKind.NOT_FOUND, RefusalKind.NO_NAMESPACE, RefusalKind.NO_KIND)
"""Answers that say that there is no such object."""
_LOOK_S: Final = 0.2


async def still_there(cluster: Cluster, which: ObjectId, path: str, *, within_s: float) -> str | None:
    """Wait until it is gone, or another has its name, and return None; after a while, why it is there.

    Raises:
        ClusterError: nobody answers.
    """
    end = monotonic() + within_s
    while True:
        answer = await cluster.send(ask.look(path, whole=which.kind == NAMESPACE))
        refused = refusal(answer)
        if refused is not None:
            return None if refused.kind in ABSENT else f"is being deleted: {refused.advice()}"
        if not answer.body["metadata"].get("deletionTimestamp"):
            return None
        if monotonic() >= end:
            return why_going(answer.body)
        await asyncio.sleep(_LOOK_S)

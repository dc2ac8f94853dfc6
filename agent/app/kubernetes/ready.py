"""Waits until kinds are served and namespaces take objects: what the next stage of an apply needs."""

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import refusal
from agent.core.kubernetes.going import why_going
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.policy import Awaits, Undone
from agent.core.kubernetes.prune import NAMESPACE
from agent.ports.cluster import Cluster

__all__ = ["unready"]

_LOOK_S: Final = 0.05


async def unready(cluster: Cluster, needed: Sequence[Desired], *, within_s: float) -> list[Undone]:
    """Wait, and return what is not ready after all.

    Raises:
        ClusterError: nobody answers.
    """
    end = monotonic() + within_s
    return [undone for each in needed if (undone := await _unready(cluster, each, end)) is not None]


async def _unready(cluster: Cluster, desired: Desired, end: float) -> Undone | None:
    while (why := await _why(cluster, desired)) is not None:
        if monotonic() >= end:
            is_namespace = desired.id.kind == NAMESPACE
            awaits = Awaits(id=desired.id, to_go=True) if is_namespace else None
            return Undone(id=desired.id, origin=desired.manifest.origin, problem=why, passes=True, awaits=awaits)
        await asyncio.sleep(_LOOK_S)
    return None


async def _why(cluster: Cluster, desired: Desired) -> str | None:
    """Return why it is not ready, None where it is."""
    answer = await cluster.send(ask.look(desired.path, whole=True))
    if refusal(answer) is not None:
        return "is not there yet"
    status = answer.body.get("status") or {}
    if desired.id.kind == NAMESPACE:
        is_active = status.get("phase", "Active") == "Active"
        return None if is_active else f"{why_going(answer.body)}; it is made again once it is gone"
    conditions = {each.get("type"): each for each in status.get("conditions") or []}
    if conditions.get("Established", {}).get("status") == "True":
        return None
    names = conditions.get("NamesAccepted", {})
    return f"is not served: {names.get('message') or 'not yet established'}"

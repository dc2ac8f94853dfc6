"""What a person may do about a refused apply, who else has a hand in it, and what has to come or go first."""

from typing import Final

from agent.app.kubernetes.undone import UndoneError
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.conflicts import owns_near
from agent.core.kubernetes.fields import entries
from agent.core.kubernetes.going import why_going
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import ObjectId
from agent.core.kubernetes.policy import Awaits
from agent.core.kubernetes.prune import NAMESPACE
from agent.core.kubernetes.shown import told
from agent.ports.cluster import Cluster

__all__ = ["undone"]

_NAMESPACES: Final = "/api/v1/namespaces"


async def undone(cluster: Cluster, desired: Desired, refused: Refusal, *, manager: str) -> UndoneError:
    """Return why an object is not what it is to be.

    Args:
        cluster: the API server.
        desired: the object.
        refused: what it answered to the apply.
        manager: of the Sync.

    Raises:
        ClusterError: nobody answers any more.
    """
    hint, awaits = "", None
    if refused.kind is RefusalKind.IMMUTABLE:
        hint = "; set the annotation bellpull.dev/force: enabled on it to have it deleted and made anew"
    elif refused.kind is RefusalKind.INVALID:
        hint = await _others(cluster, desired, refused, manager)
    elif refused.kind in (RefusalKind.NO_NAMESPACE, RefusalKind.TERMINATING):
        is_going = refused.kind is RefusalKind.TERMINATING
        hint = await _why_namespace_goes(cluster, desired.id.namespace) if is_going else ""
        awaits = Awaits(id=ObjectId(NAMESPACE, "", desired.id.namespace), to_go=is_going)
    return UndoneError(
        f"{told(refused, desired.item)}{hint}", passes=refused.passes, awaits=awaits, refused=refused.kind
    )


async def _others(cluster: Cluster, desired: Desired, refused: Refusal, manager: str) -> str:
    answer = await cluster.send(ask.look(desired.path))
    if refusal(answer) is not None:
        return ""
    fields = [cause.field for cause in refused.causes]
    near = [each for each in entries(answer.body) if each["manager"] != manager and owns_near(each, fields)]
    return f"; set there, too, by {', '.join(dict.fromkeys(each['manager'] for each in near))}" if near else ""


async def _why_namespace_goes(cluster: Cluster, name: str) -> str:
    answer = await cluster.send(ask.look(f"{_NAMESPACES}/{name}", whole=True))
    if refusal(answer) is not None or not answer.body["metadata"].get("deletionTimestamp"):
        return ""  # it is gone by now, or nobody may look at it
    return f"; the namespace {why_going(answer.body)}"

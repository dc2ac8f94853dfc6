"""Makes an object anew for a field that may not change, only after it was proved that this will work (M12).

The proof is a create of the same name that is only tried: the API server answers that the name is taken once
everything else is well. What holds data, or what others stand on, is made anew only where it asks for that itself.
"""

from collections.abc import Callable
from typing import Final

from agent.app.kubernetes.gone import still_there
from agent.app.kubernetes.undone import MovedError, UndoneError
from agent.core.kubernetes import ask
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.normalise import Desired
from agent.core.kubernetes.object import GroupKind, Object
from agent.core.kubernetes.options import options_of
from agent.core.kubernetes.policy import Awaits, Policy
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.core.kubernetes.shown import restorable, told
from agent.core.kubernetes.takeover import managed_as
from agent.ports.cluster import Cluster

__all__ = ["Recreate"]

_NEVER: Final = {
    GroupKind("", "Namespace"): "everything in it would go",
    GroupKind("apiextensions.k8s.io", "CustomResourceDefinition"): "all objects of its kind would go",
    GroupKind("", "PersistentVolume"): "its data may go",
    GroupKind("", "PersistentVolumeClaim"): "its data may go",
}
_GONE_S: Final = 30.0
_ATTEMPTS: Final = 5


class Recreate:
    """Makes objects of one Sync anew.

    Args:
        cluster: the API server.
        policy: how.
        carried: returns an object with what goes on from the old one.
    """

    def __init__(self, cluster: Cluster, policy: Policy, carried: Callable[[Desired, Object], Desired]) -> None:
        self._cluster = cluster
        self._policy = policy
        self._carried = carried

    async def recreate(self, desired: Desired, uid: str | None) -> Answer:
        """Return the answer to the apply that made it anew.

        Args:
            desired: as it is to be.
            uid: of the one that cannot be changed; that which is there where nobody knows.

        Raises:
            UndoneError: it was not made anew: why, and whether the old one is there.
            MovedError: there is another by now.
            ClusterError: nobody answers any more.
        """
        item = ask.members_item(desired, self._policy.parent)
        why = _forbidden(desired) or await self._doubt(desired, item)
        if why is not None:
            raise UndoneError(f"cannot be changed in place, and is not made anew: {why}", passes=False)
        old = await self._delete(desired, uid)
        held = await still_there(self._cluster, desired.id, desired.path, within_s=_GONE_S)
        if held is not None:
            problem = f"is to be made anew, and {held}; it is made once it is gone"
            raise UndoneError(problem, passes=True, awaits=Awaits(id=desired.id, to_go=True))
        item = ask.members_item(self._carried(desired, old), self._policy.parent)
        made = await self._cluster.send(ask.apply(desired.path, item, self._policy.manager, force=True))
        refused = refusal(made)
        if refused is None:
            return made
        problem = f"{told(refused, desired.item)}; {await self._put_back(desired, old)}"
        raise UndoneError(problem, passes=refused.passes)

    async def _delete(self, desired: Desired, uid: str | None) -> Object:
        """Delete it just as it was read, and return that; its status may change meanwhile."""
        refused = None
        for _ in range(_ATTEMPTS):
            found = await self._cluster.send(ask.look(desired.path, whole=True))
            if refusal(found) is not None:
                raise UndoneError("cannot be read, so it is not made anew", passes=True)
            metadata = found.body["metadata"]
            uid = uid or metadata["uid"]
            if metadata["uid"] != uid:
                raise MovedError
            request = ask.delete(desired.path, uid=uid, revision=metadata["resourceVersion"])
            refused = refusal(await self._cluster.send(request))
            if refused is None:
                return found.body
            if refused.kind is not RefusalKind.MOVED:
                break
        problem = f"cannot be deleted to be made anew: {told(refused, desired.item) if refused else ''}"
        raise UndoneError(problem, passes=refused is not None and refused.passes)

    async def _doubt(self, desired: Desired, item: Object) -> str | None:
        """Return why a new one might not be taken, None where it was shown that it will be."""
        folder = desired.resource.path(desired.id.namespace)
        refused = refusal(await self._cluster.send(ask.create_to_prove(folder, item)))
        if refused is None:
            return "it is gone already"
        return None if refused.kind is RefusalKind.EXISTS else f"{told(refused, desired.item)}{_own(refused)}"

    async def _put_back(self, desired: Desired, old: Object) -> str:
        folder = desired.resource.path(desired.id.namespace)
        request = Request(method=Method.POST, path=folder, body=restorable(old), repeatable=False)
        answer = await self._cluster.send(request)
        refused = refusal(answer)
        if refused is not None:
            return f"the old one cannot be put back: {told(refused, old)}"
        await self._give_back(desired, answer.body, old)
        return "the old one was put back"

    async def _give_back(self, desired: Desired, made: Object, old: Object) -> None:
        """Give its fields to those who had them; where that is refused, the next apply takes them over."""
        for _ in range(_ATTEMPTS):
            refused = refusal(await self._cluster.send(ask.rewrite(desired.path, managed_as(made, old))))
            if refused is None or refused.kind is not RefusalKind.MOVED:
                return
            found = await self._cluster.send(ask.look(desired.path))
            if refusal(found) is not None:
                return
            made = found.body


def _own(refused: Refusal) -> str:
    """Return what it means that the old one has what the new one needs: no dry run can show that it would go well."""
    if refused.kind is RefusalKind.QUOTA or "already allocated" in refused.message:
        return " (it may be the old one itself that has it: delete that yourself)"
    return ""


def _forbidden(desired: Desired) -> str | None:
    """Return why it is not made anew although that was asked for, None where it may be."""
    if options_of(desired.item).cascade or (why := _what_is_lost(desired)) is None:
        return None
    return f"{why}; if that is meant, annotate it with bellpull.dev/force: cascade"


def _what_is_lost(desired: Desired) -> str | None:
    kind, spec = desired.id.kind, desired.item.get("spec") or {}
    if kind in _NEVER:
        return _NEVER[kind]
    if kind == GroupKind("apps", "StatefulSet") and isinstance(spec, dict) and spec.get("volumeClaimTemplates"):
        return "it has claims, whose data may go"
    if (
        kind == GroupKind("", "Service")
        and isinstance(spec, dict)
        and spec.get("clusterIP") not in (None, "", "None")
    ):
        return "its clusterIP may be taken meanwhile, which no dry run shows"
    return None

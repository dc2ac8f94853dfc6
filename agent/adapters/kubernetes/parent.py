"""Keeps an inventory in a ConfigMap or a Secret of the cluster it is about, which is the ApplySet's parent (M13).

It is read and written whole, each write naming the version it replaces. It carries who applies, and since when: a
second agent with the same Sync would undo the first one's work, and refuses while the first one lives.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.applyset import ID_LABEL, applyset_id, parent_annotations
from agent.core.kubernetes.inventory import (
    Contents,
    InventoryDamagedError,
    InventoryNewerError,
    Member,
    pack,
    unpack,
)
from agent.core.kubernetes.object import GroupKind, Object, ObjectId
from agent.core.kubernetes.requests import Answer, Method, Request
from agent.ports.cluster import Cluster, ClusterError
from agent.ports.inventory import Held, InventoryError, InventoryMovedError, InventoryTakenError
from bellpull import __version__

__all__ = ["LASTS", "ParentInventory", "ParentKind"]

LASTS: Final = timedelta(minutes=2)
"""For how long after its last write an agent is taken to live."""
_RENEW: Final = timedelta(seconds=45)
_HOLDER: Final = "bellpull.dev/holder"
_RENEWED: Final = "bellpull.dev/renewed"
_KEY: Final = "inventory"
_MOVED: Final = (RefusalKind.MOVED, RefusalKind.EXISTS, RefusalKind.NOT_FOUND)


class ParentKind(Enum):
    """What it is kept in: kind, plural, and the field that takes bytes."""

    CONFIG_MAP = ("ConfigMap", "configmaps", "binaryData")
    SECRET = ("Secret", "secrets", "data")


class ParentInventory:
    """The inventory of one Sync, in an object of `namespace` called `name`.

    Args:
        cluster: the API server.
        kind: of the object.
        namespace: where it is.
        name: what it is called.
        holder: who applies, again and again; none for who does so once, and is refused while another holds it.
        now: the clock.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        kind: ParentKind,
        namespace: str,
        name: str,
        holder: str | None,
        now: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._kind, self._plural, self._field = kind.value
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._now = now
        self._written: dict[str, datetime] = {}
        """When each version that we wrote was written; the last one only."""
        self._latest = Held()
        """What was saved last, some of it perhaps not yet written."""

    @property
    def parent(self) -> str:
        """The ApplySet id."""
        return applyset_id(ObjectId(GroupKind("", self._kind), self._namespace, self._name))

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self._namespace

    async def load(self) -> Held:
        """Return what is known; whoever wrote it last knows it still, where it is lost.

        Raises:
            InventoryTakenError: another agent holds it.
            InventoryError: it could not be read, or is somebody else's.
        """
        answer = await self._send(Method.GET, self._path)
        refused = refusal(answer)
        if refused is not None and refused.kind is RefusalKind.NOT_FOUND:
            return self._lost(None, f"{self._shown} was deleted" if self._latest.revision else None)
        if refused is not None:
            raise self._error(refused)
        self._refuse_held(answer.body)
        revision = answer.body["metadata"]["resourceVersion"]
        if self._latest.revision == revision:
            return self._latest
        try:
            contents = self._contents(answer.body)
        except InventoryDamagedError as error:
            return self._lost(revision, f"{self._shown}: {error}")
        self._latest = Held(members=contents.members, revision=revision, whole=contents.whole)
        return self._latest

    def _lost(self, revision: str | None, why: str | None) -> Held:
        """Return what is known without what was written."""
        if self._latest.revision is None:
            return Held(revision=revision, whole=False, lost=why)
        return Held(members=self._latest.members, revision=revision, whole=self._latest.whole, lost=why)

    async def save(self, members: Iterable[Member], *, after: Held, whole: bool = True) -> Held:
        """Write `members` in place of `after`; where they are the same, only now and then, to show that we live.

        A thousand Syncs that change at once would else cost the API server a thousand writes of what it knows itself.
        That they are all there are is such a thing: whoever comes after looks for more in vain.

        Raises:
            InventoryMovedError: it is no longer `after`.
            InventoryError: it could not be written.
        """
        known = {member.id: member for member in members}
        if after.lost is None and self._is_written(known, after, whole=whole) and self._is_fresh(after):
            self._latest = Held(members=known, revision=after.revision, whole=whole)
            return self._latest
        return await self._write(known, after, holder=self._holder, whole=whole)

    async def release(self, after: Held) -> None:
        """Let another agent have it at once.

        Raises:
            InventoryError: it could not be written.
        """
        if after.revision is not None:
            await self._write(after.members, after, holder=None, whole=after.whole)

    def _is_written(self, known: Mapping[ObjectId, Member], after: Held, *, whole: bool) -> bool:
        if self._holder is None:  # nobody saves again
            return (known, whole) == (after.members, after.whole)
        return {(each.id, each.version) for each in known.values()} == {
            (each.id, each.version) for each in after.members.values()
        }

    def _is_fresh(self, after: Held) -> bool:
        if after.revision is None or self._holder is None:
            return after.revision is not None or not after.members
        written = self._written.get(after.revision)
        return written is not None and self._now() - written < _RENEW

    async def _write(
        self, members: Mapping[ObjectId, Member], after: Held, *, holder: str | None, whole: bool
    ) -> Held:
        item, now = self._item(members, after.revision, holder, whole=whole), self._now()
        if after.revision is None:
            answer = await self._send(Method.POST, self._folder, item)
        else:
            answer = await self._send(Method.PUT, self._path, item)
        refused = refusal(answer)
        if refused is not None and refused.kind in _MOVED:
            raise InventoryMovedError(f"{self._shown}: somebody else wrote it meanwhile: {refused.message}")
        if refused is not None:
            raise self._error(refused)
        revision = answer.body["metadata"]["resourceVersion"]
        self._written = {revision: now}
        self._latest = Held(members=members, revision=revision, whole=whole)
        return self._latest

    def _item(
        self, members: Mapping[ObjectId, Member], revision: str | None, holder: str | None, *, whole: bool
    ) -> Object:
        annotations = dict(parent_annotations(members, namespace=self._namespace, version=__version__))
        if holder is not None:
            annotations |= {_HOLDER: holder, _RENEWED: self._now().isoformat(timespec="seconds")}
        metadata: dict[str, Any] = {
            "name": self._name,
            "namespace": self._namespace,
            "labels": {ID_LABEL: self.parent, "app.kubernetes.io/managed-by": "bellpull"},
            "annotations": annotations,
        }
        if revision is not None:
            metadata["resourceVersion"] = revision
        packed = b64encode(pack(members.values(), whole=whole)).decode()
        return {"apiVersion": "v1", "kind": self._kind, "metadata": metadata, self._field: {_KEY: packed}}

    def _contents(self, item: Object) -> Contents:
        found: Any = (item.get(self._field) or {}).get(_KEY)
        if (item["metadata"].get("labels") or {}).get(ID_LABEL) != self.parent:
            raise InventoryError(f"{self._shown}: is not bellpull's: choose another name for the Sync, or remove it")
        try:
            return unpack(b64decode(found))
        except InventoryNewerError as error:
            raise InventoryError(f"{self._shown}: {error}") from None
        except (ValueError, TypeError):
            raise InventoryDamagedError("the inventory is gone") from None

    def _refuse_held(self, item: Object) -> None:
        annotations = item["metadata"].get("annotations") or {}
        holder, renewed = annotations.get(_HOLDER), annotations.get(_RENEWED)
        if holder in (None, self._holder) or not isinstance(renewed, str):
            return
        try:
            lives = self._now() - datetime.fromisoformat(renewed) < LASTS
        except (ValueError, TypeError):
            return
        if lives:
            problem = f"{holder} applies this Sync, and did at {renewed}: two would undo each other's work"
            raise InventoryTakenError(f"{self._shown}: {problem}; stop it, or give this one another name")

    async def _send(self, method: Method, path: str, body: Object | None = None) -> Answer:
        repeatable = method is not Method.POST
        try:
            return await self._cluster.send(Request(method=method, path=path, body=body, repeatable=repeatable))
        except ClusterError as error:
            raise InventoryError(str(error)) from None

    def _error(self, refused: Refusal) -> InventoryError:
        return InventoryError(f"{self._shown}: {refused.advice()}")

    @property
    def _folder(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/{self._plural}"

    @property
    def _path(self) -> str:
        return f"{self._folder}/{self._name}"

    @property
    def _shown(self) -> str:
        return f"{self._kind}/{self._namespace}/{self._name}"

"""The objects of one kind, as a watch shows them (client-go's reflector, without its cache of whole objects).

A list begins by `begin`, its items are `put`, and `end` drops what it did not have; a streamed list is the same, in
the events of a watch. Every method returns, or gathers, which objects are no longer what they were.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from agent.core.kubernetes.object import GroupKind, Object, ObjectId
from agent.core.kubernetes.seen import Seen, is_later, see

__all__ = ["Collection", "ExpiredError", "WatchError"]

_END: Final = "k8s.io/initial-events-end"
_GONE: Final = 410
_EXPIRED: Final = "Expired"


class WatchError(Exception):
    """A watch ended with this: the status code, and why."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class ExpiredError(WatchError):
    """What a watch was to begin from is forgotten by the server: list again."""


class Collection:
    """Objects of one kind, in one namespace or in all.

    Attributes:
        horizon: the resourceVersion up to which this is known; empty before the first list.
        listed: whether a list has ended since the start.
        turn: how often what was remembered of these objects stopped to count: the server's data was replaced by older
            data, or their kind was defined anew.
    """

    def __init__(self, kind: GroupKind) -> None:
        self.horizon = ""
        self.listed = False
        self.turn = 0
        self._kind = kind
        self._objects: dict[ObjectId, Seen] = {}
        self._listing: set[ObjectId] | None = None

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[ObjectId]:
        return iter(self._objects)

    def get(self, which: ObjectId) -> Seen | None:
        """Return an object, None where there is none."""
        return self._objects.get(which)

    def begin(self) -> None:
        """Begin a list."""
        self._listing = set()

    def put(self, items: Iterable[Object]) -> set[ObjectId]:
        """Take items of a list."""
        return {which for item in items for which in self._take(item)}

    def end(self, revision: str) -> set[ObjectId]:
        """End a list that is of this resourceVersion, and drop what it did not have."""
        gone = self._objects.keys() - self._listing if self._listing is not None else set()
        for which in gone:
            del self._objects[which]
        if self.listed and is_later(self.horizon, revision):
            self.turn += 1
        self._listing, self.listed, self.horizon = None, True, revision
        return gone

    def event(self, event: Mapping[str, Any]) -> set[ObjectId]:
        """Take an event of a watch.

        Raises:
            ExpiredError: the watch cannot go on, and a list has to come first.
            WatchError: the server says that something went wrong.
        """
        item = event.get("object")
        if not isinstance(item, dict):
            raise WatchError(0, "an event of a watch has no object")
        match event.get("type"):
            case "ADDED" | "MODIFIED":
                return self._known(item, self._take(item))
            case "DELETED":
                return self._known(item, self._drop(item))
            case "BOOKMARK":
                return self._bookmark(item)
            case "ERROR":
                raise _error(item)
            case other:
                raise WatchError(0, f"a watch shows an event of an unknown type, {other!r}")

    def _bookmark(self, item: Object) -> set[ObjectId]:
        metadata = item["metadata"]
        if self._listing is not None and (metadata.get("annotations") or {}).get(_END) == "true":
            return self.end(metadata["resourceVersion"])
        return self._known(item, set())

    def _known(self, item: Object, changed: set[ObjectId]) -> set[ObjectId]:
        if self._listing is None:
            self.horizon = item["metadata"]["resourceVersion"]
        return changed

    def _take(self, item: Object) -> set[ObjectId]:
        which, seen = self._id(item), see(item)
        if self._listing is not None:
            self._listing.add(which)
        before = self._objects.get(which)
        self._objects[which] = seen
        return {which} if before is None or (before.uid, before.revision) != (seen.uid, seen.revision) else set()

    def _drop(self, item: Object) -> set[ObjectId]:
        which = self._id(item)
        if self._listing is not None:
            self._listing.discard(which)
        return {which} if self._objects.pop(which, None) is not None else set()

    def _id(self, item: Object) -> ObjectId:
        metadata = item["metadata"]  # a list's items have no kind
        return ObjectId(self._kind, metadata.get("namespace") or "", metadata["name"])


def _error(status: Object) -> WatchError:
    code, text = status.get("code"), str(status.get("message") or status.get("reason") or "no reason given")
    if code == _GONE or status.get("reason") == _EXPIRED:
        return ExpiredError(_GONE, text)
    return WatchError(code if isinstance(code, int) else 0, text)

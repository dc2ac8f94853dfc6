"""What a collection knows is what the server's objects are, however lists and events come."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.kubernetes.collection import Collection, ExpiredError, WatchError
from agent.core.kubernetes.object import GroupKind, Object, ObjectId

KIND: Final = GroupKind("", "ConfigMap")
END: Final = {"k8s.io/initial-events-end": "true"}


def item(name: str, revision: int, uid: str = "u") -> Object:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"{name}-{uid}", "resourceVersion": str(revision)}}


def bookmark(revision: int, *, ends: bool = False) -> Object:
    metadata: dict[str, Any] = {"resourceVersion": str(revision)} | ({"annotations": END} if ends else {})
    return {"type": "BOOKMARK", "object": {"metadata": metadata}}


def which(name: str) -> ObjectId:
    return ObjectId(KIND, "shop", name)


def listed(*names: str, revision: int = 10) -> Collection:
    made = Collection(KIND)
    made.begin()
    made.put([item(name, 1) for name in names])
    made.end(str(revision))
    return made


class Server:
    """What there is, and a collection that is told of it in one way or another."""

    def __init__(self) -> None:
        self.collection = listed()
        self.there: dict[str, int] = {}
        self.revision = 10

    def write(self, name: str) -> set[ObjectId]:
        event = "MODIFIED" if name in self.there else "ADDED"
        self.there[name] = self.revision
        return self.collection.event({"type": event, "object": item(name, self.revision)})

    def delete(self, name: str) -> set[ObjectId]:
        if self.there.pop(name, None) is None:
            return self.bookmark(name)
        return self.collection.event({"type": "DELETED", "object": item(name, self.revision)})

    def bookmark(self, _: str) -> set[ObjectId]:
        return self.collection.event(bookmark(self.revision))

    def lists(self, name: str) -> set[ObjectId]:
        self.collection.begin()
        return self.collection.put(self._unseen(name)) | self.collection.end(str(self.revision))

    def streams(self, name: str) -> set[ObjectId]:
        self.collection.begin()
        changed: set[ObjectId] = set()
        for each in self._unseen(name):
            changed |= self.collection.event({"type": "ADDED", "object": each})
        return changed | self.collection.event(bookmark(self.revision, ends=True))

    def _unseen(self, name: str) -> list[Object]:
        """Write or delete one while the watch is away; return all there is."""
        if self.there.pop(name, None) is None:
            self.there[name] = self.revision
        return [item(each, at) for each, at in self.there.items()]


WAYS: Final = (Server.write, Server.delete, Server.bookmark, Server.lists, Server.streams)


@given(st.lists(st.tuples(st.sampled_from(WAYS), st.sampled_from("abcd")), max_size=30))
def test_law_it_knows_what_the_server_has_and_tells_of_each_change(
    acts: list[tuple[Callable[[Server, str], set[ObjectId]], str]],
) -> None:
    """A list tells of what changed since the events before it, and of nothing else."""
    server, told = Server(), dict[str, int]()
    for act, name in acts:
        server.revision += 1
        for each in act(server, name):
            told.pop(each.name, None)
            told |= {each.name: server.there[each.name]} if each.name in server.there else {}
        assert told == server.there
        assert {each.name for each in server.collection} == server.there.keys()
        assert (server.collection.horizon, server.collection.turn) == (str(server.revision), 0)


def test_what_is_deleted_while_it_is_listed_is_gone() -> None:
    """A stream shows what happens meanwhile between what is there."""
    collection = listed("a")
    collection.begin()
    collection.event({"type": "ADDED", "object": item("a", 1)})
    assert collection.event({"type": "DELETED", "object": item("a", 12)}) == {which("a")}
    collection.event(bookmark(13, ends=True))
    assert [*collection] == []


def test_an_object_of_the_same_name_and_version_is_another() -> None:
    collection = listed("a")
    assert collection.event({"type": "ADDED", "object": item("a", 1, uid="other")}) == {which("a")}


def test_a_list_that_is_older_than_what_was_known_is_told() -> None:
    """The server's data was replaced by older data: what was remembered of any object counts no more."""
    collection = listed(revision=100)
    collection.begin()
    collection.end("99")
    assert (collection.turn, collection.horizon) == (1, "99")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}, ExpiredError),
        ({"type": "ERROR", "object": {"code": 410, "reason": "Gone"}}, ExpiredError),
        ({"type": "ERROR", "object": {"code": 500, "message": "etcd"}}, WatchError),
        ({"type": "ERROR", "object": {}}, WatchError),
        ({"type": "SOMETHING", "object": item("a", 3)}, WatchError),
        ({"type": "ADDED"}, WatchError),
        ({}, WatchError),
    ],
)
def test_an_error_ends_a_watch(event: Object, error: type[WatchError]) -> None:
    with pytest.raises(WatchError) as raised:
        listed().event(event)
    assert type(raised.value) is error

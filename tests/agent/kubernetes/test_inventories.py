"""One suite for every place an inventory is kept in: ConfigMap and Secret of a real cluster, and memory."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import compress

import pytest

from agent.adapters.kubernetes.client import Client
from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.core.kubernetes.inventory import Member, Record
from agent.core.kubernetes.object import GroupKind, ObjectId
from agent.ports.inventory import Held, Inventory, InventoryError, InventoryMovedError, InventoryTakenError
from tests.agent.kubernetes.memory import MemoryInventory, Shelf
from tests.parts.control_plane import ControlPlane

RECORD = Record(uid="u", desired="d", own="o", revision="7", generation=1)
A = Member(id=ObjectId(GroupKind("", "ConfigMap"), "shop", "a"), version="v1", record=RECORD)
B = Member(id=ObjectId(GroupKind("apps", "Deployment"), "shop", "b"), version="v1")
ROLE = Member(id=ObjectId(GroupKind("rbac.authorization.k8s.io", "ClusterRole"), "", "system:a"), version="v1")


class Clock:
    """Says what time it is, and is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


Place = Callable[..., Inventory]


@pytest.fixture(params=["memory", *ParentKind], ids=["memory", "ConfigMap", "Secret"])
def place(request: pytest.FixtureRequest, client: Client, namespace: str) -> Place:
    """Make inventories of the same Sync."""
    shelf = Shelf()

    def make(clock: Clock, holder: str = "web-1") -> Inventory:
        if request.param == "memory":
            return MemoryInventory(shelf, "site", holder=holder, now=clock)
        kind: ParentKind = request.param
        return ParentInventory(
            client, kind=kind, namespace=namespace, name="bellpull-sync-site", holder=holder, now=clock
        )

    return make


async def test_what_is_saved_is_loaded(place: Place) -> None:
    """Over a restart, too."""
    clock = Clock()
    inventory = place(clock)
    assert await inventory.load() == Held(whole=False)
    held = await inventory.save([A, B, ROLE], after=Held())
    assert await place(clock).load() == held
    assert held.members == {A.id: A, B.id: B, ROLE.id: ROLE}
    held = await inventory.save([A], after=held)
    assert (await place(clock).load()).members == {A.id: A}


async def test_nothing_is_written_where_nothing_changed(place: Place) -> None:
    clock = Clock()
    inventory = place(clock)
    assert await inventory.save([], after=Held()) == Held()
    held = await inventory.save([A], after=Held())
    assert await inventory.save([A], after=held) == held
    assert await inventory.load() == held


async def test_what_is_remembered_of_members_is_written_with_the_next_sign_of_life(place: Place) -> None:
    """At once it costs nothing, and the same agent knows it; one that was killed knows who the members are."""
    clock = Clock()
    inventory = place(clock)
    held = await inventory.save([replace(A, record=None), B], after=Held())
    later = await inventory.save([A, B], after=held)
    assert later.revision == held.revision
    assert await inventory.load() == later
    assert (await place(clock).load()).members == {A.id: replace(A, record=None), B.id: B}
    clock.now += timedelta(seconds=46)
    written = await inventory.save(later.members.values(), after=later)
    assert await place(clock).load() == written
    assert written.members == {A.id: A, B.id: B}


async def test_what_is_remembered_is_written_when_another_may_have_it(place: Place) -> None:
    clock = Clock()
    inventory = place(clock)
    held = await inventory.save([replace(A, record=None)], after=Held())
    await inventory.release(await inventory.save([A], after=held))
    assert (await place(clock, holder="web-2").load()).members == {A.id: A}


async def test_of_two_writers_one_is_told(place: Place) -> None:
    """M8: also of two that make it."""
    clock = Clock()
    one, other = place(clock), place(clock)
    held = await one.save([A], after=Held())
    with pytest.raises(InventoryMovedError):
        await other.save([B], after=Held())
    newer = await other.save([A, B], after=held)
    with pytest.raises(InventoryMovedError):
        await one.save([], after=held)
    assert (await one.load()).members == newer.members


async def test_another_agent_is_refused_while_the_first_lives(place: Place) -> None:
    """M13: two minutes after its last sign of life; at once where it let go."""
    clock = Clock()
    first, second = place(clock), place(clock, holder="web-2")
    held = await first.save([A], after=Held())
    with pytest.raises(InventoryTakenError, match="web-1"):
        await second.load()
    clock.now += timedelta(minutes=1)
    held = await first.save([A], after=held)
    clock.now += timedelta(seconds=90)
    with pytest.raises(InventoryTakenError):
        await second.load()
    clock.now += timedelta(seconds=31)
    assert (await second.load()).members == held.members
    await first.release(held)
    clock.now -= timedelta(seconds=31)
    assert (await second.load()).members == held.members


async def test_who_applies_once_holds_nothing(client: Client, namespace: str) -> None:
    """It is refused while an agent lives, and keeps no agent out, whenever it ends."""
    clock = Clock()
    agent = parent(ParentKind.CONFIG_MAP, client, namespace, clock=clock)
    once = parent(ParentKind.CONFIG_MAP, client, namespace, holder=None, clock=clock)
    held = await once.save([A], after=Held())
    assert await once.save([A], after=held) == held
    held = await agent.save([A, B], after=await agent.load())
    with pytest.raises(InventoryTakenError):
        await once.load()
    clock.now += timedelta(minutes=3)
    assert await once.load() == held


@pytest.mark.parametrize("kind", ParentKind, ids=lambda kind: kind.value[0])
async def test_the_parent_says_what_its_set_has(
    kind: ParentKind, client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    """As kubectl reads it, which then refuses to touch the set."""
    inventory = parent(kind, client, namespace)
    await inventory.save([A, B, ROLE], after=Held())
    found: Any = control_plane.seen(f"/api/v1/namespaces/{namespace}/{kind.value[1]}/bellpull-sync-site")
    annotations = found["metadata"]["annotations"]
    assert found["metadata"]["labels"]["applyset.kubernetes.io/id"] == inventory.parent
    assert annotations["applyset.kubernetes.io/tooling"].startswith("bellpull/v")
    assert (
        annotations["applyset.kubernetes.io/contains-group-kinds"]
        == "ClusterRole.rbac.authorization.k8s.io,ConfigMap,Deployment.apps"
    )
    assert annotations["applyset.kubernetes.io/additional-namespaces"] == "shop"


def parent(
    kind: ParentKind, client: Client, namespace: str, *, holder: str | None = "web-1", clock: Clock | None = None
) -> ParentInventory:
    return ParentInventory(
        client, kind=kind, namespace=namespace, name="bellpull-sync-site", holder=holder, now=clock or Clock()
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"binaryData": {"inventory": "eA=="}}, id="damaged"),
        pytest.param({"binaryData": None}, id="empty"),
        pytest.param(None, id="deleted"),
    ],
)
async def test_what_is_lost_is_known_to_who_wrote_it(
    change: dict[str, Any] | None, client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    """M5: and whoever comes after knows that it does not know all, until it was said that it does."""
    clock = Clock()
    inventory = parent(ParentKind.CONFIG_MAP, client, namespace, clock=clock)
    await inventory.save([A], after=Held())
    path = f"/api/v1/namespaces/{namespace}/configmaps/bellpull-sync-site"
    if change is None:
        control_plane.ask("DELETE", path)
    else:
        control_plane.ask("PATCH", path, change, content="application/merge-patch+json")
    stranger = await parent(ParentKind.CONFIG_MAP, client, namespace, clock=clock).load()
    assert (stranger.members, stranger.whole) == ({}, False)
    held = await inventory.load()
    assert (held.members, held.whole, held.lost is None) == ({A.id: A}, True, False)
    await inventory.save([A], after=held)
    assert (await parent(ParentKind.CONFIG_MAP, client, namespace, clock=clock).load()).members == {A.id: A}


async def test_it_stays_unknown_what_else_there_is_until_that_was_written(place: Place) -> None:
    """M5: also over a restart."""
    clock = Clock()
    held = await place(clock).save([A], after=Held(whole=False), whole=False)
    assert not held.whole
    held = await place(clock).load()
    assert (held.members, held.whole) == ({A.id: A}, False)
    clock.now += timedelta(seconds=46)
    await place(clock).save([A], after=held, whole=True)
    assert (await place(clock).load()).whole


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"metadata": {"labels": None}}, "is not bellpull's", id="somebody else's"),
        pytest.param(
            {"binaryData": {"inventory": b64encode(compress(b'{"format": 2}')).decode()}}, "newer one", id="newer"
        ),
    ],
)
async def test_what_is_no_inventory_is_not_written_over(
    change: dict[str, Any], problem: str, client: Client, control_plane: ControlPlane, namespace: str
) -> None:
    """P9: without it nothing is applied or deleted."""
    inventory = parent(ParentKind.CONFIG_MAP, client, namespace)
    await inventory.save([A], after=Held())
    path = f"/api/v1/namespaces/{namespace}/configmaps/bellpull-sync-site"
    control_plane.ask("PATCH", path, change, content="application/merge-patch+json")
    with pytest.raises(InventoryError, match=problem):
        await inventory.load()

"""A set of objects on a real API server: what is made, what goes, and what never does (P9, M5)."""

from collections.abc import Iterable
from copy import deepcopy

import pytest

from agent.app.kubernetes import pruner
from agent.app.kubernetes.reconcile import GuardedError
from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.inventory import Member
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.ownership import is_member
from agent.core.kubernetes.policy import Action, Undone
from tests.agent.kubernetes.cluster import Hand, Meanwhile, config_map, deployment
from tests.agent.kubernetes.syncing import Sync, actions
from tests.parts.webhook import until


@pytest.fixture
def sync(hand: Hand) -> Sync:
    return Sync(hand)


def named(names: Iterable[str]) -> list[Object]:
    return [config_map(name, k="1") for name in names]


async def test_what_git_no_longer_has_goes(sync: Sync) -> None:
    """And only that."""
    made = await sync.run(*named("abc"))
    assert actions(made) == dict.fromkeys("abc", Action.CREATED)
    gone = await sync.run(*named("ab"))
    assert actions(gone) == {"a": Action.UNCHANGED, "b": Action.UNCHANGED, "c": Action.DELETED}
    assert sync.hand.live(config_map("c")) is None
    assert await sync.members() == ["a", "b"]


async def test_nothing_goes_where_pruning_is_off_or_an_object_asks_to_be_kept(sync: Sync) -> None:
    kept = config_map("b", annotations={"bellpull.dev/prune": "disabled"}, k="1")
    await sync.run(*named("a"), kept)
    result = await sync.run(*named("a"))
    assert actions(result)["b"] is Action.KEPT
    assert sync.hand.live(kept) is not None
    assert await sync.members() == ["a"]
    await sync.run(*named("ac"))
    await sync.run(*named("a"), prune=False)
    assert sync.hand.live(config_map("c")) is not None
    assert await sync.members() == ["a", "c"]


async def test_an_empty_source_deletes_nothing(sync: Sync) -> None:
    await sync.run(*named("ab"))
    with pytest.raises(GuardedError, match="EmptySource: the folder has no objects, and 2 are live"):
        await sync.run()
    assert sync.hand.live(config_map("a")) is not None
    await sync.run(accept=True)
    assert sync.hand.live(config_map("a")) is None


async def test_a_mass_deletion_is_refused_before_anything_is_written(sync: Sync) -> None:
    """What would go is named."""
    await sync.run(*named(f"n{n}" for n in range(20)))
    with pytest.raises(GuardedError, match=r"MassDeletion: 15 of 20 objects would go \(ConfigMap/.*/n"):
        await sync.run(*named(f"n{n}" for n in range(5)), config_map("new", k="1"))
    assert sync.hand.live(config_map("new")) is None
    assert len(await sync.members()) == 20


async def test_nothing_is_deleted_while_something_could_not_be_applied(sync: Sync) -> None:
    """The inventory has both; the other objects of the stage were applied."""
    await sync.run(*named("ab"))
    bad = deployment(replicas=-1)
    result = await sync.run(*named("ac"), bad)
    assert [str(each.id.name) for each in result.undone] == ["web"]
    assert {each.id.name: each.action for each in result.done} == {"a": Action.UNCHANGED, "c": Action.CREATED}
    assert sync.hand.live(config_map("b")) is not None
    assert await sync.members() == ["a", "b", "c", "web"]
    gone = await sync.run(*named("ac"))
    assert actions(gone) == {
        "a": Action.UNCHANGED,
        "c": Action.UNCHANGED,
        "b": Action.DELETED,
        "web": Action.DELETED,
    }


async def test_two_syncs_never_delete_each_others_objects(hand: Hand) -> None:
    """The second is refused; what it never had it never deletes."""
    one, two = Sync(hand, "one"), Sync(hand, "two")
    await one.run(*named("ab"))
    result = await two.run(*named("bc"))
    assert ["belongs to" in each.problem for each in result.undone] == [True]
    assert actions(await two.run(*named("c")))["b"] is Action.KEPT
    assert hand.live(config_map("b")) is not None
    taken = await two.run(*named("bc"), adopt=True)
    assert actions(taken)["b"] is Action.CONFIGURED
    assert actions(await one.run(*named("a")))["b"] is Action.KEPT
    assert hand.live(config_map("b")) is not None


async def test_a_renamed_sync_starts_anew_and_deletes_nothing(hand: Hand) -> None:
    """Its objects belong to the old name until it is told to adopt them."""
    await Sync(hand, "old").run(*named("ab"))
    renamed = Sync(hand, "new")
    assert len((await renamed.run(*named("ab"))).undone) == 2
    assert not (await renamed.run(*named("ab"), adopt=True)).undone
    assert hand.live(config_map("a")) is not None


async def test_a_clone_with_our_label_is_not_ours(sync: Sync) -> None:
    """M5: neither where it is beside ours, nor in the place of one that went."""
    await sync.run(*named("ab"))
    live = sync.hand.live(config_map("a"))
    assert live is not None
    clone = config_map("clone", k="1")
    clone["metadata"]["labels"] = live["metadata"]["labels"]
    sync.hand.create(clone)
    sync.hand.plane.ask("DELETE", sync.hand.path(config_map("b")))
    other = deepcopy(clone)
    other["metadata"]["name"] = "b"
    sync.hand.create(other)
    assert actions(await sync.run(*named("a")))["b"] is Action.KEPT
    assert sync.hand.live(clone) is not None
    assert sync.hand.live(config_map("b")) is not None


async def test_what_controllers_make_with_our_label_is_not_ours(sync: Sync) -> None:
    """M5: EndpointSlices carry exactly the labels of their Service; they are in no inventory, and go with it."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    service |= {"spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    await sync.run(service, *named("ab"))
    query = f"labelSelector={PART_OF}={sync.policy.parent}"
    path = f"/apis/discovery.k8s.io/v1/namespaces/{sync.hand.namespace}/endpointslices?{query}"
    until(lambda: bool(sync.hand.plane.ask("GET", path)["items"]), "a slice has our label")
    (slice_,) = sync.hand.plane.ask("GET", path)["items"]
    assert not is_member(slice_, sync.policy.manager, sync.policy.parent)
    assert await sync.members() == ["a", "b", "web"]
    assert actions(await sync.run(service, *named("a")))["b"] is Action.DELETED
    assert sync.hand.plane.ask("GET", path)["items"]


async def test_what_a_controller_adopted_is_left_to_it(sync: Sync) -> None:
    """M5: with our label and our entry, but somebody answers for it."""
    await sync.run(*named("ab"))
    (owner, owned) = (sync.hand.live(config_map(name)) for name in "ab")
    assert owner is not None
    assert owned is not None
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["metadata"]["uid"]}
    sync.hand.merge(config_map("b"), {"metadata": {"ownerReferences": [reference | {"controller": True}]}})
    assert actions(await sync.run(*named("a")))["b"] is Action.KEPT
    assert sync.hand.live(config_map("b")) is not None


async def test_what_is_made_anew_between_the_look_and_the_deletion_stays(sync: Sync) -> None:
    """The deletion names the uid (M8); the next run finds that it is somebody else's."""
    await sync.run(*named("ab"))
    path = sync.hand.path(config_map("b"))

    def another() -> None:
        sync.hand.plane.ask("DELETE", path)
        sync.hand.create(config_map("b", k="theirs"))

    held = (await sync.inventory.load()).members
    (member,) = (each for which, each in held.items() if which.name == "b")
    cluster = Meanwhile(sync.hand.client, another)
    pruner_ = pruner.Pruner(cluster, sync.policy, await sync.hand.discovery.resources(), living={}, width=1)
    (made,) = await pruner_.prune([member])
    assert isinstance(made, Undone)
    assert made.passes
    assert sync.hand.live(config_map("b")) is not None
    assert actions(await sync.run(*named("a")))["b"] is Action.KEPT


async def test_an_object_that_was_about_to_be_made_when_the_agent_ended_is_found(sync: Sync) -> None:
    """It has no uid in the inventory: deleted where it is ours, left where it is somebody's."""
    (wanted, other) = await sync.hand.desired(*named("ab"))
    held = await sync.inventory.load()
    await sync.inventory.save([Member(id=each.id, version="v1") for each in (wanted, other)], after=held)
    await sync.hand.apply(config_map("a", k="1"), to=sync.policy)
    sync.hand.create(config_map("b", k="1"))
    result = await sync.run(accept=True)
    assert actions(result) == {"a": Action.DELETED, "b": Action.KEPT}


async def test_an_object_that_a_killed_run_made_anew_is_found(sync: Sync) -> None:
    """The inventory has the uid of the one before."""
    await sync.run(*named("ab"))
    sync.hand.plane.ask("DELETE", sync.hand.path(config_map("b")))
    await sync.hand.apply(config_map("b", k="1"), to=sync.policy)
    assert actions(await sync.run(*named("a"))) == {"a": Action.UNCHANGED, "b": Action.DELETED}


def namespaced(name: str, namespace: str) -> Object:
    item = config_map(name, k="1")
    item["metadata"]["namespace"] = namespace
    return item


async def test_a_namespace_comes_before_what_is_in_it_and_goes_after(sync: Sync) -> None:
    name = f"{sync.hand.namespace}-inner"
    inner: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    made = await sync.run(namespaced("a", name), inner, *named("b"))
    assert actions(made) == {"a": Action.CREATED, name: Action.CREATED, "b": Action.CREATED}
    gone = actions(await sync.run_until_gone(*named("b")))
    assert (gone[name], gone["b"]) == (Action.DELETED, Action.UNCHANGED)
    assert await sync.members() == ["b"]


async def test_a_namespace_that_holds_what_is_not_ours_stays(sync: Sync) -> None:
    """What would go with it is named, and how to let it."""
    name = f"{sync.hand.namespace}-inner"
    inner: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await sync.run(inner, *named("b"))
    sync.hand.plane.ask("POST", f"/api/v1/namespaces/{name}/configmaps", config_map("theirs"))
    result = await sync.run(*named("b"))
    (kept,) = result.undone
    assert f"ConfigMap/{name}/theirs would go with it; annotate it with bellpull.dev/prune: cascade" in kept.problem
    assert not kept.passes
    assert name in await sync.members()


def crd(group: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


async def test_a_kind_comes_before_its_objects_and_does_not_take_others_along(sync: Sync) -> None:
    """An object of a kind that is new is applied in the same run; the CRD stays while somebody's are there."""
    group = f"{sync.hand.namespace}.example.org"
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 1}}
    made = await sync.run(widget, crd(group), *named("b"))
    assert actions(made) == {"w": Action.CREATED, f"widgets.{group}": Action.CREATED, "b": Action.CREATED}
    theirs = {**widget, "metadata": {"name": "theirs"}}
    sync.hand.plane.ask("POST", f"/apis/{group}/v1/namespaces/{sync.hand.namespace}/widgets", theirs)
    result = await sync.run(*named("b"))
    (kept,) = result.undone
    assert f"Widget/{sync.hand.namespace}/theirs would go with it" in kept.problem
    sync.hand.plane.ask("DELETE", f"/apis/{group}/v1/namespaces/{sync.hand.namespace}/widgets/theirs")
    assert actions(await sync.run_until_gone(*named("b")))[f"widgets.{group}"] is Action.DELETED


async def test_what_a_finalizer_holds_is_reported_and_not_forced(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays in the inventory until it is gone."""
    monkeypatch.setattr(pruner, "_GONE_S", 0.3)
    await sync.run(*named("ab"))
    sync.hand.merge(config_map("b"), {"metadata": {"finalizers": ["example.org/hold"]}})
    (held,) = (await sync.run(*named("a"))).undone
    assert "held by example.org/hold" in held.problem
    assert held.passes
    assert await sync.members() == ["a", "b"]
    sync.hand.merge(config_map("b"), {"metadata": {"finalizers": None}})
    assert actions(await sync.run(*named("a")))["b"] is Action.DELETED


async def test_a_claim_is_not_deleted_without_a_word(sync: Sync) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
    await sync.run(claim, *named("a"))
    (kept,) = (await sync.run(*named("a"))).undone
    assert "its data may go with it; annotate it with bellpull.dev/prune: cascade" in kept.problem
    sync.hand.merge(claim, {"metadata": {"annotations": {"bellpull.dev/prune": "cascade"}}})
    result = await sync.run(*named("a"))
    assert all(each.problem.startswith("is being deleted") for each in result.undone)  # nothing runs that lets it go
    assert sync.hand.live(config_map("a")) is not None

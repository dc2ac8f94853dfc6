"""The watches of a cluster, shared by its Syncs: one for each kind, or for each namespace where rights end there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from agent.adapters.kubernetes.client import Client, connect
from agent.app.kubernetes.watching import Watching
from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.object import GroupKind, Object, ObjectId
from agent.core.kubernetes.resources import Resource
from tests.agent.kubernetes.account import admit, write_kubeconfig
from tests.agent.kubernetes.cluster import Hand, config_map

CONFIG_MAP = Resource(kind=GroupKind("", "ConfigMap"), version="v1", plural="configmaps", namespaced=True)
SECRET = Resource(kind=GroupKind("", "Secret"), version="v1", plural="secrets", namespaced=True)


@asynccontextmanager
async def watching(client: Client) -> AsyncIterator[Watching]:
    made = Watching(client)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run())
        yield made
        running.cancel()


def member(name: str) -> Object:
    item = config_map(name)
    item["metadata"]["labels"] = {PART_OF: "applyset-one-v1"}
    return item


def which(hand: Hand, name: str, kind: str = "ConfigMap") -> ObjectId:
    return ObjectId(GroupKind("", kind), hand.namespace, name)


async def until(holds: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not holds():
        assert monotonic() < end
        await asyncio.sleep(0.01)


async def test_syncs_share_a_watch_and_hear_of_their_own(hand: Hand) -> None:
    """It ends with the last who wanted it."""
    a, b = which(hand, "a"), which(hand, "b")
    one: list[ObjectId] = []
    two: list[ObjectId] = []
    mark = hand.plane.audit.mark()
    async with watching(hand.client) as watches:
        watches.want("one", {a: CONFIG_MAP}, one.append)
        watches.want("two", {b: CONFIG_MAP}, two.append)
        await watches.settle("one", 10)
        await watches.settle("two", 10)
        one.clear()
        two.clear()
        hand.create(member("a"))
        hand.create(member("b"))
        await until(lambda: bool(one and two))
        assert (one, two) == ([a], [b])
        view = watches.view(a, CONFIG_MAP)
        assert view is not None
        assert view.get(a) is not None
        watches.leave("one")
        assert watches.view(a, CONFIG_MAP) is not None
        watches.want("two", {}, two.append)
        assert watches.view(b, CONFIG_MAP) is None
    asked = hand.plane.audit.since(mark, lambda each: each.verb == "watch" and each.agent.startswith("bellpull"))
    kinds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert sorted(each.path.partition("?")[0] for each in asked) == ["/api/v1/configmaps", kinds]


async def test_what_was_never_seen_is_told_of_as_well(hand: Hand) -> None:
    """An object that was made and deleted before it was watched: nobody else would say that it is gone."""
    a, b = which(hand, "a"), which(hand, "b")
    heard: list[ObjectId] = []
    async with watching(hand.client) as watches:
        watches.want("one", {a: CONFIG_MAP}, heard.append)
        assert heard == [a]
        await watches.settle("one", 10)
        await until(lambda: heard == [a, a])
        watches.want("one", {a: CONFIG_MAP, b: CONFIG_MAP}, heard.append)
        assert heard[2:] == [b]


async def test_rights_in_a_namespace_are_enough(hand: Hand, tmp_path: Path) -> None:
    """What may not be watched everywhere is watched where it is; what may not be watched there is named."""
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
    admit(hand.plane, hand.namespace, rule)
    here, there = which(hand, "a"), ObjectId(GroupKind("", "ConfigMap"), "default", "a")
    heard: list[ObjectId] = []
    kubeconfig = write_kubeconfig(hand.plane, hand.namespace, tmp_path / "kubeconfig")
    async with connect(kubeconfig) as client, watching(client) as watches:
        watches.want("one", {here: CONFIG_MAP, there: CONFIG_MAP}, heard.append)
        await watches.settle("one", 10)
        heard.clear()
        hand.create(member("a"))
        await until(lambda: bool(heard))
        assert heard == [here]
        assert watches.view(there, CONFIG_MAP) is None
        assert (watches.is_coming(here, CONFIG_MAP), watches.is_coming(there, CONFIG_MAP)) == (True, False)
        (problem,) = watches.problems("one")
        assert "add to a Role in default, bound to system:serviceaccount" in problem


async def test_secrets_are_not_watched(hand: Hand) -> None:
    """That needs the right to read them."""
    mark = hand.plane.audit.mark()
    async with watching(hand.client) as watches:
        secret = which(hand, "a", "Secret")
        watches.want("one", {secret: SECRET}, lambda _: None)
        await watches.settle("one", 10)
        assert watches.view(secret, SECRET) is None
        assert not watches.is_coming(secret, SECRET)
    asked = hand.plane.audit.since(mark, lambda each: "secrets" in each.path and each.agent.startswith("bellpull"))
    assert asked == []

"""A reflector on a real API server: whatever ends its watch, it knows what is there."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
import yaml

from agent.adapters.kubernetes.client import Client, connect
from agent.app.kubernetes import reflector
from agent.app.kubernetes.reflector import Streams
from agent.core.kubernetes import follow
from agent.core.kubernetes.applyset import PART_OF
from agent.core.kubernetes.object import GroupKind, Object
from agent.core.kubernetes.resources import Resource
from tests.agent.kubernetes.account import admit, write_kubeconfig
from tests.agent.kubernetes.cluster import Hand, config_map
from tests.agent.kubernetes.follower import Follower, follower
from tests.parts.control_plane import ControlPlane
from tests.parts.control_plane.audit import Asked
from tests.parts.proxy import Proxy

CONFIG_MAP: Final = Resource(kind=GroupKind("", "ConfigMap"), version="v1", plural="configmaps", namespaced=True)


def member(name: str) -> Object:
    item = config_map(name)
    item["metadata"]["labels"] = {PART_OF: "applyset-one-v1"}
    return item


def names(follows: Follower) -> set[str]:
    return {which.name for which in follows.collection}


class Paged(Streams):
    """A cluster that cannot stream lists."""

    async def can(self) -> bool:
        return False


STREAMS: Final[dict[str, Callable[[Client], Streams]]] = {"streamed": Streams, "in pages": Paged}


@pytest.mark.parametrize("how", STREAMS)
async def test_it_knows_what_is_there_and_what_becomes_of_it(
    hand: Hand, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members of sets, and nothing else; an object without its label is no member any more."""
    monkeypatch.setattr(follow, "PAGE", 2)
    for name in "abcde":
        hand.create(member(name))
    hand.create(config_map("theirs"))
    mark = hand.plane.audit.mark()
    async with follower(hand.client, CONFIG_MAP, hand.namespace, streams=STREAMS[how](hand.client)) as follows:
        assert names(follows) == set("abcde")
        hand.create(member("f"))
        hand.merge(member("a"), {"data": {"k": "2"}})
        hand.plane.ask("DELETE", hand.path(member("b")))
        hand.merge(member("c"), {"metadata": {"labels": {PART_OF: None}}})
        await follows.sees("f", hand.live(member("f")))
        await follows.sees("a", hand.live(member("a")))
        await follows.sees("b", None)
        await follows.sees("c", None)
        assert {which.name for which in follows.heard} == set("abcdef")

    def reads(asked: Asked) -> bool:
        return asked.verb in ("list", "watch") and f"{hand.namespace}/configmaps" in asked.path

    asked = [each.verb for each in hand.plane.audit.since(mark, reads)]
    assert asked == (["watch"] if how == "streamed" else ["list", "list", "list", "watch"])


async def test_what_happened_while_it_was_cut_off_is_made_up_for(hand: Hand, tmp_path: Path) -> None:
    """Its connection is gone for a while, and things come and go meanwhile; it goes on from where it was."""
    hand.create(member("goes"))
    kubeconfig = tmp_path / "kubeconfig"
    async with Proxy() as proxy:
        port = int(proxy.url.rpartition(":")[2])
        access = yaml.safe_load(hand.plane.kubeconfig.read_text())
        access["clusters"][0]["cluster"]["proxy-url"] = proxy.url
        kubeconfig.write_text(yaml.safe_dump(access))
        client_is_open = connect(kubeconfig)
        client = await client_is_open.__aenter__()
        follows_are_open = follower(client, CONFIG_MAP, hand.namespace)
        follows = await follows_are_open.__aenter__()
    try:
        follows.heard.clear()
        mark = hand.plane.audit.mark()
        hand.plane.ask("DELETE", hand.path(member("goes")))
        hand.create(member("comes"))
        async with Proxy(port=port):
            await follows.sees("goes", None)
            await follows.sees("comes", hand.live(member("comes")))
            assert {which.name for which in follows.heard} == {"goes", "comes"}
            assert follows.reflector.is_current
            asked = hand.plane.audit.since(mark, lambda each: each.agent.startswith("bellpull"))
            assert [each.verb for each in asked] == ["watch"]
            assert "sendInitialEvents" not in asked[0].path
    finally:
        await follows_are_open.__aexit__(None, None, None)
        await client_is_open.__aexit__(None, None, None)


async def test_what_it_was_to_go_on_from_may_be_forgotten_by_the_server(hand: Hand) -> None:
    """It lists again (410)."""
    async with follower(hand.client, CONFIG_MAP, hand.namespace) as follows:
        pass
    follows.collection.horizon = "1"
    hand.create(member("new"))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(follows.reflector.run())
        await follows.sees("new", hand.live(member("new")))
        running.cancel()


async def test_an_old_cluster_and_one_whose_server_is_killed(
    control_plane_programs: Path, old_etcd: Path, tmp_path: Path
) -> None:
    """The etcd cannot stream lists, which the stream says in an event; later the server is killed, and comes back."""
    plane = ControlPlane(control_plane_programs, tmp_path, etcd=old_etcd)
    await asyncio.to_thread(plane.start)
    try:
        async with connect(plane.kubeconfig) as client, follower(client, CONFIG_MAP, "default") as follows:
            hand = Hand(client, plane, "default")
            hand.create(member("a"))
            await follows.sees("a", hand.live(member("a")))
            await asyncio.to_thread(plane.restart_api)
            hand.create(member("b"))
            await follows.sees("b", hand.live(member("b")))
            assert names(follows) == {"a", "b"}
    finally:
        plane.stop()


async def test_a_missing_right_is_named_and_asked_for_again(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is missing is known at once, and that it was given, in time."""
    monkeypatch.setattr(reflector, "_REFUSED_S", 0.1)
    kubeconfig = write_kubeconfig(hand.plane, hand.namespace, tmp_path / "kubeconfig")
    async with connect(kubeconfig) as client, follower(client, CONFIG_MAP, hand.namespace) as follows:
        assert follows.reflector.is_refused
        assert not follows.reflector.is_current
        assert 'resources: ["configmaps"]' in (follows.reflector.problem or "")
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
        admit(hand.plane, hand.namespace, rule)
        hand.create(member("a"))
        await follows.sees("a", hand.live(member("a")))
        assert (follows.reflector.is_refused, follows.reflector.problem) == (False, None)

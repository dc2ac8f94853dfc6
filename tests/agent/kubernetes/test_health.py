"""How the objects of a Sync are, judged from what a real API server shows; kubelets' words are said by the tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from agent.app.kubernetes.health import FAILS_S
from agent.core.kubernetes.object import Object
from bellpull.contract.report import Health
from tests.agent.kubernetes.account import admit, write_kubeconfig
from tests.agent.kubernetes.cluster import Hand, config_map, deployment
from tests.agent.kubernetes.driving import Driven, driven
from tests.parts.control_plane.audit import Asked
from tests.parts.proxy import Proxy

READY: Final = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
ADDRESS: Final = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


def service(name: str = "web") -> Object:
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name: str = "one") -> Object:
    spec = {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def pulling(reason: str) -> dict[str, Any]:
    waiting = {"waiting": {"reason": reason, "message": "no such image"}}
    container = {"name": "web", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    return {"phase": "Pending", "containerStatuses": [container]}


class Followed:
    """What was yielded so far."""

    def __init__(self) -> None:
        self.seen: list[Health] = []
        self._more = asyncio.Event()

    async def follow(self, site: Driven) -> None:
        found = site.target.health()
        assert found is not None
        async for each in found:
            self.seen.append(each)
            self._more.set()

    async def until(self, status: str) -> Health:
        """Return the last, once it is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                while not self.seen or self.seen[-1].status != status:
                    self._more.clear()
                    await self._more.wait()
        assert self.seen, "nothing was seen"
        assert self.seen[-1].status == status, self.seen
        return self.seen[-1]


@asynccontextmanager
async def followed(site: Driven) -> AsyncIterator[Followed]:
    made = Followed()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.follow(site))
        yield made
        task.cancel()


def reads(hand: Hand, mark: int) -> list[str]:
    """Return which whole objects the agent read, and lists of them."""

    def is_read(asked: Asked) -> bool:
        ours = (
            hand.namespace in asked.path and asked.agent.startswith("bellpull") and "bellpull-sync" not in asked.path
        )
        return ours and asked.verb in {"get", "list"}

    return [
        f"{each.verb} {each.path.partition('?')[0].rpartition('/')[2]}"
        for each in hand.plane.audit.since(mark, is_read)
    ]


async def test_nobody_asks_where_nobody_waits(hand: Hand) -> None:
    async with driven(hand) as site:
        assert site.target.health() is None


async def test_what_needs_no_judging_is_healthy_without_a_request(hand: Hand) -> None:
    async with driven(hand, wait=True) as site, followed(site) as found:
        mark = hand.plane.audit.mark()
        await site.commit(config_map(k="1"))
        assert (await found.until("healthy")).failing == ()
        assert [each for each in reads(hand, mark) if "configmaps" in each] == []


async def test_each_change_is_judged_once_it_is_shown(hand: Hand) -> None:
    async with driven(hand, wait=True) as site, followed(site) as found:
        await site.commit(config_map(k="1"), service(), service("other"))
        waiting = await found.until("progressing")
        assert [str(each.object) for each in waiting.failing] == [
            f"Service/{hand.namespace}/other",
            f"Service/{hand.namespace}/web",
        ]
        assert str(waiting.failing[0].reason).startswith("NoAddress: ")
        hand.say_status(service(), ADDRESS)
        hand.say_status(service("other"), ADDRESS)
        well = await found.until("healthy")
        assert well.failing == ()
        assert well.since is not None
        hand.say_status(service(), {"loadBalancer": None})
        assert (await found.until("progressing")).since != well.since


async def test_what_fails_has_to_fail_for_a_while(hand: Hand) -> None:
    """A Pod that crashed once is well after its first pause."""
    async with driven(hand, wait=True) as site, followed(site) as found:
        await site.commit(pod())
        hand.say_status(pod(), pulling("ImagePullBackOff"))
        begun = monotonic()
        failing = await found.until("failing")
        assert monotonic() - begun >= FAILS_S
        assert str(failing.failing[0].reason) == "ImagePullBackOff: Container web: no such image"
        hand.say_status(pod(), READY | {"containerStatuses": None})
        await found.until("healthy")


async def test_a_deployment_says_why_its_newest_pods_do_not_start(hand: Hand) -> None:
    """The real controller makes the Pods; those of what ran before do not count."""
    async with driven(hand, wait=True) as site, followed(site) as found:
        await site.commit(deployment())
        await found.until("progressing")
        old = await newest(hand, set())
        hand.plane.say_status(old, pulling("ImagePullBackOff"))
        failing = await found.until("failing")
        assert str(failing.failing[0].object) == f"Deployment/{hand.namespace}/web"
        reason = str(failing.failing[0].reason)
        assert reason.startswith(f"ImagePullBackOff: Available: 0 of 1; Pod {old.rpartition('/')[2]}: Container web")
        mended = deployment()
        mended["spec"]["template"]["spec"]["containers"][0]["image"] = "example.org/web:2"
        await site.commit(mended)
        new = await newest(hand, {old})
        named = await found.until("progressing")
        assert "ImagePull" not in str(named.failing[0].reason)
        hand.plane.say_status(new, READY | {"startTime": "2020-01-01T00:00:00Z"})
        await found.until("healthy")


async def newest(hand: Hand, before: set[str]) -> str:
    """Wait for a Pod that was not there before, and return its path."""
    folder = f"/api/v1/namespaces/{hand.namespace}/pods"
    while True:
        pods = await asyncio.to_thread(hand.plane.ask, "GET", folder)
        for each in pods["items"]:
            if (path := f"{folder}/{each['metadata']['name']}") not in before:
                return path
        await asyncio.sleep(0.1)


async def test_expressions_of_the_sync_judge_its_objects(hand: Hand) -> None:
    """Also of a kind that is not judged otherwise."""
    exprs = [{"apiVersion": "v1", "kind": "ConfigMap", "current": "data.k == '2'", "failed": "data.k == '3'"}]
    async with driven(hand, wait=True, healthExprs=exprs) as site, followed(site) as found:
        await site.commit(config_map(k="1"))
        waiting = await found.until("progressing")
        assert str(waiting.failing[0].reason) == "NotCurrent: It is not so that data.k == '2'"
        await site.commit(config_map(k="2"))
        await found.until("healthy")
        await site.commit(config_map(none="1"))
        assert "data.k == '3': NOT_FOUND: Key not found in map : \"k\"" in str(
            (await found.until("unknown")).failing[0].reason
        )


async def test_what_is_deleted_is_not_healthy(hand: Hand) -> None:
    async with driven(hand, wait=True, drift="detect") as site, followed(site) as found:
        await site.commit(service(), config_map(k="1"))
        hand.say_status(service(), ADDRESS)
        await found.until("healthy")
        hand.delete(service())
        gone = await found.until("progressing")
        assert str(gone.failing[0].reason) == "NotFound: Is not there"


async def test_many_are_read_as_a_list_also_after_a_start(hand: Hand) -> None:
    """P7: no request for each object."""
    names = [f"s{number}" for number in range(8)]
    async with driven(hand, wait=True) as site, followed(site) as found:
        await site.commit(*(service(name) for name in names))
        for name in names:
            hand.say_status(service(name), ADDRESS)
        await found.until("healthy")
    async with driven(hand, wait=True) as again, followed(again) as found:
        mark = hand.plane.audit.mark()
        await again.commit(*(service(name) for name in names))
        await found.until("healthy")
        asked = reads(hand, mark)
        assert set(asked) == {"list services"}
        assert len(asked) <= 3, asked


async def test_without_the_right_to_read_it_is_unknown_and_said(hand: Hand, tmp_path: Path) -> None:
    maps = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}
    admit(hand.plane, hand.namespace, maps, maps | {"resources": ["services"], "verbs": ["create", "patch"]})
    kubeconfig = write_kubeconfig(hand.plane, hand.namespace, tmp_path / "kubeconfig")
    async with driven(hand, kubeconfig, wait=True) as site, followed(site) as found:
        await site.commit(service())
        unknown = await found.until("unknown")
        assert 'cannot get resource "services"' in str(unknown.failing[0].reason)


async def test_an_api_server_that_is_away_changes_nothing_that_is_known(hand: Hand, tmp_path: Path) -> None:
    """And what changed meanwhile is found."""
    access = yaml.safe_load(hand.plane.kubeconfig.read_text())
    async with AsyncExitStack() as stack:
        way = AsyncExitStack()
        port = urlsplit((await way.enter_async_context(Proxy())).url).port
        access["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{port}"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(access))
        site = await stack.enter_async_context(driven(hand, tmp_path / "kubeconfig", wait=True))
        found = await stack.enter_async_context(followed(site))
        await site.commit(service())
        await found.until("progressing")
        await way.aclose()
        hand.say_status(service(), ADDRESS)
        await asyncio.sleep(1)
        assert {each.status for each in found.seen} == {"progressing"}
        await stack.enter_async_context(Proxy(port=port or 0))
        await found.until("healthy")
        assert {each.status for each in found.seen} == {"progressing", "healthy"}

"""From an edit by hand of an object in a cluster back to what Git says, by an agent that runs."""

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from agent.adapters.kubernetes.client import Client, connect
from agent.app.kubernetes.target import DEBOUNCE_S
from agent.core.kubernetes import ask, follow
from agent.core.kubernetes.object import GroupKind
from agent.core.kubernetes.requests import Content, Method, Request
from agent.core.kubernetes.resources import Resource
from tests.bench.figure import RUNS, Figure, Ratio, Section, median, percentile
from tests.e2e.cluster import Cluster, cluster_world, config_map
from tests.parts import control_plane
from tests.parts.control_plane import ControlPlane

__all__ = ["measure"]

_OBJECTS: Final = 20
_TIMES: Final = 60
_BUDGET_MS: Final = 1000.0
_KIND: Final = Resource(kind=GroupKind("", "ConfigMap"), version="v1", plural="configmaps", namespaced=True)
_HOW: Final = f"""\
A kube-apiserver and etcd, a gateway and an agent as processes of their own, on the same cores. One of {_OBJECTS}
ConfigMaps of a Sync is edited by hand, and read until it is what Git says. The floor is the least that anybody
needs: a watch that is open shows the edit, and a PATCH is sent at once; the agent first waits
{DEBOUNCE_S * 1000:.0f} ms for edits that belong together. {RUNS} runs of {_TIMES} rounds in which the two take
turns; medians of the runs' percentiles."""


def measure() -> Section:
    """Edit, run after run."""
    control_plane.obtain(lambda _: None)
    programs = control_plane.find()
    assert programs is not None, "no control plane"
    with tempfile.TemporaryDirectory(prefix="bellpull-bench-") as folder:
        plane = ControlPlane(programs, Path(folder))
        plane.start()
        try:
            runs = [asyncio.run(_run(plane, number)) for number in range(RUNS)]
        finally:
            plane.stop()
    ratios: list[Ratio] = []
    for percent, budget in ((50, None), (95, _BUDGET_MS)):
        took, least = (median(percentile(run[side], percent) for run in runs) for side in (0, 1))
        ratios.append(Ratio(name=f"p{percent}", value=took / least))
        ratios.append(Ratio(name=f"p{percent}", value=took, unit="ms", budget=budget))
    figure = Figure(
        subject="an edit of an object by hand until it is undone",
        floor="a watch and a PATCH",
        seen=f"{_TIMES} x {RUNS} rounds",
        ratios=tuple(ratios),
    )
    return Section(title="Drift in a cluster", how=_HOW, figures=(figure,))


async def _run(plane: ControlPlane, number: int) -> tuple[list[float], list[float]]:
    """Return milliseconds until edits were undone, by the agent and by the floor."""
    namespace = f"drift-{number}"
    async with cluster_world(plane, namespace) as cluster, connect(plane.kubeconfig) as client:
        commit = await cluster.push(*(config_map(f"a-{each}", k="git") for each in range(_OBJECTS)))
        await cluster.says(commit, "applied", "unchanged")
        await client.send(_apply(namespace, "floor"))
        await asyncio.sleep(2)  # until what was applied is watched
        agent, floor = [], []
        for each in range(_TIMES):
            agent.append(await _undone_ms(client, cluster, f"a-{each % _OBJECTS}", each))
            floor.append(await _patched_ms(client, namespace, each))
        return agent, floor


async def _undone_ms(client: Client, cluster: Cluster, name: str, number: int) -> float:
    """Edit, and return milliseconds until it is what it was."""
    begun = perf_counter()
    await client.send(_edit(cluster.namespace, name, number))
    while await _said(client, cluster.namespace, name) != "git":  # noqa: ASYNC110 - a watch would be a part of it
        await asyncio.sleep(0.002)
    return (perf_counter() - begun) * 1000


async def _patched_ms(client: Client, namespace: str, number: int) -> float:
    """Have a watch open, edit, and return milliseconds until a PATCH that follows it was answered."""
    revision = (await client.send(ask.look(_KIND.path(namespace, "floor")))).body["metadata"]["resourceVersion"]
    watch = follow.watch(_KIND, namespace, revision, members=False, chance=0.0)
    async with aclosing(client.watch(watch, silence_s=30)) as events:
        begun = 0.0
        async for event in events:
            if event is None:
                begun = perf_counter()
                await client.send(_edit(namespace, "floor", number))
            elif event["object"]["metadata"]["name"] == "floor":
                await client.send(_apply(namespace, "floor"))
                return (perf_counter() - begun) * 1000
    raise AssertionError("the watch ended")


async def _said(client: Client, namespace: str, name: str) -> Any:
    answer = await client.send(ask.look(_KIND.path(namespace, name), whole=True))
    return answer.body["data"]["k"]


def _edit(namespace: str, name: str, number: int) -> Request:
    return Request(
        method=Method.PATCH,
        path=_KIND.path(namespace, name),
        body={"data": {"k": f"hand {number}"}},
        content=Content.MERGE_PATCH,
    )


def _apply(namespace: str, name: str) -> Request:
    item = config_map(name, k="git")
    return ask.apply(_KIND.path(namespace, name), item, "floor", force=True)

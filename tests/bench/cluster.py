"""What the apply engine adds to the API server's own work: the same objects by raw PATCHes, and by kubectl."""

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import yaml

from agent.adapters.kubernetes.client import connect
from agent.adapters.kubernetes.discovery import Discovery
from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.app.kubernetes.drift import Drift
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.reconcile import WIDTH, Result, reconcile
from agent.core.kubernetes import ask
from agent.core.kubernetes.normalise import normalise
from agent.core.kubernetes.object import Manifest, Object, Origin
from agent.core.kubernetes.policy import Policy
from bellpull.runtime.clock import utc_now
from tests.bench.figure import RUNS, Figure, Ratio, Section, median
from tests.bench.sets import AT_ONCE, Took, took
from tests.parts import control_plane, kubectl
from tests.parts.control_plane import ControlPlane

__all__ = ["measure"]

_RAW_BUDGET: Final = 0.85
_ROUNDS: Final = 6
"""Of one after the other: of two that share two cores with all they ask, single ones differ by a third."""
_SETS: Final = 1000
_SETS_BUDGET: Final = 1.3
_SETS_BUDGET_MIB: Final = 200.0
_HOW: Final = f"""\
A kube-apiserver and etcd of the same run, on the same cores, without nodes; its etcd does not sync. *The
engine* is all of an apply by an agent that knows the cluster: normalising, the inventory, one PATCH for each
object, {WIDTH} at a time, what each answer says, and, as it has no inventory, a list of each kind for what the
Sync may have made before; the same again learns from a watch that all are as they
are to be. Its floor is the same PATCHes, as many at a time, by the same client, with answers not looked at.
`kubectl apply --server-side` is the same set from one file, with its start; it knows the cluster, too. The
Syncs of four objects (ConfigMap, ServiceAccount, Service, Deployment) are applied by a process of its own,
{AT_ONCE} at a time as an agent does, each with an inventory of its own; its memory is what it held at most.
{_ROUNDS} rounds of one kind, {RUNS} of the Syncs, in which they take turns, each in a namespace of its own;
medians."""


def measure() -> Section:
    """Start a cluster, and apply to it in turns."""
    control_plane.obtain(lambda _: None)
    programs = control_plane.find()
    assert programs is not None, "no control plane"
    kubectl.install()
    with tempfile.TemporaryDirectory(prefix="bellpull-bench-") as folder:
        plane = ControlPlane(programs, Path(folder) / "plane")
        plane.start()
        try:
            return Section(
                title="A cluster",
                how=_HOW,
                figures=(
                    *_compared(plane, Path(folder), "500 ConfigMaps", 500, _config_map),
                    *_compared(plane, Path(folder), "100 Deployments", 100, _deployment),
                    _sets(plane),
                ),
            )
        finally:
            plane.stop()


def _compared(
    plane: ControlPlane, folder: Path, what: str, count: int, make: Callable[[int], Object]
) -> Sequence[Figure]:
    engine, raw, other, again = [], [], [], []
    for run in range(_ROUNDS):
        items = [make(number) for number in range(count)]
        names = {side: f"{make.__name__.strip('_').replace('_', '-')}-{side}-{run}" for side in ("a", "b", "c")}
        for name in names.values():
            plane.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        if run % 2:
            raw.append(asyncio.run(_raw_s(plane, names["b"], items)))
        first, second = asyncio.run(_applied_s(plane, names["a"], items))
        engine.append(first)
        again.append(second)
        if not run % 2:
            raw.append(asyncio.run(_raw_s(plane, names["b"], items)))
        other.append(_kubectl_s(plane, folder, names["c"], items))
    took, least, kubectl_s = median(engine), median(raw), median(other)
    rate = f"{count / took:.0f} objects/s"
    return (
        Figure(
            subject=f"first apply of {what}",
            floor=f"raw PATCHes, {WIDTH} at a time",
            seen=rate,
            ratios=(Ratio(name="rate", value=least / took, budget=_RAW_BUDGET, at_least=True),),
        ),
        Figure(
            subject=f"first apply of {what}",
            floor="`kubectl apply --server-side`",
            seen=rate,
            ratios=(Ratio(name="rate", value=kubectl_s / took),),
        ),
        Figure(
            subject=f"the same again, {what}",
            floor="the first apply",
            seen=f"{count / median(again):.0f} objects/s",
            ratios=(Ratio(name="time", value=median(again) / took),),
        ),
    )


def _sets(plane: ControlPlane) -> Figure:
    engine: list[Took] = []
    raw: list[Took] = []
    for run in range(RUNS):
        for side, made in (("engine", engine), ("raw", raw)):
            namespace = f"sets-{side}-{run}"
            plane.ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
            made.append(took(side, plane.kubeconfig, namespace, _SETS))
    seconds, mib = median(each.seconds for each in engine), median(each.mib for each in engine)
    return Figure(
        subject=f"first apply of {_SETS:,} Syncs of four objects",
        floor=f"raw PATCHes of the objects, {WIDTH} at a time",
        seen=f"{seconds:.0f} s, {mib:.0f} MiB",
        ratios=(
            Ratio(name="time", value=seconds / median(each.seconds for each in raw), budget=_SETS_BUDGET),
            Ratio(name="memory", value=mib, unit="MiB", budget=_SETS_BUDGET_MIB),
        ),
    )


async def _applied_s(plane: ControlPlane, namespace: str, items: Sequence[Object]) -> tuple[float, float]:
    """Return the seconds that a first and a second apply take."""
    async with connect(plane.kubeconfig) as client:
        opened = Opened(client)
        inventory = ParentInventory(
            client,
            kind=ParentKind.CONFIG_MAP,
            namespace=namespace,
            name="bellpull-sync-bench",
            holder="bench",
            now=utc_now,
        )
        policy = Policy(manager=f"bellpull/{namespace}/bench", parent=inventory.parent, key=b"bench")
        drift = Drift(f"{namespace}/bench", policy.manager, opened.watching, fought=lambda *_: None)

        async def once() -> Result:
            manifests = [Manifest(item=item, origin=Origin(path="a", document=1, line=1)) for item in items]
            desired = normalise(manifests, await opened.resources(), namespace=namespace).desired
            result = await reconcile(opened, inventory, desired, policy, watched=drift)
            assert not result.undone, result.undone[:3]
            return result

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(opened.watching.run())
            await opened.resources()
            begun = perf_counter()
            await once()
            first = perf_counter() - begun
            begun = perf_counter()
            await once()
            second = perf_counter() - begun
            watching.cancel()
        return first, second


async def _raw_s(plane: ControlPlane, namespace: str, items: Sequence[Object]) -> float:
    async with connect(plane.kubeconfig) as client:
        manifests = [Manifest(item=item, origin=Origin(path="a", document=1, line=1)) for item in items]
        desired = normalise(manifests, await Discovery(client).resources(), namespace=namespace).desired
        begun = perf_counter()
        slots = asyncio.Semaphore(WIDTH)

        async def one(path: str, item: Object) -> None:
            async with slots:
                await client.send(ask.apply(path, item, "raw", force=True))

        async with asyncio.TaskGroup() as tasks:
            for each in desired:
                tasks.create_task(one(each.path, each.item))
        return perf_counter() - begun


def _kubectl_s(plane: ControlPlane, folder: Path, namespace: str, items: Sequence[Object]) -> float:
    program = kubectl.find()
    assert program is not None, "no kubectl"
    path = folder / "all.yaml"
    path.write_text(yaml.safe_dump_all(items))
    words = [str(program), "--kubeconfig", str(plane.kubeconfig), "-n", namespace]
    environment = os.environ | {"HOME": str(folder)}
    subprocess.run([*words, "get", "configmaps,deployments"], check=True, capture_output=True, env=environment)
    begun = perf_counter()
    command = [*words, "apply", "--server-side", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return perf_counter() - begun


def _config_map(number: int) -> Object:
    data = {"settings.json": json.dumps({"number": number, "text": "x" * 400})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"a-{number}"}, "data": data}


def _deployment(number: int) -> Object:
    labels = {"app": f"web-{number}"}
    env = [{"name": f"VALUE_{each}", "value": "x" * 20} for each in range(10)]
    container: dict[str, Any] = {"name": "web", "image": "example.org/web:1", "env": env}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"web-{number}"}, "spec": spec}

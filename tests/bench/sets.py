"""Applies many Syncs of four objects each, in a process of its own, whose memory at its largest is its own.

As a program: `python -m tests.bench.sets engine|raw KUBECONFIG NAMESPACE COUNT`, which prints seconds and MiB.
"""

import asyncio
import resource
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import orjson

from agent.adapters.kubernetes.client import connect
from agent.adapters.kubernetes.parent import ParentInventory, ParentKind
from agent.app.kubernetes.opened import Opened
from agent.app.kubernetes.reconcile import WIDTH, reconcile
from agent.core.inbox import Inbox
from agent.core.kubernetes import ask
from agent.core.kubernetes.normalise import Desired, normalise
from agent.core.kubernetes.object import Manifest, Object, Origin
from agent.core.kubernetes.policy import Policy
from bellpull.contract.text import Name
from bellpull.runtime.clock import utc_now

__all__ = ["AT_ONCE", "Took", "took"]

AT_ONCE: Final = Inbox().slots
"""How many Syncs an agent applies at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What it took to apply all sets."""

    seconds: float
    mib: float


def took(side: str, kubeconfig: Path, namespace: str, count: int) -> Took:
    """Apply `count` sets in a new process: by the `engine`, or by `raw` PATCHes."""
    command = [sys.executable, "-m", "tests.bench.sets", side, str(kubeconfig), namespace, str(count)]
    done = subprocess.run(command, check=True, capture_output=True)
    return Took(**orjson.loads(done.stdout))


def four(number: int) -> list[Object]:
    """Return the objects of one set."""
    name = f"app-{number}"
    labels = {"app": name}
    container = {"name": "app", "image": "example.org/app:1", "env": [{"name": "SETTINGS", "value": "x" * 100}]}
    pod = {"serviceAccountName": name, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    kinds: Sequence[tuple[str, str, Object]] = (
        ("v1", "ConfigMap", {"data": {"settings.json": "x" * 400}}),
        ("v1", "ServiceAccount", {}),
        ("v1", "Service", {"spec": {"selector": labels, "ports": [{"port": 80}]}}),
        ("apps/v1", "Deployment", {"spec": spec}),
    )
    return [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **rest} for version, kind, rest in kinds
    ]


async def _desired(opened: Opened, namespace: str, items: Sequence[Object]) -> tuple[Desired, ...]:
    manifests = [Manifest(item=item, origin=Origin(path="a", document=1, line=1)) for item in items]
    return normalise(manifests, await opened.resources(), namespace=namespace).desired


async def _engine(opened: Opened, namespace: str, number: int) -> None:
    inventory = ParentInventory(
        opened.cluster,
        kind=ParentKind.CONFIG_MAP,
        namespace=namespace,
        name=f"bellpull-sync-app-{number}",
        holder=Name("bench"),
        now=utc_now,
    )
    policy = Policy(manager=f"bellpull/{namespace}/app-{number}", parent=inventory.parent)
    desired = await _desired(opened, namespace, four(number))
    result = await reconcile(opened, inventory, desired, policy)
    assert not result.undone, result.undone


async def _raw(opened: Opened, namespace: str, number: int) -> None:
    for each in await _desired(opened, namespace, four(number)):
        await opened.cluster.send(ask.apply(each.path, each.item, "raw", force=True))


_SIDES: Final[dict[str, tuple[Callable[..., Coroutine[Any, Any, None]], int]]] = {
    "engine": (_engine, AT_ONCE),
    "raw": (_raw, WIDTH),
}


async def _all(side: str, kubeconfig: Path, namespace: str, count: int) -> Took:
    apply, width = _SIDES[side]
    slots = asyncio.Semaphore(width)
    async with connect(kubeconfig) as client:
        opened = Opened(client)
        await opened.resources()

        async def one(number: int) -> None:
            async with slots:
                await apply(opened, namespace, number)

        begun = perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(count):
                tasks.create_task(one(number))
        seconds = perf_counter() - begun
    return Took(seconds=seconds, mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    made = asyncio.run(_all(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    sys.stdout.buffer.write(orjson.dumps(made))

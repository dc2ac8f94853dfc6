"""`bellpull demo`: the main job and what can go wrong with it, on loopback, in half a minute."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from bellpull.cli.broker_access import Access
from bellpull.cli.demo.ending import interruptible
from bellpull.cli.demo.git_server import GitServerError
from bellpull.cli.demo.place import place
from bellpull.cli.demo.program import WorldError
from bellpull.cli.demo.steps import STEPS, Happened, Step, StepFailedError
from bellpull.cli.demo.world import World, world

if TYPE_CHECKING:
    from bellpull.cli.demo.cluster import ClusterServed

__all__ = ["run"]


def run(
    *,
    stay: bool,
    ci: bool,
    as_json: bool,
    queue: tuple[str, Access] | None = None,
    cluster: tuple[Path | None, str | None] | None = None,
) -> int:
    """Run all steps, showing each as it happens; return 0 if every promise was kept, 1 if not, 130 if interrupted.

    Args:
        stay: keep everything up afterwards, until interrupted.
        ci: print plain lines, without waiting for anybody.
        as_json: print one object instead of lines.
        queue: RabbitMQ's URL, and the way to its management API; without, the gateway's own stream is used.
        cluster: a kubeconfig and its context, the usual ones where they are none; without, a folder is served.

    Raises:
        FailureError: the management API, or the cluster, cannot be used.
    """
    running = _run(stay=stay and not ci, as_json=as_json, queue=queue, cluster=cluster)
    try:
        return asyncio.run(interruptible(running))
    except (WorldError, GitServerError) as error:
        print(f"the demo could not be set up: {error}", file=sys.stderr)
        return 1


async def _run(
    *,
    stay: bool,
    as_json: bool,
    queue: tuple[str, Access] | None,
    cluster: tuple[Path | None, str | None] | None,
) -> int:
    began = monotonic()
    if not as_json:
        between = "" if queue is None else f" RabbitMQ at {queue[0]} is between the last two."
        print(f"A Git server, a gateway and an agent, each a process of its own, on loopback.{between}", flush=True)
    async with AsyncExitStack() as stack:
        if cluster is not None and not as_json:
            print(
                "What it serves are ConfigMaps in a cluster: each page is one, and the site is all of them.",
                flush=True,
            )
        there = None if queue is None else await stack.enter_async_context(place(*queue))
        served = None if cluster is None else await stack.enter_async_context(_namespace(*cluster))
        if not as_json:
            print()
        prepare = None if served is None else served.prepare
        made = await stack.enter_async_context(world(prepare, place=there, served=served))
        print(f"started in {monotonic() - began:.1f} s", file=sys.stderr)
        results = [await _take(step, made, quiet=as_json) for step in _steps(cluster=served is not None)]
        if as_json:
            print(orjson.dumps(_summary(results)).decode())
        if stay:
            await _stay(made)
    ok = all(result["ok"] for result in results)
    if not as_json:
        print(f"{'All' if ok else 'Not all'} of {len(results)} promises kept, in {monotonic() - began:.1f} s.")
    return 0 if ok else 1


@asynccontextmanager
async def _namespace(kubeconfig: Path | None, context: str | None) -> AsyncIterator["ClusterServed"]:
    # Their library takes a second: only where a cluster was asked for.
    from bellpull.cli.demo.cluster import cluster_served

    async with cluster_served(kubeconfig, context, partial(print, file=sys.stderr, flush=True)) as served:
        yield served


def _steps(*, cluster: bool) -> tuple[Step, ...]:
    if not cluster:
        return STEPS
    from bellpull.cli.demo.cluster_steps import CLUSTER_STEPS

    return (*STEPS, *CLUSTER_STEPS)


async def _take(step: Step, made: World, *, quiet: bool) -> dict[str, Any]:
    began = monotonic()
    ok, happened = True, Happened(text="")
    try:
        happened = await step.run(made)
    except (StepFailedError, WorldError) as error:
        ok, happened = False, Happened(text=f"NOT KEPT: {error}")
    ms = round((monotonic() - began) * 1000, 1)
    if not quiet:
        print(f"{step.name}: {step.done}\n  feared    {step.feared}\n  happened  {happened.text}\n", flush=True)
    elif not ok:
        print(f"{step.name}: {happened.text}", file=sys.stderr)
    return {"name": step.name, "ok": ok, "ms": ms, "hops_ms": happened.hops_ms}


def _summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    hops: dict[str, float] = next((result["hops_ms"] for result in results if result["hops_ms"]), {})
    return {
        "ok": all(result["ok"] for result in results),
        "steps": [{key: result[key] for key in ("name", "ok", "ms")} for result in results],
        "hops_ms": hops,
    }


async def _stay(made: World) -> None:
    print(f"Everything stays up, below {made.folder}; interrupt to end it.")
    print(f"  served         {made.served.where}")
    print(f"  repository     {made.clone_url}")
    print(f"  webhooks       {made.hooks_url}\n  state          {made.console_url}/metrics")
    await asyncio.Event().wait()

"""A Sync that waits for health: the programs as they run; what kubelets and load balancers would say is said here."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.e2e.cluster import Cluster, cluster_world, config_map
from tests.e2e.site import until
from tests.parts.control_plane import ControlPlane

NUMBERS = count(1)
"""Of namespaces: one that was deleted is not gone at once."""
ADDRESS = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}


@pytest_asyncio.fixture
async def cluster(git_programs: Path, control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    """Its agent polls every second, so that each wait is interrupted again and again."""
    assert git_programs.name
    async with cluster_world(control_plane, f"health-e2e-{next(NUMBERS)}", {"wait": True}, timeout="60s") as made:
        yield made


def service(name: str = "web") -> dict[str, Any]:
    """Return a Service that waits for an address outside."""
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name: str = "one", **labels: str) -> dict[str, Any]:
    """Return a Pod that no node will ever run."""
    spec = {"containers": [{"name": "web", "image": "registry.example/web:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


async def status(cluster: Cluster, kind: str, name: str, said: dict[str, Any]) -> None:
    """Say the status of an object, once it is there."""
    path = f"/api/v1/namespaces/{cluster.namespace}/{kind}/{name}"

    async def look() -> bool:
        return await asyncio.to_thread(cluster.plane.seen, path) is not None

    await until(look, lambda: f"{path} is not there")
    await asyncio.to_thread(cluster.plane.say_status, path, said)


async def test_a_commit_is_applied_once_it_is_healthy(cluster: Cluster) -> None:
    """Until then it is judged; what needs no waiting does not wait."""
    quick = await cluster.push(config_map("a", k="1"))
    await cluster.says(quick, "applied", "unchanged")
    commit = await cluster.push(config_map("a", k="1"), service())
    said = await cluster.says(commit, "judging")
    await asyncio.sleep(1.5)
    assert (await cluster.says(commit, "judging", "applied"))["word"] == "judging", said
    await status(cluster, "services", "web", ADDRESS)
    await cluster.says(commit, "applied", "unchanged")


async def test_a_new_commit_does_not_wait_for_the_health_of_an_old_one(cluster: Cluster) -> None:
    """P10: it is applied at once, and the old one is superseded with it."""
    old = await cluster.push(service())
    await cluster.says(old, "judging")
    new = await cluster.push(config_map("b", k="1"))
    await cluster.says(new, "applied", "unchanged")
    assert cluster.live("b")["data"] == {"k": "1"}
    assert (await cluster.says(old, "superseded"))["word"] == "superseded"


async def test_a_wait_goes_on_over_commits_that_make_nothing_else_and_over_a_restart(cluster: Cluster) -> None:
    """M11: its time is not begun anew."""
    old = await cluster.push(service())
    await cluster.says(old, "judging")
    new = await cluster.push({"not": "read"}, path="elsewhere/notes.yaml")
    await cluster.says(new, "judging")
    await cluster.agent.kill()
    await cluster.agent.start("hearing the gateway")
    await asyncio.sleep(1)
    await status(cluster, "services", "web", ADDRESS)
    await cluster.says(new, "applied", "unchanged")
    await cluster.says(old, "applied", "unchanged", "superseded")


async def test_what_fails_ends_the_wait_and_is_said_with_its_reason_and_what_recovers_is_said(
    cluster: Cluster,
) -> None:
    commit = await cluster.push(pod())
    await cluster.says(commit, "judging")
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    container = {"name": "web", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    await status(cluster, "pods", "one", {"phase": "Pending", "containerStatuses": [container]})
    said = await cluster.says(commit, "failed", patience_s=60)
    assert f"Pod/{cluster.namespace}/one: ImagePullBackOff: Container web: no such image" in said["message"]
    ready = [{"type": "Ready", "status": "True"}]
    await status(cluster, "pods", "one", {"phase": "Running", "conditions": ready, "containerStatuses": None})
    await cluster.says(commit, "applied", "unchanged")


async def test_what_is_not_healthy_in_time_has_failed(git_programs: Path, control_plane: ControlPlane) -> None:
    assert git_programs.name
    async with cluster_world(control_plane, "late-e2e", {"wait": True}, timeout="3s") as cluster:
        commit = await cluster.push(service())
        said = await cluster.says(commit, "failed")
        assert "not well within 3s: Service/late-e2e/web: NoAddress" in said["message"]

"""A push that becomes objects in a cluster: the programs as they run, the agent outside a real cluster."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.cluster import Cluster, cluster_world, config_map
from tests.parts.control_plane import ControlPlane

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMESPACE = "cluster-e2e"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(git_programs: Path, control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    assert git_programs.name
    ignore = [{"paths": ["/data/tuned"], "target": {"kind": "ConfigMap"}}]
    async with cluster_world(control_plane, NAMESPACE, {"ignore": ignore}) as made:
        yield made


async def test_a_push_becomes_objects_and_its_revert_undoes_them(cluster: Cluster) -> None:
    """P5: each announced commit has its word; what Git no longer has goes."""
    first = await cluster.push(config_map("a", k="1"), config_map("b", k="1"))
    await cluster.says(first, "applied", "unchanged")
    assert cluster.live("a")["data"] == {"k": "1"}
    second = await cluster.push(config_map("a", k="2"))
    await cluster.says(second, "applied", "unchanged")
    assert cluster.live("a")["data"] == {"k": "2"}
    assert cluster.live("b") is None


async def test_what_is_wrong_is_said_with_its_place_and_what_runs_stays(cluster: Cluster) -> None:
    """P11: of a manifest, and of an object that the API server refuses."""
    good = await cluster.push(config_map("a", k="good"))
    await cluster.says(good, "applied", "unchanged")
    wrong = await cluster.push(config_map("a", k="bad"), {"kind": "ConfigMap"})
    said = await cluster.says(wrong, "rejected")
    assert "all.yaml:" in said["message"]
    assert "(document 2): apiVersion: is missing" in said["message"]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 0}]}}
    refused = await cluster.push(config_map("a", k="good"), service)
    said = await cluster.says(refused, "failed")
    assert "1 of 2 objects are not as they are to be: Service/cluster-e2e/web (all.yaml:" in said["message"]
    assert cluster.live("a")["data"] == {"k": "good"}
    mended = await cluster.push(config_map("a", k="good"))
    await cluster.says(mended, "applied", "unchanged")


async def test_a_source_that_lost_everything_deletes_nothing(cluster: Cluster) -> None:
    """P9; the way on is in the word."""
    await cluster.says(await cluster.push(config_map("a", k="1")), "applied", "unchanged")
    empty = await cluster.push()
    said = await cluster.says(empty, "rejected")
    assert f"`guard: {{accept: {empty}}}`" in said["message"]
    assert cluster.live("a") is not None


async def test_what_a_sync_ignores_is_made_once_and_then_left(cluster: Cluster) -> None:
    """The rule stands in the file of the Sync; what else is in the same object is Git's."""
    await cluster.says(await cluster.push(config_map("tunable", k="1", tuned="5")), "applied", "unchanged")
    assert cluster.live("tunable")["data"] == {"k": "1", "tuned": "5"}
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/tunable"
    patch = {"data": {"k": "9", "tuned": "9"}}
    cluster.plane.ask("PATCH", path, patch, content="application/merge-patch+json")
    await cluster.says(await cluster.push(config_map("tunable", k="2", tuned="5")), "applied", "unchanged")
    assert cluster.live("tunable")["data"] == {"k": "2", "tuned": "9"}


async def test_an_agent_that_was_killed_makes_it_what_git_says(cluster: Cluster) -> None:
    """P6: and what was pushed meanwhile; nothing is left of what was removed."""
    await cluster.says(await cluster.push(config_map("a", k="1"), config_map("c", k="1")), "applied", "unchanged")
    await cluster.agent.kill()
    pushed = await cluster.push(config_map("a", k="2"))
    cluster.plane.ask(
        "PATCH",
        f"/api/v1/namespaces/{NAMESPACE}/configmaps/a",
        {"data": {"k": "drift"}},
        content="application/merge-patch+json",
    )
    await cluster.agent.start("hearing the gateway")
    await cluster.says(pushed, "applied", "unchanged")
    assert cluster.live("a")["data"] == {"k": "2"}
    await cluster.goes("c")

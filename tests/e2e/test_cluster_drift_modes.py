"""What becomes of a drift where a Sync says that it is not to be corrected."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.cluster import Cluster, cluster_world, config_map
from tests.e2e.site import until
from tests.parts.control_plane import ControlPlane

_SAID: Final = "an object was changed, and is left so until the next commit"


def change(cluster: Cluster, name: str, value: str) -> None:
    path = f"/api/v1/namespaces/{cluster.namespace}/configmaps/{name}?fieldManager=somebody"
    cluster.plane.ask("PATCH", path, {"data": {"k": value}}, content="application/merge-patch+json")


def delete(cluster: Cluster, name: str) -> None:
    cluster.plane.ask("DELETE", f"/api/v1/namespaces/{cluster.namespace}/configmaps/{name}")


def data(cluster: Cluster, name: str) -> Mapping[str, Any] | None:
    found = cluster.live(name)
    return found["data"] if found is not None else None


async def said(cluster: Cluster, name: str, by: str) -> None:
    which = f"ConfigMap/{cluster.namespace}/{name}"

    async def look() -> bool:
        return cluster.agent.said(_SAID, object=which, by=by) == 1

    await until(look, lambda: cluster.agent.log.read_text()[-3000:])


@pytest.mark.parametrize("mode", ["detect", "off"])
async def test_a_drift_is_left_until_the_next_commit(
    mode: str, git_programs: Path, control_plane: ControlPlane
) -> None:
    """Said with who changed what, or not looked at; a restart is no commit."""
    assert git_programs.name
    async with cluster_world(control_plane, f"drift-{mode}", {"drift": mode}) as cluster:
        await cluster.says(await cluster.push(*(config_map(name, k="1") for name in "abc")), "applied", "unchanged")
        await asyncio.to_thread(change, cluster, "a", "theirs")
        await asyncio.to_thread(delete, cluster, "b")
        if mode == "detect":
            await said(cluster, "a", ".data.k of somebody")
            await said(cluster, "b", "deleted")
        else:
            await asyncio.sleep(1)
        await cluster.agent.stop()
        await cluster.agent.start("hearing the gateway")
        await asyncio.sleep(1)
        assert (data(cluster, "a"), data(cluster, "b")) == ({"k": "theirs"}, None)
        await cluster.says(await cluster.push(*(config_map(name, k="1") for name in "abcd")), "applied", "unchanged")
        assert [data(cluster, name) for name in "abcd"] == [{"k": "1"}] * 4
        assert (cluster.agent.said(_SAID) > 0) == (mode == "detect")

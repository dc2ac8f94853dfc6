"""An agent outside a real cluster, with a Sync of it: what is pushed, what is said, what is there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from bellpull.cli.demo.world import World, world
from tests.e2e.site import PATIENCE_S, Site, document, open_to_all, until
from tests.parts.control_plane import ControlPlane

__all__ = ["Cluster", "cluster_world", "config_map"]


class Cluster:
    """The Sync `NAMESPACE/cluster`, of the folder `public`, and what became of it."""

    def __init__(self, made: World, plane: ControlPlane, namespace: str) -> None:
        self.site = Site(made, "cluster")
        self.plane = plane
        self.namespace = namespace
        self.agent = made.agent

    async def push(self, *items: dict[str, Any], path: str = "public/all.yaml") -> str:
        """Commit these in place of what is at `path`, and deliver the webhook."""
        return await self.site.announce(await self.site.commit(yaml.safe_dump_all(items), path=path))

    async def says(self, commit: str, *words: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait until the word for a commit is one of these."""
        said: dict[str, Any] | None = None

        async def look() -> bool:
            nonlocal said
            url = f"{self.site.world.console_url}/api/v1/commits/{commit}"
            async with self.site.world.session.get(url) as response:
                found = await response.json() if response.status == 200 else {"announcements": [{"syncs": []}]}
            syncs = found["announcements"][0]["syncs"]
            said = next((sync for sync in syncs if sync["sync"] == f"{self.namespace}/cluster"), None)
            return said is not None and said["word"] in words

        await until(look, lambda: f"{commit} is {said}, not {words}", patience_s=patience_s)
        assert said is not None
        return said

    def live(self, name: str) -> Any:
        return self.plane.seen(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")

    async def goes(self, name: str) -> None:
        """Wait until an object is gone."""

        async def look() -> bool:
            return await asyncio.to_thread(self.live, name) is None

        await until(look, lambda: f"{name} stays")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@asynccontextmanager
async def cluster_world(
    control_plane: ControlPlane, namespace: str, target: Mapping[str, Any] = MappingProxyType({}), **spec: Any
) -> AsyncIterator[Cluster]:
    """Start gateway and agent; `target` and `spec` are further fields of the target and of the Sync."""

    def prepare(folder: Path, git_url: str) -> None:
        open_to_all(folder)
        control_plane.write_kubeconfig(folder / "web-1" / "kubeconfig", "admin")
        sync = document(git_url, "cluster", interval="1s", retryInterval="1s", timeout="2s")
        sync["metadata"]["namespace"] = namespace
        sync["spec"] |= {"target": {"kubernetes": {"kubeconfig": "kubeconfig", **target}}, **spec}
        file = folder / "web-1" / "syncs.yaml"
        file.write_text(f"{file.read_text()}\n---\n{yaml.safe_dump(sync)}")

    with control_plane.namespace(namespace):
        async with world(prepare) as made:
            yield Cluster(made, control_plane, namespace)

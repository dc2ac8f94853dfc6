"""The demo's place in a cluster: a namespace of its own, gone at the end with all that is in it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import yaml

from agent.adapters.kubernetes.client import Client, connect
from agent.core.kubernetes.answers import RefusalKind, refusal
from agent.core.kubernetes.object import Object
from agent.core.kubernetes.requests import Content, Method, Request
from agent.ports.cluster import ClusterError
from bellpull.cli.demo.ending import to_its_end
from bellpull.cli.demo.namespace import WAY_ON, Namespace
from bellpull.cli.demo.program import WorldError
from bellpull.cli.failure import FailureError

__all__ = ["CONFIG_MAPS", "DEPLOYMENTS", "SERVICES", "ClusterServed", "cluster_served"]

CONFIG_MAPS: Final = "/api/v1/configmaps"
DEPLOYMENTS: Final = "/apis/apps/v1/deployments"
SERVICES: Final = "/api/v1/services"
_KEY: Final = "page"
_PATIENCE_S: Final = 20.0
_LOOK_S: Final = 0.005


class ClusterServed:
    """Pages that are ConfigMaps in a namespace.

    Attributes:
        namespace: its name.
        url: of the cluster's API server.

    Args:
        client: of the cluster.
        own: the namespace, that is there already.
        target: of a Sync, that names the same cluster.
    """

    def __init__(self, client: Client, own: Namespace, target: Mapping[str, str]) -> None:
        self.namespace = own.name
        self.url = client.url
        self._own = own
        self._client = client
        self._target = target

    @property
    def where(self) -> str:
        """Return a command that shows what is served."""
        return self._own.command("--namespace", self.namespace, "get", "configmaps,deployments,services")

    def prepare(self, folder: Path, _: str) -> None:
        """Let the Sync that was enrolled have the namespace as its target. Blocks."""
        file = folder / "web-1" / "syncs.yaml"
        sync = yaml.safe_load(file.read_text())
        sync["metadata"]["namespace"] = self.namespace
        sync["spec"] |= {"target": {"kubernetes": dict(self._target)}, "timeout": "2s", "retryInterval": "1s"}
        file.write_text(yaml.safe_dump(sync))

    def written(self, pages: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return a manifest for each page; what is one already stays as it is."""
        return {
            name if name.endswith(".yaml") else f"{name}.yaml": content
            if content is None or name.endswith(".yaml")
            else _manifest(name, content)
            for name, content in pages.items()
        }

    async def read(self, name: str) -> str | None:
        """Return what a ConfigMap says.

        Raises:
            FailureError: the cluster does not.
        """
        return _page(await self.item(CONFIG_MAPS, name))

    async def deface(self, name: str, content: str) -> None:
        """Change a ConfigMap by hand.

        Raises:
            FailureError: that cannot be.
        """
        await self.change(CONFIG_MAPS, name, {"data": {_KEY: content}})

    async def pages(self) -> dict[str, str]:
        """Return what every page says, by name.

        Raises:
            FailureError: the cluster does not say.
        """
        found = await self._ask(Request(method=Method.GET, path=self._path(CONFIG_MAPS)))
        said = {each["metadata"]["name"]: _page(each) for each in found.get("items") or []}
        return {name: page for name, page in said.items() if page is not None}

    async def item(self, kind: str, name: str) -> Object:
        """Return an object; an empty one where there is none.

        Raises:
            FailureError: the cluster does not say.
        """
        return await self._ask(Request(method=Method.GET, path=f"{self._path(kind)}/{name}"))

    async def make(self, kind: str, item: Object) -> None:
        """Make an object by hand.

        Raises:
            FailureError: that cannot be.
        """
        await self._ask(Request(method=Method.POST, path=self._path(kind), body=item, repeatable=False))

    async def change(self, kind: str, name: str, patch: Object) -> None:
        """Change an object by hand, by a merge patch.

        Raises:
            FailureError: that cannot be.
        """
        path = f"{self._path(kind)}/{name}"
        await self._ask(Request(method=Method.PATCH, path=path, body=patch, content=Content.MERGE_PATCH))

    async def delete(self, kind: str, name: str) -> None:
        """Delete an object by hand.

        Raises:
            FailureError: that cannot be.
        """
        await self._ask(Request(method=Method.DELETE, path=f"{self._path(kind)}/{name}"))

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> float:
        """Wait until something holds; return when (monotonic clock).

        Raises:
            WorldError: it does not; `what` says what.
            FailureError: the cluster does not say.
        """
        end = monotonic() + _PATIENCE_S
        while not await holds():
            if monotonic() > end:
                raise WorldError(f"{what}: not within {_PATIENCE_S:.0f} s")
            await asyncio.sleep(_LOOK_S)
        return monotonic()

    async def _ask(self, request: Request) -> Object:
        """Return the answer; nothing where there is no such thing."""
        try:
            answer = await self._client.send(request)
        except ClusterError as error:
            raise FailureError(str(error)) from None
        refused = refusal(answer)
        if refused is None:
            return answer.body
        if refused.kind is RefusalKind.NOT_FOUND:
            return {}
        raise FailureError(f"{self.url}: {refused.advice()}")

    def _path(self, kind: str) -> str:
        root, _, plural = kind.rpartition("/")
        return f"{root}/namespaces/{self.namespace}/{plural}"


@asynccontextmanager
async def cluster_served(
    kubeconfig: Path | None, context: str | None, say: Callable[[str], None]
) -> AsyncIterator[ClusterServed]:
    """Make a namespace that nobody has, and delete it at the end.

    Args:
        kubeconfig: names the cluster, by its whole path; the usual one if it is none.
        context: of the kubeconfig; its current one if it is none.
        say: is told which cluster that is, before anything is made there, and what becomes of the namespace.

    Raises:
        FailureError: there is no such cluster, or it does not let us make and delete a namespace.
    """
    async with _explained(connect(kubeconfig, context)) as client:
        # The agent is started again in between: it is to find this cluster, whatever is the current context then.
        named = {"kubeconfig": str(kubeconfig) if kubeconfig else None, "context": client.context}
        target = {name: value for name, value in named.items() if value is not None}
        own = Namespace(client, target, say)
        by = f"context {client.context} of the kubeconfig" if client.context else "this pod's own account"
        say(f"The cluster is the one at {client.url} ({by}).")
        await own.probe()
        say(f"The demo makes the namespace {own.name} there, keeps to it, and deletes it at the end.")
        try:
            await to_its_end(own.make())
            yield ClusterServed(client, own, target)
        finally:
            await to_its_end(own.remove())


@asynccontextmanager
async def _explained(connecting: AbstractAsyncContextManager[Client]) -> AsyncIterator[Client]:
    """Enter a client's context, and say why that cannot be.

    Raises:
        FailureError: instead of ClusterError.
    """
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connecting)
        except ClusterError as error:
            raise FailureError(str(error), WAY_ON) from None
        yield client


def _page(item: Object) -> str | None:
    said: str | None = (item.get("data") or {}).get(_KEY)
    return said


def _manifest(name: str, content: str) -> str:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {_KEY: content}}
    return json.dumps(item, indent=2) + "\n"

"""The demo's place in a cluster: a namespace of its own, gone at the end with all that is in it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import Any, Final

import yaml

from agent.adapters.kubernetes.client import Client, connect
from agent.core.kubernetes.answers import Refusal, RefusalKind, refusal
from agent.core.kubernetes.requests import Content, Method, Request
from agent.ports.cluster import ClusterError
from bellpull.cli.demo.program import WorldError
from bellpull.cli.failure import FailureError

__all__ = ["ClusterServed", "cluster_served"]

_KEY: Final = "page"
_NAMESPACES: Final = "/api/v1/namespaces"
_PATIENCE_S: Final = 20.0


class ClusterServed:
    """Pages that are ConfigMaps in a namespace.

    Attributes:
        namespace: its name.
        url: of the cluster's API server.

    Args:
        client: of the cluster.
        namespace: that is there already.
        target: of a Sync, that names the same cluster.
    """

    def __init__(self, client: Client, namespace: str, target: Mapping[str, str]) -> None:
        self.namespace = namespace
        self.url = client.url
        self._client = client
        self._target = target

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
        found = await self._ask(Request(method=Method.GET, path=f"{self._path}/{name}"))
        said: str | None = (found.get("data") or {}).get(_KEY)
        return said

    async def count(self) -> int:
        """Return how many pages there are.

        Raises:
            FailureError: the cluster does not say.
        """
        found = await self._ask(Request(method=Method.GET, path=self._path))
        return sum(1 for each in found.get("items") or [] if _KEY in (each.get("data") or {}))

    async def grows(self, before: int) -> None:
        """Wait until there are more pages.

        Raises:
            WorldError: there are not.
            FailureError: the cluster does not say.
        """
        end = monotonic() + _PATIENCE_S
        while await self.count() <= before:
            if monotonic() > end:
                raise WorldError(f"there are no more than {before} pages after {_PATIENCE_S:.0f} s")

    async def deface(self, name: str, content: str) -> None:
        """Change a ConfigMap by hand.

        Raises:
            FailureError: that cannot be.
        """
        patch = {"data": {_KEY: content}}
        path = f"{self._path}/{name}"
        await self._ask(Request(method=Method.PATCH, path=path, body=patch, content=Content.MERGE_PATCH))

    async def _ask(self, request: Request) -> dict[str, Any]:
        """Return the answer; nothing where there is no such thing."""
        found = await _ask(self._client, request)
        if not isinstance(found, Refusal):
            return found
        if found.kind is RefusalKind.NOT_FOUND:
            return {}
        raise FailureError(f"{self.url}: {found.advice()}")

    @property
    def _path(self) -> str:
        return f"{_NAMESPACES}/{self.namespace}/configmaps"


@asynccontextmanager
async def cluster_served(kubeconfig: Path | None, context: str | None) -> AsyncIterator[ClusterServed]:
    """Make a namespace that nobody has, and delete it at the end.

    Args:
        kubeconfig: names the cluster, by its whole path; the usual one if it is none.
        context: of the kubeconfig.

    Raises:
        FailureError: there is no such cluster, or it does not let us make a namespace.
    """
    namespace = f"bellpull-demo-{token_hex(3)}"
    said = {"kubeconfig": str(kubeconfig) if kubeconfig else None, "context": context}
    target = {name: value for name, value in said.items() if value is not None}
    async with _explained(connect(kubeconfig, context)) as client:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        answered = await _ask(client, Request(method=Method.POST, path=_NAMESPACES, body=made, repeatable=False))
        if isinstance(answered, Refusal):
            raise FailureError(f"{client.url}: the demo needs a namespace of its own: {answered.advice()}")
        try:
            yield ClusterServed(client, namespace, target)
        finally:
            await asyncio.shield(_remove(client, namespace, target))


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
            raise FailureError(str(error)) from None
        yield client


async def _remove(client: Client, namespace: str, target: Mapping[str, str]) -> None:
    """Delete the namespace, or say how to."""
    try:
        answered = await _ask(client, Request(method=Method.DELETE, path=f"{_NAMESPACES}/{namespace}"))
    except FailureError as error:
        why = str(error)
    else:
        if not isinstance(answered, Refusal) or answered.kind is RefusalKind.NOT_FOUND:
            return
        why = answered.advice()
    words = ["kubectl", *(f"--{name}={value}" for name, value in target.items()), "delete", "namespace", namespace]
    print(f"the demo's namespace is still there ({why}); delete it: {' '.join(words)}", file=sys.stderr)


async def _ask(client: Client, request: Request) -> dict[str, Any] | Refusal:
    """Return what is answered, or the refusal.

    Raises:
        FailureError: nobody answers.
    """
    try:
        answer = await client.send(request)
    except ClusterError as error:
        raise FailureError(str(error)) from None
    refused = refusal(answer)
    return answer.body if refused is None else refused


def _manifest(name: str, content: str) -> str:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {_KEY: content}}
    return json.dumps(item, indent=2) + "\n"

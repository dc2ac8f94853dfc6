"""A way to an API server on which a test has a say: what comes late, and which answer is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.parts.control_plane import ControlPlane

__all__ = ["KubeFront", "kube_front"]

_LATE_S = 1.5


@dataclass(slots=True, kw_only=True)
class KubeFront:
    """Over plain HTTP on loopback.

    Attributes:
        late: methods whose requests for namespaces, dry runs aside, are passed on late.
        lost: methods whose answers to such requests never come.
        seen: the methods of such requests, as they came.
        kubeconfig: an administrator's, by this way.
    """

    url: str = ""
    kubeconfig: Path = Path()
    late: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    seen: list[str] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def sees(self, method: str) -> None:
        """Wait for such a request."""
        async with asyncio.timeout(20), self.came:
            await self.came.wait_for(lambda: method in self.seen)


@asynccontextmanager
async def kube_front(
    plane: ControlPlane, folder: Path, *, late: Iterable[str] = (), lost: Iterable[str] = ()
) -> AsyncIterator[KubeFront]:
    """Listen while the context lasts; the kubeconfig goes to `folder`."""
    front = KubeFront(late=frozenset(late), lost=frozenset(lost))
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def serve(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            is_one = request.path.startswith("/api/v1/namespaces") and request.path.count("/") <= 4
            method = request.method if is_one and "dryRun" not in request.query else ""
            if method:
                async with front.came:
                    front.seen.append(method)
                    front.came.notify_all()
            if method in front.late:
                await asyncio.sleep(_LATE_S)
            headers = {name: value for name, value in request.headers.items() if name != "Host"}
            asked = session.request(
                request.method, plane.url + request.raw_path, data=body, headers=headers, ssl=False
            )
            async with asked as answer:
                if method in front.lost:
                    assert request.transport is not None
                    await answer.read()
                    request.transport.abort()
                    return web.Response()
                passed = {name: answer.headers[name] for name in ("Content-Type",) if name in answer.headers}
                response = web.StreamResponse(status=answer.status, headers=passed)
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                return response

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        # Who goes away early is no longer served; a real API server ends what was begun.
        runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        access = yaml.safe_load(plane.kubeconfig.read_text())
        access["clusters"][0]["cluster"] = {"server": front.url}
        front.kubeconfig = folder / "kubeconfig"
        front.kubeconfig.write_text(yaml.safe_dump(access))
        try:
            yield front
        finally:
            await runner.cleanup()

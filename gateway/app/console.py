"""The `console` listener: health, metrics, the API. For operators; on loopback unless told otherwise."""

from collections.abc import Callable, Iterable

import orjson
from aiohttp import web

from bellpull.runtime.metrics import Metrics
from gateway.ports.journal import Journal

__all__ = ["console_app"]


def console_app(
    journal: Journal, metrics: Metrics, api: Iterable[web.RouteDef], stopping: Callable[[], bool]
) -> web.Application:
    """Return the listener's application.

    Args:
        journal: what readiness hangs on.
        metrics: what `/metrics` shows.
        api: further routes.
        stopping: whether the gateway is on its way out; it is then not ready.
    """

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        if stopping():
            return _state(503, "stopping")
        if not await journal.writable():
            return _state(503, "the journal cannot write")
        return _state(200, "ready")

    async def scrape(_: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", scrape)
    app.router.add_routes(api)
    return app


def _state(status: int, state: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"state": state}), content_type="application/json")

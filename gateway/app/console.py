"""The `console` listener: health, metrics, the API. For operators; on loopback unless told otherwise."""

from collections.abc import Iterable

import orjson
from aiohttp import web

from bellpull.runtime.metrics import Metrics
from gateway.app.readiness import Readiness, State

__all__ = ["console_app"]


def console_app(readiness: Readiness, metrics: Metrics, api: Iterable[web.RouteDef]) -> web.Application:
    """Return the listener's application.

    Args:
        readiness: what `/readyz` shows.
        metrics: what `/metrics` shows.
        api: further routes.
    """

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_: web.Request) -> web.Response:
        return _answer(await readiness.look())

    async def scrape(_: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", scrape)
    app.router.add_routes(api)
    return app


def _answer(state: State) -> web.Response:
    status = 200 if state.takes_pushes else 503
    body = {"state": state.word} | ({"problems": state.problems} if state.problems else {})
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

"""HTTP, served and asked for, with the bounds aiohttp leaves open.

A connection that asks for nothing, or never ends its headers, is closed after `IDLE_S`; bodies are not
decompressed, so what is counted is what came; a handler's answer does not say which software made it. How long a
body may take, and how large it may be, is its handler's to say.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from bellpull.runtime.config import Address
from bellpull.runtime.logs import logger

__all__ = ["IDLE_S", "client", "serve"]

IDLE_S: Final = 75.0
_MAX_LINE: Final = 8190
_MAX_HEADERS: Final = 100
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_log: Final = logger("http")


@asynccontextmanager
async def serve(app: web.Application, address: Address, *, name: str, drain_s: float = 2.0) -> AsyncIterator[Address]:
    """Serve `app` at `address` while the context lasts; yields where, with the port that was bound.

    At the end the listener closes first, then `on_shutdown` is told (perhaps twice), and requests in flight have
    `drain_s` to end, those included whose body is still on its way.

    Raises:
        OSError: the address cannot be listened at; the message names the listener `name`.
    """
    app.on_response_prepare.append(_forget_server)
    in_flight = _InFlight()
    app.middlewares.append(in_flight.count)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        keepalive_timeout=IDLE_S,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        max_headers=_MAX_HEADERS,
        shutdown_timeout=drain_s,
    )
    await runner.setup()
    _refuse_unreadable_targets(runner, name)
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            message = f"the listener {name} cannot have {address}: {error.strerror or error}"
            raise OSError(error.errno, message) from None
        host, port = runner.addresses[0][:2]
        try:
            yield Address(host=host, port=port)
        finally:
            await site.stop()
            await runner.shutdown()
            await in_flight.wait_for_none(drain_s)
    finally:
        await runner.cleanup()


class _InFlight:
    """Counts requests: aiohttp reads no more of what is on its way to it once it shuts down its connections."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._count += 1
            self._none.clear()
            try:
                return await handler(request)
            finally:
                self._count -= 1
                if self._count == 0:
                    self._none.set()

        self.count = count

    async def wait_for_none(self, within_s: float) -> None:
        """Return when no request is in flight, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._none.wait()


def _refuse_unreadable_targets(runner: web.AppRunner, name: str) -> None:
    """Answer 400 and close where a request's target names a host that is none (`http://xn--/`).

    aiohttp finds out only where it makes the request of what it parsed. Let out there, the error ends the
    connection's task but not the connection, which nobody would ever answer or close.
    """
    server = cast("web.Server", runner.server)  # None only before it is set up
    make = server.request_factory

    def make_or_refuse(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        try:
            return make(message, payload, protocol, writer, task)
        except ValueError:
            _log.warning("request refused: its target is no URL", listener=name)
            if protocol.transport is not None:
                protocol.transport.write(_BAD_REQUEST)
            protocol.force_close()
            raise asyncio.CancelledError from None  # ends the connection's task, as if it had been closed before

    server.request_factory = make_or_refuse


async def _forget_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)


@asynccontextmanager
async def client(
    *, ca: Path | None = None, total_s: float | None = 30.0, connect_s: float = 10.0, read_s: float | None = 45.0
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session that gives up on connecting, on silence and in all after these seconds (None: never).

    It honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY, keeps no cookies, and trusts the system's certificates or, if
    given, those in `ca` only.

    Raises:
        OSError: `ca` cannot be read (ssl.SSLError: it holds no certificates).
    """
    context = await asyncio.to_thread(ssl.create_default_context, cafile=ca)
    timeout = aiohttp.ClientTimeout(total=total_s, connect=connect_s, sock_connect=connect_s, sock_read=read_s)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=timeout,
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={hdrs.ACCEPT_ENCODING: "identity"},
    ) as session:
        yield session

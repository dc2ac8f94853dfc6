"""HTTP, served, with the bounds aiohttp leaves open.

How long a connection may be silent, and how many there may be, is in `callers`; bodies are not decompressed, so what
is counted is what came; a handler's answer does not say which software made it. How long a body may take, and how
large it may be, is its handler's to say; what is left of one that its handler did not want is read for a second, so
that the answer arrives, and then cut off. Where one request ends and the next begins is aiohttp's to find out, with
its strict parser; what even that does not frame as others would (`Upgrade`, CONNECT) ends the connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast

from aiohttp import hdrs, web

from bellpull.runtime.address import Address
from bellpull.runtime.http.callers import Limits
from bellpull.runtime.http.door import Connection, Context, Door, beside, listening
from bellpull.runtime.http.forwarded import client_address
from bellpull.runtime.logs import logger
from bellpull.runtime.origin import origin
from bellpull.runtime.sparing import SparingLog

__all__ = ["remote", "serve", "vouch"]

_LINGER_S: Final = 1.0
_MAX_LINE: Final = 8190
_MAX_HEADERS: Final = 100
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONNECTION: Final = web.RequestKey("connection", Connection)

_log: Final = logger("http")


def vouch(request: web.Request) -> None:
    """Say that `request` was authentic: its connection is no stranger's any more."""
    connection = request.get(_CONNECTION)
    if connection is not None:
        connection.vouch()


def remote(request: web.Request) -> str:
    """Return the address that asked, for logs and lists: the socket's, or what a trusted proxy says it was."""
    connection = request.get(_CONNECTION)
    socket = request.remote or ""
    if connection is None or not connection.proxy:
        return socket
    return client_address(socket, request.headers.getall(hdrs.X_FORWARDED_FOR, ()), connection.limits.proxies)


@asynccontextmanager
async def serve(
    app: web.Application,
    address: Address,
    *,
    name: str,
    drain_s: float = 2.0,
    limits: Limits | None = None,
    tls: Context | None = None,
) -> AsyncIterator[Address]:
    """Serve `app` at `address` while the context lasts; yields where, with the port that was bound.

    At the end the listener closes first, then `on_shutdown` is told (perhaps twice), and requests in flight have
    `drain_s` to end, those included whose body is still on its way.

    Raises:
        OSError: the address cannot be listened at; the message names the listener `name`.
    """
    limits = limits or Limits()
    app.on_response_prepare.append(_forget_server)
    app.on_response_prepare.append(_end_what_upgrades)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        keepalive_timeout=limits.idle_s,
        lingering_time=_LINGER_S,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
        max_headers=_MAX_HEADERS,
        shutdown_timeout=drain_s,
    )
    await runner.setup()
    server = cast("web.Server", runner.server)  # None only before it is set up
    requests = _Requests(server)
    refused = SparingLog(_log)
    _refuse_unreadable_targets(server, name, refused)
    door = Door(name, server, limits, tls)
    requests.connected = door.connected
    try:
        async with beside() as tasks:
            sockets = await listening(address, name)
            host, port = sockets[0].getsockname()[:2]
            watching = [tasks.create_task(door.watch()), tasks.create_task(refused.run())]
            accepting = [tasks.create_task(door.accept(each, tasks)) for each in sockets]
            try:
                yield Address(host=host, port=port)
            finally:
                await _end(accepting)
                for each in sockets:
                    each.close()
                await runner.shutdown()
                await requests.wait_for_none(drain_s)
                for task in watching:
                    task.cancel()
    finally:
        await runner.cleanup()


class _Requests:
    """Counts requests, and tells connections of theirs.

    They are counted because aiohttp reads no more of what is on its way to it once it shuts down its connections.
    """

    def __init__(self, server: web.Server) -> None:
        self.connected: dict[object, Connection] = {}
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self._handle = server.request_handler
        server.request_handler = self._counted

    async def _counted(self, request: web.BaseRequest) -> web.StreamResponse:
        self._count += 1
        self._none.clear()
        connection = self.connected.get(request.protocol)
        if connection is not None:
            request[_CONNECTION] = connection
            connection.begin(request.content)
        try:
            return await self._handle(request)
        finally:
            if connection is not None:
                connection.end()
            self._count -= 1
            if self._count == 0:
                self._none.set()

    async def wait_for_none(self, within_s: float) -> None:
        """Return when no request is in flight, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._none.wait()


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _refuse_unreadable_targets(server: web.Server, name: str, refused: SparingLog) -> None:
    """Answer 400 and close where a request's target names a host that is none (`http://xn--/`).

    aiohttp finds out only where it makes the request of what it parsed. Let out there, the error ends the
    connection's task but not the connection, which nobody would ever answer or close.
    """
    make = server.request_factory

    def make_or_refuse(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        try:
            return make(message, payload, protocol, writer, task)
        except ValueError:
            address = ""
            if protocol.transport is not None:
                address, *_ = protocol.transport.get_extra_info("peername") or ("",)
                protocol.transport.write(_BAD_REQUEST)
            refused.note("request refused: its target is no URL", origin(address), listener=name, remote=address)
            protocol.force_close()
            raise asyncio.CancelledError from None  # ends the connection's task, as if it had been closed before

    server.request_factory = make_or_refuse


async def _forget_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)


async def _end_what_upgrades(request: web.Request, response: web.StreamResponse) -> None:
    """Close after whoever wants another protocol, or a tunnel: nothing here speaks one.

    What was read together with such a request, aiohttp's parser drops (`Upgrade`), or takes a body for the next
    request (CONNECT). Whoever sends on, such as a proxy, would count requests and answers differently.
    """
    if request.method == hdrs.METH_CONNECT or hdrs.UPGRADE in request.headers:
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"

"""A proxy that tunnels (CONNECT, RFC 9110 section 9.3.6), for whom it knows if it asks, on asyncio streams."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, Self

__all__ = ["Proxy", "copy"]

_CHUNK: Final = 64 * 1024
_NOTHING: Final = "Content-Length: 0\r\n"
_HEADERS: Final = {
    HTTPStatus.METHOD_NOT_ALLOWED: _NOTHING,
    HTTPStatus.FORBIDDEN: _NOTHING,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: f'{_NOTHING}Proxy-Authenticate: Basic realm="proxy"\r\n',
}


class Proxy:
    """Tunnels while its context lasts, and remembers where to.

    Args:
        elsewhere: `HOST:PORT` that a tunnel to another one really leads to.
        account: `USER:PASSWORD` that is asked for.
        refuses: a status to answer instead of opening a tunnel.
        port: to listen on; any free one if it is 0.
    """

    def __init__(
        self,
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        *,
        account: str | None = None,
        refuses: HTTPStatus | None = None,
        port: int = 0,
    ) -> None:
        self._port = port
        self._elsewhere = elsewhere
        self._account = account
        self._refuses = refuses
        self.targets: list[str] = []
        """`HOST:PORT` of every tunnel that was asked for."""
        self._server: asyncio.Server | None = None
        self._lines: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Start listening on loopback."""
        self._server = await asyncio.start_server(self._tunnel, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for each in self._lines:
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                answer, target = self._answer(head), head.split(" ")[1]
                writer.write(f"HTTP/1.1 {answer} {answer.phrase}\r\n{_HEADERS.get(answer, '')}\r\n".encode())
                if answer is HTTPStatus.OK:
                    break
            self.targets.append(target)
            host, _, port = self._elsewhere.get(target, target).rpartition(":")
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(copy(reader, far_writer))
                tasks.create_task(copy(far_reader, writer))
        writer.close()

    def _answer(self, head: str) -> HTTPStatus:
        if not head.startswith("CONNECT "):
            return HTTPStatus.METHOD_NOT_ALLOWED
        if self._account is not None:
            shown = f"Proxy-Authorization: Basic {b64encode(self._account.encode()).decode()}"
            if shown not in head.split("\r\n"):
                return HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        return self._refuses or HTTPStatus.OK


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, then end it there too."""
    with suppress(ConnectionError):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
    target.close()

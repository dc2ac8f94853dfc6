"""A proxy that tunnels (CONNECT, RFC 9110 section 9.3.6), on asyncio streams."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final, Self

__all__ = ["Proxy", "copy"]

_CHUNK: Final = 64 * 1024


class Proxy:
    """Tunnels while its context lasts, and remembers where to.

    Args:
        elsewhere: `HOST:PORT` that a tunnel to another one really leads to.
    """

    def __init__(self, elsewhere: Mapping[str, str] = MappingProxyType({})) -> None:
        self._elsewhere = elsewhere
        self.targets: list[str] = []
        """`HOST:PORT` of every tunnel that was asked for."""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Start listening on a free port of loopback."""
        self._server = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            method, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split(" ", 2)
            if method == "CONNECT":
                self.targets.append(target)
                host, _, port = self._elsewhere.get(target, target).rpartition(":")
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(copy(reader, far_writer))
                    tasks.create_task(copy(far_reader, writer))
            else:
                writer.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, then end it there too."""
    with suppress(ConnectionError):
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
    target.close()

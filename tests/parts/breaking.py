"""A network that breaks where a test says: after so many bytes, in one direction, in one of three ways."""

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

__all__ = ["Break", "Breaking", "Cut"]

_CHUNK: Final = 64 * 1024
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what was not sent, and resets the connection."""


class Break(StrEnum):
    """What either end sees of it."""

    END = "end"
    """Both ends see the connection closed."""
    RESET = "reset"
    """Both ends see it reset."""
    STALL = "stall"
    """Nobody sees anything: it stays open, and nothing passes any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a connection breaks: behind so many bytes to the client, or to the server, whichever is first."""

    to_client: int | None = None
    to_server: int | None = None
    how: Break = Break.END


class Breaking:
    """Passes connections on to a port of loopback, as long as its context lasts.

    Args:
        port: where to; may be set later.
    """

    def __init__(self, port: int = 0) -> None:
        self.target = port
        self.cuts: deque[Cut] = deque()
        """For the next connections, one each; those after them do not break."""
        self.passed = bytearray()
        """What was passed on to clients, by all connections."""
        self._free = asyncio.Event()
        self._free.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start listening on a free port of loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Break what is open, and stop."""
        assert self._server is not None
        self._server.close()
        self._over.set()
        self._free.set()
        self.break_all()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def break_all(self, how: Break = Break.RESET) -> None:
        """Break every connection that is open now."""
        for writer in list(self._open):
            _close(writer, how)

    def hold(self) -> None:
        """Let nobody through who comes from now on, until `release`."""
        self._free.clear()

    def release(self) -> None:
        """Let through who waits, and who comes."""
        self._free.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._free.wait()
        cut = self.cuts.popleft() if self.cuts else Cut()
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _close(writer, Break.RESET)
            return
        ends = {writer, far_writer}
        self._open |= ends
        how = Break.END
        try:
            async with asyncio.TaskGroup() as tasks:
                ways = {
                    tasks.create_task(_pass_on(reader, far_writer, cut.to_server)),
                    tasks.create_task(_pass_on(far_reader, writer, cut.to_client, self.passed)),
                }
                done, still = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if any(way.result() for way in done):
                    how = cut.how
                for way in still:
                    way.cancel()
            if how is Break.STALL:
                await self._over.wait()
        finally:
            for end in ends:
                _close(end, how)
            self._open -= ends


async def _pass_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, most: int | None, passed: bytearray | None = None
) -> bool:
    """Pass on until the source ends, or `most` bytes were passed (0: the first came); whether it was the latter."""
    left = most
    try:
        if left == 0:
            return bool(await source.read(1))
        while chunk := await source.read(_CHUNK if left is None else min(_CHUNK, left)):
            if passed is not None:
                passed += chunk
            target.write(chunk)
            await target.drain()
            if left is not None and (left := left - len(chunk)) == 0:
                return True
    except ConnectionError:
        pass
    return False


def _close(end: asyncio.StreamWriter, how: Break) -> None:
    connection = end.get_extra_info("socket")
    if how is Break.RESET and connection is not None and not end.is_closing():
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        end.transport.abort()
    end.close()

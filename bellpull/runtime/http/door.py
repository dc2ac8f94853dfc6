"""Where connections come in: accepted, counted, TLS agreed on, watched, closed when they are silent for too long.

Connections are accepted here and not by asyncio's server, because a connection has to count, and its clock has to
run, before there is TLS: asyncio tells of it only after. What HTTP is made of them is aiohttp's; this stands between
it and the transport, passes on what both say, and looks at nothing but when something came. One timer looks at all
connections twice a second, so that a request costs no timer.

Whoever is closed for silence is cut off without a goodbye: one that does not listen would keep us in it.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from aiohttp import StreamReader
from aiohttp.http_exceptions import BadHttpMessage

from bellpull.runtime.address import Address
from bellpull.runtime.http.callers import Caller, Callers, Limits
from bellpull.runtime.logs import logger

__all__ = ["Connection", "Context", "Door", "beside", "listening"]

Context = Callable[[], ssl.SSLContext]
"""Gives the certificate as of now."""

_LOOK_S: Final = 0.5
_TELL_S: Final = 60.0
_BACKLOG: Final = 1024
_GOODBYE_S: Final = 1.0
"""How long TLS may take to end; it is not waited for by anybody."""
_MAX_HEAD: Final = 64 * 1024
"""Bytes of a head; a read may bring more at once."""
_MAX_AROUND: Final = 256 * 1024
"""Bytes of sizes and extensions of chunks and a trailer, beyond as many as the body has: what one read may bring."""
_COMPLETE: Final = -(2**62)
"""Stands for a head that is complete, and not begun to be worked on yet."""
_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_FULL_S: Final = 0.2
_FULL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log: Final = logger("http")


class Connection(Caller, asyncio.Protocol):
    """One connection, between its transport and what makes HTTP of it."""

    __slots__ = (
        "_around_bytes",
        "_body",
        "_clock",
        "_door",
        "_head_bytes",
        "_inner",
        "_opening",
        "_transport",
        "_unreadable",
    )

    def __init__(self, door: "Door", inner: asyncio.Protocol, address: str) -> None:
        self._clock = asyncio.get_running_loop().time
        super().__init__(address, door.limits, self._clock())
        self._door = door
        self._inner = inner
        self._opening: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._body: StreamReader | None = None
        self._unreadable = False
        self._head_bytes = 0
        self._around_bytes = 0

    def opens(self, opening: asyncio.Task[None]) -> None:
        """Be told of the task that ends when there is a transport."""
        self._opening = opening

    def cut(self) -> None:
        """Close it now; what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()
        elif self._opening is not None:
            self._opening.cancel()

    def begin(self, body: StreamReader) -> None:
        """Note that a request is being worked on."""
        self._door.callers.begin(self, self._clock())
        self._body, self._around_bytes = body, 0
        if self._unreadable:
            self._give_up()

    def end(self) -> None:
        """Note that it was answered."""
        self._head_bytes = _COMPLETE if _queued(self._inner) else 0
        self._door.callers.end(self, self._clock())

    def vouch(self) -> None:
        """Note that a request of it was authentic."""
        self._door.callers.vouch(self)

    @property
    def limits(self) -> Limits:
        """What it is given."""
        return self._door.limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Pass it on."""
        self._transport, self._opening = cast("asyncio.Transport", transport), None
        self._door.connected[self._inner] = self
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on, and note when a head began; nothing is passed on after what could not be read.

        aiohttp would keep an error, with a copy of what came, for each piece that comes after the first.
        """
        if self._unreadable:
            return
        if self.head_since is None and not self.asking:
            self.head_since = self._clock()
        self._inner.data_received(data)
        queued = _queued(self._inner)
        if queued and not hasattr(queued[-1][0], "headers"):  # what came last could not be read
            self._unreadable = True
            self._give_up()
        elif queued:
            self._head_bytes = _COMPLETE
        elif not self.asking and (self._body is None or self._body.is_eof()):
            self._lengthen_head(len(data))
        elif self._body is not None and not self._body.is_eof():
            self._around_bytes += len(data)
            if self._around_bytes > _MAX_AROUND + 2 * self._body.total_bytes:
                self._unreadable = True
                self._give_up()

    def _lengthen_head(self, by: int) -> None:
        """Count what came of a head that is not complete, and refuse one that is too long: aiohttp keeps it all."""
        self._head_bytes += by
        if self._head_bytes > _MAX_HEAD and self._transport is not None:
            self._unreadable = True
            self._transport.write(_TOO_LONG)
            self._transport.close()

    def _give_up(self) -> None:
        """Tell who waits for the rest of a body that it does not come: aiohttp does not."""
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(BadHttpMessage("the body is not framed as HTTP wants it"))

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, and be forgotten."""
        self._door.connected.pop(self._inner, None)
        self._door.callers.remove(self)
        self._inner.connection_lost(exc)


def _queued(inner: asyncio.Protocol) -> Sequence[Any]:
    """Return the requests that aiohttp has yet to answer, each with its body; an error stands in its place."""
    queued: Sequence[Any] = getattr(inner, "_messages", ())
    return queued


class Door:
    """Accepts what comes to one listener.

    Args:
        name: of the listener.
        make: makes what a connection's bytes go to.
        limits: what callers are given.
        tls: gives the certificate; none without TLS.
    """

    def __init__(
        self, name: str, make: Callable[[], asyncio.Protocol], limits: Limits, tls: Context | None = None
    ) -> None:
        self.limits = limits
        self.callers: Callers[Connection] = Callers(limits)
        self.connected: dict[object, Connection] = {}
        self._name = name
        self._make = make
        self._tls = tls
        self._closed: Counter[str] = Counter()

    async def accept(self, at: socket.socket, tasks: asyncio.TaskGroup) -> None:
        """Let in who comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(at)
            except OSError as error:
                if error.errno in _FULL:
                    _log.error("no connection can be accepted", listener=self._name, problem=str(error))
                    await asyncio.sleep(_FULL_S)
                continue
            connection = Connection(self, self._make(), address[0])
            if (victim := self.callers.add(connection)) is not None:
                self._close(victim, "crowded")
            if victim is connection:
                self.callers.remove(connection)
                accepted.close()
            else:
                connection.opens(tasks.create_task(self._open(connection, accepted)))
            await asyncio.sleep(0)  # who has to go is gone before the next comes in: each has a file open

    async def watch(self) -> None:
        """Close who is silent for too long, until cancelled."""
        loop = asyncio.get_running_loop()
        tell_at = loop.time() + _TELL_S
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            for connection in self.callers.overdue(now):
                self._close(connection, "silent")
            if self._closed and now >= tell_at:
                _log.warning("connections closed", listener=self._name, **self._closed)
                self._closed.clear()
                tell_at = now + _TELL_S

    def _close(self, connection: Connection, why: str) -> None:
        self._closed[why] += 1
        connection.cut()

    async def _open(self, connection: Connection, accepted: socket.socket) -> None:
        """Begin with what was accepted, after TLS was agreed on."""
        loop = asyncio.get_running_loop()
        try:
            if self._tls is None:
                await loop.connect_accepted_socket(lambda: connection, accepted)
            else:
                await loop.connect_accepted_socket(
                    lambda: connection,
                    accepted,
                    ssl=self._tls(),
                    ssl_handshake_timeout=self.limits.head_s,
                    ssl_shutdown_timeout=_GOODBYE_S,
                )
        except OSError:
            self._closed["failed to begin"] += 1
            self.callers.remove(connection)
        except asyncio.CancelledError:
            self.callers.remove(connection)
            raise


async def listening(address: Address, name: str) -> list[socket.socket]:
    """Return what listens at `address`: one socket for each address its host has.

    Raises:
        OSError: the address cannot be listened at; the message names the listener `name`.
    """
    loop = asyncio.get_running_loop()
    sockets: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, where in dict.fromkeys((family, where[:2]) for family, _, _, _, where in found):
            sockets.append(socket.create_server(where, family=family, backlog=_BACKLOG))
    except OSError as error:
        for each in sockets:
            each.close()
        message = f"the listener {name} cannot have {address}: {error.strerror or error}"
        raise OSError(error.errno, message) from None
    for each in sockets:
        each.setblocking(False)
    return sockets


@asynccontextmanager
async def beside() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a group whose tasks end with the context; an error of the context comes out as it is, in no group."""
    failed: BaseException | None = None
    async with asyncio.TaskGroup() as tasks:
        try:
            yield tasks
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed = error
    if failed is not None:
        raise failed

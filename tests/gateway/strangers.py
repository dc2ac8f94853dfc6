"""Who connects and wastes time: real sockets, each telling when it was hung up on."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

__all__ = [
    "KINDS",
    "PATIENCE_S",
    "WRONG",
    "Line",
    "crowd",
    "says_nothing",
    "sends_its_body_slowly",
    "sends_its_head_slowly",
]

PATIENCE_S: Final = 40.0
_PACE_S: Final = 1.0
WRONG: Final = (
    b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n\r\n{}"
)
_SLOW_HEAD: Final = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 200
_BODY: Final = (
    b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
)


class Line(asyncio.Protocol):
    """A connection as the stranger has it, who asks for a host `name`."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.answered = asyncio.Event()
        self.lost = asyncio.Event()
        self.transport = asyncio.Transport()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, data: bytes) -> None:
        """Send what is sent to a host `x`."""
        self.transport.write(data.replace(b"Host: x", b"Host: " + self.name))

    def data_received(self, _: bytes) -> None:
        self.answered.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


Kind = Callable[[Line], Awaitable[None]]


async def says_nothing(_: Line) -> None:
    """Connects."""


async def sends_its_head_slowly(line: Line) -> None:
    """Sends a byte a second, and never the end."""
    await _trickle(line, _SLOW_HEAD)


async def sends_its_body_slowly(line: Line) -> None:
    """The same, after a head."""
    line.send(_BODY)
    await _trickle(line, b"{" * 900)


async def stays_after_its_answer(line: Line) -> None:
    """Asks something, is answered, and keeps the connection."""
    line.send(WRONG)
    await line.answered.wait()


async def begins_again_slowly(line: Line) -> None:
    """Asks something, is answered, and sends its next head slowly."""
    await stays_after_its_answer(line)
    await _trickle(line, _SLOW_HEAD)


KINDS: Final[tuple[Kind, ...]] = (
    says_nothing,
    sends_its_head_slowly,
    sends_its_body_slowly,
    stays_after_its_answer,
    begins_again_slowly,
)


async def crowd(
    address: str,
    each: int,
    *,
    kinds: Sequence[Kind] = KINDS,
    tls: ssl.SSLContext | None = None,
    name: str = "",
) -> dict[str, list[float]]:
    """Send so many strangers of each kind at once; return for each kind when its connections ended, in seconds.

    Args:
        address: where to.
        each: how many of each kind.
        kinds: which.
        tls: what they agree on first.
        name: of the host they ask for, where that is not the address.
    """
    ended: dict[str, list[float]] = {kind.__name__: [] for kind in kinds}
    async with asyncio.TaskGroup() as tasks:
        for _ in range(each):
            for kind in kinds:
                tasks.create_task(_one(kind, address, tls, name, ended[kind.__name__]))
    return ended


async def _one(kind: Kind, address: str, tls: ssl.SSLContext | None, name: str, ended: list[float]) -> None:
    loop = asyncio.get_running_loop()
    host, _, port = address.rpartition(":")
    begun = loop.time()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        try:
            _, line = await loop.create_connection(
                lambda: Line(name or host), host, int(port), ssl=tls, server_hostname=(name or host) if tls else None
            )
        except ConnectionError:  # hung up on before it could say anything
            ended.append(loop.time() - begun)
            return
        acting = tasks.create_task(_act(kind, line))
        try:
            await line.lost.wait()
        finally:
            acting.cancel()
            line.transport.abort()
    ended.append(loop.time() - begun)


async def _act(kind: Kind, line: Line) -> None:
    await kind(line)


async def _trickle(line: Line, data: bytes) -> None:
    for byte in data:
        line.transport.write(bytes([byte]))
        await asyncio.sleep(_PACE_S)

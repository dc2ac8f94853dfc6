"""A load generator: connections that send the next push as soon as the last one was answered.

Run as `python -m tests.bench.load HOST PORT`, a process of its own, so that the server has a core to itself. It
speaks just enough HTTP/1.1 for answers that have a length, and says what it saw as one JSON object.
"""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from time import perf_counter
from typing import Final, cast

import orjson
import uvloop

from tests.bench.figure import percentile
from tests.bench.pushes import request

__all__ = ["CONNECTIONS", "Seen", "generate"]

CONNECTIONS: Final = 32
_WARM_UP_S: Final = 1.0
_MEASURED_S: Final = 3.0
_LENGTH: Final = b"\r\ncontent-length: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Answers in all, a second, their times in milliseconds, and statuses other than 202 (0: hung up)."""

    answered: int

    rate: float
    p50_ms: float
    p99_ms: float
    refused: tuple[int, ...] = ()


@dataclass(slots=True)
class _Round:
    """What all connections share; only what is answered between `begin` and `end` counts."""

    numbers: Iterator[int]
    sender: str
    begin: float
    end: float
    answered: int = 0
    times: list[float] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)


class _Sender(asyncio.Protocol):
    """One connection."""

    def __init__(self, shared: _Round, done: "asyncio.Future[None]") -> None:
        self._shared = shared
        self._done = done
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < _length(head):
            return
        now = perf_counter()
        self._buffer = b""
        self._shared.answered += 1
        if not head.startswith(b"HTTP/1.1 202 "):
            self._shared.refused.add(int(head[9:12]))
        if self._shared.begin <= now < self._shared.end:
            self._shared.times.append(now - self._sent)
        if now < self._shared.end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if perf_counter() < self._shared.end:
            self._shared.refused.add(0)
        self._done.set_result(None)

    def _send(self) -> None:
        data = request(next(self._shared.numbers), self._shared.sender)
        self._sent = perf_counter()
        self._transport.write(data)


def _length(head: bytes) -> int:
    return int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])


async def generate(host: str, port: int, *, warm_up_s: float = _WARM_UP_S, measured_s: float = _MEASURED_S) -> Seen:
    """Send for `warm_up_s`, then count for `measured_s` seconds."""
    loop = asyncio.get_running_loop()
    begin = perf_counter() + warm_up_s
    shared = _Round(count(), secrets.token_hex(6), begin, begin + measured_s)
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(CONNECTIONS)]
    for end in ends:
        await loop.create_connection(lambda end=end: _Sender(shared, end), host, port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    return Seen(
        answered=shared.answered,
        rate=len(shared.times) / measured_s,
        p50_ms=percentile(shared.times, 50) * 1000,
        p99_ms=percentile(shared.times, 99) * 1000,
        refused=tuple(sorted(shared.refused)),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seen = runner.run(generate(sys.argv[1], int(sys.argv[2])))
    sys.stdout.buffer.write(orjson.dumps(asdict(seen)))

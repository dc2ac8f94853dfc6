"""Reading the bodies that strangers send, within bounds: of size, of time, and of what all of them hold at once.

Bodies up to `SMALL` bytes, which is all but a few pushes, have a budget of their own that larger ones cannot use up
(R41). What counts is what came, not what was announced: a sender that claims much and sends nothing holds nothing.

When there is no room for what comes, somebody who is still sending makes it: of those that hold much, whose bytes
come slowest. So whoever holds memory and does not go on cannot keep out those who come later. A body that is whole
is never given up for another.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from aiohttp import ClientPayloadError, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.core.receive import Rejected

__all__ = ["MAX_BODY", "SMALL", "Body", "Bounds", "Intake", "slowest"]

MAX_BODY: Final = 25 * 1024 * 1024
"""GitHub's own limit; it sends nothing larger."""
SMALL: Final = 256 * 1024
_TICK_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is taken.

    Attributes:
        size: bytes of one body.
        small_held: bytes of all bodies up to `SMALL` that are being read or worked on.
        large_held: the same for larger ones.
        within_s: seconds a body may take in all: the sender has given up by then (GitHub after ten).
        grace_s: seconds before a sender must have kept up `rate`.
        rate: bytes a second.
    """

    size: int = MAX_BODY
    small_held: int = 32 * 1024 * 1024
    large_held: int = 96 * 1024 * 1024
    within_s: float = 10.0
    grace_s: float = 5.0
    rate: float = 32 * 1024

    def allowed_s(self, received: int) -> float:
        """Return how long `received` bytes may have taken."""
        return min(self.within_s, max(self.grace_s, received / self.rate))


class Body:
    """One body: the bytes that came of it count as held while the context lasts."""

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake
        self._chunks: list[bytes] = []
        self._size = 0
        self._begun = 0.0
        self._limit: asyncio.Timeout | None = None
        self._evicted = False

    def __enter__(self) -> Self:
        """Hold nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what was held."""
        self._intake.coming.discard(self)
        self._give_back()

    @property
    def size(self) -> int:
        """How many bytes of it came."""
        return self._size

    def rate(self, now: float) -> float:
        """Return how many bytes a second came of it until `now`, by the loop's clock."""
        return self._size / max(now - self._begun, _TICK_S)

    def evict(self) -> None:
        """Give up what came of it, and refuse the rest; only while it is being waited for."""
        self._evicted = True
        self._intake.coming.discard(self)
        self._give_back()
        self._chunks, self._size = [], 0
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(self._begun)

    async def read(self, request: web.Request) -> bytes | Rejected:
        """Return the body, or why it was not read to its end. What came with the head already needs no clock."""
        if request.content_length is not None and request.content_length > self._intake.bounds.size:
            return self._too_large()
        if request.content.is_eof():
            refused = self._add(request.content.read_nowait())
        else:
            refused = await self._wait(request.content)
            self._intake.coming.discard(self)
        return refused or b"".join(self._chunks)

    async def _wait(self, content: StreamReader) -> Rejected | None:
        clock, bounds = asyncio.get_running_loop(), self._intake.bounds
        self._begun = clock.time()
        try:
            async with asyncio.timeout(min(bounds.grace_s, bounds.within_s)) as self._limit:
                self._intake.coming.add(self)
                async for chunk in content.iter_any():
                    if content.is_eof():
                        self._intake.coming.discard(self)
                    if (refused := self._add(chunk)) is not None:
                        return refused
                    self._limit.reschedule(self._begun + bounds.allowed_s(self._size))
        except TimeoutError:
            return _CROWDED if self._evicted else _rejected(408, "the body came too slowly")
        except ConnectionError:
            return _rejected(400, "the sender hung up before the body was whole")
        except (ClientPayloadError, HttpProcessingError):
            return _rejected(400, "the body is not framed as HTTP wants it")
        return None

    def _add(self, chunk: bytes) -> Rejected | None:
        """Take `chunk`, unless it came too late."""
        return _CROWDED if self._evicted else self._take(chunk)

    def _take(self, chunk: bytes) -> Rejected | None:
        """Take `chunk` into the budget that the body's size now belongs to, and make room if there is none."""
        self._give_back()
        self._chunks.append(chunk)
        self._size += len(chunk)
        large = self._size > SMALL
        self._intake.held[large] += self._size
        if self._size > self._intake.bounds.size:
            return self._too_large()
        self._intake.make_room(large=large)
        return _CROWDED if self._evicted or self._intake.held[large] > self._intake.room[large] else None

    def _give_back(self) -> None:
        self._intake.held[self._size > SMALL] -= self._size

    def _too_large(self) -> Rejected:
        return _rejected(413, f"the body is larger than {self._intake.bounds.size} bytes")


class Intake:
    """Takes bodies; one for all requests of a listener."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.room = {False: self.bounds.small_held, True: self.bounds.large_held}
        self.held = {False: 0, True: 0}
        self.coming: set[Body] = set()
        """Those of which more is waited for."""

    def make_room(self, *, large: bool) -> None:
        """Evict who is still sending until what is held fits, or nobody is left who could go."""
        while self.held[large] > self.room[large]:
            now = asyncio.get_running_loop().time()
            victim = slowest((body for body in self.coming if (body.size > SMALL) is large), now)
            if victim is None:
                return
            victim.evict()

    def body(self) -> Body:
        """Return what the next body is read into, a context."""
        return Body(self)


def slowest(bodies: Iterable[Body], now: float) -> Body | None:
    """Return who is to make room: the slowest of those bodies that hold at least half of what one holds on average.

    Whoever holds little would make little room, and one that has just begun has not been slow.
    """
    holding = [body for body in bodies if body.size]
    if not holding:
        return None
    much = sum(body.size for body in holding) / len(holding) / 2
    return min((body for body in holding if body.size >= much), key=lambda body: body.rate(now))


def _rejected(status: int, reason: str) -> Rejected:
    return Rejected(status=status, reason=reason, told=reason)


_CROWDED: Final = _rejected(503, "too much is being received at once, come again")

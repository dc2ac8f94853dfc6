"""Reading the bodies that strangers send, within bounds: of size, of time, and of what all of them hold at once.

Bodies up to `SMALL` bytes, which is all but a few pushes, have a budget of their own that larger ones cannot use up
(R41). What counts is what came, not what was announced: a sender that claims much and sends nothing holds nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.core.receive import Rejected

__all__ = ["MAX_BODY", "SMALL", "Bounds", "Intake"]

MAX_BODY: Final = 25 * 1024 * 1024
"""GitHub's own limit; it sends nothing larger."""
SMALL: Final = 256 * 1024


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


class _Held:
    """The bytes of one body, counted in the budget that its size belongs to."""

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake
        self.body = bytearray()

    def add(self, chunk: bytes) -> bool:
        """Take `chunk`, and say whether there was room for it."""
        self.give_back()
        self.body += chunk
        self._intake.held[self._large] += len(self.body)
        return self._intake.held[self._large] <= self._intake.room[self._large]

    def give_back(self) -> None:
        self._intake.held[self._large] -= len(self.body)

    @property
    def _large(self) -> bool:
        return len(self.body) > SMALL


class Intake:
    """Reads bodies; one for all requests of a listener."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.room = {False: self.bounds.small_held, True: self.bounds.large_held}
        self.held = {False: 0, True: 0}

    @asynccontextmanager
    async def body(self, request: web.Request) -> AsyncIterator[bytes | Rejected]:
        """Yield the body, or why it was not read to its end; its bytes count as held until the context ends."""
        if request.content_length is not None and request.content_length > self.bounds.size:
            yield self._too_large()
            return
        held = _Held(self)
        try:
            yield await self._read(request, held) or bytes(held.body)
        finally:
            held.give_back()

    async def _read(self, request: web.Request, held: _Held) -> Rejected | None:
        clock = asyncio.get_running_loop()
        begun = clock.time()
        try:
            async with asyncio.timeout(min(self.bounds.grace_s, self.bounds.within_s)) as limit:
                async for chunk in request.content.iter_any():
                    room = held.add(chunk)
                    if len(held.body) > self.bounds.size:
                        return self._too_large()
                    if not room:
                        return _rejected(503, "too much is being received at once, come again")
                    limit.reschedule(begun + self._allowed_s(len(held.body)))
        except TimeoutError:
            return _rejected(
                408, f"the body came too slowly ({len(held.body)} bytes in {clock.time() - begun:.0f} s)"
            )
        except ConnectionError:
            return _rejected(400, f"the sender hung up after {len(held.body)} bytes")
        except (ClientPayloadError, HttpProcessingError):
            return _rejected(400, "the body is not framed as HTTP wants it")
        return None

    def _allowed_s(self, received: int) -> float:
        """Return how long `received` bytes may have taken."""
        return min(self.bounds.within_s, max(self.bounds.grace_s, received / self.bounds.rate))

    def _too_large(self) -> Rejected:
        return _rejected(413, f"the body is larger than {self.bounds.size} bytes")


def _rejected(status: int, reason: str) -> Rejected:
    return Rejected(status=status, reason=reason, told=reason)

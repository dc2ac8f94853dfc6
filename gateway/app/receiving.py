"""Receiving what was read: small deliveries together with all others of the loop's turn, large ones apart.

Verifying and decoding a small one takes less time than handing it to anybody else would. A large one would hold up
the others (R41).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bellpull.runtime.clock import utc_now
from bellpull.runtime.turn import Turn
from gateway.app.intake import SMALL
from gateway.core.receive import Outcome, Source, receive
from gateway.core.request import Request

__all__ = ["Large", "Receiving"]

Large = Callable[[Request, Source], Awaitable[Outcome]]
"""Receives bodies beyond `SMALL`, without holding up the others."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A delivery that waits for its turn."""

    delivery: Request
    source: Source
    outcome: "asyncio.Future[Outcome]"


class Receiving:
    """Receives deliveries.

    Args:
        large: for large ones; a thread where it is not said.
    """

    def __init__(self, large: Large | None = None) -> None:
        self._large = large or _in_thread
        self._turn: Turn[_Waiting] = Turn(_receive)

    async def receive(self, delivery: Request, source: Source) -> Outcome:
        """Return what becomes of a delivery to `source`."""
        if len(delivery.body) > SMALL:
            return await self._large(delivery, source)
        waiting = _Waiting(delivery, source, asyncio.get_running_loop().create_future())
        self._turn.add(waiting)
        return await waiting.outcome


def _receive(turn: list[_Waiting]) -> None:
    """Receive what came in one turn; if that should raise, who still waits is cancelled rather than left waiting."""
    now = utc_now()
    try:
        for each in turn:
            if not each.outcome.done():
                each.outcome.set_result(receive(each.delivery, each.source, now))
    finally:
        for each in turn:
            each.outcome.cancel()


async def _in_thread(delivery: Request, source: Source) -> Outcome:
    return await asyncio.to_thread(receive, delivery, source, utc_now())

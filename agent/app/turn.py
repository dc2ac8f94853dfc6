"""What a run knows of the inbox that started it: it may stand aside, and hears when there is something else to do."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

from bellpull.runtime.clock import utc_now

__all__ = ["Turn"]

_LONGEST_PAUSE_S: Final = 60.0
"""The clock may be set: look at it now and then."""


class Turn:
    """One run's turn.

    Args:
        aside: is called, in the loop, once the run needs no slot any more, as it only waits.
        until: when it is to end, if it only waits for health, to look at Git.
    """

    def __init__(self, aside: Callable[[], None], until: datetime) -> None:
        self.aside = aside
        self._until = until
        self._sooner = asyncio.Event()

    def stir(self, at: datetime) -> None:
        """There is something else to do, from `at` on."""
        if at < self._until:
            self._until = at
            self._sooner.set()

    async def stirred(self) -> None:
        """Return once there is something else to do."""
        while (left_s := (self._until - utc_now()).total_seconds()) > 0:
            self._sooner.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _LONGEST_PAUSE_S)):
                    await self._sooner.wait()

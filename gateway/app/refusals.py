"""What is done about refused deliveries: listed, kept, logged sparingly, and answered 429 where they are too many.

Nothing here is asked before a delivery was refused, so what is authentic neither waits nor pays for it (R40). The
list is in memory; what changed of it is written at most once a second, and a state that cannot be written costs what
came since, never an answer. After a crash the last second of it is missing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from time import monotonic
from typing import Any, Final, Self

from bellpull.runtime.clock import utc_now
from bellpull.runtime.logs import logger
from bellpull.runtime.origin import origin
from bellpull.runtime.sparing import SparingLog
from gateway.core.failures import LIMITED, Failures
from gateway.core.rejections import Refusal, Rejection, Rejections
from gateway.ports.state import State, StateError

__all__ = ["Refusals", "Told"]

_WRITE_S: Final = 1.0
_TOO_MANY: Final = "too many requests were refused here, come again later"

_log = logger("gateway.hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the sender is told: a status, a sentence, and in how many seconds to come again where that is said."""

    status: int
    told: str
    retry_after_s: int | None = None


class Refusals:
    """All that were refused at the hooks listener.

    Args:
        rejections: the list; an empty one where it is not said.
    """

    def __init__(self, rejections: Rejections | None = None) -> None:
        self.log = SparingLog(_log)
        self._rejections = Rejections() if rejections is None else rejections
        self._failures = Failures()

    @classmethod
    @asynccontextmanager
    async def open(cls, state: State) -> AsyncIterator[Self]:
        """Begin with what `state` has; at the end it is given what changed.

        Raises:
            DiskFailed: the state cannot be read.
        """
        self = cls(Rejections(await state.rejections()))
        try:
            yield self
        finally:
            await self.keep(state, utc_now())

    def note(self, refusal: Refusal, told: str, now: datetime) -> Told:
        """List a refusal, and return what its sender is told: `told`, or to come later."""
        self._rejections.refuse(refusal, now)
        wait_s = self._failures.fail(refusal.address, monotonic()) if refusal.status in LIMITED else None
        if wait_s is None:
            return Told(status=refusal.status, told=told)
        return Told(status=429, told=_TOO_MANY, retry_after_s=ceil(wait_s))

    def say(self, refusal: Refusal, event: str, **fields: Any) -> None:
        """Log a refusal, unless one like it was logged within a minute."""
        like = (refusal.source, origin(refusal.address), refusal.reason)
        self.log.note(event, *like, **fields | {"reason": refusal.reason, "remote": refusal.address})

    def newest(self, most: int) -> tuple[list[Rejection], int]:
        """Return the rows refused last, the last one first, and how many more there are."""
        rows = self._rejections.newest(most)
        return rows, len(self._rejections) - len(rows)

    async def run(self, state: State) -> None:
        """Keep the list in `state`, for ever."""
        while True:
            await asyncio.sleep(_WRITE_S)
            await self.keep(state, utc_now())

    async def keep(self, state: State, now: datetime) -> None:
        """Let go of old rows, and write what changed; what cannot be written now is written the next time."""
        self._rejections.expire(now)
        changes = self._rejections.changes()
        if not changes:
            return
        try:
            await state.keep_rejections(changes)
        except StateError as error:
            self.log.note("rejections are not kept", problem=str(error))
        else:
            self._rejections.kept(changes)

"""Taking a gateway away for good: it takes no more pushes, and is done when RabbitMQ has what it took (R7).

It is asked for by a file in its folder, which only its own user can make, in whatever container; a start takes the
file away, so that a gateway that comes back takes pushes. For a grace period it goes on taking them with `/readyz`
503, so that balancers notice; then a push is answered 503. It does not end by itself, as it would be started anew.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from bellpull.contract.message import Message
from bellpull.contract.text import Name
from bellpull.runtime.logs import logger
from bellpull.runtime.reload import Watcher
from gateway.ports.journal import JournalError, Stored
from gateway.ports.outgoing import Outgoing

__all__ = ["FILE", "Accepts", "Drain"]

FILE: Final = "drain"
"""In the gateway's folder; asks for it by being there."""
_log = logger("gateway")


class Accepts(Protocol):
    """Where pushes go; see `gateway.ports.journal.Journal.accept`."""

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        """Write them."""
        ...


class Drain:
    """The journal's way in, which closes some time after it was begun.

    Args:
        journal: what is behind it.
        outgoing: what waits to leave.
        grace: from the beginning to the closing.
    """

    def __init__(self, journal: Accepts, outgoing: Outgoing, grace: timedelta) -> None:
        self._journal = journal
        self._outgoing = outgoing
        self._grace_s = grace.total_seconds()
        self._closes: float | None = None
        self._inside = 0

    @property
    def is_begun(self) -> bool:
        """Whether it was."""
        return self._closes is not None

    def begin(self) -> None:
        """Begin; once begun it stays so."""
        if self._closes is None:
            self._closes = asyncio.get_running_loop().time() + self._grace_s
            _log.info("draining")

    async def follow(self, folder: Path, watcher: Watcher) -> None:
        """Begin as soon as the file is in `folder`; one that is there already was meant for an earlier start."""
        path = folder / FILE
        await asyncio.to_thread(path.unlink, missing_ok=True)
        asked = await asyncio.to_thread(watcher.watch, "drain", [path], path.exists)
        asked.on_change(lambda: self.begin() if asked.value else None)

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        """Write what is accepted, while it is open (see the port)."""
        if self._is_closed():
            raise JournalError("the gateway is being drained")
        self._inside += 1
        try:
            return await self._journal.accept(
                messages, source=source, delivery=delivery, body_digest=body_digest, now=now
            )
        finally:
            self._inside -= 1

    async def look(self) -> tuple[int, bool]:
        """Return how many events wait, and whether that is all there will ever be and none is left."""
        nothing_comes = self._is_closed() and not self._inside
        left = await self._outgoing.left()
        return left, nothing_comes and not left

    def _is_closed(self) -> bool:
        return self._closes is not None and asyncio.get_running_loop().time() >= self._closes

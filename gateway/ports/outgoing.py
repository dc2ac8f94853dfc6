"""What of the journal waits for the broker; remembered on disk, so that a restart goes on where it stopped (P1)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from gateway.core.sending import Row, Settled
from gateway.ports.journal import Row as Event

__all__ = ["Outgoing"]


class Outgoing(Protocol):
    """The rows that wait. Methods never block the loop."""

    async def waiting(self, after: int) -> tuple[Row, ...]:
        """Return some of the rows that wait beyond number `after`, by number; none if there are no more."""
        ...

    async def parked(self) -> tuple[Row, ...]:
        """Return the rows that are never sent again."""
        ...

    async def left(self) -> int:
        """Return how many rows wait, on disk: those that are being sent too, those that are parked not."""
        ...

    async def events(self, numbers: Sequence[int]) -> tuple[Event, ...]:
        """Return the rows of `numbers` with all that is in them.

        One that is kept no longer, or cannot be read, is left out.
        """
        ...

    async def settle(self, settled: Sequence[Settled], now: datetime) -> None:
        """Write down what waits no longer; for what is gone, all are told to look at everything.

        Raises:
            JournalError: it cannot be written now; it is to be tried again.
        """
        ...

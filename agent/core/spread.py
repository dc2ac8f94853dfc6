"""When to act on what the gateway says, where many agents hear the same or it says it again and again (R29).

A spread is a hint like all else: beyond `LONGEST_SPREAD_S` it is taken for that. Being told to look at everything,
which no allowance limits, is followed once in `RESYNC_EVERY` for each Sync; what comes sooner is put off, never left
out. Chance is an argument, from 0 to 1.
"""

from datetime import datetime, timedelta
from typing import Final

from bellpull.contract.event import LONGEST_SPREAD_S
from bellpull.contract.text import SyncName

__all__ = ["RESYNC_EVERY", "RESYNC_SPREAD", "Resyncs", "spread_to"]

RESYNC_SPREAD: Final = timedelta(seconds=2)
"""Over which agents spread that were all told to look at everything."""
RESYNC_EVERY: Final = timedelta(seconds=30)


def spread_to(now: datetime, spread_s: float, chance: float) -> datetime:
    """Return when to act on an event that came at `now` with this spread."""
    return now + timedelta(seconds=min(max(spread_s, 0.0), LONGEST_SPREAD_S) * chance)


class Resyncs:
    """What the gateway made this agent look at again, and when."""

    def __init__(self) -> None:
        self._last: dict[SyncName, datetime] = {}

    def at(self, key: SyncName, now: datetime, chance: float) -> datetime:
        """Return when to look at `key`, the gateway having said so at `now`."""
        last = self._last.get(key)
        if last is None or now >= last + RESYNC_EVERY:
            self._last[key] = last = now + RESYNC_SPREAD * chance
            return last
        if now >= last:
            self._last[key] = last = last + RESYNC_EVERY
        return last

"""When a heartbeat is due, and of which sort (R23).

A digest every 30 s with jitter, so that a thousand agents never speak at once; the full state when it changed (at
most once in 5 s), when the gateway asks for it, and every 10 min, so that a reader who missed everything is right
again within one round.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Self

__all__ = ["Beat", "Pulse"]

_DIGEST: Final = timedelta(seconds=30)
_SPREAD: Final = 0.2
_FULL_AT_MOST: Final = timedelta(seconds=5)
_FULL_AT_LEAST: Final = timedelta(minutes=10)


class Beat(StrEnum):
    """The two sorts of heartbeat."""

    DIGEST = "digest"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What the next heartbeat hangs on. A new one owes the full state at once."""

    digest_due: datetime | None = None
    full_at: datetime | None = None
    owed: bool = True

    def owe(self) -> Self:
        """The state changed, or the gateway asked for all of it."""
        return replace(self, owed=True)

    def due(self, now: datetime) -> Beat | None:
        """Return what is due at `now`."""
        if now >= self._full_due(now):
            return Beat.FULL
        if self.digest_due is not None and now >= self.digest_due:
            return Beat.DIGEST
        return None

    def next_due(self, now: datetime) -> datetime:
        """Return when something is due, unless the state changes before."""
        full = self._full_due(now)
        return full if self.digest_due is None else min(full, self.digest_due)

    def sent(self, beat: Beat, now: datetime, chance: float) -> Self:
        """`beat` was made at `now`; `chance` from 0 to 1 places the next digest within its spread."""
        due = now + _DIGEST * (1 - _SPREAD + 2 * _SPREAD * chance)
        if beat is Beat.DIGEST:
            return replace(self, digest_due=due)
        return replace(self, digest_due=due, full_at=now, owed=False)

    def _full_due(self, now: datetime) -> datetime:
        if self.full_at is None:
            return now
        return self.full_at + (_FULL_AT_MOST if self.owed else _FULL_AT_LEAST)

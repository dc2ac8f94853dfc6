"""How much a file may hold, and when its oldest rows have to go.

A file has a limit of its own, well below the disk, so that nothing else meets a full disk because of it. Rows go from
nine tenths of it on: what is freed is used again, so the file does not grow beyond the limit, and what comes while
rows go finds room. Where the disk is full all the same, what the file has is all it gets (`Room.cap`), and the
same rule holds within that.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

__all__ = ["MIN_BYTES", "RESERVE", "Limits", "Room"]

MIN_BYTES: Final = 16 * 1024 * 1024
"""The least limit: a tenth of it is more than one group of writes needs."""
RESERVE: Final = 16 * 1024 * 1024
"""Bytes kept aside on the disk, given up to let rows go and the log be emptied when it is full."""
_ENOUGH: Final = 4 * RESERVE
"""So much has to be free before a disk that was full counts as having room, and the reserve is made."""
_HIGH: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a file may hold: bytes, and how old rows may be; `reserve` says whether some disk is kept aside for it."""

    max_bytes: int
    keep: timedelta
    reserve: bool = False

    def oldest(self, now: datetime) -> datetime:
        """Return from when on rows are kept."""
        return now - self.keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A file, and the disk it is on, all in bytes.

    Attributes:
        limit: what the file may hold.
        size: of the file, with what is free in it.
        used: of that, what holds something.
        free: of the disk.
        refused: whether the last write was refused because something was full.
        cap: since the disk was found full, what the file may hold; none if it is not.
    """

    limit: int
    size: int = 0
    used: int = 0
    free: int = 0
    refused: bool = False
    cap: int | None = None

    @property
    def bound(self) -> int:
        """What the file may hold now."""
        return self.limit if self.cap is None else min(self.cap, self.limit)

    def is_crowded(self) -> bool:
        """Whether rows have to go."""
        return self.used > _HIGH * self.bound

    def affords_reserve(self) -> bool:
        """Whether a reserve may be made."""
        return self.cap is None and self.free >= _ENOUGH

    def settled(self) -> "Room":
        """Return it with `cap` as it has to be: the disk is full from a refused write until there is enough again.

        A write that is refused although the limit is far was refused by the disk. From then on the file may only
        grow to what its log will make of it anyhow, and a little if it is small: that fits into the reserve.
        """
        if self.cap is not None:
            return self if self.free < _ENOUGH else replace(self, cap=None)
        if self.refused and self.used <= _HIGH * self.limit:
            return replace(self, cap=max(self.size, RESERVE // 4))
        return self

    def problem(self) -> str | None:
        """Say what somebody should see to."""
        if self.cap is not None:
            goes_on = "nothing can be written" if self.refused else "the oldest events go so that new ones can come"
            return f"the disk is full ({self}): {goes_on}: make room on it"
        return f"it is full ({self}): nothing can be written" if self.refused else None

    def __str__(self) -> str:
        held = f"{_mib(self.used)} of at most {_mib(self.bound)} MiB are used"
        return f"{held}, {_mib(self.free)} MiB of the disk are free"


def _mib(count: int) -> int:
    return round(count / 1024 / 1024)

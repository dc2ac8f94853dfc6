"""What the writing thread does for its file between groups of writes: empty the log, remove old rows, keep a reserve.

All of it is done in small steps, so that no write waits long: at most `BATCH` rows go in one transaction, and a
group that waits comes in between; `gateway.adapters.removal` says which rows. What is free in the file is used
again; it never shrinks (R4).

A full disk refuses even the removal of rows and the emptying of the log, so some of it is kept aside in a file of
its own, and given up when that day comes. The log is then used again from its beginning, not given back to a disk
on which others would take it.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Final

import apsw

from gateway.adapters.meter import Meter
from gateway.adapters.removal import BATCH, Rows, oldest, remove, remove_old
from gateway.core.room import RESERVE, Limits, Room

__all__ = ["Kept", "Upkeep", "free_bytes"]

_CHECKPOINT_PAGES: Final = 1_000
_TRUNCATE_PAGES: Final = 16_384
"""64 MiB of log."""
_LOOK_PAGES: Final = 256
"""The file is looked at again after so much more log: 1 MiB."""
_IDLE_S: Final = 1.0
_SURVIVED: Final = (apsw.BusyError, apsw.FullError, apsw.ReadOnlyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a file may hold, and what goes when it is too much."""

    limits: Limits
    rows: Rows


def free_bytes(folder: Path) -> int:
    """Return how much of the disk is free."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Upkeep:
    """Keeps one file; all but the attributes is for its writing thread.

    Attributes:
        room: as it was at the last look.
        oldest: number and stored time of the oldest row; none if there is none.
        cutoff: rows stored before this time go; set from outside.
    """

    def __init__(
        self,
        path: Path,
        *,
        kept: "Kept | None" = None,
        meter: Meter | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.room = Room(limit=0 if kept is None else kept.limits.max_bytes)
        self.oldest: tuple[int, int] | None = None
        self.cutoff: int | None = None
        self.log_pages = 0
        self._folder = path.parent
        self._reserve = path.with_name(f"{path.stem}.reserve") if kept and kept.limits.reserve else None
        self._rows = None if kept is None else kept.rows
        self._meter = meter
        self._free = free
        self._page_size = 0
        self._looked_at = -_LOOK_PAGES
        self._refused = False
        self._more = False

    def figures(self, newest: Callable[[], int] | None = None) -> Mapping[str, Callable[[], float]]:
        """Return what gives the figures of the file; `newest` gives the number of its last row."""

        def rows() -> float:
            return 0 if self.oldest is None or newest is None else newest() - self.oldest[0] + 1

        shown: dict[str, Callable[[], float]] = {
            "size": lambda: self.room.size,
            "used": lambda: self.room.used,
            "limit": lambda: self.room.bound,
            "free": lambda: self.room.free,
            "log": lambda: self.log_pages * self._page_size,
            "oldest": lambda: 0 if self.oldest is None else self.oldest[1] / 1e6,
        }
        return shown if newest is None else shown | {"rows": rows}

    def give_way(self) -> None:
        """Give up the reserve if the disk is full before the file is opened, which needs a little room."""
        if self._free(self._folder) < RESERVE // 4:
            self._release()

    def attach(self, connection: apsw.Connection) -> None:
        """Begin to keep the file that `connection` writes."""
        self._page_size = int(connection.pragma("page_size"))
        connection.set_wal_hook(self._note_log)

    def patience_s(self) -> float | None:
        """Return how long the writing thread may wait for writes: none is for ever."""
        if self._more:
            return 0.0
        return _IDLE_S if self.log_pages else None

    def note(self, error: apsw.Error | None) -> None:
        """Take note of how the last group ended."""
        self._refused = isinstance(error, apsw.FullError)

    def do(self, connection: apsw.Connection, *, idle: bool) -> None:
        """Do what is due, or a part of it."""
        self._checkpoint(connection, idle=idle and not self._more)
        if idle or self._refused or abs(self.log_pages - self._looked_at) >= _LOOK_PAGES:
            self._see_to(connection)

    def _see_to(self, connection: apsw.Connection) -> None:
        if self._rows is None:
            return
        with suppress(*_SURVIVED):
            self._look(connection, self._rows)
            self._make_room(connection, self._rows)

    def _note_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self, connection: apsw.Connection, *, idle: bool) -> None:
        """Move the log into the file; a reader in the way, or a full disk, only puts it off."""
        empty = idle or self.log_pages >= _TRUNCATE_PAGES
        if not empty and self.log_pages < _CHECKPOINT_PAGES:
            return
        begun = monotonic()
        try:
            connection.wal_checkpoint(mode=self._mode(empty=empty))
        except _SURVIVED:
            return
        if empty:
            self.log_pages = 0
        if self._meter is not None:
            self._meter.checkpoint(monotonic() - begun)

    def _mode(self, *, empty: bool) -> int:
        if not empty:
            return apsw.SQLITE_CHECKPOINT_PASSIVE
        return apsw.SQLITE_CHECKPOINT_RESTART if self.room.cap is not None else apsw.SQLITE_CHECKPOINT_TRUNCATE

    def _look(self, connection: apsw.Connection, rows: Rows) -> None:
        """See how much room there is, and let the file grow to its bound only."""
        pages, unused = (int(connection.pragma(name)) for name in ("page_count", "freelist_count"))
        seen = replace(
            self.room,
            size=pages * self._page_size,
            used=(pages - unused) * self._page_size,
            free=self._free(self._folder),
            refused=self._refused,
        )
        self.room = seen.settled()
        connection.pragma("max_page_count", self.room.bound // self._page_size)
        if self.room.cap is not None:
            self._release()
        elif self.room.affords_reserve():
            self._keep_reserve()
        self._looked_at = self.log_pages
        self.oldest = oldest(connection, rows)

    def _make_room(self, connection: apsw.Connection, rows: Rows) -> None:
        """Remove rows if they are too many or too old; take note whether there may be more to do."""
        removed, self._more = 0, False
        if self.oldest is not None:
            number, time = self.oldest
            if self.room.is_crowded():
                removed = remove(connection, rows, number + BATCH)
            elif self.cutoff is not None and time < self.cutoff:
                removed = remove_old(connection, rows, number + BATCH, self.cutoff)
        if removed:
            self.oldest = oldest(connection, rows)
        self._more = removed > 0

    def _keep_reserve(self) -> None:
        """Set some of the disk aside; without it the day of need is only met worse."""
        if self._reserve is None or self._reserve.exists():
            return
        with suppress(OSError), self._reserve.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            os.posix_fallocate(file.fileno(), 0, RESERVE)

    def _release(self) -> None:
        if self._reserve is not None:
            with suppress(OSError):
                self._reserve.unlink()

"""Refused deliveries, as a list that strangers cannot make long and cannot push others out of (R40).

A row is a source, an answer and its reason, and where it came from (`origin`: an IPv6 address is its /64, which one
stranger has whole), with how often, and when first and last. Requests for sources that are not there are rows of no
source, with the name that was asked for last, so that inventing names makes no rows.

When there is no room the row goes that tells least:

- it is one of the source and status with the most rows, so that a flood of one kind, from however many addresses,
  pushes out its own kind only: thousands of wrong signatures for one source leave the 415 of another;
- of those, rows that were refused once and rows that were refused again stand in two lines, and the longer one gives
  the row that was refused least lately: addresses that are used once do not push out those that keep coming.

Rows go too when nothing was refused for `KEEP`. What is on disk is what `kept` was told; `changes` is the rest.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import nlargest
from typing import Final

from bellpull.runtime.origin import origin

__all__ = ["KEEP", "ROWS", "Changes", "Key", "Refusal", "Rejection", "Rejections", "presentable"]

ROWS: Final = 4096
KEEP: Final = timedelta(days=7)
_NAME: Final = 64
_REASON: Final = 200

Key = tuple[str, int, str, str]
"""Source, status, address, reason: what makes a row one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A delivery that was not taken.

    Attributes:
        source: its name; empty where there is none.
        asked: where there is none, which name was asked for, as it was sent.
        status: of the answer that belongs to the reason.
        address: who sent it.
        reason: in the gateway's words.
    """

    source: str
    asked: str = ""
    status: int
    address: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A row: a refusal that happened `count` times from `first` to `last`; its texts may be shown anywhere."""

    source: str
    asked: str
    status: int
    address: str
    reason: str
    count: int
    first: datetime
    last: datetime

    @property
    def key(self) -> Key:
        """What makes it one row."""
        return self.source, self.status, self.address, self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What the disk does not have yet: rows as they are now, and those that are gone."""

    put: tuple[Rejection, ...]
    gone: tuple[Key, ...]

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.put or self.gone)


class _Group:
    """The rows of one source and status, in two lines, each in the order of their last refusal."""

    def __init__(self) -> None:
        self.once: OrderedDict[Key, None] = OrderedDict()
        self.again: OrderedDict[Key, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self.once) + len(self.again)

    def place(self, row: Rejection) -> None:
        """Put a row, or one that is in here already, at the end of its line."""
        self.discard(row.key)
        (self.once if row.count == 1 else self.again)[row.key] = None

    def discard(self, key: Key) -> None:
        self.once.pop(key, None)
        self.again.pop(key, None)

    def least(self) -> Key:
        """Return which row tells least."""
        return next(iter(self.once if len(self.once) >= len(self.again) else self.again))

    def oldest(self) -> list[Key]:
        """Return the first row of each line."""
        return [next(iter(line)) for line in (self.once, self.again) if line]


class Rejections:
    """The list.

    Args:
        rows: those on disk.
        most: how many there may be.
    """

    def __init__(self, rows: Iterable[Rejection] = (), *, most: int = ROWS) -> None:
        self._most = most
        self._rows: dict[Key, Rejection] = {}
        self._groups: dict[tuple[str, int], _Group] = {}
        for row in sorted(rows, key=_lastly):
            self._put(row)
        self._on_disk = {row.key: row for row in rows}
        self._changed = self._on_disk.keys() != self._rows.keys()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def refuse(self, refusal: Refusal, now: datetime) -> Rejection:
        """Count a refusal and return its row."""
        fresh = _row(refusal, now)
        before = self._rows.get(fresh.key)
        row = fresh if before is None else replace(before, asked=fresh.asked, count=before.count + 1, last=now)
        self._put(row)
        return row

    def newest(self, most: int) -> list[Rejection]:
        """Return the rows that were refused last, the last one first."""
        return nlargest(most, self._rows.values(), key=_lastly)

    def expire(self, now: datetime) -> None:
        """Let go of rows that were refused last before `KEEP`."""
        for group in list(self._groups.values()):
            while old := [key for key in group.oldest() if self._rows[key].last < now - KEEP]:
                for key in old:
                    self._remove(key)

    def changes(self) -> Changes:
        """Return what the disk does not have yet."""
        if not self._changed:
            return Changes(put=(), gone=())
        put = tuple(row for key, row in self._rows.items() if self._on_disk.get(key) is not row)
        return Changes(put=put, gone=tuple(self._on_disk.keys() - self._rows.keys()))

    def kept(self, changes: Changes) -> None:
        """Take note that the disk has `changes` now; what was refused since is not in them."""
        self._on_disk |= {row.key: row for row in changes.put}
        for key in changes.gone:
            self._on_disk.pop(key, None)
        self._changed = True
        self._changed = bool(self.changes())

    def _put(self, row: Rejection) -> None:
        if row.key not in self._rows and len(self._rows) >= self._most:
            self._remove(max(self._groups.values(), key=len).least())
        self._rows[row.key] = row
        self._groups.setdefault(row.key[:2], _Group()).place(row)
        self._changed = True

    def _remove(self, key: Key) -> None:
        del self._rows[key]
        group = self._groups[key[:2]]
        group.discard(key)
        if not group:
            del self._groups[key[:2]]
        self._changed = True


def presentable(name: str) -> str:
    """Return what a stranger sent so that it can be shown: short, printable ASCII, the rest escaped."""
    shown = "".join(each if " " <= each <= "~" else f"\\u{{{ord(each):x}}}" for each in name[:_NAME])
    return shown if len(name) <= _NAME else f"{shown}..."


def _row(refusal: Refusal, now: datetime) -> Rejection:
    return Rejection(
        source=refusal.source,
        asked=presentable(refusal.asked),
        status=refusal.status,
        address=origin(refusal.address),
        reason=refusal.reason[:_REASON],
        count=1,
        first=now,
        last=now,
    )


def _lastly(row: Rejection) -> tuple[datetime, Key]:
    return row.last, row.key

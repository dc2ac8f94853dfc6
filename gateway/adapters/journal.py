"""The journal on SQLite: WAL, synced at every commit, one file of its own (P1).

Numbers come from AUTOINCREMENT, so that none is used twice even after every row was deleted (R14). Each start
writes an epoch. The check for twins is in the same transaction as the insert (R5), so nobody is answered from the
memory of a row that is not on disk.
"""

import asyncio
import secrets
import string
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import Message
from bellpull.contract.text import CommitId, Name
from bellpull.runtime.logs import logger
from gateway.adapters.append import Appended, append, events
from gateway.adapters.damage import note
from gateway.adapters.database import Database
from gateway.adapters.event_rows import ROW, announcement, event
from gateway.adapters.life import Append, Restored, begin, last_number, restored, sign
from gateway.adapters.meter import Meter
from gateway.adapters.moment import microseconds
from gateway.adapters.outgoing import append_outgoing, nothing_removed, removed_unsent
from gateway.adapters.reading import Found
from gateway.adapters.recovery import Damage, recovering
from gateway.adapters.removal import Rows
from gateway.adapters.tables import JOURNAL
from gateway.adapters.upkeep import Kept
from gateway.core.answer import Announcement
from gateway.core.resume import Epoch, Held, Resume, resume
from gateway.core.room import Limits
from gateway.ports.disk import WriteRefused
from gateway.ports.journal import PAGE, JournalError, Row, Stored

__all__ = ["SqliteJournal", "open_journal"]

_T = TypeVar("_T")
_log = logger("gateway.journal")
_LIMITS: Final = Limits(max_bytes=2**30, keep=timedelta(days=30))
_EVENTS: Final = Rows(table="events", number="seq", time="accepted")
_WITHIN_S: Final = 2.0
"""How long a delivery waits for the disk (R8)."""
_WORD: Final = string.ascii_lowercase + string.digits

_ANNOUNCED: Final = """SELECT e.seq AS number, e.event_id, e.repository, e.ref, e.commit_id, e.source, e.accepted,
    EXISTS (SELECT 1 FROM events f WHERE f.event_id = e.event_id AND f.seq < e.seq)
    FROM events e WHERE e.announces AND e.seq > :after AND """


@asynccontextmanager
async def open_journal(
    path: Path,
    now: datetime,
    *,
    limits: Limits = _LIMITS,
    meter: Meter | None = None,
    forwards: bool = False,
    anew: bool = False,
) -> AsyncIterator["SqliteJournal"]:
    """Open or make the journal, begin an epoch, and close it at the end; a damaged one is moved aside (R10).

    Args:
        path: in a folder that is there.
        now: when this start is.
        limits: what it may hold.
        meter: takes its figures.
        forwards: whether what is accepted waits for a broker (`gateway.adapters.outgoing`).
        anew: whether all are told to look at everything where a new one is made, in place of one that was lost.

    Raises:
        JournalError: it cannot be opened, or another major version of the program wrote it.
        DiskFailed: it cannot be read.
    """

    def tell(damage: Damage) -> None:
        _log.error("the journal was damaged", problem=damage.problem, moved_to=str(damage.moved_to))
        note(path.parent, str(damage), now)

    async def begin() -> SqliteJournal:
        journal = SqliteJournal(limits, forwards=forwards, anew=anew)
        await journal.open(path, now, meter)
        return journal

    try:
        journal = await recovering(begin, path, JOURNAL, now=now, synced=True, tell=tell)
    except WriteRefused as error:
        raise JournalError(str(error)) from error
    try:
        yield journal
    finally:
        await journal.database.close()


class SqliteJournal:
    """`gateway.ports.journal.Journal` on a file; made by `open_journal`."""

    database: Database

    def __init__(self, limits: Limits, *, forwards: bool = False, anew: bool = False) -> None:
        self.epoch = ""
        self._limits = limits
        self._forwards = forwards
        self._anew = anew
        self._append: Append = append_outgoing if forwards else append
        self._removed = removed_unsent if forwards else nothing_removed
        self._newest = 0
        self._turned_away = False
        self._restored: Restored | None = None
        self._moved = asyncio.Event()

    async def open(self, path: Path, now: datetime, meter: Meter | None) -> None:
        """Open the file, and write the epoch of this start (see `open_journal`)."""
        kept = Kept(limits=self._limits, rows=_EVENTS)
        self.database = await Database.open(
            path, synchronous="FULL", schema=JOURNAL, committed=self.wake, kept=kept, meter=meter
        )
        try:
            await self._begin(now)
        except BaseException:
            await self.database.close()
            if self.database.failure is not None:
                raise self.database.failure from None
            raise
        if meter is not None:
            meter.show(self.database.upkeep.figures(self.newest))

    async def _begin(self, now: datetime) -> None:
        """Write an epoch; once more if the disk was full, as the reserve is given up then."""
        word = "".join(secrets.choice(_WORD) for _ in range(16))
        try:
            self._newest = await self._write(lambda connection: self._start(connection, word, now))
        except JournalError:
            self._newest = await self._write(lambda connection: self._start(connection, word, now))
        self.epoch = word
        self._keep(now)
        if self._restored is not None:
            _say_restored(self._restored)

    async def sign(self, now: datetime) -> None:
        """Write a sign of life, with the resync that is due (see the port)."""
        turned_away, self._turned_away = self._turned_away, False
        try:
            await self._write(lambda connection: self._sign(connection, now, turned_away=turned_away))
        except JournalError:
            self._turned_away = turned_away
            raise
        self._keep(now)

    def _start(self, connection: apsw.Connection, word: str, now: datetime) -> int:
        self._restored = restored(connection)
        removed = self._removed(connection, thorough=True)
        return begin(
            connection,
            word,
            now,
            removed=removed,
            forwards=self._forwards,
            anew=self._anew,
            write=self._append,
        )

    def _sign(self, connection: apsw.Connection, now: datetime, *, turned_away: bool) -> Appended:
        removed = self._removed(connection)
        return sign(connection, now, turned_away=turned_away, removed=removed, write=self._append)

    def _keep(self, now: datetime) -> None:
        self.database.upkeep.cutoff = microseconds(self._limits.oldest(now))

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        """Write all events of one delivery in one transaction (see the port)."""
        rows = partial(events, messages, source=source, delivery=delivery, body_digest=body_digest, now=now)
        try:
            appended = await self.database.write_one_of(self._append, rows, within_s=_WITHIN_S)
        except WriteRefused as error:
            self._turned_away = True
            raise JournalError(str(error)) from error
        return Stored(event_ids=tuple(message.id for message in messages), folded=appended.newest is None)

    async def page(self, after: int, limit: int = PAGE) -> tuple[Row, ...]:
        """Return rows beyond `after`."""
        query = f"SELECT {ROW} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - columns are constant
        found = await self._read(query, (after, min(limit, PAGE)), event)
        return tuple(found.values)

    async def resume(self, cursor: Cursor | None) -> Resume:
        """Say where a stream goes on (R14)."""
        return resume(cursor, await self.database.read(_held))

    def newest(self) -> int:
        """Return the number of the last row that is on disk."""
        return self._newest

    async def wait_beyond(self, seq: int) -> None:
        """Return as soon as a row beyond `seq` is on disk."""
        while self._newest <= seq:
            await self._moved.wait()

    async def announcements(self, commit: CommitId) -> tuple[Announcement, ...]:
        """Return where `commit` was announced, oldest first."""
        return await self._announced("e.commit_id = :commit", {"commit": commit}, 0)

    async def later(self, announcement: Announcement) -> tuple[Announcement, ...]:
        """Return what was announced of the same ref after `announcement`, oldest first."""
        where = "e.repository = :repository AND e.ref = :ref"
        values: dict[str, Any] = {"repository": announcement.repository, "ref": announcement.ref}
        if announcement.seq is not None:
            return await self._announced(where, values, announcement.seq)
        values["accepted"] = microseconds(announcement.accepted)
        return await self._announced(f"{where} AND e.accepted > :accepted", values, 0)

    async def writable(self) -> bool:
        """Whether a write reaches the disk now."""
        try:
            await self._write(lambda c: c.execute("UPDATE probe SET turn = coalesce(turn, 0) + 1").fetchall())
        except JournalError:
            return False
        return True

    def problem(self) -> str | None:
        """Say what somebody should see to."""
        problem = self.database.upkeep.room.problem()
        return None if problem is None else f"{self.database.path}: {problem}"

    async def watch(self) -> None:
        """Wait for the day the disk fails."""
        await self.database.watch()

    def wake(self, results: Sequence[Any]) -> None:
        """Take note of what was committed, and wake who waits for it; called on the loop."""
        numbers = [result.newest for result in results if isinstance(result, Appended) and result.newest is not None]
        if numbers:
            self._newest = max(numbers)
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def _write(self, job: Any) -> Any:
        try:
            return await self.database.write(job, within_s=_WITHIN_S)
        except WriteRefused as error:
            raise JournalError(str(error)) from error

    async def _announced(self, where: str, values: dict[str, Any], after: int) -> tuple[Announcement, ...]:
        query = f"{_ANNOUNCED}{where} ORDER BY e.seq LIMIT {PAGE}"
        found: list[Announcement] = []
        while True:
            page = await self._read(query, {**values, "after": after}, announcement)
            found += page.values
            if page.count < PAGE:
                return tuple(found)
            after = page.last

    async def _read(self, query: str, values: Any, make: Callable[[Any], _T]) -> Found[_T]:
        return await self.database.read(self.database.left_out.reading("events", query, values, make))


def _say_restored(found: Restored) -> None:
    told = {name: time.isoformat() for name, time in found.times().items()}
    _log.warning("the journal is a backup: all are told to look at everything", newest=found.newest, **told)


def _held(connection: apsw.Connection) -> Held:
    with connection:
        epochs: list[Any] = connection.execute("SELECT word, first FROM epochs ORDER BY place").fetchall()
        oldest = connection.execute("SELECT min(seq) FROM events").get
        newest = last_number(connection)
    return Held(
        epochs=[Epoch(word=word, first=first) for word, first in epochs],
        oldest=newest + 1 if oldest is None else oldest,
        newest=newest,
    )

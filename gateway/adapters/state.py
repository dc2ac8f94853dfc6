"""The state on SQLite: WAL, synced at checkpoints only; a file that may be deleted (R9).

Words are kept as the gateway understood them when they came, each once: a report by its (agent, epoch, seq), a
word of a heartbeat's history by what it says. Heartbeats move an agent only forward in (epoch, seq) (R18).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from bellpull.contract.report import Heartbeat, Report
from bellpull.contract.text import CommitId, Name
from bellpull.runtime.logs import logger
from gateway.adapters.agent_rows import Agents, forget_odd, has_state, highest_epoch, note_agent, note_beat, place
from gateway.adapters.announced import announcements_after, announcements_of, put_announcement
from gateway.adapters.database import Database
from gateway.adapters.meter import Meter
from gateway.adapters.moment import microseconds
from gateway.adapters.recovery import Damage, recovering
from gateway.adapters.rejected import read_rejections, write_rejections
from gateway.adapters.removal import Rows, Shares
from gateway.adapters.tables import STATE, WORD_BYTES
from gateway.adapters.upkeep import Kept
from gateway.adapters.word_rows import BEFORE_ALL, PAGE, PUT, answers, of_heartbeat, of_report
from gateway.core.answer import Announcement, Answer
from gateway.core.rejections import Changes, Rejection
from gateway.core.room import Limits
from gateway.ports.disk import WriteRefused
from gateway.ports.state import Heard, LastHeard, Put, StateError

__all__ = ["STATE_BYTES", "SqliteState", "open_state"]

_T = TypeVar("_T")
_log = logger("gateway.state")
_WITHIN_S: Final = 5.0
STATE_BYTES: Final = 512 * 1024 * 1024
_LIMITS: Final = Limits(max_bytes=STATE_BYTES, keep=timedelta(days=30))
_SHARES: Final = Shares(table="shares", column="agent", size=WORD_BYTES.format(row="words"))
_WORD_ROWS: Final = Rows(table="words", number="place", time="received", shares=_SHARES)


@asynccontextmanager
async def open_state(
    path: Path, now: datetime, *, limits: Limits = _LIMITS, meter: Meter | None = None
) -> AsyncIterator["SqliteState"]:
    """Open or make the state, and close it at the end; a damaged one is moved aside, and heartbeats fill the next.

    Args:
        path: in a folder that is there.
        now: when this start is.
        limits: what it may hold.
        meter: takes its figures.

    Raises:
        StateError: it cannot be opened, or another major version of the program wrote it.
        DiskFailed: it cannot be read.
    """

    def tell(damage: Damage) -> None:
        _log.warning("the state was damaged", problem=damage.problem, moved_to=str(damage.moved_to))

    async def begin() -> Database:
        kept = Kept(limits=limits, rows=_WORD_ROWS)
        return await Database.open(path, synchronous="NORMAL", schema=STATE, kept=kept, meter=meter)

    try:
        database = await recovering(begin, path, STATE, now=now, synced=False, tell=tell)
    except WriteRefused as error:
        raise StateError(str(error)) from error
    if meter is not None:
        meter.show(database.upkeep.figures())
    try:
        state = SqliteState(database, limits)
        await state.forget_odd()
        yield state
    finally:
        await database.close()


class SqliteState:
    """`gateway.ports.state.State` on a file; made by `open_state`."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._heard_in_full: set[Name] = set()
        self._agents = Agents(database.left_out)

    async def forget_odd(self) -> None:
        """Begin without the agents' rows that no program writes."""
        with suppress(WriteRefused):  # nothing can be written now, or is odd
            for number in await self._database.write(forget_odd, within_s=_WITHIN_S):
                self._database.left_out.note("agents", number, "a value is none that is written there")

    async def put_report(self, report: Report, *, issued: datetime, received: datetime) -> Heard:
        """Keep a report (see the port)."""
        word = of_report(report, issued=issued, received=received)

        def job(connection: apsw.Connection) -> tuple[Put, int]:
            known = "SELECT 1 FROM words WHERE agent = ? AND identity = ?"
            epoch = highest_epoch(connection, report.agent)
            if connection.execute(known, word[:2]).fetchone():
                return Put.KNOWN, epoch
            if report.epoch < epoch:
                return Put.BEHIND, epoch
            connection.execute(PUT, word)
            note_agent(connection, report, received)
            return Put.STORED, report.epoch

        put, epoch = await self._write(job, received)
        return Heard(put=put, want_full=report.agent not in self._heard_in_full, epoch=epoch)

    async def put_heartbeat(self, heartbeat: Heartbeat, *, issued: datetime, received: datetime) -> Heard:
        """Keep a heartbeat, and the words that a full one carries (see the port)."""
        words: list[tuple[Any, ...]] = []
        full: bytes | None = None
        if heartbeat.full is not None:
            words, full = await asyncio.to_thread(of_heartbeat, heartbeat, issued=issued, received=received)

        def job(connection: apsw.Connection) -> tuple[Put, int, bool]:
            put = place(connection, heartbeat)
            if put is Put.STORED:
                note_agent(connection, heartbeat, received)
                note_beat(connection, heartbeat, full)
                connection.executemany(PUT, words)
            return put, highest_epoch(connection, heartbeat.agent), has_state(connection, heartbeat)

        put, epoch, same = await self._write(job, received)
        if put is Put.STORED and full is not None:
            self._heard_in_full.add(heartbeat.agent)
        want_full = put is not Put.BEHIND and not (same and heartbeat.agent in self._heard_in_full)
        return Heard(put=put, want_full=want_full, epoch=epoch)

    async def agents(self) -> Mapping[Name, LastHeard]:
        """Return how every agent was heard last."""
        return await self._database.read(self._agents.read)

    async def answers(self, repository: str, ref: str, since: datetime) -> tuple[Answer, ...]:
        """Return the words for a ref that came at or after `since`."""
        found: list[Answer] = []
        last = BEFORE_ALL
        while True:
            job = answers(self._database.left_out, repository, ref, microseconds(since), last)
            page = await self._database.read(job)
            found += page.values
            if page.count < PAGE:
                return tuple(found)
            last = page.last

    async def put_announcement(self, announcement: Announcement) -> None:
        """Keep what another gateway accepted (see the port)."""
        await self._write(put_announcement(announcement), announcement.accepted)

    async def announcements(self, commit: CommitId) -> tuple[Announcement, ...]:
        """Return where other gateways announced a commit."""
        return await self._database.read(announcements_of(self._database.left_out, commit))

    async def later(self, announcement: Announcement) -> tuple[Announcement, ...]:
        """Return what other gateways announced of the same ref later."""
        return await self._database.read(announcements_after(self._database.left_out, announcement))

    async def rejections(self) -> tuple[Rejection, ...]:
        """Return the refused deliveries that were kept."""
        return await self._database.read(read_rejections(self._database.left_out))

    async def keep_rejections(self, changes: Changes) -> None:
        """Bring those that are kept up to date (see the port)."""
        try:
            await self._database.write(write_rejections(changes), within_s=_WITHIN_S)
        except WriteRefused as error:
            raise StateError(str(error)) from error

    async def watch(self) -> None:
        """Wait for the day the disk fails."""
        await self._database.watch()

    async def _write(self, job: Callable[[apsw.Connection], _T], now: datetime) -> _T:
        self._database.upkeep.cutoff = microseconds(self._limits.oldest(now))
        try:
            return await self._database.write(job, within_s=_WITHIN_S)
        except WriteRefused as error:
            raise StateError(str(error)) from error

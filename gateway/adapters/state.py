"""The state on SQLite: WAL, synced at checkpoints only; a file that may be deleted (R9).

Words are kept as the gateway understood them when they came, each once: a report by its (agent, epoch, seq), a
word of a heartbeat's history by what it says. Heartbeats move an agent only forward in (epoch, seq) (R18).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import apsw
import orjson

from bellpull.contract.codec import read, write
from bellpull.contract.report import Heartbeat, Report, SyncState
from bellpull.contract.text import CommitId, Name
from bellpull.runtime.logs import logger
from gateway.adapters.announced import announcements_after, announcements_of, put_announcement
from gateway.adapters.database import Database, microseconds, moment
from gateway.adapters.meter import Meter
from gateway.adapters.recovery import Damage, recovering
from gateway.adapters.rejected import read_rejections, write_rejections
from gateway.adapters.removal import Rows, Shares
from gateway.adapters.tables import STATE, WORD_BYTES
from gateway.adapters.upkeep import Kept
from gateway.core.answer import Announcement, Answer, answer_of, answers_in
from gateway.core.rejections import Changes, Rejection
from gateway.core.room import Limits
from gateway.ports.disk import WriteRefused
from gateway.ports.state import Heard, LastHeard, Put, StateError

__all__ = ["STATE_BYTES", "SqliteState", "open_state"]

_T = TypeVar("_T")
_log = logger("gateway.state")
_WITHIN_S: Final = 5.0
_PAGE: Final = 500
STATE_BYTES: Final = 512 * 1024 * 1024
_LIMITS: Final = Limits(max_bytes=STATE_BYTES, keep=timedelta(days=30))
_SHARES: Final = Shares(table="shares", column="agent", size=WORD_BYTES.format(row="words"))
_WORD_ROWS: Final = Rows(table="words", number="place", time="received", shares=_SHARES)
_PUT_WORD: Final = """INSERT INTO words (agent, identity, repository, ref, received, answer, report)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_PUT_AGENT: Final = """INSERT INTO agents (agent, epoch, environment, heard) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET epoch = max(epoch, excluded.epoch), environment = excluded.environment,
    heard = max(heard, excluded.heard)"""
_PUT_BEAT: Final = "UPDATE agents SET beat_epoch = ?, beat_seq = ?, version = ? WHERE agent = ?"
_PUT_FULL: Final = "UPDATE agents SET full_epoch = ?, full_seq = ?, full_state = ?, full = ? WHERE agent = ?"
_AGENTS: Final = "SELECT agent, heard, environment, version, full_epoch, full_seq FROM agents"
_FULL: Final = "SELECT full, full_epoch, full_seq FROM agents WHERE agent = ?"
_WORDS: Final = """SELECT place, answer FROM words WHERE repository = ? AND ref IN (?, '') AND received >= ?
    AND place > ? ORDER BY place LIMIT ?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Full:
    order: tuple[int, int]
    syncs: tuple[SyncState, ...]


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
        yield SqliteState(database, limits)
    finally:
        await database.close()


class SqliteState:
    """`gateway.ports.state.State` on a file; made by `open_state`."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._heard_in_full: set[Name] = set()
        self._full: dict[Name, _Full] = {}

    async def put_report(self, report: Report, *, issued: datetime, received: datetime) -> Heard:
        """Keep a report (see the port)."""
        answer = answer_of(report, issued=issued, received=received)
        identity = f"report/{report.epoch}/{report.seq}"
        word = _word(answer, identity, received, write(report))

        def job(connection: apsw.Connection) -> tuple[Put, int]:
            known = "SELECT 1 FROM words WHERE agent = ? AND identity = ?"
            epoch = _highest_epoch(connection, report.agent)
            if connection.execute(known, (report.agent, identity)).fetchone():
                return Put.KNOWN, epoch
            if report.epoch < epoch:
                return Put.BEHIND, epoch
            connection.execute(_PUT_WORD, word)
            _note_agent(connection, report, received)
            return Put.STORED, report.epoch

        put, epoch = await self._write(job, received)
        return Heard(put=put, want_full=report.agent not in self._heard_in_full, epoch=epoch)

    async def put_heartbeat(self, heartbeat: Heartbeat, *, issued: datetime, received: datetime) -> Heard:
        """Keep a heartbeat, and the words that a full one carries (see the port)."""
        words: list[tuple[Any, ...]] = []
        full: bytes | None = None
        if heartbeat.full is not None:
            words, full = await asyncio.to_thread(_in_full, heartbeat, issued, received)

        def job(connection: apsw.Connection) -> tuple[Put, int, bool]:
            put = _place(connection, heartbeat)
            if put is Put.STORED:
                _note_agent(connection, heartbeat, received)
                _note_beat(connection, heartbeat, full)
                connection.executemany(_PUT_WORD, words)
            known = "SELECT full_state FROM agents WHERE agent = ?"
            same = connection.execute(known, (heartbeat.agent,)).get == heartbeat.state
            return put, _highest_epoch(connection, heartbeat.agent), same

        put, epoch, same = await self._write(job, received)
        if put is Put.STORED and full is not None:
            self._heard_in_full.add(heartbeat.agent)
        want_full = put is not Put.BEHIND and not (same and heartbeat.agent in self._heard_in_full)
        return Heard(put=put, want_full=want_full, epoch=epoch)

    async def agents(self) -> Mapping[Name, LastHeard]:
        """Return how every agent was heard last."""
        return await self._database.read(self._read_agents)

    async def answers(self, repository: str, ref: str, since: datetime) -> tuple[Answer, ...]:
        """Return the words for a ref that came at or after `since`."""
        answers: list[Answer] = []
        place = 0
        while True:
            page, place = await self._database.read(_select(repository, ref, microseconds(since), place))
            answers += page
            if len(page) < _PAGE:
                return tuple(answers)

    async def put_announcement(self, announcement: Announcement) -> None:
        """Keep what another gateway accepted (see the port)."""
        await self._write(put_announcement(announcement), announcement.accepted)

    async def announcements(self, commit: CommitId) -> tuple[Announcement, ...]:
        """Return where other gateways announced a commit."""
        return await self._database.read(announcements_of(commit))

    async def later(self, announcement: Announcement) -> tuple[Announcement, ...]:
        """Return what other gateways announced of the same ref later."""
        return await self._database.read(announcements_after(announcement))

    async def rejections(self) -> tuple[Rejection, ...]:
        """Return the refused deliveries that were kept."""
        return await self._database.read(read_rejections)

    async def keep_rejections(self, changes: Changes) -> None:
        """Bring those that are kept up to date (see the port)."""
        try:
            await self._database.write(write_rejections(changes), within_s=_WITHIN_S)
        except WriteRefused as error:
            raise StateError(str(error)) from error

    async def watch(self) -> None:
        """Wait for the day the disk fails."""
        await self._database.watch()

    def _read_agents(self, connection: apsw.Connection) -> Mapping[Name, LastHeard]:
        """Read all agents; in a thread. A full state is read into values once."""
        agents: dict[Name, LastHeard] = {}
        rows: list[Any] = connection.execute(_AGENTS).fetchall()
        for agent, heard, environment, version, epoch, seq in rows:
            full = None if epoch is None else self._read_full(connection, agent, (epoch, seq))
            agents[agent] = LastHeard(
                heard=moment(heard),
                environment=environment,
                version=version,
                syncs=None if full is None else full.syncs,
                full=None if full is None else full.order,
            )
        return agents

    def _read_full(self, connection: apsw.Connection, agent: Name, order: tuple[int, int]) -> "_Full":
        known = self._full.get(agent)
        if known is not None and known.order == order:
            return known
        body, epoch, seq = cast("Any", connection.execute(_FULL, (agent,)).fetchone())
        full = _Full(order=(epoch, seq), syncs=read(Heartbeat, orjson.loads(body)).full or ())
        self._full[agent] = full
        return full

    async def _write(self, job: Callable[[apsw.Connection], _T], now: datetime) -> _T:
        self._database.upkeep.cutoff = microseconds(self._limits.oldest(now))
        try:
            return await self._database.write(job, within_s=_WITHIN_S)
        except WriteRefused as error:
            raise StateError(str(error)) from error


def _select(
    repository: str, ref: str, since: int, place: int
) -> Callable[[apsw.Connection], tuple[list[Answer], int]]:
    """Return a job that reads a page beyond `place`, and the place of its last word."""

    def job(connection: apsw.Connection) -> tuple[list[Answer], int]:
        found: list[Any] = connection.execute(_WORDS, (repository, ref, since, place, _PAGE)).fetchall()
        return [read(Answer, orjson.loads(answer)) for _, answer in found], found[-1][0] if found else place

    return job


def _highest_epoch(connection: apsw.Connection, agent: Name) -> int:
    found = connection.execute("SELECT epoch FROM agents WHERE agent = ?", (agent,)).get
    return 0 if found is None else int(found)


def _place(connection: apsw.Connection, heartbeat: Heartbeat) -> Put:
    """Say whether a heartbeat is the newest of its agent."""
    if heartbeat.epoch < _highest_epoch(connection, heartbeat.agent):
        return Put.BEHIND
    last = "SELECT beat_epoch, beat_seq FROM agents WHERE agent = ? AND beat_epoch IS NOT NULL"
    found: Any = connection.execute(last, (heartbeat.agent,)).fetchone()
    newer = found is None or (heartbeat.epoch, heartbeat.seq) > tuple(found)
    return Put.STORED if newer else Put.KNOWN


def _note_agent(connection: apsw.Connection, said: Report | Heartbeat, received: datetime) -> None:
    connection.execute(_PUT_AGENT, (said.agent, said.epoch, said.environment, microseconds(received)))


def _note_beat(connection: apsw.Connection, beat: Heartbeat, full: bytes | None) -> None:
    connection.execute(_PUT_BEAT, (beat.epoch, beat.seq, beat.version, beat.agent))
    if full is not None:
        connection.execute(_PUT_FULL, (beat.epoch, beat.seq, beat.state, full, beat.agent))


def _word(answer: Answer, identity: str, received: datetime, report: bytes | None) -> tuple[Any, ...]:
    body = write(answer)
    when = microseconds(received)
    return answer.agent, identity, answer.repository, answer.ref or "", when, body, report


def _in_full(heartbeat: Heartbeat, issued: datetime, received: datetime) -> tuple[list[tuple[Any, ...]], bytes]:
    """Return the rows of the words that a full heartbeat carries, and the heartbeat as it is kept; takes long."""
    answers = zip(answers_in(heartbeat, issued=issued, received=received), _identities(heartbeat), strict=True)
    return [_word(answer, identity, received, None) for answer, identity in answers], write(heartbeat)


def _identities(heartbeat: Heartbeat) -> list[str]:
    """Return what tells each word of a history from others: all that it says, with the agent's own time of it."""
    return [
        f"word/{state.sync}/{sha256(write(outcome)).hexdigest()}"
        for state in heartbeat.full or ()
        for outcome in state.outcomes
    ]

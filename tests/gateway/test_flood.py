"""What one agent says without end costs itself, not others (R4, R26): an agent's credential may be stolen."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from aiohttp import web

from bellpull.contract.report import Report, Trigger, TriggerKind
from bellpull.contract.text import MessageId, Name, Note, SyncName
from bellpull.contract.word import Word
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from gateway.adapters.database import Database
from gateway.adapters.journal import open_journal
from gateway.adapters.schema import Schema
from gateway.adapters.state import SqliteState, open_state
from gateway.adapters.tables import STATE, WORD_BYTES
from gateway.app.api import api_routes
from gateway.app.enrolment import Enrolments
from gateway.core.room import MIN_BYTES, Limits
from tests.gateway.agents import record
from tests.gateway.examples import WEB, report, sync_state
from tests.gateway.test_api import Api

THIEF, DB = Name("thief-1"), Name("db-1")
SMALL = Limits(max_bytes=MIN_BYTES, keep=timedelta(days=30))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """Yield the API on a state of the least size, with three agents that may say something of the same repository."""
    now = utc_now()
    async with (
        open_journal(tmp_path / "journal.db", now) as journal,
        open_state(tmp_path / "state.db", now, limits=SMALL) as state,
    ):
        made = Api(journal, state)
        made.records = {agent: record("github.com/acme/*", agent=agent) for agent in (WEB, DB, THIEF)}
        app = web.Application()
        app.router.add_routes(api_routes(journal, state, lambda: Enrolments(made.records), made.refusals))
        async with serve(app, Address(host="127.0.0.1", port=0), name="console") as address:
            made.url = f"http://127.0.0.1:{address.port}"
            yield made


def invented(seq: int, agent: Name = THIEF) -> Report:
    """Return the report number `seq` of a flood: of a Sync that there is not, as long as a report may be."""
    said = report(seq, agent=agent, at=utc_now())
    return replace(said, sync=SyncName(f"default/s{seq}"), message=Note("x" * 1000))


async def flood(state: SqliteState, count: int, agent: Name = THIEF) -> None:
    """Say so much that all of the file would be filled by it."""
    for first in range(1, count, 100):
        now = utc_now()
        said = [invented(seq, agent) for seq in range(first, first + 100)]
        await asyncio.gather(*(state.put_report(each, issued=now, received=now) for each in said))


COUNTED = "SELECT agent, count(*), sum(SIZE) FROM words GROUP BY agent".replace(
    "SIZE", WORD_BYTES.format(row="words")
)


async def rows(state: SqliteState, query: str, *values: object) -> list[Any]:
    return await state._database.read(lambda connection: connection.execute(query, values).fetchall())


def run(statement: str, *values_and_disk: Any) -> None:
    """Run a statement; the connection comes last, as a job has it."""
    *values, disk = values_and_disk
    disk.execute(statement, values)


async def held(state: SqliteState) -> dict[str, int]:
    """Return how many words of each agent are kept; what the file says of it must be so."""

    def job(connection: apsw.Connection) -> tuple[list[Any], list[Any]]:
        """Read both at one moment: rows may be going meanwhile."""
        with connection:
            shares = connection.execute("SELECT agent, bytes FROM shares WHERE bytes ORDER BY agent").fetchall()
            found = connection.execute(COUNTED).fetchall()
        return shares, found

    shares, found = await state._database.read(job)
    assert shares == [(agent, size) for agent, _, size in found]
    return {agent: count for agent, count, _ in found}


async def test_a_flood_of_one_agents_words_takes_no_others(api: Api) -> None:
    """Whoever has most makes room: the commit's word stays, however much comes after it."""
    event = await api.push(1)
    await api.beat(1, full=(sync_state(),))
    await api.say(2, 1, Word.APPLIED, event)
    await flood(api.state, 10_000)
    status, body = await api.get(f"commits/{'1'.zfill(40)}")
    assert status == 200
    [syncs] = [[sync for sync in one["syncs"] if sync["agent"] == WEB] for one in body["announcements"]]
    assert [(sync["sync"], sync["word"]) for sync in syncs] == [("default/site", "applied")]
    assert (await held(api.state))[THIEF] < 10_000


async def test_two_that_flood_make_room_for_each_other_and_keep_their_newest(tmp_path: Path) -> None:
    """Each may hold as much as the others that hold most; what goes first of each is its oldest."""
    async with open_state(tmp_path / "state.db", utc_now(), limits=SMALL) as state:
        await flood(state, 100, WEB)
        await flood(state, 4_000, DB)
        await flood(state, 8_000)
        kept = await held(state)
        assert kept[WEB] == 100
        assert 0.8 < kept[DB] / kept[THIEF] < 1.25
        for agent, last in ((DB, 4_000), (THIEF, 8_000)):
            newest = await rows(
                state, "SELECT identity FROM words WHERE agent = ? ORDER BY place DESC LIMIT 1", agent
            )
            assert newest == [(f"report/1/{last}",)]


async def test_it_is_bytes_that_count_not_words(tmp_path: Path) -> None:
    """Who says little in many words keeps them beside one whose words are large."""
    async with open_state(tmp_path / "state.db", utc_now(), limits=SMALL) as state:
        for first in range(1, 2_000, 100):
            now = utc_now()
            said = [report(seq, at=now) for seq in range(first, first + 100)]
            await asyncio.gather(*(state.put_report(each, issued=now, received=now) for each in said))
        large = tuple(MessageId(f"evt_{number:0190}") for number in range(200))
        for seq in range(1, 400):
            said_so = replace(invented(seq), trigger=Trigger(kind=TriggerKind.EVENTS, events=large))
            await state.put_report(said_so, issued=utc_now(), received=utc_now())
        kept = await held(state)
        assert kept[WEB] == 2_000
        assert kept[THIEF] < 200


async def test_a_share_that_is_not_so_is_forgotten(tmp_path: Path) -> None:
    """Only damage makes one; room is made all the same, and by whoever has rows."""
    odd = ("9007199254740991", "'much'", "NULL", "x'ff'")
    async with open_state(tmp_path / "state.db", utc_now(), limits=SMALL) as state:
        for statement in ("DROP TABLE shares", "CREATE TABLE shares (agent TEXT PRIMARY KEY, bytes INTEGER)"):
            await state._database.write(partial(run, statement), within_s=5)
        for number, value in enumerate(odd):
            put = f"INSERT INTO shares VALUES (CAST(x'ff0{number}' AS TEXT), {value})"  # noqa: S608 - of the test's own
            await state._database.write(partial(run, put), within_s=5)
        await flood(state, 8_000)
        assert await rows(state, "SELECT count(*) < 8000 FROM words") == [(1,)]
        assert state._database.failure is None


@pytest.mark.parametrize("minor", range(len(STATE.steps) - 1))
async def test_what_was_held_before_shares_were_counted_counts(tmp_path: Path, minor: int) -> None:
    """R51: a state of a former version is taken over, and its index is used to find whose rows go."""
    path = tmp_path / "state.db"
    put = """INSERT INTO words (agent, identity, repository, ref, received, answer, report)
        VALUES (?, ?, '', '', 0, x'7b7d', ?)"""
    database = await Database.open(path, synchronous="NORMAL", schema=Schema(steps=STATE.steps[: minor + 1]))
    for agent, identity, said in ((WEB, "a", b"ten bytes."), (WEB, "b", None), (DB, "c", None)):
        await database.write(partial(run, put, agent, identity, said), within_s=5)
    await database.close()
    async with open_state(path, utc_now() - timedelta(days=30_000)) as state:
        assert await rows(state, "SELECT agent, bytes FROM shares ORDER BY agent") == [(DB, 258), (WEB, 526)]
        await state.put_report(report(1), issued=utc_now(), received=utc_now())
        assert (await rows(state, "SELECT count(*) FROM words"))[0][0] in (1, 4)
        plan = await rows(state, "EXPLAIN QUERY PLAN SELECT place FROM words WHERE agent IS 'a' ORDER BY place")
        assert plan[0][3] == "SEARCH words USING COVERING INDEX words_by_agent (agent=?)"

"""Versions of the files: what a newer program adds, and what an older one finds (R51)."""

import asyncio
import re
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bellpull.contract.event import Resync
from bellpull.contract.message import Message, encode
from bellpull.contract.text import MessageId, Note
from gateway.adapters.database import Database
from gateway.adapters.journal import open_journal
from gateway.adapters.moment import microseconds
from gateway.adapters.schema import Schema
from gateway.adapters.state import open_state
from gateway.adapters.tables import JOURNAL, STATE
from gateway.ports.disk import WriteRefused
from gateway.ports.journal import JournalError
from tests.gateway.examples import GITHUB, T0, WEB, heartbeat, push

ONE = Schema(steps=(("CREATE TABLE rings (place INTEGER PRIMARY KEY, who TEXT NOT NULL)",),))
TWO = Schema(
    steps=(
        *ONE.steps,
        ("ALTER TABLE rings ADD COLUMN loud INTEGER NOT NULL DEFAULT 1", "CREATE INDEX rings_loud ON rings (loud)"),
    )
)
THREE = Schema(steps=(*TWO.steps, ("CREATE TABLE bells (place INTEGER PRIMARY KEY)", "INSERT INTO bells VALUES (7)")))
NEXT_MAJOR = Schema(major=2, steps=ONE.steps)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def ring(path: Path, schema: Schema, who: str) -> list[tuple[object, ...]]:
    """Write a row as the program with `schema` does, and return all that is in the file then."""

    def job(connection: apsw.Connection) -> list[tuple[object, ...]]:
        connection.execute("INSERT INTO rings (who) VALUES (?)", (who,))
        return list(connection.execute("SELECT * FROM rings ORDER BY place"))

    database = await Database.open(path, synchronous="FULL", schema=schema)
    try:
        return await database.write(job, within_s=5)
    finally:
        await database.close()


def look(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(path))) as connection:
        return list(connection.execute(query))


@pytest.mark.parametrize("later", [TWO, THREE], ids=["one step", "two steps"])
async def test_a_newer_program_adds_what_is_missing_and_keeps_the_rows(path: Path, later: Schema) -> None:
    await ring(path, ONE, "before")
    assert await ring(path, later, "after") == [(1, "before", 1), (2, "after", 1)]
    assert look(path, "PRAGMA user_version") == [(later.minor,)]


async def test_each_step_is_taken_once(path: Path) -> None:
    for who in ("a", "b"):
        await ring(path, THREE, who)
    assert look(path, "SELECT * FROM bells") == [(7,)]


async def test_an_older_program_goes_on_with_a_file_of_a_newer_minor_version(path: Path) -> None:
    """Back and forth: a rolled-back gateway writes its rows, and the newer one finds them afterwards."""
    await ring(path, THREE, "newer")
    await ring(path, ONE, "older")
    assert look(path, "PRAGMA user_version") == [(THREE.minor,)]
    assert [row[1:] for row in await ring(path, THREE, "newer again")] == [
        ("newer", 1),
        ("older", 1),
        ("newer again", 1),
    ]


@pytest.mark.parametrize("in_order", [True, False], ids=["stopped in order", "killed"])
async def test_an_older_program_refuses_another_major_version_and_touches_nothing(
    path: Path, *, in_order: bool
) -> None:
    """What was not yet moved from the log into the file stays where it is, too."""
    await ring(path, NEXT_MAJOR, "newer")
    holder = apsw.Connection(str(path))
    with closing(holder):
        if not in_order:
            holder.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            holder.execute("INSERT INTO rings (who) VALUES ('in the log')")
    before = await asyncio.to_thread(_content, path)
    with pytest.raises(WriteRefused, match=r"journal\.db: is of version 2, and this program knows version 1"):
        await ring(path, THREE, "older")
    assert await asyncio.to_thread(_content, path) == before
    assert len(look(path, "SELECT * FROM rings")) == (1 if in_order else 2)


def _content(path: Path) -> dict[str, bytes]:
    """Return what holds anything of the database; its shared memory is only an index of the log."""
    files = [path, path.with_name("journal.db-wal")]
    return {file.name: file.read_bytes() for file in files if file.exists() and file.stat().st_size}


async def test_a_step_that_fails_leaves_the_version_before_it(path: Path) -> None:
    await ring(path, ONE, "before")
    broken = Schema(steps=(*ONE.steps, ("CREATE TABLE bells (place INTEGER PRIMARY KEY)", "CREATE nonsense")))
    with pytest.raises(WriteRefused, match="nonsense"):
        await ring(path, broken, "after")
    assert len(await ring(path, THREE, "after")) == 2


ADDS = re.compile(
    r"CREATE (?:TABLE|INDEX|TRIGGER) |INSERT INTO |ALTER TABLE \w+ ADD COLUMN (?!.*\bNOT NULL\b(?!.*DEFAULT))"
)


@pytest.mark.parametrize("schema", [JOURNAL, STATE], ids=["journal", "state"])
def test_each_further_step_only_adds(schema: Schema) -> None:
    """So that the program before it still opens the file."""
    assert [word for step in schema.steps[1:] for word in step if ADDS.match(word) is None] == []


def test_what_only_adds_is_told_from_the_rest() -> None:
    refused = [
        "DROP TABLE rings",
        "ALTER TABLE rings DROP COLUMN who",
        "ALTER TABLE rings ADD COLUMN loud INTEGER NOT NULL",
        "UPDATE rings SET who = ''",
        "CREATE UNIQUE INDEX rings_who ON rings (who)",
    ]
    assert [word for word in refused if ADDS.match(word)] == []
    assert all(ADDS.match(word) for step in THREE.steps for word in step)


LATER = (
    "CREATE TABLE later (place INTEGER PRIMARY KEY)",
    "ALTER TABLE {table} ADD COLUMN later TEXT",
    "CREATE INDEX later_index ON {table} (later)",
)


@pytest.mark.parametrize("minor", range(len(JOURNAL.steps)))
async def test_the_journal_of_every_earlier_version_is_opened_with_its_rows(path: Path, minor: int) -> None:
    database = await Database.open(path, synchronous="FULL", schema=Schema(steps=JOURNAL.steps[: minor + 1]))
    await database.write(_put_row, within_s=5)
    await database.close()
    async with open_journal(path, T0) as journal:
        assert (await journal.page(0))[0].event_id == "evt_old"
        await journal.accept([push(1)], source=GITHUB, delivery="d1", body_digest="0" * 64, now=T0)


OLD = Message(id=MessageId("evt_old"), source="/gateway", time=T0, data=Resync(reason=Note("why")))


def _put_row(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO epochs (place, word, first, started) VALUES (1, 'abcdefghijklmnop', 1, 0)")
    connection.execute(
        """INSERT INTO events (event_id, type, source, delivery, body_digest, repository, ref, commit_id, announces,
        accepted, body) VALUES (?, ?, 's', 'd', '', '', '', NULL, 0, ?, ?)""",
        (OLD.id, OLD.type, microseconds(T0), encode(OLD)),
    )


async def test_the_journal_of_a_newer_minor_version_is_used_as_it_is(path: Path) -> None:
    newer = Schema(steps=(*JOURNAL.steps, tuple(word.format(table="events") for word in LATER)))
    database = await Database.open(path, synchronous="FULL", schema=newer)
    await database.write(_put_row, within_s=5)
    await database.close()
    async with open_journal(path, T0) as journal:
        await journal.accept([push(1)], source=GITHUB, delivery="d1", body_digest="0" * 64, now=T0)
        rows = [row.event_id for row in await journal.page(0)]
        assert (rows[0], rows[-1]) == ("evt_old", push(1).id)


@pytest.mark.parametrize("minor", range(len(STATE.steps)))
async def test_the_state_of_every_earlier_version_is_opened_with_its_rows(tmp_path: Path, minor: int) -> None:
    path = tmp_path / "state.db"
    database = await Database.open(path, synchronous="NORMAL", schema=Schema(steps=STATE.steps[: minor + 1]))
    put = "INSERT INTO agents (agent, epoch, environment, heard) VALUES (?, 1, 'production', ?)"
    await database.write(lambda disk: disk.execute(put, (WEB, microseconds(T0))), within_s=5)
    await database.close()
    async with open_state(path, T0) as state:
        assert list(await state.agents()) == [WEB]
        assert await state.rejections() == ()


async def test_the_state_of_a_newer_minor_version_is_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    newer = Schema(steps=(*STATE.steps, tuple(word.format(table="agents") for word in LATER)))
    await (await Database.open(path, synchronous="NORMAL", schema=newer)).close()
    async with open_state(path, T0) as state:
        await state.put_heartbeat(heartbeat(1), issued=T0, received=T0)
        assert list(await state.agents()) == [WEB]


async def test_a_journal_of_another_major_version_is_an_error_with_its_name(path: Path) -> None:
    await (await Database.open(path, synchronous="FULL", schema=NEXT_MAJOR)).close()
    with pytest.raises(JournalError, match=r"journal\.db: is of version 2, and this program knows version 1"):
        async with open_journal(path, T0):
            pass

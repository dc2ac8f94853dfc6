"""Rows that hold what no program writes: each costs itself, not a start, an answer, a stream, or those beside it.

Every column of every table is given every odd value, in a row for each, between two good rows, in files that a
gateway wrote; then a gateway starts on them, is asked, heard, told more, stopped, and started again.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from bellpull.contract.cursor import Cursor
from bellpull.contract.stream import MessageFrame, ResetFrame, TickFrame
from bellpull.contract.word import Word
from bellpull.runtime.address import Address
from bellpull.runtime.clock import utc_now
from bellpull.runtime.http import serve
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import SqliteJournal
from gateway.adapters.schema import Schema, open_writing
from gateway.adapters.state import SqliteState
from gateway.adapters.tables import JOURNAL, STATE
from gateway.app.api import api_routes
from gateway.app.config import JournalSettings
from gateway.app.enrolment import Enrolments
from gateway.app.refusals import Refusals
from gateway.app.storage import Storage, open_storage
from gateway.core.rejections import Refusal
from gateway.core.resume import From
from gateway.ports.state import Put
from tests.gateway.agents import Gateway, record, serving
from tests.gateway.examples import GITHUB, WEB, commit, heartbeat, push, report, sync_state
from tests.gateway.spoil import ODD, columns, spoil
from tests.gateway.test_api import Api

FIRST, LAST = 1, len(ODD) + 2
"""The good rows; those between are spoiled."""
NEXT = LAST + 1
ODD_ROWS: Final = tuple(enumerate(ODD, start=FIRST + 1))


@dataclass(slots=True)
class Running:
    """A gateway's parts on its two files."""

    api: Api
    agents: Gateway
    metrics: Metrics

    def left_out(self, file: str) -> float:
        return self.agents_metric(f'bellpull_file_rows_left_out_total{{file="{file}"}}')

    def agents_metric(self, name: str) -> float:
        lines = self.metrics.render()[0].decode().splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


@asynccontextmanager
async def running(folder: Path, *, forwards: bool = False) -> AsyncIterator[Running]:
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_storage(folder, JournalSettings(), metrics, forwards=forwards))
        journal, state = opened.journal, opened.state
        assert isinstance(journal, SqliteJournal)
        assert isinstance(state, SqliteState)
        api = Api(journal, state)
        api.refusals = await stack.enter_async_context(Refusals.open(state))
        app = web.Application()
        app.router.add_routes(api_routes(journal, state, lambda: Enrolments(api.records), api.refusals))
        address = await stack.enter_async_context(serve(app, Address(host="127.0.0.1", port=0), name="console"))
        api.url = f"http://127.0.0.1:{address.port}"
        session = await stack.enter_async_context(aiohttp.ClientSession())
        agents = Gateway(journal=journal, state=state, session=session, records={WEB: record()})
        await stack.enter_async_context(serving(agents))
        yield Running(api, agents, metrics)


async def filled(folder: Path) -> Cursor:
    """Have a gateway write a row for each odd value, with one before and one behind; return where all that begins."""
    async with running(folder) as gateway:
        await gateway.api.beat(1, full=(sync_state(),))
        for number in range(FIRST, NEXT):
            event = await gateway.api.push(number)
            await gateway.api.say(number, number, Word.APPLIED, event)
            await gateway.api.hear(number + 100)
            refusal = Refusal(source="github", status=401, address=f"192.0.2.{number}", reason="no signature")
            gateway.api.refusals.note(refusal, "no", utc_now())
        return gateway.agents.cursor(0)


async def heard(gateway: Gateway, cursor: Cursor, last: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the messages up to `last`, and of the resets."""
    messages: list[int] = []
    resets: list[int] = []
    async with gateway.stream(cursor) as stream:
        while max((*messages, *resets), default=0) < last:
            frame = await stream.next()
            assert frame is not None
            if isinstance(frame, MessageFrame):
                messages.append(frame.cursor.seq)
            if isinstance(frame, ResetFrame):
                resets.append(frame.cursor.seq)
            assert isinstance(frame, MessageFrame | ResetFrame | TickFrame)
    return messages, resets


def moved_aside(folder: Path) -> list[Path]:
    return list(folder.glob("*damaged*"))


async def answers(api: Api) -> None:
    """See that there is an answer for all, and for the good ones the right one."""
    for first in (0, 100):
        for number in range(first + FIRST, first + NEXT):
            status, body = await api.get(f"commits/{commit(number)}")
            assert status in (200, 404), body
            assert status == 200 or number not in (first + FIRST, first + LAST), body
    status, body = await api.get("rejections")
    assert status == 200
    assert {"192.0.2.1", f"192.0.2.{LAST}"} <= {row["address"] for row in body["rejections"]}


EVENTS = [
    "event_id",
    "type",
    "source",
    "delivery",
    "body_digest",
    "repository",
    "ref",
    "commit_id",
    "announces",
    "accepted",
    "body",
]
OTHERS = {
    "words": ["agent", "identity", "repository", "ref", "received", "answer", "report"],
    "announcements": ["event_id", "repository", "ref", "commit_id", "source", "heard"],
    "rejections": ["source", "status", "address", "reason", "asked", "count", "first", "last"],
}


@pytest.mark.parametrize("column", EVENTS)
async def test_an_odd_row_of_the_journal_costs_itself(tmp_path: Path, column: str) -> None:
    """P1: what is beside it is heard, and for itself an agent is told to look at everything."""
    cursor = await filled(tmp_path)
    await asyncio.to_thread(spoil, tmp_path / "journal.db", "events", column, ODD_ROWS)
    for start in (1, 2):
        async with running(tmp_path) as gateway:
            await answers(gateway.api)
            messages, resets = await heard(gateway.agents, cursor, LAST)
            assert {FIRST, LAST} <= set(messages)
            missing = set(range(FIRST, LAST)) - set(messages)
            assert all(any(number <= reset < LAST for reset in resets) for number in missing)
            assert bool(missing) == bool(resets)
            assert gateway.left_out("journal") >= len(missing)
            for number in range(FIRST, NEXT):
                await gateway.api.push(number)
            await gateway.api.push(NEXT + start)
            newest = gateway.agents.journal.newest()
            assert newest in (await heard(gateway.agents, cursor, newest))[0]
            assert gateway.agents.journal.database.failure is None
    assert not moved_aside(tmp_path)


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, all_of_it in OTHERS.items() for column in all_of_it]
)
async def test_an_odd_row_of_the_state_costs_itself(tmp_path: Path, table: str, column: str) -> None:
    """R9: nothing that the state holds ends a start, or an answer about anything else."""
    await filled(tmp_path)
    await asyncio.to_thread(spoil, tmp_path / "state.db", table, column, ODD_ROWS)
    for start in (1, 2):
        async with running(tmp_path) as gateway:
            await answers(gateway.api)
            for number in (FIRST, LAST):
                assert await gateway.api.words(number) == [("applied", None)]
            event = await gateway.api.push(NEXT + start)
            await gateway.api.say(NEXT + start, NEXT + start, Word.APPLIED, event)
            assert await gateway.api.words(NEXT + start) == [("applied", None)]
            assert gateway.agents.state._database.failure is None
    assert not moved_aside(tmp_path)


async def test_what_is_left_out_is_counted_each_and_logged_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the row, what is wrong with it, and what to do."""
    cursor = await filled(tmp_path)
    await asyncio.to_thread(spoil, tmp_path / "journal.db", "events", "body", ODD_ROWS)
    capsys.readouterr()
    async with running(tmp_path) as gateway:
        for _ in range(3):
            await heard(gateway.agents, cursor, LAST)
        assert gateway.left_out("journal") == len(ODD)
        assert gateway.left_out("state") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "no program writes" in line]
    assert len(said) == 1
    line = json.loads(said[0])
    assert (line["level"], line["table"], line["row"]) == ("error", "events", FIRST + 1)
    assert "look at the disk" in line["todo"]


@pytest.mark.parametrize("column", ["repository", "accepted", "body"])
async def test_an_odd_row_after_a_kill_costs_itself_or_has_all_look_at_everything(
    tmp_path: Path, column: str
) -> None:
    """R10: SQLite's own look at all pages takes some of it for damage; nothing of that is silent."""
    cursor = await filled(tmp_path)
    for place, value in enumerate(ODD):
        folder = tmp_path / str(place)
        await asyncio.to_thread(shutil.copytree, tmp_path, folder, ignore=shutil.ignore_patterns("[0-9]*"))
        await asyncio.to_thread(spoil, folder / "journal.db", "events", column, [(FIRST + 1, value)])
        await asyncio.to_thread((folder / "journal.db-wal").touch)
        async with running(folder) as gateway:
            await gateway.api.push(NEXT)
            newest = gateway.agents.journal.newest()
            messages, resets = await heard(gateway.agents, cursor, newest)
            assert FIRST + 1 in messages or resets
            lost = moved_aside(folder)
            assert lost or {FIRST, FIRST + 2, LAST} <= set(messages)
            assert (await gateway.api.get(f"commits/{commit(NEXT)}"))[0] == 200


REST = {
    "journal.db": {
        "epochs": ["place", "word", "first", "started", "forwards"],
        "events": ["seq"],
        "probe": ["place", "turn"],
        "life": ["place", "seen"],
        "outgoing": ["seq", "parked"],
        "schema": ["version"],
        "sqlite_sequence": ["name", "seq"],
    },
    "state.db": {
        "agents": [
            *("agent", "epoch", "environment", "heard", "beat_epoch", "beat_seq", "version"),
            *("full_epoch", "full_seq", "full_state", "full"),
        ],
        "words": ["place"],
        "announcements": ["place"],
        "shares": ["agent", "bytes"],
        "schema": ["version"],
    },
}
"""What there are few of, or what others hang on: it may cost the file, never a start or an answer."""
FEW: Final = ("NULL", "'no date'", "x'00ff'", "CAST(x'ff' AS TEXT)", "-1", "9223372036854775807")
"""Of the odd values, as each takes a start of its own here."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a gateway that stopped."""
    folder = tmp_path_factory.mktemp("template")
    asyncio.run(_few(folder))
    return folder


async def _few(folder: Path) -> None:
    async with running(folder, forwards=True) as gateway:
        await gateway.api.beat(1, full=(sync_state(),))
        event = await gateway.api.push(1)
        await gateway.api.say(2, 1, Word.APPLIED, event)
        await gateway.api.hear(2)


@pytest.mark.parametrize(
    ("file", "table", "column"),
    [
        (file, table, column)
        for file, tables in REST.items()
        for table, all_of_it in tables.items()
        for column in all_of_it
    ],
)
async def test_an_odd_value_that_much_hangs_on_ends_no_start(
    template: Path, tmp_path: Path, file: str, table: str, column: str
) -> None:
    """R10: if it costs the file, that is moved aside whole, and all are told to look at everything."""
    for place, value in enumerate(FEW):
        folder = tmp_path / str(place)
        await asyncio.to_thread(shutil.copytree, template, folder)
        await asyncio.to_thread(spoil, folder / file, table, column, [(0, value), (1, value)])
        async with open_storage(folder, JournalSettings(), Metrics(), forwards=True) as opened:
            await _works(opened, place, lost=file == "journal.db" and bool(moved_aside(folder)))


async def _works(opened: Storage, place: int, *, lost: bool) -> None:
    """See that all is written and read, by whoever does."""
    journal, state, outgoing = opened
    now, number = utc_now(), 100 + place
    message = push(number, at=now)
    await journal.accept([message], source=GITHUB, delivery=f"d{number}", body_digest=f"{number:064}", now=now)
    assert await journal.writable()
    await journal.sign(now)
    assert (await journal.announcements(commit(number)))[-1].event_id == message.id
    assert lost or await journal.announcements(commit(1))
    assert (await journal.page(journal.newest() - 1))[0].seq == journal.newest()
    assert isinstance(await journal.resume(Cursor(epoch=journal.epoch, seq=journal.newest())), From)
    rows = await outgoing.waiting(0)
    assert len(await outgoing.events([row.seq for row in rows])) == await outgoing.left() == len(rows)
    heard = await state.put_heartbeat(heartbeat(number, full=(sync_state(),)), issued=now, received=now)
    assert heard.put is Put.STORED
    last = (await state.agents())[WEB]
    assert (last.syncs, last.full) == ((sync_state(),), (1, number))
    await state.put_report(report(number, took=number), issued=now, received=now)
    assert (await state.answers("github.com/acme/site", "refs/heads/main", now))[-1].commit == commit(number)


@pytest.mark.parametrize(("file", "schema"), [("journal.db", JOURNAL), ("state.db", STATE)])
def test_no_column_of_any_table_is_forgotten(tmp_path: Path, file: str, schema: Schema) -> None:
    """A further one is tried, too."""
    tried = {(table, column) for table, each in REST[file].items() for column in each}
    more: dict[str, list[str]] = {"events": EVENTS} if file == "journal.db" else OTHERS
    tried |= {(table, column) for table, each in more.items() for column in each}
    with closing(open_writing(tmp_path / file, "NORMAL", schema)):
        pass
    assert columns(tmp_path / file) == tried

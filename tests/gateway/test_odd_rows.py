"""Rows that hold what no program writes: each costs itself, not a start, an answer, a stream, or those beside it.

Every column of every table is given every odd value, in a row for each, between two good rows, in files that a
gateway wrote; then a gateway starts on them, is asked, heard, told more, stopped, and started again.
"""

import asyncio
import json
from pathlib import Path

import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.stream import MessageFrame, ResetFrame, TickFrame
from bellpull.contract.word import Word
from tests.gateway.agents import Gateway
from tests.gateway.examples import commit
from tests.gateway.github import B, payload
from tests.gateway.lived import FIRST, LAST, NEXT, ODD_ROWS, copied, filled, moved_aside, running
from tests.gateway.process import Folder, ask, deliver
from tests.gateway.spoil import ODD, spoil
from tests.gateway.test_api import Api


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cursor]:
    """Return the folder of a gateway that stopped, and where what it has begins."""
    folder = tmp_path_factory.mktemp("many")
    return folder, asyncio.run(filled(folder))


def taken(many: tuple[Path, Cursor], folder: Path) -> Cursor:
    """Have a folder of one's own like it."""
    copied(many[0], folder)
    return many[1]


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
async def test_an_odd_row_of_the_journal_costs_itself(many: tuple[Path, Cursor], tmp_path: Path, column: str) -> None:
    """P1: what is beside it is heard, and for itself an agent is told to look at everything."""
    cursor = await asyncio.to_thread(taken, many, tmp_path)
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
async def test_an_odd_row_of_the_state_costs_itself(
    many: tuple[Path, Cursor], tmp_path: Path, table: str, column: str
) -> None:
    """R9: nothing that the state holds ends a start, or an answer about anything else."""
    await asyncio.to_thread(taken, many, tmp_path)
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
    many: tuple[Path, Cursor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the row, what is wrong with it, and what to do."""
    cursor = await asyncio.to_thread(taken, many, tmp_path)
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
    many: tuple[Path, Cursor], tmp_path: Path, column: str
) -> None:
    """R10: SQLite's own look at all pages takes some of it for damage; nothing of that is silent."""
    cursor = many[1]
    for place, value in enumerate(ODD):
        folder = tmp_path / str(place)
        await asyncio.to_thread(copied, many[0], folder)
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


def test_a_gateway_as_a_process_starts_on_odd_rows_takes_pushes_and_says_what_it_left_out(tmp_path: Path) -> None:
    """P1, P11: as a user meets it, with a start after it."""
    folder = Folder(tmp_path)
    with folder.running() as gateway:
        for number in range(1, 4):
            assert deliver(gateway.hooks, payload(), delivery=f"d{number}").status == 202
        assert deliver(gateway.hooks, payload(), secret=b"wrong").status == 401
        assert gateway.stop() == 0
    for column, value in (("accepted", "'no date'"), ("body", "x'00ff'"), ("repository", "CAST(x'ff' AS TEXT)")):
        spoil(tmp_path / "data" / "journal.db", "events", column, [(2, value)])
    spoil(tmp_path / "data" / "state.db", "rejections", "first", [(1, "'no date'")])
    for delivery in ("d4", "d5"):
        with folder.running() as gateway:
            assert deliver(gateway.hooks, payload(), delivery=delivery).status == 202
            found = ask(f"{gateway.console}/api/v1/commits/{B}")
            assert (found.status, len(found.json()["announcements"])) == (200, int(delivery[1]) - 1)
            assert ask(f"{gateway.console}/api/v1/rejections").json()["rejections"] == []
            shown = ask(f"{gateway.console}/metrics").body.decode()
            assert 'bellpull_file_rows_left_out_total{file="journal"} 1.0' in shown
            assert 'bellpull_file_rows_left_out_total{file="state"} 1.0' in shown
            assert ask(f"{gateway.console}/readyz").status == 200
            assert gateway.stop() == 0

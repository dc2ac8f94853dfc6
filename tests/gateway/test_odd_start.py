"""Odd values in what there are few of, or what all rows hang on: none ends a start (R10).

`tests.gateway.test_odd_rows` has the others.
"""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.word import Word
from bellpull.runtime.clock import utc_now
from bellpull.runtime.metrics import Metrics
from gateway.adapters.schema import Schema, open_writing
from gateway.adapters.tables import JOURNAL, STATE
from gateway.app.config import JournalSettings
from gateway.app.storage import Storage, open_storage
from gateway.core.resume import From
from gateway.ports.state import Put
from tests.gateway.examples import GITHUB, WEB, commit, heartbeat, push, report, sync_state
from tests.gateway.lived import copied, moved_aside, running
from tests.gateway.spoil import columns, spoil
from tests.gateway.test_odd_rows import EVENTS, OTHERS

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
        await asyncio.to_thread(copied, template, folder)
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

import asyncio
import random
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import Message, decode
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.core.resume import From, Reset
from gateway.ports.disk import DiskFailed, WriteRefused
from gateway.ports.journal import PAGE, JournalError, Stored
from tests import soak
from tests.gateway.examples import GITHUB, T0, canary, commit, push, seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with open_journal(path, T0) as opened:
        yield opened


async def put(journal: SqliteJournal, *messages: Message, at_s: float = 0.0, digest: str = "0" * 64) -> Stored:
    """Accept one delivery of `messages`, all of the first one's delivery id."""
    delivery = messages[0].data.delivery.id  # type: ignore[union-attr]  # the examples have one
    now = T0 + seconds(at_s)
    return await journal.accept(messages, source=GITHUB, delivery=delivery, body_digest=digest, now=now)


def delete_all(path: Path) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("DELETE FROM events")


async def test_rows_survive_reopening(path: Path) -> None:
    async with open_journal(path, T0) as journal:
        stored = await put(journal, push(1), push(1, ref="refs/tags/v1"), at_s=1.5)
        first = journal.epoch
    async with open_journal(path, T0) as journal:
        rows = await journal.page(0)
        assert journal.newest() == 2
        assert re.fullmatch("[a-z0-9]{16}", journal.epoch)
        assert journal.epoch != first
        assert await journal.resume(Cursor(epoch=first, seq=1)) == From(seq=1)
    assert tuple(row.event_id for row in rows) == stored.event_ids
    assert [(row.seq, row.ref, row.repository) for row in rows] == [
        (1, "refs/heads/main", "github.com/acme/site"),
        (2, "refs/tags/v1", "github.com/acme/site"),
    ]
    assert rows[0].accepted == T0 + seconds(1.5)
    assert decode(rows[0].body) == push(1)


async def test_the_file_is_for_its_owner_only(journal: SqliteJournal, path: Path) -> None:
    await put(journal, push())
    assert await asyncio.to_thread(_mode, path) == 0o600


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_it_is_synced_at_every_commit_and_keeps_no_pages_back(journal: SqliteJournal) -> None:
    """P1 stands on these two settings; that they suffice against power loss is tested with a VFS elsewhere."""

    def look(connection: apsw.Connection) -> tuple[object, object]:
        return connection.pragma("synchronous"), connection.pragma("journal_mode")

    assert await journal.database.write(look, within_s=2) == (2, "wal")


async def test_deliveries_that_wait_share_one_commit(journal: SqliteJournal) -> None:
    before = journal.database.transactions
    async with asyncio.TaskGroup() as group:
        for number in range(1, 201):
            group.create_task(put(journal, push(number)))
    assert journal.database.transactions - before <= 20
    assert journal.newest() == 200


async def test_numbers_are_never_used_twice(path: Path) -> None:
    """R14: after every row was deleted, the next one goes on, and an old cursor is not taken for a new one."""
    async with open_journal(path, T0) as journal:
        await put(journal, push(1))
        await put(journal, push(2))
        epoch = journal.epoch
    delete_all(path)
    async with open_journal(path, T0) as journal:
        assert journal.newest() == 2
        assert await journal.resume(Cursor(epoch=epoch, seq=1)) == Reset(
            seq=2, reason="rows behind the cursor are no longer kept"
        )
        await put(journal, push(3))
        assert [row.seq for row in await journal.page(0)] == [3]


async def test_a_cursor_of_another_journal_is_reset(journal: SqliteJournal) -> None:
    await put(journal, push(1))
    decision = await journal.resume(Cursor(epoch="x" * 16, seq=1))
    assert decision == Reset(seq=1, reason="the cursor is of another journal")


@pytest.mark.parametrize(
    ("at_s", "digest", "between", "rows", "folded"),
    [
        pytest.param(1, "0" * 64, [], 1, True, id="at once: folded"),
        pytest.param(11, "0" * 64, [], 2, False, id="later: queued again"),
        pytest.param(1, "1" * 64, [], 2, False, id="another body: no twin"),
        pytest.param(2, "0" * 64, [push(2)], 3, False, id="something newer of the ref came between"),
        pytest.param(
            2, "0" * 64, [push(2, ref="refs/heads/dev")], 2, True, id="something of another ref came between"
        ),
        pytest.param(2, "0" * 64, [push(2, path="acme/other")], 2, True, id="of another repository"),
    ],
)
async def test_twins(
    journal: SqliteJournal, at_s: float, digest: str, between: list[Message], rows: int, *, folded: bool
) -> None:
    """R5: nothing is swallowed, and what is queued again keeps its id."""
    first = await put(journal, push(1))
    for message in between:
        await put(journal, message, at_s=1)
    again = await put(journal, push(1), at_s=at_s, digest=digest)
    assert again == Stored(event_ids=first.event_ids, folded=folded)
    assert len(await journal.page(0)) == rows


async def test_twins_in_one_group_are_folded(journal: SqliteJournal) -> None:
    """The check is in the transaction, so two that wait together see each other."""
    stored = await asyncio.gather(*(put(journal, push(1)) for _ in range(8)))
    assert sorted(one.folded for one in stored) == [False] + [True] * 7
    assert len(await journal.page(0)) == 1


async def test_a_commit_is_found_where_it_was_announced(journal: SqliteJournal) -> None:
    await put(journal, push(1, after=7), push(1, ref="refs/tags/v1", after=7))
    await put(journal, push(2, after=8), at_s=1)
    await put(journal, push(1, after=7), at_s=20)
    await put(journal, canary(9))
    found = await journal.announcements(commit(7))
    assert [(one.seq, one.ref, one.again) for one in found] == [
        (1, "refs/heads/main", False),
        (2, "refs/tags/v1", False),
        (4, "refs/heads/main", True),
    ]
    later = await journal.later(found[0])
    assert [(one.seq, one.commit) for one in later] == [(3, commit(8)), (4, commit(7))]
    assert await journal.later(replace(found[0], seq=None)) == later
    assert await journal.announcements(commit(99)) == ()


async def test_pages_are_bounded(journal: SqliteJournal) -> None:
    messages = [push(1, ref=f"refs/heads/b{n}") for n in range(PAGE + 7)]
    await put(journal, *messages)
    first = await journal.page(0, 10_000)
    assert len(first) == PAGE
    assert len(await journal.page(first[-1].seq)) == 7
    assert len(await journal.page(0, 3)) == 3


async def test_who_waits_is_woken_by_the_commit(journal: SqliteJournal) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(5):
        waiting = [group.create_task(journal.wait_beyond(seq)) for seq in (0, 0, 1)]
        await put(journal, push(1))
        await asyncio.gather(*waiting[:2])
        assert not waiting[2].done()
        await put(journal, push(2))
    assert journal.newest() == 2


async def test_a_disk_that_takes_too_long_is_an_error_of_that_request(journal: SqliteJournal) -> None:
    """R8: a request waits two seconds at most; the row may land all the same."""
    started, release = threading.Event(), threading.Event()

    def stall(_: apsw.Connection) -> None:
        started.set()
        release.wait(10)

    async with asyncio.TaskGroup() as group:
        stalled = group.create_task(journal.database.write(stall, within_s=10))
        await asyncio.to_thread(started.wait, 10)
        with pytest.raises(JournalError, match="within 2 s"):
            await put(journal, push(1))
        release.set()
        await stalled
    await put(journal, push(2))
    assert journal.newest() == 2


async def test_a_full_disk_refuses_and_heals(journal: SqliteJournal) -> None:
    """R3: SQLITE_FULL is survivable."""

    def limit(pages: int) -> Awaitable[object]:
        """Let the file grow to so many pages, in the next group: between groups the upkeep sets its own limit."""
        return journal.database.write(lambda disk: disk.pragma("max_page_count", pages), within_s=10)

    many = put(journal, *(push(1, ref=f"refs/heads/b{n}") for n in range(100)))
    limited, refused = await asyncio.gather(limit(1), many, return_exceptions=True)
    assert isinstance(refused, JournalError)
    assert "full" in str(refused)
    assert isinstance(limited, WriteRefused), "it was not in the same group"
    assert await journal.page(0) == ()
    await limit(100_000)
    assert await journal.writable()
    await put(journal, push(1))
    assert [row.seq for row in await journal.page(0)] == [1]


async def test_a_damaged_file_ends_it(path: Path) -> None:
    """R3: whoever waits is refused, nothing is tried again, and the program is told to end."""
    async with open_journal(path, T0) as journal:
        await put(journal, push(1))

        def damage(_: apsw.Connection) -> None:
            raise apsw.CorruptError("database disk image is malformed")

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            watching = group.create_task(_watched(journal))
            answers = await asyncio.gather(
                journal._write(damage), put(journal, push(2)), put(journal, push(3)), return_exceptions=True
            )
            assert [type(answer) for answer in answers] == [JournalError] * 3
            assert "malformed" in await watching
        with pytest.raises(JournalError, match="malformed"):
            await put(journal, push(4))
        assert not await journal.writable()
    async with open_journal(path, T0) as journal:
        assert journal.newest() == 1


async def _watched(journal: SqliteJournal) -> str:
    with pytest.raises(DiskFailed) as caught:
        await journal.watch()
    return caught.value.problem


async def test_the_log_is_emptied_when_nothing_waits(journal: SqliteJournal, path: Path) -> None:
    """R8: the writer moves the log into the file by itself."""
    await put(journal, push(1))
    assert await asyncio.to_thread(_emptied, path.with_name("journal.db-wal"))


def _emptied(log: Path) -> bool:
    """Whether `log`, which holds something, is empty within ten seconds."""
    assert log.stat().st_size > 0
    for _ in range(100):
        if log.stat().st_size == 0:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_what_was_answered_survives_being_killed(path: Path, rounds: int) -> None:
    """P1: SIGKILL under load, at random points; every id that was answered is there afterwards."""
    chance, begun = random.Random(rounds), time.monotonic()
    answered, lost = 0, 0
    for number in range(1, rounds + 1):
        promised = _killed_after(path, number, chance.uniform(0.02, 0.4))
        answered += len(promised)
        lost += len(promised - _kept(path))
    took_s = round(time.monotonic() - begun)
    soak.record("journal killed under load", rounds=rounds, answered=answered, lost=lost, seconds=took_s)
    assert answered > 0
    assert lost == 0


def _killed_after(path: Path, number: int, load_s: float) -> set[str]:
    """Run the program, kill it `load_s` after its first answer, and return the ids that it answered."""
    command = [sys.executable, "-m", "tests.gateway.crash", str(path), str(number)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        first = program.stdout.readline()
        try:
            program.wait(load_s)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
        rest = program.stdout.read()
    assert program.returncode == -signal.SIGKILL
    complete = (first + rest).rpartition(b"\n")[0]
    return set(complete.decode().split())


def _kept(path: Path) -> set[str]:
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.pragma("quick_check") == "ok"
        return {str(event) for (event,) in connection.execute("SELECT event_id FROM events")}

"""How much a file may hold (R4): what is decided, and what is done about it."""

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.stream import ResetFrame, TickFrame
from bellpull.runtime.metrics import Metrics
from gateway.adapters.journal import open_journal
from gateway.adapters.meter import FileMetrics
from gateway.adapters.removal import Rows
from gateway.adapters.state import open_state
from gateway.adapters.upkeep import Kept, Upkeep
from gateway.core.resume import Reset
from gateway.core.room import MIN_BYTES, RESERVE, Limits, Room
from tests.gateway.agents import Gateway, gateway
from tests.gateway.examples import GITHUB, SITE, T0, push, report, seconds

__all__ = ["gateway"]

MIB = 1024 * 1024
ROOMY = Room(limit=1000 * MIB, size=500 * MIB, used=400 * MIB, free=5000 * MIB)
DAY = timedelta(days=1)

CASES = {
    "room": (ROOMY, 1000, False, None),
    "nine tenths": (replace(ROOMY, used=900 * MIB), 1000, False, None),
    "more": (replace(ROOMY, used=901 * MIB), 1000, True, None),
    "its limit was reached": (
        replace(ROOMY, used=999 * MIB, refused=True),
        1000,
        True,
        "it is full (999 of at most 1000 MiB are used, 5000 MiB of the disk are free): nothing can be written",
    ),
    "the disk is nearly full, and nothing was refused": (replace(ROOMY, free=0), 1000, False, None),
    "the disk is full": (
        replace(ROOMY, free=0, refused=True),
        500,
        False,
        "400 of at most 500 MiB are used, 0 MiB of the disk are free): nothing can be written",
    ),
    "the disk was full, and old rows go": (
        replace(ROOMY, free=9 * MIB, used=480 * MIB, cap=500 * MIB),
        500,
        True,
        "480 of at most 500 MiB are used, 9 MiB of the disk are free): the oldest events go",
    ),
    "a small file on a full disk": (
        replace(ROOMY, size=MIB, used=MIB, free=0, refused=True),
        4,
        False,
        "the disk is full (1 of at most 4 MiB are used, 0 MiB of the disk are free): nothing can be written",
    ),
    "there is room again": (replace(ROOMY, free=64 * MIB, cap=500 * MIB), 1000, False, None),
}


@pytest.mark.parametrize(("room", "bound", "crowded", "problem"), CASES.values(), ids=CASES.keys())
def test_what_a_file_may_hold(room: Room, bound: int, *, crowded: bool, problem: str | None) -> None:
    settled = room.settled()
    assert (settled.bound // MIB, settled.is_crowded()) == (bound, crowded)
    assert (problem is None) == (settled.problem() is None)
    assert (problem or "") in (settled.problem() or "")


def test_a_reserve_is_made_only_where_much_more_is_free() -> None:
    assert ROOMY.affords_reserve()
    assert not replace(ROOMY, free=3 * RESERVE).affords_reserve()
    assert not replace(ROOMY, cap=500 * MIB).affords_reserve()


class Disk:
    """A table that is kept, on a disk that is as full as is said."""

    def __init__(self, folder: Path, limit: int) -> None:
        path = folder / "rings.db"
        self.free = 1000 * MIB
        self.reserve = folder / "rings.reserve"
        self.connection = apsw.Connection(str(path))
        self.connection.pragma("journal_mode", "wal")
        self.connection.execute("CREATE TABLE rings (number INTEGER PRIMARY KEY, time INTEGER, body BLOB)")
        limits = Limits(max_bytes=limit, keep=DAY, reserve=True)
        kept = Kept(limits=limits, rows=Rows(table="rings", number="number", time="time"))
        self.upkeep = Upkeep(path, kept=kept, free=lambda _: self.free)
        self.upkeep.attach(self.connection)

    def ring(self, count: int, time: int = 0) -> None:
        """Write rows of a page each."""
        row = "INSERT INTO rings (time, body) VALUES (?, zeroblob(4000))"
        self.connection.executemany(row, [(time,)] * count)

    def do(self, *, refused: bool = False) -> None:
        """Do all that is due."""
        self.upkeep.note(apsw.FullError("full") if refused else None)
        self.upkeep.do(self.connection, idle=True)
        while self.upkeep.patience_s() == 0:
            self.upkeep.do(self.connection, idle=True)

    def numbers(self) -> tuple[int, int]:
        """Return the oldest and the newest row's number."""
        found: tuple[int, int] = self.connection.execute("SELECT min(number), max(number) FROM rings").get
        return found


def test_rows_go_in_small_batches_until_there_is_room(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 8 * MIB)
    with closing(disk.connection):
        disk.ring(1900)
        disk.upkeep.do(disk.connection, idle=True)
        assert disk.numbers() == (501, 1900)
        disk.do()
        assert disk.numbers() == (501, 1900)
        disk.ring(600)
        disk.do()
        assert disk.numbers() == (1001, 2500)
        assert disk.upkeep.oldest == (1001, 0)


def test_old_rows_go_and_the_others_stay(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 100 * MIB)
    with closing(disk.connection):
        disk.ring(1200, time=5)
        disk.ring(3, time=9)
        disk.do()
        assert disk.numbers() == (1, 1203)
        disk.upkeep.cutoff = 6
        disk.do()
        assert disk.numbers() == (1201, 1203)


def test_the_reserve_goes_when_the_disk_is_full_and_comes_back_with_room(tmp_path: Path) -> None:
    """R4: and in between the file gets along with what it has."""
    disk = Disk(tmp_path, 100 * MIB)
    with closing(disk.connection):
        disk.ring(2000)
        disk.do()
        assert disk.reserve.stat().st_size == RESERVE
        assert disk.reserve.stat().st_blocks * 512 >= RESERVE
        disk.free = 0
        disk.do(refused=True)
        assert not disk.reserve.exists()
        assert disk.upkeep.room.bound == disk.upkeep.room.size
        assert disk.numbers() == (501, 2000)
        disk.do()
        assert disk.upkeep.room.problem() is not None
        with pytest.raises(apsw.FullError):
            disk.ring(1000)
        disk.free = 1000 * MIB
        disk.do()
        assert disk.reserve.exists()
        assert disk.upkeep.room.problem() is None


def test_the_reserve_is_given_up_before_the_file_is_opened_on_a_full_disk(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 100 * MIB)
    with closing(disk.connection):
        disk.do()
        disk.upkeep.give_way()
        assert disk.reserve.exists()
        disk.free = 0
        disk.upkeep.give_way()
        assert not disk.reserve.exists()


async def test_a_journal_never_grows_beyond_its_limit_and_refuses_nothing(tmp_path: Path) -> None:
    """R4: the oldest go in time, what is free is used again, and agents that are behind are told."""
    path = tmp_path / "journal.db"
    metrics = Metrics()
    meter = FileMetrics(metrics).of("journal")
    limits = Limits(max_bytes=MIN_BYTES, keep=30 * DAY)
    async with open_journal(path, T0, limits=limits, meter=meter) as journal:
        for first in range(1, 16_000, 200):
            messages = [push(number) for number in range(first, first + 200)]
            await journal.accept(messages, source=GITHUB, delivery=f"d{first}", body_digest="0" * 64, now=T0)
            assert await asyncio.to_thread(_size, path) <= MIN_BYTES
        assert journal.newest() == 16_000
        decision = await journal.resume(Cursor(epoch=journal.epoch, seq=200))
        assert decision == Reset(seq=16_000, reason="rows behind the cursor are no longer kept")
        assert journal.problem() is None
        shown = metrics.render()[0].decode()
    rows = next(line for line in shown.splitlines() if line.startswith('bellpull_file_rows{file="journal"}'))
    assert 4_000 < float(rows.split()[1]) < 15_000
    assert 'bellpull_file_writes_refused_total{file="journal"} 0.0' in shown
    assert 'bellpull_file_limit_bytes{file="journal"} 1.6777216e+07' in shown


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_a_journal_keeps_its_rows_for_as_long_as_it_is_told(tmp_path: Path) -> None:
    limits = Limits(max_bytes=2**30, keep=DAY)
    async with open_journal(tmp_path / "journal.db", T0, limits=limits) as journal:
        for number, when in ((1, T0), (2, T0 + DAY / 2)):
            await journal.accept([push(number)], source=GITHUB, delivery="d", body_digest="0" * 64, now=when)
        await journal.sign(T0 + DAY + seconds(1))
        async with asyncio.timeout(10):
            while (await journal.page(0))[0].seq != 2:  # noqa: ASYNC110 - the writing thread tells nobody
                await asyncio.sleep(0.05)
        assert journal.newest() == 3


@pytest.mark.parametrize("odd", ["'abc'", "x'00'", "NULL", "-1", "1.5", "9223372036854775807"])
def test_a_row_that_was_stored_at_no_time_goes_with_the_old_and_holds_up_none(tmp_path: Path, odd: str) -> None:
    """Only damage makes one; it is the oldest, and nothing behind it would ever go."""
    disk = Disk(tmp_path, 100 * MIB)
    with closing(disk.connection):
        disk.ring(700, time=5)
        disk.ring(3, time=9)
        disk.connection.execute(f"UPDATE rings SET time = {odd} WHERE number IN (1, 600)")  # noqa: S608 - the test's own
        disk.do()
        assert disk.upkeep.oldest == (1, 0)
        disk.upkeep.cutoff = 6
        disk.do()
        assert disk.numbers() == (701, 703)


async def test_words_are_kept_as_long_as_what_they_answer(tmp_path: Path) -> None:
    limits = Limits(max_bytes=2**30, keep=DAY)
    async with open_state(tmp_path / "state.db", T0, limits=limits) as state:
        for seq, when in ((1, T0), (2, T0 + 2 * DAY)):
            await state.put_report(report(seq), issued=when, received=when)
        async with asyncio.timeout(10):
            while len(await state.answers("github.com/acme/site", "refs/heads/main", T0)) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        (answer,) = await state.answers("github.com/acme/site", "refs/heads/main", T0)
        assert (answer.sync, answer.seq) == (SITE, 2)


async def test_an_agent_that_is_overtaken_by_retention_is_told_to_begin_anew(gateway: Gateway) -> None:
    """R14: a hole in what it hears is never silent, also on a stream that is open."""
    await gateway.push(push(1))
    async with gateway.stream(gateway.cursor(1)) as stream:
        assert isinstance(await stream.next(), TickFrame)
        delete = "DELETE FROM events WHERE seq <= 3"
        async with asyncio.TaskGroup() as group:
            for number in (2, 3, 4):
                group.create_task(gateway.push(push(number)))
            group.create_task(gateway.journal.database.write(lambda c: c.execute(delete).fetchall(), within_s=5))
        frame = await stream.next()
        assert frame == ResetFrame(cursor=gateway.cursor(4))
        await gateway.push(push(5))
        assert await stream.message() == (5, push(5).id)

"""Files that are damaged when the gateway starts (R10)."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path

import apsw
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.message import Message
from bellpull.contract.text import Name
from gateway.adapters.damage import acknowledge, notes
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.recovery import _DamagedError, _judge, make_sound
from gateway.adapters.state import open_state
from gateway.adapters.tables import JOURNAL
from gateway.core.resume import Reset
from gateway.ports.disk import DiskFailed
from tests.gateway.examples import GITHUB, T0, WEB, heartbeat, push, report, seconds

BEFORE, SINCE = 300, 60
"""Pushes that were moved into the file, and pushes that are in its log only."""
DB = Name("db-1")
PAGE = 4096
NAME = "journal.damaged-20260301T120000Z"


@asynccontextmanager
async def pushed(path: Path, *deliveries: Sequence[Message]) -> AsyncIterator[SqliteJournal]:
    """Yield a journal that took the deliveries one after the other."""
    async with open_journal(path, T0) as journal:
        for messages in deliveries:
            delivery = messages[0].id
            await journal.accept(messages, source=GITHUB, delivery=delivery, body_digest="0" * 64, now=T0)
        yield journal


async def copied(lived: Path, path: Path) -> None:
    """Copy a journal that is open, as a kill would leave it now."""
    for end in ("", "-wal"):
        await asyncio.to_thread(shutil.copy, f"{lived}{end}", f"{path}{end}")


OLD = [push(number) for number in range(1, BEFORE + 1)]
NEW = [[push(number)] for number in range(BEFORE + 1, BEFORE + SINCE + 1)]


@pytest.fixture
async def killed(tmp_path: Path) -> Path:
    """Return a journal as a kill leaves it: a file, and a log with what came since."""
    lived, path = tmp_path / "lived.db", tmp_path / "journal.db"
    async with pushed(lived, OLD):
        pass
    async with pushed(lived, *NEW):
        await copied(lived, path)
    return path


@pytest.fixture
async def stopped(tmp_path: Path) -> Path:
    """Return a journal as an orderly stop leaves it."""
    async with pushed(tmp_path / "journal.db", OLD):
        pass
    return tmp_path / "journal.db"


def log(path: Path) -> Path:
    return path.with_name("journal.db-wal")


def overwrite(path: Path, at: int, length: int = 200) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * length)


def root_of(path: Path, table: str) -> int:
    """Return where a table's first page is."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"{path.as_uri()}?immutable=1", flags=flags)
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).get
    connection.close()
    return (int(page) - 1) * PAGE


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


KILLED: dict[str, Callable[[Path], object]] = {
    "garbage instead of it": lambda path: path.write_bytes(b"not a database, but long enough for one " * 200),
    "pages in the middle": lambda path: overwrite(path, 20 * PAGE, 3 * PAGE),
    "its second half gone": lambda path: cut(path, path.stat().st_size // 2),
    "all of it gone but the log": lambda path: path.unlink(),
    "emptied, but for the log": lambda path: cut(path, 0),
    "its log, in the middle": lambda path: overwrite(log(path), log(path).stat().st_size // 2),
    "its log's head": lambda path: overwrite(log(path), 0, 32),
    "its log, from the beginning": lambda path: overwrite(log(path), 0, 5 * PAGE),
}
STOPPED: dict[str, Callable[[Path], object]] = {
    "garbage instead of it": KILLED["garbage instead of it"],
    "its head": lambda path: overwrite(path, 0),
    "its second half gone": KILLED["its second half gone"],
    "a page that the start writes to": lambda path: overwrite(path, root_of(path, "epochs"), PAGE),
    "a page that the start reads": lambda path: overwrite(path, root_of(path, "schema"), PAGE),
}


async def begun_anew(path: Path) -> None:
    """See that a start moves the journal aside whole, begins a new one, and tells all agents and whoever looks."""
    before = await asyncio.to_thread(_content, path)
    async with open_journal(path, T0) as journal:
        assert await journal.page(0) == ()
        decision = await journal.resume(Cursor(epoch="x" * 16, seq=BEFORE))
        assert decision == Reset(seq=0, reason="the cursor is of another journal")
    after = await asyncio.to_thread(_content, path.with_name(NAME))
    assert after == before
    (line,) = await asyncio.to_thread(notes, path.parent)
    assert line.startswith("2026-03-01T12:00:00Z ")
    assert f"moved to {NAME}" in line


def _content(path: Path) -> dict[str, bytes]:
    files = {end: path.with_name(path.name + end) for end in ("", "-wal")}
    return {end: file.read_bytes() for end, file in files.items() if file.exists() and file.stat().st_size}


@pytest.mark.parametrize("damage", KILLED.values(), ids=KILLED.keys())
async def test_damage_found_after_a_kill(killed: Path, damage: Callable[[Path], object]) -> None:
    """Every page is looked at, and the log; nothing is lost silently, nothing is deleted, and it starts."""
    await asyncio.to_thread(damage, killed)
    await begun_anew(killed)


@pytest.mark.parametrize("damage", STOPPED.values(), ids=STOPPED.keys())
async def test_damage_found_after_an_orderly_stop(stopped: Path, damage: Callable[[Path], object]) -> None:
    """What a start meets is enough to look at everything: never a crash loop."""
    await asyncio.to_thread(damage, stopped)
    await begun_anew(stopped)


SOUND: dict[str, Callable[[Path], object]] = {
    "as it was": lambda _: None,
    "its head half written, and whole in the log": lambda path: overwrite(path, 0),
    "the last commit half written": lambda path: cut(log(path), log(path).stat().st_size - 3000),
    "the last commit wrong": lambda path: overwrite(log(path), log(path).stat().st_size - 3000),
    "a stale index of the log": lambda path: path.with_name("journal.db-shm").write_bytes(b"\x5a" * 32768),
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND.keys())
async def test_what_a_kill_or_a_power_cut_may_leave_is_no_damage(
    killed: Path, change: Callable[[Path], object]
) -> None:
    """P1: all but the last, which nobody was promised, are there."""
    await asyncio.to_thread(change, killed)
    async with open_journal(killed, T0) as journal:
        assert journal.newest() >= BEFORE + SINCE - 1
    assert await asyncio.to_thread(notes, killed.parent) == ()


async def test_a_log_that_began_anew_is_no_damage(tmp_path: Path) -> None:
    """Behind the frames that count are those of before."""
    lived, path = tmp_path / "lived.db", tmp_path / "journal.db"
    async with pushed(lived, *NEW[:50]) as journal:
        await asyncio.to_thread(_checkpoint, lived)
        for messages in NEW[50:53]:
            await journal.accept(messages, source=GITHUB, delivery="d", body_digest="0" * 64, now=T0)
        await copied(lived, path)
    async with open_journal(path, T0) as journal:
        assert journal.newest() == 53
    assert await asyncio.to_thread(notes, tmp_path) == ()


def _checkpoint(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


async def test_an_orderly_stop_leaves_no_log(tmp_path: Path) -> None:
    """By that the next start knows it, whoever read until the end."""
    path = tmp_path / "journal.db"
    for _ in range(5):
        async with pushed(path, *NEW[:2]) as journal:
            await asyncio.gather(*(journal.page(0) for _ in range(16)))
        assert not await asyncio.to_thread(log(path).exists)


async def test_a_move_that_was_interrupted_is_taken_up(killed: Path) -> None:
    """The file was moved already, its log not yet."""
    await asyncio.to_thread(overwrite, killed, 0)
    await asyncio.to_thread(killed.rename, killed.with_name("journal.damaged-20260301T115900Z"))
    async with open_journal(killed, T0) as journal:
        assert journal.newest() == 0
    kept = await asyncio.to_thread(lambda: sorted(each.name for each in killed.parent.glob("journal.damaged*")))
    assert kept == ["journal.damaged-20260301T115900Z", f"{NAME}-wal"]


async def test_two_in_the_same_second_are_both_kept(stopped: Path) -> None:
    for content in (b"first " * 1000, b"second " * 1000):
        await asyncio.to_thread(stopped.write_bytes, content)
        async with open_journal(stopped, T0):
            pass
    kept = [stopped.with_name(name) for name in (NAME, f"{NAME}x")]
    assert await asyncio.to_thread(lambda: [each.read_bytes()[:5] for each in kept]) == [b"first", b"secon"]
    assert len(await asyncio.to_thread(notes, stopped.parent)) == 2


async def test_the_next_start_is_an_ordinary_one(stopped: Path) -> None:
    await asyncio.to_thread(stopped.write_bytes, b"garbage " * 1000)
    async with pushed(stopped, *NEW[:2]):
        pass
    async with open_journal(stopped, T0 + seconds(60)) as journal:
        assert journal.newest() == 2
    assert len(await asyncio.to_thread(notes, stopped.parent)) == 1


async def test_acknowledged_is_acknowledged_once(stopped: Path) -> None:
    await asyncio.to_thread(stopped.write_bytes, b"garbage " * 1000)
    async with open_journal(stopped, T0):
        pass
    (line,) = await asyncio.to_thread(acknowledge, stopped.parent)
    assert "file is not a database" in line
    assert await asyncio.to_thread(acknowledge, stopped.parent) == ()
    assert await asyncio.to_thread(stopped.with_name(NAME).exists)


async def test_a_damaged_state_is_moved_aside_and_needs_nobody(tmp_path: Path) -> None:
    """R9: it is filled by one round of heartbeats."""
    path = tmp_path / "state.db"
    await asyncio.to_thread(path.write_bytes, b"garbage " * 1000)
    async with open_state(path, T0) as state:
        await state.put_heartbeat(heartbeat(1), issued=T0, received=T0)
        assert list(await state.agents()) == [WEB]
    assert await asyncio.to_thread((tmp_path / "state.damaged-20260301T120000Z").exists)
    assert await asyncio.to_thread(notes, tmp_path) == ()


class _Unreadable(apsw.VFS):
    """A disk that cannot read beyond the first pages."""

    def __init__(self) -> None:
        super().__init__("unreadable", "")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        return _UnreadableFile("", name, flags)


class _UnreadableFile(apsw.VFSFile):
    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's
        if offset >= 20 * PAGE:
            error = apsw.IOError("disk I/O error")
            error.extendedresult = apsw.SQLITE_IOERR_READ  # type: ignore[attr-defined]  # as apsw wants it said
            raise error
        return super().xRead(amount, offset)


def test_what_cannot_be_read_stays_where_it_is(killed: Path) -> None:
    """R3: a disk that fails is not a damaged file; the process ends, and whoever looks finds it in its place."""
    disk = _Unreadable()  # for as long as it is there, SQLite knows it by its name
    before = _content(killed)
    with pytest.raises(DiskFailed, match="disk I/O error"):
        make_sound(killed, JOURNAL, now=T0, synced=True, tell=lambda _: None, vfs="unreadable")
    assert _content(killed) == before
    del disk


CHECKS = {
    "ok": None,
    "*** in database main *** Page 5: btreeInitPage() returns error code 11": _DamagedError,
    "Tree 5 page 21: unable to get the page. error code=266": apsw.IOError,
    "Tree 5 page 21: unable to get the page. error code=10": apsw.IOError,
    "Tree 5 page 21: unable to get the page. error code=11": _DamagedError,
}


@pytest.mark.parametrize(("said", "means"), CHECKS.items(), ids=range(len(CHECKS)))
def test_a_check_that_could_not_read_is_told_from_one_that_found_damage(
    said: str, means: type[Exception] | None
) -> None:
    """R3: SQLite tells both in a line of text."""
    with nullcontext() if means is None else pytest.raises(means):
        _judge(said)


def changed(path: Path, statement: str) -> None:
    """Change a file as no program does; that must change something."""
    with closing(apsw.Connection(str(path))) as disk:
        disk.execute(statement)
        assert disk.changes() == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlite_sequence SET seq = 'abc'",
        "UPDATE sqlite_sequence SET seq = NULL",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807",
        "UPDATE sqlite_sequence SET seq = -1",
        "UPDATE epochs SET first = 'x'",
        "UPDATE epochs SET word = 'no word'",
        "UPDATE epochs SET word = x'00'",
        "UPDATE schema SET version = 'x'",
        "UPDATE schema SET version = 0",
        "UPDATE sqlite_sequence SET name = 'x'",
        "UPDATE sqlite_sequence SET seq = 7",
        "UPDATE epochs SET first = 9000",
        "UPDATE epochs SET place = 9223372036854775807",
        "UPDATE events SET seq = 9223372036854775807 WHERE seq = 300",
        "UPDATE events SET seq = 9000 WHERE seq = 300",
        "UPDATE events SET seq = -1 WHERE seq = 300",
    ],
)
async def test_a_value_that_no_program_writes_is_damage(stopped: Path, statement: str) -> None:
    """It would end every start, or refuse every push."""
    changed(stopped, statement)
    await begun_anew(stopped)


async def test_numbers_that_were_lost_with_all_events_are_not_used_again(stopped: Path) -> None:
    """R14: retention had taken every event, so that nothing but the starts says how far numbers had come."""
    with closing(apsw.Connection(str(stopped))) as disk:
        disk.execute("UPDATE epochs SET first = 200")
        disk.execute("DELETE FROM events")
        disk.execute("DELETE FROM sqlite_sequence")
    await begun_anew(stopped)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE agents SET epoch = 'x'",
        "UPDATE agents SET heard = 9000000000000000000",
        "UPDATE agents SET heard = 'now'",
        "UPDATE agents SET beat_epoch = 'x'",
        "UPDATE agents SET full_seq = x'00'",
        "UPDATE agents SET beat_seq = NULL",
        "UPDATE agents SET beat_epoch = 9000000000000000",
    ],
)
async def test_such_a_value_of_an_agent_costs_what_was_heard_of_it(tmp_path: Path, statement: str) -> None:
    """R9: until its next heartbeat; other agents, and all words, stay."""
    path = tmp_path / "state.db"
    async with open_state(path, T0) as state:
        await state.put_heartbeat(heartbeat(1), issued=T0, received=T0)
        await state.put_report(report(2), issued=T0, received=T0)
        await state.put_heartbeat(heartbeat(1, agent=DB), issued=T0, received=T0)
    changed(path, f"{statement} WHERE agent = 'web-1'")
    async with open_state(path, T0) as state:
        assert list(await state.agents()) == [DB]
        await state.put_heartbeat(heartbeat(2), issued=T0, received=T0)
        assert sorted(await state.agents()) == [DB, WEB]
        assert len(await state.answers("github.com/acme/site", "refs/heads/main", T0)) == 1
    assert not path.with_name("state.damaged-20260301T120000Z").exists()


async def test_a_version_that_is_none_costs_the_state(tmp_path: Path) -> None:
    """R9: it is filled by one round of heartbeats."""
    path = tmp_path / "state.db"
    async with open_state(path, T0) as state:
        await state.put_heartbeat(heartbeat(1), issued=T0, received=T0)
    changed(path, "UPDATE schema SET version = 'x'")
    async with open_state(path, T0) as state:
        assert await state.agents() == {}
        await state.put_heartbeat(heartbeat(2), issued=T0, received=T0)
        assert list(await state.agents()) == [WEB]
    assert path.with_name("state.damaged-20260301T120000Z").exists()

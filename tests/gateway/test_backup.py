"""A copy of the journal while it is written, and what a gateway makes of it."""

import asyncio
import shutil
import signal
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from bellpull.contract.cursor import Cursor
from bellpull.contract.event import Resync
from bellpull.contract.message import Message, decode
from bellpull.contract.stream import EVENTS_PATH, Frame, FrameReader, MessageFrame, ResetFrame, TickFrame
from bellpull.runtime.files import FolderLock
from gateway.adapters.backup import back_up
from gateway.adapters.journal import open_journal
from gateway.ports.disk import WriteRefused
from tests.cli.command import bellpull
from tests.gateway.examples import GITHUB, T0, push
from tests.gateway.github import payload
from tests.gateway.process import TOKEN, Folder, Gateway, deliver


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.enroll()
    return made


def numbers(path: Path) -> list[int]:
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        return [seq for (seq,) in connection.execute("SELECT seq FROM events ORDER BY seq")]


async def test_a_copy_is_of_one_moment_however_much_is_written_meanwhile(tmp_path: Path) -> None:
    """All deliveries that were there when it began, whole, and none that came while it was made."""
    path, target = tmp_path / "journal.db", tmp_path / "copy.db"
    async with open_journal(path, T0) as journal:
        await journal.accept(
            [push(n) for n in range(1, 4001)], source=GITHUB, delivery="d0", body_digest="0" * 64, now=T0
        )
        steps: list[float] = []
        loop = asyncio.get_running_loop()

        def write_more(part: float) -> None:
            steps.append(part)
            number = 5_000 + len(steps)
            more = journal.accept([push(number)], source=GITHUB, delivery=f"d{number}", body_digest="0" * 64, now=T0)
            asyncio.run_coroutine_threadsafe(more, loop).result(10)

        await asyncio.to_thread(back_up, path, target, write_more)
        assert journal.newest() == 4000 + len(steps)
        assert len(steps) > 1
        assert steps[-1] == 1
    assert await asyncio.to_thread(numbers, target) == list(range(1, 4001))
    assert stat.S_IMODE((await asyncio.to_thread(target.stat)).st_mode) == 0o600
    left = await asyncio.to_thread(lambda: sorted(each.name for each in tmp_path.iterdir()))
    assert left == ["copy.db", "journal.db", "lock"]


async def test_a_start_on_a_copy_tells_everybody_to_look_at_everything(tmp_path: Path) -> None:
    """R1: also when it was taken a moment ago, and for agents whose place is in it."""
    path, target = tmp_path / "journal.db", tmp_path / "copy" / "journal.db"
    await asyncio.to_thread(target.parent.mkdir)
    async with open_journal(path, T0) as journal:
        await journal.accept([push(1)], source=GITHUB, delivery="d1", body_digest="0" * 64, now=T0)
        await asyncio.to_thread(back_up, path, target, lambda _: None)
        cursor = Cursor(epoch=journal.epoch, seq=1)
    async with open_journal(target, T0) as journal:
        where = await journal.resume(cursor)
        (row,) = await journal.page(where.seq)
        assert row.type == "dev.bellpull.resync.v1"


def test_nothing_is_overwritten_and_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    target, journal = tmp_path / "copy.db", tmp_path / "data" / "journal.db"
    target.write_text("precious")
    with pytest.raises(FileExistsError):
        back_up(journal, target, lambda _: None)
    assert target.read_text() == "precious"
    journal.write_bytes(b"garbage " * 1000)
    with pytest.raises(WriteRefused, match=r"journal\.db: cannot be copied: file is not a database"):
        back_up(journal, tmp_path / "other.db", lambda _: None)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy.db", "data"]


def test_no_gateway_starts_while_one_that_is_stopped_is_copied(tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "journal.db"))) as connection:
        connection.execute("CREATE TABLE schema (version INTEGER)")
        connection.execute("CREATE TABLE life (seen INTEGER)")

    def look(_: float) -> None:
        with pytest.raises(OSError, match="in use"), FolderLock(tmp_path):
            pass

    back_up(tmp_path / "journal.db", tmp_path / "copy.db", look)
    with FolderLock(tmp_path):
        pass


def test_the_command_copies_beside_a_running_gateway(folder: Folder) -> None:
    config = folder.path / "gateway.yaml"
    with folder.running() as gateway:
        deliver(gateway.hooks, payload())
        target = folder.path / "copy.db"
        ended = bellpull("gateway", "backup", target, "--config", config)
        assert (ended.code, ended.out) == (0, f"{target}: {target.stat().st_size} bytes\n")
        again = bellpull("gateway", "--config", config, "backup", target)
        assert (again.code, again.out) == (1, "")
        assert "copy.db: is there already" in again.err
        assert deliver(gateway.hooks, payload(), delivery="d2").status == 202
        assert gateway.stop() == 0
    assert numbers(target) == [1]


def test_where_no_gateway_ever_ran_there_is_nothing_to_copy(folder: Folder) -> None:
    ended = bellpull("gateway", "--config", folder.path / "gateway.yaml", "backup", folder.path / "copy.db")
    assert ended.code == 1
    assert "there is no journal" in ended.err
    assert not (folder.path / "copy.db").exists()


class Heard:
    """What one agent hears, and the place it goes on from."""

    def __init__(self) -> None:
        self.cursor: Cursor | None = None
        self.resets = 0
        self.resyncs = 0

    def note(self, frame: Frame) -> None:
        if isinstance(frame, ResetFrame | MessageFrame | TickFrame):
            self.cursor = frame.cursor
        self.resets += isinstance(frame, ResetFrame)
        if isinstance(frame, MessageFrame):
            message = decode(frame.body)
            self.resyncs += isinstance(message, Message) and isinstance(message.data, Resync)


@asynccontextmanager
async def stream(gateway: Gateway, heard: Heard) -> AsyncIterator[aiohttp.ClientResponse]:
    """Dial in as an agent does, from where it stood."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if heard.cursor is not None:
        headers["Last-Event-ID"] = str(heard.cursor)
    async with (
        aiohttp.ClientSession() as session,
        session.get(gateway.agents + EVENTS_PATH, headers=headers) as response,
    ):
        yield response


async def hear(response: aiohttp.ClientResponse, heard: Heard) -> None:
    """Listen until a tick says that there is no more, or the gateway is gone."""
    reader = FrameReader()
    async with asyncio.timeout(20):
        while chunk := await response.content.readany():
            frames = reader.feed(chunk)
            for frame in frames:
                heard.note(frame)
            if any(isinstance(frame, TickFrame) for frame in frames):
                return


def restore(folder: Folder) -> None:
    data = folder.path / "data"
    (data / "journal.db").rename(data / "journal.before")
    shutil.copy(folder.path / "copy.db", data / "journal.db")


def empty(folder: Folder) -> None:
    folder.change("journal.db", "DELETE FROM events")


def remove(folder: Folder) -> None:
    for file in (folder.path / "data").glob("journal.db*"):
        file.unlink()


HOLES = {"a restored backup": restore, "an emptied journal": empty, "a journal that is gone": remove}


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES.keys())
@pytest.mark.parametrize("behind", [False, True], ids=["that was there", "that was away"])
async def test_no_hole_in_the_journal_is_silent(
    folder: Folder, hole: Callable[[Folder], None], *, behind: bool
) -> None:
    """R14, R1: whoever listened until the stop, and whoever comes back later, is told to look at everything."""
    heard = Heard()
    with folder.running() as gateway:
        async with stream(gateway, heard) as response:
            await hear(response, heard)
        await asyncio.to_thread(deliver, gateway.hooks, payload(), delivery="d1")
        await asyncio.to_thread(
            bellpull, "gateway", "backup", folder.path / "copy.db", "--config", folder.path / "gateway.yaml"
        )
        await asyncio.to_thread(deliver, gateway.hooks, payload(), delivery="d2")
        if not behind:
            async with stream(gateway, heard) as response:
                await hear(response, heard)
        await asyncio.to_thread(gateway.stop)
    await asyncio.to_thread(hole, folder)
    before = (heard.resets, heard.resyncs)
    with folder.running() as gateway:
        async with stream(gateway, heard) as response:
            await hear(response, heard)
    told = (heard.resets - before[0], heard.resyncs - before[1])
    nothing_lost = hole is empty and not behind
    assert (sum(told) > 0) is not nothing_lost


def _restored(folder: Folder) -> list[dict[str, Any]]:
    return [line for line in folder.lines() if line["event"].startswith("the journal is a backup")]


def test_the_log_says_once_that_the_journal_is_a_backup(folder: Folder) -> None:
    """R1, R10: with what it has, and of when; the next start is one like all."""
    config = folder.path / "gateway.yaml"
    with folder.running() as gateway:
        deliver(gateway.hooks, payload())
        assert bellpull("gateway", "backup", folder.path / "copy.db", "--config", config).code == 0
        deliver(gateway.hooks, payload(), delivery="d2")
        assert gateway.stop() == 0
    with folder.running() as gateway:
        assert gateway.stop() == 0
    assert _restored(folder) == []
    restore(folder)
    for _ in range(2):
        with folder.running() as gateway:
            assert gateway.stop() == 0
    (said,) = _restored(folder)
    assert (said["level"], said["newest"]) == ("warning", 1)
    assert said["started"] < said["accepted"] < said["time"]


async def test_a_gateway_that_was_away_is_heard_as_such(folder: Folder) -> None:
    """R1: killed, and started more than a minute after its last sign: agents that go on with their place hear it."""
    heard = Heard()
    with folder.running() as gateway:
        async with stream(gateway, heard) as response:
            await hear(response, heard)
        await asyncio.to_thread(gateway.stop, signal.SIGKILL)
    await asyncio.to_thread(folder.change, "journal.db", "UPDATE life SET seen = seen - 61 * 1000000")
    with folder.running() as gateway:
        async with stream(gateway, heard) as response:
            await hear(response, heard)
    assert (heard.resets, heard.resyncs) == (1, 1)

"""A gateway whose disk fails, is full, cannot be written or stalls (P1, R3, R4, R8)."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.app.main import DISK_FAILED
from gateway.ports.disk import DiskFailed
from tests.gateway.disk.program import BROKEN
from tests.gateway.disk.vfs import Disk, Operation
from tests.gateway.examples import T0
from tests.gateway.github import payload
from tests.gateway.listening import Listener, listener
from tests.gateway.process import Folder, ask, deliver, eventually

REFUSED = (503, b'{"error":"the journal cannot write now, come again"}')


async def post(hooks: Listener, number: int) -> tuple[int, bytes]:
    body = orjson.dumps(payload(after=f"{number:040x}", ref=f"refs/heads/b{number}"))
    return await hooks.post(body, {"X-GitHub-Delivery": f"d{number}"})


async def kept(path: Path) -> set[str]:
    async with open_journal(path, T0) as journal:
        return {row.event_id for row in await journal.page(0)}


async def broke(journal: SqliteJournal) -> str:
    with pytest.raises(DiskFailed) as caught:
        async with asyncio.timeout(20):
            await journal.watch()
    return caught.value.problem


@pytest.mark.parametrize("operation", ["write", "sync"])
async def test_a_failed_write_or_sync_is_the_last_one(tmp_path: Path, operation: Operation) -> None:
    """R3: who waits is answered 503, the program ends, and nothing is written again even if the disk would take it.

    After a failed fsync the next succeeds, and what it says is not true: pages may be gone.
    """
    with await asyncio.to_thread(Disk, tmp_path) as disk:
        async with listener(tmp_path) as hooks:
            stored = [await post(hooks, number) for number in range(5)]
            disk.failing[operation] = f"EIO {operation}"
            answers = await asyncio.gather(*(post(hooks, number) for number in range(10, 18)))
            assert set(answers) == {REFUSED}
            assert f"EIO {operation}" in await broke(hooks.journal)
            disk.failing.clear()
            assert await post(hooks, 20) == REFUSED
        assert disk.since_failed == 0
    assert {status for status, _ in stored} == {202}
    assert {event for _, answer in stored for event in orjson.loads(answer)["events"]} <= await kept(
        tmp_path / "journal.db"
    )


async def test_a_failed_read_ends_it_too(tmp_path: Path) -> None:
    """R3: what cannot be read cannot be promised."""
    with await asyncio.to_thread(Disk, tmp_path) as disk:
        async with listener(tmp_path) as hooks:
            assert (await post(hooks, 1))[0] == 202
            disk.failing["read"] = "EIO read"
            with pytest.raises(DiskFailed, match="EIO read"):
                await hooks.journal.page(0)
            assert "EIO read" in await broke(hooks.journal)
            disk.failing.clear()
            assert await post(hooks, 2) == REFUSED
    assert len(await kept(tmp_path / "journal.db")) == 1


@pytest.mark.parametrize("problem", ["full", "read-only"])
async def test_a_disk_that_takes_nothing_more_is_survived(tmp_path: Path, problem: str) -> None:
    """R3: 503 for as long as it lasts, then pushes are taken by the same process, and none is lost."""
    with await asyncio.to_thread(Disk, tmp_path) as disk:
        async with listener(tmp_path) as hooks:
            answers = [await post(hooks, number) for number in range(5)]
            disk.failing["write"] = problem
            refused = await asyncio.gather(*(post(hooks, number) for number in range(10, 18)))
            assert set(refused) == {REFUSED}
            assert not await hooks.journal.writable()
            disk.failing.clear()
            answers += [await post(hooks, number) for number in range(20, 25)]
    assert [status for status, _ in answers] == [202] * 10
    events = {event for _, answer in answers for event in orjson.loads(answer)["events"]}
    assert await kept(tmp_path / "journal.db") == events


async def test_a_stalled_disk_keeps_a_delivery_waiting_for_two_seconds(tmp_path: Path) -> None:
    """R8: then it is 503, and the row may land all the same: at least once."""
    with await asyncio.to_thread(Disk, tmp_path) as disk:
        async with listener(tmp_path) as hooks:
            disk.running.clear()
            begun = time.monotonic()
            assert set(await asyncio.gather(*(post(hooks, number) for number in range(3)))) == {REFUSED}
            assert 2 <= time.monotonic() - begun < 6
            disk.running.set()
            assert (await post(hooks, 3))[0] == 202
            assert hooks.journal.newest() >= 2


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_program_ends_with_its_own_code_and_the_next_start_has_all(folder: Folder) -> None:
    """R3: 503 to who waits, exit code 74; what was answered 2xx is there."""
    data = folder.path / "data"
    with folder.running(program=("-m", "tests.gateway.disk.program", str(data))) as gateway:
        answer = deliver(gateway.hooks, payload())
        (data / BROKEN).touch()
        assert deliver(gateway.hooks, payload(), delivery="d2").status == 503
        assert gateway.process.wait(20) == DISK_FAILED
    (data / BROKEN).unlink()
    with folder.running() as gateway:
        assert ask(f"{gateway.console}/readyz").status == 200
        gateway.stop()
    assert answer.status == 202
    assert answer.json()["events"][0] in {row[0] for row in folder.rows()}


@pytest.fixture
def small_disk(folder: Folder) -> Iterator[Path]:
    """Mount a disk of 24 MiB where the gateway has its data."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    data = folder.path / "data"
    data.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "bellpull", str(data)]
    mounted = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield data
    subprocess.run(["umount", "--lazy", str(data)], check=True, timeout=20)


def fill(path: Path) -> None:
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_that_was_full_is_used_again_without_a_restart(folder: Folder, small_disk: Path) -> None:
    """R4: a real one, by somebody else's files: 503 and degraded while it is full, nothing lost, 202 with room."""
    ballast, events = small_disk / "ballast", set[str]()
    with folder.running() as gateway, eventually("the disk is full, and then it is not", 40) as look:
        while (answer := deliver(gateway.hooks, payload(), delivery=f"d{len(events)}")).status == 202:
            events |= set(answer.json()["events"])
            fill(ballast)
            look.again()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert ask(f"{gateway.console}/readyz").json()["state"] == "degraded"
        ballast.unlink()
        while deliver(gateway.hooks, payload(), delivery="after").status != 202:
            look.again()
        assert gateway.stop() == 0
    assert len(events) > 0
    assert events <= {row[0] for row in folder.rows()}

"""The journal when the power goes: what was answered 2xx is in what was synced (P1)."""

import asyncio
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from bellpull.contract.message import Message
from gateway.adapters import database, upkeep
from gateway.adapters.damage import notes
from gateway.adapters.journal import open_journal
from gateway.adapters.schema import Schema, open_writing
from tests import soak
from tests.gateway.disk.load import Found, cut_again_and_again
from tests.gateway.disk.surface import Inode
from tests.gateway.disk.vfs import Disk
from tests.gateway.examples import GITHUB, T0, push

ROUNDS = 30
"""How often the power goes in the life of one journal."""
MANY = ((20, ROUNDS), (200, 3))
"""Journals, and how often the power goes in the life of each: long lives, and births."""
SOAK = pytest.mark.soak


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> Callable[[Random], None]:
    """Return what makes checkpoints come many times in a round, of either kind: as in hours of a real load."""

    def prepare(random: Random) -> None:
        passive, truncate = random.choice(((20, 40), (40, 10_000), (10_000, 20)))
        monkeypatch.setattr(upkeep, "_CHECKPOINT_PAGES", passive)
        monkeypatch.setattr(upkeep, "_TRUNCATE_PAGES", truncate)

    return prepare


async def cut(folder: Path, rounds: int, checkpoints: Callable[[Random], None]) -> Found:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - to run a failure again
    return await cut_again_and_again(folder, rounds, Random(seed), checkpoints)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("journals", "rounds"), [(1, ROUNDS), *(pytest.param(*each, marks=SOAK) for each in MANY)])
async def test_what_was_answered_is_there_after_the_power_went(
    tmp_path: Path, checkpoints: Callable[[Random], None], journals: int, rounds: int
) -> None:
    """P1, R2: whatever part of what was not synced survived, at whatever moment, checkpoints among them.

    What is left is whole, every start has an epoch of its own, and an agent goes on where it was or is reset (R14).
    """
    begun, answered, resumed, moments = time.monotonic(), 0, 0, set[str]()
    for number in range(journals):
        folder = tmp_path / str(number)
        await asyncio.to_thread(folder.mkdir)
        found = await cut(folder, rounds, checkpoints)
        assert found.lost == set()
        assert found.problems == []
        answered, resumed, moments = (
            answered + len(found.answered),
            resumed + found.resumed,
            moments | {*found.moments},
        )
        await asyncio.to_thread(shutil.rmtree, folder)
    cuts, took_s = journals * rounds, round(time.monotonic() - begun, 1)
    soak.record(f"{journals} journals without power", rounds=cuts, answered=answered, lost=0, seconds=took_s)
    assert answered > 5 * cuts
    assert resumed > cuts // 3
    assert {"write db", "sync db"} & moments, "no cut came in a checkpoint"


@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
async def test_a_journal_that_is_synced_less_loses_answered_deliveries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synchronous: str
) -> None:
    """R2: the test above can fail. A journal that is damaged before anybody was answered loses nothing yet."""

    def weakly(path: Path, _: str, schema: Schema) -> object:
        return open_writing(path, synchronous, schema)

    monkeypatch.setattr(database, "open_writing", weakly)
    lost: set[str] = set()
    for number in range(10):
        folder = tmp_path / str(number)
        await asyncio.to_thread(folder.mkdir)
        lost = (await cut(folder, ROUNDS, lambda _: None)).lost
        if lost:
            break
    assert len(lost) > 0


async def test_the_power_may_go_again_in_the_first_commit_after_it_went(tmp_path: Path) -> None:
    """P1: the ends of two unfinished commits are not taken for damage, and what was promised before is there."""
    lived, path = tmp_path / "lived.db", tmp_path / "journal.db"
    await _unfinished(lived, path, [push(1)], [push(number) for number in range(2, 60)])
    await asyncio.to_thread(_move, path, lived)
    await _unfinished(lived, path, [push(99)])
    async with open_journal(path, T0) as journal:
        assert [row.event_id for row in await journal.page(0)] == [push(1).id]
    assert await asyncio.to_thread(notes, tmp_path) == ()


@pytest.mark.parametrize("log", [{}, {"journal.db-wal": b""}], ids=["before the log", "with an empty log"])
async def test_the_power_may_go_while_the_file_is_made(tmp_path: Path, log: dict[str, bytes]) -> None:
    """R10: SQLite takes back what was begun, which only a connection that writes can; nobody has to help."""
    made, path = tmp_path / "made", tmp_path / "journal.db"
    await asyncio.to_thread(made.mkdir)
    with await asyncio.to_thread(Disk, made) as disk:
        disk.plan_cut(lambda operation, _: operation == "delete", "all", Random(0), lambda: None)
        async with open_journal(made / "journal.db", T0):
            pass
    image = (disk.image or {}) | log
    assert len(image["journal.db-journal"]) > 0
    for name, content in image.items():
        await asyncio.to_thread((tmp_path / name).write_bytes, content)
    async with open_journal(path, T0) as journal:
        await journal.accept([push(1)], source=GITHUB, delivery="d1", body_digest="0" * 64, now=T0)
    async with open_journal(path, T0) as journal:
        assert journal.newest() == 1
    assert await asyncio.to_thread(notes, tmp_path) == ()


async def _unfinished(lived: Path, path: Path, *deliveries: Sequence[Message]) -> None:
    """Let a journal take deliveries; leave at `path` what a cut in the last one leaves: its first page is torn."""
    before = b""
    async with open_journal(lived, T0) as journal:
        for messages in deliveries:
            before = await asyncio.to_thread(Path(f"{lived}-wal").read_bytes)
            await journal.accept(messages, source=GITHUB, delivery=messages[0].id, body_digest="0" * 64, now=T0)
        await asyncio.to_thread(shutil.copy, lived, path)
        log = bytearray(await asyncio.to_thread(Path(f"{lived}-wal").read_bytes))
    torn = next((at for at, byte in enumerate(before) if log[at] != byte), len(before)) + 512
    log[torn : torn + 512] = b"\xa5" * 512
    await asyncio.to_thread(Path(f"{path}-wal").write_bytes, log)


def _move(path: Path, to: Path) -> None:
    for end in ("", "-wal"):
        Path(f"{path}{end}").rename(f"{to}{end}")


CUTS = {
    "what was synced stays": ("nothing", b"aa" * 512),
    "what was written came through": ("all", b"bb" * 512),
}


@pytest.mark.parametrize(("survival", "left"), CUTS.values(), ids=CUTS.keys())
def test_a_cut_leaves(survival: str, left: bytes) -> None:
    file = Inode(number=1, synced=bytearray(b"aa" * 512), pending=[(0, b"bb" * 512)])
    assert file.after_cut(Random(1), survival, 512) == left  # type: ignore[arg-type]  # one of its words


def test_a_cut_tears_writes_at_the_borders_of_sectors() -> None:
    """Each sector on its own: the first may be lost and the second written; within one there is no border."""
    torn = partial(Inode(number=1, synced=bytearray(b"a" * 1024), pending=[(256, b"b" * 512)]).after_cut, sector=512)
    seen = {torn(Random(seed), "some") for seed in range(64)}
    first, second = b"a" * 256 + b"b" * 256, b"b" * 256 + b"a" * 256
    whole = b"a" * 512
    assert seen == {whole + whole, first + whole, whole + second, first + second}

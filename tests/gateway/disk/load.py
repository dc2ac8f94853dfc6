"""A journal under load whose power goes again and again, and what is missing from what was left each time.

Each round opens the journal from what the last cut left, takes signed pushes from several senders at once over HTTP,
lets an agent read along, and ends when the power goes. What was answered 2xx in any round has to be there after all
later ones.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import apsw
import orjson

from bellpull.contract.cursor import Cursor
from gateway.adapters.damage import notes
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.core.resume import From
from gateway.ports.disk import DiskFailed
from gateway.ports.journal import JournalError
from tests.gateway.disk.surface import Survival
from tests.gateway.disk.vfs import Disk, Operation
from tests.gateway.examples import T0
from tests.gateway.github import payload
from tests.gateway.listening import Listener, listener

__all__ = ["Found", "cut_again_and_again"]

_SENDERS: Final = 8
_MOST: Final = 160
"""Pushes in a round whose moment does not come."""
_MOMENTS: Final[tuple[tuple[Operation | None, str | None, int], ...]] = (
    (None, None, 900),
    ("write", "-wal", 700),
    ("sync", "-wal", 60),
    ("write", "db", 200),
    ("sync", "db", 6),
    ("truncate", "-wal", 3),
)
"""Before which operation on which file the power goes, and within how many of them."""
_SURVIVAL: Final[tuple[Survival, ...]] = ("nothing", "some", "some", "some", "all")


@dataclass(slots=True)
class Found:
    """What was seen over all rounds.

    Attributes:
        answered: the events that were answered 2xx before a cut.
        lost: those of them that were missing after one.
        problems: whatever else was not as it has to be.
        moments: at which operation the power went, and on which file, a word for each cut.
        epochs: of the rounds whose start came to its end.
        resumed: cursors of agents that could go on.
        heard: what the agent was given in the last round that there was, by number.
    """

    answered: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    moments: list[str] = field(default_factory=list)
    epochs: list[str] = field(default_factory=list)
    resumed: int = 0
    cursor: Cursor | None = None
    heard: dict[int, str] = field(default_factory=dict)


async def cut_again_and_again(folder: Path, rounds: int, random: Random, prepare: Callable[[Random], None]) -> Found:
    """Run so many rounds on a journal in `folder`, which is empty, or until something is wrong.

    Args:
        folder: where it is.
        rounds: how many at most.
        random: decides all that is random.
        prepare: runs before each round.
    """
    found, numbers = Found(), itertools.count(1)
    for _ in range(rounds):
        prepare(random)
        image = await _round(folder, random, found, numbers)
        await asyncio.to_thread(_put_back, folder, image)
        try:
            await _check(folder, found)
        except (DiskFailed, JournalError) as error:
            found.lost |= found.answered
            found.problems.append(f"what was left cannot be opened: {error}")
        if found.lost or found.problems:
            break
    return found


async def _round(folder: Path, random: Random, found: Found, numbers: "itertools.count[int]") -> dict[str, bytes]:
    answered: list[str] = []
    heard = dict(found.heard)
    with await asyncio.to_thread(Disk, folder) as disk:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        life = _Life(answered, heard, found)

        def at_cut() -> None:
            life.remember()
            loop.call_soon_threadsafe(gone.set)

        operation, end, within = random.choice(_MOMENTS)
        left = random.randrange(within)

        def when(done: Operation, name: str) -> bool:
            nonlocal left
            if operation in (None, done) and end in (None, name):
                left -= 1
            if left < 0:
                found.moments.append(f"{done} {name}")
            return left < 0

        disk.plan_cut(when, random.choice(_SURVIVAL), random, at_cut)
        async with listener(folder) as hooks:
            life.begin(hooks.journal)
            await _load(hooks, gone, life, numbers)
            await asyncio.to_thread(disk.cut)
    if disk.image is None:
        raise AssertionError("unreachable: the power was cut")
    return disk.image


class _Life:
    """What was said to whom in one round; `remember` runs the moment that the power goes."""

    def __init__(self, answered: list[str], heard: dict[int, str], found: Found) -> None:
        self.answered = answered
        self.heard = heard
        self._found = found
        self._epoch: str | None = None

    def begin(self, journal: SqliteJournal) -> None:
        """Take note of a start that came to its end."""
        self._epoch = journal.epoch
        if journal.epoch in self._found.epochs:
            self._found.problems.append(f"the epoch {journal.epoch} is there again")
        self._found.epochs.append(journal.epoch)

    def remember(self) -> None:
        """Keep what was said until now."""
        self._found.answered |= set(self.answered)
        heard = dict(self.heard)
        if self._epoch is not None and heard:
            self._found.cursor = Cursor(epoch=self._epoch, seq=max(heard))
            self._found.heard = heard


async def _load(hooks: Listener, gone: asyncio.Event, life: _Life, numbers: "itertools.count[int]") -> None:
    """Let senders push and an agent read until the power goes, or all is sent."""
    async with asyncio.TaskGroup() as tasks:
        agent = tasks.create_task(_read_along(hooks.journal, life))
        senders = [tasks.create_task(_send(hooks, gone, life, numbers)) for _ in range(_SENDERS)]
        await asyncio.wait(senders)
        agent.cancel()


async def _send(hooks: Listener, gone: asyncio.Event, life: _Life, numbers: "itertools.count[int]") -> None:
    for _ in range(_MOST // _SENDERS):
        if gone.is_set():
            return
        number = next(numbers)
        body = orjson.dumps(payload(after=f"{number:040x}", ref=f"refs/heads/b{number % 7}"))
        try:
            status, answer = await hooks.post(body, {"X-GitHub-Delivery": f"d{number}"})
        except aiohttp.ClientError as error:
            raise AssertionError(f"there has to be an answer: {error}") from error
        if 200 <= status < 300:
            life.answered += orjson.loads(answer)["events"]


async def _read_along(journal: SqliteJournal, life: _Life) -> None:
    after = max(life.heard, default=0)
    while True:
        await journal.wait_beyond(after)
        for row in await journal.page(after):
            life.heard[row.seq] = row.event_id
            after = row.seq


def _put_back(folder: Path, image: dict[str, bytes]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, content in image.items():
        (folder / name).write_bytes(content)


async def _check(folder: Path, found: Found) -> None:
    """Open what was left on an ordinary disk; it stays as it was left, for the next round."""
    image = await asyncio.to_thread(_content, folder)
    async with open_journal(folder / "journal.db", T0) as journal:
        if journal.epoch in found.epochs:
            found.problems.append("the new start has an epoch of before")
        rows = await asyncio.to_thread(_rows, folder / "journal.db", found)
        found.lost |= found.answered - set(rows.values())
        if found.cursor is not None:
            if isinstance(await journal.resume(found.cursor), From):
                found.resumed += 1
                _compare(rows, found)
            else:
                found.cursor, found.heard = None, {}
    found.problems += await asyncio.to_thread(notes, folder)
    await asyncio.to_thread(_put_back, folder, image)


def _compare(rows: dict[int, str], found: Found) -> None:
    """An agent that goes on must have heard what is there: what it heard and is gone, or is another, is silence."""
    for seq, event in found.heard.items():
        if rows.get(seq) != event:
            found.problems.append(f"row {seq} is not what an agent that goes on has heard")


def _rows(path: Path, found: Found) -> dict[int, str]:
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as disk:
        if (verdict := disk.execute("PRAGMA integrity_check").get) != "ok":
            found.problems.append(str(verdict))
        found_rows: Any = disk.execute("SELECT seq, event_id FROM events").fetchall()
        return dict(found_rows)


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

"""The way in of a gateway that is drained: what is inside when it closes counts (R7)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bellpull.contract.message import Message
from bellpull.contract.text import Name
from bellpull.runtime.reload import Watcher
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.app.drain import FILE, Drain
from gateway.core.sending import Settled
from gateway.ports.journal import JournalError, Stored
from tests.gateway.examples import GITHUB, T0, push
from tests.gateway.test_forwarder import until


@dataclass
class _Slow:
    """A journal whose disk takes as long as the test says."""

    journal: SqliteJournal
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def accept(
        self, messages: Sequence[Message], *, source: Name, delivery: str, body_digest: str, now: datetime
    ) -> Stored:
        await self.goes_on.wait()
        return await self.journal.accept(messages, source=source, delivery=delivery, body_digest=body_digest, now=now)


async def deliver(drain: Drain, number: int) -> Stored:
    return await drain.accept([push(number)], source=GITHUB, delivery=f"d{number}", body_digest="0" * 64, now=T0)


async def test_it_is_not_done_before_what_came_in_is_out(tmp_path: Path) -> None:
    """P1: what was being written when it closed is answered 202, and waits to be sent like all else."""
    async with open_journal(tmp_path / "journal.db", T0, forwards=True) as journal, asyncio.TaskGroup() as tasks:
        outgoing, slow = SqliteOutgoing(journal.database), _Slow(journal)
        drain = Drain(slow, outgoing, timedelta())
        coming = tasks.create_task(deliver(drain, 1))
        await asyncio.sleep(0)
        drain.begin()
        with pytest.raises(JournalError, match="is being drained"):
            await deliver(drain, 2)
        assert await drain.look() == (0, False)
        slow.goes_on.set()
        await coming
        assert await drain.look() == (1, False)
        await outgoing.settle([Settled(done=(1,))], T0)
        assert await drain.look() == (0, True)


async def test_it_takes_pushes_until_the_grace_is_over_and_nothing_is_done_before(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db", T0, forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        drain = Drain(journal, outgoing, timedelta(minutes=5))
        assert not drain.is_begun
        drain.begin()
        assert drain.is_begun
        assert await drain.look() == (0, False)
        await deliver(drain, 1)
        assert await drain.look() == (1, False)


async def test_a_file_begins_it_and_one_of_an_earlier_start_does_not(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.db", T0, forwards=True) as journal, asyncio.TaskGroup() as tasks:
        watcher = Watcher(interval_s=0.05)
        drain = Drain(journal, SqliteOutgoing(journal.database), timedelta())
        (tmp_path / FILE).touch()
        await drain.follow(tmp_path, watcher)
        watching = tasks.create_task(watcher.run())
        await asyncio.sleep(0.3)
        assert not drain.is_begun
        (tmp_path / FILE).touch()
        await until(lambda: drain.is_begun, 10)
        watching.cancel()

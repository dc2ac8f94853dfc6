"""Rows that hold what no program writes, on their way to a broker: each is made good by a resync (P1, R1)."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from bellpull.contract.event import RefUpdated, Resync
from bellpull.contract.message import decode
from bellpull.contract.routing import agent_key, agent_queue
from bellpull.runtime.clock import utc_now
from gateway.adapters.journal import open_journal
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.core.sending import Settled
from tests.gateway.brokers import declare, login, queue
from tests.gateway.examples import GITHUB, T0, WEB, commit, push, seconds
from tests.gateway.spoil import ODD, spoil
from tests.gateway.test_forwarder import ALL, VHOST, forwarding, heard, said
from tests.parts.rabbitmq import Broker

FIRST, LAST = 1, len(ODD) + 2
ODD_ROWS = tuple(enumerate(ODD, start=FIRST + 1))
COLUMNS = ("event_id", "type", "source", "repository", "ref", "commit_id", "accepted", "body")


async def accepted(path: Path, now: datetime = T0) -> None:
    """Have rows wait, each of a ref of its own."""
    async with open_journal(path, now, forwards=True) as journal:
        for number in range(FIRST, LAST + 1):
            message = push(number, ref=f"refs/heads/b{number}")
            digest = f"{number:064}"
            await journal.accept([message], source=GITHUB, delivery=f"d{number}", body_digest=digest, now=now)


@pytest.mark.parametrize("column", COLUMNS)
async def test_what_cannot_be_read_when_it_is_to_be_sent_is_made_good(tmp_path: Path, column: str) -> None:
    """What is beside it waits and can be sent; what is gone waits no more, and all are told to look at everything."""
    path = tmp_path / "journal.db"
    await accepted(path)
    await asyncio.to_thread(spoil, path, "events", column, ODD_ROWS)
    async with open_journal(path, T0 + seconds(1), forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        waiting = [row.seq for row in await outgoing.waiting(0)]
        assert waiting == list(range(FIRST, LAST + 1))
        sendable = {row.seq for row in await outgoing.events(waiting)}
        assert {FIRST, LAST} <= sendable < set(waiting)
        gone = tuple(seq for seq in waiting if seq not in sendable)
        await outgoing.settle([Settled(done=tuple(sendable), gone=gone)], T0 + seconds(2))
        (left,) = await outgoing.waiting(0)
        (resync,) = await outgoing.events([left.seq])
        assert isinstance(getattr(decode(resync.body), "data", None), Resync)
        await outgoing.settle([Settled(gone=gone)], T0 + seconds(3))
        assert [row.seq for row in await outgoing.waiting(0)] == [left.seq]


@pytest.mark.parametrize(
    ("column", "value"), [*(("parked", value) for value in ODD), ("seq", "-1"), ("seq", "9223372036854775807")]
)
async def test_a_number_that_waits_for_nothing_is_made_good_at_the_start(
    tmp_path: Path, column: str, value: str
) -> None:
    """A drain would wait for it for ever, or an event would never go."""
    path = tmp_path / "journal.db"
    await accepted(path)
    await asyncio.to_thread(spoil, path, "outgoing", column, [(2, value)])
    async with open_journal(path, T0 + seconds(1), forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        waiting = await outgoing.waiting(0)
        assert [row.seq for row in waiting] == [FIRST, *range(3, LAST + 2)]
        assert not waiting[-1].repository
        assert await outgoing.left() == len(waiting)


@pytest.fixture
def vhost(broker: Broker) -> Iterator[str]:
    with broker.vhost(VHOST) as name:
        declare(broker, name)
        queue(broker, agent_queue(WEB), agent_key(WEB), ALL, vhost=name)
        yield name


async def test_the_forwarder_goes_on_behind_what_it_cannot_read(broker: Broker, vhost: str, tmp_path: Path) -> None:
    """P1: an agent on RabbitMQ hears what is beside it, and to look at everything for what is not readable."""
    await accepted(tmp_path / "journal.db", utc_now())
    for place, column in enumerate(COLUMNS):
        odd = [(seq, value) for seq, value in ODD_ROWS if seq % len(COLUMNS) == place]
        await asyncio.to_thread(spoil, tmp_path / "journal.db", "events", column, odd)
    settings = await asyncio.to_thread(login, broker, tmp_path, vhost)
    async with forwarding(tmp_path, settings) as running:
        await running.settled()
        await running.accept(push(99, ref="refs/heads/next"))
        await running.settled()
    data = [said(each).data for each in await heard(broker, agent_queue(WEB))]
    commits = {each.after for each in data if isinstance(each, RefUpdated)}
    assert {commit(FIRST), commit(LAST), commit(99)} <= commits
    assert any(isinstance(each, Resync) for each in data)

"""What waits for the broker is on disk with its event, and no longer (P1, R1)."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bellpull.contract.message import Message, decode
from gateway.adapters.journal import SqliteJournal, open_journal
from gateway.adapters.outgoing import SqliteOutgoing
from gateway.core.room import Limits
from gateway.core.sending import Row, Settled
from gateway.ports.journal import PAGE
from tests.gateway.examples import GITHUB, T0, push, seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def put(journal: SqliteJournal, *messages: Message, at_s: float = 0.0) -> None:
    delivery = messages[0].data.delivery.id  # type: ignore[union-attr]  # the examples have one
    await journal.accept(messages, source=GITHUB, delivery=delivery, body_digest="0" * 64, now=T0 + seconds(at_s))


def numbers(rows: Sequence[Row]) -> list[int]:
    return [row.seq for row in rows]


async def test_what_is_accepted_waits_until_it_is_settled_over_restarts_too(path: Path) -> None:
    """P1: what the broker did not confirm is sent again after a kill."""
    async with open_journal(path, T0, forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        await put(journal, push(1), push(1, ref="refs/tags/v1"), at_s=1)
        for number in range(2, 6):
            await put(journal, push(number))
        assert numbers(await outgoing.waiting(0)) == [1, 2, 3, 4, 5, 6]
        settled = [Settled(done=(3,), folded=((1, 3),)), Settled(parked=(4,)), Settled(done=(2,))]
        await outgoing.settle(settled, T0)
    async with open_journal(path, T0, forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        assert await outgoing.parked() == (
            Row(seq=4, repository="github.com/acme/site", ref="refs/heads/main", accepted=T0),
        )
        assert numbers(await outgoing.waiting(0)) == [5, 6]
        assert numbers(await outgoing.waiting(5)) == [6]
        stored = await outgoing.events([2, 6, 99])
        assert [row.seq for row in stored] == [2, 6]
        assert decode(stored[1].body) == push(5)


async def test_a_twin_that_folds_waits_once(path: Path) -> None:
    async with open_journal(path, T0, forwards=True) as journal:
        await put(journal, push(1))
        await put(journal, push(1), at_s=1)
        assert numbers(await SqliteOutgoing(journal.database).waiting(0)) == [1]


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        pytest.param([True], 0, id="with a broker from the first"),
        pytest.param([True, True], 0, id="with a broker again"),
        pytest.param([False, True], 1, id="turned on"),
        pytest.param([False, True, True], 1, id="turned on and stayed so"),
        pytest.param([True, False, True], 1, id="off for a while"),
        pytest.param([False, False], 0, id="without a broker"),
    ],
)
async def test_a_broker_that_is_turned_on_is_told_to_have_all_look_at_everything(
    path: Path, starts: Sequence[bool], said: int
) -> None:
    """P1: what was accepted before is not in the broker; a resync that waits for it covers all of it."""
    for number, forwards in enumerate(starts):
        async with open_journal(path, T0 + seconds(number), forwards=forwards) as journal:
            await put(journal, push(number), at_s=number)
    async with open_journal(path, T0 + seconds(9), forwards=starts[-1]) as journal:
        waiting = await SqliteOutgoing(journal.database).waiting(0)
        resyncs = [row.seq for row in await journal.page(0) if not row.repository]
    assert [row.seq for row in waiting if not row.repository] == resyncs
    assert len(resyncs) == said


async def test_what_still_waited_when_the_broker_was_turned_off_waits_when_it_is_on_again(path: Path) -> None:
    for number, forwards in enumerate((True, False, True)):
        async with open_journal(path, T0 + seconds(number), forwards=forwards) as journal:
            outgoing = SqliteOutgoing(journal.database)
            await put(journal, push(number, ref=f"refs/heads/b{number}"), at_s=number)
            assert await outgoing.left() == len(await outgoing.waiting(0))
    async with open_journal(path, T0 + seconds(9), forwards=True) as journal:
        waiting = await SqliteOutgoing(journal.database).waiting(0)
    assert [row.ref for row in waiting] == ["refs/heads/b0", "", "refs/heads/b2"]


async def test_without_a_broker_nothing_waits(path: Path) -> None:
    """The embedded form pays for no outbox; what was accepted before there was a broker is not sent one by one."""
    async with open_journal(path, T0) as journal:
        await put(journal, push(1))
    async with open_journal(path, T0, forwards=True) as journal:
        await put(journal, push(2))
        waiting = await SqliteOutgoing(journal.database).waiting(0)
        assert [(row.seq, row.repository) for row in waiting] == [(2, ""), (3, "github.com/acme/site")]


async def test_a_long_list_comes_in_pages(path: Path) -> None:
    async with open_journal(path, T0, forwards=True) as journal:
        await put(journal, *(push(1, ref=f"refs/heads/b{number}") for number in range(PAGE + 1)))
        outgoing = SqliteOutgoing(journal.database)
        first = await outgoing.waiting(0)
        assert len(first) == PAGE
        assert numbers(await outgoing.waiting(first[-1].seq)) == [PAGE + 1]


async def test_events_that_go_before_the_broker_had_them_are_made_good_by_a_resync(path: Path) -> None:
    """R1, R4: retention makes room whether rows wait or not, and agents are told to look at everything, once."""
    limits = Limits(max_bytes=2**30, keep=timedelta(days=1))
    async with open_journal(path, T0, limits=limits, forwards=True) as journal:
        outgoing = SqliteOutgoing(journal.database)
        await put(journal, push(1))
        await outgoing.settle([Settled(done=(1,))], T0)
        await journal.database.write(lambda c: c.execute("DELETE FROM events").fetchall(), within_s=5)
        await journal.sign(T0 + seconds(1))
        assert await outgoing.waiting(0) == (), "what the broker had may go"
        await put(journal, push(2))
        await put(journal, push(3))
        await journal.database.write(lambda c: c.execute("DELETE FROM events WHERE seq = 2").fetchall(), within_s=5)
        for second in (2, 3):
            await journal.sign(T0 + seconds(second))
        waiting = await outgoing.waiting(0)
        assert numbers(waiting) == [3, 4]
        (resync,) = await outgoing.events([4])
        assert resync.type == "dev.bellpull.resync.v1"
        assert b"until the broker had them" in resync.body


async def test_the_resync_after_a_hole_waits_for_the_broker_too(path: Path) -> None:
    """R1: agents behind the broker hear of a time in which the gateway was away."""
    async with open_journal(path, T0, forwards=True):
        pass
    async with open_journal(path, T0 + seconds(3600), forwards=True) as journal:
        (row,) = await SqliteOutgoing(journal.database).waiting(0)
        assert (row.repository, row.ref) == ("", "")

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bellpull.contract.report import Outcome
from bellpull.contract.text import MessageId, SyncName
from bellpull.contract.word import Word
from gateway.adapters.announced import ROWS
from gateway.adapters.state import SqliteState, open_state
from gateway.core.answer import Announcement, answer_of
from gateway.ports.state import Heard, Put
from tests.gateway.examples import GITHUB, SITE, T0, WEB, commit, heartbeat, report, seconds, sync_state

KEY, MAIN = "github.com/acme/site", "refs/heads/main"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def state(path: Path) -> AsyncIterator[SqliteState]:
    async with open_state(path, T0) as opened:
        yield opened


async def test_a_report_is_kept_once(state: SqliteState) -> None:
    """R18: a report is what its (agent, epoch, seq) says, however often it comes."""
    said = report(3, events=(MessageId("evt_1"),))
    first = await state.put_report(said, issued=T0, received=T0 + seconds(1))
    again = await state.put_report(said, issued=T0, received=T0 + seconds(9))
    assert (first.put, again.put) == (Put.STORED, Put.KNOWN)
    assert await state.answers(KEY, MAIN, T0) == (answer_of(said, issued=T0, received=T0 + seconds(1)),)


async def test_a_late_report_of_the_same_epoch_is_kept(state: SqliteState) -> None:
    for seq in (3, 2):
        heard = await state.put_report(report(seq), issued=T0, received=T0)
        assert heard.put is Put.STORED
    assert [one.seq for one in await state.answers(KEY, MAIN, T0)] == [3, 2]


async def test_an_earlier_epoch_is_not_heard_any_more(state: SqliteState) -> None:
    """R19: a standby, or an agent that lost its counter, is told which epoch was heard."""
    await state.put_report(report(1, epoch=5), issued=T0, received=T0)
    behind = await state.put_report(report(9, epoch=4), issued=T0, received=T0)
    assert behind == Heard(put=Put.BEHIND, want_full=True, epoch=5)
    assert (await state.put_heartbeat(heartbeat(9, epoch=4), issued=T0, received=T0)).put is Put.BEHIND
    assert (await state.put_report(report(1, epoch=5), issued=T0, received=T0)).put is Put.KNOWN


@pytest.mark.parametrize(
    ("epoch", "seq", "put", "version"),
    [
        pytest.param(2, 5, Put.KNOWN, "first", id="the same again"),
        pytest.param(2, 4, Put.KNOWN, "first", id="an earlier one that was late"),
        pytest.param(2, 6, Put.STORED, "second", id="the next"),
        pytest.param(3, 1, Put.STORED, "second", id="the first of the next epoch"),
        pytest.param(1, 9, Put.BEHIND, "first", id="an earlier epoch"),
    ],
)
async def test_state_moves_only_forward(state: SqliteState, epoch: int, seq: int, put: Put, version: str) -> None:
    """R18: (epoch, seq) orders an agent's heartbeats, its clock does not."""
    first = replace(heartbeat(5, epoch=2), version="first")
    second = replace(heartbeat(seq, epoch=epoch), version="second")
    await state.put_heartbeat(first, issued=T0, received=T0)
    assert (await state.put_heartbeat(second, issued=T0, received=T0 + seconds(1))).put is put
    assert (await state.agents())[WEB].version == version


async def test_the_full_state_is_wanted_until_it_is_known(path: Path) -> None:
    """A digest of another state, and a start of the gateway, ask for it."""

    async def wants(state: SqliteState, seq: int, digest: str, *, full: bool) -> bool:
        said = heartbeat(seq, state=digest, full=(sync_state(),) if full else None)
        return (await state.put_heartbeat(said, issued=T0, received=T0)).want_full

    async with open_state(path, T0) as state:
        assert await wants(state, 1, "s1", full=False)
        assert not await wants(state, 2, "s1", full=True)
        assert not await wants(state, 3, "s1", full=False)
        assert not (await state.put_report(report(4), issued=T0, received=T0)).want_full
        assert await wants(state, 5, "s2", full=False)
    async with open_state(path, T0) as state:
        assert (await state.agents())[WEB].syncs == (sync_state(),)
        assert await wants(state, 6, "s1", full=False)
        assert (await state.put_report(report(7), issued=T0, received=T0)).want_full


async def test_the_last_full_state_is_the_one_that_is_told(state: SqliteState) -> None:
    """A digest after it changes when the agent was heard, not what it said in full."""
    one, two = (sync_state(),), (sync_state(), sync_state(sync=SyncName("default/too")))
    for seq, full in ((1, one), (2, None), (3, two), (4, None)):
        await state.put_heartbeat(heartbeat(seq, full=full), issued=T0, received=T0 + seconds(seq))
        heard = (await state.agents())[WEB]
        assert heard.heard == T0 + seconds(seq)
        assert (heard.syncs, heard.full) == ((one, (1, 1)) if seq < 3 else (two, (1, 3)))


async def test_a_word_that_was_lost_comes_with_the_next_full_state(state: SqliteState) -> None:
    """R36: the last ten words of a full heartbeat are merged, each once."""
    outcome = Outcome(word=Word.FAILED, commit=commit(7), events=(MessageId("evt_7"),), finished=T0)
    for seq in (1, 2):
        full = (sync_state(outcome),)
        await state.put_heartbeat(heartbeat(seq, full=full), issued=T0 + seconds(4), received=T0 + seconds(60))
    [answer] = await state.answers(KEY, MAIN, T0)
    assert (answer.sync, answer.word, answer.commit, answer.events) == (SITE, Word.FAILED, commit(7), outcome.events)
    assert answer.begun is None
    assert answer.finished == T0 + seconds(55.999)


async def test_answers_are_those_of_the_ref_since_then(state: SqliteState) -> None:
    for seq in range(1, 4):
        await state.put_report(report(seq), issued=T0, received=T0 + seconds(seq))
    assert [one.seq for one in await state.answers(KEY, MAIN, T0 + seconds(2))] == [2, 3]
    assert await state.answers(KEY, "refs/heads/dev", T0) == ()
    assert await state.answers("github.com/acme/other", MAIN, T0) == ()


async def test_answers_are_read_in_pages_to_the_end(state: SqliteState) -> None:
    outcomes = [
        Outcome(word=Word.APPLIED, commit=commit(n), events=(), finished=T0 + seconds(n)) for n in range(1, 701)
    ]
    for seq in range(70):
        full = (sync_state(*outcomes[seq * 10 : seq * 10 + 10]),)
        await state.put_heartbeat(heartbeat(seq + 1, full=full), issued=T0, received=T0)
    found = await state.answers(KEY, MAIN, T0)
    assert [one.commit for one in found] == [one.commit for one in outcomes]


async def test_what_other_gateways_accepted_is_bounded(state: SqliteState) -> None:
    """The oldest go, by the order in which they were heard."""
    first, second, third = (
        Announcement(
            seq=None,
            event_id=MessageId(f"evt_{number}"),
            repository=KEY,
            ref=MAIN,
            commit=commit(number),
            source=GITHUB,
            accepted=T0 + seconds(number),
        )
        for number in (1, 2, 3)
    )
    await state.put_announcement(first)
    await state.put_announcement(second)
    place = "UPDATE announcements SET place = ? WHERE event_id = ?"
    await state._database.write(lambda connection: connection.execute(place, (ROWS, second.event_id)), within_s=5)
    await state.put_announcement(third)
    assert await state.announcements(commit(1)) == ()
    assert await state.announcements(commit(2)) == (second,)
    assert await state.later(second) == (third,)

"""Streams of events to agents, over real HTTP on a journal on disk."""

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from bellpull.contract.stream import (
    ResetFrame,
    TickFrame,
)
from bellpull.contract.text import Name
from gateway.app import streams as module
from gateway.app.enrolment import Enrolment
from tests.gateway.agents import TOKEN, Gateway, Stream, gateway, record, serving
from tests.gateway.examples import WEB, canary, push, report

__all__ = ["gateway"]


async def test_backlog_and_live_come_as_one(gateway: Gateway) -> None:
    await gateway.push(push(1))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["Cache-Control"] == "no-store, no-transform"
        assert stream.response.headers["X-Accel-Buffering"] == "no"
        assert await stream.message() == (1, push(1).id)
        for number in (2, 3):
            await gateway.push(push(number))
            assert await stream.message() == (number, push(number).id)


async def test_a_stream_goes_on_after_every_row(gateway: Gateway) -> None:
    """R14: one cursor a row; a break between two refs of one delivery goes on at the second."""
    await gateway.push(push(1), push(1, ref="refs/tags/v1"))
    await gateway.push(push(2))
    ids = [push(1).id, push(1, ref="refs/tags/v1").id, push(2).id]
    for after in range(len(ids)):
        async with gateway.stream(gateway.cursor(after)) as stream:
            heard = [await stream.message() for _ in ids[after:]]
        assert heard == list(enumerate(ids, 1))[after:]


@pytest.mark.parametrize("cursor", [None, "x" * 16 + ".0", "no cursor at all"])
async def test_a_cursor_that_is_not_known_begins_anew(gateway: Gateway, cursor: str | None) -> None:
    """R14: first the reset with where to go on, then what is live."""
    await gateway.push(push(1))
    async with gateway.stream(cursor) as stream:
        assert await stream.next() == ResetFrame(cursor=gateway.cursor(1))
        await gateway.push(push(2))
        assert await stream.message() == (2, push(2).id)


async def test_a_gap_between_numbers_has_the_agent_look_at_everything_and_the_stream_goes_on(
    gateway: Gateway,
) -> None:
    """R14: only damage makes one, and nobody knows what was there."""
    for number in (1, 2, 3):
        await gateway.push(push(number))
    delete = "DELETE FROM events WHERE seq = 2"
    await gateway.journal.database.write(lambda c: c.execute(delete).fetchall(), within_s=5)
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.message() == (1, push(1).id)
        assert await stream.next() == ResetFrame(cursor=gateway.cursor(2))
        assert await stream.message() == (3, push(3).id)
        await gateway.push(push(4))
        assert await stream.message() == (4, push(4).id)


async def test_only_what_the_agent_may_hear_is_sent(gateway: Gateway) -> None:
    """R15: in the backlog and live; an event about no repository is for all."""
    await gateway.push(push(1, path="acme/secret"))
    await gateway.push(push(2))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.message() == (2, push(2).id)
        await gateway.push(push(3, path="acme/secret"))
        await gateway.push(push(4))
        await gateway.push(canary(5))
        assert await stream.message() == (4, push(4).id)
        assert await stream.message() == (5, canary(5).id)


async def test_a_backlog_longer_than_a_page_comes_whole(gateway: Gateway) -> None:
    await gateway.push(*(push(1, ref=f"refs/heads/b{n}") for n in range(1203)))
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert [(await stream.message())[0] for _ in range(1203)] == list(range(1, 1204))


async def test_a_quiet_agents_cursor_moves_on(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: a tick has the cursor of the last row examined, also of rows that are not for this agent."""
    monkeypatch.setattr(module, "_TICK_S", 0.2)
    async with gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.next() == TickFrame(cursor=gateway.cursor(0))
        await gateway.push(push(1, path="acme/secret"))
        while (frame := await stream.next()) == TickFrame(cursor=gateway.cursor(0)):
            pass
        assert frame == TickFrame(cursor=gateway.cursor(1))


async def test_a_stream_says_at_once_that_it_is_open(gateway: Gateway) -> None:
    async with asyncio.timeout(5), gateway.stream(gateway.cursor(0)) as stream:
        assert await stream.next() == TickFrame(cursor=gateway.cursor(0))


@pytest.mark.parametrize(
    "token", ["", "bpa_web-1_" + "t" * 43, "bpa_web-2_" + "s" * 43, TOKEN[:-1], TOKEN + "s", "bpa_", "ä"]
)
async def test_without_its_token_nobody_hears_or_says_anything(gateway: Gateway, token: str) -> None:
    async with gateway.stream(token=token) as stream:
        assert stream.response.status == 401
        constant = await stream.response.json()
    assert await gateway.report(report(), token=token) == (401, constant)
    assert await gateway.state.agents() == {}


@pytest.mark.parametrize(
    "records",
    [
        pytest.param({}, id="the record is gone"),
        pytest.param({WEB: record(token="bpa_web-1_new")}, id="the token is another"),
        pytest.param({WEB: record("github.com/acme/other")}, id="a repository was taken away"),
        pytest.param({WEB: record("github.com/acme/site", "github.com/acme/other")}, id="one was added"),
    ],
)
async def test_changed_rights_end_the_stream(
    gateway: Gateway, records: dict[Name, Enrolment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """R15: within five seconds, of which at least two are for reading the record."""
    assert module._LOOK_S <= 3
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    async with gateway.stream(gateway.cursor(0)) as stream, asyncio.timeout(5):
        await stream.next()
        gateway.records.clear()
        gateway.records.update(records)
        while await stream.next() is not None:
            pass


async def test_the_same_record_read_again_ends_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    async with gateway.stream(gateway.cursor(0)) as stream:
        gateway.records[WEB] = record()
        await asyncio.sleep(0.2)
        await gateway.push(push(1))
        assert await stream.message() == (1, push(1).id)


async def test_streams_end_with_the_listener(gateway: Gateway) -> None:
    """Each takes leave by itself; nobody waits for the drain to run out."""
    async with AsyncExitStack() as listener:
        await listener.enter_async_context(serving(gateway))
        async with gateway.stream(gateway.cursor(0)) as stream:
            await stream.next()
            before = asyncio.get_running_loop().time()
            await listener.aclose()
            assert asyncio.get_running_loop().time() - before < 1
            assert await stream.next() is None


async def test_one_agent_takes_no_others_room(gateway: Gateway) -> None:
    """Beyond four the oldest of its own goes, and the new one hears all the same; another agent's stays (R19)."""
    other = Name("web-2")
    gateway.records[other] = record(agent=other, token="bpa_web-2_" + "t" * 43)
    async with AsyncExitStack() as stack, asyncio.timeout(20):
        foreign = await stack.enter_async_context(gateway.stream(token="bpa_web-2_" + "t" * 43))
        streams = [await stack.enter_async_context(gateway.stream()) for _ in range(6)]
        for stream in (foreign, *streams[2:]):
            await stream.next()
            await stream.next()
        await gateway.push(push(1))
        for stream in (foreign, *streams[2:]):
            assert await stream.message() == (1, push(1).id)
        for stream in streams[:2]:
            with pytest.raises(aiohttp.ClientPayloadError):
                await read_to_the_end(stream)


async def read_to_the_end(stream: Stream) -> None:
    while await stream.next() is not None:
        pass

"""The fallback for proxies that keep back a stream: one poll after the other, with the same frames (R16)."""

import asyncio

import pytest

from bellpull.contract.stream import SESSION_HEADER, MessageFrame, ResetFrame, TickFrame
from bellpull.contract.text import Name
from gateway.app import streams as module
from gateway.app.enrolment import Enrolment
from tests.gateway.agents import TOKEN, Gateway, gateway, record
from tests.gateway.examples import WEB, push

__all__ = ["gateway"]


async def test_what_there_is_is_answered_at_once(gateway: Gateway) -> None:
    """The same frames as the stream has, in order, and a tick that says how far."""
    await gateway.push(push(1))
    await gateway.push(push(2, path="acme/secret"))
    async with asyncio.timeout(5):
        status, frames, head = await gateway.poll(gateway.cursor(0), 25)
    first, last = frames
    async with gateway.stream(gateway.cursor(0)) as stream:
        same = await stream.next()
    assert isinstance(first, MessageFrame)
    assert isinstance(same, MessageFrame)
    assert (status, first.cursor, first.body, last) == (
        200,
        same.cursor,
        same.body,
        TickFrame(cursor=gateway.cursor(2)),
    )
    assert head["Content-Type"] == "text/event-stream"
    assert head["Cache-Control"] == "no-store, no-transform"
    assert "Content-Length" in head


async def test_what_comes_while_it_waits_is_answered_then(gateway: Gateway) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(gateway.poll(gateway.cursor(0), 25))
        await asyncio.sleep(0.1)
        assert gateway.counted('bellpull_agents_listening{way="poll"}') == 1
        await gateway.push(push(1))
    assert [type(frame) for frame in poll.result()[1]] == [MessageFrame, TickFrame]
    assert gateway.counted('bellpull_agents_listening{way="poll"}') == 0


@pytest.mark.parametrize("asked", [0, 1, 25, 999999999])
async def test_nothing_is_204_after_the_wait(gateway: Gateway, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a wait is asked for, it is bounded here."""
    assert module._POLL_S <= 30
    monkeypatch.setattr(module, "_POLL_S", 0.3)
    before = asyncio.get_running_loop().time()
    status, frames, _ = await gateway.poll(gateway.cursor(0), asked)
    assert (status, frames) == (204, [])
    assert asyncio.get_running_loop().time() - before >= min(asked, 0.3)


async def test_a_quiet_agents_cursor_moves_on(gateway: Gateway) -> None:
    """R15: what was examined and is for others moves the cursor when the wait is over."""
    await gateway.push(push(1, path="acme/secret"))
    assert (await gateway.poll(gateway.cursor(0), 0))[:2] == (200, [TickFrame(cursor=gateway.cursor(1))])


@pytest.mark.parametrize("cursor", [None, "x" * 16 + ".0", "no cursor at all"])
async def test_a_cursor_that_is_not_known_begins_anew(gateway: Gateway, cursor: str | None) -> None:
    """R14, and at once, whatever the wait."""
    await gateway.push(push(1))
    async with asyncio.timeout(5):
        _, frames, _ = await gateway.poll(cursor, 25)
    assert frames == [ResetFrame(cursor=gateway.cursor(1)), TickFrame(cursor=gateway.cursor(1))]
    reason = "the cursor is of another journal" if cursor and "." in cursor else "no cursor"
    assert gateway.counted(f'bellpull_agents_resets_total{{reason="{reason}"}}') == 1


async def test_a_backlog_comes_in_bounded_answers(gateway: Gateway) -> None:
    await gateway.push(*(push(1, ref=f"refs/heads/b{n}") for n in range(203)))
    seq, heard, answers = 0, list[int](), 0
    while len(heard) < 203:
        _, frames, _ = await gateway.poll(gateway.cursor(seq), 25)
        heard += [frame.cursor.seq for frame in frames if isinstance(frame, MessageFrame)]
        seq, answers = frames[-1].cursor.seq, answers + 1
    assert heard == list(range(1, 204))
    assert answers == 4


async def test_other_rights_are_another_word(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """R15: a poll that waits is answered within seconds of the change, and the next one has the new word."""
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(gateway.poll(gateway.cursor(0), 25))
        await asyncio.sleep(0.1)
        gateway.records[WEB] = record("github.com/acme/site", "github.com/acme/other")
    words = [poll.result()[2][SESSION_HEADER], (await gateway.poll(gateway.cursor(0)))[2][SESSION_HEADER]]
    async with gateway.stream(gateway.cursor(0)) as stream:
        words.append(stream.response.headers[SESSION_HEADER])
    assert words[0] != words[1] == words[2]


@pytest.mark.parametrize(
    "records",
    [pytest.param({}, id="the record is gone"), pytest.param({WEB: record(token="bpa_web-1_new")}, id="the token")],
)
async def test_without_the_right_to_listen_a_poll_ends(
    gateway: Gateway, records: dict[Name, Enrolment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.05)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(gateway.poll(gateway.cursor(0), 25))
        await asyncio.sleep(0.1)
        gateway.records.clear()
        gateway.records.update(records)
    assert poll.result()[0] == 204
    assert (await gateway.poll(gateway.cursor(0), 25))[0] == 401


@pytest.mark.parametrize("wait", ["", "x", "-1", "1.5", "٣", "1" * 20])
async def test_a_wait_that_is_none_is_refused(gateway: Gateway, wait: str) -> None:
    assert (await gateway.poll(gateway.cursor(0), wait))[0] == 400


async def test_a_poll_needs_the_token(gateway: Gateway) -> None:
    assert (await gateway.poll(gateway.cursor(0), 25, token=TOKEN + "x"))[0] == 401

"""The agent's end of the stream, against gateways and proxies that answer oddly (R15, R16)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.adapters.stream import StreamQueue
from agent.core.reconnect import Patience, Way, Ways
from agent.ports.queue import AccessRefusedError, QueueError, ReportRefusedError
from bellpull.contract.cursor import Cursor
from bellpull.contract.stream import (
    EVENTS_PATH,
    REPORTS_PATH,
    RETRY,
    WAIT,
    Frame,
    MessageFrame,
    Receipt,
    TickFrame,
    encode_frame,
)
from bellpull.runtime.address import Address
from bellpull.runtime.http import serve
from bellpull.runtime.secret import Secret
from tests.gateway.examples import push
from tests.suites.embedded import embedded

HERE = Cursor(epoch="x" * 16, seq=7)
TICK = encode_frame(TickFrame(cursor=HERE))
BEYOND = Cursor(epoch="x" * 16, seq=9)
HEARD = MessageFrame(cursor=HERE, seal="x", body=b"{}")
PATIENCE = Patience(silence_s=1.5, soon_s=0.3, wait_s=1)
POLLING = Ways(silent=2, stream_at=1e12)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def queue(handler: Handler, ways: Ways | None = None) -> AsyncIterator[StreamQueue]:
    app = web.Application()
    app.router.add_get(EVENTS_PATH, handler)
    async with (
        serve(app, Address(host="127.0.0.1", port=0), name="agents") as address,
        aiohttp.ClientSession() as session,
    ):
        made = StreamQueue(session, f"http://{address}", lambda: Secret(b"token"), PATIENCE)
        made._ways = ways or Ways()
        yield made


async def listen(made: StreamQueue, seconds: float = 30.0) -> list[Frame]:
    """Listen until it ends, at most for so long, and return what came."""
    frames: list[Frame] = []
    try:
        async with asyncio.timeout(seconds), aclosing(made.listen(HERE)) as source:
            async for frame in source:
                frames.append(frame)  # noqa: PERF401 - what came before the time was over counts
    except TimeoutError:
        pass
    return frames


async def late(request: web.Request) -> web.StreamResponse:
    """Gather what is streamed for a while, then let it through."""
    response = web.StreamResponse()
    await asyncio.sleep(0 if WAIT in request.query else 0.6)
    await response.prepare(request)
    await response.write(RETRY + TICK)
    await asyncio.sleep(0 if WAIT in request.query else 1)
    return response


async def gives_up(request: web.Request) -> web.StreamResponse:
    """Answer 504 after a while, as a proxy that waits for the whole response."""
    await asyncio.sleep(0 if WAIT in request.query else 0.6)
    return web.Response(body=TICK) if WAIT in request.query else web.Response(status=504)


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Close the connection after a while, without a word."""
    await asyncio.sleep(0.6)
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("proxy", [late, gives_up, hangs_up])
async def test_what_is_kept_back_though_never_silent_for_long_is_polled_for(proxy: Handler) -> None:
    """A gateway speaks at once: what takes longer was kept back, whatever comes of it then."""
    async with queue(proxy) as made:
        for _ in range(2):
            assert made._way() is Way.STREAM
            with pytest.raises(QueueError):
                await listen(made)
        assert made._way() is Way.POLL


@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503])
async def test_a_refusal_says_nothing_of_the_way(status: int) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    async with queue(refuse) as made:
        for _ in range(4):
            with pytest.raises(QueueError) as error:
                await listen(made)
            assert isinstance(error.value, AccessRefusedError) == (status in (401, 403))
        assert made._way() is Way.STREAM


async def test_a_report_that_is_to_come_again_is_not_refused() -> None:
    """R36: of 429 and 503 the reporter keeps the report and tries again; only of others it drops it."""
    answers = iter([429, 503, 202])

    async def put_off(_: web.Request) -> web.StreamResponse:
        return web.Response(status=next(answers), body=Receipt().encode(), headers={"Retry-After": "1"})

    app = web.Application()
    app.router.add_post(REPORTS_PATH, put_off)
    async with (
        serve(app, Address(host="127.0.0.1", port=0), name="agents") as address,
        aiohttp.ClientSession() as session,
    ):
        made = StreamQueue(session, f"http://{address}", lambda: Secret(b"token"), PATIENCE)
        for _ in range(2):
            with pytest.raises(QueueError) as error:
                await made.send("seal", b"{}")
            assert not isinstance(error.value, ReportRefusedError | AccessRefusedError)
        assert await made.send("seal", b"{}") == Receipt()


async def test_nobody_there_says_nothing_of_the_way() -> None:
    async with queue(late) as made:
        made._access.url = "http://127.0.0.1:1"
        for _ in range(4):
            with pytest.raises(QueueError, match=r"^http://127\.0\.0\.1:1: connection refused$"):
                await listen(made)
        assert made._way() is Way.STREAM


@pytest.mark.parametrize(
    ("answer", "frame"),
    [
        (b"", TickFrame(cursor=HERE)),
        (TICK, TickFrame(cursor=HERE)),
        (encode_frame(HEARD), HEARD),
        (encode_frame(TickFrame(cursor=BEYOND)), TickFrame(cursor=BEYOND)),
    ],
    ids=["nothing", "a tick", "what was heard before, from a cache", "ticks that seem to get on"],
)
async def test_the_first_poll_is_answered_at_once_and_nothing_new_is_asked_for_at_leisure(
    answer: bytes, frame: Frame
) -> None:
    asked: list[str] = []

    async def nothing(request: web.Request) -> web.StreamResponse:
        asked.append(request.query[WAIT])
        return web.Response(status=200 if answer else 204, body=answer or None)

    async with queue(nothing, POLLING) as made:
        frames = await listen(made, 2.5)
    assert asked[:2] == ["0", "1"]
    assert frames[:2] == [frame] * 2
    assert len(asked) <= 5, "who answers at once what was to be waited for is not asked all the time"


@pytest.mark.parametrize("answer", [b"", b"<html>Sign in</html>\n\n", b"id: x.1\nevent: tick\ndata:\n\n"])
async def test_an_answer_to_a_poll_that_is_none_is_an_error(answer: bytes) -> None:
    async def answers(_: web.Request) -> web.StreamResponse:
        return web.Response(body=answer)

    async with queue(answers, POLLING) as made:
        with pytest.raises(QueueError, match="what came is no answer to a poll"):
            await listen(made)


async def test_other_rights_end_listening_by_polls(tmp_path: Path) -> None:
    """R15: as they end a stream, so that the agent comes back and looks at what it may hear now."""
    async with embedded(tmp_path, polls=True) as made:
        records = made.records
        async with asyncio.timeout(20), aclosing(made.queue.listen(None)) as source:
            await anext(source)
            await made.accept(push(1))
            (agent,) = records
            records[agent] = made.record("github.com/acme/site", "github.com/acme/other")
            async for _ in source:
                pass


async def test_a_restart_of_the_gateway_between_two_polls_ends_listening(tmp_path: Path) -> None:
    """R1: as it ends a stream; it may have been started on a backup that does not have what was not heard yet."""
    async with (
        embedded(tmp_path, polls=True) as made,
        asyncio.timeout(20),
        aclosing(made.queue.listen(None)) as source,
    ):
        await anext(source)
        await anext(source)
        await made.restart()
        async for _ in source:
            pass

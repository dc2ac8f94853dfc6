"""Bodies over real HTTP: too large, too slow, cut off, badly framed, too many at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from gateway.app.intake import SMALL, Bounds, Intake
from tests.gateway.github import headers, payload
from tests.gateway.listening import BODY, Listener, listener

_HEAD = b"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def sender(hooks: Listener) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a bare connection."""
    host, port = hooks.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def status(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


async def until(intake: Intake, large: bool, held: int) -> None:
    async with asyncio.timeout(10):
        while intake.held[large] != held:  # noqa: ASYNC110 - the intake tells nobody
            await asyncio.sleep(0.01)


async def test_a_body_as_large_as_the_bound_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    intake = Intake(Bounds(size=len(BODY)))
    async with listener(tmp_path, intake) as hooks:
        assert (await hooks.post())[0] == 202
        assert (await hooks.post(BODY + b" "))[0] == 413
        fields = {"Content-Type": "application/json"}
        async with hooks.session.post(
            f"{hooks.url}/hooks/github", data=in_chunks(BODY + b" "), headers=fields
        ) as cut:
            assert cut.status == 413
        assert intake.held == {False: 0, True: 0}


async def test_a_sender_that_stalls_is_cut_off(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with (
        listener(tmp_path, intake := Intake(Bounds(grace_s=0.2))) as hooks,
        sender(hooks) as (reader, writer),
    ):
        writer.write(_HEAD + b"Content-Length: 100\r\n\r\nhalf")
        assert await status(reader) == 408
        assert intake.held[False] == 0
    assert '"bytes":4,"remote":"127.0.0.1","reason":"the body came too slowly"' in capfd.readouterr().err


async def test_a_sender_that_keeps_the_rate_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    bounds = Bounds(grace_s=0.2, rate=10.0, within_s=0.8)
    async with listener(tmp_path, Intake(bounds)) as hooks, sender(hooks) as (reader, writer):
        begun = asyncio.get_running_loop().time()
        writer.write(_HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 100)
        assert await status(reader) == 408
        assert asyncio.get_running_loop().time() - begun > 0.7


async def test_a_sender_that_hangs_up_is_noted_and_nothing_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with listener(tmp_path, intake := Intake()) as hooks:
        async with sender(hooks) as (_, writer):
            writer.write(_HEAD + b"Content-Length: 100\r\n\r\nhalf")
            await until(intake, False, 4)
        await until(intake, False, 0)
        assert (await hooks.post())[0] == 202
    logged = capfd.readouterr().err
    assert '"bytes":4,"remote":"127.0.0.1","reason":"the sender hung up before the body was whole"' in logged
    assert "Traceback" not in logged


async def test_a_body_that_is_badly_framed_is_the_senders_fault(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The parser in C says nothing of it to the reader, which then waits in vain; the one in Python does."""
    async with listener(tmp_path, Intake(Bounds(grace_s=0.3))) as hooks:
        async with sender(hooks) as (reader, writer):
            writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            await asyncio.sleep(0.1)
            writer.write(b"no number\r\n")
            assert await status(reader) in (400, 408)
        assert (await hooks.post())[0] == 202
    assert "Traceback" not in capfd.readouterr().err


async def test_large_bodies_hold_no_room_of_small_ones(tmp_path: Path) -> None:
    """R41: a few slow senders of much cannot make genuine pushes fail, small or large: they make room themselves."""
    intake = Intake(Bounds(large_held=3 * SMALL))
    large = orjson.dumps(payload(padding="x" * SMALL))
    async with listener(tmp_path, intake) as hooks, sender(hooks) as (reader, writer):
        writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % (10 * SMALL) + b"x" * (2 * SMALL))
        await until(intake, True, 2 * SMALL)
        assert (await hooks.post())[0] == 202
        assert intake.held == {False: 0, True: 2 * SMALL}
        assert (await hooks.post(large))[0] == 202
        assert await status(reader) == 503
        assert intake.held == {False: 0, True: 0}


async def test_bodies_that_are_never_finished_keep_no_push_out(tmp_path: Path) -> None:
    """R41: room is made by who holds much and does not go on, the slowest first, and not by who holds little."""
    intake = Intake(Bounds(small_held=900 + len(BODY)))
    async with (
        listener(tmp_path, intake) as hooks,
        sender(hooks) as (first, first_writer),
        sender(hooks) as (_, second_writer),
        sender(hooks) as (little, little_writer),
    ):
        little_writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY[:100])
        await until(intake, False, 100)
        first_writer.write(_HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 450)
        await until(intake, False, 550)
        await asyncio.sleep(0.05)
        second_writer.write(_HEAD + b"Content-Length: 9000\r\n\r\n" + b"x" * 450)
        await until(intake, False, 1000)
        assert (await hooks.post())[0] == 202
        assert await status(first) == 503
        assert intake.held[False] == 550
        little_writer.write(BODY[100:])
        assert await status(little) == 401


async def test_a_body_that_is_whole_is_not_given_up_for_another(tmp_path: Path) -> None:
    """R41: what is being verified counts; where it takes all the room, who comes is put off."""
    intake = Intake(Bounds(small_held=2 * len(BODY) - 1))
    async with listener(tmp_path, intake) as hooks:
        with intake.body() as whole:
            whole._take(BODY)
            assert (await hooks.post())[0] == 503
            assert (whole.size, intake.held[False]) == (len(BODY), len(BODY))
        assert (await hooks.post())[0] == 202


async def test_who_is_put_off_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with listener(tmp_path, Intake(Bounds(small_held=10))) as hooks:
        fields = {key.decode(): value.decode() for key, value in headers(BODY)}
        async with hooks.session.post(f"{hooks.url}/hooks/github", data=BODY, headers=fields) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_what_is_announced_and_not_sent_holds_nothing(tmp_path: Path) -> None:
    async with listener(tmp_path, intake := Intake()) as hooks, sender(hooks) as (_, writer):
        writer.write(_HEAD + b"Content-Length: 20000000\r\n\r\n")
        await writer.drain()
        assert (await hooks.post())[0] == 202
        assert intake.held[True] == 0

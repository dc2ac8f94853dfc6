"""A real server on a free port, and a real client."""

import asyncio
import gc
import gzip
import json
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from bellpull.runtime import http
from bellpull.runtime.address import Address

ANY = Address(host="127.0.0.1", port=0)


async def _echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


def _app() -> web.Application:
    app = web.Application()
    app.router.add_post("/", _echo)
    return app


async def test_a_body_is_what_came_not_what_it_unpacks_to() -> None:
    packed = gzip.compress(b"x" * 10_000)
    async with http.serve(_app(), ANY, name="hooks") as address, http.client() as session:
        headers = {"Content-Encoding": "gzip"}
        async with session.post(f"http://{address}/", data=packed, headers=headers) as response:
            assert await response.read() == packed


async def test_an_answer_does_not_say_what_made_it() -> None:
    async with http.serve(_app(), ANY, name="hooks") as address, http.client() as session:
        async with session.post(f"http://{address}/", data=b"x") as response:
            assert "Server" not in response.headers
        async with session.get(f"http://{address}/nowhere") as response:
            assert response.status == 404
            assert "Server" not in response.headers


async def test_a_port_that_is_taken_names_the_listener_and_the_address() -> None:
    async with http.serve(_app(), ANY, name="hooks") as address:
        with pytest.raises(OSError, match=f"the listener agents cannot have {address}"):
            async with http.serve(_app(), address, name="agents"):
                raise AssertionError("it was not taken")


@pytest.mark.parametrize("head", [b"X: " + b"y" * 9000, b"\r\n".join(b"X-%d: y" % n for n in range(200))])
async def test_headers_beyond_bounds_are_refused(head: bytes) -> None:
    async with http.serve(_app(), ANY, name="hooks") as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
        await writer.wait_closed()


FIELD = b"X-%02d: " + b"y" * 7000 + b"\r\n"


async def test_a_head_that_does_not_end_is_refused_before_it_takes_much_memory() -> None:
    """P13: 100 fields of 8 KB each would be kept for as long as a head may take."""
    async with http.serve(_app(), ANY, name="hooks") as address, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n")
        for number in range(10):
            writer.write(FIELD % number)
            await asyncio.sleep(0.01)  # so that they come one by one
        assert (await reader.readline()).split()[1] == b"431"
        await reader.read()
        writer.close()


@pytest.mark.parametrize("size", [0, 10_000, 900_000])
async def test_bodies_do_not_count_as_heads(size: int) -> None:
    """Not those that come with their head, nor those of requests that are sent before the last was answered."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % size
    head += b"".join(FIELD % number for number in range(8)) + b"\r\n"
    async with http.serve(_app(), ANY, name="hooks") as address, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write((head + b"z" * size) * 5)
        for _ in range(5):
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.split()[1] == b"200"
            assert await reader.readexactly(size) == b"z" * size
        writer.close()
        await writer.wait_closed()


TARGETS = (
    b"GET http://xn--/x",
    b"GET http://xn--a/x",
    b"POST http://u:p@xn--a:80/",
    b"CONNECT xn--:1",
    b"GET http://[::1/",
    b"GET http://a:b/",
    b"GET http://\xff/",
    b"GET *",
    b"GET xn--",
    b"GET ?",
)


@pytest.mark.parametrize("start", TARGETS)
async def test_a_target_that_cannot_be_read_is_refused_and_the_server_goes_on(
    start: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer may be any that refuses; the connection does not stay."""
    async with http.serve(_app(), ANY, name="hooks") as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(start + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(2):
            answer = await reader.read()
        assert answer.split()[1] == b"400"
        writer.close()
        await writer.wait_closed()
        async with http.client() as session, session.post(f"http://{address}/", data=b"x") as response:
            assert response.status == 200
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_target_that_cannot_be_read_ends_only_what_follows_it() -> None:
    """What came before it on its connection is answered, what comes after is not looked at."""
    good = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
    async with http.serve(_app(), ANY, name="hooks") as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(good + b"a" + b"GET http://xn--/ HTTP/1.1\r\nHost: x\r\n\r\n" + good + b"b")
        async with asyncio.timeout(2):
            answers = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.index(b"200 OK") < answers.index(b"400 Bad Request")


async def test_targets_that_cannot_be_read_make_one_line_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    """However many there are, and also where the server ends before a minute is over."""
    async with http.serve(_app(), ANY, name="hooks") as address:
        for _ in range(5):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"GET http://xn--/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            await writer.wait_closed()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["listener"], line["remote"], line.get("held_back")) for line in lines] == [
        ("hooks", "127.0.0.1", None),
        ("hooks", "127.0.0.1", 3),
    ]


async def test_a_request_in_flight_is_finished_when_the_server_ends() -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        started.set()
        await finish.wait()
        return web.Response(text="done")

    async def ask(address: Address) -> str:
        async with http.client() as session, session.get(f"http://{address}/slow") as response:
            return await response.text()

    app = web.Application()
    app.router.add_get("/slow", slow)
    async with asyncio.TaskGroup() as tasks:
        async with http.serve(app, ANY, name="hooks", drain_s=30) as address:
            asked = tasks.create_task(ask(address))
            await started.wait()
            asyncio.get_running_loop().call_later(0.1, finish.set)
        assert await asked == "done"


async def test_a_body_that_is_on_its_way_when_the_server_ends_is_read_to_its_end() -> None:
    """Nobody new is let in meanwhile."""
    async with AsyncExitStack() as server, asyncio.TaskGroup() as tasks:
        address = await server.enter_async_context(http.serve(_app(), ANY, name="hooks", drain_s=30))
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
        await asyncio.sleep(0.1)
        ending = tasks.create_task(server.aclose())
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(address.host, address.port)
        assert not ending.done()
        writer.write(b"lf")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        await writer.wait_closed()


async def test_who_does_not_finish_in_time_is_cut_off() -> None:
    async with http.serve(_app(), ANY, name="hooks", drain_s=0.1) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha")
        await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_silence_ends_a_request() -> None:
    over = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", never)
    async with http.serve(app, ANY, name="agents") as address, http.client(read_s=0.2) as session:
        with pytest.raises(TimeoutError):
            await session.get(f"http://{address}/")
        over.set()


async def test_only_the_given_authority_is_trusted(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    for name, made in (("ca", authority), ("other", other)):
        made.cert_pem.write_to_path(tmp_path / name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    runner = web.AppRunner(_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://localhost:{runner.addresses[0][1]}/"
    async with http.client(ca=tmp_path / "ca") as session, session.post(url, data=b"x") as response:
        assert response.status == 200
    for ca in (tmp_path / "other", None):
        async with http.client(ca=ca) as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.post(url, data=b"x")
    await runner.cleanup()


@pytest.mark.parametrize(("content", "name"), [(None, "absent"), (b"no certificate", "ca")])
async def test_an_authority_that_cannot_be_read_is_an_error_of_the_file(
    content: bytes | None, name: str, tmp_path: Path
) -> None:
    if content is not None:
        await asyncio.to_thread((tmp_path / name).write_bytes, content)
    with pytest.raises(OSError, match=r"No such file|no certificate|NO_CERTIFICATE"):
        async with http.client(ca=tmp_path / name):
            raise AssertionError("it was read")

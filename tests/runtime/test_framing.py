"""Where a request ends, said in ways that a proxy in front might take otherwise: refused, or the connection ends.

A request that is read with other bounds than its sender, or a proxy, gave it brings another one in with its body. So
each case is followed by a request of its own, and what is answered is counted. The library's parser decides all
this: these tables notice when another version of it is laxer.
"""

import asyncio
from typing import Final

import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bellpull.runtime import http
from bellpull.runtime.address import Address

ANY: Final = Address(host="127.0.0.1", port=0)
PATIENT: Final = http.Limits(head_s=600.0)
"""No connection is closed for silence here."""
BODY: Final = b"hello"
CHUNKED: Final = b"5\r\nhello\r\n0\r\n\r\n"
TE: Final = b"Transfer-Encoding: chunked"
CL: Final = b"Content-Length: 5"
NEXT: Final = b"POST /next HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
Case = tuple[bytes, bytes]


def _request(fields: bytes, body: bytes = BODY, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return line + b"\r\nHost: x\r\n" + fields + b"\r\n\r\n" + body


def _chunk(size: bytes, data: bytes = BODY, end: bytes = b"\r\n", trailer: bytes = b"") -> bytes:
    return _request(TE, size + b"\r\n" + data + end + b"0\r\n" + trailer + b"\r\n")


ONE_MEANING: Final[dict[str, bytes]] = {
    "a length": _request(CL),
    "chunks": _request(TE, CHUNKED),
    "chunks in capitals": _request(b"transfer-encoding: CHUNKED", CHUNKED),
    "a chunk's extension": _chunk(b'5;name=value;other="quoted"'),
    "zeros before a size": _chunk(b"0005"),
    "a trailer": _chunk(b"5", trailer=b"X-Late: 1\r\n"),
}
REFUSED: Final[dict[str, bytes]] = {
    "length and chunks": _request(CL + b"\r\n" + TE, CHUNKED),
    "chunks and length": _request(TE + b"\r\n" + CL, CHUNKED),
    "two lengths": _request(CL + b"\r\nContent-Length: 3"),
    "a length twice": _request(CL + b"\r\n" + CL),
    "a list of lengths": _request(b"Content-Length: 5, 5"),
    "a length with a sign": _request(b"Content-Length: +5"),
    "a length below nothing": _request(b"Content-Length: -5"),
    "a length in hex": _request(b"Content-Length: 0x5"),
    "a length with an underscore": _request(b"Content-Length: 0_5"),
    "a length in two words": _request(b"Content-Length: 5 0"),
    "a length beyond numbers": _request(b"Content-Length: " + b"9" * 30),
    "an empty length": _request(b"Content-Length: "),
    "a space before a colon": _request(b"Content-Length : 5"),
    "a space before the colon of chunks": _request(b"Transfer-Encoding : chunked", CHUNKED),
    "chunks that are not last": _request(b"Transfer-Encoding: chunked, identity", CHUNKED),
    "chunks twice": _request(TE + b"\r\n" + TE, CHUNKED),
    "chunks twice in one field": _request(b"Transfer-Encoding: chunked, chunked", CHUNKED),
    "another encoding": _request(b"Transfer-Encoding: identity"),
    "an encoding that is none": _request(b"Transfer-Encoding: xchunked", CHUNKED),
    "chunks in quotes": _request(b'Transfer-Encoding: "chunked"', CHUNKED),
    "chunks with a parameter": _request(b"Transfer-Encoding: chunked;q=1", CHUNKED),
    "chunks after a control character": _request(b"Transfer-Encoding: \x0bchunked", CHUNKED),
    "chunks and a NUL": _request(b"Transfer-Encoding: chunked\x00", CHUNKED),
    "chunks on a folded line": _request(b"Transfer-Encoding:\r\n chunked", CHUNKED),
    "chunks in HTTP/1.0": _request(TE, CHUNKED, b"POST / HTTP/1.0"),
    "a folded line": _request(CL + b"\r\nX-A: b\r\n c"),
    "a line that ends with LF": _request(CL + b"\r\nX-A: b\nX-B: c"),
    "a line that ends with CR": _request(CL + b"\r\nX-A: b\rX-B: c"),
    "a field without a colon": _request(CL + b"\r\nX-A"),
    "a field without a name": _request(CL + b"\r\n: a"),
    "a NUL in a name": _request(CL + b"\r\nX\x00-A: b"),
    "a NUL in a value": _request(CL + b"\r\nX-A: \x00"),
    "two hosts": _request(CL + b"\r\nHost: y"),
    "no host": b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    "another version": _request(CL, line=b"POST / HTTP/1.2"),
    "no version": b"POST /\r\n\r\n",
    "a space in the target": _request(CL, line=b"POST /a b HTTP/1.1"),
    "a NUL in the target": _request(CL, line=b"POST /\x00 HTTP/1.1"),
    "a chunk's size in C": _chunk(b"0x5"),
    "a chunk's size with a sign": _chunk(b"+5"),
    "a chunk's size below nothing": _chunk(b"-5"),
    "a chunk's size with an underscore": _chunk(b"0_5"),
    "a chunk's size after a space": _chunk(b" 5"),
    "a chunk's size before a space": _chunk(b"5 "),
    "a chunk without a size": _chunk(b""),
    "a chunk's size beyond numbers": _chunk(b"1" + b"0" * 16 + b"5"),
    "a chunk that is longer than it says": _chunk(b"3"),
    "a chunk that ends with anything": _chunk(b"5", end=b"XX"),
    "a chunk that ends with LF": _chunk(b"5", end=b"\n"),
    "an LF in a chunk's extension": _chunk(b"5;a\nb"),
    "a CR in a chunk's extension": _chunk(b"5;a\rb"),
    "a length in a trailer": _chunk(b"5", trailer=CL + b"\r\n"),
    "a host in a trailer": _chunk(b"5", trailer=b"Host: y\r\n"),
    "a trailer that is no field": _chunk(b"5", trailer=b"none\r\n"),
}
ENDED: Final[dict[str, bytes]] = {
    "HTTP/2": _request(CL + b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
    "a web socket": _request(CL + b"\r\nConnection: Upgrade\r\nUpgrade: websocket"),
    "a web socket, in chunks": _request(TE + b"\r\nConnection: Upgrade\r\nUpgrade: websocket", CHUNKED),
    "anything else": _request(CL + b"\r\nConnection: Upgrade\r\nUpgrade: tcp"),
}


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    return web.Response(body=request.path.encode() + b" " + body)


async def _answers(sent: bytes) -> tuple[list[bytes], bool]:
    """Send all at once; return what was answered (statuses and echoes), and whether the server hung up."""
    app = web.Application()
    app.router.add_post("/{all:.*}", _echo)
    async with http.serve(app, ANY, name="hooks", limits=PATIENT) as address:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(sent)
        found, closed = [], False
        while not closed:
            try:
                async with asyncio.timeout(10):
                    head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                closed = True
            else:
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                said = await reader.readexactly(int(fields.get(b"Content-Length", b"0")))
                found.append(head.split()[1] + (b" " + said if said.startswith(b"/") else b""))
                if said == b"/next ":
                    break
        writer.close()
        await writer.wait_closed()
    return found, closed


@pytest.mark.parametrize("sent", ONE_MEANING.values(), ids=ONE_MEANING.keys())
async def test_what_has_one_meaning_is_answered_and_so_is_what_follows(sent: bytes) -> None:
    assert await _answers(sent + NEXT) == ([b"200 / hello", b"200 /next "], False)


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
async def test_what_may_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(sent: bytes) -> None:
    """P2: no request comes in that the one before it had for its body."""
    assert await _answers(sent + NEXT) == ([b"400"], True)


@pytest.mark.parametrize("sent", ENDED.values(), ids=ENDED.keys())
async def test_who_wants_another_protocol_is_answered_in_this_one_and_the_connection_ends(sent: bytes) -> None:
    """What came together with such a request would be lost, and what comes after it be read from its middle."""
    assert await _answers(sent + NEXT) == ([b"200 / hello"], True)
    assert await _answers(sent + NEXT[:30]) == ([b"200 / hello"], True)


@pytest.mark.parametrize(
    "case", [each for each in REFUSED if "chunk" in each and REFUSED[each].startswith(_request(TE, b""))]
)
async def test_a_body_that_cannot_be_read_to_its_end_ends_at_once(case: str) -> None:
    """Who reads it is told, though the head was well; nothing that comes after is kept (P13)."""
    head, _, rest = REFUSED[case].partition(b"\r\n\r\n")
    told: list[Exception] = []

    async def read(request: web.Request) -> web.Response:
        try:
            await request.read()
        except HttpProcessingError as error:
            told.append(error)
        response = web.Response(status=422)
        response.force_close()
        return response

    app = web.Application()
    app.router.add_post("/", read)
    async with http.serve(app, ANY, name="hooks", limits=PATIENT) as address, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"100"
        writer.write(rest + NEXT)
        answer = await reader.read()
        writer.close()
    assert answer.split()[1] == b"422"
    assert answer.count(b"HTTP/1.1") == 1
    assert len(told) == 1


AROUND: Final[dict[str, bytes]] = {
    "an extension without end": b"5;" + b"a" * 2_000_000,
    "chunks of one byte": b"1\r\na\r\n" * 200_000,
    "a long trailer": CHUNKED[:-2] + b"".join(b"X-%02d: " % n + b"y" * 7000 + b"\r\n" for n in range(95)),
}


@pytest.mark.parametrize("sent", AROUND.values(), ids=AROUND.keys())
async def test_what_stands_around_a_body_is_not_more_than_the_body(sent: bytes) -> None:
    """P13: it costs more to read than it brings, and a trailer is kept."""
    told = asyncio.Event()

    async def read(request: web.Request) -> web.Response:
        try:
            await request.read()
        except HttpProcessingError:
            told.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", read)
    async with http.serve(app, ANY, name="hooks", limits=PATIENT) as address, asyncio.timeout(10):
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(_request(TE, b""))
        writer.write(sent)
        await told.wait()
        writer.transport.abort()


async def test_small_chunks_are_a_body_like_any_other() -> None:
    """Sixteen bytes a chunk, which nobody needs."""
    answers = await _answers(_request(TE, b"10\r\n0123456789abcdef\r\n" * 40_000 + b"0\r\n\r\n") + NEXT)
    assert answers == ([b"200 / " + b"0123456789abcdef" * 40_000, b"200 /next "], False)


@pytest.mark.parametrize("size", [200_000, 500_000, 5_000_000])
@pytest.mark.parametrize("way", ["a length", "chunks"])
async def test_a_body_that_waits_for_its_reader_is_taken(way: str, size: int) -> None:
    """What was read of it and not asked for yet does not count as standing around it."""
    taken = asyncio.Event()

    async def read(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)  # all that fits into buffers comes meanwhile
        found = 0
        async for chunk in request.content.iter_any():
            found += len(chunk)
            await asyncio.sleep(0.001)
        assert found == size
        taken.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", read)
    chunked = way == "chunks"
    async with http.serve(app, ANY, name="hooks", limits=PATIENT) as address, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(_request((TE if chunked else b"Content-Length: %d" % size) + b"\r\nExpect: 100-continue", b""))
        assert (await reader.readuntil(b"\r\n\r\n")).split()[1] == b"100"
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"z" * size) if chunked else b"z" * size)
        await taken.wait()
        writer.transport.abort()


async def test_what_follows_a_request_for_a_tunnel_is_no_request() -> None:
    """The body that CONNECT came with, as a proxy sees it."""
    assert await _answers(_request(b"Content-Length: %d" % len(NEXT), NEXT, b"CONNECT x:80 HTTP/1.1")) == (
        [b"404"],
        True,
    )
